"""The user's modules as source: those that a function imports by itself, or passes around whole.

Such a module may not be imported yet, and hashing imports nothing; so its file is read, and the files of the user's
modules that it imports in turn; of a package with a `__getattr__`, which may import any, those of all that is in it.
What a running process has changed in it since does not show.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from pathlib import Path
from typing import Any, NamedTuple

from crew_repo.canonical import Encoded, seal
from crew_repo.code.ownership import is_own_file, is_own_module
from crew_repo.code.syntax import encode_module, undisturbed

__all__ = [
    "Import",
    "absolute_names",
    "compiled_by",
    "files_of",
    "imports_in",
    "modules_digest",
    "named",
    "not_found",
    "package_of",
    "version_of",
]


# In the order in which Python looks for them.
_SUFFIXES = (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES, *BYTECODE_SUFFIXES)
_IMPORTING = frozenset({"import_module", "run_module", "__import__"})


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


def modules_digest(names: Iterable[str]) -> str | None:
    """The digest over the source of the user's modules of these names, and of those that they import."""
    found = {name: _read(file, *version_of(file))[0] for name, file in files_of(names).items()}
    return seal("modules", [[name, found[name]] for name in sorted(found)]) if found else None


def files_of(names: Iterable[str]) -> dict[str, str]:
    """The files of the user's modules of these names, and of those that they import."""
    found: dict[str, str] = {}
    pending = list(names)
    while pending:
        name = pending.pop()
        file = None if name in found else _own_file(name)
        if file is not None:
            found[name] = file
            _, imports, is_lazy = _read(file, *version_of(file))
            is_package = Path(file).name == "__init__.py"
            pending += absolute_names(imports, name if is_package else name.rpartition(".")[0])
            pending += (f"{name}.{part}" for part in _parts(Path(file))) if is_package and is_lazy else ()
    return found


def compiled_by(module: str | None) -> list[Encoded]:
    """The digest of the user's module that has compiled code in it; nothing for a library's, which is named."""
    digest = modules_digest([module]) if module and is_own_module(module) else None
    return [] if digest is None else [digest]


def not_found(imports: tuple[Import, ...]) -> list[str]:
    """The modules that import statements name and that cannot be imported from anywhere."""
    top_levels = {name.partition(".")[0] for level, name, _ in imports if not level} - sys.stdlib_module_names
    return sorted(name for name in top_levels if not any(_whereabouts(name)))


def _own_file(name: str) -> str | None:
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
    """The archive that the user's modules are imported from, which counts as a whole."""
    inside = (place for place in places if not place.exists() and is_own_file(str(place)))
    return next((str(folder) for place in inside for folder in place.parents if folder.is_file()), None)


def _parts(package: Path) -> Iterator[str]:
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


def version_of(file: str) -> tuple[int, int]:
    """By what a file's content is known again."""
    status = Path(file).stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=1024)
def _read(file: str, _modified: int, _size: int) -> tuple[Encoded, tuple[Import, ...], bool]:
    """The source of a module, its imports, and whether it makes parts of itself when they are asked for."""
    data = Path(file).read_bytes()
    try:
        tree = undisturbed(lambda: ast.parse(data))
        is_lazy = any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body)
        return seal("module", encode_module(tree)), tuple(imports_in(tree)), is_lazy
    except (SyntaxError, ValueError, RecursionError, KeyError):  # no Python source: a compiled module, say
        return seal("module", ["file", len(data), data.hex()]), (), False


def imports_in(tree: ast.AST) -> Iterator[Import]:
    """The modules that code imports: by statements, and by calls that name them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield Import(node.level, node.module or "", tuple(alias.name for alias in node.names))
        elif isinstance(node, ast.Call) and node.args and _called(node) in _IMPORTING:
            name = getattr(node.args[0], "value", None)
            yield from [named(name)] if isinstance(name, str) else []


def _called(call: ast.Call) -> str | None:
    return getattr(call.func, "attr", None) or getattr(call.func, "id", None)


def named(name: str) -> Import:
    """The import of a module whose name is given to a call: `.name` is relative."""
    stripped = name.lstrip(".")
    return Import(len(name) - len(stripped), stripped)
