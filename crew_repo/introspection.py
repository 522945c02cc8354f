"""Reading the state of an instance: its `__dict__` and slots, and whether there is more where Python cannot look."""

from __future__ import annotations

from functools import cached_property
from types import MemberDescriptorType
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["code_name", "has_hidden_state", "held_by", "instance_state", "own_dict", "whole_state"]

_POINTER_BYTES = tuple.__itemsize__
_PLUMBING_SLOTS = frozenset({"__dict__", "__weakref__"})


def code_name(code: object) -> str:
    """The name of a function or class for people, and its module; of another object, that of its class."""
    named = code if isinstance(getattr(code, "__qualname__", None), str) else type(code)
    return f"{named.__qualname__.rpartition('<locals>.')[2]} in {named.__module__}"  # type: ignore[attr-defined]


def instance_state(value: object) -> dict[str, Any]:
    """The attributes and filled slots of an instance, without what `cached_property` keeps there."""
    state = own_dict(value)
    for name, slot in _slots_of(type(value)):
        _read_slot(state, value, name, slot)
    return {name: member for name, member in state.items() if isinstance(name, str)}


def held_by(value: Any) -> dict[str, Any]:
    """Attributes that an object holds; of pydantic's, extras and private attributes as well.

    Others are not asked for these: a `__getattr__` may raise what it likes, or ask a server.
    """
    if not hasattr(type(value), "__pydantic_fields__"):
        return instance_state(value)
    more = (getattr(value, name, None) or {} for name in ("__pydantic_extra__", "__pydantic_private__"))
    return {**instance_state(value), **{name: held for some in more for name, held in some.items()}}


def _slots_of(cls: type) -> list[tuple[str, MemberDescriptorType]]:
    """The slots of a class, which has them from its beginning, and of its bases."""
    found = _slots.get(cls)
    if found is None:
        members = [item for kind in cls.__mro__ for item in vars(kind).items() if item[0] not in _PLUMBING_SLOTS]
        found = _slots[cls] = [(name, each) for name, each in members if isinstance(each, MemberDescriptorType)]
    return found


_slots: WeakKeyDictionary[type, list[tuple[str, MemberDescriptorType]]] = WeakKeyDictionary()


def whole_state(value: object) -> dict[str, Any]:
    """The attributes and filled slots of an instance, and what `cached_property` keeps, which code may hang on."""
    return {**(getattr(value, "__dict__", None) or {}), **instance_state(value)}


def own_dict(value: object) -> dict[str, Any]:
    """Copy the `__dict__` of an instance, without what a `cached_property` of any library keeps there."""
    held = dict(getattr(value, "__dict__", None) or {})
    for kind in type(value).__mro__:
        for name in held.keys() & vars(kind).keys():
            if _is_cached(vars(kind)[name]):
                del held[name]
    return held


def _is_cached(member: object) -> bool:
    return isinstance(member, cached_property) or type(member).__name__ == "cached_property"


def _read_slot(state: dict[str, Any], value: object, name: str, slot: MemberDescriptorType) -> None:
    try:
        state.setdefault(name, slot.__get__(value, type(value)))
    except AttributeError:  # an empty slot
        return


def has_hidden_state(kind: type) -> bool:
    """Whether instances have memory besides `__dict__`, `__weakref__` and slots: state kept by compiled code."""
    while kind is not object and kind.__base__ is not None:
        if kind.__basicsize__ - kind.__base__.__basicsize__ > _POINTER_BYTES * _slot_count(kind):
            return True
        kind = kind.__base__
    return False


def _slot_count(kind: type) -> int:
    return sum(isinstance(m, MemberDescriptorType) or n in _PLUMBING_SLOTS for n, m in vars(kind).items())
