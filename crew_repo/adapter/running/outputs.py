"""A TaskOutput as text and back: the user's own pydantic class, the JSON dict, the messages.

Nothing is imported by a stored name and nothing is unpickled. A typed output is rebuilt with the class that the task
has now, from its dump or from the raw text that CrewAI made it of; `store_output` tries this at once, keeps the first
reading that gives the original again, and says so where none does.
The task's context is taken out of the messages, since it is the same text again that the upstream records hold:
so a state file grows with the number of tasks, not with its square. A record is served only for the same context,
which then puts it back.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from crewai import Task
from crewai.tasks.output_format import OutputFormat
from crewai.tasks.task_output import TaskOutput
from crewai.utilities.converter import convert_to_model
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from crew_repo.adapter.crew_secrets import without_secrets
from crew_repo.hashing import hash_value
from crew_repo.model import StoredResult
from crew_repo.model.record import OF_CLASS, json_of_class
from crew_repo.staleness import NotRestorableError
from crew_repo.time_limits import faults, let_through

__all__ = ["restore_output", "store_output", "store_text"]

_SHORTEST_CONTEXT = 64
_CONTEXT = {"crew_repo": "context"}
_NOT_JSON = "not JSON"
_RAW = json.dumps("raw")


def store_output(
    output: TaskOutput, task: Task, context: str, secrets: Collection[str] = ()
) -> tuple[StoredResult, str | None]:
    """The output as it is stored, and why it could not be restored (None if it can).

    Of the secrets, none is kept in the messages, where a tool's error may have named it, nor in what was asked, which
    is the name of a task that has none; the answer itself stays as it is.
    Whatever the user's classes raise here, the task is paid for: it is stored, and not served. But not at the first
    time: what a signal handler raises among them, a time limit, says nothing about the output.
    """
    result, why = _stored(output, task, context, secrets)
    return (result, why) if why is None else _stored(output, task, context, secrets)


def store_text(
    output: TaskOutput, task: Task, _context: str, secrets: Collection[str] = ()
) -> tuple[StoredResult, str | None]:
    """The text alone of an output that `store_output` raises for, and why it is not served."""
    described = without_secrets(secrets, str(task.description))
    result = StoredResult(raw=str(output.raw), agent=str(output.agent), description=described, messages_json="[]")
    return result, "storing its output raises an exception; only its text is kept"


def _stored(
    output: TaskOutput, task: Task, context: str, secrets: Collection[str]
) -> tuple[StoredResult, str | None]:
    result = StoredResult(
        raw=output.raw if isinstance(output.raw, str) else str(output.raw),
        agent=output.agent,
        name=without_secrets(secrets, output.name),
        description=without_secrets(secrets, output.description),
        expected_output=without_secrets(secrets, output.expected_output),
        output_format=str(output.output_format.value),
        pydantic_json=_dump_model(output.pydantic),
        json_dict_json=_dump_dict(output.json_dict, task),
        messages_json=_dump_messages(output.messages, context, secrets),
        tool_failures_json=_dump_failures(output, secrets),
    )
    result, why = _as_restorable(output, result, task, context)
    return result, without_secrets(secrets, why)


def restore_output(result: StoredResult, task: Task, context: str) -> TaskOutput:
    """The TaskOutput again, with the name that the task has now.

    Raises NotRestorableError where the task's class no longer accepts what is stored.
    """
    typed, values = _typed(result, task)
    members: dict[str, Any] = {
        "name": None if result.name is None else task.name or result.description,
        "description": result.description,
        "expected_output": result.expected_output,
        "raw": result.raw,
        "agent": result.agent,
        "output_format": OutputFormat(result.output_format),
        "pydantic": typed,
        "json_dict": values,
        "messages": _load_messages(result.messages_json, context),
    }
    if result.tool_failures_json is not None:
        members["tool_failures"] = json.loads(result.tool_failures_json)
    return TaskOutput(**members)


def _as_restorable(
    output: TaskOutput, result: StoredResult, task: Task, context: str
) -> tuple[StoredResult, str | None]:
    """The first of the readings that gives the output again; if none does, the plainest one, and why not."""
    difference = None
    for reading in _readings(output, result):
        found = _difference(output, reading, task, context)
        if found is None:
            return reading, None
        difference = difference or found
    return result, difference


def _readings(output: TaskOutput, result: StoredResult) -> Iterator[StoredResult]:
    """The ways to read a typed output again: from its dump; so, with the fields that were set; from the raw text.

    A dump says of no field whether it was set, leaves out what the class hides, and may be no input that it accepts.
    """
    yield result
    if output.pydantic is not None:
        yield replace(result, reading_json=json.dumps({"set": _fields_set(output.pydantic)}))
    if output.pydantic is not None or output.json_dict is not None:
        yield replace(result, reading_json=_RAW)


def _typed(result: StoredResult, task: Task) -> tuple[BaseModel | None, dict[str, Any] | None]:
    """The typed members of a stored output.

    One that is read from the raw text must have the stored dump again: a class may take something else, such as
    today's date, into what it reads.
    """
    if result.reading_json == _RAW:
        typed, values = _read_raw(result.raw, task)
        if (_dump_model(typed), _dump_dict(values, task)) != (result.pydantic_json, result.json_dict_json):
            raise NotRestorableError(f"{_name_of_class(task)} now makes another object of the raw text")
        return typed, values
    model = _load_model(result.pydantic_json, task)
    if model is not None and result.reading_json is not None:
        _set_fields(model, json.loads(result.reading_json)["set"])
    return model, _load_dict(result.json_dict_json, task)


def _fields_set(model: BaseModel) -> dict[str, list[str]]:
    """The names of the fields that were set, of each model in a model, by where it stands."""
    return {where: sorted(each.model_fields_set) for where, each in _models(model, "")}


def _set_fields(model: BaseModel, names: dict[str, list[str]]) -> None:
    for where, each in _models(model, ""):
        each.__pydantic_fields_set__ = set(names.get(where, ()))


def _models(value: Any, where: str) -> Iterator[tuple[str, BaseModel]]:
    """The models in a value: itself, and those in its fields, items and values, and in those of dataclasses."""
    if isinstance(value, BaseModel):
        yield where, value
    parts = _fields(value) if _has_fields(value) else value
    if isinstance(parts, (list, tuple)):
        parts = dict(enumerate(parts))
    if isinstance(parts, dict):
        for name, part in parts.items():
            yield from _models(part, f"{where}/{name}")


def _has_fields(value: Any) -> bool:
    return isinstance(value, BaseModel) or (is_dataclass(value) and not isinstance(value, type))


def _fields(value: Any) -> dict[str, Any]:
    """The values of the fields of a model or a dataclass."""
    if isinstance(value, BaseModel):
        return {name: vars(value).get(name) for name in type(value).model_fields}
    return {field.name: getattr(value, field.name, None) for field in fields(value)}


def _read_raw(raw: str, task: Task) -> tuple[BaseModel | None, dict[str, Any] | None]:
    """The typed members that CrewAI makes of a raw text by itself: without an agent it asks no model."""
    try:
        made = convert_to_model(raw, _class_of(task), None if task.output_pydantic else task.output_json)
    except Exception as error:  # a validator may raise anything
        let_through(error)
        raise NotRestorableError(f"{_name_of_class(task)} does not read the raw text: {_first(error)}") from error
    return (made, None) if isinstance(made, BaseModel) else (None, made if isinstance(made, dict) else None)


def _difference(output: TaskOutput, result: StoredResult, task: Task, context: str) -> str | None:
    if output.pydantic is None and output.json_dict is None and result.raw is output.raw:
        return None  # a text comes back as it is
    try:
        return _different_part(output, restore_output(result, task, context))
    except (NotRestorableError, ValueError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - __eq__ and validators are the user's own code
        let_through(error)
        return f"comparing it with what comes back from storage raises {type(error).__name__}: {error}"


def _different_part(output: TaskOutput, restored: TaskOutput) -> str | None:
    if type(restored.pydantic) is not type(output.pydantic):
        return f"its pydantic output is a {_name(output.pydantic)}, not the task's {_name(restored.pydantic)}"
    for name in ("pydantic", "json_dict", "raw"):
        if not _same(getattr(restored, name), getattr(output, name)):
            return f"its {name} comes back from storage as something else"
    return None


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal in type and content, and models also in which of their fields were set.

    Private attributes aside; a number that is none equals its like.
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, BaseModel):
        extras = _same(one.__pydantic_extra__, other.__pydantic_extra__)
        return one.model_fields_set == other.model_fields_set and extras and _same(_fields(one), _fields(other))
    if _has_fields(one) and not _same(_fields(one), _fields(other)):
        return False  # else its other attributes decide, if it has any
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(_same, one.values(), other.values()))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    hashes = [hash_value(value, "output") for value in (one, other)]
    return not any(hashed.opaque for hashed in hashes) and hashes[0].sha256 == hashes[1].sha256


def _name(value: object) -> str:
    return type(value).__qualname__


def _class_of(task: Task) -> Any:
    return task.output_pydantic or getattr(task, "response_model", None)


def _name_of_class(task: Task) -> str:
    return str(getattr(_class_of(task) or task.output_json, "__qualname__", "the task"))


def _dump_model(model: BaseModel | None) -> str | None:
    """By alias and for a round trip; a model without a JSON form is stored as null and reported by `_difference`."""
    if model is None:
        return None
    try:
        return model.model_dump_json(by_alias=True, round_trip=True)
    except Exception as error:  # noqa: BLE001 - serializers are the user's own code
        let_through(error)
        return "null"


def _load_model(text: str | None, task: Task) -> BaseModel | None:
    if text is None:
        return None
    cls = _class_of(task) or task.output_json
    if cls is None:
        raise NotRestorableError("it has a pydantic output, but the task has no class for it; set output_pydantic")
    try:
        return cls.model_validate_json(text)
    except Exception as error:  # a validator may raise anything
        let_through(error)
        raise NotRestorableError(f"{cls.__qualname__} no longer accepts what is stored: {_first(error)}") from error


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"it raises {type(error).__name__}: {error}"
    details = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, details["loc"])) or "the whole"
    return f"{where}: {details['msg']}"


def _dump_dict(values: dict[str, Any] | None, task: Task) -> str | None:
    """Dump a dict as JSON; one with dates or decimals through the task's own class, which can tell them again.

    That is noted by a list around it: whatever keys a user's class has, a dict is a dict.
    """
    if values is None:
        return None
    with faults():  # values that are not JSON, or cannot be compared: numpy's, say
        plain = json.dumps(values, ensure_ascii=False, allow_nan=False)
        if json.loads(plain) == values:
            return plain
    if task.output_json is None:
        return json.dumps([_NOT_JSON])
    try:
        typed = task.output_json.model_validate(values).model_dump_json(round_trip=True)
    except Exception as error:  # noqa: BLE001 - validators and serializers are the user's own code
        let_through(error)
        return json.dumps([_NOT_JSON])
    return json_of_class(json.dumps(json.loads(typed), ensure_ascii=False))


def _load_dict(text: str | None, task: Task) -> dict[str, Any] | None:
    stored: dict[str, Any] | list[Any] | None = None if text is None else json.loads(text)
    if not isinstance(stored, list):
        return stored
    if stored[0] != OF_CLASS or task.output_json is None:
        raise NotRestorableError("its json_dict has values that JSON cannot hold")
    try:
        return task.output_json.model_validate(stored[1]).model_dump()
    except Exception as error:
        let_through(error)
        message = f"{task.output_json.__qualname__} no longer accepts what is stored: {_first(error)}"
        raise NotRestorableError(message) from error


def _dump_failures(output: TaskOutput, secrets: Collection[str]) -> str | None:
    failures = getattr(output, "tool_failures", None)
    if not failures:
        return None
    plain = TypeAdapter(list[Any]).dump_python(failures, mode="json", fallback=str)
    return json.dumps(without_secrets(secrets, plain), ensure_ascii=False)


def _dump_messages(messages: list[Any], context: str, secrets: Collection[str]) -> str:
    plain = to_jsonable_python(messages, bytes_mode="base64", fallback=_type_only)
    shortened = [_without_context(message, context) for message in plain]
    return json.dumps(without_secrets(secrets, shortened), ensure_ascii=False)


def _type_only(value: object) -> str:
    return f"<{type(value).__qualname__}>"


def _without_context(message: Any, context: str) -> Any:
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, str) or len(context) < _SHORTEST_CONTEXT or context not in content:
        return message
    before, _, after = content.partition(context)
    return {**message, "content": [before, _CONTEXT, after]}


def _load_messages(text: str | None, context: str) -> list[Any]:
    return [_with_context(message, context) for message in json.loads(text or "[]")]


def _with_context(message: Any, context: str) -> Any:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list) and len(content) == 3 and content[1] == _CONTEXT:
        return {**message, "content": f"{content[0]}{context}{content[2]}"}
    return message

