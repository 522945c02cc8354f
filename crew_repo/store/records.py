"""Finding and keeping the records of finished tasks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import and_, bindparam, case, exists, func, literal_column, or_, select, union, update

from crew_repo.model import PERSON, NewRecord, Record, Scope, Usage
from crew_repo.store.from_rows import USAGE, hashes_in, record_of, record_or_damaged, usage_of
from crew_repo.store.rows import NEWEST_NOTES, RECORD_COLUMNS, record_row, texts_of
from crew_repo.store.tables import INVALIDATION, RECORD, RUN, TASK_RUN, TEXT
from crew_repo.store.transaction import Transaction, chunks

__all__ = [
    "BY_INPUT_HERE",
    "GIVEN",
    "NEWEST",
    "add_record",
    "add_texts",
    "costs_elsewhere",
    "has_definition",
    "history",
    "invalidate_again",
    "is_finished",
    "live_hashes",
    "live_record",
    "overtaken",
    "recorded",
    "records_by_id",
    "retire",
    "shared_since",
    "supersede",
    "take_out_of_force",
    "texts_by_hash",
    "written_before",
]

_LIVE = RECORD.c.retired.is_(None)
_OF_WORKFLOW = RECORD.c.workflow_id == bindparam("w")
_BY_INPUT = select(*RECORD_COLUMNS).where(_LIVE, RECORD.c.input_hash == bindparam("i"))
BY_INPUT_HERE = _BY_INPUT.where(_OF_WORKFLOW)
"""What may be served in a workflow for an input hash: one record at most."""
_BY_PERSON = RECORD.c.origin == literal_column(f"'{PERSON}'")  # as the partial index has it
_PERSONS_FIRST = case((_BY_PERSON, 0), else_=1)  # what a person said is not overtaken by another workflow's run
_BY_INPUT_ANYWHERE = _BY_INPUT.order_by(_PERSONS_FIRST, RECORD.c.record_id.desc()).limit(1)
_OWN_FIRST = case((and_(_OF_WORKFLOW, _BY_PERSON), 0), (_BY_PERSON, 1), else_=2)
_BY_INPUT_SINCE = (
    _BY_INPUT.where(or_(_OF_WORKFLOW, RECORD.c.record_id > bindparam("since")))
    .order_by(_OWN_FIRST, RECORD.c.record_id.desc())
    .limit(1)
)
GIVEN = select(*RECORD_COLUMNS).where(_OF_WORKFLOW, _BY_PERSON, _LIVE)
"""The answers of people that may be served."""
_BY_IDS = select(*RECORD_COLUMNS).where(RECORD.c.record_id.in_(bindparam("ids", expanding=True)))
NEWEST = (
    select(RECORD.c.task_name, func.max(RECORD.c.record_id).label("newest"))
    .where(_OF_WORKFLOW)
    .group_by(RECORD.c.task_name)
)
"""Per task name the number of its newest record, retired or not."""
_TEXTS = select(TEXT.c.sha256, TEXT.c.body).where(TEXT.c.sha256.in_(bindparam("hashes", expanding=True)))
_SUPERSEDE = (
    update(RECORD)
    .where(_OF_WORKFLOW, RECORD.c.input_hash == bindparam("i"), _LIVE)
    .values(retired="superseded", retired_at=bindparam("at"))
)
_IS_FINISHED = select(RECORD.c.record_id).where(RECORD.c.input_hash == bindparam("i"), _LIVE).limit(1)
_IS_FINISHED_HERE = _IS_FINISHED.where(_OF_WORKFLOW)
_RECENT = 5000
_COSTS = (
    select(RECORD.c.task_name, RECORD.c.run_id, RECORD.c.duration_seconds, *(RECORD.c[name] for name in USAGE))
    .where(RECORD.c.record_id > bindparam("after"), RECORD.c.workflow_id != bindparam("w"))
    .where(RECORD.c.crew_name == bindparam("c"))
    .order_by(RECORD.c.record_id)
)
_IS_FINISHED_SINCE = _IS_FINISHED.where(or_(_OF_WORKFLOW, RECORD.c.record_id > bindparam("since")))
_INVALIDATED = select(INVALIDATION.c.record_id).where(
    INVALIDATION.c.workflow_id == bindparam("w"), INVALIDATION.c.task_name == bindparam("t")
)
_EXECUTED_SINCE = select(RECORD.c.record_id).where(
    _OF_WORKFLOW, RECORD.c.task_name == bindparam("t"), RECORD.c.record_id > bindparam("since")
).limit(1)  # fmt: skip
_LIVE_HASHES = select(RECORD.c.input_hash).where(_LIVE).limit(bindparam("most"))
_LIVE_HASHES_HERE = _LIVE_HASHES.where(_OF_WORKFLOW)
_NEWEST_OF_ALL = select(func.coalesce(func.max(RECORD.c.record_id), 0))
_WRITTEN = select(RECORD.c.record_id).where(
    _OF_WORKFLOW, RECORD.c.task_name == bindparam("t"), RECORD.c.run_id == bindparam("r"),
    RECORD.c.fence == bindparam("f"),
)  # fmt: skip
_FENCE = select(RECORD.c.fence).where(_OF_WORKFLOW, RECORD.c.input_hash == bindparam("i"), _LIVE)


def live_record(tx: Transaction, scope: Scope | None, input_hash: str) -> Record | None:
    """The record that may be served for this input hash, damaged or not; without a scope, the newest of any."""
    row = tx.rows(*_within(tx, scope, input_hash, (_BY_INPUT_ANYWHERE, BY_INPUT_HERE, _BY_INPUT_SINCE))).first()
    return None if row is None else record_or_damaged(row)


def is_finished(tx: Transaction, scope: Scope | None, input_hash: str) -> bool:
    """Whether `live_record` would find one."""
    return tx.number(*_within(tx, scope, input_hash, (_IS_FINISHED, _IS_FINISHED_HERE, _IS_FINISHED_SINCE))) is not None


def _within(
    tx: Transaction, scope: Scope | None, input_hash: str, statements: tuple[Any, Any, Any]
) -> tuple[Any, dict[str, Any]]:
    """Choose among the forms of a statement: for any workflow, for one, or for one and what is newer."""
    anywhere, here, newer = statements
    if scope is None:
        return anywhere, {"i": input_hash}
    asked = {"i": input_hash, "w": scope.workflow_id}
    since = shared_since(tx, scope)
    return (here, asked) if since is None else (newer, {**asked, "since": since})


def shared_since(tx: Transaction, scope: Scope) -> int | None:
    """Above which number the records of other workflows count as well; None if none does.

    A task that was invalidated in a workflow is executed there next, whatever others have. From then on what anybody
    has recorded after the invalidation is an answer to it.
    """
    if scope.shared_as is None:
        return None
    asked = {"w": scope.workflow_id, "t": scope.shared_as}
    since = tx.number(_INVALIDATED, asked)
    if since is None:
        return 0
    return since if tx.number(_EXECUTED_SINCE, {**asked, "since": since}) is not None else None


def live_hashes(tx: Transaction, workflow_id: str | None, limit: int) -> Callable[[], set[str] | None]:
    """A function that gives the input hashes of what may be served, or None if there are more than `limit`."""
    wanted = _LIVE_HASHES if workflow_id is None else _LIVE_HASHES_HERE
    rows = tx.ask(wanted, {"w": workflow_id, "most": limit + 1})

    def found() -> set[str] | None:
        hashes = {row["input_hash"] for row in rows()}
        return hashes if len(hashes) <= limit else None

    return found


def costs_elsewhere(tx: Transaction, workflow_id: str, crew_name: str) -> dict[str, tuple[Usage, float]]:
    """Tokens and seconds that each task of a crew took when it last ran in another workflow, by task name.

    Only the newest records are looked at, so that a large state costs no more than a small one.
    """
    after = (tx.connection.scalar(select(func.max(RECORD.c.record_id))) or 0) - _RECENT
    found = tx.rows(_COSTS, {"w": workflow_id, "c": crew_name, "after": after})
    return {row["task_name"]: (usage_of(row), row["duration_seconds"]) for row in found}


def records_by_id(
    tx: Transaction, record_ids: Iterable[int], *, texts: bool, damaged: bool = False
) -> dict[int, Record]:
    """Records, retired or not; with the texts of their components if asked.

    A damaged one is a StoreError, unless those are wanted too.
    """
    rows = [row for some in chunks(sorted(record_ids)) for row in tx.rows(_BY_IDS, {"ids": some})]
    bodies = _texts_of(tx, rows) if texts else {}
    read = record_or_damaged if damaged else record_of
    return {row["record_id"]: read(row, texts=bodies) for row in rows}


def history(tx: Transaction, task_name: str, workflow_id: str | None) -> list[Record]:
    """Every record of a task, the newest first: by the order of their runs, of which deleted ones are the oldest."""
    of_run = RUN.c.run_id == RECORD.c.run_id
    wanted = select(RECORD.c.record_id, func.coalesce(RUN.c.number, 0)).join(RUN, of_run, isouter=True)
    wanted = wanted.where(RECORD.c.task_name == task_name)
    if workflow_id is not None:
        wanted = wanted.where(RECORD.c.workflow_id == workflow_id)
    numbers: dict[int, int] = dict(tuple(row) for row in tx.execute(wanted))
    records = records_by_id(tx, numbers, texts=True).values()
    return sorted(records, key=lambda record: (numbers[record.record_id], record.record_id), reverse=True)


def has_definition(tx: Transaction, scope: Scope | None, definition_hash: str) -> bool:
    """Whether a record of this definition may be served."""
    wanted = select(RECORD.c.record_id).where(_LIVE, RECORD.c.definition_hash == definition_hash).limit(1)
    if scope is not None:
        since = shared_since(tx, scope)
        own = RECORD.c.workflow_id == scope.workflow_id
        wanted = wanted.where(own if since is None else or_(own, RECORD.c.record_id > since))
    return tx.connection.scalar(wanted) is not None


def _texts_of(tx: Transaction, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The texts that are stored of the components of these records, by their hashes."""
    return texts_by_hash(tx, {sha256 for row in rows for sha256 in hashes_in(row)})


def texts_by_hash(tx: Transaction, hashes: Collection[str]) -> dict[str, str]:
    """The texts with these hashes, as far as they are stored."""
    return {sha256: body for some in chunks(sorted(hashes)) for sha256, body in tx.execute(_TEXTS, {"hashes": some})}


def add_texts(tx: Transaction, texts: Mapping[str, str]) -> None:
    """Keep each text once. In the order of their hashes, so that two writers never wait for each other."""
    known = tx.dialect.known_texts(tx.connection)
    new = sorted(texts.keys() - known)
    if new:
        tx.run(tx.inserts.text, [{"sha256": sha256, "body": texts[sha256]} for sha256 in new])
        known.update(new)


def add_record(tx: Transaction, new: NewRecord, *, fence: int | None = None, retired: str | None = None) -> Record:
    """Keep a finished task; one that may be served takes the place of the one before it."""
    add_texts(tx, texts_of(new))
    row = record_row(new)
    row.update(fence=fence, retired=retired, retired_at=tx.now if retired else None)
    record_id = tx.insert_if_new(tx.inserts.record_if_first, row)
    if record_id is None:
        supersede(tx, new.workflow_id, new.input_hash)
        record_id = tx.insert_if_new(tx.inserts.record_if_first, row)
    return recorded(new, record_id, retired)


def recorded(new: NewRecord, record_id: int, retired: str | None = None) -> Record:
    """The record that was kept, under the number that it was given."""
    members = {name: getattr(new, name) for name in NewRecord.__slots__}
    return Record(**members, record_id=record_id, retired=retired)


def supersede(tx: Transaction, workflow_id: str, input_hash: str) -> None:
    """Retire the record that may be served for this input hash: another takes its place."""
    tx.run(_SUPERSEDE, {"w": workflow_id, "i": input_hash, "at": tx.now})


def take_out_of_force(tx: Transaction, record_ids: Iterable[int], why: str) -> None:
    """Retire those of these records that may be served."""
    values = {"retired": why, "retired_at": tx.now}
    for some in chunks(sorted(record_ids)):
        tx.execute(update(RECORD).where(_LIVE, RECORD.c.record_id.in_(some)).values(values))


def overtaken(tx: Transaction, new: NewRecord, fence: int) -> Record | None:
    """The record of whoever took this work over and finished first, if somebody did."""
    theirs = tx.number(_FENCE, {"w": new.workflow_id, "i": new.input_hash})
    return live_record(tx, Scope(new.workflow_id), new.input_hash) if theirs is not None and theirs > fence else None


def written_before(tx: Transaction, new: NewRecord, fence: int) -> Record | None:
    """The record that this very execution has written already; a fence is given out once."""
    found = tx.number(_WRITTEN, {"w": new.workflow_id, "t": new.task_name, "r": new.run_id, "f": fence})
    return None if found is None else records_by_id(tx, [found], texts=False, damaged=True)[found]


def retire(tx: Transaction, task_name: str, workflow_id: str | None) -> dict[str, list[int]]:
    """Retire what may be served of a task, by the name recorded or the name served under; which, by workflow.

    Each workflow that knows the task is in it.

    An answer belongs to the task that was executed or served with it last: of a task that was renamed, to its new
    name. One that belongs to a task with another name stays.
    """
    retired: dict[str, list[int]] = {here: [] for here in _note_invalidated(tx, task_name, workflow_id)}
    named = _answers_of(task_name, workflow_id).subquery()
    others = _belonging_to_others(task_name, workflow_id).subquery()
    theirs = exists().where(others.c.workflow_id == named.c.workflow_id, others.c.record_id == named.c.record_id)
    ours = select(RECORD.c.record_id, named.c.workflow_id).join(named, named.c.record_id == RECORD.c.record_id)
    found = dict(tuple(row) for row in tx.execute(ours.where(_LIVE, ~theirs).with_for_update(of=RECORD)))
    take_out_of_force(tx, found, "invalidated")
    for record_id, here in found.items():
        retired.setdefault(here, []).append(record_id)
    return retired


def _answers_of(task_name: str, workflow_id: str | None) -> Any:
    """Workflow and record of what was recorded, served or is shown under a name; of other workflows' the last."""
    noted = select(TASK_RUN.c.workflow_id, TASK_RUN.c.record_id).where(
        *_within_workflow(TASK_RUN, workflow_id), TASK_RUN.c.task_name == task_name, TASK_RUN.c.cleared_at.is_(None)
    )
    own = exists().where(RECORD.c.record_id == TASK_RUN.c.record_id, RECORD.c.workflow_id == TASK_RUN.c.workflow_id)
    recorded = select(RECORD.c.workflow_id, RECORD.c.record_id).where(
        *_within_workflow(RECORD, workflow_id), RECORD.c.task_name == task_name
    )
    return union(recorded, noted.where(or_(own, NEWEST_NOTES)))


def _belonging_to_others(task_name: str, workflow_id: str | None) -> Any:
    """Workflow and record of what a task with another name was executed or served with last."""
    named = case((TASK_RUN.c.task_name == task_name, TASK_RUN.c.task_run_id), else_=0)
    return (
        select(TASK_RUN.c.workflow_id, TASK_RUN.c.record_id)
        .where(*_within_workflow(TASK_RUN, workflow_id), TASK_RUN.c.cleared_at.is_(None))
        .where(TASK_RUN.c.record_id.is_not(None))
        .group_by(TASK_RUN.c.workflow_id, TASK_RUN.c.record_id)
        .having(func.max(TASK_RUN.c.task_run_id) > func.max(named))
    )


def _within_workflow(table: Any, workflow_id: str | None) -> list[Any]:
    return [] if workflow_id is None else [table.c.workflow_id == workflow_id]


def _note_invalidated(tx: Transaction, task_name: str, workflow_id: str | None) -> list[str]:
    """Note it for each workflow that knows the task; these."""
    known = union(*(
        select(table.c.workflow_id).where(table.c.task_name == task_name, *_within_workflow(table, workflow_id))
        for table in (RECORD, TASK_RUN)
    ))  # fmt: skip
    workflows = sorted(tx.connection.scalars(known))
    for here in workflows:
        invalidate_again(tx, here, task_name)
    return workflows


def invalidate_again(tx: Transaction, workflow_id: str, task_name: str) -> None:
    """Note that what others have recorded by now is not served as this task."""
    noted = {"record_id": tx.number(_NEWEST_OF_ALL, {}), "invalidated_at": tx.now}
    tx.run(tx.inserts.invalidation, {"workflow_id": workflow_id, "task_name": task_name, **noted})
