"""Attachments: your code that hangs on an object of a library, such as adapters, transports, hooks, callbacks.

A client that is handed a transport, an adapter or a hook answers as that does, wherever it keeps it. So everything that
a library's object holds is looked through; the user's code and objects in it count, the rest is the library's affair.
Connections, pools and caches come and go with use: they hold nothing of the user's, so nothing of them counts.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, NamedTuple

from crew_repo.canonical import SCALARS
from crew_repo.code.ownership import is_own_class, is_own_function
from crew_repo.hashing.dispatch import Handler, handler_for
from crew_repo.introspection import whole_state
from crew_repo.time_limits import faults

__all__ = [
    "Hanging",
    "answers_itself",
    "code_on",
    "hanging_on",
    "hooks_of",
    "is_plumbing",
    "leads_nowhere",
    "looks_through",
    "members_to_look_through",
    "plain_arguments",
]

_MOST = 50_000  # objects; a client holds some hundred

# Of botocore, SQLAlchemy, pymongo and psycopg.
_HOOKS = (
    *("meta.events", "dispatch", "pool.dispatch", "bind.dispatch", "bind.pool.dispatch", "sync_engine.dispatch"),
    *("_event_listeners", "_notice_handlers"),
)

_leading_nowhere: set[Handler] = set()
_answering: set[Handler] = set()
_looking_through: set[Handler] = set()


def leads_nowhere(handler: Handler) -> Handler:
    """Declare that what a handler's types hold is not looked through: it belongs to the running process."""
    _leading_nowhere.add(handler)
    return handler


def is_plumbing(value: object) -> bool:
    """Whether what a value holds belongs to the running process."""
    return handler_for(type(value)) in _leading_nowhere


def answers_itself(handler: Handler) -> Handler:
    """Declare that a handler's types, though a library's, count as a whole where they hang: they ask no server."""
    _answering.add(handler)
    return handler


def looks_through(handler: Handler) -> Handler:
    """Declare that a handler's types count by what of the user's hangs on them."""
    _looking_through.add(handler)
    return handler


def code_on(value: object) -> list[object]:
    """The user's code and objects that hang on an object which is looked through; empty for any other."""
    if handler_for(type(value)) not in _looking_through:
        return []
    return [place.part for place in hanging_on(whole_state(value))]


def members_to_look_through(value: object) -> dict[str, object]:
    """The members of a library's object in which the user's code may hang.

    Of a handle whose other members come and go with use, those are the places where it keeps functions to call.
    """
    return hooks_of(value) if handler_for(type(value)) in _leading_nowhere else whole_state(value)


def hooks_of(value: object) -> dict[str, object]:
    """Where clients keep the functions that they call on the way."""
    found: dict[str, object] = {}
    for names in _HOOKS:
        with faults():
            found[names] = attrgetter(names)(value)
    return found


class Hanging(NamedTuple):
    """Something of the user's, and where: by names and numbers, and by the keys on the way that are no texts."""

    path: str
    keys: tuple[object, ...]
    part: object


def hanging_on(
    members: Mapping[str, object], *, besides: Sequence[object] = (), settings: Callable[[Any], object] = lambda _: None
) -> list[Hanging]:
    """Everything of the user's in the members of a library's object; `besides` and what it holds is left out.

    `settings` says what of a library's object counts beside that, or nothing. Raises ValueError for an object that
    holds too much to be looked through.
    """
    found: list[Hanging] = []
    seen = {id(value) for value in besides}
    pending = deque(Hanging(f".{name}", (), value) for name, value in members.items())
    while pending:
        place = pending.popleft()
        if type(place.part) in SCALARS or place.part is None or id(place.part) in seen:
            continue
        seen.add(id(place.part))
        if len(seen) > _MOST:
            raise ValueError("holds too much to be looked through")
        if _is_users(place.part):
            found.append(place)
            continue
        said = settings(place.part) or plain_arguments(place.part)
        if said:
            found.append(Hanging(f"{place.path}.settings", place.keys, said))
        pending.extend(_inside(place))
    return found


def plain_arguments(value: object) -> dict[str, object]:
    """Texts and numbers that a partial hands to a library's function: `partial(session.get, "http://...")`."""
    if not isinstance(value, functools.partial):
        return {}
    said = [*enumerate(value.args), *value.keywords.items()]
    return {str(name): part for name, part in said if type(part) in SCALARS}


def _is_users(value: Any) -> bool:
    if isinstance(value, FunctionType):
        return is_own_function(value.__code__, value.__globals__)
    if isinstance(value, MethodType):
        return _is_users(value.__func__) or _is_users(value.__self__)
    if isinstance(value, functools.partial):
        return _is_users(value.func)
    if isinstance(value, type):
        return is_own_class(value)
    return any(map(is_own_class, type(value).__mro__)) or handler_for(type(value)) in _answering


def _inside(place: Hanging) -> Iterator[Hanging]:
    """Yield what one object of a library holds, with the way to it."""
    value: Any = place.part
    if isinstance(value, (dict, MappingProxyType)):
        for number, (key, item) in enumerate(list(value.items())):
            keys = place.keys if type(key) in SCALARS else (*place.keys, key)
            yield Hanging(f"{place.path}[{key!r}]" if type(key) in SCALARS else f"{place.path}[{number}]", keys, item)
    if isinstance(value, (list, tuple, deque)) or _is_list_of_aiohttp(type(value)):
        for number, item in enumerate(list(value)):
            yield Hanging(f"{place.path}[{number}]", place.keys, item)
    elif isinstance(value, (set, frozenset)):
        yield from (Hanging(f"{place.path}[...]", place.keys, item) for item in list(value))
    yield from (Hanging(f"{place.path}.{name}", place.keys, item) for name, item in _members(value))


def _is_list_of_aiohttp(kind: type) -> bool:
    return any(base.__module__.partition(".")[0] == "frozenlist" for base in kind.__mro__)


def _members(value: Any) -> list[tuple[str, object]]:
    if isinstance(value, FunctionType):
        return [*_closure(value), *vars(value).items()]
    if isinstance(value, (MethodType, BuiltinFunctionType)):
        return [("__self__", getattr(value, "__self__", None))]
    if isinstance(value, functools.partial):
        return [("func", value.func), ("args", value.args), ("keywords", value.keywords)]
    if isinstance(value, (type, ModuleType)) or handler_for(type(value)) in _leading_nowhere:
        return []
    return list(whole_state(value).items())


def _closure(function: FunctionType) -> Iterator[tuple[str, object]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not filled yet
            continue
