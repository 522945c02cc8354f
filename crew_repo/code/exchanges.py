"""Values that code hands on in memory: one tool fills a global, say, and another one reads it.

A value is handed on by a global, a free variable, an attribute of a shared object, or a container that both hold. A
counter, a cache, or a client that is made when it is first needed, is handed on only to those that do not make it too,
since these find again what they would have put there. The time is none, however it is kept. Methods of libraries are
not taken for writers; an object that is printed, or handed to a library, is read with all that is in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import partial
from io import BytesIO, StringIO
from queue import Queue, SimpleQueue
from tempfile import TemporaryDirectory
from threading import Event
from types import BuiltinFunctionType, FunctionType, MethodType, MethodWrapperType
from typing import Any, NamedTuple

from crew_repo.canonical import SCALARS
from crew_repo.code.bytecode import Chain
from crew_repo.code.members import closure_of, defaults_of, function_of, functions_of, names_used
from crew_repo.code.name_usage import GIVEN, READERS, Usage
from crew_repo.code.ownership import is_own_class, is_own_function
from crew_repo.code.reach import (
    UNKNOWN,
    Found,
    Libraries,
    Reach,
    Spot,
    follow,
    given_by,
    is_code,
    is_variable,
    resolve,
)
from crew_repo.introspection import held_by

__all__ = ["Exchange", "counted_on", "ends", "exchange", "handed_on"]

_CONTAINERS = (list, dict, set, deque, bytearray, ContextVar, Queue, SimpleQueue, StringIO, BytesIO, Event)
_DEEPEST = 4  # calls through which a parameter is followed
_MOST = 1000  # members of what is read as a whole: larger ones hold data

class Exchange(NamedTuple):
    """Spots that the work of an object reads and writes, each with the name by which its code calls it.

    It keeps its search, since spots are told by the ids of what that has found.
    """

    reach: Reach
    reads: Mapping[Spot, str]
    writes: Mapping[Spot, str]


def exchange(root: object, libraries: Libraries = UNKNOWN) -> Exchange:
    """Find everything that one object's work exchanges."""
    reach = Reach([root], libraries)
    reads: dict[Spot, str] = {}
    writes: dict[Spot, str] = {}
    made = {spot: name for found in reach.functions.values() for spot, name in _made(found, reach)}
    writes.update((_as_made(spot), name) for spot, name in made.items())
    for found in reach.functions.values():
        writes.update(_written(found, reach))
        for spot, name in _read(found, reach):
            reads.update({spot: name} if spot in made or spot[0] == "whole" else {spot: name, _as_made(spot): name})
        for spot, name in _scratch(found, reach):
            reads[spot] = writes[spot] = name
    for bound in reach.bound.values():
        writes.update(_bound_spots(bound))
    return Exchange(reach, reads, writes)


def _made(found: Found, reach: Reach) -> Iterator[tuple[Spot, str]]:
    """Spots that a function makes when they are first needed, fills as a cache, or counts."""
    for chain in found.usage.guarded:
        yield from _spots(found, chain, reach)


def _written(found: Found, reach: Reach) -> Iterator[tuple[Spot, str]]:
    used = found.usage
    written = (used.rebinds | used.writes) - used.guarded
    for chain in written.union(_through_calls(found, lambda used: used.rebinds | used.writes, _DEEPEST)):
        yield from _spots(found, chain, reach)
    for chain in used.calls:  # a method that is not known, of one of Python's own containers
        yield from _spots(found, chain, reach, called=True)


def _read(found: Found, reach: Reach) -> Iterator[tuple[Spot, str]]:
    for chain in found.usage.reads.union(_through_calls(found, lambda used: used.reads, _DEEPEST)):
        yield from _spots(found, chain, reach)
    for name, value in _read_whole(found, reach):
        yield from ((spot, name) for spot in _spots_in(value, reach.libraries.is_plumbing))


def _as_made(spot: Spot) -> Spot:
    """The spot of what is made there, which whoever makes it too does not need."""
    return f"made {spot[0]}", spot[1], spot[2]


def _scratch(found: Found, reach: Reach) -> Iterator[tuple[Spot, str]]:
    """Scratch folders, whose files go with the process."""
    for chain in found.usage.reads:
        for _, value in ends(found, chain, reach):
            if isinstance(value, TemporaryDirectory):
                yield ("object", id(value), ""), chain[-1]


def handed_on(writer: Exchange, reader: Exchange) -> str | None:
    """The name of what the one's work writes and the other's reads, if there is anything."""
    return min((name for spot, name in writer.writes.items() if _is_read(spot, reader.reads)), default=None)


def counted_on(found: Exchange) -> set[str]:
    """The names of what work counts, or makes when it first needs it, and reads: only a look can tell which it is."""
    made = {spot: name for spot, name in found.writes.items() if spot[0].startswith("made ")}
    plain = {(spot[0].removeprefix("made "), spot[1], spot[2]): name for spot, name in made.items()}
    return {name for spot, name in plain.items() if spot in found.reads}


def _is_read(spot: Spot, reads: Mapping[Spot, str]) -> bool:
    kind, owner, _ = spot
    return spot in reads or (kind == "attribute" and ("whole", owner, "") in reads)


def _bound_spots(bound: Any) -> Iterator[tuple[Spot, str]]:
    """Spots that are changed by what others call without naming it: `rows.append`, `partial(fill, rows)`."""
    if not isinstance(bound, partial):
        if isinstance(bound.__self__, _CONTAINERS) and bound.__name__ not in READERS:
            yield ("object", id(bound.__self__), ""), bound.__name__
        return
    if isinstance(bound.func, (BuiltinFunctionType, MethodWrapperType, partial)):
        yield from _bound_spots(bound.func)
    function = bound.func.__func__ if isinstance(bound.func, MethodType) else bound.func
    if isinstance(function, FunctionType):
        first = int(isinstance(bound.func, MethodType))
        named = ((_parameter(function, number, first), value) for number, value in enumerate(bound.args))
        given: dict[str | None, Any] = dict(named)
        found = Found(function, None)
        used = found.usage
        for chain in {*used.rebinds, *used.writes, *_through_calls(found, lambda u: u.rebinds | u.writes, _DEEPEST)}:
            value = given.get(chain[0], bound.keywords.get(chain[0]))
            found_there = follow(value, chain[1:]) if chain[1:] else [(None, value)]
            yield from _as_spots(found_there, called=not chain[1:], name=chain[-1])


def _read_whole(found: Found, reach: Reach) -> Iterator[tuple[str, Any]]:
    """Values that are read with all that they hold: printed, handed to a library, or asked by a method of a library."""
    handed = (passed.what for passed in found.usage.passes if _called(found, passed.callee)[0] is None)
    for chain in (*found.usage.wholes, *handed):
        yield from ((chain[-1], value) for _, value in ends(found, chain, reach))
    for chain in found.usage.reads:
        for _, value in ends(found, chain[:-1], reach) if chain[1:] else ():
            if not is_code(value) and _is_librarys(value, chain[-1]):
                yield chain[-2], value


def _is_librarys(value: Any, name: str) -> bool:
    """Whether an attribute is a method of a library: a name of the user's, or one that is not there, is none."""
    home = next((base for base in type(value).__mro__ if name in vars(base)), None)
    return home is not None and not is_own_class(home) and name not in held_by(value)


def _spots_in(value: Any, is_plumbing: Callable[[object], bool]) -> Iterator[Spot]:
    """Every place in an object that can be changed."""
    pending, seen = [value], set[int]()
    while pending and len(seen) < _MOST:
        value = pending.pop()
        if type(value) in SCALARS or is_code(value) or is_plumbing(value) or id(value) in seen:
            continue
        seen.add(id(value))
        yield from (("whole", id(held), "") for held in (value, type(value)))  # what is not there yet as well
        if isinstance(value, _CONTAINERS):
            yield ("object", id(value), "")
        if isinstance(value, (dict, list, tuple, set, frozenset, deque)):
            pending += (value.values() if isinstance(value, dict) else value) if len(value) <= _MOST else ()
        pending += held_by(value).values()


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
    yield from _as_spots(ends(found, chain, reach, given=called), called=called, name=chain[-1])


def _as_spots(
    led_to: Iterable[tuple[Spot | None, Any]], *, called: bool, name: str
) -> Iterator[tuple[Spot, str]]:
    for spot, value in led_to:
        if isinstance(value, _CONTAINERS):
            yield ("object", id(value), ""), name
        elif spot is not None and not called and not is_code(value):
            yield spot, name


def ends(found: Found, chain: Chain, reach: Reach, *, given: bool = False) -> Iterator[tuple[Spot | None, Any]]:
    """Where a chain leads by now, and what is there."""
    function = found.function
    code, name = function.__code__, chain[0]
    if name.endswith(GIVEN):
        yield from _ends_given(function, name, chain[1:], reach)
        return
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    if found.cls is not None and chain == (found.me,):
        yield from ((None, value) for value in _instances(found.cls, reach))
    elif found.attribute(chain) is not None and found.cls is not None:
        if not found.configures(chain):
            chain = (name, found.attribute(chain) or "", *chain[2:])
            for owner in [*_instances(found.cls, reach), found.cls]:
                yield from follow(owner, chain[1:])
    elif name in cells:
        value = dict(closure_of(function))[name]
        yield from follow(value, chain[1:]) if chain[1:] else [(("cell", id(cells[name]), ""), value)]
    elif is_variable(function, name):
        place = resolve(function, chain)
        spot = ("name", id(place.namespace), place.name)
        if isinstance(place.value, FunctionType) and not given:
            yield from _ends_of(given_by(place.value), place.rest, reach)  # `store()[key] = value`
        yield from follow(place.value, place.rest) if place.rest else [(spot, place.value)]
    elif name in dict(defaults_of(function)):
        value = dict(defaults_of(function))[name]
        yield from follow(value, chain[1:]) if chain[1:] else [(None, value)]


def _ends_given(function: Any, name: str, rest: Chain, reach: Reach) -> Iterator[tuple[Spot | None, Any]]:
    """Ends of what a function, or the making of an object, gives; of a cached one, the one thing that it gives."""
    value = resolve(function, (name.removesuffix(GIVEN),)).value
    yield from _ends_of(given_by(value), rest, reach)
    if isinstance(value, type):
        shared = any(rest[0] in vars(base) for base in value.__mro__) or _shares_its_state(value) if rest else False
        yield from follow(value, rest) if shared else ()
    elif value is not None and not isinstance(value, FunctionType):
        yield from follow(value, rest or ("",))


def _shares_its_state(cls: type) -> bool:
    """Whether all objects of a class are given one `__dict__`."""
    making = functions_of(vars(cls).get("__init__"))
    return any("__dict__" in names_used(function) for function in making)


def _ends_of(given: Iterable[tuple[Found, Chain]], rest: Chain, reach: Reach) -> Iterator[tuple[Spot | None, Any]]:
    for giving, returned in given:
        yield from ends(giving, (*returned, *rest), reach, given=True)


def _instances(cls: type, reach: Reach) -> list[Any]:
    return [value for value in reach.instances.values() if isinstance(value, cls)]
