"""A power cut under a SQLite file: of what was written and not synced, any part may be there afterwards, or none.

The store works through apsw, whose file systems may be written in Python, on one that notes each write and each sync of
the file and its -wal. After each step the power may be cut: then what is on the disk is made from the notes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import apsw
import apsw.ext

from crew_repo.store.sqlite import SQLite

__all__ = ["Disk", "Step", "powered"]

_SECTOR = 512  # bytes: a disk writes one of these whole, or not at all
_NAME = "noted"
_CHECKPOINTED_PAGES = 40  # few, so that a short run has checkpoints, in which most can go wrong


@dataclass(frozen=True, slots=True)
class Step:
    """What SQLite did to a file (write, truncate, sync), or the store said (saved, with the name of the task)."""

    kind: str
    what: str
    offset: int = 0
    data: bytes = b""


class _File(apsw.VFSFile):
    def __init__(self, steps: list[Step], name: Any, flags: Any) -> None:
        self._steps = steps
        self._name = Path(name if isinstance(name, str) else name.filename()).name
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._steps.append(Step("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._steps.append(Step("truncate", self._name, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self._steps.append(Step("sync", self._name))
        super().xSync(flags)


class _FileSystem(apsw.VFS):
    def __init__(self, steps: list[Step]) -> None:
        self._steps = steps
        super().__init__(_NAME, "")

    def xOpen(self, name: Any, flags: Any) -> _File:
        return _File(self._steps, name, flags)


@contextmanager
def powered(path: Path) -> Iterator[list[Step]]:
    """What stores that are opened in here do to this file, step by step."""
    steps: list[Step] = []
    file_system, connect = _FileSystem(steps), SQLite._connect
    SQLite._connect = lambda self: _Connection(path)  # type: ignore[assignment,method-assign,misc,return-value]
    try:
        yield steps
    finally:
        SQLite._connect = connect  # type: ignore[method-assign]
        file_system.unregister()


@dataclass
class Disk:
    """What is on the disk by now, by the name of the file, and what was written since its last sync."""

    files: dict[str, bytes]
    unsynced: dict[str, list[Step]] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        """One step more."""
        if step.kind in ("write", "truncate"):
            self.unsynced.setdefault(step.what, []).append(step)
        elif step.kind == "sync":
            self.files[step.what] = _after(self.files.get(step.what, b""), self.unsynced.pop(step.what, []))

    def cut(self, folder: Path, random: Random) -> None:
        """Write into a folder what the next start finds: of what was not synced all, nothing, or some sectors."""
        share = random.choice((0.0, 0.5, 1.0))
        for name in {*self.files, *self.unsynced}:
            some = [part for step in self.unsynced.get(name, ()) for part in _sectors(step) if random.random() < share]
            (folder / name).write_bytes(_after(self.files.get(name, b""), some))


def _sectors(step: Step) -> Iterator[Step]:
    """The parts of a write that a disk writes at once."""
    if step.kind == "truncate":
        yield step
    first = _SECTOR - step.offset % _SECTOR
    starts = [0, *range(first, len(step.data), _SECTOR)] if step.data else []
    for start, end in zip(starts, [*starts[1:], len(step.data)], strict=False):
        yield Step("write", step.what, step.offset + start, step.data[start:end])


def _after(content: bytes, steps: Sequence[Step]) -> bytes:
    made = bytearray(content)
    for step in steps:
        if step.kind == "truncate":
            del made[step.offset :]
        else:
            made.extend(bytes(max(0, step.offset - len(made))))
            made[step.offset : step.offset + len(step.data)] = step.data
    return bytes(made)


class _Connection:
    """As much of the standard library's connection as the store uses, on apsw's."""

    isolation_level = None

    def __init__(self, path: Path) -> None:
        self._own = apsw.Connection(str(path), vfs=_NAME)
        self._own.set_busy_timeout(30_000)
        self.execute("PRAGMA foreign_keys=ON")
        self.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINTED_PAGES}")

    @property
    def in_transaction(self) -> bool:
        return self._own.in_transaction

    def cursor(self) -> _Cursor:
        return _Cursor(self._own)

    def execute(self, sql: str, values: Any = ()) -> _Cursor:
        return self.cursor().execute(sql, values)

    def commit(self) -> None:
        if self.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        if self.in_transaction:
            self.execute("ROLLBACK")

    def create_function(self, *_: Any, **__: Any) -> None:
        """SQLAlchemy's REGEXP, which the store does not use."""

    def close(self) -> None:
        self._own.close()


class _Cursor:
    def __init__(self, own: apsw.Connection) -> None:
        self._own = own
        self.rowcount, self.lastrowid, self.description = -1, 0, None
        self._rows: list[Any] = []

    def execute(self, sql: str, values: Any = ()) -> _Cursor:
        try:
            described = apsw.ext.query_info(self._own, sql).description
            self._rows = list(self._own.execute(sql, tuple(values)))
        except apsw.Error as error:
            raise sqlite3.OperationalError(str(error)) from error
        self.description = [(name, *[None] * 6) for name, _ in described] or None  # type: ignore[assignment]
        self.rowcount, self.lastrowid = self._own.changes(), self._own.last_insert_rowid()
        return self

    def executemany(self, sql: str, many: Any) -> _Cursor:
        for values in many:
            self.execute(sql, values)
        return self

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    def fetchmany(self, size: int = 1) -> list[Any]:
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    def close(self) -> None:
        """Nothing is open."""
