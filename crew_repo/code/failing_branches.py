"""Attributes of a model class that only decide whether a call fails, such as a switch for a simulated outage.

Where there is an answer, the call has not failed, so an attribute that only an `if ...: raise` reads is no ingredient
of it: a simulated outage changes no hash. Where the class catches anything it may answer otherwise, and there is none.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType

from crew_repo.code.members import first_argument, functions_of, live_tree_of, mangled, weakly_cached
from crew_repo.code.ownership import is_own_class, is_own_function

__all__ = ["only_failing"]

_LEAVING = (ast.Return, ast.Yield, ast.YieldFrom, ast.Break, ast.Continue)


@weakly_cached
def only_failing(cls: type) -> frozenset[str]:
    """The attributes that only failing branches read; none if a method has no source, catches, or hands itself on."""
    acting: set[str] = set()
    failing: set[str] = set()
    for base, function in _methods(cls):
        tree = None if function is None else live_tree_of(function)
        if tree is None or isinstance(tree, ast.Lambda) or _catches(tree):
            return frozenset()
        me, inside = first_argument(tree), {id(node) for part in _parts(tree) for node in ast.walk(part)}
        owners = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                (failing if id(node) in inside else acting).add(mangled(node.attr, base.__name__))
            elif isinstance(node, ast.Name) and node.id == me and id(node) not in owners | inside:
                return frozenset()
    return frozenset(failing - acting)


def _methods(cls: type) -> Iterator[tuple[type, FunctionType | None]]:
    """The functions of the user's classes; None for a member that may run code that is not seen."""
    for base in filter(is_own_class, cls.__mro__):
        for name, member in vars(base).items():
            functions = functions_of(member)
            yield from ((base, each) for each in functions if is_own_function(each.__code__, each.__globals__))
            if not functions and name[:2] != "__" and callable(member) and not isinstance(member, type):
                yield base, None


def _catches(tree: ast.AST) -> bool:
    return any(
        (isinstance(node, ast.Try) and node.handlers)
        or (isinstance(node, ast.withitem) and "suppress" in ast.dump(node))
        for node in ast.walk(tree)
    )


def _parts(tree: ast.AST) -> Iterator[ast.AST]:
    """The tests of branches that end in `raise`, and those branches.

    CrewAI answers an error that speaks of the context length by asking something else: that is none.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise):
            leaves = any(isinstance(inner, _LEAVING) for statement in node.body for inner in ast.walk(statement))
            if not leaves and "context" not in "".join(map(ast.dump, (node.test, *node.body))).lower():
                yield from (node.test, *node.body)
