"""Chains of names: what an expression in a function stands for, from a variable on, through its local aliases."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from crew_repo.code.bytecode import Chain

__all__ = ["GIVEN", "IMPORTED", "READERS", "NameChains", "last_name"]

IMPORTED = "@"
"""The beginning of the name of a module that a function imports itself, where a chain starts from that."""
GIVEN = "()"
"""The end of a name that stands for what a function of that name gives."""



READERS = frozenset(
    {
        *("get", "items", "keys", "values", "copy", "index", "count", "most_common", "elements", "isdisjoint"),
        *("issubset", "issuperset", "union", "intersection", "difference", "join", "format", "encode", "decode"),
    }
)
"""Methods by which Python's containers are only read."""


class NameChains(ast.NodeVisitor):
    """Knows which local names are aliases. Subclasses add to `aliases` as they visit what is bound."""

    def __init__(self) -> None:
        self.aliases: dict[str, Chain] = {}

    def chain(self, node: ast.AST | None) -> Chain | None:
        """Give the chain of an expression; None for what starts from no name."""
        names: list[str] = []
        while not isinstance(node, ast.Name):
            if isinstance(node, ast.Attribute):
                names.append(node.attr)
                node = node.value
            elif isinstance(node, (ast.Subscript, ast.Starred, ast.Await, ast.NamedExpr)):
                node = node.value
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                node = node.func.value
            elif isinstance(node, ast.Call) and last_name(node) in {"type", "iter"} and len(node.args) == 1:
                node = node.args[0]
            elif isinstance(node, ast.Call):  # what a function gives: see `returns`
                node = node.func
            else:
                return None
        rest = tuple(name for name in reversed(names) if name not in {"__class__", "__dict__"})
        return (*self.aliases.get(node.id, (node.id,)), *rest)

    def stands_for(self, value: ast.expr | None) -> Chain | None:
        """The chain that a local name is another name of: a part of something, or what a container gives."""
        if isinstance(value, ast.Call) and last_name(value) in {"enumerate", "reversed"} and value.args:
            return self.stands_for(value.args[0])
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            return (f"{value.func.id}{GIVEN}",)
        if isinstance(value, ast.Call):
            gives = isinstance(value.func, ast.Attribute) and value.func.attr in {*READERS, "setdefault"}
            return self.chain(value) if gives else None
        return self.chain(value)

    def visit_Import(self, node: ast.Import) -> None:
        """Take in the names of modules."""
        for each in node.names:
            name = each.asname or each.name.partition(".")[0]
            self.aliases[name] = (IMPORTED + (each.name if each.asname else name),)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Take in the names from a module."""
        module = IMPORTED + "." * node.level + (node.module or "")
        self.aliases.update({each.asname or each.name: (module, each.name) for each in node.names})

    def chains_in(self, nodes: Iterable[ast.AST]) -> Iterator[Chain]:
        """Yield the chains of all names and attributes in some nodes."""
        for node in (inner for each in nodes for inner in ast.walk(each)):
            if isinstance(node, (ast.Name, ast.Attribute)) and (chain := self.chain(node)) is not None:
                yield chain


def last_name(node: ast.Call) -> str | None:
    """Give the last name of what is called."""
    func = node.func
    return func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else None
