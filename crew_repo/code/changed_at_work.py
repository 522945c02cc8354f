"""Values that running code may change, such as a counter. Their first value counts (see `hashing.as_first_seen`).

Code that works may change what it binds anew, changes in place, calls methods of, or hands to others. What it only
reads counts as it is now, whoever changes it and when; and so does what other code sets that no work comes to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from functools import partial
from threading import local
from types import FunctionType
from typing import Any

from crew_repo.code.bytecode import Chain
from crew_repo.code.exchanges import ends
from crew_repo.code.members import closure_of, defaults_of, weakly_cached
from crew_repo.code.name_usage import GIVEN, READERS, assigned_in
from crew_repo.code.ownership import is_core_class
from crew_repo.code.reach import (
    UNKNOWN,
    Found,
    Libraries,
    Reach,
    given_by,
    given_by_method,
    given_to,
    is_data,
    is_variable,
    resolve,
)
from crew_repo.time_limits import faults

__all__ = ["Marks", "are_in_force", "forget_marks", "marked", "marks", "written_at_work"]


class _Change(IntEnum):
    """How work may change a value: others may do it, it does so in place, or it puts another in its place."""

    MAYBE = 0
    IN_PLACE = 1
    ANEW = 2


class Marks:
    """The marks of one search."""

    def __init__(self, roots: Iterable[object], libraries: Libraries = UNKNOWN) -> None:
        reach = Reach(roots, libraries)
        self._reach = reach  # an id stays taken for as long as it is marked
        self._objects: dict[int, object] = {}
        self._names: dict[tuple[int, str], _Change] = {}
        self._attributes: dict[str, dict[type | None, _Change]] = {}
        self._unguarded: set[tuple[type | None, str]] = set()
        self._unclear: dict[tuple[type, str], str] = {}
        for found in reach.functions.values():
            with faults():  # a value's own code may raise anything; it counts as it is then
                self._add(found)
        for bound in reach.bound.values():
            self._mark_bound(bound)
        self._objects.update((id(value), value) for value in list(reach.holders(self._objects)))
        for cls in reach.classes.values():
            for name, found in reach.unreached(cls):
                self._set_by_others(cls, name, found)

    def attributes(self, cls: type, held: Mapping[str, object]) -> set[str]:
        """The attributes of an object of this class, or of the class itself, that may be changed, or made."""
        named = {name for name in self._attributes if self._may_change(self._attribute(cls, name), held.get(name))}
        return named | {name for name, value in held.items() if id(value) in self._objects}

    def _attribute(self, cls: type, name: str) -> _Change | None:
        found = (change for owner, change in self._attributes[name].items() if owner is None or issubclass(cls, owner))
        return max(found, default=None)

    def name(self, namespace: object, name: str, value: object) -> bool:
        """Whether a global of this namespace, or the free variable in this cell, may be changed."""
        return self._may_change(self._names.get((id(namespace), name)), value)

    def _may_change(self, change: _Change | None, value: object) -> bool:
        return id(value) in self._objects or change is _Change.ANEW or (change is not None and is_data(value))

    def unclear(self, cls: type, name: str) -> str | None:
        """Who sets an attribute beside the work that writes it: it cannot be told then which of them has."""
        found = (why for (owner, each), why in self._unclear.items() if each == name and issubclass(cls, owner))
        return next(found, None)

    def written(self, cls: type) -> frozenset[str]:
        """The attributes that work evidently writes on objects of this class."""
        return frozenset(
            name
            for name, owners in self._attributes.items()
            if any(change and owner is not None and issubclass(cls, owner) for owner, change in owners.items())
        )

    def _add(self, found: Found) -> None:
        used = found.usage
        for change, chains in (
            (_Change.ANEW, used.rebinds),
            (_Change.IN_PLACE, used.writes),
            (_Change.MAYBE, used.calls | {passed.what for passed in used.passes}),
        ):
            for chain in chains:
                self._mark(found, chain, change, guarded=chain in used.guarded)

    def _mark_bound(self, bound: Any) -> None:
        """`rows.append` and `partial(fill, rows)`: whoever holds one may change what it is given."""
        given = [*bound.args, *bound.keywords.values()] if isinstance(bound, partial) else [bound.__self__]
        if isinstance(bound, partial) or bound.__name__ not in READERS:
            changed = [value for value in given if is_data(value)]
            self._objects.update((id(value), value) for value in (*changed, *([bound] if changed else [])))

    def _mark(self, found: Found, chain: Chain, change: _Change, *, guarded: bool) -> None:
        if change is not _Change.ANEW:  # others may hold what is there by now
            there = (value for _, value in ends(found, chain, self._reach) if value is not None and is_data(value))
            self._objects.update((id(value), value) for value in there)
        calls = [number for number, name in enumerate(chain) if number and name.endswith(GIVEN)]
        if calls:
            self._mark_returned(found, chain, calls[0], change)
            return
        attribute = found.attribute(chain)
        if attribute is not None:
            if len(chain) > 2:
                self._mark_attribute(None, chain[-1], change)
            if not found.configures(chain):
                self._mark_attribute(found.cls, attribute, change if len(chain) == 2 else _Change.MAYBE)
                if not guarded and not found.makes_it:
                    self._unguarded.add((found.cls, attribute))
        elif found.cls is None or chain[0] != found.me:
            self._mark_variable(found.function, chain, change)

    def _mark_variable(self, function: FunctionType, chain: Chain, change: _Change, *, given: bool = False) -> None:
        code, name = function.__code__, chain[0]
        if name.endswith(GIVEN):
            for giving, returned in given_to(function, name):
                self._mark_given(giving, (*returned, *chain[1:]), change)
            return
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        if name in cells:
            place, value, rest = (id(cells[name]), name), dict(closure_of(function))[name], chain[1:]
        elif is_variable(function, name):
            found = resolve(function, chain)
            place, value, rest = (id(found.namespace), found.name), found.value, found.rest
        else:
            place, value, rest = (0, name), dict(defaults_of(function)).get(name), chain[1:]
        if rest:
            self._mark_attribute(value if isinstance(value, type) else None, rest[-1], change)
            change = _Change.MAYBE
        if place[0]:
            self._names[place] = max(change, self._names.get(place, change))
        if isinstance(value, FunctionType) and not given and (rest or change is not _Change.MAYBE):
            for giving, returned in given_by(value):  # `store()[key] = value`
                self._mark_given(giving, (*returned, *rest), change)
        if is_data(value) and change is not _Change.ANEW:
            self._objects[id(value)] = value

    def _mark_returned(self, found: Found, chain: Chain, number: int, change: _Change) -> None:
        """Mark what a method of the user's gives: a part of its object, or of its class."""
        head, method, rest = chain[:number], chain[number].removesuffix(GIVEN), chain[number + 1 :]
        self._mark(found, head, _Change.MAYBE, guarded=False)
        for _, owner in ends(found, head, self._reach):
            for giving, returned in given_by_method(owner if isinstance(owner, type) else type(owner), method):
                self._mark_given(giving, (*returned, *rest), change)

    def _mark_given(self, giving: Found, chain: Chain, change: _Change) -> None:
        attribute = giving.attribute(chain)
        if attribute is not None:
            self._mark_attribute(*((giving.cls, attribute) if len(chain) == 2 else (None, chain[-1])), change)
        else:
            self._mark_variable(giving.function, chain, change, given=True)

    def _mark_attribute(self, owner: type | None, name: str, change: _Change) -> None:
        owners = self._attributes.setdefault(name, {})
        owners[owner] = max(change, owners.get(owner, change))

    def _set_by_others(self, cls: type, method: str, found: Found) -> None:
        """Note what a method sets that only the user calls: that is no work, and beside work it is unclear."""
        set_here = {found.attribute(chain) for chain in found.usage.rebinds | found.usage.writes if len(chain) == 2}
        for name in filter(None, set_here):
            owners = self._attributes.get(name, {})
            for owner in [each for each in owners if each and (issubclass(cls, each) or issubclass(each, cls))]:
                if not owners[owner]:
                    del owners[owner]
                elif (owner, name) in self._unguarded and found.has_parameters:
                    why = f"is written at work, and set by {cls.__qualname__}.{method} from outside"
                    self._unclear[cls, name] = why


class _Local(local):
    """The marks that this thread hashes with."""

    def __init__(self) -> None:
        self.marks: Marks | None = None


_local = _Local()


def marks() -> Marks:
    """The marks in force; without any, nothing is marked."""
    return _local.marks or _NONE


def are_in_force() -> bool:
    """Whether this thread hashes with marks."""
    return _local.marks is not None


def forget_marks() -> None:
    """No marks are in force in this thread: what a signal handler raises may have kept `marked` from ending."""
    _local.marks = None


class Marked:
    """Hashing with these marks. No generator, which would put back old marks when it is collected, however late."""

    def __init__(self, found: Marks) -> None:
        self._found, self._outer = found, _local.marks

    def __enter__(self) -> None:
        self._outer, _local.marks = _local.marks, self._found

    def __exit__(self, *_: object) -> None:
        _local.marks = self._outer


def marked(found: Marks) -> Marked:
    """Hash with these marks."""
    return Marked(found)


_NONE = Marks(())


@weakly_cached
def written_at_work(cls: type) -> frozenset[str]:
    """The attributes that the work of a language model writes, and those that CrewAI's classes write on it."""
    core = (assigned_in(base) for base in cls.__mro__ if is_core_class(base) and base.__module__.startswith("crewai"))
    return Marks([cls]).written(cls).union(*core)
