"""Imports: which modules they name, and which files of the user's these are. Nothing is imported to find out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from crew_repo.canonical import Encoded
from crew_repo.code.ownership import is_own_file

__all__ = [
    "IMPORTING",
    "Import",
    "absolute_names",
    "content_of",
    "named",
    "not_found",
    "own_file",
    "package_of",
    "parts_of",
]

IMPORTING = frozenset({"import_module", "run_module", "__import__"})
"""Functions that import a module whose name they are given."""

# In the order in which Python looks for them.
_SUFFIXES = (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES, *BYTECODE_SUFFIXES)


class Import(NamedTuple):
    """An import statement: `from ..name import names` has level 2."""

    level: int
    name: str
    names: tuple[str, ...] = ()


def absolute_names(imports: tuple[Import, ...], package: str) -> Iterator[str]:
    """The modules that import statements may mean; of `from a import b`, `b` may be a module too."""
    for level, name, names in imports:
        parents = package.split(".")[: len(package.split(".")) - level + 1] if level else []
        base = ".".join([*parents, name] if name else parents)
        yield base
        yield from (f"{base}.{some}" for some in names)


def package_of(namespace: Mapping[str, Any]) -> str:
    """The package that relative imports in a module's namespace start from."""
    return str(namespace.get("__package__") or namespace.get("__name__", "").rpartition(".")[0])


def not_found(imports: tuple[Import, ...]) -> list[str]:
    """The modules that import statements name and that cannot be imported from anywhere."""
    top_levels = {name.partition(".")[0] for level, name, _ in imports if not level} - sys.stdlib_module_names
    return sorted(name for name in top_levels if not any(_whereabouts(name)))


def own_file(name: str) -> str | None:
    """The file of the user's module of this name, or the archive that it is in; None for any other."""
    package, _, last = name.rpartition(".")
    file, _ = _whereabouts(name)
    folders = _whereabouts(package)[1] if package and file is None else []
    places = [file] if file is not None else []
    inside = [place for folder in folders if is_own_file(place := os.path.join(folder, last))]  # noqa: PTH118
    stems = (stem for place in inside for stem in (f"{place}{os.sep}__init__", place))
    places += [f"{stem}{suffix}" for stem in stems for suffix in _SUFFIXES]
    for place in places:
        if os.path.isfile(place) and is_own_file(place):  # noqa: PTH113 - it is asked for often
            return place
    is_pythons = name.partition(".")[0] in sys.stdlib_module_names
    return None if is_pythons else _archive(map(Path, folders or places))


def _archive(places: Iterable[Path]) -> str | None:
    """The archive that the user's modules are imported from; all that is in it counts."""
    inside = (place for place in places if not place.exists() and is_own_file(str(place)))
    return next((str(folder) for place in inside for folder in place.parents if folder.is_file()), None)


def content_of(file: str, data: bytes) -> Encoded:
    """Content of a file; of an archive that of its members, whenever and however they were packed."""
    if not file.endswith(_SUFFIXES):
        with suppress(BadZipFile, NotImplementedError, ValueError), ZipFile(BytesIO(data)) as archive:
            found = {member.filename: [member.file_size, member.CRC] for member in archive.infolist()}
            return ["archive", *([name, *found[name]] for name in sorted(found))]
    return ["file", len(data), data.hex()]


def parts_of(package: Path) -> Iterator[str]:
    """The names of all modules below a package."""
    for file in package.parent.rglob("*"):
        if file.name.endswith(_SUFFIXES):
            yield ".".join((*file.relative_to(package.parent).parent.parts, file.name.partition(".")[0]))


def _whereabouts(name: str) -> tuple[str | None, list[str]]:
    """The file of a module, and the folders of a package, which may have no file of its own; nothing is imported.

    Where an installer has put a finder of its own among Python's, that says where parts of a package stand.
    """
    module = sys.modules.get(name)
    if module is not None:
        return getattr(module, "__file__", None), list(getattr(module, "__path__", ()))
    package = name.rpartition(".")[0]
    folders = _whereabouts(package)[1] if package else None
    if package and not folders:
        return None, []
    try:
        specs = (finder.find_spec(name, folders) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next(filter(None, specs), None)
    except (ImportError, ValueError):
        return None, []
    if spec is None:
        return None, []
    return spec.origin if spec.has_location else None, list(spec.submodule_search_locations or ())


def named(name: str) -> Import:
    """The import of a module whose name is given to a call: `.name` is relative."""
    stripped = name.lstrip(".")
    return Import(len(name) - len(stripped), stripped)
