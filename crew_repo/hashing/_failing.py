"""What only decides whether a model's call fails, or how long it takes: a switch, a mark, a number of the call.

Where there is an answer, the call has not failed, so what only the failing looks at is no ingredient of it. A part is
failing-only where the source says so: the test of an `if` whose branch ends in `raise`, that branch, a loop of nothing
else, an `assert`, a `sleep`. Nothing is, where an `except` of the class may catch it and answer in another way.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import NamedTuple

from crew_repo.hashing._origin import is_own_class, is_own_function
from crew_repo.hashing.state import first_argument, live_tree_of, mangled, weakly_cached

__all__ = ["OnlyFailing", "only_failing"]

_ENDINGS = frozenset({"os._exit", "os.abort", "os.kill", "sys.exit", "exit", "quit", "signal.raise_signal"})
_PAUSES = frozenset({"time.sleep", "sleep", "asyncio.sleep"})
_LEAVING = (ast.Return, ast.Yield, ast.YieldFrom, ast.Break, ast.Continue)
_BLOCKS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class OnlyFailing(NamedTuple):
    """Attributes of the object, and globals and free variables as `method.name`, that only failing looks at.

    Where a library has wrapped a method, the wrapper leads to it by `__wrapped__` and by its own free variables.
    """

    attributes: frozenset[str]
    variables: frozenset[str]


class _Reads:
    """What the methods of a class read, where it acts and where it only fails."""

    def __init__(self) -> None:
        self.acting: set[str] = set()
        self.failing: set[str] = set()

    def only_failing(self) -> frozenset[str]:
        return frozenset(self.failing - self.acting)


@weakly_cached
def only_failing(cls: type) -> OnlyFailing:
    """Of a user's class; nothing, if not all of its code can be read."""
    attributes, variables = _Reads(), _Reads()
    methods = list(_methods(cls))
    if any(method.function is None for method in methods):
        return OnlyFailing(frozenset(), frozenset())
    names = {method.places[0] for method in methods}
    for places, function, owner in methods:
        assert function is not None  # noqa: S101 - see above
        tree = live_tree_of(function)
        if tree is None or isinstance(tree, ast.Lambda) or _may_catch(tree, names):
            return OnlyFailing(frozenset(), frozenset())
        parts = [part for part in _failing_parts(tree.body) if not _is_of_the_context(part)]
        failing = {id(node) for part in parts for node in ast.walk(part)}
        me = first_argument(tree) or ""
        if not _note_attributes(attributes, tree, me, owner, failing):
            attributes.acting.update(attributes.failing, ["*"])
        _note_variables(variables, tree, function, places, failing)
    found = frozenset() if "*" in attributes.acting else attributes.only_failing()
    return OnlyFailing(found, variables.only_failing())


class _Method(NamedTuple):
    """A function of the user's in a class, and where it stands there; None for what may run code that is not seen."""

    places: list[str]
    function: FunctionType | None
    owner: str


def _methods(cls: type) -> Iterator[_Method]:
    for base in cls.__mro__:
        if not is_own_class(base):
            continue
        for name, member in vars(base).items():
            inner = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            places = [name]
            while isinstance(inner, FunctionType) and not _is_own(inner) and hasattr(inner, "__wrapped__"):
                ways = ("", ".__wrapped__", *(f".{variable}" for variable in inner.__code__.co_freevars))
                places = [place + way for place in places for way in ways]
                inner = inner.__wrapped__
            if isinstance(inner, FunctionType):
                if _is_own(inner):
                    yield _Method(places, None if hasattr(inner, "__wrapped__") else inner, base.__name__)
            elif name[:2] != "__" and callable(inner) and not isinstance(inner, type):
                yield _Method(places, None, base.__name__)


def _is_own(function: FunctionType) -> bool:
    return is_own_function(function.__code__, function.__globals__)


def _may_catch(tree: ast.AST, methods: set[str]) -> bool:
    """Whether an `except` or a `suppress` stands around one of the class's own methods, or around a `raise`."""
    return any(
        isinstance(node, ast.Raise) or (isinstance(node, ast.Attribute) and node.attr in methods)
        for body in _caught(tree)
        for statement in body
        for node in ast.walk(statement)
    )


def _caught(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            yield from [node.body] if node.handlers else []
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            yield from [node.body] if any("suppress" in ast.dump(item) for item in node.items) else []


def _failing_parts(body: list[ast.stmt]) -> Iterator[ast.AST]:
    for statement in body:
        if _only_fails(statement):
            yield statement
        elif isinstance(statement, ast.If):
            fails, goes_on = statement.body, statement.orelse
            if not _ends(fails):
                fails, goes_on = goes_on, fails
            if _ends(fails):
                yield statement.test
                yield from fails
                yield from _failing_parts(goes_on)
            else:
                yield from _failing_parts(statement.body)
                yield from _failing_parts(statement.orelse)
        elif isinstance(statement, (ast.With, ast.AsyncWith, ast.For, ast.AsyncFor, ast.While)):
            yield from _failing_parts(statement.body)


def _only_fails(statement: ast.stmt) -> bool:
    if isinstance(statement, (ast.Raise, ast.Assert, ast.Pass)):
        return True
    if isinstance(statement, ast.Expr):
        return _calls(statement.value, _PAUSES | _ENDINGS)
    if isinstance(statement, ast.If):
        return _ends(statement.body) and not statement.orelse
    if isinstance(statement, (ast.For, ast.While)):
        return all(map(_only_fails, statement.body)) and not statement.orelse
    return False


def _ends(body: list[ast.stmt]) -> bool:
    """Whether a branch always ends in failing, whatever it does before."""
    if not body or any(isinstance(node, _LEAVING) for statement in body for node in ast.walk(statement)):
        return False
    last = body[-1]
    return isinstance(last, ast.Raise) or (isinstance(last, ast.Expr) and _calls(last.value, _ENDINGS))


def _calls(node: ast.expr, names: frozenset[str]) -> bool:
    node = node.value if isinstance(node, ast.Await) else node
    return isinstance(node, ast.Call) and ast.unparse(node.func) in names


def _is_of_the_context(part: ast.AST) -> bool:
    """CrewAI answers an error that speaks of the context length by asking something else."""
    return "context" in ast.dump(part).lower()


def _note_attributes(reads: _Reads, tree: ast.AST, me: str, owner: str, failing: set[int]) -> bool:
    """False if the object is handed on as a whole, so that anybody may read anything of it."""
    bases: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            base = _object_in(node.value, me, owner)
            if base is not None:
                bases.add(id(base))
                if isinstance(node.ctx, ast.Load):
                    into = reads.failing if id(node) in failing else reads.acting
                    into.add(mangled(node.attr, owner))
    handed = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == me)
    return all(id(node) in bases or id(node) in failing for node in handed)


def _object_in(node: ast.expr, me: str, owner: str) -> ast.AST | None:
    """The name in `self`, `type(self)`, `self.__class__` or the class itself, before an attribute."""
    if isinstance(node, ast.Name):
        return node if node.id in (me, owner) else None
    if isinstance(node, ast.Attribute) and node.attr == "__class__":
        return _object_in(node.value, me, owner)
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "type" and len(node.args) == 1:
        return _object_in(node.args[0], me, owner)
    return None


def _note_variables(
    reads: _Reads, tree: ast.AST, function: FunctionType, places: list[str], failing: set[int]
) -> None:
    code = function.__code__
    outer = {*code.co_names, *code.co_freevars} - {*code.co_varnames, *code.co_cellvars}
    nested = {id(node) for block in _inner(tree) for node in ast.walk(block)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and (node.id in outer or id(node) in nested):
            into = reads.failing if id(node) in failing and id(node) not in nested else reads.acting
            into.update(f"{place}.{node.id}" for place in places)


def _inner(tree: ast.AST) -> Iterable[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, _BLOCKS) and node is not tree)


