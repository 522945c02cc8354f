"""The values that names in a function stand for by now: what it calls, also on `self` and on what that holds."""

from __future__ import annotations

import builtins
import inspect
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from crew_repo.code.bytecode import Chain
from crew_repo.code.handing import PASSING_ON
from crew_repo.code.members import closure_of
from crew_repo.code.name_usage import GIVEN, IMPORTED, usage
from crew_repo.code.ownership import is_own_class, is_own_file, is_own_function, is_own_module
from crew_repo.code.reach import resolve
from crew_repo.introspection import held_by
from crew_repo.time_limits import faults

__all__ = ["GIFT", "UNCLEAR", "Frame", "Made", "items_of", "standing_for"]

LIBRARYS = object()
"""Something of a library's."""
UNCLEAR = object()
"""Something that cannot be told."""
GIFT = object()
"""A library's gift: its methods are the library's, but it may be a function of the user's, as `partial(edit)` is."""

_DEEPEST = 8  # names and calls on the way to one value
_CONTAINERS = (list, tuple, set, frozenset, deque)
_ELUSIVE = PASSING_ON | {"super", "vars", "globals", "locals", "eval"}  # they give what hangs on an argument


class Frame(NamedTuple):
    """A function of the user's, and the values that some of its parameters are known to have."""

    function: Any  # a FunctionType, which a type checker takes for a method here
    known: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """Some object of a class: that it is made is seen, but not with what."""

    cls: type


def standing_for(frame: Frame, chain: Chain, deepest: int = _DEEPEST) -> list[Any]:
    """All that a chain may stand for: of a container, everything in it."""
    if not deepest:
        return [UNCLEAR]
    owners, rest = _first(frame, chain, deepest)
    for name in rest:
        owners = [value for owner in owners for value in _members(owner, name, deepest)]
    return owners


def items_of(value: Any) -> Iterable[Any] | None:
    """The values in a container; None where it is none."""
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, _CONTAINERS) else None


def _first(frame: Frame, chain: Chain, deepest: int) -> tuple[list[Any], Chain]:
    function, name = frame.function, chain[0]
    if name.endswith(GIVEN):
        name = name.removesuffix(GIVEN)
        called = [UNCLEAR] if name in _ELUSIVE else standing_for(frame, (name,), deepest - 1)
        return [value for each in called for value in _given(each, deepest)], chain[1:]
    variables = {**dict(closure_of(function)), **frame.known}
    if name in variables:
        return [variables[name]], chain[1:]
    if name in function.__code__.co_varnames or name in function.__code__.co_cellvars:
        return [UNCLEAR], ()
    place = resolve(function, chain)
    if place.value is None:
        return [_not_there(name)], ()
    return [place.value], place.rest


def _not_there(name: str) -> Any:
    if not name.startswith(IMPORTED):
        return vars(builtins).get(name, UNCLEAR)
    top = name.removeprefix(IMPORTED).partition(".")[0]
    with faults():  # a finder's own code may raise anything
        origin = (spec := find_spec(top) if top else None) and spec.origin
        return LIBRARYS if origin and not is_own_file(origin) else UNCLEAR
    return UNCLEAR


def _members(owner: Any, name: str, deepest: int) -> Iterator[Any]:
    if name.endswith(GIVEN):
        for value in _members(owner, name.removesuffix(GIVEN), deepest):
            yield from _given(value, deepest)
        return
    held = items_of(owner)
    if held is not None and not hasattr(type(owner), name):  # subscripts and loops are passed over
        for item in held:
            yield from _members(item, name, deepest)
    else:
        yield UNCLEAR if owner is UNCLEAR else LIBRARYS if owner is LIBRARYS or owner is GIFT else _member(owner, name)


def _member(owner: Any, name: str) -> Any:
    """An attribute, as it is bound to its object; no code of the user's runs for it."""
    if isinstance(owner, (type, ModuleType)):
        own = is_own_class(owner) if isinstance(owner, type) else is_own_module(owner.__name__)
        found = inspect.getattr_static(owner, name, UNCLEAR if own else LIBRARYS)
        return _bound(found, owner, owner) if isinstance(owner, type) else found
    cls = owner.cls if isinstance(owner, Made) else type(owner)
    held = {} if isinstance(owner, Made) else held_by(owner)
    if name in held:
        return held[name]
    own = any(map(is_own_class, cls.__mro__))
    return _bound(inspect.getattr_static(cls, name, UNCLEAR if own else LIBRARYS), owner, cls)


def _bound(member: Any, owner: Any, cls: type) -> Any:
    if isinstance(member, classmethod):
        return MethodType(member.__func__, cls)
    if isinstance(member, staticmethod):
        return member.__func__
    if isinstance(member, FunctionType):
        return member if owner is cls else MethodType(member, owner)
    return UNCLEAR if isinstance(member, property) or hasattr(member, "func") else member


def _given(value: Any, deepest: int) -> Iterator[Any]:
    """Values that a call of something gives."""
    if isinstance(value, type) and is_own_class(value):
        yield Made(value)
    elif isinstance(value, (FunctionType, MethodType)):
        function: Any = value.__func__ if isinstance(value, MethodType) else value
        own = is_own_function(function.__code__, function.__globals__)
        bound = [value.__self__] if isinstance(value, MethodType) else []
        known = dict(zip(function.__code__.co_varnames[: function.__code__.co_argcount], bound, strict=False))
        returned = usage(function).returns if own else ()
        for chain in returned:
            yield from standing_for(Frame(function, known), chain, deepest - 1)
        if not returned:
            yield UNCLEAR if own else GIFT
    else:
        yield UNCLEAR if value is UNCLEAR else GIFT
