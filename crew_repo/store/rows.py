"""Between the model's dataclasses and the rows of the tables. Rows do not leave the store."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, func, select

from crew_repo.errors import StoreError
from crew_repo.model import (
    PLANNER,
    Component,
    Failure,
    InputKind,
    NewRecord,
    NewRun,
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
from crew_repo.model.usage import by_model_from_json, by_model_to_json
from crew_repo.store.columns import DamagedTime
from crew_repo.store.process_identity import pid_of
from crew_repo.store.tables import RECORD, RUN, TASK_RUN, TASK_STATE

__all__ = [
    "NEWEST_NOTES",
    "RECORD_COLUMNS",
    "RUN_COLUMNS",
    "STATE_COLUMNS",
    "TASK_RUN_COLUMNS",
    "USAGE",
    "components_of",
    "failure_of",
    "failure_row",
    "hashes_in",
    "inputs_of",
    "record_of",
    "record_or_damaged",
    "record_row",
    "run_of",
    "run_row",
    "state_of",
    "task_run_of",
    "task_run_row",
    "texts_of_run",
    "usage_of",
]

_RESULT = {  # members of StoredResult by column
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
_COUNTS = ("total_tokens", "prompt_tokens", "completion_tokens", "cached_prompt_tokens", "successful_requests")
USAGE = (*_COUNTS, "usage_by_model")
_PLAIN = (
    "workflow_id", "crew_name", "task_name", "position", "run_id", "input_hash", "definition_hash", "context_hash",
    "occurrence", "output_hash", "started_at", "completed_at", "duration_seconds", "hash_format", "not_restorable",
    "origin", "model", "person",
)  # fmt: skip
_WHOLE = ("position", "occurrence", "hash_format")
_ERROR = ("error_type", "error_message", "error_traceback")
_NOTE = (
    "run_id", "workflow_id", "task_name", "position", "input_hash", "record_id", "started_at", "finished_at",
    "duration_seconds", "tokens_saved", "seconds_saved", "model",
)  # fmt: skip


def _columns(table: Any, names: Iterable[str]) -> list[ColumnElement[Any]]:
    return [table.c[name] for name in names]


RECORD_COLUMNS = _columns(RECORD, (*_PLAIN, "record_id", "retired", *_RESULT, *USAGE, "components", "explanations"))
TASK_RUN_COLUMNS = _columns(TASK_RUN, (*_NOTE, "status", "reasons", *USAGE, *_ERROR))
RUN_COLUMNS = _columns(
    RUN,
    ("run_id", "workflow_id", "crew_name", "status", "started_at", "finished_at", "tokens_spent", "tokens_saved",
     "seconds_saved", "ordinal", "input_hashes", "source", *_ERROR, "owner", "heartbeat_at", "lease_seconds"),
)  # fmt: skip
STATE_COLUMNS = _columns(TASK_STATE, TaskState.__slots__)
NEWEST_NOTES = TASK_RUN.c.task_run_id.in_(
    select(func.max(TASK_RUN.c.task_run_id))
    .where(TASK_RUN.c.cleared_at.is_(None))
    .group_by(TASK_RUN.c.workflow_id, TASK_RUN.c.task_name)
)


def record_row(record: NewRecord) -> dict[str, Any]:
    """The row of a record that may be served."""
    row = {name: getattr(record, name) for name in _PLAIN}
    row.update({column: getattr(record.result, member) for column, member in _RESULT.items()})
    row.update(_usage_row(record.usage))
    row["components"] = _json({c.path: c.sha256 for c in record.components if c.acts})
    row["explanations"] = _json({c.path: c.sha256 for c in record.components if not c.acts})
    return row


def record_of(row: Mapping[str, Any], *, texts: Mapping[str, str] | None = None) -> Record:
    """The record in a row; its components with the texts that are given. StoreError if it is damaged."""
    _check_numbers(row)
    return Record(
        **{name: row[name] for name in _PLAIN},
        components=components_of(row, texts or {}),
        result=StoredResult(**{member: row[column] for column, member in _RESULT.items()}),
        usage=usage_of(row),
        record_id=row["record_id"],
        retired=row["retired"],
    )


def record_or_damaged(row: Mapping[str, Any], *, texts: Mapping[str, str] | None = None) -> Record:
    """Read a record; of a damaged one what can be read, and its `damage`. It only explains, and is never served."""
    try:
        return record_of(row, texts=texts)
    except StoreError as error:
        damage = str(error)
    plain = {name: row[name] for name in _PLAIN}
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


def components_of(row: Mapping[str, Any], texts: Mapping[str, str]) -> tuple[Component, ...]:
    """Read components: those that act, then those that explain. Raises StoreError if they are damaged."""
    acting, explaining = _hashes_of(row)
    return (
        *[Component(path, sha256, True, texts.get(sha256)) for path, sha256 in acting.items()],
        *[Component(path, sha256, False, texts.get(sha256)) for path, sha256 in explaining.items()],
    )


def hashes_in(row: Mapping[str, Any]) -> Iterator[str]:
    """The hashes of all components, as far as they can be read; `verify` names what cannot."""
    for column in ("components", "explanations"):
        with suppress(AttributeError, TypeError, ValueError):
            yield from (sha256 for sha256 in json.loads(row[column]).values() if isinstance(sha256, str))


def _hashes_of(row: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """The hashes by path of the components that act, and of those that explain."""
    try:
        acting, explaining = json.loads(row["components"]), json.loads(row["explanations"])
        "".join([*acting.values(), *explaining.values()])  # a TypeError, unless all are text
        return acting, explaining
    except (AttributeError, TypeError, ValueError) as error:
        raise StoreError(
            f"Record {row['record_id']} has components that are no JSON object ({error}); "
            f"delete that row of the table record, and its task runs again"
        ) from error


def task_run_row(task_run: TaskRun) -> dict[str, Any]:
    """The row of what a run did with a task."""
    row = {name: getattr(task_run, name) for name in _NOTE}
    row.update(_usage_row(task_run.usage), status=str(task_run.outcome))
    row["reasons"] = _json([reason.to_dict() for reason in task_run.reasons]) if task_run.reasons else "[]"
    row.update(failure_row(task_run.failure))
    return row


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
        **{name: row[name] for name in _NOTE},
        outcome=Outcome(row["status"]),
        reasons=tuple(Reason.from_dict(members) for members in json.loads(row["reasons"])),
        usage=usage_of(row),
        failure=failure_of(row),
    )


def run_row(new: NewRun) -> dict[str, Any]:
    """The row of a run that begins."""
    kept = None if new.inputs is None else {each.name: _kept(each) for each in new.inputs}
    return {
        "run_id": new.run_id,
        "workflow_id": new.workflow_id,
        "crew_name": new.crew_name,
        "status": str(RunStatus.RUNNING),
        "started_at": new.started_at,
        "host": socket.gethostname(),
        "pid": pid_of(new.owner),
        "owner": new.owner,
        "facts": _json(dict(new.facts)),
        "task_names": None if new.task_names is None else _json(list(new.task_names)),
        "input_hashes": None if kept is None else _json(kept),
        "source": new.source,
    }


def _kept(given: RunInput) -> list[str | None]:
    """How an input is kept: the kind, and its hash, or why it is withheld."""
    return [str(given.kind), given.why if given.kind is InputKind.WITHHELD else given.sha256]


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


def failure_row(failure: Failure | None) -> dict[str, Any]:
    """The columns of an exception."""
    if failure is None:
        return dict.fromkeys(_ERROR)
    return dict(zip(_ERROR, (failure.type, failure.message, failure.traceback), strict=True))


def _usage_row(usage: Usage) -> dict[str, Any]:
    return {**{name: getattr(usage, name) for name in _COUNTS}, "usage_by_model": by_model_to_json(usage.by_model)}


def usage_of(row: Mapping[str, Any]) -> Usage:
    """The tokens in a row of a record or note; by model where that can be read. Raises StoreError if it is damaged."""
    counts = [row[name] for name in _COUNTS]
    if not all(isinstance(count, int) for count in counts):
        raise StoreError(
            f"What run {row['run_id']} spent on task {row['task_name']} is no number ({counts}); "
            "write numbers there, or delete that row"
        )
    try:
        return replace(Usage(*counts), by_model=by_model_from_json(row["usage_by_model"]))
    except (AttributeError, TypeError, ValueError):  # these tokens have no price then; the answer is served as ever
        return Usage(*counts)


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
