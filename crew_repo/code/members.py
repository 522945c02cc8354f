"""Finding the functions behind the methods and properties of classes, and their syntax."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from crew_repo.code.bytecode import nested_codes
from crew_repo.code.source import live_node, node_at
from crew_repo.code.syntax import FunctionNode
from crew_repo.introspection import instance_state

__all__ = [
    "closure_of",
    "defaults_of",
    "first_argument",
    "function_of",
    "functions_of",
    "is_called_by_pydantic",
    "live_tree_of",
    "makes",
    "mangled",
    "names_used",
    "tree_of",
    "weakly_cached",
]

_CONSTRUCTORS = frozenset(
    {
        *("__init__", "__new__", "__post_init__", "__attrs_post_init__", "__set_name__", "__init_subclass__"),
        *("model_post_init", "__class_getitem__"),
    }
)
_DESCRIPTORS = (
    *(classmethod, staticmethod, property, functools.cached_property, functools.partial, functools.partialmethod),
    functools.singledispatchmethod,
)
_HOLDS = ("__func__", "fget", "fset", "fdel", "func", "wrapped")
_EMPTY_CELL = ("empty cell",)


Key = TypeVar("Key")
Rest = ParamSpec("Rest")
Found = TypeVar("Found")


def weakly_cached(
    compute: Callable[Concatenate[Key, Rest], Found],
) -> Callable[Concatenate[Key, Rest], Found]:
    """Computed once for each class or function, for as long as it lives: closures hold objects of the user's."""
    cache: WeakKeyDictionary[Any, dict[Any, Found]] = WeakKeyDictionary()

    @functools.wraps(compute)
    def cached(key: Key, /, *rest: Rest.args, **names: Rest.kwargs) -> Found:
        known = cache.setdefault(key, {})
        if rest not in known:
            known[rest] = compute(key, *rest, **names)
        return known[rest]

    return cached


def makes(cls: type | None, name: str) -> bool:
    """Whether a method makes or validates an object, so that what it sets on that is configuration."""
    decorators = getattr(cls, "__pydantic_decorators__", None)
    kinds = ("validators", "field_validators", "root_validators", "model_validators")
    return name in _CONSTRUCTORS or any(name in getattr(decorators, kind, ()) for kind in kinds)


def is_called_by_pydantic(cls: type, name: str) -> bool:
    """Whether pydantic calls a method by itself, as it makes, validates or dumps an object."""
    kinds = instance_state(getattr(cls, "__pydantic_decorators__", None)).values()
    return any(name in some for some in kinds if isinstance(some, dict))


def functions_of(member: Any) -> list[FunctionType]:
    """The functions that were written for a member of a class: under its descriptors, and under its decorators."""
    if isinstance(member, FunctionType) and not member.__closure__ and "__wrapped__" not in vars(member):
        return [member]
    found: dict[int, FunctionType] = {}
    pending, seen = [member], set()
    while pending:
        some = pending.pop()
        if id(some) not in seen:
            seen.add(id(some))
            pending += _held_by(some)
            if isinstance(some, FunctionType):
                found[id(some)] = some
    return list(found.values())


def function_of(member: Any) -> Any:
    """The function that was written for a member of a class, if it has one: the innermost."""
    functions = functions_of(member)
    return functions[-1] if functions else member


def _held_by(member: Any) -> list[Any]:
    """Functions that a descriptor holds, and those that a decorator's function wraps, which are called like it."""
    if isinstance(member, FunctionType):
        held = (some for _, some in closure_of(member))
        inner = [some for some in held if isinstance(some, FunctionType) and some.__name__ == member.__name__]
        return [*inner, vars(member).get("__wrapped__")]
    if isinstance(member, _DESCRIPTORS) or type(member).__name__ in {"PydanticDescriptorProxy", "cached_property"}:
        return [getattr(member, name, None) for name in _HOLDS]
    return [vars(member).get("__wrapped__")] if hasattr(member, "__dict__") and not isinstance(member, type) else []


def first_argument(tree: FunctionNode) -> str | None:
    """The name under which a method has its object."""
    positional = [*tree.args.posonlyargs, *tree.args.args]
    return positional[0].arg if positional else None


def mangled(name: str, class_name: str) -> str:
    """The name under which an object holds what its class calls `self.__name`."""
    private = name.startswith("__") and not name.endswith("__")
    return f"_{class_name.lstrip('_')}{name}" if private else name


def names_used(function: FunctionType) -> set[str]:
    """The names of globals and attributes in a function, and in what is nested in it."""
    return {name for code in nested_codes(function.__code__) for name in code.co_names}


def tree_of(function: FunctionType) -> FunctionNode | None:
    """The syntax of a function, if its source can be found: its own, not that of what it wraps."""
    return node_at(function.__code__, function.__globals__)


def live_tree_of(function: FunctionType) -> FunctionNode | None:
    """The syntax of a function, if its source is what is live."""
    return live_node(function.__code__, function.__globals__)


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
