"""The journal: what was answered inside tasks that have not finished. It is gone when they have a record.

Answers are kept by workflow and task, and found by the hash of the exact request. Only whoever holds the lease of the
work writes them, so that a process that lost it, or a thread that nobody could stop, mixes nothing in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import and_, bindparam, case, delete, exists, func, not_, or_, select, update

from crew_repo.model import CallKind, KeptCall, KeptCalls, Lease
from crew_repo.store.from_rows import usage_of
from crew_repo.store.leases import OURS, gone_leases
from crew_repo.store.rows import given, kept_call_row
from crew_repo.store.tables import KEPT_CALL, LEASE, RECORD
from crew_repo.store.transaction import Inserts, Transaction

__all__ = [
    "drop_calls",
    "drop_calls_from",
    "forget_calls",
    "keep_call",
    "kept_calls",
    "left_calls",
    "summed_up",
    "take_over_calls",
]

_OF_TASK = and_(KEPT_CALL.c.workflow_id == bindparam("w"), KEPT_CALL.c.task_name == bindparam("t"))
_OF_WORK = KEPT_CALL.c.input_hash == bindparam("i")
_BEING_EXECUTED = exists().where(
    LEASE.c.workflow_id == KEPT_CALL.c.workflow_id, LEASE.c.input_hash == KEPT_CALL.c.input_hash,
    LEASE.c.fence.not_in(bindparam("gone", expanding=True)),
)  # fmt: skip
_RECORDED_SINCE = exists().where(
    RECORD.c.workflow_id == KEPT_CALL.c.workflow_id, RECORD.c.task_name == KEPT_CALL.c.task_name,
    RECORD.c.completed_at > KEPT_CALL.c.called_at,
)  # fmt: skip
_OURS_OR_FREE = or_(_OF_WORK, not_(_BEING_EXECUTED))
_KEPT = select(KEPT_CALL).where(_OF_TASK, _OURS_OR_FREE).order_by(KEPT_CALL.c.call_id)
_DROP = delete(KEPT_CALL).where(_OF_TASK, _OF_WORK)
_DROP_FREE = delete(KEPT_CALL).where(_OF_TASK, _OURS_OR_FREE)
_DROP_FROM = _DROP.where(KEPT_CALL.c.call_id >= bindparam("first"))
_TAKE_OVER = (
    update(KEPT_CALL)
    .where(_OF_TASK, KEPT_CALL.c.input_hash == bindparam("theirs"), not_(_BEING_EXECUTED))
    .values(input_hash=bindparam("ours"))
)
_IS_MODELS = KEPT_CALL.c.kind == str(CallKind.MODEL)
_SUMS = select(
    KEPT_CALL.c.task_name,
    KEPT_CALL.c.input_hash,
    func.sum(case((_IS_MODELS, 1), else_=0)).label("model_calls"),
    func.sum(case((_IS_MODELS, 0), else_=1)).label("tool_calls"),
    func.sum(case((_IS_MODELS, KEPT_CALL.c.total_tokens), else_=0)).label("total_tokens"),  # a tool's are these too
    func.max(KEPT_CALL.c.called_at).label("last_at"),
)
_SUMS = _SUMS.where(KEPT_CALL.c.workflow_id == bindparam("w"), not_(_BEING_EXECUTED))
_SUMS = _SUMS.group_by(KEPT_CALL.c.task_name, KEPT_CALL.c.input_hash)


def kept_calls(tx: Transaction, workflow_id: str, task_name: str, work: str) -> list[KeptCall]:
    """Find what is kept of a task, the oldest first, but for what others are executing with other inputs."""
    return [_call(row) for row in tx.rows(_KEPT, _asked(tx, workflow_id, task_name, work))]


def keep_call(tx: Transaction, lease: Lease, task_name: str, call: KeptCall) -> Callable[[], int | None]:
    """Keep a call as long as the lease is held; its number then, when the transaction has ended, else None."""
    row = {"workflow_id": lease.workflow_id, "task_name": task_name, **kept_call_row(call)}
    return tx.insert_later(_keeping(tx.inserts), {**row, "fence": lease.fence, "owner": lease.owner})


@cache
def _keeping(inserts: Inserts) -> Any:
    names, values = given(KEPT_CALL)
    return inserts.kept_call.from_select(names, select(*values).where(exists().where(OURS)))


def take_over_calls(tx: Transaction, lease: Lease, task_name: str, work: str) -> None:
    """Count what is kept of another work as that of the lease's, which goes on with it."""
    asked = _asked(tx, lease.workflow_id, task_name, lease.input_hash)
    tx.execute(_TAKE_OVER, {**asked, "theirs": work, "ours": asked.pop("i")})


def drop_calls(tx: Transaction, workflow_id: str, task_name: str, work: str) -> None:
    """Delete what is kept of one work, which has its record."""
    tx.run(_DROP, {"w": workflow_id, "t": task_name, "i": work})


def drop_calls_from(tx: Transaction, lease: Lease, task_name: str, first: int) -> None:
    """Delete a call, by its number, and what was kept of that work after it."""
    tx.run(_DROP_FROM, {"w": lease.workflow_id, "t": task_name, "i": lease.input_hash, "first": first})


def forget_calls(tx: Transaction, workflow_id: str, task_name: str, work: str = "") -> None:
    """Delete what is kept of a task that is to be asked anew, but for what others are executing."""
    tx.execute(_DROP_FREE, _asked(tx, workflow_id, task_name, work))


def summed_up(tx: Transaction, workflow_id: str) -> dict[tuple[str, str], KeptCalls]:
    """How much is kept of each task of a workflow that nobody is executing, by its name and the hash of its work."""
    found = tx.rows(_SUMS, {"w": workflow_id, "gone": _gone(tx, workflow_id)})
    return {
        (row["task_name"], row["input_hash"]): KeptCalls(
            int(row["model_calls"]), int(row["tool_calls"]), int(row["total_tokens"]), row["last_at"]
        )
        for row in found
    }


def left_calls(tx: Transaction, before: datetime | None) -> list[int]:
    """The numbers of calls that nobody is executing: those from before then, else those before a record of the task."""
    old = KEPT_CALL.c.called_at < before if before is not None else _RECORDED_SINCE
    gone = [lease["fence"] for lease in gone_leases(tx, None)]
    return list(tx.execute(select(KEPT_CALL.c.call_id).where(old, not_(_BEING_EXECUTED)), {"gone": gone}).scalars())


def _asked(tx: Transaction, workflow_id: str, task_name: str, work: str) -> dict[str, Any]:
    return {"w": workflow_id, "t": task_name, "i": work, "gone": _gone(tx, workflow_id)}


def _gone(tx: Transaction, workflow_id: str) -> list[int]:
    """The fences of leases whose owners are dead: nobody executes that work."""
    return [lease["fence"] for lease in gone_leases(tx, workflow_id)]


def _call(row: Mapping[str, Any]) -> KeptCall:
    return KeptCall(
        CallKind(row["kind"]), row["call_key"], row["occurrence"], row["value"], run_id=row["run_id"],
        input_hash=row["input_hash"], called_at=row["called_at"], usage=usage_of(row), call_id=row["call_id"],
    )  # fmt: skip
