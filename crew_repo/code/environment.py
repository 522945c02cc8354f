"""Names that code asks the process for: variables of the environment, and modules that it imports by calls."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from crew_repo.canonical import digest, private_digest
from crew_repo.code.bytecode import nested_codes
from crew_repo.code.imports import IMPORTING, Import, named
from crew_repo.code.project_paths import Root, located, root_of
from crew_repo.secrets.finding import hand_over_variable
from crew_repo.secrets.forms import masked
from crew_repo.secrets.names import is_secret

__all__ = [
    "Asked",
    "asked_in",
    "asked_names",
    "asks_elsewhere",
    "environment_said",
    "imports_under_another_name",
    "is_environment",
    "modules_asked",
    "runs_files",
    "variables_meant",
    "variables_said",
]

_ENVIRONMENT = ("getenv", "environ.get", "environ.setdefault", "environ.pop", "environ")
_MENTIONS = frozenset({"environ", "environb", "getenv", "getenvb", "expandvars"})
_IMPORTING_FUNCTIONS = {
    **{"importlib.import_module": "import_module", "runpy.run_module": "run_module"},
    **{"builtins.__import__": "__import__", "pkgutil.resolve_name": None, "pydoc.locate": None},
}
_MODULES = (*IMPORTING, "sys.modules", "sys.modules.get")
_RUNS_FILES = frozenset({"run_path", "spec_from_file_location", "SourceFileLoader", "load_source"})
_READS_FILES = frozenset({"open", "read_text", "read_bytes", "get_data", "get_source", "getsource"})
_TELLING = frozenset({"environ", "getenv", *IMPORTING})


class Asked(NamedTuple):
    """The names that code gives: expressions, which a function's globals may explain; None where it cannot be read.

    `other_modules`: it imports more by calls than what these expressions name. `other_folders`: it may import from
    folders that it says as it runs (`sys.path`). `other_variables`: it does something else with the environment than to
    look up what these expressions name.
    """

    environment: tuple[ast.expr, ...] = ()
    modules: tuple[ast.expr, ...] = ()
    other_modules: bool = False
    other_folders: bool = False
    other_variables: bool = False


def asked_names(tree: ast.AST | None, code: CodeType) -> Asked | None:
    """Names that a function asks for; None if it has no source and mentions the environment, or imports by a call."""
    if tree is None:
        mentioned = {name for some in nested_codes(code) for name in some.co_names}
        return None if mentioned & _TELLING else Asked()
    return asked_in(tree)


def asked_in(tree: ast.AST) -> Asked:
    """Names that the source of a function or of a module asks for."""
    nodes = list(ast.walk(tree))
    found = [pair for node in nodes for pair in _asks(node)]
    environment, modules = (
        tuple(name for place, name in found if place.endswith(asked)) for asked in (_ENVIRONMENT, _MODULES)
    )
    folders = any(_dotted(node) == "sys.path" for node in nodes if isinstance(node, ast.Attribute))
    written = sum(isinstance(node, ast.Subscript) and _is_written(node) for node in nodes)
    others = sum(map(_mentions_environment, nodes)) > len(environment) + written
    imported = sum(place.endswith(tuple(IMPORTING)) for place, _ in found)
    by_other_names = sum(map(_mentions_importing, nodes)) > imported
    return Asked(environment, modules, by_other_names, folders, others)


def runs_files(names: Collection[str]) -> bool:
    """Whether a function of these names runs files by their paths: by an importer, or by `exec` of what it reads."""
    return not _RUNS_FILES.isdisjoint(names) or ("exec" in names and not _READS_FILES.isdisjoint(names))


def _mentions_environment(node: ast.AST) -> bool:
    """Whether an expression is the environment, whatever is done with it, or an import gives that another name."""
    return _mentions(node, _MENTIONS)


def _mentions_importing(node: ast.AST) -> bool:
    """Whether an expression is a function that imports, as `_mentions_environment` says."""
    located = isinstance(node, ast.Attribute) and _IMPORTING_FUNCTIONS.get(_dotted(node), "") is None
    return located or _mentions(node, IMPORTING)


def _mentions(node: ast.AST, names: Collection[str]) -> bool:
    if isinstance(node, ast.alias):
        return node.asname is not None and node.name in names
    name = getattr(node, "attr", None) or getattr(node, "id", None) or getattr(node, "value", None)
    return isinstance(name, str) and name in names


def _is_written(node: ast.Subscript) -> bool:
    return not isinstance(node.ctx, ast.Load) and _dotted(node.value).endswith("environ")


def _asks(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Where an expression looks something up, and by what name: `os.environ["A"]`, `getenv("A")`, `"A" in environ`."""
    if isinstance(node, ast.Call) and node.args:
        yield _dotted(node.func), node.args[0]
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        yield _dotted(node.value), node.slice
    elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
        yield _dotted(node.comparators[0]), node.left


def _dotted(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, (ast.Attribute, ast.Name)) else ""


def environment_said(function: FunctionType, asked: tuple[ast.expr, ...]) -> dict[str, str]:
    """The variables that code reads, with the hash of what they say by now; each value is handed over as a secret.

    Secrets are left out, and so are variables whose names are made at run time.
    """
    names = {text for each in asked if (text := _text(function, each)) is not None}
    return variables_said(names, root_of(function))


def variables_said(names: Iterable[str], root: Root = ()) -> dict[str, str]:
    """The hash of what each of these variables says by now. Values are handed over as secrets; secrets are left out."""
    said = {name: os.environ.get(name) for name in names}
    for value in said.values():
        hand_over_variable(value or "")
    said = {name: value for name, value in said.items() if not is_secret(name, value)}
    return {name: _hash_of_variable(name, value, root) for name, value in said.items()}


def asks_elsewhere(function: FunctionType, asked: Asked) -> bool:
    """Whether code looks up variables that are named elsewhere, as by a parameter."""
    return asked.other_variables or any(_text(function, each) is None for each in asked.environment)


def is_environment(value: object, path: str) -> bool:
    """Whether a value is the environment, or a function that reads it, and code calls it by another name."""
    if getattr(value, "__module__", None) == "subprocess":  # a program that is started has it
        return True
    read = any(value is some for some in (os.getenv, os.path.expandvars)) or isinstance(value, type(os.environ))
    return read and path.rpartition(".")[2] not in _MENTIONS


def imports_under_another_name(function: Any, path: str) -> bool:
    """Whether a library's function imports modules by name, and code does not call it by the name that tells so."""
    name = f"{function.__module__}.{function.__qualname__}"
    return name in _IMPORTING_FUNCTIONS and path.rpartition(".")[2] != _IMPORTING_FUNCTIONS[name]


def variables_meant(texts: Collection[str]) -> set[str]:
    """The variables that are set and that a text names, or begins or ends the names of: `MODEL_`, `_URL`."""
    beginnings = tuple(text for text in texts if text[-1:] == "_" and text[:-1].isupper())
    endings = tuple(text for text in texts if text[:1] == "_" and text[1:].isupper())
    return {name for name in os.environ if name in texts or name.startswith(beginnings) or name.endswith(endings)}


def _hash_of_variable(name: str, value: str | None, root: Root) -> str:
    """A variable's hash, of a path by its place. Nobody knows whether it is a secret, so it is a private one."""
    if value is None:
        return digest("variable", None)
    place = located(_without_user(value), (root,))
    if place is not None:
        return private_digest("variable's place", masked(json.dumps(place)), salt=name)
    return private_digest("variable", masked(_without_user(value)), salt=name)


def modules_asked(function: FunctionType, asked: tuple[ast.expr, ...]) -> tuple[list[Import], bool]:
    """The modules that code imports by calls, and whether those are all: a name may be made at run time."""
    names = [_text(function, each) for each in asked]
    return [named(name) for name in names if name is not None], None not in names


def _text(function: FunctionType, name: ast.expr) -> str | None:
    """A text, or a global that is one."""
    value: Any = name.value if isinstance(name, ast.Constant) else None
    if isinstance(name, ast.Name) and name.id not in function.__code__.co_varnames:
        value = function.__globals__.get(name.id)
    return value if isinstance(value, str) else None


def _without_user(value: str) -> str:
    """A URL without the user and password in it."""
    return re.sub(r"(?<=://)[^/@\s?#]*@", "", value)
