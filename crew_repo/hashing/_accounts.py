"""Telling accounts from state: what code only adds to and never looks at cannot act on what it answers.

`self.calls += 1` and `self.log.append(prompt)` are accounts as long as nothing that the work calls reads them; then
their values are left out of the hash. Whoever else reads them has them in a hash of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType

from crew_repo.hashing._origin import is_own_class
from crew_repo.hashing.state import (
    MUTATORS,
    attribute_of,
    dotted_name,
    function_of,
    is_constructor,
    mangled,
    tree_of,
    weakly_cached,
    written_attributes,
    written_by,
    written_in,
    written_names,
)

__all__ = ["accounts", "state_names", "written_at_work"]

_ENTRIES = frozenset({"_run", "_arun", "run", "arun", "call", "acall", "invoke", "ainvoke", "func"})


@weakly_cached
def accounts(cls: type) -> frozenset[str]:
    """The attributes of a tool or an LLM that its work only adds to. Its work is what the library calls on it."""
    read: set[str] = set()
    for function, owner in _work(cls):
        seen = _attributes_read(function, owner)
        if seen is None:
            return frozenset()
        read |= seen
    return written_attributes(cls) - read


@weakly_cached
def written_at_work(cls: type) -> frozenset[str]:
    """The attributes of a tool or an LLM that its work writes, whoever else may set them.

    Of a library's class it is not known what its work is: there every method's attributes count as written by it.
    """
    library = [written_in(base) for base in cls.__mro__ if not is_own_class(base)]
    return frozenset().union(*library, *(written_by(function, owner) for function, owner in _work(cls)))


def _work(cls: type) -> list[tuple[FunctionType, str]]:
    """The user's methods that a library's base class knows by name, and those that they name in turn."""
    own = [base for base in cls.__mro__ if is_own_class(base)]
    known = {name for base in cls.__mro__ if base not in own for name in vars(base)} | _ENTRIES
    pending = [name for base in own for name in vars(base) if name in known or name[:2] == "__"]
    found: dict[str, list[tuple[FunctionType, str]]] = {}
    while pending:
        name = pending.pop()
        if name not in found and not is_constructor(name):
            members = [(function_of(vars(base)[name]), base.__name__) for base in own if name in vars(base)]
            found[name] = [(function, owner) for function, owner in members if isinstance(function, FunctionType)]
            pending += [called for function, _ in found[name] for called in function.__code__.co_names]
    return [member for members in found.values() for member in members]


def _attributes_read(function: FunctionType, owner: str) -> set[str] | None:
    """The attributes of its object that a method reads; None if it hands the object on, or has no source."""
    tree = tree_of(function)
    if tree is None or not tree.args.args:
        return None if tree is None else set()
    self_name, loads = tree.args.args[0].arg, _loads(tree)
    if any(isinstance(node, ast.Name) and node.id == self_name for node in loads):
        return None
    found = (attribute_of(node, {self_name, owner}) for node in loads)
    return {mangled(name, owner) for name in found if name is not None}


@weakly_cached
def state_names(function: FunctionType) -> frozenset[str]:
    """The global and free variables that a function writes and also reads."""
    written, tree = written_names(function), tree_of(function)
    if not written or tree is None:
        return written
    read = {dotted_name(node) or "" for node in _loads(tree)}
    return frozenset(name for name in written if name.partition(".")[0] in read or _reads(read, name))


def _reads(read: set[str], name: str) -> bool:
    return any(some == name or some.startswith(f"{name}.") for some in read)


def _loads(tree: ast.AST) -> list[ast.expr]:
    """The names and attributes that are read; of `a.b`, `a` alone is not."""
    written = _only_written(tree)
    found = [node for node in ast.walk(tree) if isinstance(node, (ast.Attribute, ast.Name)) and id(node) not in written]
    based = {id(node.value) for node in found if isinstance(node, ast.Attribute)}
    return [node for node in found if isinstance(node, ast.Attribute) or id(node) not in based]


def _only_written(tree: ast.AST) -> set[int]:
    """The nodes (by id) that lead to what is written: of `self.seen[key] = 1`, `self.seen` but not `key`."""
    return {id(node) for place in _places(tree) for node in _chain(place)}


def _places(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Subscript, ast.Name)) and not isinstance(node.ctx, ast.Load):
            yield node
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = node.value.func
            if isinstance(called, ast.Attribute) and called.attr in MUTATORS:
                yield called


def _chain(node: ast.expr) -> Iterator[ast.expr]:
    yield node
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
        yield node
    if isinstance(node, ast.Call):  # type(self).calls
        yield from node.args

