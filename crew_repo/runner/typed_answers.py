"""A person's answer in the form of the one that it takes the place of, checked by the JSON schema stored with that.

The class itself is the crew's, and is not at hand: what its own validators refuse beyond the schema is found when the
answer is served, and the task then runs, with the reason. Guardrails are not asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from crew_repo.errors import InputError
from crew_repo.model import Record, StoredResult
from crew_repo.model.record import json_of_class
from crew_repo.secrets import masked

__all__ = ["answered", "checked_text"]

_LONGEST = 10_000_000  # characters; no prompt takes more
_MOST_SAID = 5
_PYDANTIC = ("output_pydantic", "response_model", "output_json", "crew.planning")
_JSON = ("output_json",)


def answered(record: Record, output: object) -> StoredResult:
    """The stored form of a person's answer in place of this record's. Raises InputError if it cannot be one."""
    typed = record.result.pydantic_json is not None or record.result.json_dict_json is not None
    text = checked_text(record.task_name, output, typed=typed)
    plain = replace(record.result, raw=text, messages_json="[]", tool_failures_json=None, reading_json=None)
    if not typed:
        return plain
    values = json.dumps(_checked(record, text), ensure_ascii=False)
    if record.result.pydantic_json is not None:
        return replace(plain, pydantic_json=values)
    return replace(plain, json_dict_json=json_of_class(values))


def checked_text(task_name: str, output: object, *, typed: bool) -> str:
    """The text of a person's answer; of a typed one its JSON. Raises InputError if it cannot be kept."""
    if typed and hasattr(output, "model_dump_json"):
        output = output.model_dump_json(by_alias=True)
    if typed and isinstance(output, Mapping):
        output = _json(task_name, output)
    if not isinstance(output, str):
        wanted = "its JSON, as a text or a dict" if typed else "a text"
        raise InputError(f"The answer to {task_name!r} is of type {type(output).__name__}; give {wanted}")
    if not output.strip():
        raise InputError(f"The answer to {task_name!r} is empty; to have the task run again, use invalidate")
    if len(output) > _LONGEST:
        raise InputError(f"The answer to {task_name!r} has {len(output):,} characters; at most {_LONGEST:,} are kept")
    if masked(output) != output:
        raise InputError(
            f"The answer to {task_name!r} has what looks like a key or password in it, which would be stored, and sent "
            f"to the models of the tasks that read it; write [secret] in its place"
        )
    if typed:
        _check_json(task_name, output)
    return str(output)


def _check_json(task_name: str, text: str) -> None:
    try:
        json.loads(text)
    except ValueError as error:
        raise InputError(f"The answer to {task_name!r} is no JSON, which this task gives: {error}") from error


def _json(task_name: str, values: Mapping[str, Any]) -> str:
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"The answer to {task_name!r} has a value that is not JSON: {error}") from error


def _checked(record: Record, text: str) -> Any:
    """The values of a typed answer. Raises InputError naming each field that its schema refuses."""
    what, values = f"The answer to {record.task_name!r}", json.loads(text)
    schema = _schema(record)
    if schema is None:
        raise InputError(
            f"{what} has to be of the task's own type, and no JSON schema of that is stored; correct it in the class, "
            "or in the task's guardrail"
        )
    wrong = list(_wrong(schema, values))
    if wrong:
        more = f"; and {len(wrong) - _MOST_SAID} more" if len(wrong) > _MOST_SAID else ""
        name = schema.get("title", "its schema")
        raise InputError(f"{what} is no {name}: {'; '.join(wrong[:_MOST_SAID])}{more}")
    return values


def _schema(record: Record) -> dict[str, Any] | None:
    """The JSON schema that was hashed with the task, if its text is stored and it is one."""
    texts = {component.path: component.text for component in record.components}
    names = _PYDANTIC if record.result.pydantic_json is not None else _JSON
    text = next((found for name in names if (found := texts.get(f"{name}.schema"))), None)
    schema = None if text is None else json.loads(text)
    return schema if isinstance(schema, dict) and "no schema" not in schema else None


def _wrong(schema: dict[str, Any], values: Any) -> Iterator[str]:
    from jsonschema.validators import validator_for  # type: ignore[import-untyped]

    checks = validator_for(schema)
    for error in checks(schema, format_checker=checks.FORMAT_CHECKER).iter_errors(values):
        where = ".".join(map(str, error.absolute_path)) or "the whole"
        yield f"{where}: {error.message if len(error.message) < 300 else error.message[:300] + '...'}"
