"""Handlers of instances: pydantic models, arrays, and whatever has a `__dict__`, slots or a way to be reduced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from crew_repo.hashing._canonical import SCALARS, Encoded
from crew_repo.hashing._dispatch import handles, handles_named
from crew_repo.hashing._origin import is_own_class, qualified_name
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
    return ["object", kind, *(yield from walker.members(instance_state(value).items(), path))]


def _reduced(walker: Walker, value: object, path: str) -> Parts:
    """What `pickle` would write of an object of compiled code, as values; nothing is pickled."""
    try:
        recipe = value.__reduce_ex__(2)
    except Exception:  # noqa: BLE001 - compiled types refuse in many ways; the object is named, not dropped
        return walker.hidden(value, path, _UNREADABLE)
    if isinstance(recipe, str):
        return ["named", f"{type(value).__module__}.{recipe}"]
    maker, arguments, state, items, pairs = (*recipe, None, None, None)[:5]
    kind = yield type(value), path
    parts = (arguments, state, list(items or ()), list(pairs or ()))
    return ["reduced", kind, (yield maker, path), (yield parts, path)]


@handles_named("pydantic.main.BaseModel")
def _model(walker: Walker, value: Any, path: str) -> Parts:
    kind = yield type(value), path
    fields = yield from walker.members(_field_values(value).items(), path)
    return ["model", kind, *fields]


def _field_values(value: Any) -> dict[str, Any]:
    """Fields that do not hold their plain default, extras, and the private attributes that the user's classes add."""
    stored = vars(value)
    declared = type(value).__pydantic_fields__
    values = {n: stored[n] for n, f in declared.items() if n in stored and not _is_default(stored[n], f.default)}
    values.update(value.__pydantic_extra__ or {})
    private = value.__pydantic_private__ or {}
    values.update({name: private[name] for name in _own_private_names(type(value)) if name in private})
    return values


def _is_default(value: object, default: object) -> bool:
    """So that a field which a newer library adds changes no hash."""
    return type(value) in SCALARS and type(value) is type(default) and value == default


def _own_private_names(kind: type) -> set[str]:
    names: set[str] = set()
    for base in reversed(kind.__mro__):
        declared = set(vars(base).get("__private_attributes__", ()))
        names = names | declared if is_own_class(base) else names - declared
    return names


@handles_named("pydantic.fields.FieldInfo")
def _field_info(walker: Walker, value: Any, path: str) -> Parts:
    names = [name for name in type(value).__slots__ if not name.startswith("_")]
    given = {name: getattr(value, name, None) for name in names}
    return ["field", *(yield from walker.members(((n, v) for n, v in given.items() if v is not None), path))]


@handles_named("pydantic_core._pydantic_core.PydanticUndefinedType")
def _undefined(_walker: Walker, value: object, _path: str) -> list[Encoded]:
    return ["named", qualified_name(type(value))]


@handles_named("pydantic.types.SecretStr", "pydantic.types.SecretBytes", "pydantic.types.Secret")
def _secret(_walker: Walker, _value: object, _path: str) -> list[Encoded]:
    return ["secret"]


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
