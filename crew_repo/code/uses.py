"""The uses of names in one function, and the notes that are taken of them while it is visited."""

from __future__ import annotations

import ast
from typing import NamedTuple

from crew_repo.code.bytecode import Chain

__all__ = ["Passed", "Usage", "UseNotes"]


class Passed(NamedTuple):
    """Something that a function hands to a call: the callee, which parameter it is there, and what is handed."""

    callee: Chain
    parameter: int | str
    what: Chain


class Usage(NamedTuple):
    """The uses of one function. `guarded` is what it writes only after it has looked: a cache, a lazy client."""

    reads: frozenset[Chain] = frozenset()
    rebinds: frozenset[Chain] = frozenset()
    writes: frozenset[Chain] = frozenset()
    calls: frozenset[Chain] = frozenset()
    passes: frozenset[Passed] = frozenset()
    guarded: frozenset[Chain] = frozenset()
    returns: frozenset[Chain] = frozenset()
    wholes: frozenset[Chain] = frozenset()  # what it reads with all that is in it: `asdict(state)`, f"{state}"


class UseNotes:
    """Uses that were found by now, and the tests that stand around what is visited."""

    def __init__(self) -> None:
        self.tests: list[set[Chain]] = []
        self.reads: set[Chain] = set()
        self.rebinds: set[Chain] = set()
        self.writes: set[Chain] = set()
        self.calls: set[Chain] = set()
        self.passes: set[Passed] = set()
        self.returns: set[Chain] = set()
        self.parts: set[int] = set()  # the nodes that only name, bind or test something, or lead to a part of it
        self.always = False  # whether what is visited is sure to be executed
        self._wholes: set[Chain] = set()
        self._unguarded: set[Chain] = set()
        self._fresh: set[Chain] = set()  # what it binds anew before it reads it

    def usage(self) -> Usage:
        """Give all uses."""
        return Usage(
            frozenset(self.reads),
            frozenset(self.rebinds),
            frozenset(self.writes),
            frozenset(self.calls),
            frozenset(self.passes),
            frozenset((self.rebinds | self.writes) - self._unguarded),
            frozenset(self.returns),
            frozenset(self._wholes),
        )

    def change(self, into: set[Chain], chain: Chain | None, *, counts: bool = False) -> None:
        """Note a change; one that only counts on, or notes the time, needs no test to be guarded."""
        if chain:
            into.add(chain)
            if not counts and not any(chain in test for test in self.tests):
                self._unguarded.add(chain)

    def anew(self, chain: Chain | None, *, counts: bool) -> None:
        """Note that something is bound anew."""
        self.change(self.rebinds, chain, counts=counts)
        if chain and self.always and chain not in self.reads:
            self._fresh.add(chain)

    def read(self, chain: Chain, node: ast.AST | None = None) -> None:
        """Note a reading, of the whole unless the node only leads to a part."""
        if chain not in self._fresh:
            self.reads.add(chain)
            if node is not None and id(node) not in self.parts:
                self._wholes.add(chain)

    def names_only(self, node: ast.AST | None) -> None:
        """Note that an expression is bound to a name, tested or led through, and so not read as a whole."""
        while isinstance(node, ast.Subscript):
            node = node.value
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            node = node.left
        self.parts.add(id(node))
