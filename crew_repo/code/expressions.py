"""Reading expressions: which chains of names, such as `a.b.c`, are called, looked up, counted or imported."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from crew_repo.code.bytecode import Chain

__all__ = ["GIVEN", "IMPORTED", "READERS", "Naming", "called", "is_number", "last_name"]

IMPORTED = "@"  # before the name of a module that a function imports itself, where a chain starts from that
GIVEN = "()"
"""The end of a name that stands for what a function of that name gives."""

# Methods by which Python's containers are only read.
READERS = frozenset(
    {
        *("get", "items", "keys", "values", "copy", "index", "count", "most_common", "elements", "isdisjoint"),
        *("issubset", "issuperset", "union", "intersection", "difference", "join", "format", "encode", "decode"),
        "is_set",
    }
)
_PASSING = READERS | {"setdefault"}  # what a container gives is a part of it
_CLOCKS = frozenset({"time()", "time_ns()", "monotonic()", "monotonic_ns()", "perf_counter()", "now()", "utcnow()"})
_IMPORTING = frozenset({"import_module", "__import__"})
_NAMESPACES = frozenset({"globals", "vars"})


class Naming(ast.NodeVisitor):
    """The chains that the expressions of one function stand for."""

    def __init__(self) -> None:
        self.aliases: dict[str, Chain] = {}

    def chain(self, node: ast.AST | None) -> Chain | None:
        """The chain of an expression; None where it starts from no name."""
        names: list[str] = []
        while not isinstance(node, ast.Name):
            home = self.named_home(node)
            if home is not None:
                return (*home, *_plain(names))
            if isinstance(node, ast.Attribute):
                names.append(node.attr)
                node = node.value
            elif isinstance(node, (ast.Subscript, ast.Starred, ast.Await, ast.NamedExpr)):
                node = node.value
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                names += [] if node.func.attr in _PASSING else [node.func.attr + GIVEN]
                node = node.func.value
            elif isinstance(node, ast.Call) and called(node) in {"type", "iter"} and len(node.args) == 1:
                node = node.args[0]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in self.aliases:
                return (node.func.id + GIVEN, *_plain(names))  # what a function gives: see `returns`
            elif isinstance(node, ast.Call):
                node = node.func
            else:
                return None
        return (*self.aliases.get(node.id, (node.id,)), *_plain(names))

    def named_home(self, node: ast.AST | None) -> Chain | None:
        """The chain of `globals()["X"]`, `vars(box).get("x")` or of a module, this one as `()`; None for all else."""
        holder, key = _looked_up(node)
        if isinstance(node, ast.Call) and called(node) in _IMPORTING and node.args:
            return _module(node.args[0])
        if isinstance(holder, ast.Attribute) and ast.unparse(holder) == "sys.modules":
            return _module(key)
        if holder is None or not isinstance(name := getattr(key, "value", None), str):
            return None
        base = self.namespace(holder)
        return None if base is None else (*base, name)

    def namespace(self, node: ast.expr) -> Chain | None:
        """Whose names an expression holds: of `globals()` this module's, which is `()`."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _NAMESPACES:
            return self.chain(node.args[0]) if node.args else ()
        return self.chain(node.value) if isinstance(node, ast.Attribute) and node.attr == "__dict__" else None

    def stands_for(self, value: ast.expr | None) -> Chain | None:
        """The chain that a local name is another name of: a part of something, or what a container gives."""
        if isinstance(value, ast.Call) and called(value) in {"enumerate", "reversed"} and value.args:
            return self.stands_for(value.args[0])
        copied = isinstance(value, ast.Call) and called(value) == "copy"
        return None if copied or isinstance(getattr(value, "slice", None), ast.Slice) else self.chain(value)

    def is_clock(self, value: ast.expr) -> bool:
        """Whether a value is the time: a rate limiter's or a timer's, which says nothing of what was asked."""
        chain = self.stands_for(value)
        return bool(chain) and chain[-1] in _CLOCKS  # type: ignore[index]

    def counts_up(self, target: ast.expr, value: ast.expr) -> bool:
        """`calls = calls + 1`, also after `getattr(self, "calls", 0)`."""
        if not (isinstance(value, ast.BinOp) and is_number(value.right)):
            return False
        counted = value.left
        if isinstance(counted, ast.Call) and called(counted) == "getattr" and len(counted.args) > 1:
            name = getattr(counted.args[1], "value", None)
            return self.chain(target) == (*(self.chain(counted.args[0]) or ()), name)
        return self.chain(target) is not None and self.chain(target) == self.chain(counted)

    def chains_in(self, nodes: Iterable[ast.AST]) -> Iterator[Chain]:
        """Yield the chains of all names and attributes in some nodes."""
        for node in (inner for each in nodes for inner in ast.walk(each)):
            if isinstance(node, (ast.Name, ast.Attribute)) and (chain := self.chain(node)) is not None:
                yield chain


def called(node: ast.Call) -> str | None:
    """The last name of what is called."""
    return last_name(node.func)


def last_name(node: ast.expr) -> str | None:
    """The name that a dotted one ends with."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


def is_number(node: ast.expr) -> bool:
    """Whether an expression is a number as it is written."""
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))


def _plain(names: list[str]) -> Chain:
    """Attributes, from the first on; `x.__class__.y` and `x.__dict__` lead to what `x` does."""
    return tuple(name for name in reversed(names) if name not in {"__class__", "__dict__"})


def _looked_up(node: ast.AST | None) -> tuple[ast.expr | None, ast.expr | None]:
    """A mapping and the key that is looked up in it: `held["x"]`, `held.get("x")`."""
    if isinstance(node, ast.Subscript):
        return node.value, node.slice
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        looks = node.func.attr in {"get", "setdefault", "pop", "__getitem__", "__setitem__"}
        return (node.func.value, node.args[0]) if looks else (None, None)
    return None, None


def _module(name: ast.expr | None) -> Chain | None:
    """A module by the expression of its name: the function's own is `()`."""
    if isinstance(name, ast.Name) and name.id == "__name__":
        return ()
    said = getattr(name, "value", None)
    return (IMPORTED + said,) if isinstance(said, str) else None
