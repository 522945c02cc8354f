"""Finding the record for a task. Its time is corrected if a later run shows that a clock was wrong."""

from __future__ import annotations

from dataclasses import replace

from crew_repo.model import Record, TaskHead
from crew_repo.policy import TaskPolicy
from crew_repo.runner.options import RunOptions
from crew_repo.store import Store

__all__ = ["believed", "find_record"]


def find_record(
    store: Store, options: RunOptions, name: str, input_hash: str, policy: TaskPolicy, head: TaskHead | None = None
) -> Record | None:
    """Find the record that may be served to a task: mostly the one of its `head`, which was read in bulk.

    Where workflows share their records, another's may be newer.
    """
    newest = head.record if head is not None and not options.share else None
    if newest is None or newest.input_hash != input_hash or newest.retired is not None:
        newest = store.find_record(input_hash, options.workflow_id, shared_as=name if options.share else None)
    return None if newest is None else believed(store, newest, policy)


def believed(store: Store, record: Record, policy: TaskPolicy) -> Record:
    """The record as old as it is for certain. A clock that was ahead when it was written is no reason to keep it.

    A run that began later, by an earlier clock, shows that. Only a `max_age` asks for it.
    """
    proven = store.proven_by(record.run_id) if policy.max_age is not None and not record.damage else None
    return record if proven is None or proven >= record.completed_at else replace(record, completed_at=proven)
