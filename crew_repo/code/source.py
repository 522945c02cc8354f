"""The source of live functions: found in their file, and believed only if it compiles to the code that is live."""

from __future__ import annotations

import ast
import functools
import linecache
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import CodeType
from typing import Any, NamedTuple, TypeVar
from weakref import ref

from crew_repo.canonical import Encoded, canonical, seal
from crew_repo.code.bytecode import Chain, encode_code, global_chains, local_imports, nested_codes, reads_docstring
from crew_repo.code.environment import Asked, asked_names
from crew_repo.code.imports import Import
from crew_repo.code.syntax import FunctionNode, encode_function, undisturbed

__all__ = ["Static", "live_node", "node_at", "once_per_code", "static_part"]

Computed = TypeVar("Computed")


class Static(NamedTuple):
    """Facts about a function that do not change while it lives: its code's digest, the globals it loads, its imports,
    and what it asks the process for by name."""

    sha256: str
    chains: tuple[Chain, ...]
    imports: tuple[Import, ...]
    asked: Asked | None


class InFile(NamedTuple):
    """A function in a file, and the code that it compiles to there."""

    line: int
    node: FunctionNode
    code: CodeType


_files: dict[str, tuple[str, dict[str, list[InFile]]]] = {}  # the text of a file, and its functions by name


class _Parsing:
    """One thread parses at a time; a forked child has a lock of its own."""

    def __init__(self) -> None:
        self.renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        """Nobody holds it."""
        self.lock = threading.RLock()


_parsing = _Parsing()


def once_per_code(
    compute: Callable[[CodeType, Mapping[str, Any]], Computed],
) -> Callable[[CodeType, Mapping[str, Any]], Computed]:
    """Kept by identity, for as long as the code lives: equal code objects may come from different sources."""
    cache: dict[int, tuple[ref[CodeType], Computed]] = {}

    @functools.wraps(compute)
    def cached(code: CodeType, namespace: Mapping[str, Any]) -> Computed:
        key = id(code)
        known = cache.get(key)
        if known is None or known[0]() is not code:
            computed = compute(code, namespace)
            known = cache[key] = (ref(code, lambda _: cache.pop(key, None)), computed)
        return known[1]

    return cached


@once_per_code
def static_part(code: CodeType, namespace: Mapping[str, Any]) -> Static:
    """The static part of a function, computed once per code object."""
    return Static(
        seal("code", _encode(code, namespace)),
        global_chains(code),
        local_imports(code),
        asked_names(node_at(code, namespace), code),
    )


def _encode(code: CodeType, namespace: Mapping[str, Any]) -> Encoded:
    node = live_node(code, namespace)
    if node is not None:
        with suppress(ValueError, RecursionError, KeyError):  # it is nested too deeply: the live code speaks
            return ["source", encode_function(node, keep_docstring=reads_docstring(code))]
    return ["bytecode", encode_code(code)]


@once_per_code
def live_node(code: CodeType, namespace: Mapping[str, Any]) -> FunctionNode | None:
    """The function in the file whose code equals the live code, and if there are several, the one at its line."""
    with suppress(SyntaxError, ValueError, RecursionError, KeyError):  # the file may have become something else
        live = canonical(encode_code(code))
        for found in _candidates(code, namespace):
            if canonical(encode_code(found.code)) == live:
                return found.node
    return None


@once_per_code
def node_at(code: CodeType, namespace: Mapping[str, Any]) -> FunctionNode | None:
    """The function at the line of the live code, whose code may be another: tests and coverage rewrite it."""
    with suppress(SyntaxError, ValueError, RecursionError, KeyError):
        there = [found.node for found in _candidates(code, namespace) if found.line == code.co_firstlineno]
        if len(there) == 1:
            return there[0]
    return live_node(code, namespace)


def _candidates(code: CodeType, namespace: Mapping[str, Any]) -> list[InFile]:
    candidates = _functions_in(code.co_filename, namespace).get(code.co_name, [])
    return sorted(candidates, key=lambda found: found.line != code.co_firstlineno)


def _functions_in(filename: str, namespace: Mapping[str, Any]) -> dict[str, list[InFile]]:
    """The functions in a file as it is by now, which is parsed once for each text that it has had.
    SyntaxError and its like are the caller's.
    """
    with _parsing.lock:
        linecache.checkcache(filename)
        text = "".join(linecache.getlines(filename, dict(namespace)))
        known = _files.get(filename)
        if known is None or known[0] != text:
            known = _files[filename] = text, _index(text, filename)
        return known[1]


def _index(text: str, filename: str) -> dict[str, list[InFile]]:
    """Parse and compile a file once, and find the code of each function by its line and name.

    Compiled alone, a function would not have its free variables. Those that share line and name, as two lambdas on
    one line do, get lines of their own and are compiled again: the code around them may be another then.
    """
    tree = undisturbed(lambda: ast.parse(text, filename))
    places: dict[tuple[int, str], list[FunctionNode]] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            places.setdefault((_first_line(node), getattr(node, "name", "<lambda>")), []).append(node)
    index: dict[str, list[InFile]] = {}
    for code in _codes(tree, filename):
        nodes = places.get((code.co_firstlineno, code.co_name), [])
        if len(nodes) == 1:
            index.setdefault(code.co_name, []).append(InFile(code.co_firstlineno, nodes[0], code))
    shared = [(line, node) for (line, _), nodes in places.items() if len(nodes) > 1 for node in nodes]
    moved = dict(enumerate(shared, text.count("\n") + 2))
    for number, (_, node) in moved.items():
        _move(node, number)
    for code in _codes(tree, filename) if moved else ():
        if code.co_firstlineno in moved:
            index.setdefault(code.co_name, []).append(InFile(*moved[code.co_firstlineno], code))
    return index


def _codes(tree: ast.Module, filename: str) -> Iterator[CodeType]:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return nested_codes(undisturbed(lambda: compile(tree, filename, "exec", flags=flags, dont_inherit=True)))


def _decorators(node: FunctionNode) -> list[ast.expr]:
    return [] if isinstance(node, ast.Lambda) else node.decorator_list


def _first_line(node: FunctionNode) -> int:
    return min(some.lineno for some in (node, *_decorators(node)))


def _move(node: FunctionNode, line: int) -> None:
    for some in (node, *_decorators(node)[:1]):
        some.lineno = some.end_lineno = line
        some.col_offset = some.end_col_offset = 0
