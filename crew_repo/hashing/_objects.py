"""Handlers of instances: arrays and frames, and whatever has a `__dict__`, slots or a way to be reduced."""

from __future__ import annotations

import copyreg
import struct
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from crew_repo.hashing._canonical import SCALARS, Encoded
from crew_repo.hashing._dispatch import handles, handles_named
from crew_repo.hashing._kept import attributes_of
from crew_repo.hashing._origin import is_own_class
from crew_repo.hashing._state import has_hidden_state, instance_state

if TYPE_CHECKING:
    from crew_repo.hashing._walker import Parts, Steps, Walker

__all__: list[str] = []

_UNREADABLE = "keeps its state where Python cannot read it"


@handles(object)
def _object(walker: Walker, value: object, path: str) -> Steps:
    kind = type(value)
    if not has_hidden_state(kind):
        return _instance(walker, value, path)
    if isinstance(value, Iterator):
        return walker.hidden(value, path, "can be read only once")
    return _reduced(walker, value, path)


def _instance(walker: Walker, value: object, path: str) -> Parts:
    kind = yield type(value), path
    held = instance_state(value)
    members = attributes_of(value, held, instance_state, path) if is_own_class(type(value)) else held.items()
    return ["object", kind, *(yield from walker.members(members, path))]


def _reduced(walker: Walker, value: object, path: str) -> Parts:
    """What `pickle` would write of an object of compiled code, as values; nothing is pickled."""
    registered = copyreg.dispatch_table.get(type(value))
    try:
        recipe: Any = registered(value) if registered else value.__reduce_ex__(2)
    except Exception:  # noqa: BLE001 - compiled types refuse in many ways; the object is named, not dropped
        return walker.hidden(value, path, _UNREADABLE)
    if isinstance(recipe, str):
        if not _is_found(value, recipe):
            return walker.hidden(value, path, _UNREADABLE)
        return ["named", f"{type(value).__module__}.{recipe}"]
    maker, arguments, state, items, pairs = (*recipe, None, None, None)[:5]
    kind = yield type(value), path
    parts = (arguments, state, list(items or ()), list(pairs or ()))
    return ["reduced", kind, (yield maker, path), (yield parts, path)]


def _is_found(value: object, name: str) -> bool:
    """Whether a module has this very object under its name; one that is made of the user's code it has not."""
    return any(getattr(module, "__dict__", {}).get(name) is value for module in list(sys.modules.values()))


@handles(struct.Struct)
def _struct(_walker: Walker, value: struct.Struct, _path: str) -> list[Encoded]:
    return ["struct", SCALARS[str](value.format)]


@handles_named("_hashlib.HASH")
def _digest(_walker: Walker, value: Any, _path: str) -> list[Encoded]:
    return ["digest", value.name, value.copy().hexdigest()]


@handles_named("numpy.ndarray")
def _array(_: Walker, value: Any, path: str) -> Parts:
    elements = value.tolist() if value.dtype.hasobject else value.tobytes()
    kind = yield (value.dtype.descr, value.shape), path
    return ["array", kind, (yield elements, path)]


@handles_named("pandas.core.frame.DataFrame", "pandas.DataFrame")
def _frame(_: Walker, value: Any, path: str) -> Parts:
    columns = [(name, value[name]) for name in value.columns]
    return ["frame", (yield value.index, path), (yield columns, path)]


@handles_named("pandas.core.series.Series", "pandas.core.indexes.base.Index", "pandas.Series", "pandas.Index")
def _series(_: Walker, value: Any, path: str) -> Parts:
    kind = yield (str(value.dtype), value.name), path
    return ["series", kind, (yield value.to_numpy(), path), (yield getattr(value, "index", None), path)]
