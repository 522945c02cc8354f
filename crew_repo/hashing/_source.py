"""The source of live functions: found in their file, and believed only if it compiles to the code that is live."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any, NamedTuple
from weakref import ref

from crew_repo.hashing._asked import Asked, asked_names
from crew_repo.hashing._bytecode import Chain, encode_code, global_chains, local_imports, nested_codes, reads_docstring
from crew_repo.hashing._canonical import Encoded, canonical, seal
from crew_repo.hashing._imports import Import
from crew_repo.hashing._syntax import FunctionNode, encode_function

__all__ = ["Static", "static_part"]


class Static(NamedTuple):
    """What of a function does not change while it lives: its code's digest, the globals it loads, its imports,
    and what it asks the process for by name."""

    sha256: str
    chains: tuple[Chain, ...]
    imports: tuple[Import, ...]
    environment: Asked
    modules: Asked


class _Found(NamedTuple):
    line: int
    node: FunctionNode
    code: CodeType


_statics: dict[int, tuple[ref[CodeType], Static]] = {}
_files: dict[str, tuple[str, dict[str, list[_Found]]]] = {}


def static_part(code: CodeType, namespace: Mapping[str, Any]) -> Static:
    """The static part of a function, computed once per code object.

    Kept by identity: equal code objects may come from different sources.
    """
    known = _statics.get(id(code))
    if known is not None and known[0]() is code:
        return known[1]
    static = Static(
        seal("code", _encode(code, namespace)),
        global_chains(code),
        local_imports(code),
        asked_names(code, "environment"),
        asked_names(code, "module"),
    )
    key = id(code)
    _statics[key] = (ref(code, lambda _: _statics.pop(key, None)), static)
    return static


def _encode(code: CodeType, namespace: Mapping[str, Any]) -> Encoded:
    try:
        node = _find(code, namespace)
        if node is not None:
            return ["source", encode_function(node, keep_docstring=reads_docstring(code))]
    except (SyntaxError, ValueError, RecursionError, KeyError):
        pass  # a file that has become something else, or is nested too deeply: the live code speaks
    return ["bytecode", encode_code(code)]


def _find(code: CodeType, namespace: Mapping[str, Any]) -> FunctionNode | None:
    """The function in the file whose code equals the live code, and if there are several, the one at its line."""
    live = canonical(encode_code(code))
    candidates = _functions_of(code.co_filename, namespace).get(code.co_name, [])
    for found in sorted(candidates, key=lambda found: found.line != code.co_firstlineno):
        if canonical(encode_code(found.code)) == live:
            return found.node
    return None


def _functions_of(filename: str, namespace: Mapping[str, Any]) -> dict[str, list[_Found]]:
    """Every function in a file, by name."""
    linecache.checkcache(filename)
    text = "".join(linecache.getlines(filename, dict(namespace)))
    known = _files.get(filename)
    if known is None or known[0] != text:
        known = _files[filename] = (text, _index(text, filename))
    return known[1]


def _index(text: str, filename: str) -> dict[str, list[_Found]]:
    """Parse and compile a file once, and find the code of each function by its line and name.

    Compiled alone, a function would not have its free variables. Those that share line and name, as two lambdas on
    one line do, get lines of their own and are compiled again: the code around them may be another then.
    """
    tree = ast.parse(text, filename)
    places: dict[tuple[int, str], list[FunctionNode]] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            places.setdefault((_first_line(node), getattr(node, "name", "<lambda>")), []).append(node)
    index: dict[str, list[_Found]] = {}
    for code in _codes(tree, filename):
        nodes = places.get((code.co_firstlineno, code.co_name), [])
        if len(nodes) == 1:
            index.setdefault(code.co_name, []).append(_Found(code.co_firstlineno, nodes[0], code))
    shared = [(line, node) for (line, _), nodes in places.items() if len(nodes) > 1 for node in nodes]
    moved = dict(enumerate(shared, text.count("\n") + 2))
    for number, (_, node) in moved.items():
        _move(node, number)
    for code in _codes(tree, filename) if moved else ():
        if code.co_firstlineno in moved:
            index.setdefault(code.co_name, []).append(_Found(*moved[code.co_firstlineno], code))
    return index


def _codes(tree: ast.Module, filename: str) -> Iterator[CodeType]:
    return nested_codes(compile(tree, filename, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True))


def _decorators(node: FunctionNode) -> list[ast.expr]:
    return [] if isinstance(node, ast.Lambda) else node.decorator_list


def _first_line(node: FunctionNode) -> int:
    return min(some.lineno for some in (node, *_decorators(node)))


def _move(node: FunctionNode, line: int) -> None:
    for some in (node, *_decorators(node)[:1]):
        some.lineno = some.end_lineno = line
        some.col_offset = some.end_col_offset = 0
