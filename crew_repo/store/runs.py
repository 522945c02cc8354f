"""Runs: how each began and ended, and what it did with its tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import and_, bindparam, delete, exists, func, insert, or_, select, union, update

from crew_repo.errors import RunGoneError
from crew_repo.model import (
    AtStart,
    Failure,
    Lease,
    NewRecord,
    NewRun,
    Outcome,
    Record,
    RunRecord,
    RunStatus,
    TaskHead,
    TaskRun,
    TaskState,
)
from crew_repo.store.calls import drop_calls
from crew_repo.store.changes import later_answer
from crew_repo.store.from_rows import (
    ERROR,
    failure_of,
    interrupted_task,
    record_or_damaged,
    run_of,
    state_of,
    task_run_of,
    texts_of_run,
)
from crew_repo.store.leases import HELD_HERE, SUMS, ask_gone, give_up, gone_leases, is_gone, run_is_gone
from crew_repo.store.records import (
    GIVEN,
    NEWEST,
    add_record,
    add_texts,
    live_hashes,
    overtaken,
    records_by_id,
    texts_by_hash,
    written_before,
)
from crew_repo.store.rows import (
    RECORD_COLUMNS,
    RUN_COLUMNS,
    STATE_COLUMNS,
    TASK_RUN_COLUMNS,
    failure_row,
    given,
    run_row,
    task_run_row,
)
from crew_repo.store.tables import LEASE, RECORD, RUN, TASK_RUN, TASK_STATE
from crew_repo.store.transaction import Inserts, Transaction, chunks

__all__ = [
    "INSERT_RUN",
    "at_start",
    "finish_run",
    "get_runs",
    "heads",
    "proven_by",
    "run_count",
    "save_failed",
    "save_finished",
    "shown_record",
    "start_run",
    "states",
    "task_names",
    "with_texts",
    "workflow_ids",
]

_MOST_HASHES = 5000
_NEXT_NUMBER = select(func.coalesce(func.max(RUN.c.number), 0) + 1).scalar_subquery()
_LATEST = RUN.alias("latest")
_NEXT_ORDINAL = 1 + func.coalesce(
    select(_LATEST.c.ordinal).where(_LATEST.c.workflow_id == bindparam("workflow_id"))
    .order_by(_LATEST.c.number.desc()).limit(1).scalar_subquery(), 0
)  # fmt: skip
_COLUMNS, _VALUES = given(RUN, number=_NEXT_NUMBER, ordinal=_NEXT_ORDINAL)
INSERT_RUN = insert(RUN).from_select(_COLUMNS, select(*_VALUES))
"""A run, under the next number of all and the next of its workflow."""
_OF_RUN = select(*TASK_RUN_COLUMNS).where(TASK_RUN.c.run_id == bindparam("r"))
_COUNT_OF_RUN = select(func.count()).where(TASK_RUN.c.run_id == bindparam("r"))
_OF_RUNS = select(*TASK_RUN_COLUMNS).where(TASK_RUN.c.run_id.in_(bindparam("runs", expanding=True)))
_RUN = select(*RUN_COLUMNS).where(RUN.c.run_id == bindparam("r"))
_NOTED = select(TASK_RUN.c.task_run_id).where(
    TASK_RUN.c.run_id == bindparam("r"), TASK_RUN.c.position == bindparam("p"), TASK_RUN.c.status == bindparam("s"),
    TASK_RUN.c.finished_at == bindparam("at"),
)  # fmt: skip
_OWN = RUN.alias("own")
_BEGAN_BEFORE = select(func.min(RUN.c.started_at)).where(
    _OWN.c.run_id == bindparam("r"), RUN.c.number > _OWN.c.number, RUN.c.started_at < _OWN.c.started_at
)
_UNFINISHED = and_(
    RUN.c.run_id == bindparam("r"), or_(RUN.c.finished_at.is_(None), RUN.c.finished_at != bindparam("at"))
)
_FINISH = (
    update(RUN)
    .where(_UNFINISHED)
    .values(finished_at=bindparam("at"), waits_for=None, **SUMS)
    .values({name: bindparam(f"the_{name}") for name in ("status", "tokens_spent", *ERROR)})
)
_LEASES_OF_RUN = delete(LEASE).where(LEASE.c.run_id == bindparam("r"))
_OTHER_LEASES = _LEASES_OF_RUN.where(LEASE.c.fence.not_in(bindparam("going_on", expanding=True)))
_OTHER_NOTES = _OF_RUN.where(_COUNT_OF_RUN.scalar_subquery() != bindparam("written"))
_NEWEST_NOTES_HERE = TASK_RUN.c.task_run_id.in_(
    select(func.max(TASK_RUN.c.task_run_id))
    .where(TASK_RUN.c.workflow_id == bindparam("w"), TASK_RUN.c.cleared_at.is_(None))
    .group_by(TASK_RUN.c.task_name)
)
_SHOWN = select(*(TASK_RUN.c[name] for name in ("task_name", "record_id", "status", *ERROR))).where(_NEWEST_NOTES_HERE)
_HEADS = select(*RECORD_COLUMNS).where(
    RECORD.c.record_id.in_(
        union(select(NEWEST.subquery().c.newest), select(TASK_RUN.c.record_id).where(_NEWEST_NOTES_HERE))
    )
)


def start_run(tx: Transaction, new: NewRun) -> Callable[[], bool]:
    """Write a run down; it waits for nothing. Whether there is anything to reap can be asked when that is done."""
    tx.dialect.lock_work(tx.connection, "reap")  # also for the number, which two runs must not take
    somebody_is_gone = ask_gone(tx)
    add_texts(tx, {each.sha256: each.text for each in new.inputs or () if each.sha256 and each.text is not None})
    row = run_row(new)
    tx.run(INSERT_RUN, {**row, "heartbeat_at": tx.lease_now, "lease_seconds": tx.lease_seconds})
    return somebody_is_gone


def save_finished(
    tx: Transaction, lease: Lease | None, new: NewRecord, notes: Sequence[TaskRun]
) -> Record:
    """Keep a finished task, and notes, the last of them on it.

    Who was overtaken, be it by a person, keeps it as superseded, and goes on with the other's record. What is here
    already, since it was not known whether it had been written, is the answer.
    """
    tx.dialect.lock_work(tx.connection, new.input_hash)  # of any workflow, since `claim` may look at all of them
    ours = lease is None or give_up(tx, lease)
    if not ours and lease is not None and (written := written_before(tx, new, lease.fence)) is not None:
        return written
    theirs = None if ours or lease is None else overtaken(tx, new, lease.fence)
    theirs = theirs or later_answer(tx, new)
    fence = None if lease is None else lease.fence
    record = add_record(tx, new, fence=fence, retired=None if theirs is None else "superseded")
    drop_calls(tx, new.workflow_id, new.task_name, new.input_hash if lease is None else lease.input_hash)
    answer = theirs or record
    _note(tx, [*notes[:-1], *(replace(note, record_id=answer.record_id) for note in notes[-1:])])
    return answer


def save_failed(tx: Transaction, lease: Lease | None, task_run: TaskRun, buffered: Sequence[TaskRun]) -> None:
    """Keep a failure, and let others try. It is noted once: again, it would seem newer than what came after it."""
    if lease is not None:
        give_up(tx, lease)
    asked = {"r": task_run.run_id, "p": task_run.position, "s": str(task_run.outcome), "at": task_run.finished_at}
    if tx.number(_NOTED, asked) is None:
        _note(tx, [*buffered, task_run])


def finish_run(
    tx: Transaction, run_id: str, status: RunStatus, finished_at: datetime, tasks: Sequence[TaskRun],
    tokens_spent: int, failure: Failure | None = None, going_on: Sequence[int] = (),
) -> Callable[[], RunRecord]:  # fmt: skip
    """Write down how a run ended and what it did; what gives the run as it is stored, when that is done.

    Its notes are not written again, since they would seem newer than those of the runs after it.
    """
    ended = {"r": run_id, "at": finished_at}
    if tasks:
        tx.run(_noting(tx.inserts), [{**task_run_row(task), "cleared_at": None, **ended} for task in tasks])
    if going_on:
        tx.execute(_OTHER_LEASES, {"r": run_id, "going_on": going_on})
    else:
        tx.run(_LEASES_OF_RUN, {"r": run_id})
    how = {"status": str(status), "tokens_spent": tokens_spent, **failure_row(failure)}
    tx.run(_FINISH, {**ended, **{f"the_{name}": value for name, value in how.items()}})
    # Notes are read back only if there are others than these.
    stored, noted = tx.ask(_RUN, {"r": run_id}), tx.ask(_OTHER_NOTES, {"r": run_id, "written": len(tasks)})

    def finished() -> RunRecord:
        for row in stored():
            return run_of(row, [task_run_of(note) for note in noted()] or tasks)
        raise RunGoneError(f"{tx.dialect.place} has no run {run_id}: it was deleted or replaced meanwhile; run again")

    return finished


@cache
def _noting(inserts: Inserts) -> Any:
    """A note of a run that has not ended yet."""
    names, values = given(TASK_RUN)
    return inserts.task_run.from_select(names, select(*values).where(exists().where(_UNFINISHED)))


def get_runs(tx: Transaction, *, run_id: str | None = None, workflow_id: str | None = None,
             limit: int | None = None, until: str | None = None) -> list[RunRecord]:  # fmt: skip
    """Runs with their tasks, the newest first. A run whose process is gone is interrupted; nothing is written."""
    wanted = select(*RUN_COLUMNS).order_by(RUN.c.number.desc()).limit(limit)
    if run_id is not None:
        wanted = wanted.where(RUN.c.run_id == run_id)
    if workflow_id is not None:
        wanted = wanted.where(RUN.c.workflow_id == workflow_id)
    if until is not None:
        its_number = select(_LATEST.c.number).where(_LATEST.c.run_id == until).scalar_subquery()
        wanted = wanted.where(RUN.c.number <= its_number)
    found = tx.rows(wanted).all()
    gone = {row["run_id"] for row in found if run_is_gone(tx, row)}
    tasks = _tasks_of(tx, [row["run_id"] for row in found], gone)
    texts = texts_by_hash(tx, {sha256 for row in found for sha256 in texts_of_run(row)})
    return [
        run_of(row, tasks[row["run_id"]], RunStatus.INTERRUPTED if row["run_id"] in gone else None, texts)
        for row in found
    ]


def proven_by(tx: Transaction, run_id: str) -> datetime | None:
    """Give the earliest start of a later run that began, by its clock, before this one; None where clocks agree."""
    found: datetime | None = tx.connection.scalar(_BEGAN_BEFORE, {"r": run_id})
    return found


def run_count(tx: Transaction, workflow_id: str | None) -> int:
    """How many runs there were, also such as were deleted before the newest of their workflow."""
    newest = select(func.max(RUN.c.number)).group_by(RUN.c.workflow_id)
    if workflow_id is not None:
        newest = newest.where(RUN.c.workflow_id == workflow_id)
    return int(tx.connection.scalar(select(func.sum(RUN.c.ordinal)).where(RUN.c.number.in_(newest))) or 0)


def at_start(tx: Transaction, workflow_id: str, *, everywhere: bool) -> AtStart:
    """Read what a run goes by, and wait for nothing: the heads, and the input hashes with a record that may be served.

    `everywhere`: those of other workflows count as well. They are None if there are more than 5,000.
    """
    found, hashes = heads(tx, workflow_id), live_hashes(tx, None if everywhere else workflow_id, _MOST_HASHES)
    return lambda: (found(), hashes())


def heads(tx: Transaction, workflow_id: str) -> Callable[[], dict[str, TaskHead]]:
    """Per task name what is known of it: the record of its last run, else its newest one, and how that run went.

    It waits for nothing; what gives them when the transaction has ended. Without the texts of components.
    """
    of_workflow = {"w": workflow_id}
    newest, records, shown = tx.ask(NEWEST, of_workflow), tx.ask(_HEADS, of_workflow), tx.ask(_SHOWN, of_workflow)
    leases, by_people = tx.ask(HELD_HERE, of_workflow), tx.ask(GIVEN, of_workflow)
    return lambda: _heads(
        {row["task_name"]: row["newest"] for row in newest()},
        {row["record_id"]: record_or_damaged(row) for row in records()},
        {row["task_name"]: row for row in shown()},
        {row["task_name"] for row in leases() if is_gone(tx, row["owner"], row["expires_at"])},
        {row["input_hash"]: record_or_damaged(row) for row in by_people()},
    )


def _heads(
    newest: Mapping[str, int], records: Mapping[int, Record], shown: Mapping[str, Mapping[str, Any]],
    lost: Set[str], by_people: Mapping[str, Record],
) -> dict[str, TaskHead]:  # fmt: skip
    last = {name: row["record_id"] for name, row in shown.items() if row["record_id"] is not None}
    found = {}
    for name in [*newest, *(name for name in {**shown, **dict.fromkeys(lost)} if name not in newest)]:
        record = records.get(last.get(name, 0)) or records.get(newest.get(name, 0))
        person = None if record is None else by_people.get(record.input_hash)
        found[name] = _head(name, record, shown.get(name), person, interrupted=name in lost)
    return found


def with_texts(tx: Transaction, found: Mapping[str, TaskHead]) -> dict[str, TaskHead]:
    """Heads, with the texts of the components of their records."""
    records = [head.record for head in found.values() if head.record is not None]
    bodies = texts_by_hash(tx, {part.sha256 for record in records for part in record.components})
    return {name: replace(head, record=_with_texts(head.record, bodies)) for name, head in found.items()}


def _with_texts(record: Record | None, bodies: Mapping[str, str]) -> Record | None:
    if record is None:
        return None
    return replace(record, components=tuple(replace(c, text=bodies.get(c.sha256)) for c in record.components))


def _head(
    name: str, record: Record | None, shown: Mapping[str, Any] | None, person: Record | None, *, interrupted: bool
) -> TaskHead:
    if interrupted:
        return TaskHead(name, record, Outcome.INTERRUPTED, person=person)
    if shown is None:
        return TaskHead(name, record, person=person)
    return TaskHead(name, record, Outcome(shown["status"]), failure_of(shown), person)


def states(tx: Transaction, workflow_id: str | None, task_name: str | None = None) -> list[TaskState]:
    """The rows of `task_state`, in the order of the tasks."""
    wanted = select(*STATE_COLUMNS).order_by(TASK_STATE.c.workflow_id, TASK_STATE.c.position, TASK_STATE.c.task_name)
    if workflow_id is not None:
        wanted = wanted.where(TASK_STATE.c.workflow_id == workflow_id)
    if task_name is not None:
        wanted = wanted.where(TASK_STATE.c.task_name == task_name)
    found = [state_of(row) for row in tx.rows(wanted)]
    held = {} if all(state.status not in _UNDER_WAY for state in found) else _held(tx, workflow_id)
    return [_as_known_here(state, held.get((state.run_id, state.position))) for state in found]


def _held(tx: Transaction, workflow_id: str | None) -> dict[tuple[str, int], bool]:
    """Whether the process is gone that executes it, by run and position."""
    gone = {lease["fence"] for lease in gone_leases(tx, workflow_id)}
    return {(row["run_id"], row["position"]): row["fence"] in gone for row in tx.rows(select(LEASE))}


def _as_known_here(state: TaskState, gone: bool | None) -> TaskState:
    """The view goes by time alone; on the host of the process it is known whether that is there."""
    if gone is None:
        return state
    if not gone:
        return replace(state, status=str(RunStatus.RUNNING))
    return replace(state, status=str(Outcome.INTERRUPTED), output=None, output_hash=None, completed_at=None,
                   duration_seconds=None, total_tokens=None, record_id=None, model=None, origin=None,
                   person=None)  # fmt: skip


_UNDER_WAY = (str(RunStatus.RUNNING), str(Outcome.INTERRUPTED))


def shown_record(tx: Transaction, task_name: str, workflow_id: str | None) -> Record | None:
    """The record that `task_state` shows of a task; without a workflow, the newest."""
    wanted = select(TASK_STATE.c.record_id).where(TASK_STATE.c.task_name == task_name, TASK_STATE.c.output.is_not(None))
    if workflow_id is not None:
        wanted = wanted.where(TASK_STATE.c.workflow_id == workflow_id)
    newest = wanted.join(RUN, RUN.c.run_id == TASK_STATE.c.run_id, isouter=True)
    newest = newest.order_by(func.coalesce(RUN.c.number, 0).desc()).limit(1)
    found = list(tx.execute(newest).scalars())
    return next(iter(records_by_id(tx, found, texts=True).values()), None)


def task_names(tx: Transaction, workflow_id: str | None) -> list[str]:
    """Every task name that the state knows, in the order of the tasks."""
    wanted = union(*(select(table.c.position, table.c.task_name).where(
        table.c.workflow_id == workflow_id if workflow_id is not None else table.c.workflow_id.is_not(None)
    ) for table in (RECORD, TASK_RUN)))  # fmt: skip
    return list(dict.fromkeys(name for _, name in sorted(tuple(row) for row in tx.execute(wanted))))


def workflow_ids(tx: Transaction) -> list[str]:
    """Every workflow that the state knows."""
    return sorted(tx.connection.scalars(union(select(RECORD.c.workflow_id), select(RUN.c.workflow_id))))


def _note(tx: Transaction, task_runs: Sequence[TaskRun]) -> None:
    if task_runs:
        tx.run(tx.inserts.task_run, [task_run_row(task_run) for task_run in task_runs])


def _tasks_of(tx: Transaction, run_ids: Sequence[str], gone: set[str]) -> dict[str, list[TaskRun]]:
    found: dict[str, list[TaskRun]] = {run_id: [] for run_id in run_ids}
    for some in chunks(run_ids):
        for row in tx.rows(_OF_RUNS, {"runs": some}):
            found[row["run_id"]].append(task_run_of(row))
    for lease in gone_leases(tx, None) if gone else ():
        tasks = found.get(lease["run_id"])
        if tasks is not None and all(task.position != lease["position"] for task in tasks):
            tasks.append(interrupted_task(lease))
    return found
