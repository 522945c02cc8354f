"""The handler of classes: installed ones are named; the user's, and those made at run time, are read as they live."""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, get_origin

from crew_repo.canonical import Encoded
from crew_repo.code.module_files import compiled_by
from crew_repo.code.ownership import home_of, is_compiled, is_own_class, is_own_function, qualified_name
from crew_repo.code.reach import is_code
from crew_repo.code.replaced import replaced_members
from crew_repo.hashing.as_first_seen import attributes_of
from crew_repo.hashing.asides import docstring
from crew_repo.hashing.dispatch import handles
from crew_repo.hashing.handlers.pydantic_models import declarations, own_post_init, settings_said

if TYPE_CHECKING:
    from crew_repo.hashing.dispatch import Parts, Steps
    from crew_repo.hashing.walker import Walker

__all__: list[str] = []

# Bookkeeping that Python and its libraries keep in a class, and that follows from the rest of it.
_BOOKKEEPING = re.compile(
    r"__(module|doc|dict|weakref|qualname|firstlineno|static_attributes|annotations|annotations_cache|parameters"
    r"|abstractmethods|slots|slotnames|signature|class_vars|private_attributes|fields|dataclass_\w+|pydantic_\w+"
    r"|attrs_\w+|orig_bases|protocol_attrs|non_callable_proto_members|readonly_keys|mutable_keys|type_params)__"
    r"|_abc_impl|_is_protocol|_is_runtime_protocol|model_fields|model_computed_fields"
)
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_SUNDER = re.compile(r"_\w+_")
_MADE_FROM_TEXT = re.compile(r"<(string|attrs generated .*)>")
_GENERATED = ("__dataclass_fields__", "__attrs_attrs__", "_field_defaults")
_GENERATED_METHODS = frozenset(
    {
        "__match_args__",
        *("__init__", "__new__", "__repr__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__"),
        *("__setattr__", "__delattr__", "__getstate__", "__setstate__", "__replace__", "__getnewargs__"),
        *("_make", "_replace", "_asdict"),
    }
)
_FIELD_OPTIONS: dict[str, object] = {"repr": True, "compare": True, "hash": None, "metadata": {}}
_DATACLASS_OPTIONS: dict[str, object] = {
    **{"init": True, "repr": True, "eq": True},
    **{"order": False, "unsafe_hash": False, "frozen": False},
}


# Classes in some versions of Python, and special forms in others.
_SPECIAL_FORMS: dict[int, str] = {id(typing.Any): "Any", id(typing.Annotated): "Annotated"}


@handles(type)
def _class(walker: Walker, value: type, path: str) -> Steps:
    if id(value) in _SPECIAL_FORMS:
        return ["special", _SPECIAL_FORMS[id(value)]]
    if _is_named(value):
        replaced = replaced_members(value)
        return _changed_class(walker, value, replaced, path) if replaced else ["named", qualified_name(value)]
    return _live_class(walker, value, path)


def _changed_class(walker: Walker, kind: type, replaced: dict[str, object], path: str) -> Parts:
    return ["named", qualified_name(kind), *(yield from walker.members(replaced.items(), path))]


def _is_named(kind: type) -> bool:
    """Whether an installed module has this class under this name; what a library makes at run time it has not.

    Nor does `RootModel[list[Item]]` count by its name, which pydantic puts into its own module.
    """
    if "<locals>" in kind.__qualname__ or "[" in kind.__qualname__ or is_own_class(kind):
        return False
    found: Any = sys.modules.get(home_of(kind))
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind or (not hasattr(sys.modules.get(kind.__module__), "__file__") and is_compiled(kind))


def _live_class(walker: Walker, kind: type, path: str) -> Parts:
    walker.asides.update(docstring(kind))
    walker.environment.update(settings_said(kind))
    bases = yield kind.__bases__, path
    metaclass = (yield type(kind), path) if type(kind) is not type else None
    encoded: list[Encoded] = ["class", kind.__name__, bases, metaclass]
    encoded += compiled_by(kind.__module__) if is_compiled(kind) else []
    for name, members in (("fields", _fields(kind)), ("namespace", _namespace(kind, path))):
        encoded.append([name, *(yield from walker.members(members, path))])
    return encoded


def _fields(kind: type) -> Iterator[tuple[str, object]]:
    """Declarations of a class beside its namespace: annotations, pydantic's and dataclasses' fields, members."""
    declared = vars(kind)
    if "__pydantic_decorators__" in declared:
        yield from ((name, said) for name, said in declarations(kind) if said)
    elif declared.get("__annotations__"):
        yield "annotations", dict(declared["__annotations__"])
    generic = [base for base in declared.get("__orig_bases__", ()) if get_origin(base) is not None]
    if generic:
        yield "generic bases", generic
    if "__dataclass_fields__" in declared:
        yield "dataclass fields", _dataclass_fields(declared["__dataclass_fields__"])
        options = _unusual(declared["__dataclass_params__"], _DATACLASS_OPTIONS)
        yield from [("dataclass options", options)] if options else []
    if "__attrs_attrs__" in declared:
        yield "attrs fields", list(declared["__attrs_attrs__"])
    if issubclass(kind, Enum):
        yield "members", {name: member.value for name, member in kind.__members__.items()}


def _dataclass_fields(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (f.type, f.default, f.default_factory, f.init, f.kw_only, *_unusual(f, _FIELD_OPTIONS))
        for name, f in fields.items()
    }


def _unusual(declared: Any, usual: dict[str, object]) -> list[tuple[str, object]]:
    """The options of a dataclass or of a field of one that differ from what they are unless given."""
    given = {name: getattr(declared, name) for name in usual}
    return [(name, value) for name, value in given.items() if value != usual[name]]


def _namespace(kind: type, path: str) -> Iterator[tuple[str, object]]:
    held = {name: value for name, value in vars(kind).items() if not _follows(kind, name, value)}
    values = {name: value for name, value in held.items() if not is_code(value)} if is_own_class(kind) else {}
    yield from attributes_of(kind, values, vars, path, kind)
    for name, value in held.items():
        if name == "model_post_init" and "__pydantic_decorators__" in vars(kind):
            yield from own_post_init(value)
        elif name not in values:
            yield name, value


def _follows(kind: type, name: str, value: object) -> bool:
    """Whether a member of a class follows from the rest of it."""
    return isinstance(value, _SLOTS) or bool(_BOOKKEEPING.fullmatch(name)) or _is_machinery(kind, name, value)


def _is_machinery(kind: type, name: str, value: object) -> bool:
    """Whether a library has put this into the class, by rules that the class's fields determine."""
    if issubclass(kind, Enum) and (name in kind.__members__ or _SUNDER.fullmatch(name)):
        return name == "_new_member_" or not _is_written(value)
    if any(marker in vars(kind) for marker in _GENERATED):
        return name in _GENERATED_METHODS and not _is_written(value)
    return False


def _is_written(value: Any) -> bool:
    """Whether it is a function that the user has written, rather than one made from text by a library."""
    function = getattr(value, "__func__", value)
    if not isinstance(function, types.FunctionType):
        return False
    code = function.__code__
    return not _MADE_FROM_TEXT.match(code.co_filename) and is_own_function(code, function.__globals__)
