"""Telling accounts from state: what code only adds to and never looks at cannot act on what it answers.

`self.calls += 1` and `self.log.append(prompt)` are accounts as long as nothing that the work calls reads them; then
their values are left out of the hash. Whoever else reads them has them in a hash of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any

from crew_repo.hashing._origin import is_core_class, is_core_module
from crew_repo.hashing._syntax import FunctionNode
from crew_repo.hashing.state import (
    MUTATORS,
    attribute_of,
    dotted_name,
    first_argument,
    functions_of,
    is_constructor,
    live_tree_of,
    mangled,
    names_used,
    weakly_cached,
    written_attributes,
    written_by,
    written_in,
    written_names,
)

__all__ = ["accounts", "state_names", "written_at_work"]

_ENTRIES = frozenset({"_run", "_arun", "run", "arun", "call", "acall", "invoke", "ainvoke", "func"})
# What shows all that an object holds, without naming it.
_SHOWS_ALL = frozenset(
    {
        *("__dict__", "__getattribute__", "__getstate__", "__reduce__", "__reduce_ex__", "__copy__", "__deepcopy__"),
        *("__repr__", "__str__", "__format__", "__eq__", "__iter__", "__repr_args__", "__pydantic_private__"),
        *("__pydantic_extra__", "model_dump", "model_dump_json", "model_copy", "copy", "dict", "json", "_iter"),
    }
)
_SLOTS = (MemberDescriptorType, GetSetDescriptorType)


@weakly_cached
def accounts(cls: type) -> frozenset[str]:
    """The attributes of a tool or an LLM that its work only adds to. Its work is what the library calls on it.

    Where it cannot be seen who reads the object - it is handed on, or read by a descriptor or by code that has no
    source - there are none.
    """
    read: set[str] = set()
    names = {"__class__", *(base.__name__ for base in cls.__mro__)}
    for member, owner in _work(cls, made=True):
        functions = _called(member)
        seen = None if functions is None else [_attributes_read(function, owner, names) for function in functions]
        if seen is None or None in seen:
            return frozenset()
        read.update(*(names for names in seen if names))
    return written_attributes(cls) - read


@weakly_cached
def written_at_work(cls: type) -> frozenset[str]:
    """The attributes of a tool or an LLM that its work writes, whoever else may set them.

    Of CrewAI's own classes it is not told what their work is: all that they write is.
    """
    core = [written_in(base) for base in cls.__mro__ if is_core_class(base)]
    work = ((function, owner) for member, owner in _work(cls) for function in functions_of(member))
    return frozenset().union(*core, *(written_by(function, owner) for function, owner in work))


def _work(cls: type, *, made: bool = False) -> list[tuple[Any, str]]:
    """The members that CrewAI and pydantic know by name, and those that they name in turn, each with its class's name.

    With `made`, also those by which the object is made: what they hand on, others may hold while it works.
    """
    own = [base for base in cls.__mro__ if not is_core_class(base)]
    known = {name for base in cls.__mro__ if base not in own for name in vars(base)} | _ENTRIES
    pending = [name for base in own for name in vars(base) if name in known or name[:2] == "__"]
    found: dict[str, list[tuple[Any, str]]] = {}
    while pending:
        name = pending.pop()
        if name not in found and (made or not is_constructor(name)):
            found[name] = [(vars(base)[name], base.__name__) for base in own if name in vars(base)]
            functions = (function for member, _ in found[name] for function in functions_of(member))
            pending += [called for function in functions for called in names_used(function)]
    return [member for members in found.values() for member in members]


def _called(member: Any) -> list[FunctionType] | None:
    """The functions that run when this member of a class is used; None if that cannot be told."""
    if isinstance(member, (staticmethod, classmethod)):
        member = member.__func__
    parts = (member.fget, member.fset, member.fdel) if isinstance(member, property) else (member,)
    called: list[FunctionType] = []
    for part in parts:
        if isinstance(part, FunctionType) and not _is_core(part):
            called.append(part)
        elif isinstance(part, FunctionType) or _is_pydantics(part):  # it calls the user's with the same object
            called += [some for some in functions_of(part) if not _is_core(some)]
        elif hasattr(type(part), "__get__") and not isinstance(part, (*_SLOTS, type(None))):
            return None
    return called


def _is_pydantics(member: object) -> bool:
    return type(member).__module__.partition(".")[0] == "pydantic"


def _is_core(function: FunctionType) -> bool:
    return is_core_module(str(function.__globals__.get("__name__")))


def _attributes_read(function: FunctionType, owner: str, names: set[str]) -> set[str] | None:
    """The attributes of its object that a method reads; None if it hands the object on, or has no source."""
    tree = live_tree_of(function)
    if tree is None:
        return None
    self_name = first_argument(tree)
    if self_name is None:
        return None if tree.args.vararg else set()
    loads = _loads(tree)
    if any(isinstance(node, ast.Name) and node.id in {self_name, "locals", "vars", "eval", "exec"} for node in loads):
        return None
    found = {name for node in loads for name in (attribute_of(node, {self_name, *names}), _of_super(node)) if name}
    return None if found & _SHOWS_ALL else {mangled(name, owner) for name in found}


def _of_super(node: ast.expr) -> str | None:
    """`x` for `super().x`."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call):
        called = node.value.func
        return node.attr if isinstance(called, ast.Name) and called.id == "super" else None
    return None


@weakly_cached
def state_names(function: FunctionType) -> frozenset[str]:
    """The global and free variables that a function writes and also reads."""
    written, tree = written_names(function), live_tree_of(function)
    if not written or tree is None:
        return written
    read = {(dotted_name(node) or "").partition(".")[0] for node in _loads(tree)}
    return frozenset(name for name in written if name.partition(".")[0] in read)


def _loads(tree: FunctionNode) -> list[ast.expr]:
    """The names and attributes that are read; of `a.b`, `a` alone is not."""
    written = _only_written(tree)
    found = [node for node in ast.walk(tree) if isinstance(node, (ast.Attribute, ast.Name)) and id(node) not in written]
    based = {id(node.value) for node in found if isinstance(node, ast.Attribute)}
    return [node for node in found if isinstance(node, ast.Attribute) or id(node) not in based]


def _only_written(tree: FunctionNode) -> set[int]:
    """The nodes (by id) that lead to what is written: of `self.seen[key] = 1`, `self.seen` but not `key`."""
    return {id(node) for place in _places(tree) for node in _chain(place)}


def _places(tree: FunctionNode) -> Iterator[ast.expr]:
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

