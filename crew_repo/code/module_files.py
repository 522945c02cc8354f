"""Reading the files of the user's modules: variables that they look up, texts, docstrings, imports.

They are those of `imports`: a function imports them by itself, or passes them around whole. Their code is not walked,
so what it asks for is read from its text.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from crew_repo.code.environment import Asked, asked_in, runs_files
from crew_repo.code.imports import Import, files_of, imports_in, not_found, version_of
from crew_repo.code.project_paths import Root, root_of_file
from crew_repo.code.syntax import undisturbed

__all__ = ["ModuleSaid", "said_by_modules"]

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


def said_by_modules(names: Iterable[str]) -> Iterator[ModuleSaid]:
    """Read the user's modules of these names, and those that they import; compiled ones say nothing."""
    for name, file in sorted(files_of(names).items()):
        read = _read(name, file, *version_of(file))
        if read is not None:
            said, imports, folders = read
            missing = (f"imports {each} from a folder that it adds to sys.path" for each in not_found(imports))
            yield said._replace(unknown=(*said.unknown, *(missing if folders else ())))


@lru_cache(maxsize=1024)
def _read(module: str, file: str, _modified: int, _size: int) -> tuple[ModuleSaid, tuple[Import, ...], bool] | None:
    try:
        tree = undisturbed(lambda: ast.parse(Path(file).read_bytes()))
    except (SyntaxError, ValueError, RecursionError):
        return None
    asked = asked_in(tree)
    named = [_text(name) for name in asked.environment]
    names, texts = frozenset(_names_in(tree)), set(_texts_in(tree))
    if _SETTINGS in names:
        texts.update(form for name in _annotated(tree) for form in (name, name.upper()))
    is_package = Path(file).name == "__init__.py"
    said = ModuleSaid(
        module,
        root_of_file(file, module if is_package else module.rpartition(".")[0]),
        names,
        frozenset(texts),
        tuple(_docstrings(tree)),
        frozenset(name for name in named if name is not None),
        asked.other_variables or None in named or _SETTINGS in names,
        tuple(_unknown(tree, asked)),
    )
    return said, tuple(imports_in(tree)), asked.other_folders


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


def _unknown(tree: ast.Module, asked: Asked) -> Iterator[str]:
    """Doings of which nobody can tell from its text what they come to."""
    if not _names_all(tree, asked):
        yield "imports modules by names made at run time"
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    rest = ast.Module([node for node in tree.body if not isinstance(node, _DOCUMENTED)], [])
    if any(runs_files(set(_names_in(scope))) for scope in (*functions, rest)):
        yield "runs files by their paths"


def _names_all(tree: ast.Module, asked: Asked) -> bool:
    """Whether it says which modules it imports by calls; all parts of a package with a `__getattr__` are read."""
    is_lazy = any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body)
    others = (name for name in asked.modules if getattr(name, "id", None) != "__name__")
    return is_lazy or not (asked.other_modules or None in map(_text, others))


def _docstrings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        said = ast.get_docstring(node, clean=False) if isinstance(node, _DOCUMENTED) else None
        if said is not None:
            yield getattr(node, "name", ""), said
