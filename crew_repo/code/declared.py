"""Types and functions that a class is declared with, and that a library calls as it makes objects of the class.

The user's code does not name them: the fields of a class of pydantic's, of a dataclass or of a typed dict do, by their
types, the functions in `Annotated`, and the factories of defaults.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, get_args, get_origin, get_type_hints

from crew_repo.canonical import SCALARS
from crew_repo.code.members import weakly_cached
from crew_repo.code.ownership import is_own_class

__all__ = ["SCHEMA", "declared_with", "parts_of_hint", "schema_parts"]

SCHEMA = "__pydantic_core_schema__"

_HINTED = ("__dataclass_fields__", "_field_defaults", "__total__")


def declared_with(cls: Any) -> Iterable[object]:
    """The fields of a class, or their types; not of a library's own class, which has nothing of the user's."""
    if not is_own_class(cls) and getattr(sys.modules.get(cls.__module__), cls.__name__, None) is cls:
        return ()
    fields = getattr(cls, "__pydantic_fields__", None)
    if isinstance(fields, dict):
        return fields.values()
    if any(hasattr(cls, name) for name in _HINTED):
        with suppress(Exception):  # a name that is not there, or not yet
            return get_type_hints(cls, include_extras=True).values()
    return ()


def schema_parts(cls: type) -> list[object]:
    """The functions and other objects in the schema that pydantic has made of a class, out of its dicts and lists."""
    return _parts_of(cls, id(vars(cls)[SCHEMA]))[1]


@weakly_cached
def _parts_of(cls: type, _: int) -> tuple[object, list[object]]:
    """The parts of a schema, with itself: as long as it is kept, its number is no other's."""
    schema = vars(cls)[SCHEMA]
    parts: dict[int, object] = {}
    pending, seen = [schema], set[int]()
    while pending:
        some = pending.pop()
        if id(some) in seen:
            continue
        seen.add(id(some))
        if isinstance(some, (dict, list, tuple)):
            pending += some.values() if isinstance(some, dict) else some
        elif type(some) not in SCALARS:
            parts[id(some)] = some
    return schema, list(parts.values())


def parts_of_hint(value: Any) -> tuple[object, ...]:
    """The types and functions that a type hint is made of: `list[Item]`, `Annotated[int, AfterValidator(check)]`."""
    if type(value).__name__ == "TypeAliasType":
        return (value.__value__,)
    origin = get_origin(value)
    return () if origin is None else (origin, *get_args(value))
