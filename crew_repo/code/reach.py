"""The reach of a call: all functions that it may come to, the objects that they hold, and what they change.

The search starts from the objects that CrewAI calls (tools, guardrails, callbacks) and follows globals, closures,
defaults, attributes and containers of the user's. A method is reached if its library calls it by name, or if a function
that is reached mentions its name; so `load` and `configure`, which only the user calls, are not.
"""

from __future__ import annotations

import builtins
import datetime
import functools
import inspect
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from enum import Enum
from importlib.util import resolve_name
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, MethodWrapperType, ModuleType
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from crew_repo.canonical import SCALARS
from crew_repo.code.bytecode import Chain
from crew_repo.code.declared import SCHEMA, declared_with, parts_of_hint, schema_parts
from crew_repo.code.imports import absolute_names, package_of
from crew_repo.code.members import (
    closure_of,
    defaults_of,
    functions_of,
    is_called_by_pydantic,
    makes,
    mangled,
    names_used,
)
from crew_repo.code.name_usage import GIVEN, IMPORTED, Usage, usage
from crew_repo.code.ownership import is_own_class, is_own_function, is_own_module
from crew_repo.code.replaced import is_users_code, replaced_members
from crew_repo.code.source import static_part
from crew_repo.introspection import held_by, instance_state
from crew_repo.time_limits import faults

__all__ = [
    "UNKNOWN",
    "Found",
    "Libraries",
    "Place",
    "Reach",
    "Spot",
    "follow",
    "given_by",
    "given_by_method",
    "given_to",
    "is_code",
    "is_data",
    "is_variable",
    "replaced_in_imports",
    "resolve",
]

_ENTRIES = frozenset({"_run", "_arun", "run", "arun", "call", "acall", "invoke", "ainvoke", "func", "add", "aadd"})
# Where objects of CrewAI's, wrappers and fields of pydantic's keep what they call, and make objects of.
_CALLED = (
    *("func", "__wrapped__", "cache_function", "args_schema", "result_schema", "response_format"),
    *("output_pydantic", "output_json", "response_model", "converter_cls"),
    *("annotation", "metadata", "default_factory", "discriminator"),
)
_CODE = (type, FunctionType, BuiltinFunctionType, MethodType, ModuleType)
_IMMUTABLE = (PurePath, datetime.date, datetime.time, datetime.timedelta, Decimal, Enum, UUID, re.Pattern, range)
_HOLDERS = (dict, list, tuple, set, frozenset, deque)
_FILLED = (list, dict, set, deque, bytearray)
_MOST_ITEMS = 1000  # of a container that is searched for code: larger ones hold data


class Place(NamedTuple):
    """Where a chain of names leads: a name in a namespace, what it stands for, and the attributes read from that."""

    namespace: Mapping[str, Any]
    name: str
    value: Any
    rest: Chain


def is_code(value: object) -> bool:
    """Whether a value is code, which is hashed by what it does."""
    return isinstance(value, _CODE)


def is_data(value: object) -> bool:
    """Whether a value may be changed in place, and nothing is kept of it under itself (see `_kept`).

    Kept under itself are objects of the user's that can be referred to weakly, but for what a container has in it.
    """
    fixed = type(value) in SCALARS or isinstance(value, _IMMUTABLE)
    own = is_own_class(type(value)) and not isinstance(value, _FILLED) and type(value).__weakrefoffset__
    return not fixed and not is_code(value) and not own


def resolve(function: FunctionType, chain: Chain) -> Place:
    """The global that a chain leads to, or the user's function among the builtins; through the user's modules, theirs.

    Not to a module that the function imports itself: before its first call, that may not be there.
    """
    namespace: Mapping[str, Any] = function.__globals__
    if chain[0] not in namespace and is_users_code(vars(builtins).get(chain[0])):
        namespace = vars(builtins)
    name, value, rest = chain[0], namespace.get(chain[0]), chain[1:]
    if name.startswith(IMPORTED):
        with suppress(ImportError, ValueError):
            value = sys.modules.get(resolve_name(name.removeprefix(IMPORTED), package_of(namespace)))
    while isinstance(value, ModuleType) and rest and rest[0] in vars(value) and is_own_module(value.__name__):
        following = vars(value)[rest[0]]
        if isinstance(following, ModuleType) and following.__name__ in _imported(function):
            break
        namespace, name, value, rest = vars(value), rest[0], following, rest[1:]
    return _replaced(value, rest) or Place(namespace, name, value, rest)


def _replaced(value: Any, rest: Chain) -> Place | None:
    """The user's code that stands in a library's place, or in its class: `requests.get = mine`."""
    while isinstance(value, ModuleType) and rest and rest[0] in vars(value) and not is_own_module(value.__name__):
        namespace, name, value, rest = vars(value), rest[0], vars(value)[rest[0]], rest[1:]
        if is_users_code(value) or (isinstance(value, type) and replaced_members(value)):
            return Place(namespace, name, value, rest)
    return None


def replaced_in_imports(function: FunctionType) -> Iterator[tuple[str, object]]:
    """The user's code that stands in the place of what a function imports of libraries by itself."""
    for imported in sorted(_imported(function)):
        for name in sorted(names_used(function)):
            place = _replaced(sys.modules.get(imported), (name,))
            if place is not None:
                yield f"{imported}.{name}", place.value


def given_by(value: object) -> Iterator[tuple[Found, Chain]]:
    """The chains that a function, or the making of an object, gives, each with what returns or yields it."""
    if isinstance(value, type):
        for cls, name in ((value, "__new__"), (type(value), "__call__")):
            yield from given_by_method(cls, name)
    giving = inspect.unwrap(value) if isinstance(value, FunctionType) else None
    if isinstance(giving, FunctionType):
        yield from ((Found(giving, None), returned) for returned in usage(giving).returns)


def given_by_method(cls: type, name: str) -> Iterator[tuple[Found, Chain]]:
    """The chains that a method of the user's class gives."""
    home = next((base for base in cls.__mro__ if name in vars(base)), None)
    if home is not None and is_own_class(home):
        for function in functions_of(vars(home)[name])[-1:]:
            yield from ((Found(function, home), returned) for returned in usage(function).returns)


def given_to(function: FunctionType, name: str) -> Iterator[tuple[Found, Chain]]:
    """`given_by` for the function that a name ending in `()` calls."""
    return given_by(resolve(function, (name.removesuffix(GIVEN),)).value)


def is_variable(function: FunctionType, name: str) -> bool:
    """Whether a name in a function is a global, or a module that it imports itself."""
    known = name in function.__globals__ or name in names_used(function)
    return name.startswith(IMPORTED) or (known and name not in function.__code__.co_varnames)


def _imported(function: FunctionType) -> set[str]:
    static = static_part(function.__code__, function.__globals__)
    return set(absolute_names(static.imports, package_of(function.__globals__)))


class Found(NamedTuple):
    """A function that is reached, and the class that it is a method of."""

    function: Any  # a FunctionType, which a type checker takes for a method here
    cls: type | None

    @property
    def usage(self) -> Usage:
        """The names that it reads and changes."""
        return usage(self.function)

    @property
    def me(self) -> str | None:
        """The name under which a method has its object, or its class."""
        code = self.function.__code__
        return code.co_varnames[0] if code.co_argcount else None

    @property
    def is_of_class(self) -> bool:
        """Whether it is given the class, where others that make an object are given that."""
        name = self.function.__name__
        member = vars(self.cls).get(name) if self.cls is not None else None
        return isinstance(member, classmethod) or name in {"__new__", "__init_subclass__", "__class_getitem__"}

    @property
    def makes_it(self) -> bool:
        """Whether what it sets on its object is configuration: it makes or validates one."""
        return makes(self.cls, self.function.__name__) and not self.is_of_class

    def configures(self, chain: Chain) -> bool:
        """Whether what it sets by a chain is configuration; what it counts up or fills of its class is work."""
        shared = any(chain[1] in vars(base) for base in getattr(self.cls, "__mro__", ()))
        on_class = chain[0] != self.me or (shared and chain in self.usage.guarded | self.usage.writes)
        return self.makes_it and not on_class

    @property
    def has_parameters(self) -> bool:
        """Whether a method is told something."""
        code = self.function.__code__
        return code.co_argcount + code.co_kwonlyargcount > 1 or bool(code.co_flags & 0x0C)

    def attribute(self, chain: Chain) -> str | None:
        """The attribute of its object, or its class, that a chain of a method's starts with."""
        if self.cls is None or len(chain) < 2 or chain[0] not in (self.me, self.cls.__name__):
            return None
        return mangled(chain[1], self.cls.__name__)


class Libraries(NamedTuple):
    """Knowledge of the objects of libraries: the user's code that hangs on one, and whether one is mere plumbing."""

    attached: Callable[[object], Iterable[object]]
    is_plumbing: Callable[[object], bool]


UNKNOWN = Libraries(lambda _: (), lambda _: False)
"""Leaves the objects of libraries aside."""


class Reach:
    """One search from some objects; `libraries` says how it goes on through those of libraries."""

    def __init__(self, roots: Iterable[object], libraries: Libraries = UNKNOWN) -> None:
        self.libraries = libraries
        self.functions: dict[int, Found] = {}
        self.instances: dict[int, Any] = {}
        self.classes: dict[int, type] = {}
        self.bound: dict[int, Any] = {}  # methods of Python's own containers, and partial functions, that it holds
        self._called: set[int] = set()  # the classes that code has at hand, and may make objects of
        self._names: set[str] = set(_ENTRIES)
        self._taken: set[tuple[int, str]] = set()  # the members of classes that are reached
        self._others: dict[int, FunctionType] = {}  # of libraries, which only lead to the user's
        self._kept: dict[int, object] = {}
        self._pending = list(roots)
        while self._pending or self._methods():
            while self._pending:
                self._visit(self._pending.pop())

    def holders(self, marked: Mapping[int, object]) -> Iterator[object]:
        """The containers that hold something that is marked, or hold one that does."""
        found: set[int] = set()
        for value in reversed(list(self._kept.values())):
            if isinstance(value, _HOLDERS) and len(value) <= _MOST_ITEMS:
                held = set(map(id, value.values() if isinstance(value, dict) else value))
                if not (held.isdisjoint(marked) and held.isdisjoint(found)):
                    found.add(id(value))
                    yield value

    def unreached(self, cls: type) -> Iterator[tuple[str, Found]]:
        """The methods of the user's class that only others call; those that make an object are none."""
        for name, member in vars(cls).items():
            for function in functions_of(member):
                if id(function) not in self.functions and not makes(cls, name):
                    yield name, Found(function, cls)

    def _visit(self, value: Any) -> None:
        if type(value) in SCALARS or id(value) in self._kept:
            return
        self._kept[id(value)] = value
        with faults():  # a value's own code may raise anything; the walk names it
            self._follow(value)

    def _follow(self, value: Any) -> None:
        if isinstance(value, FunctionType):
            self._function(value, None)
        elif isinstance(value, MethodType):
            self._function(value.__func__, _home_of(value))  # type: ignore[arg-type]
            self._pending.append(value.__self__)
        elif isinstance(value, functools.partial):
            self.bound[id(value)] = value
            self._pending += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, (BuiltinFunctionType, MethodWrapperType)):
            self.bound[id(value)] = value
        elif isinstance(value, _HOLDERS):
            if len(value) <= _MOST_ITEMS:
                held = value.values() if isinstance(value, dict) else value
                self._pending += [item for item in held if type(item) not in SCALARS]
        elif parts := parts_of_hint(value):
            self._pending += parts
        elif isinstance(value, type):
            self._called.update(map(id, value.__mro__))
            self._class(value)
            self._pending += declared_with(value)
        elif any(map(is_own_class, type(value).__mro__)):
            self.instances[id(value)] = value
            self._class(type(value))
            self._pending += held_by(value).values()
        else:
            state = instance_state(value)
            self._pending += [state[name] for name in _CALLED if name in state]
            self._pending += self.libraries.attached(value)

    def _function(self, function: FunctionType, cls: type | None) -> None:
        if id(function) in self.functions or id(function) in self._others:
            return
        self._pending += [value for _, value in (*closure_of(function), *defaults_of(function))]
        self._pending += vars(function).values()
        if not is_own_function(function.__code__, function.__globals__):
            self._others[id(function)] = function
            return
        self.functions[id(function)] = Found(function, cls)
        self._names |= names_used(function)
        static = static_part(function.__code__, function.__globals__)
        self._pending += [resolve(function, chain).value for chain in static.chains]
        self._pending += [value for _, value in replaced_in_imports(function)]
        names = {name for some in static.imports for name in some.names}
        for module in (sys.modules.get(name) for name in _imported(function) if is_own_module(name)):
            self._pending += [value for name, value in vars(module).items() if name in names] if module else []

    def _class(self, cls: type) -> None:
        bases = [base for kind in (cls, type(cls)) for base in kind.__mro__]
        self.classes.update((id(base), base) for base in bases if is_own_class(base))

    def _methods(self) -> bool:
        """Take up the methods that are mentioned by now; whether there were more."""
        before = len(self.functions) + len(self._pending)
        for cls in list(self.classes.values()):
            known = {name for base in cls.__mro__ if not is_own_class(base) for name in vars(base)}
            for name, member in list(vars(cls).items()):
                if (id(cls), name) not in self._taken and self._is_reached(cls, name, known):
                    self._taken.add((id(cls), name))
                    functions = functions_of(member)
                    for function in functions:
                        self._function(function, cls)
                    if name == SCHEMA:
                        self._pending += schema_parts(cls)
                    elif not functions:
                        self._visit(member)
        return len(self.functions) + len(self._pending) > before

    def _is_reached(self, cls: type, name: str, known: set[str]) -> bool:
        if makes(cls, name):
            return id(cls) in self._called
        named = name in self._names or name in known or (name[:2] == "__" == name[-2:])
        return named or (id(cls) in self._called and is_called_by_pydantic(cls, name))


def _home_of(method: MethodType) -> type | None:
    """The user's class that a method is written in; a library's is not asked for."""
    function: Any = method.__func__
    if not is_own_function(function.__code__, function.__globals__):
        return None
    kinds = method.__self__.__mro__ if isinstance(method.__self__, type) else type(method.__self__).__mro__
    return next((each for each in kinds if any(function in functions_of(m) for m in vars(each).values())), None)


Spot: TypeAlias = "tuple[str, int, str]"


def follow(owner: Any, names: Chain) -> Iterator[tuple[Spot, Any]]:
    """Where attributes lead, of objects and of the user's classes, and what is there; None beyond what is there yet."""
    base, path = owner, ""
    for number, name in enumerate(names):
        if name.endswith(GIVEN):
            yield from _follow_given(owner, name.removesuffix(GIVEN), names[number + 1 :])
            return
        held = vars(owner) if isinstance(owner, type) else held_by(owner)
        if not isinstance(owner, type) and name not in held:
            holder = next((kind for kind in type(owner).__mro__ if name in vars(kind) and is_own_class(kind)), None)
            if holder is not None and isinstance(vars(holder)[name], (property, functools.cached_property)):
                yield from _follow_given(owner, name, names[number + 1 :])
                return
            base, path, held = (base, path, held) if holder is None else (holder, "", vars(holder))
        owner, path = held.get(name), f"{path}.{name}"
        spot = ("attribute", id(base), path)
        base, path = (base, path) if owner is None else (owner, "")
        if number == len(names) - 1:
            yield spot, owner


def _follow_given(owner: Any, method: str, rest: Chain) -> Iterator[tuple[Spot, Any]]:
    """To what a method of an object, or of a class, returns."""
    kind = owner if isinstance(owner, type) else type(owner)
    functions = given_by(vars(owner).get(method)) if isinstance(owner, ModuleType) else given_by_method(kind, method)
    for found, returned in functions:
        if returned[0] == found.me and (*returned[1:], *rest):
            yield from follow(owner, (*returned[1:], *rest))
        elif is_variable(found.function, returned[0]):
            place = resolve(found.function, returned)
            spot: Spot = ("name", id(place.namespace), place.name)
            yield from follow(place.value, (*place.rest, *rest)) if (*place.rest, *rest) else [(spot, place.value)]
