"""The tables of the state, made for people with a SQL prompt: times are UTC text, JSON is text, text is text.

The large columns stand last, so that reading the small ones touches no overflow page. The tables have their own
metadata: an application's own SQLModel tables neither clash with these nor are created beside them.
(No `from __future__ import annotations` here: SQLModel reads the annotations.)
"""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import Double, Index, MetaData, Table
from sqlalchemy import text as sql_text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from crew_repo.store.columns import Identity, PlainText, UtcText

__all__ = [
    "CHANGE",
    "HELD_ANSWER",
    "INVALIDATION",
    "KEPT_CALL",
    "LEASE",
    "METADATA",
    "RECORD",
    "RUN",
    "TASK_RUN",
    "TASK_STATE",
    "TEXT",
]

METADATA = MetaData()
_VIEWS = MetaData()
_LIVE = sql_text("retired IS NULL")
_SHOWN = sql_text("cleared_at IS NULL")
_RUNNING = sql_text("status = 'running'")
_BY_PERSON = sql_text("origin = 'person'")


class _Base(SQLModel, registry=registry(metadata=METADATA)):
    """The base of the tables."""

    metadata = METADATA


class _View(SQLModel, registry=registry(metadata=_VIEWS)):
    """The base of the views, which are no tables to create."""

    metadata = _VIEWS


def _text(**options: Any) -> Any:
    return Field(sa_type=PlainText, **options)


def _time(**options: Any) -> Any:
    return Field(sa_type=UtcText, **options)


def _count(**options: Any) -> Any:
    return Field(sa_type=cast(Any, Identity), default=0, **options)


def _number(**options: Any) -> Any:
    return Field(sa_type=Double, **options)


def _serial() -> Any:
    return Field(default=None, primary_key=True, sa_type=cast(Any, Identity))


class Run(_Base, table=True):
    """One run of a crew, as it wrote itself down. `status` is running, completed, failed or interrupted.

    The view `run` says of a run that was killed that it is interrupted. `number`: runs in the order in which they
    began, which no clock can disturb. `task_names`: the tasks of the crew, as a JSON array. `ordinal`: the runs of its
    workflow from 1 on; that of a run that was deleted is not given again while there is a newer one. `input_hashes`:
    how each input is kept, as JSON; the view `run` shows the values. `source`: where the crew can be loaded from.
    `waits_for`: the runs that execute what it waits for, by the name of its task, as JSON.
    """

    __tablename__ = "run_entry"
    __table_args__ = (
        Index("run_by_workflow", "workflow_id", "number"),
        Index("run_number", "number", unique=True),
        Index("run_running", "run_id", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
    )

    run_id: str = _text(primary_key=True)
    workflow_id: str = _text()
    crew_name: str = _text()
    status: str = _text()
    started_at: datetime = _time()
    finished_at: datetime | None = _time()
    host: str | None = _text()
    pid: int | None = None
    owner: str = _text()
    heartbeat_at: datetime = _time()
    lease_seconds: float = _number()
    executed: int = _count()
    reused: int = _count()
    failed: int = _count()
    tokens_spent: int = _count()
    tokens_saved: int = _count()
    seconds_saved: float = _number(default=0.0)
    error_type: str | None = _text()
    error_message: str | None = _text()
    error_traceback: str | None = _text()
    facts: str = _text(default="{}")
    number: int = Field(sa_type=cast(Any, Identity))
    task_names: str | None = _text()
    ordinal: int = Field(sa_type=cast(Any, Identity))
    input_hashes: str | None = _text()
    source: str | None = _text()
    waits_for: str | None = _text()


class Record(_Base, table=True):
    """One finished task. A record with `retired` NULL may be served; of those there is one per input hash.

    `origin` is model or person; `person` says who gave the answer, if a person did. `usage_by_model`: the tokens of
    each model that was asked, as JSON, each token counted once; NULL where that is not known. `shared_hash`: the text
    with the components of its agent, its tools and its globals, which other records have too.
    """

    __tablename__ = "record"
    __table_args__ = (
        Index("record_live", "input_hash", "workflow_id", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("record_by_task", "workflow_id", "task_name", "record_id"),
        Index("record_by_definition", "definition_hash", "workflow_id", sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("record_by_person", "workflow_id", sqlite_where=_BY_PERSON, postgresql_where=_BY_PERSON),
        {"sqlite_autoincrement": True},
    )

    record_id: int | None = _serial()
    workflow_id: str = _text()
    crew_name: str = _text()
    task_name: str = _text()
    position: int
    run_id: str = _text()
    input_hash: str = _text()
    definition_hash: str = _text()
    context_hash: str = _text()
    occurrence: int
    output_hash: str = _text()
    hash_format: int
    origin: str = _text()
    retired: str | None = _text()
    retired_at: datetime | None = _time()
    not_restorable: str | None = _text()
    started_at: datetime = _time()
    completed_at: datetime = _time()
    duration_seconds: float = _number()
    total_tokens: int = _count()
    prompt_tokens: int = _count()
    completion_tokens: int = _count()
    cached_prompt_tokens: int = _count()
    successful_requests: int = _count()
    fence: int | None = Field(default=None, sa_type=cast(Any, Identity))
    agent: str = _text()
    name: str | None = _text()
    output_format: str = _text()
    output: str = _text()
    pydantic_json: str | None = _text()
    json_dict: str | None = _text()
    description: str = _text()
    expected_output: str | None = _text()
    messages: str | None = _text()
    tool_failures: str | None = _text()
    components: str = _text()
    explanations: str = _text()
    reading: str | None = _text()
    model: str | None = _text()
    person: str | None = _text()
    usage_by_model: str | None = _text()
    shared_hash: str | None = _text()


class Text(_Base, table=True):
    """Texts, each kept once: what components were hashed from, for showing differences; and components in common."""

    __tablename__ = "text"

    sha256: str = _text(primary_key=True)
    body: str = _text()


class TaskRun(_Base, table=True):
    """A note of what one run did with one task. `cleared_at`: a person deleted the task's row from `task_state`."""

    __tablename__ = "task_run"
    __table_args__ = (
        Index("task_run_newest", "workflow_id", "task_name", "task_run_id",
              sqlite_where=_SHOWN, postgresql_where=_SHOWN),
        Index("task_run_place", "run_id", "position", unique=True),
        {"sqlite_autoincrement": True},
    )  # fmt: skip

    task_run_id: int | None = _serial()
    run_id: str = _text(foreign_key="run_entry.run_id")
    workflow_id: str = _text()
    task_name: str = _text()
    position: int
    status: str = _text()
    input_hash: str | None = _text()
    record_id: int | None = Field(default=None, sa_type=cast(Any, Identity))
    started_at: datetime | None = _time()
    finished_at: datetime | None = _time()
    duration_seconds: float | None = _number()
    total_tokens: int = _count()
    prompt_tokens: int = _count()
    completion_tokens: int = _count()
    cached_prompt_tokens: int = _count()
    successful_requests: int = _count()
    tokens_saved: int = _count()
    seconds_saved: float = _number(default=0.0)
    cleared_at: datetime | None = _time()
    reasons: str = _text(default="[]")
    error_type: str | None = _text()
    error_message: str | None = _text()
    error_traceback: str | None = _text()
    model: str | None = _text()
    usage_by_model: str | None = _text()


class Lease(_Base, table=True):
    """A timed claim on one piece of work. The key is the fence: the database hands out each number once."""

    __tablename__ = "lease"
    __table_args__ = (
        Index("lease_work", "workflow_id", "input_hash", unique=True),
        {"sqlite_autoincrement": True},
    )

    fence: int | None = _serial()
    workflow_id: str = _text()
    input_hash: str = _text()
    owner: str = _text()
    run_id: str = _text(foreign_key="run_entry.run_id")
    task_name: str = _text()
    position: int
    acquired_at: datetime = _time()
    expires_at: datetime = _time()


class Invalidation(_Base, table=True):
    """A task that a person invalidated in one workflow; what others had recorded by then is not served there.

    `record_id`: the newest record at that time. Only states that share records across workflows need it.
    """

    __tablename__ = "invalidation"

    workflow_id: str = _text(primary_key=True)
    task_name: str = _text(primary_key=True)
    record_id: int = _count()
    invalidated_at: datetime = _time()


class Change(_Base, table=True):
    """A change that a person made: who, when, why, and which record was in force before and after. Never altered.

    `kind` is override, mark complete, adopt, invalidate, prune, undo or redo. `records`: what was taken out of force,
    as a JSON array of record numbers. `undoes`: the entry that this one takes back, or does again.
    """

    __tablename__ = "change"
    __table_args__ = (
        Index("change_by_task", "workflow_id", "task_name"),
        Index("change_undone", "undoes"),
        {"sqlite_autoincrement": True},
    )

    change_id: int | None = _serial()
    workflow_id: str | None = _text()
    task_name: str | None = _text()
    kind: str = _text()
    changed_at: datetime = _time()
    changed_by: str = _text()
    reason: str | None = _text()
    input_hash: str | None = _text()
    record_before: int | None = Field(default=None, sa_type=cast(Any, Identity))
    record_after: int | None = Field(default=None, sa_type=cast(Any, Identity))
    hash_before: str | None = _text()
    hash_after: str | None = _text()
    records: str = _text(default="[]")
    undoes: int | None = Field(default=None, sa_type=cast(Any, Identity))
    detail: str | None = _text()


class HeldAnswer(_Base, table=True):
    """An answer that a person gave to a task whose context was not known yet: a run adopts it, or not.

    It is bound to the definition of the task. `change_id`: the entry that says who gave it, when and why; that has the
    hash too. With `retired` NULL it may be adopted; else it was adopted, undone, invalidated or deleted. `retired_by`:
    the entry that says so.
    """

    __tablename__ = "held_answer"
    __table_args__ = (
        Index("held_answer_place", "workflow_id", "task_name", "definition_hash", unique=True,
              sqlite_where=_LIVE, postgresql_where=_LIVE),
        {"sqlite_autoincrement": True},
    )  # fmt: skip

    held_id: int | None = _serial()
    workflow_id: str = _text()
    task_name: str = _text()
    definition_hash: str = _text()
    output: str = _text()
    output_hash: str = _text()
    change_id: int = Field(sa_type=cast(Any, Identity))
    retired: str | None = _text()
    retired_by: int | None = Field(default=None, sa_type=cast(Any, Identity))


class KeptCall(_Base, table=True):
    """An answer of a model, or a result of a tool, inside a task that has not finished; gone when it has a record.

    `kind` is model, tool or error (a tool has raised). `call_key` is the hash of the request, of which nothing else is
    kept. `occurrence` numbers equal requests from 1 on. `run_id` is the run that paid for it, `input_hash` its work.
    """

    __tablename__ = "kept_call"
    __table_args__ = (
        Index("kept_call_place", "workflow_id", "task_name", "input_hash", "call_key", "occurrence", unique=True),
        {"sqlite_autoincrement": True},
    )

    call_id: int | None = _serial()
    workflow_id: str = _text()
    task_name: str = _text()
    input_hash: str = _text()
    run_id: str = _text()
    kind: str = _text()
    call_key: str = _text()
    occurrence: int
    called_at: datetime = _time()
    total_tokens: int = _count()
    prompt_tokens: int = _count()
    completion_tokens: int = _count()
    cached_prompt_tokens: int = _count()
    successful_requests: int = _count()
    usage_by_model: str | None = _text()
    value: str = _text()


class TaskState(_View, table=True):
    """The view `task_state`: the current state of each task of each workflow. See views.py."""

    __tablename__ = "task_state"

    workflow_id: str = _text(primary_key=True)
    crew_name: str = _text()
    task_name: str = _text(primary_key=True)
    position: int
    status: str = _text()
    output: str | None = _text()
    input_hash: str | None = _text()
    output_hash: str | None = _text()
    completed_at: datetime | None = _time()
    duration_seconds: float | None = _number()
    total_tokens: int | None = _count()
    error: str | None = _text()
    run_id: str = _text()
    record_id: int | None = Field(default=None, sa_type=cast(Any, Identity))
    started_at: datetime | None = _time()
    model: str | None = _text()
    in_crew: int | None = None
    output_json: str | None = _text()
    description: str | None = _text()
    inputs: str | None = _text()
    origin: str | None = _text()
    person: str | None = _text()


def _table(model: type[SQLModel]) -> Table:
    return cast(Table, model.__table__)  # type: ignore[attr-defined]


RUN = _table(Run)
RECORD = _table(Record)
TEXT = _table(Text)
TASK_RUN = _table(TaskRun)
LEASE = _table(Lease)
INVALIDATION = _table(Invalidation)
CHANGE = _table(Change)
HELD_ANSWER = _table(HeldAnswer)
KEPT_CALL = _table(KeptCall)
TASK_STATE = _table(TaskState)
