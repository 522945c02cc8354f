"""Leases: a lease is the right of one process to execute a task, for a limited time. Others wait, or take over.

A lease is free again when it is released, or at once when its owner is known to be dead. An owner that is known to live
keeps it as long as its run goes on, unless whoever waits has lost patience with it (`take_late`). Where neither is
known, as on another host, it is free when its time is over. Its fence is handed out by the database, each number once:
who lost a lease can never take it for its own again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, select, update

from crew_repo.model import PLANNER, Claim, Holder, Lease, Outcome, RunStatus, Scope
from crew_repo.store.from_rows import interrupted_task
from crew_repo.store.held import held_at
from crew_repo.store.process_identity import is_alive
from crew_repo.store.records import is_finished, live_record, shared_since
from crew_repo.store.rows import task_run_row
from crew_repo.store.tables import LEASE, RUN, TASK_RUN
from crew_repo.store.transaction import Transaction

__all__ = [
    "HELD_HERE",
    "OURS",
    "SUMS",
    "ask_gone",
    "claim",
    "give_up",
    "gone_leases",
    "heartbeat",
    "interrupt",
    "is_gone",
    "lease_of",
    "lease_row",
    "note_waiting",
    "reap",
    "run_is_gone",
]

_COUNTED = (Outcome.EXECUTED, Outcome.REUSED, Outcome.FAILED)
"""What a run's row has the numbers of, of its tasks: the planner is none."""

OURS = and_(LEASE.c.fence == bindparam("fence"), LEASE.c.owner == bindparam("owner"))
"""The lease with this fence, as long as it is its owner's."""
HELD_HERE = select(LEASE).where(LEASE.c.workflow_id == bindparam("w"))
"""All leases of a workflow."""
_HELD = select(LEASE).where(LEASE.c.workflow_id == bindparam("w"), LEASE.c.input_hash == bindparam("i"))
_HELD_ELSEWHERE = select(LEASE).where(LEASE.c.workflow_id != bindparam("w"), LEASE.c.input_hash == bindparam("i"))
_ALL_HELD = select(LEASE.c.owner, LEASE.c.expires_at)
_DELETE = delete(LEASE).where(LEASE.c.fence == bindparam("f"))
_GIVE_UP = delete(LEASE).where(LEASE.c.fence == bindparam("f"), LEASE.c.owner == bindparam("o"))
_RENEW = (
    update(LEASE)
    .where(LEASE.c.fence == bindparam("f"), LEASE.c.owner == bindparam("o"))
    .values(expires_at=bindparam("until"))
)
_BEAT = (
    update(RUN)
    .where(RUN.c.run_id == bindparam("r"), RUN.c.finished_at.is_(None))
    .values(heartbeat_at=bindparam("at"), status=str(RunStatus.RUNNING))
)
_IS_GOING_ON = select(RUN.c.number).where(RUN.c.run_id == bindparam("r"), RUN.c.finished_at.is_(None))
_RUNNING = select(RUN.c.run_id, RUN.c.owner, RUN.c.heartbeat_at, RUN.c.lease_seconds).where(
    RUN.c.status == str(RunStatus.RUNNING)
)


def _of_tasks(what: Any, *those: Any) -> Any:
    return select(func.coalesce(what, 0)).where(TASK_RUN.c.run_id == RUN.c.run_id, *those).scalar_subquery()


_WAITS = update(RUN).where(RUN.c.run_id == bindparam("r")).values(waits_for=bindparam("waits"))
SUMS = {
    "tokens_saved": _of_tasks(func.sum(TASK_RUN.c.tokens_saved)),
    "seconds_saved": _of_tasks(func.sum(TASK_RUN.c.seconds_saved)),
    **{
        str(kind): _of_tasks(func.count(), TASK_RUN.c.status == str(kind), TASK_RUN.c.task_name != PLANNER)
        for kind in _COUNTED
    },
}
"""What the notes on the tasks of a run sum up to, by the columns of its row."""
_SPENT = _of_tasks(func.sum(TASK_RUN.c.total_tokens))
_INTERRUPT = (
    update(RUN)
    .where(RUN.c.run_id == bindparam("r"))
    .values(status=str(RunStatus.INTERRUPTED), waits_for=None, tokens_spent=_SPENT, **SUMS)
)


def lease_row(
    tx: Transaction, work: tuple[str, str], run_id: str, task_name: str, position: int, owner: str
) -> dict[str, Any]:
    """The row of a lease that begins now."""
    return {"workflow_id": work[0], "input_hash": work[1], "owner": owner, "run_id": run_id, "task_name": task_name,
            "position": position, "acquired_at": tx.lease_now, "expires_at": _until(tx)}  # fmt: skip


def claim(
    tx: Transaction,
    row: Mapping[str, Any],
    *,
    take_finished: bool,
    shared: bool,
    take_late: bool,
    definition_hash: str | None,
) -> Claim:
    """The record, if somebody finished this work; else the lease, if it is free; else who holds it.

    `shared`: whoever does the same work in another workflow counts as well, unless this task must be executed here.
    `take_late`: who lives, and has not renewed its lease in time, does not. With the lease comes the answer that a
    person gave to what has this definition, if one is held.
    """
    work, task_name = (row["workflow_id"], row["input_hash"]), row["task_name"]
    scope = Scope(work[0], task_name if shared else None)
    shared = shared_since(tx, scope) is not None
    tx.dialect.lock_work(tx.connection, work[1])
    if take_finished and is_finished(tx, scope, work[1]):
        return Claim(record=live_record(tx, scope, work[1]))
    for held in tx.rows(_HELD_ELSEWHERE, {"w": work[0], "i": work[1]}).all() if shared else ():
        if _is_held(tx, held, take_late=take_late):
            return Claim(held_by=_holder(tx, held))
    fence = tx.insert_if_new(tx.inserts.lease_if_free, row)
    if fence is None:
        held = tx.rows(_HELD, {"w": work[0], "i": work[1]}).one()
        if _is_held(tx, held, take_late=take_late):
            return Claim(held_by=_holder(tx, held))
        _bury(tx, [held])
        fence = tx.insert_if_new(tx.inserts.lease_if_free, row)
    held = None if definition_hash is None else held_at(tx, work[0], task_name, definition_hash)
    return Claim(lease=lease_of(row, fence), held=held)


def lease_of(row: Mapping[str, Any], fence: int) -> Lease:
    """The lease of a row, by the number that it was given."""
    return Lease(row["workflow_id"], row["input_hash"], row["owner"], fence, row["acquired_at"])


def _holder(tx: Transaction, lease: Mapping[str, Any]) -> Holder:
    told = {name: lease[name] for name in ("owner", "run_id", "task_name", "position")}
    return Holder(**told, since=lease["acquired_at"], late=_is_late(tx, lease))


def _is_late(tx: Transaction, lease: Mapping[str, Any]) -> bool:
    return bool(lease["expires_at"] <= tx.lease_now)


def _is_held(tx: Transaction, lease: Mapping[str, Any], *, take_late: bool) -> bool:
    """Whether its owner is at it. One that was suspended, or could not beat, is; and so it is after a clock was set."""
    alive = is_alive(lease["owner"])
    if alive is False or not _is_late(tx, lease):
        return alive is not False
    return alive is True and not take_late and tx.number(_IS_GOING_ON, {"r": lease["run_id"]}) is not None


def note_waiting(tx: Transaction, run_id: str, waits_for: Mapping[str, str]) -> None:
    """Write whom a run waits for: the runs that execute its tasks, by the names of these."""
    value = json.dumps(waits_for, ensure_ascii=False) if waits_for else None
    tx.execute(_WAITS, {"r": run_id, "waits": value})


def give_up(tx: Transaction, lease: Lease) -> bool:
    """Remove the lease; False if it had been taken over."""
    return bool(tx.run(_GIVE_UP, {"f": lease.fence, "o": lease.owner}))


def heartbeat(tx: Transaction, run_ids: Sequence[str], leases: Sequence[Lease]) -> None:
    """Renew what is still ours. A run that was taken for interrupted is running again."""
    if leases:
        tx.run(_RENEW, [{"f": lease.fence, "o": lease.owner, "until": _until(tx)} for lease in leases])
    if run_ids:
        tx.run(_BEAT, [{"r": run_id, "at": tx.lease_now} for run_id in run_ids])


def reap(tx: Transaction, workflow_id: str | None) -> int:
    """Write down which runs were interrupted, at which tasks, and what they had done; the number of those runs."""
    found = tx.rows(_RUNNING if workflow_id is None else _RUNNING.where(RUN.c.workflow_id == workflow_id)).all()
    gone = [row for row in found if is_gone(tx, row["owner"], _last_sign(row))]
    _bury(tx, gone_leases(tx, workflow_id))
    interrupt(tx, [row["run_id"] for row in gone])
    return len(gone)


def ask_gone(tx: Transaction) -> Callable[[], bool]:
    """Whether there is anything to reap, which can be asked when the transaction has ended."""
    runs, held = tx.ask(_RUNNING), tx.ask(_ALL_HELD)
    return lambda: (any(is_gone(tx, row["owner"], _last_sign(row)) for row in runs())
                    or any(is_gone(tx, row["owner"], row["expires_at"]) for row in held()))  # fmt: skip


def interrupt(tx: Transaction, run_ids: Sequence[str]) -> None:
    """Write down that these runs are interrupted, and what the notes on their tasks sum up to."""
    if run_ids:
        tx.execute(_INTERRUPT, [{"r": run_id} for run_id in sorted(run_ids)])


def gone_leases(tx: Transaction, workflow_id: str | None) -> list[Mapping[str, Any]]:
    """The leases of processes that are gone."""
    found = select(LEASE) if workflow_id is None else select(LEASE).where(LEASE.c.workflow_id == workflow_id)
    return [row for row in tx.rows(found).all() if is_gone(tx, row["owner"], row["expires_at"])]


def is_gone(tx: Transaction, owner: str, until: datetime) -> bool:
    """Whether a process is gone: known from here, or, on another host, because it has been silent for too long."""
    alive = is_alive(owner)
    return until < tx.lease_now if alive is None else not alive


def run_is_gone(tx: Transaction, row: Mapping[str, Any]) -> bool:
    """Whether the process of a run that is said to be running is gone."""
    return bool(row["status"] == str(RunStatus.RUNNING)) and is_gone(tx, row["owner"], _last_sign(row))


def _bury(tx: Transaction, leases: Sequence[Mapping[str, Any]]) -> None:
    """Remove leases of others, and note what was interrupted, unless that run noted something itself."""
    if leases:
        tx.run(tx.inserts.task_run_if_new, [task_run_row(interrupted_task(lease)) for lease in leases])
        tx.run(_DELETE, [{"f": lease["fence"]} for lease in leases])


def _last_sign(run: Mapping[str, Any]) -> datetime:
    return run["heartbeat_at"] + timedelta(seconds=run["lease_seconds"])  # type: ignore[no-any-return]


def _until(tx: Transaction) -> datetime:
    return tx.lease_now + timedelta(seconds=tx.lease_seconds)
