"""Rows of the model's dataclasses, and the columns that `from_rows` reads. Rows do not leave the store."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, cast, func, select

from crew_repo.hashing import text_hash
from crew_repo.model import (
    Component,
    Failure,
    InputKind,
    KeptCall,
    NewRecord,
    NewRun,
    RunInput,
    RunStatus,
    TaskRun,
    TaskState,
    Usage,
)
from crew_repo.model.usage import by_model_to_json
from crew_repo.store.from_rows import COUNTS, ERROR, NOTE, PLAIN, RESULT, USAGE
from crew_repo.store.process_identity import pid_of
from crew_repo.store.tables import RECORD, RUN, TASK_RUN, TASK_STATE, TEXT

__all__ = [
    "COMPONENT_COLUMNS",
    "NEWEST_NOTES",
    "RECORD_COLUMNS",
    "RUN_COLUMNS",
    "SHARED",
    "STATE_COLUMNS",
    "TASK_RUN_COLUMNS",
    "failure_row",
    "given",
    "kept_call_row",
    "record_row",
    "run_row",
    "task_run_row",
    "texts_of",
]

_SHARED = ("agent.", "tool:", "global:")  # how the paths of components begin that other tasks and inputs have too


def _columns(table: Any, names: Iterable[str]) -> list[ColumnElement[Any]]:
    return [table.c[name] for name in names]


SHARED = select(TEXT.c.body).where(TEXT.c.sha256 == RECORD.c.shared_hash).scalar_subquery().label("shared")
COMPONENT_COLUMNS = [*_columns(RECORD, ("components", "explanations", "shared_hash")), SHARED]
RECORD_COLUMNS = [*_columns(RECORD, (*PLAIN, "record_id", "retired", *RESULT, *USAGE)), *COMPONENT_COLUMNS]
TASK_RUN_COLUMNS = _columns(TASK_RUN, (*NOTE, "status", "reasons", *USAGE, *ERROR))
RUN_COLUMNS = _columns(
    RUN,
    ("run_id", "workflow_id", "crew_name", "status", "started_at", "finished_at", "tokens_spent", "tokens_saved",
     "seconds_saved", "ordinal", "input_hashes", "source", *ERROR, "owner", "heartbeat_at", "lease_seconds"),
)  # fmt: skip
STATE_COLUMNS = _columns(TASK_STATE, TaskState.__slots__)
NEWEST_NOTES = TASK_RUN.c.task_run_id.in_(
    select(func.max(TASK_RUN.c.task_run_id))
    .where(TASK_RUN.c.cleared_at.is_(None))
    .group_by(TASK_RUN.c.workflow_id, TASK_RUN.c.task_name)
)


def given(table: Table, **instead: Any) -> tuple[list[str], list[Any]]:
    """Columns of a row, but for a key that the database gives, and where their values come from.

    They are parameters, with the names of the columns, if nothing else is said.
    """
    names = [column.name for column in table.columns if column is not table.autoincrement_column]
    values = {name: cast(bindparam(name, type_=table.c[name].type), table.c[name].type) for name in names}
    return names, [*{**values, **instead}.values()]


def record_row(record: NewRecord) -> dict[str, Any]:
    """The row of a record that may be served."""
    row = {name: getattr(record, name) for name in PLAIN}
    row.update({column: getattr(record.result, member) for column, member in RESULT.items()})
    row.update(_usage_row(record.usage))
    own, shared = _divided(record.components)
    row.update({column: _json(hashes) for column, hashes in _hashes(own).items()}, shared_hash=next(iter(shared), None))
    return row


def texts_of(record: NewRecord) -> dict[str, str]:
    """The texts to keep beside a record, by their hashes."""
    texts = {component.sha256: component.text for component in record.components if component.text is not None}
    return {**texts, **_divided(record.components)[1]}


@lru_cache(maxsize=64)
def _divided(components: tuple[Component, ...]) -> tuple[list[Component], dict[str, str]]:
    """Components of this task with these inputs alone; and the others as one text, by its hash, if there are any."""
    shared = [component for component in components if component.path.startswith(_SHARED)]
    own = [component for component in components if not component.path.startswith(_SHARED)]
    text = _json(_hashes(shared))
    return own, {text_hash(text): text} if shared else {}


def _hashes(components: Iterable[Component]) -> dict[str, dict[str, str]]:
    """The hashes by path of the components that act, and of those that explain, by column."""
    hashes: dict[str, dict[str, str]] = {"components": {}, "explanations": {}}
    for component in components:
        hashes["components" if component.acts else "explanations"][component.path] = component.sha256
    return hashes


def task_run_row(task_run: TaskRun) -> dict[str, Any]:
    """The row of what a run did with a task."""
    row = {name: getattr(task_run, name) for name in NOTE}
    row.update(_usage_row(task_run.usage), status=str(task_run.outcome))
    row["reasons"] = _json([reason.to_dict() for reason in task_run.reasons]) if task_run.reasons else "[]"
    row.update(failure_row(task_run.failure))
    return row


def kept_call_row(call: KeptCall) -> dict[str, Any]:
    """The row of a call inside a task, but for the task that it belongs to."""
    named = ("run_id", "input_hash", "occurrence", "called_at", "value")
    row = {name: getattr(call, name) for name in named}
    return {**row, "kind": str(call.kind), "call_key": call.key, **_usage_row(call.usage)}


def run_row(new: NewRun) -> dict[str, Any]:
    """The row of a run that begins."""
    kept = None if new.inputs is None else {each.name: _kept(each) for each in new.inputs}
    return {
        **_NO_RUN,
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


_NO_RUN = {column.name: None if column.default is None else column.default.arg for column in RUN.columns}  # type: ignore[attr-defined]


def _kept(given: RunInput) -> list[str | None]:
    """How an input is kept: the kind, and its hash, or why it is withheld."""
    return [str(given.kind), given.why if given.kind is InputKind.WITHHELD else given.sha256]


def failure_row(failure: Failure | None) -> dict[str, Any]:
    """The columns of an exception."""
    if failure is None:
        return dict.fromkeys(ERROR)
    return dict(zip(ERROR, (failure.type, failure.message, failure.traceback), strict=True))


def _usage_row(usage: Usage) -> dict[str, Any]:
    return {**{name: getattr(usage, name) for name in COUNTS}, "usage_by_model": by_model_to_json(usage.by_model)}


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
