"""Words of SQLite's errors, and what they mean for a state file."""

from __future__ import annotations

from pathlib import Path

from crew_repo.errors import RunGoneError, StoreBusyError, StoreError, StoreFullError, StoreOpenError

__all__ = ["explained"]

_MESSAGES = (
    ("locked", StoreBusyError, "was locked by another process for more than {seconds:g} s; try again, see who has "
     "it open (lsof {path}), or wait longer (busy_timeout_seconds in Python)"),
    ("is full", StoreFullError, "cannot grow: the disk is full; free some space and run again; what was saved "
     "is intact"),
    ("disk i/o error", StoreFullError, "cannot be written: no space, a quota, a limit on file sizes, or a failing "
     "disk; make room and run again, what was saved is intact"),
    ("readonly", StoreError, "is read-only; make it and its folder writable, or use another file"),
    ("malformed", StoreError, "is damaged; keep it, and restore a copy, or save what is left: "
     "sqlite3 {path} .recover | sqlite3 recovered.db"),
    ("not a database", StoreOpenError, "is no SQLite file, or its first page is damaged; give another path"),
    ("unable to open", StoreOpenError, "cannot be opened; look at the permissions of the file and its folder"),
    ("foreign key", RunGoneError, "does not have the run that this belongs to: the file was deleted, replaced or "
     "pruned while the run went on; run again"),
    ("no such", StoreError, "lacks a table or column, since it was changed by hand or is damaged; restore a copy"),
    ("utf-8", StoreError, "has text that is no UTF-8; it is damaged: restore a copy, or delete the row"),
)  # fmt: skip


def explained(said: str, path: Path, busy_timeout_seconds: float) -> StoreError:
    """The error that names the file and the remedy, by SQLite's message."""
    for part, kind, text in _MESSAGES:
        if part in said.lower():
            return kind(f"{path} " + text.format(path=path, seconds=busy_timeout_seconds))
    return StoreError(f"{path}: SQLite says: {said}")
