"""Finding and keeping the records of finished tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, func, or_, select, update

from crew_repo.model import Component, NewRecord, Record
from crew_repo.store.rows import RECORD_COLUMNS, hashes_in, record_of, record_or_damaged, record_row
from crew_repo.store.tables import RECORD, RUN, TASK_RUN, TASK_STATE, TEXT
from crew_repo.store.transaction import Transaction, chunks

__all__ = [
    "add_record",
    "add_texts",
    "has_definition",
    "history",
    "is_finished",
    "live_hashes",
    "live_record",
    "newest_ids",
    "overtaken",
    "records_by_id",
    "retire",
]

_LIVE = RECORD.c.retired.is_(None)
_OF_WORKFLOW = RECORD.c.workflow_id == bindparam("w")
_BY_INPUT = select(*RECORD_COLUMNS).where(_LIVE, RECORD.c.input_hash == bindparam("i"))
_BY_INPUT_HERE = _BY_INPUT.where(_OF_WORKFLOW)
_BY_INPUT_ANYWHERE = _BY_INPUT.order_by(RECORD.c.record_id.desc()).limit(1)
_BY_IDS = select(*RECORD_COLUMNS).where(RECORD.c.record_id.in_(bindparam("ids", expanding=True)))
_NEWEST = select(RECORD.c.task_name, func.max(RECORD.c.record_id)).where(_OF_WORKFLOW).group_by(RECORD.c.task_name)
_TEXTS = select(TEXT.c.sha256, TEXT.c.body).where(TEXT.c.sha256.in_(bindparam("hashes", expanding=True)))
_SUPERSEDE = (
    update(RECORD)
    .where(_OF_WORKFLOW, RECORD.c.input_hash == bindparam("i"), _LIVE)
    .values(retired="superseded", retired_at=bindparam("at"))
)
_IS_FINISHED = select(RECORD.c.record_id).where(RECORD.c.input_hash == bindparam("i"), _LIVE).limit(1)
_IS_FINISHED_HERE = _IS_FINISHED.where(_OF_WORKFLOW)
_FENCE = select(RECORD.c.fence).where(_OF_WORKFLOW, RECORD.c.input_hash == bindparam("i"), _LIVE)


def live_record(tx: Transaction, workflow_id: str | None, input_hash: str) -> Record | None:
    """The record that may be served for this input hash, damaged or not; without a workflow, the newest of any."""
    if workflow_id is None:
        row = tx.rows(_BY_INPUT_ANYWHERE, {"i": input_hash}).first()
    else:
        row = tx.rows(_BY_INPUT_HERE, {"i": input_hash, "w": workflow_id}).first()
    return None if row is None else record_or_damaged(row)


def is_finished(tx: Transaction, workflow_id: str | None, input_hash: str) -> bool:
    """Whether `live_record` would find one."""
    if workflow_id is None:
        return tx.number(_IS_FINISHED, {"i": input_hash}) is not None
    return tx.number(_IS_FINISHED_HERE, {"w": workflow_id, "i": input_hash}) is not None


def live_hashes(tx: Transaction, workflow_id: str | None, limit: int) -> set[str] | None:
    """The input hashes of the records that may be served, or None if there are more than `limit`."""
    wanted = select(RECORD.c.input_hash).where(_LIVE).limit(limit + 1)
    if workflow_id is not None:
        wanted = wanted.where(RECORD.c.workflow_id == workflow_id)
    found = set(tx.connection.scalars(wanted))
    return found if len(found) <= limit else None


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


def newest_ids(tx: Transaction, workflow_id: str) -> dict[str, int]:
    """Per task name the number of its newest record, retired or not."""
    return dict(tuple(row) for row in tx.execute(_NEWEST, {"w": workflow_id}))


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


def has_definition(tx: Transaction, workflow_id: str | None, definition_hash: str) -> bool:
    """Whether a record of this definition may be served."""
    wanted = select(RECORD.c.record_id).where(_LIVE, RECORD.c.definition_hash == definition_hash).limit(1)
    if workflow_id is not None:
        wanted = wanted.where(RECORD.c.workflow_id == workflow_id)
    return tx.connection.scalar(wanted) is not None


def _texts_of(tx: Transaction, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The texts that are stored of the components of these records, by their hashes."""
    hashes = sorted({sha256 for row in rows for sha256 in hashes_in(row)})
    return {sha256: body for some in chunks(hashes) for sha256, body in tx.execute(_TEXTS, {"hashes": some})}


def add_texts(tx: Transaction, components: Iterable[Component]) -> None:
    """Keep each text once. In the order of their hashes, so that two writers never wait for each other."""
    texts = {c.sha256: c.text for c in components if c.text is not None}
    if texts:
        tx.run(tx.inserts.text, [{"sha256": sha256, "body": texts[sha256]} for sha256 in sorted(texts)])


def add_record(tx: Transaction, new: NewRecord, *, fence: int | None = None, retired: str | None = None) -> Record:
    """Keep a finished task; one that may be served takes the place of the one before it."""
    add_texts(tx, new.components)
    row = record_row(new)
    row.update(fence=fence, retired=retired, retired_at=tx.now if retired else None)
    record_id = tx.insert_if_new(tx.inserts.record_if_first, row)
    if record_id is None:
        tx.run(_SUPERSEDE, {"w": new.workflow_id, "i": new.input_hash, "at": tx.now})
        record_id = tx.insert_if_new(tx.inserts.record_if_first, row)
    members = {name: getattr(new, name) for name in NewRecord.__slots__}
    return Record(**members, record_id=record_id, retired=retired)


def overtaken(tx: Transaction, new: NewRecord, fence: int) -> Record | None:
    """The record of whoever took this work over and finished first, if somebody did."""
    theirs = tx.number(_FENCE, {"w": new.workflow_id, "i": new.input_hash})
    return live_record(tx, new.workflow_id, new.input_hash) if theirs is not None and theirs > fence else None


def retire(tx: Transaction, task_names: Sequence[str], workflow_id: str | None) -> int:
    """Retire what may be served of these tasks, by the name recorded or the name shown now; how many that were.

    What was recorded under one of these names stays if the same run shows it as the answer of another task.
    """
    rows = select(TASK_STATE).where(TASK_STATE.c.task_name.in_(task_names))
    named: Any = RECORD.c.task_name.in_(task_names)
    if workflow_id is not None:
        rows = rows.where(TASK_STATE.c.workflow_id == workflow_id)
        named = named & (RECORD.c.workflow_id == workflow_id)
    shown = rows.with_only_columns(TASK_STATE.c.record_id)
    others = select(TASK_RUN.c.record_id).where(
        TASK_RUN.c.run_id.in_(rows.with_only_columns(TASK_STATE.c.run_id)),
        TASK_RUN.c.task_name.not_in(task_names),
        TASK_RUN.c.record_id.is_not(None),
    )
    named = named & RECORD.c.record_id.not_in(others)
    return int(
        tx.execute(
            update(RECORD)
            .where(_LIVE, or_(named, RECORD.c.record_id.in_(shown)))
            .values(retired="invalidated", retired_at=tx.now)
        ).rowcount
    )
