"""The model's dataclasses from rows, which are mappings of times, texts and numbers. No database library is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any

from crew_repo.errors import StoreError
from crew_repo.model import (
    PLANNER,
    Component,
    Failure,
    InputKind,
    Outcome,
    Reason,
    Record,
    RunInput,
    RunRecord,
    RunStatus,
    StoredResult,
    TaskRun,
    TaskState,
    Usage,
)
from crew_repo.model.usage import by_model_from_json
from crew_repo.store.stored_values import DamagedTime, time_read

__all__ = [
    "ERROR",
    "NOTE",
    "PLAIN",
    "RESULT",
    "USAGE",
    "failure_of",
    "hashes_in",
    "inputs_of",
    "interrupted_task",
    "plain_row",
    "record_of",
    "record_or_damaged",
    "run_of",
    "state_of",
    "task_run_of",
    "texts_of_run",
    "whole_components",
]

RESULT = {  # members of StoredResult by column
    "output": "raw",
    "agent": "agent",
    "name": "name",
    "description": "description",
    "expected_output": "expected_output",
    "output_format": "output_format",
    "pydantic_json": "pydantic_json",
    "json_dict": "json_dict_json",
    "messages": "messages_json",
    "tool_failures": "tool_failures_json",
    "reading": "reading_json",
}
COUNTS = ("total_tokens", "prompt_tokens", "completion_tokens", "cached_prompt_tokens", "successful_requests")
USAGE = (*COUNTS, "usage_by_model")
PLAIN = (
    "workflow_id", "crew_name", "task_name", "position", "run_id", "input_hash", "definition_hash", "context_hash",
    "occurrence", "output_hash", "started_at", "completed_at", "duration_seconds", "hash_format", "not_restorable",
    "origin", "model", "person",
)  # fmt: skip
_WHOLE = ("position", "occurrence", "hash_format")
_COMPONENTS = ("components", "explanations")
ERROR = ("error_type", "error_message", "error_traceback")
NOTE = (
    "run_id", "workflow_id", "task_name", "position", "input_hash", "record_id", "started_at", "finished_at",
    "duration_seconds", "tokens_saved", "seconds_saved", "model",
)  # fmt: skip


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row that a query gave, which knows no types, with the times that the columns of the tables give."""
    return {
        name: time_read(value) if name.endswith("_at") and value is not None else value for name, value in row.items()
    }


def record_of(row: Mapping[str, Any], *, texts: Mapping[str, str] | None = None, parts: bool = True) -> Record:
    """The record in a row; its components with the texts that are given, if `parts` are wanted, which only explain.

    StoreError if it is damaged.
    """
    _check_numbers(row)
    acting, explaining = _hashes_of(row)
    return Record(
        **{name: row[name] for name in PLAIN},
        components=_components(acting, explaining, texts or {}) if parts else (),
        result=StoredResult(**{member: row[column] for column, member in RESULT.items()}),
        usage=usage_of(row),
        record_id=row["record_id"],
        retired=row["retired"],
    )


def record_or_damaged(
    row: Mapping[str, Any], *, texts: Mapping[str, str] | None = None, parts: bool = True
) -> Record:
    """Read a record; of a damaged one what can be read, and its `damage`. It only explains, and is never served."""
    try:
        return record_of(row, texts=texts, parts=parts)
    except StoreError as error:
        damage = str(error)
    plain = {name: row[name] for name in PLAIN}
    plain.update({name: 0 for name in (*_WHOLE, "duration_seconds") if not _is_number(row[name])})
    return Record(**plain, components=(), result=StoredResult(raw=""), usage=Usage(), record_id=row["record_id"],
                  retired=row["retired"], damage=damage)  # fmt: skip


def _check_numbers(row: Mapping[str, Any]) -> None:
    odd = [name for name in _WHOLE if type(row[name]) is not int]
    odd += [] if _is_number(row["duration_seconds"]) else ["duration_seconds"]
    odd += [name for name in ("started_at", "completed_at") if isinstance(row[name], DamagedTime)]
    if odd:
        held = ", ".join(f"{name} {getattr(row[name], 'text', row[name])!r}" for name in odd)
        raise StoreError(
            f"Record {row['record_id']} was changed: {held} is not what was written there; "
            "delete that row of the table record, and its task runs again"
        )


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _components(
    acting: Mapping[str, str], explaining: Mapping[str, str], texts: Mapping[str, str]
) -> tuple[Component, ...]:
    """The components: those that act, then those that explain, with the texts that are given."""
    return (
        *[Component(path, sha256, True, texts.get(sha256)) for path, sha256 in acting.items()],
        *[Component(path, sha256, False, texts.get(sha256)) for path, sha256 in explaining.items()],
    )


def hashes_in(row: Mapping[str, Any]) -> Iterator[str]:
    """The hashes of the texts of a record, as far as they can be read; `verify` names what cannot."""
    if row["shared_hash"] is not None:
        yield row["shared_hash"]
    for column in _COMPONENTS:
        with suppress(AttributeError, TypeError, ValueError):
            yield from (sha256 for sha256 in _hashes_by_path(row, column).values() if isinstance(sha256, str))


def whole_components(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of components with those that are kept apart, as JSON; as they are where they cannot be read."""
    with suppress(AttributeError, TypeError, ValueError):
        return {column: json.dumps(_hashes_by_path(row, column), ensure_ascii=False) for column in _COMPONENTS}
    return {column: row[column] for column in _COMPONENTS}


def _hashes_by_path(row: Mapping[str, Any], column: str) -> dict[str, str]:
    """The hashes in a column, and those that are kept apart, since other records have them too."""
    return {**json.loads(row[column]), **_shared(row.get("shared") or "{}").get(column, {})}


@lru_cache(maxsize=64)
def _shared(text: str) -> dict[str, dict[str, str]]:
    shared: dict[str, dict[str, str]] = json.loads(text)
    return shared


def _hashes_of(row: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """The hashes by path of the components that act, and of those that explain."""
    try:
        acting, explaining = (_hashes_by_path(row, column) for column in _COMPONENTS)
        "".join([*acting.values(), *explaining.values()])  # a TypeError, unless all are text
        return acting, explaining
    except (AttributeError, TypeError, ValueError) as error:
        raise StoreError(
            f"Record {row['record_id']} has components that are no JSON object ({error}); "
            f"delete that row of the table record, and its task runs again"
        ) from error


def task_run_of(row: Mapping[str, Any]) -> TaskRun:
    """The inverse of `task_run_row`. Raises StoreError if a person or a disk has damaged it."""
    try:
        return _task_run_of(row)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"What run {row['run_id']} did with task {row['task_name']} cannot be read ({error}); "
            "delete that row of the table task_run"
        ) from error


def _task_run_of(row: Mapping[str, Any]) -> TaskRun:
    _check_times(row, "started_at", "finished_at")
    return TaskRun(
        **{name: row[name] for name in NOTE},
        outcome=Outcome(row["status"]),
        reasons=tuple(Reason.from_dict(members) for members in json.loads(row["reasons"])),
        usage=usage_of(row),
        failure=failure_of(row),
    )


def inputs_of(row: Mapping[str, Any], texts: Mapping[str, str]) -> tuple[RunInput, ...] | None:
    """The inputs of a run, with those of their texts that are given. Raises ValueError or TypeError for damage."""
    if row["input_hashes"] is None:
        return None
    return tuple(_input_of(name, InputKind(kind), said, texts)
                 for name, (kind, said) in json.loads(row["input_hashes"]).items())  # fmt: skip


def _input_of(name: str, kind: InputKind, said: str, texts: Mapping[str, str]) -> RunInput:
    if kind is InputKind.WITHHELD:
        return RunInput(name, kind, why=said)
    return RunInput(name, kind, sha256=said, text=None if kind is InputKind.FILE else texts.get(said))


def interrupted_task(lease: Mapping[str, Any]) -> TaskRun:
    """A note of what a process that is gone was doing."""
    return TaskRun(
        lease["run_id"],
        lease["workflow_id"],
        lease["task_name"],
        lease["position"],
        Outcome.INTERRUPTED,
        input_hash=lease["input_hash"],
        started_at=lease["acquired_at"],
    )


def texts_of_run(row: Mapping[str, Any]) -> list[str]:
    """The hashes of the texts that a run was given; none where they cannot be read."""
    with suppress(AttributeError, TypeError, ValueError):
        return [each.sha256 for each in inputs_of(row, {}) or () if each.sha256 and each.kind is not InputKind.FILE]
    return []


def run_of(
    row: Mapping[str, Any], tasks: Sequence[TaskRun], status: RunStatus | None = None,
    texts: Mapping[str, str] | None = None,
) -> RunRecord:  # fmt: skip
    """The run in a row, with its tasks in order, and its inputs with those of their texts that are given.

    `status` is given where the row is out of date. Raises StoreError if a person or a disk has damaged it.
    """
    try:
        _check_times(row, "started_at", "finished_at")
        return replace(_run_of(row, tasks, status), inputs=inputs_of(row, texts or {}))
    except (AttributeError, TypeError, ValueError) as error:
        raise StoreError(
            f"Run {row['run_id']} cannot be read ({error}); mend that row of the table run_entry, or delete it "
            "and its rows of task_run"
        ) from error


def _run_of(row: Mapping[str, Any], tasks: Sequence[TaskRun], status: RunStatus | None) -> RunRecord:
    if status is not None or row["status"] == str(RunStatus.RUNNING):  # it has not summed up yet
        row = {**row, "tokens_spent": sum(task.usage.total_tokens for task in tasks),
               "tokens_saved": sum(task.tokens_saved for task in tasks),
               "seconds_saved": sum(task.seconds_saved for task in tasks)}  # fmt: skip
    return RunRecord(
        run_id=row["run_id"],
        workflow_id=row["workflow_id"],
        crew_name=row["crew_name"],
        status=status or RunStatus(row["status"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        tasks=tuple(sorted((t for t in tasks if t.task_name != PLANNER), key=lambda task: task.position)),
        tokens_spent=row["tokens_spent"],
        tokens_saved=row["tokens_saved"],
        seconds_saved=row["seconds_saved"],
        failure=failure_of(row),
        planner=next((task for task in tasks if task.task_name == PLANNER), None),
        ordinal=row["ordinal"],
        source=row["source"],
    )


def state_of(row: Mapping[str, Any]) -> TaskState:
    """A row of the view. Raises StoreError if a person or a disk has damaged what it shows."""
    try:
        _check_times(row, "completed_at", "started_at")
    except ValueError as error:
        raise StoreError(
            f"The state of task {row['task_name']} in workflow {row['workflow_id']} cannot be read ({error}); "
            "verify() names the record, or mend that row of the table task_run"
        ) from error
    return TaskState(**{**row, "in_crew": None if row["in_crew"] is None else bool(row["in_crew"])})


def _check_times(row: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if isinstance(row[name], DamagedTime):
            raise ValueError(f"its {name} is no time: {row[name].text!r}")


def failure_of(row: Mapping[str, Any]) -> Failure | None:
    """The exception in a row of a run or task."""
    if row["error_type"] is None:
        return None
    return Failure(row["error_type"], row["error_message"] or "", row["error_traceback"] or "")


def usage_of(row: Mapping[str, Any]) -> Usage:
    """The tokens in a row of a record or note; by model where that can be read. Raises StoreError if they cannot."""
    counts = {name: row[name] for name in COUNTS}
    if not all(isinstance(count, int) for count in counts.values()):
        raise StoreError(
            f"What run {row['run_id']} spent on task {row['task_name']} is no number ({list(counts.values())}); "
            "write numbers there, or delete that row"
        )
    return Usage(**counts, by_model=by_model_from_json(row["usage_by_model"]))
