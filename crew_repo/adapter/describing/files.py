"""The components that come from files of a policy or a kickoff, and whether such a file has changed since."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from crew_repo.adapter.describing.components import Memo, Parts
from crew_repo.adapter.input_files import UnreadableFileError, content_of
from crew_repo.declared_files import declared, find_files
from crew_repo.hashing import digest
from crew_repo.model import Definition, ReadFile
from crew_repo.policy import TaskPolicy

__all__ = ["add_declared", "add_input_file", "changed_file"]


def add_declared(parts: Parts, paths: Iterable[str], written: Mapping[Path, str]) -> None:
    """Each file that a policy declares, as `file:{name}`. `written`: the text that will stand in a file by then."""
    for element in declared(paths):
        found = element.find(written)
        for name, file in found.items():
            if file.is_dir():
                _add_folder(parts, f"file:{name}", file)
            else:
                parts.file(f"file:{name}", file, text=written.get(file.resolve()) if written else None)
        if not found:
            parts.hash(f"file:{element.name}", digest("file", "missing"))


def _add_folder(parts: Parts, path: str, folder: Path) -> None:
    """A folder that stands there by a second name, whose files count by the first; or that cannot be read."""
    try:
        os.scandir(folder).close()
    except OSError as error:
        return parts.opaque(path, f"{folder} cannot be read: {error.strerror}")
    same = os.path.relpath(folder.resolve(), folder.parent)
    return parts.hash(path, digest("file", ["folder", Path(same).as_posix()]))


def add_input_file(parts: Parts, path: str, file: Any) -> None:
    """A file that goes with a prompt: name and content, never its folder."""
    source = file if isinstance(file, (str, Path)) else getattr(getattr(file, "source", file), "path", None)
    try:
        if isinstance(source, (str, Path)):
            parts.was_read(path, Path(source))
        read = content_of(file)
    except UnreadableFileError as error:
        return parts.opaque(path, f"{source or type(file).__name__} cannot be read: {error}")
    except OSError as error:
        return parts.opaque(path, f"{source or type(file).__name__} cannot be read: {error.strerror}")
    parts.value(path, [str(getattr(file, "filename", "") or ""), read])
    if getattr(file, "mode", "auto") != "auto":
        parts.value(f"{path}.mode", file.mode)
    return None


def changed_file(definition: Definition, policy: TaskPolicy, memo: Memo) -> str | None:
    """Say what has become of the first file that is not as it was when this definition was made; None if all are.

    One that was written with the same content again counts as changed: in between it may have had another.
    """
    for read in definition.files:
        now = _look(memo, Path(read.file))
        if now != (read.found, read.mark):
            return _told(read.path, _what_happened(read, now[0]))
    return _appeared(definition, policy)


def _appeared(definition: Definition, policy: TaskPolicy) -> str | None:
    """The first declared file that was not there."""
    known, opaque = {read.file for read in definition.files}, {opaque.path for opaque in definition.opaque}
    for name, file in find_files(policy.paths).items():
        counts = f"file:{name}" not in opaque and not policy.ignores(f"file:{name}") and not file.is_dir()
        if counts and os.path.abspath(file) not in known:  # noqa: PTH100 - links stay
            return _told(f"file:{name}", "appeared")
    return None


def _told(path: str, fate: str) -> str:
    remedy = f'leave it out with TaskPolicy(ignore=("{path}",))'
    if path.startswith("file:"):
        remedy = "take it out of TaskPolicy(files=...)"
    what = f"{path.removeprefix('file:')} {fate} while the task was being executed"
    return f"{what}; if the task itself writes it, {remedy}"


def _look(memo: Memo, file: Path) -> tuple[str, tuple[int, ...]]:
    try:
        return memo.look(file)
    except OSError:
        return "unreadable", ()


def _what_happened(read: ReadFile, now: str) -> str:
    if now == read.found:
        return "was written to"
    return {"missing": "vanished", "unreadable": "became unreadable"}.get(now, "changed")
