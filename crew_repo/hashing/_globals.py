"""What functions write beside their own objects - globals, closures, defaults - counts as it was given.

A global belongs to its module: of a cache that one function fills and another reads, both say the same.
"""

from __future__ import annotations

import sys
import weakref
from collections import ChainMap
from collections.abc import Iterable, Mapping
from types import BuiltinFunctionType, CellType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from crew_repo.hashing._accounts import state_names
from crew_repo.hashing._bytecode import Chain
from crew_repo.hashing._dispatch import handler_for
from crew_repo.hashing._kept import kept_members
from crew_repo.hashing._places import Held
from crew_repo.hashing._pydantic import model_state
from crew_repo.hashing._state import has_hidden_state, instance_state
from crew_repo.hashing.state import own_written_attributes, written_in_module, written_names, written_parameters

__all__ = ["closure_of", "defaults_of", "kept_state", "left_out", "without_written"]

_CODE = (type, FunctionType, BuiltinFunctionType, ModuleType)
_EMPTY_CELL = ("empty cell",)
_missing: Any = object()


class _Global(Held):
    """A global of a module, for what is remembered of it: it lives as long as the module."""

    __slots__ = ("__weakref__", "module", "name")

    def __init__(self, module: ModuleType, name: str) -> None:
        self.module, self.name = weakref.ref(module), name


_known: WeakKeyDictionary[ModuleType, dict[str, _Global]] = WeakKeyDictionary()


def left_out(function: FunctionType, chains: Iterable[Chain]) -> frozenset[str]:
    """The names that do not count as they are by now: what the function, or another one of its module, writes."""
    by_itself = {name for name in written_names(function) if _can_be_told_apart(function, name)}
    return frozenset(by_itself | _shared(function, chains) | _attributes(function) | written_parameters(function))


def kept_state(function: FunctionType, chains: Iterable[Chain], path: str) -> list[tuple[str, object]]:
    """Those of them that the function reads, as they were given."""
    attributes = _attributes(function)
    names = (state_names(function) | _shared(function, chains)) - attributes
    read = {name for name in names if _can_be_told_apart(function, name)}
    module = _module_of(function)
    in_module = {name for name in read if module is not None and _head(name) not in function.__code__.co_freevars}
    inside = (read - in_module) | attributes | written_parameters(function)
    kept = kept_members(function, inside, _held_by_function, path) if inside else []
    for name in sorted(in_module):
        kept += kept_members(_global(module, name), [name], _held_by_module, path)
    return kept


def _shared(function: FunctionType, chains: Iterable[Chain]) -> set[str]:
    """The globals that a function loads and that others in its file write; code is read as it is."""
    written = written_in_module(function.__code__, function.__globals__) - written_names(function)
    loaded = {chain[0] for chain in chains} if written else set()
    names = (name for name in written if _head(name) in loaded and _can_be_told_apart(function, name))
    return {name for name in names if not isinstance(function.__globals__.get(_head(name)), _CODE)}


def _can_be_told_apart(function: FunctionType, name: str) -> bool:
    """Whether what is written can be left out of what is not: an attribute of a dict's subclass cannot.

    That `requests.put(url)` writes the module `requests` only seems so.
    """
    value = _scope(function).get(_head(name), _missing)
    if "." not in name:
        return not isinstance(value, ModuleType)
    return isinstance(value, (type, ModuleType)) or (value is not _missing and _is_plain(value))


def _is_plain(value: object) -> bool:
    kind = type(value)
    return _is_model(kind) or (handler_for(kind) is handler_for(object) and not has_hidden_state(kind))


def _is_model(kind: type) -> bool:
    return hasattr(kind, "__pydantic_fields__")


def _held_by(value: object) -> Mapping[str, object]:
    return model_state(value) if _is_model(type(value)) else instance_state(value)


def _attributes(function: FunctionType) -> set[str]:
    """What code writes on the function itself: `search.calls += 1`."""
    if not vars(function):
        return set()
    names = written_names(function) | written_in_module(function.__code__, function.__globals__)
    own = {name for name in names if name.partition(".")[2] in vars(function)}
    return {name for name in own if _scope(function).get(_head(name)) is function}


def _module_of(function: FunctionType) -> ModuleType | None:
    module = sys.modules.get(str(function.__globals__.get("__name__")))
    return module if isinstance(module, ModuleType) and vars(module) is function.__globals__ else None


def _global(module: Any, name: str) -> _Global:
    places = _known.setdefault(module, {})
    return places.setdefault(name, _Global(module, name))


def _held_by_module(place: _Global) -> dict[str, object]:
    module = place.module()
    return {} if module is None else _found(vars(module), [place.name])


def _held_by_function(function: FunctionType) -> dict[str, object]:
    names = written_names(function) | written_in_module(function.__code__, function.__globals__)
    parameters = written_parameters(function)
    return {
        **_found(_scope(function), names),
        **{name: value for name, value in defaults_of(function) if name in parameters},
    }


def _found(scope: Mapping[str, object], names: Iterable[str]) -> dict[str, object]:
    """What names stand for by now; `STATS.calls` is an attribute of a global."""
    found = {}
    for name in names:
        head, _, attribute = name.partition(".")
        value = scope.get(head, _missing)
        if attribute and value is not _missing:
            value = _held_by(value).get(attribute, _missing)
        if value is not _missing:
            found[name] = value
    return found


def without_written(value: object, names: set[str], path: str) -> object:
    """An object without those of its attributes that are written from outside; its class's own stay as given."""
    if not names or isinstance(value, _CODE) or not _is_plain(value):
        return value
    own = own_written_attributes(type(value)) - names
    held = [(name, part) for name, part in _held_by(value).items() if name not in names | own]
    held += kept_members(value, own, _held_by, path) if own else []
    return (type(value), dict(held))


def _scope(function: FunctionType) -> Mapping[str, object]:
    return ChainMap(dict(closure_of(function)), function.__globals__)


def closure_of(function: FunctionType) -> list[tuple[str, object]]:
    """The free variables of a function."""
    cells = function.__closure__ or ()
    return [(name, _contents(cell)) for name, cell in zip(function.__code__.co_freevars, cells, strict=True)]


def _contents(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY_CELL


def defaults_of(function: FunctionType) -> list[tuple[str, object]]:
    """The defaults of a function's parameters, by name."""
    code, defaults = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
    return [*zip(names, defaults, strict=True), *(function.__kwdefaults__ or {}).items()]


def _head(name: str) -> str:
    return name.partition(".")[0]
