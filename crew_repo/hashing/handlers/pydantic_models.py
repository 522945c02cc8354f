"""Pydantic's models: the handlers of their instances, and what their classes declare. Pydantic is never imported."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any

from crew_repo.canonical import SCALARS, Encoded
from crew_repo.code.environment import variables_said
from crew_repo.code.ownership import is_core_class, is_own_class, is_own_function, qualified_name
from crew_repo.hashing.as_first_seen import attributes_of, kept_members
from crew_repo.hashing.dispatch import handles_named
from crew_repo.hashing.walker import Kept
from crew_repo.introspection import instance_state, own_dict
from crew_repo.secrets.finding import hand_over
from crew_repo.secrets.names import is_secret_name

if TYPE_CHECKING:
    from crew_repo.hashing.dispatch import Parts
    from crew_repo.hashing.walker import Walker

__all__ = ["declarations", "model_state", "own_post_init", "settings_said"]

_PRESENTATION = frozenset({"repr"})
_UNDEFINED = "PydanticUndefined"
_SETTINGS = "pydantic_settings.main.BaseSettings"


@handles_named("pydantic.main.BaseModel")
def _model(walker: Walker, value: Any, path: str) -> Parts:
    kind = yield type(value), path
    held = attributes_of(value, _values(value), model_state, path)
    held += _installed_private(value, path)
    return ["model", kind, *(yield from walker.members(held, path))]


def _values(value: Any) -> dict[str, Any]:
    """Fields that do not hold their plain default, extras, and the private attributes that the user's classes add."""
    stored = vars(value)
    declared = type(value).__pydantic_fields__
    values = {
        name: stored[name]
        for name, field in declared.items()
        if name in stored and (is_secret_name(name) or not _is_default(stored[name], field.default))
    }
    values.update(value.__pydantic_extra__ or {})
    private = value.__pydantic_private__ or {}
    values.update({name: private[name] for name in _own_private_names(type(value)) if name in private})
    return values


def _installed_private(value: Any, path: str) -> list[tuple[str, object]]:
    """The private attributes that a library's classes add, which are their own affair: as they were given.

    Those that were given as they are declared are left out, as fields are. CrewAI's and pydantic's hold plumbing.
    """
    bases = (base for base in type(value).__mro__ if not is_own_class(base) and not is_core_class(base))
    declared = {name: some for base in bases for name, some in _private_attributes(base).items()}
    plain = {name: SCALARS[type(some.default)](some.default) for name, some in declared.items() if _is_scalar(some)}
    private = value.__pydantic_private__ or {}
    held = {name: private[name] for name in declared.keys() & private.keys()}
    kept = kept_members(value, held, held, model_state, path)
    return [(name, part) for name, part in kept if not isinstance(part, Kept) or part.encoded != plain.get(name)]


def _is_scalar(private: Any) -> bool:
    return type(private.default) in SCALARS


def model_state(value: Any) -> dict[str, Any]:
    """Everything that an instance holds: fields, extras, private attributes, and what went around pydantic."""
    return {**own_dict(value), **(value.__pydantic_extra__ or {}), **(value.__pydantic_private__ or {})}


def _is_default(value: object, default: object) -> bool:
    """Left out, so that a field which a newer library adds changes no hash."""
    return type(value) in SCALARS and type(value) is type(default) and value == default


def _own_private_names(kind: type) -> set[str]:
    return {name for base in kind.__mro__ if is_own_class(base) for name in _private_attributes(base)}


def declarations(kind: type) -> Iterator[tuple[str, object]]:
    """Declarations of a class itself to pydantic: fields, private attributes, validators, generic arguments."""
    declared = vars(kind)
    annotations = declared.get("__annotations__", {})
    yield "pydantic fields", {n: f for n, f in declared.get("__pydantic_fields__", {}).items() if n in annotations}
    yield "private attributes", _private_attributes(kind)
    yield "validators", _validators(kind)
    yield "arguments", declared.get("__pydantic_generic_metadata__", {}).get("args")


def _private_attributes(kind: type) -> dict[str, Any]:
    inherited = {
        id(some) for base in kind.__mro__[1:] for some in vars(base).get("__private_attributes__", {}).values()
    }
    return {n: a for n, a in vars(kind).get("__private_attributes__", {}).items() if id(a) not in inherited}


def _validators(kind: type) -> dict[str, Any]:
    """Validators and serializers with their modes, those of the bases left to the bases."""
    groups = instance_state(vars(kind).get("__pydantic_decorators__")).items()
    named = [
        (f"{group} {name}", some) for group, held in groups if isinstance(held, dict) for name, some in held.items()
    ]
    return {name: (some.func, some.info) for name, some in named if some.cls_var_name in vars(kind)}


def own_post_init(function: Any) -> list[tuple[str, object]]:
    """The user's `model_post_init` without pydantic's wrappers, if there is one."""
    written = inspect.unwrap(function)
    is_own = isinstance(written, FunctionType) and is_own_function(written.__code__, written.__globals__)
    return [("model_post_init", written)] if is_own else []


def settings_said(kind: type) -> dict[str, str]:
    """The variables that an object of a settings class is filled from when it is made, by their hashes."""
    if not any(qualified_name(base) == _SETTINGS for base in kind.__mro__):
        return {}
    fields, config = (getattr(kind, name) for name in ("__pydantic_fields__", "model_config"))
    prefix, delimiter = (config.get(name) or "" for name in ("env_prefix", "env_nested_delimiter"))
    names = [name.lower() for field in fields for name in _names_of(field, fields[field], prefix)]
    inner = tuple(f"{name}{delimiter.lower()}" for name in names if delimiter)
    return variables_said(name for name in os.environ if name.lower() in names or name.lower().startswith(inner))


def _names_of(name: str, field: Any, prefix: str) -> list[str]:
    """The variables of one field: by its aliases, if it has some."""
    alias = field.validation_alias or field.alias
    given = [some for some in getattr(alias, "choices", [alias]) if isinstance(some, str)]
    return given or [f"{prefix}{name}"]


@handles_named("pydantic.fields.FieldInfo", "pydantic.fields.ModelPrivateAttr")
def _field(walker: Walker, value: Any, path: str) -> Parts:
    slots = [name for kind in type(value).__mro__ for name in vars(kind).get("__slots__", ()) if name[:1] != "_"]
    given = ((name, getattr(value, name, None)) for name in slots if name not in _PRESENTATION)
    return ["field", *(yield from walker.members((member for member in given if _says_something(member[1])), path))]


def _says_something(value: object) -> bool:
    return value is not None and type(value).__name__ != f"{_UNDEFINED}Type" and not (type(value) is list and not value)


@handles_named("pydantic_core._pydantic_core.PydanticUndefinedType")
def _undefined(_walker: Walker, value: object, _path: str) -> list[Encoded]:
    return ["named", qualified_name(type(value))]


@handles_named("pydantic.types.SecretStr", "pydantic.types.SecretBytes", "pydantic.types.Secret")
def _secret(_walker: Walker, value: object, _path: str) -> list[Encoded]:
    hand_over(value)
    return ["secret"]
