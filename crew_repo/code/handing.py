"""Values that a function hands to its calls, also in a list, under another name, or after a choice between two.

It is read more widely than `Usage.passes`: whoever asks whether an argument may be changed has to know of every way.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import NamedTuple

from crew_repo.code.binding import Binder
from crew_repo.code.bytecode import Chain
from crew_repo.code.expressions import called
from crew_repo.code.members import tree_of, weakly_cached
from crew_repo.code.syntax import FunctionNode

__all__ = ["ANY", "PASSING_ON", "Handing", "Part", "Spread", "spread"]

ANY = "*"  # a parameter that cannot be told: after `*args`, say
PASSING_ON = frozenset(
    {"cast", "filter", "getattr", "iter", "list", "max", "min", "next", "partial", "reversed", "sorted", "tuple"}
)
"""Functions that give what they are given, or a part of it."""

_SETTING = frozenset({"__setattr__", "__delattr__"})
_DISPLAYS = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_OPENED = (*_DISPLAYS, ast.IfExp, ast.BoolOp, ast.BinOp, ast.Starred, ast.Await, ast.NamedExpr, ast.comprehension)


class Part(NamedTuple):
    """A chain that an expression may stand for; `held` where it only has that in it, as a list does."""

    chain: Chain
    held: bool


class Handing(NamedTuple):
    """A call: what is called, None where no name says it, and for each parameter the parts that it is given."""

    callee: Chain | None
    given: tuple[tuple[int | str, frozenset[Part]], ...]


class Spread(NamedTuple):
    """The ways by which values go on in a function: its calls, its variables, and what is defined in it."""

    calls: tuple[Handing, ...] = ()
    flows: tuple[tuple[str, frozenset[Part]], ...] = ()
    defined: frozenset[str] = frozenset()  # functions and classes in it, which are read along with it
    parameters: frozenset[str] = frozenset()  # theirs


@weakly_cached
def spread(function: FunctionType) -> Spread:
    """All that a function hands on; nothing where it has no source."""
    tree = tree_of(function)
    if tree is None:
        return Spread()
    reader = _Reader(tree)
    for node in tree.body if isinstance(tree.body, list) else [tree.body]:
        reader.visit(node)
    flows = ((name, frozenset(parts)) for name, parts in reader.flows.items())
    return Spread(tuple(reader.calls), tuple(flows), frozenset(reader.defined), frozenset(reader.parameters))


class _Reader(Binder):
    def __init__(self, tree: FunctionNode) -> None:
        super().__init__(tree)
        self.calls: list[Handing] = []
        self.flows: dict[str, set[Part]] = {}
        self.defined: set[str] = set()
        self.parameters: set[str] = set()

    def parts(self, node: ast.AST | None) -> set[Part]:
        """Parts that a value may be or hold. A call gives something new, but for one that passes on."""
        if isinstance(node, _OPENED):
            inner = {part for child in ast.iter_child_nodes(node) for part in self.parts(child)}
            return {Part(part.chain, held=True) for part in inner} if isinstance(node, _DISPLAYS) else inner
        if isinstance(node, ast.Call) and called(node) in PASSING_ON:
            return {part for argument in node.args for part in self.parts(argument)}
        chain = self.chain(node)
        if chain is None and isinstance(node, (ast.Attribute, ast.Subscript)):
            return {Part(part.chain, held=False) for part in self.parts(node.value)}
        return set() if chain is None else {Part(chain, held=False)}

    def bind(self, target: ast.expr, value: ast.expr | None, *, counts: bool = False) -> None:
        if isinstance(target, ast.Name):
            self._flow(target, self.parts(value))
            self.defined.update([target.id] if isinstance(value, ast.Lambda) else [])
        super().bind(target, value, counts=counts)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._flow(node.target, _taken_out(self.parts(node.iter)))
        super().visit_For(node)

    visit_AsyncFor = visit_For

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._flow(node.target, _taken_out(self.parts(node.iter)))
        self.generic_visit(node)

    def visit_Match(self, node: ast.Match) -> None:
        for pattern in ast.walk(node):
            if isinstance(pattern, (ast.MatchAs, ast.MatchStar)) and pattern.name:
                self.flows.setdefault(pattern.name, set()).update(self.parts(node.subject))
        self.generic_visit(node)

    def _flow(self, target: ast.expr, parts: set[Part]) -> None:
        for name in ast.walk(target):
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                self.flows.setdefault(name.id, set()).update(parts)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.defined.add(node.name)
        if not isinstance(node, ast.ClassDef):
            self._define(node.args)
        super().visit_FunctionDef(node)

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._define(node.args)
        self.generic_visit(node)

    def _define(self, arguments: ast.arguments) -> None:
        self.parameters.update(node.arg for node in ast.walk(arguments) if isinstance(node, ast.arg))

    def visit_Call(self, node: ast.Call) -> None:
        if not isinstance(node.func, ast.Lambda):
            given = tuple((parameter, frozenset(self.parts(value))) for parameter, value in _arguments(node))
            self.calls.append(Handing(self.chain(node.func), given))
        if isinstance(node.func, ast.Attribute) and node.func.attr in _SETTING:  # also `object.__setattr__(o, ...)`
            changed = {part for each in (node.func.value, *node.args[:1]) for part in self.parts(each)}
            self.calls.append(Handing(("setattr",), ((0, frozenset(changed)),)))
        self.generic_visit(node)


def _taken_out(parts: Iterable[Part]) -> set[Part]:
    return {Part(part.chain, held=False) for part in parts}


def _arguments(node: ast.Call) -> Iterator[tuple[int | str, ast.expr]]:
    known = True
    for number, argument in enumerate(node.args):
        known = known and not isinstance(argument, ast.Starred)
        yield number if known else ANY, argument
    for word in node.keywords:
        yield word.arg or ANY, word.value
