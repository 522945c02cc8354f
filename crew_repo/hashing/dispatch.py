"""Finding the handler that encodes a value: by its type, its type's name, or as registered. No library is imported."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from crew_repo.canonical import Encoded
from crew_repo.code.ownership import qualified_name
from crew_repo.errors import InputError
from crew_repo.introspection import instance_state

__all__ = [
    "Handler",
    "Part",
    "Parts",
    "Steps",
    "handler_for",
    "handles",
    "handles_marked",
    "handles_named",
    "has_registered",
    "register_hasher",
    "unregister_hasher",
]

Part: TypeAlias = tuple[object, str]
"""A part for the walker to encode, and its path."""
Parts: TypeAlias = Generator[Part, Encoded, list[Encoded]]
"""Parts that are encoded one by one, and the encoding that is made of them."""
Steps: TypeAlias = "Parts | list[Encoded]"
Handler: TypeAlias = Callable[[Any, Any, str], Steps]
"""Encodes a value at a path, with the walker (`crew_repo.hashing.walker.Walker`) that is told its parts."""

_by_type: dict[type, Handler] = {}
_by_name: dict[str, Handler] = {}
_by_mark: dict[str, Handler] = {}
_contents: set[Handler] = set()
_registered: dict[type, Callable[[Any], object]] = {}
_found: WeakKeyDictionary[type, Handler] = WeakKeyDictionary()


def handles(*kinds: type, contents: bool = False) -> Callable[[Handler], Handler]:
    """Declare the handler of some types and their subclasses.

    With `contents` it encodes what the base type holds; of a subclass, its class and own state are added.
    """

    def declare(handler: Handler) -> Handler:
        _by_type.update(dict.fromkeys(kinds, handler))
        if contents:
            _contents.add(handler)
        return handler

    return declare


def handles_named(*names: str) -> Callable[[Handler], Handler]:
    """Declare the handler of types given as `module.qualname`, and of their subclasses."""

    def declare(handler: Handler) -> Handler:
        _by_name.update(dict.fromkeys(names, handler))
        return handler

    return declare


def handles_marked(attribute: str) -> Callable[[Handler], Handler]:
    """Declare the handler of classes that carry this attribute, which a decorator has put on them."""

    def declare(handler: Handler) -> Handler:
        _by_mark[attribute] = handler
        return handler

    return declare


def register_hasher(type_: type, function: Callable[[Any], object]) -> None:
    """Tell crew_repo how to hash objects of `type_` and its subclasses: by the plain value that `function` returns.

    For example `register_hasher(Terms, lambda terms: terms.version)`. If several registered classes fit, the nearest
    one in the method resolution order counts. It comes before any built-in rule for that class.

    Raises InputError for what is no class, or no function.
    """
    if not isinstance(type_, type):
        raise InputError(f"type_ is {type_!r}; give a class, whose objects are to be hashed")
    if not callable(function):
        raise InputError(f"function is {function!r}; give a function that returns a plain value for an object")
    _registered[type_] = function
    _found.clear()


def unregister_hasher(type_: type) -> None:
    """Undo `register_hasher`; unknown types are ignored."""
    _registered.pop(type_, None)
    _found.clear()


def has_registered(*kinds: type) -> bool:
    """Whether one of these types is hashed by a function of the user's."""
    return not _registered.keys().isdisjoint(kinds)


def handler_for(kind: type) -> Handler:
    """The handler of a type: the nearest along its method resolution order."""
    handler = _found.get(kind)
    if handler is None:
        handler = _found[kind] = _find(kind)
    return handler


def _find(kind: type) -> Handler:
    for base in kind.__mro__:
        if base in _registered:
            return _by_registration(base, _registered[base])
        marked = next((handler for mark, handler in _by_mark.items() if mark in vars(base)), None)
        handler = marked or _by_type.get(base) or _by_name.get(qualified_name(base))
        if handler is not None:
            return _with_state(handler) if handler in _contents and base is not kind else handler
    raise TypeError(kind)  # not reached: object has a handler


def _by_registration(base: type, function: Callable[[Any], object]) -> Handler:
    def registered(_: Any, value: Any, path: str) -> Parts:
        plain = function(value)
        if isinstance(plain, base):
            raise TypeError("a registered hasher must return a value that can be hashed without it, such as a text")
        return ["registered", type(value).__qualname__, (yield plain, path)]

    return registered


def _with_state(handler: Handler) -> Handler:
    def derived(walker: Any, value: Any, path: str) -> Parts:
        contents = handler(walker, value, path)
        if not isinstance(contents, list):
            contents = yield from contents
        kind = yield type(value), path
        return ["derived", kind, contents, (yield from walker.members(instance_state(value).items(), path))]

    return derived
