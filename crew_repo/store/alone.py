"""Claiming and saving where nobody else is at the same work: statements none of which waits for what another found.

So they go to a server in one round trip. Where somebody has been there they write nothing, and what they give
is None: then `leases.claim` and `runs.save_finished` do it step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import and_, bindparam, delete, exists, select

from crew_repo.model import Claim, Lease, NewRecord, TaskRun
from crew_repo.store.leases import OURS, lease_of
from crew_repo.store.records import add_texts
from crew_repo.store.rows import given, record_row, task_run_row, texts_of
from crew_repo.store.tables import HELD_ANSWER, KEPT_CALL, LEASE, RECORD, TASK_RUN
from crew_repo.store.transaction import Inserts, Transaction

__all__ = ["claim", "save"]

_IN_FORCE = and_(
    RECORD.c.workflow_id == bindparam("workflow_id"), RECORD.c.input_hash == bindparam("input_hash"),
    RECORD.c.retired.is_(None),
)  # fmt: skip
_HELD = and_(
    HELD_ANSWER.c.workflow_id == bindparam("workflow_id"), HELD_ANSWER.c.task_name == bindparam("task_name"),
    HELD_ANSWER.c.definition_hash == bindparam("definition_hash"), HELD_ANSWER.c.retired.is_(None),
)  # fmt: skip
_KEPT = and_(_IN_FORCE, RECORD.c.fence == bindparam("fence"))
_OF_TASK = and_(
    KEPT_CALL.c.workflow_id == bindparam("workflow_id"), KEPT_CALL.c.task_name == bindparam("task_name")
)
_ANY_CALL = select(KEPT_CALL.c.call_id).where(_OF_TASK).limit(1)
_DROP_CALLS = delete(KEPT_CALL).where(_OF_TASK, KEPT_CALL.c.input_hash == bindparam("asked"), exists().where(_KEPT))
_GIVE_UP = delete(LEASE).where(OURS, exists().where(_KEPT))


def claim(tx: Transaction, row: Mapping[str, Any], definition_hash: str | None) -> Callable[[], Claim | None]:
    """Take the lease of this row, unless it is held, or there is an answer, or a person's is held for the task."""
    tx.dialect.lock_work(tx.connection, row["input_hash"])
    fence_of = tx.insert_later(_claiming(tx.inserts), {**row, "definition_hash": definition_hash})
    kept = tx.ask(_ANY_CALL, {"workflow_id": row["workflow_id"], "task_name": row["task_name"]})

    def claimed() -> Claim | None:
        fence, calls = fence_of(), kept()
        return None if fence is None else Claim(lease=lease_of(row, fence), has_calls=bool(calls))

    return claimed


def save(tx: Transaction, lease: Lease, new: NewRecord, notes: Sequence[TaskRun]) -> Callable[[], int | None]:
    """Keep a finished task and notes, the last of them on it, if the lease is ours and there is no answer yet."""
    ours = {"fence": lease.fence, "owner": lease.owner}
    tx.dialect.lock_work(tx.connection, new.input_hash)
    add_texts(tx, texts_of(new))
    kept = tx.insert_later(_recording(tx.inserts), {**record_row(new), "retired": None, "retired_at": None, **ours})
    if notes[:-1]:
        tx.run(tx.inserts.task_run, [task_run_row(note) for note in notes[:-1]])
    tx.run(_noting(tx.inserts), {**task_run_row(notes[-1]), "cleared_at": None, **ours})
    work = {"workflow_id": new.workflow_id, "input_hash": new.input_hash, **ours}
    tx.run(_DROP_CALLS, {"task_name": new.task_name, "asked": lease.input_hash, **work})
    tx.run(_GIVE_UP, work)
    return kept


@cache
def _claiming(inserts: Inserts) -> Any:
    names, values = given(LEASE)
    free = (~exists().where(_IN_FORCE), ~exists().where(_HELD))
    return inserts.lease_if_free.from_select(names, select(*values).where(*free))


@cache
def _recording(inserts: Inserts) -> Any:
    """The record, unless there is an answer already: there is one for each input hash."""
    names, values = given(RECORD)
    return inserts.record_if_first.from_select(names, select(*values).where(exists().where(OURS)))


@cache
def _noting(inserts: Inserts) -> Any:
    """The note on a record that is there since this transaction: after it, the lease is gone."""
    names, values = given(TASK_RUN, record_id=RECORD.c.record_id)
    return inserts.task_run.from_select(names, select(*values).where(_KEPT, exists().where(OURS)))
