"""The files that `TaskPolicy(files=...)` declares: `~`, folders and patterns are expanded, and each file gets a name.

A path is looked up from the working folder. A folder stands for all files in it. In a pattern, `*`, `?` and `[...]`
match within one name and `**` any number of folders; names that begin with a dot are matched only by a pattern that
begins with one, and a folder that matches stands for all files in it. A path that is there just as it is written counts
too, so `terms[1].txt` may be a name.

A name says where a file is, seen from what was declared: of relative paths it is the path itself, of absolute ones the
way from the folder that they have in common. So a project that is moved keeps its names.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

__all__ = ["Declared", "declared", "find_files", "leave_out_state"]

_MAGIC = frozenset("*?[")
_ANY_FOLDERS = "**"
_states: set[str] = set()


@dataclass(frozen=True, slots=True)
class Declared:
    """One element of `files`: the folder to look in (absolute), the pattern below it, and how names begin."""

    given: str
    folder: str
    pattern: tuple[str, ...]
    label: str

    @property
    def name(self) -> str:
        """The name that stands for it while it matches nothing."""
        return Path(self.label, *self.pattern).as_posix()

    def find(self, besides: Collection[Path] = ()) -> dict[str, Path]:
        """The files by name, in the order of their paths; `besides` will be there by the time that counts."""
        here = [*self._matching(self.folder, self.pattern), os.path.join(self.folder, *self.pattern)]  # noqa: PTH118
        found = {file for path in here for file in _files_in(path, set())}
        found.update(str(file) for file in self._covered(besides))
        return {self._name(file): Path(file) for file in sorted(found) if not _is_state(file)}

    def covers(self, file: Path) -> bool:
        """Whether a file, by its resolved path, is one of these if it is there."""
        root = Path(self.folder).resolve()
        return file.is_relative_to(root) and _matches(file.relative_to(root).parts, self.pattern)

    def _covered(self, files: Iterable[Path]) -> Iterator[Path]:
        root = Path(self.folder).resolve()
        for file in files:
            if self.covers(file):
                yield Path(self.folder) / file.relative_to(root)

    def _name(self, file: str) -> str:
        return Path(self.label, os.path.relpath(file, self.folder)).as_posix()

    def _matching(self, folder: str, pattern: tuple[str, ...]) -> Iterator[str]:
        if not pattern:
            yield folder
        elif pattern[0] == _ANY_FOLDERS:
            for inner in _folders_in(folder, set()):
                yield from self._matching(inner, pattern[1:])
        else:
            for name in _names_in(folder):
                if name is None:
                    yield folder
                elif _fits(name, pattern[0]):
                    yield from self._matching(os.path.join(folder, name), pattern[1:])  # noqa: PTH118


def declared(files: Iterable[str]) -> list[Declared]:
    """The elements of `files`, which are texts. Touches no file."""
    given = list(files)
    expanded = [Path(os.path.expanduser(text)) for text in given]  # noqa: PTH111 - leaves `~$a.docx` as it is
    absolute = [_split(path)[0] for text, path in zip(given, expanded, strict=True) if Path(text).is_absolute()]
    common = _common_folder(absolute)
    alone = len(absolute) == len(given)
    return [_element(text, path, common, alone=alone) for text, path in zip(given, expanded, strict=True)]


def find_files(files: Iterable[str]) -> dict[str, Path]:
    """All files that are declared, by name."""
    return {name: file for element in declared(files) for name, file in element.find().items()}


def leave_out_state(place: str) -> None:
    """Leave a state file that is open in this process out of folders and patterns: each run writes it."""
    _states.update(os.path.realpath(place) + suffix for suffix in ("", "-wal", "-shm", "-journal"))


def _is_state(file: str) -> bool:
    return any(os.path.basename(file) == os.path.basename(state) for state in _states) and (  # noqa: PTH119
        os.path.realpath(file) in _states
    )


def _element(text: str, path: Path, common: str, *, alone: bool) -> Declared:
    folder, pattern = _split(path)
    where = os.path.abspath(folder)  # noqa: PTH100 - without following links
    if not Path(text).is_absolute():
        begin = os.path.normpath(text if not pattern else _split(Path(text))[0])
        return Declared(text, where, pattern, begin)
    begin = os.path.relpath(where, common) if common else where
    return Declared(text, where, pattern, begin if alone else f".../{begin}")


def _split(path: Path) -> tuple[str, tuple[str, ...]]:
    """The folder, or file, that stands before the first pattern, and the pattern."""
    parts = path.parts
    first = next((at for at, part in enumerate(parts) if _MAGIC & set(part)), len(parts))
    return str(Path(*parts[:first])), parts[first:]


def _common_folder(paths: Sequence[str]) -> str:
    """The folder that has them all; of a single file its own. Empty if there is none, as on two drives."""
    folders = {path if os.path.isdir(path) else os.path.dirname(path) for path in paths}  # noqa: PTH112, PTH120
    try:
        return os.path.commonpath(folders) if folders else ""
    except ValueError:
        return ""


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches, or one of the folders that it is in."""
    if not pattern:
        return True
    if pattern[0] == _ANY_FOLDERS:
        deeper = bool(parts) and not parts[0].startswith(".") and _matches(parts[1:], pattern)
        return _matches(parts, pattern[1:]) or deeper
    return bool(parts) and (parts[0] == pattern[0] or _fits(parts[0], pattern[0])) and _matches(parts[1:], pattern[1:])


def _fits(name: str, pattern: str) -> bool:
    return fnmatch(name, pattern) and (pattern.startswith(".") or not name.startswith("."))


def _files_in(path: str, seen: set[str]) -> Iterator[str]:
    """A file itself; of a folder all files. A folder that was seen under another name is given as it is."""
    if not os.path.isdir(path):  # noqa: PTH112
        if os.path.exists(path) or (seen and os.path.lexists(path)):  # noqa: PTH110 - in a folder, also a broken link
            yield path
        return
    if _is_new(path, seen):
        for name in _names_in(path):
            yield from _files_in(os.path.join(path, name), seen) if name is not None else [path]  # noqa: PTH118
    else:
        yield path


def _folders_in(folder: str, seen: set[str]) -> Iterator[str]:
    """A folder and all below it, but hidden ones, each once."""
    if not os.path.isdir(folder) or not _is_new(folder, seen):  # noqa: PTH112
        return
    yield folder
    for name in _names_in(folder):
        if name is not None and not name.startswith("."):
            yield from _folders_in(os.path.join(folder, name), seen)  # noqa: PTH118


def _is_new(folder: str, seen: set[str]) -> bool:
    real = os.path.realpath(folder)
    if real in seen:
        return False
    seen.add(real)
    return True


def _names_in(folder: str) -> Sequence[str | None]:
    """Names in a folder, in order; only None if it cannot be read, which it says itself when it is hashed."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        return [None]
