"""Handlers of functions and what stands for them: methods, partials, properties, wrappers, builtins."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from crew_repo.canonical import Encoded, seal
from crew_repo.code.bytecode import Chain
from crew_repo.code.changed_at_work import marks
from crew_repo.code.environment import (
    Asked,
    asks_elsewhere,
    environment_said,
    imports_under_another_name,
    is_environment,
    modules_asked,
    runs_files,
    variables_said,
)
from crew_repo.code.imports import absolute_names, not_found, package_of
from crew_repo.code.members import closure_of, defaults_of, names_used
from crew_repo.code.module_files import compiled_by, digest_of, modules_read, said_by
from crew_repo.code.ownership import is_own_function, is_own_module
from crew_repo.code.reach import Place, is_code, replaced_in_imports, resolve
from crew_repo.code.source import Static, static_part
from crew_repo.hashing.as_first_seen import attributes_of, kept_members
from crew_repo.hashing.asides import ASKS_VARIABLES, asides_of, asides_of_module, docstring
from crew_repo.hashing.dispatch import handles, handles_named

if TYPE_CHECKING:
    from crew_repo.hashing.dispatch import Parts, Steps
    from crew_repo.hashing.walker import Walker

__all__: list[str] = []

_BY_NAMES_MADE = "it imports modules by names made at run time"
# What Python puts into every module; it says where code stands, not what it does.
_MODULE_FACTS = frozenset(
    {
        *("__name__", "__file__", "__path__", "__package__", "__spec__", "__loader__", "__cached__"),
        *("__builtins__", "__annotations__"),
    }
)


@handles(types.FunctionType)
def _function(walker: Walker, value: types.FunctionType, path: str) -> Steps:
    if is_own_function(value.__code__, value.__globals__):
        return _own_function(walker, value, path)
    if is_environment(value, path):
        walker.asides.add(ASKS_VARIABLES)
    _note_importing(walker, value, path)
    if _is_single_dispatch(value):
        return _single_dispatch(walker, value, path)
    if value.__closure__ or "__wrapped__" in vars(value) or "<locals>" in value.__qualname__:
        return _installed_wrapper(walker, value, path)
    return ["named", f"{value.__module__}.{value.__qualname__}"]


def _note_importing(walker: Walker, function: Any, path: str) -> None:
    if imports_under_another_name(function, path):
        walker.opaque.add((path, f"{function.__qualname__} (a function): {_BY_NAMES_MADE}"))


def _own_function(walker: Walker, function: types.FunctionType, path: str) -> Parts:
    static = static_part(function.__code__, function.__globals__)
    encoded: list[Encoded] = ["function", static.sha256]
    read = list(_referenced(walker, function, static.chains, path))
    for name, members in (
        ("defaults", _kept(function, dict(defaults_of(function)), path)),
        ("closure", _kept(function, dict(closure_of(function)), path)),
        ("globals", read),
        ("annotations", function.__annotations__.items()),
        ("attributes", attributes_of(function, vars(function), vars, path)),
    ):
        encoded.append([name, *(yield from walker.members(members, path))])
    _name_globals(walker, {name for name, value in read if not is_code(value)}, encoded)
    return [*encoded, *_from_outside(walker, function, static, path)]


def _name_globals(walker: Walker, data: set[str], encoded: list[Any]) -> None:
    """Say each global by its name as well, so that a reason can name the one that has changed."""
    members = next(part[1:] for part in encoded if part[0] == "globals")
    walker.globals.update((name, seal("global", part)) for name, part in members if name in data)


def _kept(function: types.FunctionType, held: dict[str, object], path: str) -> list[tuple[str, object]]:
    """Defaults and free variables, as they were given where work may change them."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    changed = [name for name, value in held.items() if marks().name(cells.get(name), name, value)]
    return kept_members(function, held, changed, _held, path)


def _held(function: types.FunctionType) -> dict[str, object]:
    return {**dict(defaults_of(function)), **dict(closure_of(function))}


def _from_outside(walker: Walker, function: types.FunctionType, static: Static, path: str) -> Iterator[Encoded]:
    """Values that a function gets from modules that it imports as it runs, and from the environment."""
    asked = static.asked or Asked()
    modules, complete = modules_asked(function, asked.modules)
    imports = (*static.imports, *modules)
    if asked.other_modules or not complete:
        walker.opaque.add((path, f"{function.__qualname__} (a function): {_BY_NAMES_MADE}"))
    if static.asked is None:
        why = "it has no source, and asks for the environment or for modules by name"
        walker.opaque.add((path, f"{function.__qualname__} (a function): {why}"))
    if runs_files(names_used(function)):
        walker.opaque.add((path, f"{function.__qualname__} (a function): it runs files by their paths"))
    for name in not_found(imports) if asked.other_folders else ():
        why = f"it imports {name} from a folder that it adds to sys.path as it runs"
        walker.opaque.add((path, f"{function.__qualname__} (a function): {why}"))
    if imports:
        yield ["imports", _read(walker, absolute_names(imports, package_of(function.__globals__)), path)]
    if ("globals",) in static.chains and "globals" not in function.__globals__:
        yield ["globals", _read(walker, [str(function.__globals__.get("__name__"))], path)]
    walker.environment.update(environment_said(function, asked.environment))
    walker.asides.update(docstring(function), asides_of(function.__code__, function.__globals__))
    walker.asides.update([ASKS_VARIABLES] if asks_elsewhere(function, asked) else ())


def _read(walker: Walker, names: Iterable[str], path: str) -> str | None:
    """The digest of the files of the user's modules of these names, whose code may ask for variables and modules."""
    read = modules_read(names)
    for said in said_by(read):
        walker.environment.update(variables_said(said.variables, said.root))
        walker.asides.update(asides_of_module(said))
        walker.opaque.update((path, f"{said.module} (a module): it {why}") for why in said.unknown)
    return digest_of(read)


def _installed_wrapper(walker: Walker, function: types.FunctionType, path: str) -> Parts:
    """A wrapper that a library has put around something: named, and what it holds is hashed."""
    name = f"{function.__globals__.get('__name__')}.{function.__code__.co_name}"
    held = {**dict(defaults_of(function)), **dict(closure_of(function))}
    if "__wrapped__" in vars(function):
        held["__wrapped__"] = vars(function)["__wrapped__"]
    return ["wrapper", name, *(yield from walker.members(held.items(), path))]


def _referenced(
    walker: Walker, function: types.FunctionType, chains: tuple[Chain, ...], path: str
) -> Iterator[tuple[str, object]]:
    """The globals that are loaded, by the names that lead to them; through the user's modules, what they hold."""
    seen: set[str] = set()
    for chain in chains:
        if chain[0] not in _MODULE_FACTS:
            place = resolve(function, chain)
            name = ".".join(chain[: len(chain) - len(place.rest)])
            if name not in seen:
                seen.add(name)
                yield from _global(function, name, place, path)
            yield from _part_to_come(walker, name, place, seen, path)
    yield from replaced_in_imports(function)


def _part_to_come(walker: Walker, name: str, place: Place, seen: set[str], path: str) -> Iterator[tuple[str, object]]:
    """A part of the user's package that is imported as the function runs, by a call or by others: its file."""
    if isinstance(place.value, types.ModuleType) and place.rest and is_own_module(place.value.__name__):
        name = f"{name}.{place.rest[0]}"
        digest = None if name in seen else _read(walker, [f"{place.value.__name__}.{place.rest[0]}"], path)
        seen.add(name)
        yield from [] if digest is None else [(name, digest)]


def _global(function: types.FunctionType, name: str, place: Place, path: str) -> Iterator[tuple[str, object]]:
    """A global, as it was given where work may change it."""
    held = {place.name: place.value} if place.name in place.namespace else {}
    changed = [place.name] if marks().name(place.namespace, place.name, place.value) else []
    module = sys.modules.get(str(place.namespace.get("__name__")))
    known = module is not None and vars(module) is place.namespace
    owner, read = (module, vars) if known else (function, lambda function: function.__globals__)
    for _, value in kept_members(owner, held, changed, read, path):
        yield name, value


def _is_single_dispatch(value: Any) -> bool:
    return hasattr(value, "dispatch") and hasattr(value, "registry") and hasattr(value, "__wrapped__")


def _single_dispatch(_: Walker, value: Any, path: str) -> Parts:
    return ["single dispatch", (yield dict(value.registry), path)]


@handles(types.MethodType)
def _method(_: Walker, value: types.MethodType, path: str) -> Parts:
    return ["method", (yield value.__func__, path), (yield value.__self__, path)]


@handles(functools.partial)
def _partial(_: Walker, value: functools.partial[Any], path: str) -> Parts:
    function = yield value.func, f"{path}.func"
    return ["partial", function, (yield value.args, f"{path}.args"), (yield value.keywords, f"{path}.keywords")]


@handles(staticmethod, classmethod)
def _unbound(_: Walker, value: Any, path: str) -> Parts:
    return [type(value).__name__, (yield value.__func__, path)]


@handles(property)
def _property(_: Walker, value: property, path: str) -> Parts:
    return ["property", (yield (value.fget, value.fset, value.fdel), path)]


@handles(functools.cached_property)
def _cached_property(_: Walker, value: functools.cached_property[Any], path: str) -> Parts:
    return ["cached property", (yield value.func, path)]


@handles_named("functools._lru_cache_wrapper")
def _lru_cache(_: Walker, value: Any, path: str) -> Parts:
    return ["lru cache", (yield value.__wrapped__, path)]


@handles(types.BuiltinFunctionType, types.MethodWrapperType)
def _builtin(walker: Walker, value: Any, path: str) -> Parts:
    owner = getattr(value, "__self__", None)
    if owner is None or isinstance(owner, types.ModuleType):
        _note_importing(walker, value, path)
        return ["named", f"{value.__module__}.{value.__qualname__}", *compiled_by(value.__module__)]
    return ["bound builtin", value.__name__, (yield owner, path)]


@handles(
    *(types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType),
    *(types.GetSetDescriptorType, types.MemberDescriptorType),
)
def _descriptor(_: Walker, value: Any, path: str) -> Parts:
    return ["descriptor", value.__name__, (yield value.__objclass__, path)]


@handles(types.ModuleType)
def _module(walker: Walker, value: types.ModuleType, path: str) -> list[Encoded]:
    if is_own_module(value.__name__) and sys.modules.get(value.__name__) is not value:
        return walker.hidden(value, path, "is not imported by its name")
    return ["module", value.__name__, _read(walker, [value.__name__], path)]
