"""Handlers of what stands in annotations: generic aliases, unions, type variables and typing's special forms."""

from __future__ import annotations

import types
import typing
from typing import TYPE_CHECKING, Any

from crew_repo.canonical import Encoded
from crew_repo.hashing.dispatch import handles, handles_named

if TYPE_CHECKING:
    from crew_repo.hashing.dispatch import Parts
    from crew_repo.hashing.walker import Walker

__all__: list[str] = []


@handles(types.GenericAlias, types.UnionType)
@handles_named("typing._BaseGenericAlias", "typing._GenericAlias", "typing.Union")
def _alias(_: Walker, value: Any, path: str) -> Parts:
    origin = typing.get_origin(value)
    if origin is None:  # typing.List without arguments
        return ["special", str(getattr(value, "_name", None))]
    if origin is typing.Union or origin is types.UnionType:
        return ["union", (yield typing.get_args(value), path)]
    return ["generic", (yield origin, path), (yield typing.get_args(value), path)]


@handles_named("typing._Final", "typing_extensions._SpecialForm", "typing_extensions._ExtensionsSpecialForm")
def _special_form(_walker: Walker, value: Any, _path: str) -> list[Encoded]:
    return ["special", str(getattr(value, "_name", None))]


@handles_named("typing.TypeVar", "typing_extensions.TypeVar")
def _type_variable(_: Walker, value: Any, path: str) -> Parts:
    bounds = yield (value.__bound__, value.__constraints__), path
    return ["type variable", value.__name__, bounds]


@handles_named("typing.ParamSpec", "typing.TypeVarTuple")
@handles_named("typing_extensions.ParamSpec", "typing_extensions.TypeVarTuple")
def _parameters(_walker: Walker, value: Any, _path: str) -> list[Encoded]:
    return ["type variable", value.__name__]


@handles_named("typing.ForwardRef")
def _forward_reference(_walker: Walker, value: typing.ForwardRef, _path: str) -> list[Encoded]:
    return ["forward", value.__forward_arg__]


@handles_named("typing.NewType")
def _new_type(_: Walker, value: Any, path: str) -> Parts:
    return ["new type", value.__name__, (yield value.__supertype__, path)]


@handles_named("typing.TypeAliasType", "typing_extensions.TypeAliasType")
def _type_alias(_: Walker, value: Any, path: str) -> Parts:
    return ["type alias", value.__name__, (yield value.__value__, path)]
