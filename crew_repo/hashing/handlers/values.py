"""Handlers of plain values: containers, and the standard library's value types."""

from __future__ import annotations

import datetime
import itertools
import re
from collections import OrderedDict, defaultdict, deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from crew_repo.canonical import SCALARS, Encoded, canonical
from crew_repo.hashing.dispatch import handles, handles_named
from crew_repo.hashing.walker import secret

if TYPE_CHECKING:
    from crew_repo.hashing.dispatch import Parts
    from crew_repo.hashing.walker import Walker

__all__: list[str] = []


def _declare_scalar(kind: type) -> None:
    @handles(kind, contents=True)
    def scalar(walker: Walker, value: Any, _path: str) -> list[Encoded]:
        return ["scalar", walker.text(str.__str__(value)) if kind is str else SCALARS[kind](value)]


for _kind in SCALARS:
    _declare_scalar(_kind)


@handles(list, contents=True)
def _list(walker: Walker, value: list[Any], path: str) -> Parts:
    return ["list", *(yield from _in_order(walker, value, path))]


@handles(tuple, contents=True)
def _tuple(walker: Walker, value: tuple[Any, ...], path: str) -> Parts:
    return ["tuple", *(yield from _in_order(walker, value, path))]


@handles(deque, contents=True)
def _deque(walker: Walker, value: deque[Any], path: str) -> Parts:
    return ["deque", value.maxlen, *(yield from _in_order(walker, tuple(value), path))]


def _in_order(walker: Walker, values: Sequence[Any], path: str) -> Parts:
    encoded: list[Encoded] = []
    for index, value in enumerate(values):
        encoded.append(walker.scalar(value) if type(value) in SCALARS else (yield value, f"{path}[{index}]"))
    return encoded


@handles(dict, OrderedDict, MappingProxyType, contents=True)
def _dict(walker: Walker, value: Mapping[Any, Any], path: str) -> Parts:
    ordered = walker.ordered or isinstance(value, OrderedDict)
    encoded: list[Encoded] = []
    for key in value if ordered else sorted(key for key in value if type(key) is str):
        item = value[key]
        if type(key) is not str:
            encoded.append((yield (key, item), f"{path}[...]"))
        elif not walker.skips(where := f"{path}[{key!r}]"):
            part: Encoded
            if walker.leaves_out(key, item):
                part = yield from secret(item, where)
            else:
                part = walker.scalar(item) if type(item) in SCALARS else (yield item, where)
            encoded.append([walker.text(key), part])
    others = [] if ordered else [item for item in value.items() if type(item[0]) is not str]
    return ["dict", *encoded, *_in_own_order([walker.alone(item, f"{path}[...]") for item in others])]


@handles(type({}.keys()), type({}.values()), type({}.items()))
def _view(_: Walker, value: Any, path: str) -> Parts:
    return [type(value).__name__, (yield tuple(value), path)]


@handles(defaultdict, contents=True)
def _defaultdict(walker: Walker, value: defaultdict[Any, Any], path: str) -> Parts:
    factory = yield value.default_factory, f"{path}.default_factory"
    return ["defaultdict", factory, *(yield from _dict(walker, value, path))]  # type: ignore[misc]


@handles(set, frozenset, contents=True)
def _set(walker: Walker, value: set[Any], path: str) -> list[Encoded]:
    return ["set", *_in_own_order([walker.alone(item, f"{path}[...]") for item in value])]


def _in_own_order(encoded: list[Encoded]) -> list[Encoded]:
    return sorted(encoded, key=canonical)


@handles(bytearray, memoryview, contents=True)
def _buffer(_walker: Walker, value: bytearray | memoryview, _path: str) -> list[Encoded]:
    return [type(value).__name__, SCALARS[bytes](bytes(value))]


@handles(range, slice)
def _range(_: Walker, value: range | slice, path: str) -> Parts:
    bounds = yield (value.start, value.stop, value.step), path
    return [type(value).__name__, bounds]


@handles(Enum)
def _enum(_: Walker, value: Enum, path: str) -> Parts:
    return ["enum", (yield type(value), path), value.name, (yield value.value, f"{path}.value")]


@handles(datetime.datetime, datetime.date, datetime.time, contents=True)
def _moment(_: Walker, value: datetime.datetime, path: str) -> Parts:
    name = _stdlib_name(value, datetime.datetime, datetime.date, datetime.time)
    zone, fold = getattr(value, "tzinfo", None), getattr(value, "fold", 0)
    if zone is None or zone == datetime.timezone.utc:
        return [name, value.isoformat(), *([fold] if fold else [])]
    return [name, value.isoformat(), fold, (yield zone, f"{path}.tzinfo")]


@handles(datetime.timedelta, contents=True)
def _timedelta(_walker: Walker, value: datetime.timedelta, _path: str) -> list[Encoded]:
    return ["timedelta", value.days, value.seconds, value.microseconds]


@handles_named("zoneinfo.ZoneInfo")
def _zone(walker: Walker, value: Any, path: str) -> list[Encoded]:
    if value.key is None:
        return walker.hidden(value, path, "was read from a file and has no name")
    return ["zone", value.key]


@handles(datetime.timezone)
def _timezone(_walker: Walker, value: datetime.timezone, _path: str) -> list[Encoded]:
    offset = value.utcoffset(None)
    name = value.tzname(None)
    usual = datetime.timezone(offset).tzname(None) == name
    return ["timezone", name, *([] if usual else [offset // datetime.timedelta(microseconds=1)])]


@handles(Decimal, UUID, contents=True)
def _as_text(_walker: Walker, value: Decimal | UUID, _path: str) -> list[Encoded]:
    return [_stdlib_name(value, Decimal, UUID), str(value)]


@handles(Fraction, contents=True)
def _fraction(_walker: Walker, value: Fraction, _path: str) -> list[Encoded]:
    return ["Fraction", SCALARS[int](value.numerator), SCALARS[int](value.denominator)]


@handles(PurePath)
def _path(walker: Walker, value: PurePath, _path: str) -> list[Encoded]:
    return ["path", walker.text(str(value))]


@handles(itertools.count)
def _count(_walker: Walker, value: itertools.count[int], _path: str) -> list[Encoded]:
    """Its next number and its step: it has no other way to say them on every version of Python."""
    return ["count", SCALARS[str](repr(value))]


@handles(re.Pattern)
def _pattern(_: Walker, value: re.Pattern[Any], path: str) -> Parts:
    return ["pattern", (yield value.pattern, path), value.flags]


def _stdlib_name(value: object, *kinds: type) -> str:
    return next(kind.__name__ for kind in kinds if isinstance(value, kind))
