"""The handler of classes: installed ones are named; the user's, and those made at run time, are read as they live."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any

from crew_repo.hashing._canonical import SCALARS, Encoded
from crew_repo.hashing._dispatch import handles
from crew_repo.hashing._origin import is_own_class, is_own_function, qualified_name
from crew_repo.hashing._state import instance_state

if TYPE_CHECKING:
    from crew_repo.hashing._walker import Parts, Steps, Walker

__all__: list[str] = []

# Bookkeeping that Python and its libraries keep in a class, and that follows from the rest of it.
_BOOKKEEPING = re.compile(
    r"__(module|doc|dict|weakref|qualname|firstlineno|static_attributes|annotations|annotations_cache|parameters"
    r"|abstractmethods|slots|match_args|signature|class_vars|private_attributes|fields|dataclass_\w+|pydantic_\w+"
    r"|attrs_\w+|protocol_attrs|non_callable_proto_members|readonly_keys|mutable_keys|type_params)__"
    r"|_abc_impl|_is_protocol|_is_runtime_protocol|model_fields|model_computed_fields"
)
_ENUM_BOOKKEEPING = re.compile(r"_\w+_")


@handles(type)
def _class(walker: Walker, value: type, path: str) -> Steps:
    if _is_named(value):
        return ["named", qualified_name(value)]
    return _live_class(walker, value, path)


def _is_named(kind: type) -> bool:
    """Whether an installed module has this class under this name; what a library makes at run time it has not."""
    if "<locals>" in kind.__qualname__ or is_own_class(kind):
        return False
    found: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind or not hasattr(sys.modules.get(kind.__module__), "__file__")


def _live_class(walker: Walker, kind: type, path: str) -> Parts:
    bases = yield kind.__bases__, path
    metaclass = (yield type(kind), path) if type(kind) is not type else None
    encoded: list[Encoded] = ["class", kind.__name__, bases, metaclass]
    for name, members in (("fields", _fields(kind)), ("namespace", _namespace(kind))):
        encoded.append([name, *(yield from walker.members(members, path))])
    return encoded


def _fields(kind: type) -> Iterator[tuple[str, object]]:
    """What a class declares beside its namespace: annotations, pydantic's and the dataclass's fields, validators."""
    declared = vars(kind)
    annotations = declared.get("__annotations__", {})
    if "__pydantic_fields__" in declared:
        yield "pydantic fields", {n: f for n, f in declared["__pydantic_fields__"].items() if n in annotations}
        yield "private attributes", _private_attributes(kind)
        yield "generic", declared.get("__pydantic_generic_metadata__")
    elif annotations:
        yield "annotations", dict(annotations)
    if "__pydantic_decorators__" in declared:
        yield "validators", _validators(kind, declared["__pydantic_decorators__"])
    if "__dataclass_fields__" in declared:
        yield "dataclass fields", _dataclass_fields(declared["__dataclass_fields__"])
    if "__attrs_attrs__" in declared:
        yield "attrs fields", list(declared["__attrs_attrs__"])
    if issubclass(kind, Enum):
        yield "members", {name: member.value for name, member in kind.__members__.items()}


def _private_attributes(kind: type) -> dict[str, Any]:
    inherited = {id(some) for base in kind.__mro__[1:] for some in vars(base).get("__private_attributes__", {}).values()}
    return {n: a for n, a in vars(kind).get("__private_attributes__", {}).items() if id(a) not in inherited}


def _validators(kind: type, decorators: Any) -> dict[str, Any]:
    """Pydantic's validators and serializers that the class itself declares, with their modes."""
    groups = {name: group for name, group in instance_state(decorators).items() if isinstance(group, dict)}
    own = {name: {n: (d.func, d.info) for n, d in some.items() if n in vars(kind)} for name, some in groups.items()}
    return {name: some for name, some in own.items() if some}


def _dataclass_fields(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: (f.type, f.default, f.default_factory, f.init, f.kw_only) for name, f in fields.items()}


def _namespace(kind: type) -> Iterator[tuple[str, object]]:
    generated = _is_generated(kind)
    for name, value in vars(kind).items():
        if isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType):
            continue
        if not _BOOKKEEPING.fullmatch(name) and not (generated and _is_machinery(kind, name, value)):
            yield name, value


def _is_generated(kind: type) -> bool:
    markers = ("__dataclass_fields__", "__attrs_attrs__", "_field_defaults")
    return issubclass(kind, Enum) or any(marker in vars(kind) for marker in markers)


def _is_machinery(kind: type, name: str, value: object) -> bool:
    """Whether a library has put this into the class, by rules that the class's fields determine."""
    if issubclass(kind, Enum) and (name in kind.__members__ or _ENUM_BOOKKEEPING.fullmatch(name)):
        return not isinstance(value, (types.FunctionType, classmethod, staticmethod)) or not _is_own(value)
    return name in {"_fields", "_field_defaults"} or (name[:1] == "_" and not _is_own(value) and callable(value))


def _is_own(value: Any) -> bool:
    function = getattr(value, "__func__", value)
    if not isinstance(function, types.FunctionType):
        return False
    return not function.__code__.co_filename.startswith("<") and is_own_function(function.__code__, function.__globals__)
