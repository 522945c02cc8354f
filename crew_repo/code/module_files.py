"""The user's modules as source: those that a function imports by itself, or passes around whole.

Such a module may not be imported yet, and hashing imports nothing; so its file is read, and the files of the user's
modules that it imports in turn; of a package with a `__getattr__`, which may import any of its parts, those of all of
them. What a running process has changed in it since does not show. Its code is not walked, so what that asks for
(variables, docstrings, modules by name) is read from its text.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from crew_repo.canonical import Encoded, seal
from crew_repo.code.called_imports import modules_called
from crew_repo.code.environment import Asked, asked_in, runs_files
from crew_repo.code.imports import Import, absolute_names, content_of, not_found, own_file, parts_of
from crew_repo.code.ownership import is_own_module
from crew_repo.code.project_paths import Root, root_of_file
from crew_repo.code.syntax import encode_module, undisturbed

__all__ = ["ModuleRead", "ModuleSaid", "compiled_by", "digest_of", "modules_read", "said_by"]

_SETTINGS = "BaseSettings"
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class ModuleSaid(NamedTuple):
    """Sayings of one module, and what it asks for: `variables` by their names, others if it `asks`."""

    module: str
    root: Root
    names: frozenset[str]
    texts: frozenset[str]
    docstrings: tuple[tuple[str, str], ...]
    variables: frozenset[str]
    asks: bool
    unknown: tuple[str, ...]
    other_folders: bool


class ModuleRead(NamedTuple):
    """The source of one module; a compiled one says nothing. `is_lazy`: it makes parts of itself when asked."""

    source: Encoded
    imports: tuple[Import, ...] = ()
    is_lazy: bool = False
    said: ModuleSaid | None = None


def modules_read(names: Iterable[str]) -> dict[str, ModuleRead]:
    """Read the files of the user's modules of these names, and of those that they import."""
    found: dict[str, ModuleRead] = {}
    pending = list(names)
    while pending:
        name = pending.pop()
        file = None if name in found else own_file(name)
        if file is not None:
            status = Path(file).stat()
            read = found[name] = _read(name, file, status.st_mtime_ns, status.st_size)
            pending += absolute_names(read.imports, _package(name, file))
            pending += (f"{name}.{part}" for part in parts_of(Path(file))) if _is_package(file) and read.is_lazy else ()
    return found


def digest_of(read: Mapping[str, ModuleRead]) -> str | None:
    """The digest over the source of these modules."""
    return seal("modules", [[name, read[name].source] for name in sorted(read)]) if read else None


def said_by(read: Mapping[str, ModuleRead]) -> Iterator[ModuleSaid]:
    """Give what these modules say and ask for."""
    for _, (_, imports, _, said) in sorted(read.items()):
        if said is not None:
            missing = not_found(imports) if said.other_folders else ()
            why = (f"imports {each} from a folder that it adds to sys.path" for each in missing)
            yield said._replace(unknown=(*said.unknown, *why))


def compiled_by(module: str | None) -> list[Encoded]:
    """The digest of the user's module that has compiled code in it; nothing for a library's, which is named."""
    digest = digest_of(modules_read([module])) if module and is_own_module(module) else None
    return [] if digest is None else [digest]


def _is_package(file: str) -> bool:
    return Path(file).name == "__init__.py"


def _package(module: str, file: str) -> str:
    """The package that relative imports in a module start from."""
    return module if _is_package(file) else module.rpartition(".")[0]


@lru_cache(maxsize=1024)
def _read(module: str, file: str, _modified: int, _size: int) -> ModuleRead:
    data = Path(file).read_bytes()
    whole = seal("module", content_of(file, data))
    try:
        tree = undisturbed(lambda: ast.parse(data))
    except (SyntaxError, ValueError, RecursionError):  # no Python source: a compiled module, say
        return ModuleRead(whole)
    try:
        source: Encoded = seal("module", encode_module(tree))
    except (ValueError, RecursionError, KeyError):  # it is nested too deeply, say
        source = whole
    asked, is_lazy = asked_in(tree), _is_lazy(tree)
    called, names_all = modules_called(tree, asked, has_its_parts=is_lazy and _is_package(file))
    said = _said(module, file, tree, asked)
    why = () if names_all else ("imports modules by names made at run time",)
    imports = (*_imports_in(tree), *called)
    return ModuleRead(source, imports, is_lazy, said._replace(unknown=(*why, *said.unknown)))


def _imports_in(tree: ast.Module) -> Iterator[Import]:
    """The modules that statements import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield Import(node.level, node.module or "", tuple(alias.name for alias in node.names))


def _is_lazy(tree: ast.Module) -> bool:
    """Whether a module has a `__getattr__`: a function, or what a library has made."""
    made = {getattr(node, "name", None) for node in tree.body}
    assigned = (node for part in tree.body if isinstance(part, ast.Assign) for node in ast.walk(part))
    return "__getattr__" in made or any(getattr(node, "id", None) == "__getattr__" for node in assigned)


def _said(module: str, file: str, tree: ast.Module, asked: Asked) -> ModuleSaid:
    variables = [_text(name) for name in asked.environment]
    names, texts = frozenset(_names_in(tree)), set(_texts_in(tree))
    if _SETTINGS in names:
        texts.update(form for name in _annotated(tree) for form in (name, name.upper()))
    return ModuleSaid(
        module,
        root_of_file(file, _package(module, file)),
        names,
        frozenset(texts),
        tuple(_docstrings(tree)),
        frozenset(name for name in variables if name is not None),
        asked.other_variables or None in variables or _SETTINGS in names,
        tuple(_unknown(tree)),
        asked.other_folders,
    )


def _names_in(tree: ast.AST) -> Iterator[str]:
    """The names that code reads, and the parameters that it gives something to."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
            yield node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg


def _texts_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        said = node.arg if isinstance(node, ast.keyword) else getattr(node, "value", None)
        if isinstance(said, str):
            yield said


def _annotated(tree: ast.Module) -> Iterator[str]:
    """The fields that classes declare."""
    declared = (node.target for node in ast.walk(tree) if isinstance(node, ast.AnnAssign))
    yield from (name.id for name in declared if isinstance(name, ast.Name))


def _text(name: ast.expr) -> str | None:
    value = getattr(name, "value", None)
    return value if isinstance(value, str) else None


def _unknown(tree: ast.Module) -> Iterator[str]:
    """Doings of which nobody can tell from its text what they come to."""
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    rest = ast.Module([node for node in tree.body if not isinstance(node, _DOCUMENTED)], [])
    if any(runs_files(set(_names_in(scope))) for scope in (*functions, rest)):
        yield "runs files by their paths"


def _docstrings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        said = ast.get_docstring(node, clean=False) if isinstance(node, _DOCUMENTED) else None
        if said is not None:
            yield getattr(node, "name", ""), said
