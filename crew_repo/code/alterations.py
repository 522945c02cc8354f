"""Code that is called beside the work, and whether it alters what it is given: a callback that edits an output, a hook.

One that only looks, and logs or counts, changes no answer.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any

from crew_repo.code.exchanges import changed_arguments
from crew_repo.code.members import closure_of, tree_of
from crew_repo.code.ownership import is_own_function

__all__ = ["alters"]


def alters(value: object, *, by_answer: bool = False) -> bool:
    """Whether code of the user's changes what it is given, or, where that counts, answers with something.

    Code without source may. A library's does not, as far as anybody can tell.
    """
    return any(
        not changed_arguments(function).isdisjoint(given) or (by_answer and _answers(function))
        for function, given in _called(value)
    )


def _called(value: Any) -> Iterator[tuple[FunctionType, tuple[str, ...]]]:
    """The user's functions that a call comes to, also under wrappers, with the names of what they are given."""
    first = 0
    if isinstance(value, MethodType):
        value, first = value.__func__, 1
    elif isinstance(value, functools.partial):
        yield from _called(value.func)
    elif not isinstance(value, FunctionType):
        value, first = vars(type(value)).get("__call__"), 1
    if isinstance(value, FunctionType):
        code = value.__code__
        if is_own_function(code, value.__globals__):
            yield value, code.co_varnames[first : code.co_argcount + code.co_kwonlyargcount]
        for _, held in closure_of(value):
            if isinstance(held, (FunctionType, MethodType)):
                yield from _called(held)


def _answers(function: FunctionType) -> bool:
    tree = tree_of(function)
    if tree is None or isinstance(tree, ast.Lambda):
        return True
    answers = (node.value for node in ast.walk(tree) if isinstance(node, ast.Return) and node.value is not None)
    return any(not (isinstance(answer, ast.Constant) and answer.value in (None, True)) for answer in answers)
