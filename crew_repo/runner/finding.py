"""Finding the record for a task, and answers that are held for it.

The time of a record is corrected if a later run shows that a clock was wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from crew_repo.model import Decision, HeldAnswer, Record, TaskHead
from crew_repo.policy import TaskPolicy
from crew_repo.runner.options import RunOptions, utc_now
from crew_repo.staleness import Current, beside_held
from crew_repo.store import Store

__all__ = ["HeldAnswers", "Sought", "believed", "find_record", "find_records"]


def find_record(
    store: Store, options: RunOptions, name: str, input_hash: str, policy: TaskPolicy, head: TaskHead | None = None
) -> Record | None:
    """Find the record that may be served to a task: mostly the one of its `head`, which was read in bulk.

    Where workflows share their records, another's may be newer.
    """
    newest = head.record if head is not None and not options.share else None
    sought = (input_hash, options.workflow_id, None)
    if newest is None or (newest.input_hash, newest.workflow_id, newest.retired) != sought:
        newest = store.find_record(input_hash, options.workflow_id, shared_as=name if options.share else None)
    return None if newest is None else believed(store, newest, policy)


@dataclass(frozen=True, slots=True)
class Sought:
    """A task for which a record is looked for, and how it is run."""

    options: RunOptions
    current: Current


def find_records(store: Store, sought: Sequence[Sought | None]) -> list[Record | None]:
    """Find what `find_record` would for each of these; in one query, where workflows do not share their records."""
    known = {(each.options.workflow_id, each.current.input_hash) for each in sought if each and not each.options.share}
    found = store.find_records(known) if known else {}
    return [None if each is None else _found(store, each, found) for each in sought]


def _found(store: Store, sought: Sought, found: Mapping[tuple[str, str], Record]) -> Record | None:
    options, current = sought.options, sought.current
    if options.share:
        return find_record(store, options, current.task_name, current.input_hash, current.policy)
    record = found.get((options.workflow_id, current.input_hash))
    return None if record is None else believed(store, record, current.policy)


def believed(store: Store, record: Record, policy: TaskPolicy) -> Record:
    """The record as old as it is for certain. A clock that was ahead when it was written is no reason to keep it.

    A run that began later, by an earlier clock, shows that. Only a `max_age` asks for it.
    """
    proven = store.proven_by(record.run_id) if policy.max_age is not None and not record.damage else None
    return record if proven is None or proven >= record.completed_at else replace(record, completed_at=proven)


class HeldAnswers:
    """The answers of people that are held for the tasks of one workflow, read when the first is looked for."""

    def __init__(self, store: Store, workflow_id: str) -> None:
        self._store, self._workflow_id = store, workflow_id
        self._found: list[HeldAnswer] | None = None

    def beside(self, decision: Decision, current: Current) -> Decision:
        """The decision about a task that is not fresh, with the answers that are held for it."""
        if decision.fresh:
            return decision
        if self._found is None:
            self._found = self._store.held_answers(self._workflow_id)
        return beside_held(decision, current, [h for h in self._found if h.task_name == current.task_name], utc_now())
