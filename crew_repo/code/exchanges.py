"""State that code hands on in memory: what one object's work writes, and another's reads.

A value is handed on by a global, a free variable, an attribute of a shared object, or a container that both hold. A
counter is none, nor is a client that is made when it is first needed; and a cache only for others than those that fill
it, since those find again what they would have put there. Methods of libraries are not taken for writers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from types import FunctionType
from typing import Any, NamedTuple

from crew_repo.code.bytecode import Chain
from crew_repo.code.members import closure_of, defaults_of, function_of, is_constructor
from crew_repo.code.name_usage import GIVEN, Usage
from crew_repo.code.ownership import is_own_class, is_own_function
from crew_repo.code.reach import (
    Attached,
    Found,
    Reach,
    given_by,
    given_to,
    held_by,
    is_code,
    is_variable,
    nothing_attached,
    resolve,
)

__all__ = ["Exchange", "exchange", "handed_on"]

_CONTAINERS = (list, dict, set, deque, bytearray, ContextVar)
_DEEPEST = 4  # calls through which a parameter is followed

Spot = tuple[str, int, str]


class Exchange(NamedTuple):
    """Spots that the work of an object reads and writes, each with the name by which its code calls it.

    It keeps its search, since spots are told by the ids of what that has found.
    """

    reach: Reach
    reads: Mapping[Spot, str]
    writes: Mapping[Spot, str]


def exchange(root: object, attached: Attached = nothing_attached) -> Exchange:
    """Find everything that one object's work exchanges."""
    reach = Reach([root], attached)
    reads: dict[Spot, str] = {}
    writes: dict[Spot, str] = {}
    for found in reach.functions.values():
        used = found.usage
        written = {chain: chain in used.guarded for chain in used.rebinds | used.writes}
        written.update(dict.fromkeys(_through_calls(found, lambda used: used.rebinds | used.writes, _DEEPEST), False))
        own: set[Spot] = set()
        for chain, guarded in written.items():
            for spot, name in _spots(found, chain, reach):
                own |= {spot} if guarded else set()
                if not (guarded and chain in used.rebinds):
                    writes[spot] = name
        for chain in used.calls:  # a method that is not known, of one of Python's own containers
            writes.update((s, n) for s, n in _spots(found, chain, reach, called=True))
        for chain in used.reads.union(_through_calls(found, lambda used: used.reads, _DEEPEST)):
            reads.update((spot, name) for spot, name in _spots(found, chain, reach) if spot not in own)
    return Exchange(reach, reads, writes)


def handed_on(writer: Exchange, reader: Exchange) -> str | None:
    """The name of what the one's work writes and the other's reads, if there is anything."""
    return min((name for spot, name in writer.writes.items() if spot in reader.reads), default=None)


def _through_calls(found: Found, how: Callable[[Usage], Iterable[Chain]], deepest: int) -> Iterator[Chain]:
    """Chains that a function has others use, by handing them a part: `fill(CACHE, key)`, where `fill` writes it."""
    for callee, parameter, what in found.usage.passes if deepest else ():
        called, first = _called(found, callee)
        if called is not None:
            name = _parameter(called.function, parameter, first)
            inner = {*how(called.usage), *_through_calls(called, how, deepest - 1)}
            yield from ((*what, *chain[1:]) for chain in inner if chain[0] == name)


def _called(found: Found, callee: Chain) -> tuple[Found | None, int]:
    """The user's function that a chain calls, and how many parameters it is given before the first argument."""
    if found.cls is not None and len(callee) == 2 and callee[0] == found.me:
        members = (vars(base)[callee[1]] for base in found.cls.__mro__ if callee[1] in vars(base))
        function, first = function_of(next(members, None)), 1
    else:
        function, first = resolve(found.function, callee).value if callee else None, 0
    own = isinstance(function, FunctionType) and is_own_function(function.__code__, function.__globals__)
    return (Found(function, None), first) if own else (None, first)


def _parameter(function: FunctionType, parameter: int | str, first: int) -> str | None:
    code = function.__code__
    if isinstance(parameter, str):
        return parameter
    return code.co_varnames[parameter + first] if parameter + first < code.co_argcount else None


def _spots(
    found: Found, chain: Chain, reach: Reach, *, called: bool = False
) -> Iterator[tuple[Spot, str]]:
    """Where a chain leads by now: a place that can be bound anew, and the container that is there."""
    name = chain[-1]
    for spot, value in _ends(found, chain, reach, given=called):
        if isinstance(value, _CONTAINERS):
            yield ("object", id(value), ""), name
        elif spot is not None and not called and not is_code(value):
            yield spot, name


def _ends(found: Found, chain: Chain, reach: Reach, *, given: bool = False) -> Iterator[tuple[Spot | None, Any]]:
    function = found.function
    code, name = function.__code__, chain[0]
    if name.endswith(GIVEN):
        yield from _ends_of(given_to(function, name), chain[1:], reach)
        return
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    if found.attribute(chain) is not None and found.cls is not None:
        if not is_constructor(function.__name__) or found.is_of_class:
            chain = (name, found.attribute(chain) or "", *chain[2:])
            for owner in [*_instances(found.cls, reach), found.cls]:
                yield from _follow(owner, chain[1:])
    elif name in cells:
        value = dict(closure_of(function))[name]
        yield from _follow(value, chain[1:]) if chain[1:] else [(("cell", id(cells[name]), ""), value)]
    elif is_variable(function, name):
        place = resolve(function, chain)
        spot = ("name", id(place.namespace), place.name)
        if isinstance(place.value, FunctionType) and not given:
            yield from _ends_of(given_by(place.value), place.rest, reach)  # `store()[key] = value`
        yield from _follow(place.value, place.rest) if place.rest else [(spot, place.value)]
    elif name in dict(defaults_of(function)):
        yield None, dict(defaults_of(function))[name]


def _ends_of(
    given: Iterable[tuple[FunctionType, Chain]], rest: Chain, reach: Reach
) -> Iterator[tuple[Spot | None, Any]]:
    for giving, returned in given:
        yield from _ends(Found(giving, None), (*returned, *rest), reach, given=True)


def _instances(cls: type, reach: Reach) -> list[Any]:
    return [value for value in reach.instances.values() if isinstance(value, cls)]


def _follow(owner: Any, names: Iterable[str]) -> Iterator[tuple[Spot | None, Any]]:
    """Along the attributes of objects, and of classes of the user's, as far as they are plain."""
    spot: Spot | None = None
    for name in names:
        held = vars(owner) if isinstance(owner, type) else held_by(owner)
        if not isinstance(owner, type) and name not in held:
            holder = next((base for base in type(owner).__mro__ if name in vars(base) and is_own_class(base)), None)
            owner, held = (owner, held) if holder is None else (holder, vars(holder))
        spot, owner = ("attribute", id(owner), name), held.get(name)
    if spot is not None:
        yield spot, owner
