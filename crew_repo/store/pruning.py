"""Deleting what is old, and giving the space back.

Which records go:
- neither option: those that may not be served any more (invalidated, superseded, deleted by hand);
- keep_last: all but the newest so many of each task of each workflow;
- older_than: those that were neither written nor reused since then, the present ones too: that task runs again;
- both: those that fit both.
The record that `task_state` shows goes only by older_than alone. Runs go by the same two options, unless they are
running, or something of theirs still is (a thread that nobody could stop), or `task_state` shows something of theirs
that stays. Texts go with the last record or run that needs them.
What is kept inside tasks that were killed goes when they have a newer record, or by older_than.
Held answers go like records that are not shown: those that are held no longer, and by older_than alone the others too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, select, tuple_, update

from crew_repo.model import PERSON, Author, ChangeKind, RunStatus, counted
from crew_repo.store.calls import left_calls
from crew_repo.store.changes import add_entry
from crew_repo.store.from_rows import hashes_in, texts_of_run
from crew_repo.store.held import old_held
from crew_repo.store.rows import COMPONENT_COLUMNS, NEWEST_NOTES
from crew_repo.store.tables import HELD_ANSWER, KEPT_CALL, LEASE, RECORD, RUN, TASK_RUN, TEXT
from crew_repo.store.transaction import Transaction, chunks

__all__ = ["Victims", "delete_victims", "find_victims"]

_RECORDS = select(
    RECORD.c.record_id, RECORD.c.workflow_id, RECORD.c.task_name, RECORD.c.retired, RECORD.c.completed_at
).order_by(RECORD.c.record_id.desc())
_LAST_USED = (
    select(TASK_RUN.c.record_id, func.max(RUN.c.started_at))
    .join(RUN, RUN.c.run_id == TASK_RUN.c.run_id)
    .where(TASK_RUN.c.record_id.is_not(None))
    .group_by(TASK_RUN.c.record_id)
)
_RUNS = select(RUN.c.run_id, RUN.c.workflow_id, RUN.c.status, RUN.c.started_at).order_by(RUN.c.number.desc())
_SHOWN = select(TASK_RUN.c.workflow_id, TASK_RUN.c.task_name, TASK_RUN.c.run_id, TASK_RUN.c.record_id).where(
    NEWEST_NOTES
)
_ANSWERED = (  # what is in force for what the tasks were asked last: a person's answer that no run has served yet
    select(RECORD.c.record_id)
    .join(TASK_RUN, and_(TASK_RUN.c.workflow_id == RECORD.c.workflow_id, TASK_RUN.c.input_hash == RECORD.c.input_hash))
    .where(NEWEST_NOTES, RECORD.c.retired.is_(None), RECORD.c.origin == PERSON)
)


@dataclass(frozen=True, slots=True)
class Victims:
    """Keys of all that is to be deleted."""

    records: list[int]
    runs: list[str]
    texts: list[str]
    tasks: list[tuple[str, str]]
    held: list[int]
    calls: list[int]

    @property
    def counted(self) -> str:
        """How much that is."""
        return counted(len(self.records), len(self.runs), len(self.texts), len(self.held), len(self.calls))


def find_victims(tx: Transaction, keep_last: int | None, older_than: timedelta | None) -> Victims:
    """Find what would be deleted. Writes nothing."""
    before = None if older_than is None else tx.now - older_than
    shown = tx.rows(_SHOWN).all()
    kept = set() if before is not None and keep_last is None else {row["record_id"] for row in shown}
    kept |= set(tx.connection.scalars(_ANSWERED)) if kept else set()
    records = [record_id for record_id in _old_records(tx, keep_last, before) if record_id not in kept]
    gone = set(records)
    anchors = set(tx.connection.scalars(select(LEASE.c.run_id)))
    anchors |= {
        row["run_id"]
        for row in shown
        if before is None or (row["record_id"] is not None and row["record_id"] not in gone)
    }
    runs = [run_id for run_id in _old_runs(tx, keep_last, before) if run_id not in anchors]
    tasks = [(row["workflow_id"], row["task_name"]) for row in shown if row["record_id"] in gone]
    held = old_held(tx, before, live_too=before is not None and keep_last is None)
    return Victims(records, runs, _orphans(tx, gone, set(runs)), tasks, held, left_calls(tx, before))


def delete_victims(tx: Transaction, victims: Victims, author: Author) -> None:
    """Delete it, with an entry if there is anything. A task whose present record goes has no state left."""
    if victims.records or victims.runs or victims.texts or victims.held or victims.calls:
        add_entry(tx, ChangeKind.PRUNE, author, detail=victims.counted)
    of_task = tuple_(TASK_RUN.c.workflow_id, TASK_RUN.c.task_name)
    shown = update(TASK_RUN).where(TASK_RUN.c.cleared_at.is_(None))
    for tasks in chunks(victims.tasks):
        tx.execute(shown.where(of_task.in_(tasks)).values(cleared_at=tx.now))
    for ids in chunks(victims.records):
        tx.execute(update(TASK_RUN).where(TASK_RUN.c.record_id.in_(ids)).values(record_id=None))
    _delete(tx, RECORD.c.record_id, victims.records)
    _delete(tx, TASK_RUN.c.run_id, victims.runs)
    _delete(tx, RUN.c.run_id, victims.runs)
    _delete(tx, TEXT.c.sha256, victims.texts)
    tx.dialect.forget_texts(tx.connection)
    _delete(tx, HELD_ANSWER.c.held_id, victims.held)
    _delete(tx, KEPT_CALL.c.call_id, victims.calls)


def _old_records(tx: Transaction, keep_last: int | None, before: datetime | None) -> Iterable[int]:
    last_used = dict(tuple(row) for row in tx.execute(_LAST_USED)) if before is not None else {}
    newer: Counter[tuple[str, str]] = Counter()
    for row in tx.rows(_RECORDS):
        task = (row["workflow_id"], row["task_name"])
        newer[task] += 1
        used = max(row["completed_at"], last_used.get(row["record_id"], row["completed_at"]))
        if _goes(newer[task], used, keep_last, before, otherwise=row["retired"] is not None):
            yield row["record_id"]


def _old_runs(tx: Transaction, keep_last: int | None, before: datetime | None) -> Iterable[str]:
    newer: Counter[str] = Counter()
    for row in tx.rows(_RUNS):
        newer[row["workflow_id"]] += 1
        goes = _goes(newer[row["workflow_id"]], row["started_at"], keep_last, before, otherwise=False)
        if goes and row["status"] != str(RunStatus.RUNNING):
            yield row["run_id"]


def _goes(rank: int, used: datetime, keep_last: int | None, before: datetime | None, *, otherwise: bool) -> bool:
    if keep_last is None and before is None:
        return otherwise
    return (keep_last is None or rank > keep_last) and (before is None or used < before)


def _orphans(tx: Transaction, gone: set[int], runs: set[str]) -> list[str]:
    """The texts that nothing needs which stays: no record, and no run by what it was given."""
    needed = {sha256 for row in tx.rows(_GIVEN) if row["run_id"] not in runs for sha256 in texts_of_run(row)}
    after: int | None = 0
    while after is not None:
        rows = tx.rows(_COMPONENTS, {"a": after}).all()
        for row in rows:
            if row["record_id"] not in gone:
                needed.update(hashes_in(row))
        after = rows[-1]["record_id"] if rows else None
    return [sha256 for sha256 in tx.connection.scalars(select(TEXT.c.sha256)) if sha256 not in needed]


_GIVEN = select(RUN.c.run_id, RUN.c.input_hashes).where(RUN.c.input_hashes.is_not(None))
_COMPONENTS = (
    select(RECORD.c.record_id, *COMPONENT_COLUMNS)
    .where(RECORD.c.record_id > bindparam("a"))
    .order_by(RECORD.c.record_id)
    .limit(500)
)


def _delete(tx: Transaction, column: Any, keys: Sequence[Any]) -> None:
    for some in chunks(keys):
        tx.execute(delete(column.table).where(column.in_(some)))
