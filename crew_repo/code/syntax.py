"""The canonical form of a function's code: it does not depend on layout, comments or the version of Python."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

from crew_repo.canonical import SCALARS, Encoded

__all__ = ["FunctionNode", "encode_function", "encode_module", "undisturbed"]

FunctionNode: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda"

Done = TypeVar("Done")
_TRIES = 20
_LAYOUT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
# Evaluated where the function is defined. What came of it is read from the live function.
_EVALUATED_OUTSIDE = frozenset({"decorator_list", "returns", "type_params"})


def undisturbed(work: Callable[[], Done]) -> Done:
    """Parse or compile, again where another thread has disturbed it.

    CPython counts the depth of all parsers of a process together, and raises SystemError ("AST constructor recursion
    depth mismatch", gh-106905) where two meet: that of a library may run beside this one.
    """
    for _ in range(_TRIES):
        with suppress(SystemError):
            return work()
        time.sleep(0.001)
    return work()


def encode_function(node: FunctionNode, *, keep_docstring: bool) -> Encoded:
    """A function's name, parameters and body.

    Comments, layout, docstrings and `pass` are not in it; nor are defaults, annotations and decorators of the
    function itself, whose live values count. `keep_docstring` is for code that reads `__doc__`.
    """
    return _node(node, _EVALUATED_OUTSIDE, keep_docstring)


def encode_module(tree: ast.Module) -> Encoded:
    """A module's statements, without comments, layout, docstrings and `pass`."""
    return _node(tree, frozenset(), keep_docstring=False)


def _node(node: ast.AST, left_out: frozenset[str], keep_docstring: bool) -> Encoded:
    encoded: list[Encoded] = [type(node).__name__]
    if isinstance(node, ast.Constant):
        return ["Constant", SCALARS[type(node.value)](node.value)]
    if not __debug__ and isinstance(node, ast.Name) and node.id == "__debug__":
        return ["Constant", SCALARS[bool](__debug__)]
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(node, ast.JoinedStr):
            value = list(_pieces(node.values))
        if value is not None and value != [] and name not in _LAYOUT and name not in left_out:
            encoded.append([name, _field(value, name, left_out, keep_docstring)])
    return encoded


def _field(value: Any, name: str, left_out: frozenset[str], keep_docstring: bool) -> Encoded:
    if left_out and isinstance(value, ast.arguments):
        return _parameters(value)
    if isinstance(value, ast.AST):
        return _node(value, frozenset(), keep_docstring)
    if isinstance(value, list):
        return [name, *(_item(item, keep_docstring) for item in _acting(value, keep_docstring))]
    return SCALARS[type(value)](value)


def _item(item: object, keep_docstring: bool) -> Encoded:
    if isinstance(item, ast.AST):
        return _node(item, frozenset(), keep_docstring)
    return SCALARS[type(item)](item)


def _acting(items: list[Any], keep_docstring: bool) -> Iterator[object]:
    """Statements without `pass` and constants that stand alone, as docstrings do; under -O without `assert`."""
    none = (ast.Pass,) if __debug__ else (ast.Pass, ast.Assert)
    for item in items:
        idle = isinstance(item, none) or (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))
        if keep_docstring or not idle:
            yield item


def _pieces(values: list[ast.expr]) -> Iterator[ast.expr]:
    """The pieces of an f-string; Python 3.12 puts empty ones, and cuts where others do not."""
    text = ""
    for value in values:
        if isinstance(value, ast.Constant):
            text += str(value.value)
            continue
        if text:
            yield ast.Constant(text)
        text = ""
        yield value
    if text:
        yield ast.Constant(text)


def _parameters(a: ast.arguments) -> Encoded:
    every: list[list[Any]] = [a.posonlyargs, a.args, a.kwonlyargs, [a.vararg], [a.kwarg]]
    return ["parameters", *(["names", *(some.arg if some else None for some in kind)] for kind in every)]
