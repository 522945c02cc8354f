"""Answers of models and results of tools as JSON, and back as the objects that they were.

Plain JSON stays as it is. An object of pydantic's, or a mapping of a provider's, is kept with the name of its class,
which is looked for among the classes that the call names and in the packages of models' providers, and nowhere else: a
stored name imports nothing of anybody else's. What does not come back equal is not kept.
"""

from __future__ import annotations

import builtins
import importlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

__all__ = [
    "Unkept",
    "error_from",
    "error_text",
    "json_text",
    "kept_text",
    "numbered_ids",
    "request_text",
    "value_from",
    "was_raised",
]

_CLASS, _MEMBERS, _RAISED = "crew_repo:class", "members", "crew_repo:raised"
_PROVIDERS = ("anthropic", "azure", "google", "litellm", "openai")
_ALSO = "crewai.tools.tool_failure"  # what a tool may give in place of an exception
_MADE_UP = re.compile(r'"call_\d+"')
_Object = (BaseModel, Mapping)
_SCALARS = (bool, int, float, str, type(None))


class Unkept(Exception):
    """A value that cannot be kept, since it would not come back as it was."""


class _Replayed(Exception):
    """Stands for an exception of a class that is not Python's own, with its name and its text."""


def kept_text(value: object, classes: Iterable[type] = ()) -> str:
    """The JSON of a value. Raises Unkept if it would not come back equal."""
    try:
        text = json.dumps(_plain(value))
        if value_from(text, classes) != value:
            raise Unkept
    except (TypeError, ValueError, RecursionError) as error:
        raise Unkept from error
    return text


def value_from(text: str, classes: Iterable[type] = ()) -> Any:
    """The inverse of `kept_text`. Raises Unkept for a class that is none of the named ones, and no provider's."""
    return _object(json.loads(text), {_name(cls): cls for cls in classes})


def json_text(value: object) -> str:
    """A request as canonical JSON, without addresses. Raises Unkept as `request_text` does."""
    return numbered_ids(request_text(value), {})[0]


def request_text(value: object) -> str:
    """Canonical JSON; objects of providers by class and content. Raises Unkept for anything else."""
    try:
        return _dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise Unkept from error


def numbered_ids(text: str, numbers: dict[str, str]) -> tuple[str, dict[str, str]]:
    """A request whose IDs are numbered by their first use, where CrewAI made them of addresses; and the numbers.

    It does so where a provider gives none. `numbers`: those that came before, which stay as they are.
    """
    if _MADE_UP.search(text) is None:
        return text, numbers
    numbers = dict(numbers)
    return _MADE_UP.sub(lambda found: numbers.setdefault(found[0], f'"call_{len(numbers)}"'), text), numbers


def _request_part(value: object) -> Any:
    if isinstance(value, _Object) and _is_providers(type(value)):
        return _plain(value)
    raise Unkept


_dumps = json.JSONEncoder(default=_request_part, sort_keys=True, separators=(",", ":")).encode


def error_text(error: Exception) -> str:
    """The JSON of an exception that a tool raised. Raises Unkept for CrewAI's own, which steer it."""
    cls = type(error)
    if cls.__module__.partition(".")[0] == "crewai":
        raise Unkept
    mine = getattr(builtins, cls.__name__, None) is cls and all(type(each) in _SCALARS for each in error.args)
    said = [cls.__module__, cls.__qualname__, list(error.args) if mine else [str(error)], mine]
    text = json.dumps({_RAISED: said})
    if str(error_from(text)) != str(error):
        raise Unkept
    return text


def was_raised(text: str) -> bool:
    """Whether a kept text is an exception, and no result."""
    return text.startswith(f'{{"{_RAISED}"')


def error_from(text: str) -> Exception:
    """The exception that was raised, if it is Python's own; else one with its name and its text."""
    module, name, arguments, is_builtin = json.loads(text)[_RAISED]
    if is_builtin:
        found = getattr(builtins, name, None)
        if not (isinstance(found, type) and issubclass(found, Exception)):
            raise Unkept
        return found(*arguments)
    simple = name.rpartition(".")[2]
    stand_in: type[Exception] = type(simple, (_Replayed,), {"__module__": module, "__qualname__": name})
    return stand_in(*arguments)


def _plain(value: object) -> Any:
    if type(value) in _SCALARS:
        return value
    if type(value) is list:
        return [_plain(item) for item in value]
    if type(value) is dict and not {_CLASS, _RAISED} & value.keys() and all(type(key) is str for key in value):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, BaseModel):
        members = json.loads(value.model_dump_json(by_alias=True, round_trip=True, warnings=False))
        return {_CLASS: _name(type(value)), _MEMBERS: members}
    if isinstance(value, Mapping) and _is_providers(type(value)):  # Azure's
        return {_CLASS: _name(type(value)), _MEMBERS: _plain(dict(value))}
    raise Unkept


def _object(value: Any, classes: dict[str, type]) -> Any:
    if isinstance(value, list):
        return [_object(item, classes) for item in value]
    if not isinstance(value, dict):
        return value
    if _CLASS not in value:
        return {key: _object(item, classes) for key, item in value.items()}
    cls: Any = classes.get(value[_CLASS]) or _providers_class(value[_CLASS])
    if not issubclass(cls, BaseModel):
        return cls(_object(value[_MEMBERS], classes))
    try:
        return cls.model_validate_json(json.dumps(value[_MEMBERS]))
    except ValidationError:  # a provider's client believes what it is sent, such as a tool call without an ID
        return cls.model_construct(**value[_MEMBERS])


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _is_providers(cls: type) -> bool:
    return _is_known(cls.__module__)


def _is_known(module: str) -> bool:
    return module.partition(".")[0] in _PROVIDERS or module == _ALSO


def _providers_class(name: str) -> Any:
    module, _, path = name.partition(":")
    if not _is_known(module):
        raise Unkept
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise Unkept from error
    if not (isinstance(found, type) and issubclass(found, _Object)):
        raise Unkept
    return found
