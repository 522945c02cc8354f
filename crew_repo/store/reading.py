"""Reading from the store: each method is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import text

from crew_repo.model import (
    Change,
    HeldAnswer,
    Record,
    RunRecord,
    Scope,
    TaskHead,
    TaskState,
    Usage,
)
from crew_repo.store import changes, held, records, runs
from crew_repo.store.current import as_said
from crew_repo.store.opened import OpenedState

if TYPE_CHECKING:
    from crew_repo.store.current import Query

__all__ = ["ReadingStore"]

T = TypeVar("T")


class ReadingStore(OpenedState):
    """Finds records, and lists runs and tasks. Writes nothing."""

    def find_record(self, input_hash: str, workflow_id: str | None, *, shared_as: str | None = None) -> Record | None:
        """The record that may be served for this input hash; without a workflow, the newest of any.

        `shared_as`: the name of the task for which the records of other workflows count as well. Not until it has
        been executed here, if it was invalidated here.

        Its output is returned as it is: whether it still gives its output hash, and has no `damage`, is the caller's
        to check. Its components are without their texts.
        """
        with self._reading() as tx:
            return records.live_record(tx, _scope(workflow_id, shared_as), input_hash)

    def proven_by(self, run_id: str) -> datetime | None:
        """Give the time by which a run had ended for certain, where its clock was ahead: a later run began earlier."""
        with self._reading() as tx:
            return runs.proven_by(tx, run_id)

    def at_start(self, workflow_id: str, *, everywhere: bool) -> tuple[dict[str, TaskHead], set[str] | None]:
        """Read what a run goes by: the heads, without texts, and the input hashes with a record that may be served.

        `everywhere`: those of other workflows count as well. They are None if there are more than 5,000.
        """
        with self._reading(at_once=True) as tx:
            known = runs.at_start(tx, workflow_id, everywhere=everywhere)
        return known()

    def heads(self, workflow_id: str) -> dict[str, TaskHead]:
        """Per task name what is known of it: the record of its last run, else its newest, and how that run went."""
        with self._reading(at_once=True) as tx:
            found = runs.heads(tx, workflow_id)
        heads = found()
        if not heads:
            return heads
        with self._reading() as tx:
            return runs.with_texts(tx, heads)

    def has_definition(self, definition_hash: str, workflow_id: str | None, *, shared_as: str | None = None) -> bool:
        """Whether a record of this definition may be served, for some context; see `find_record`."""
        with self._reading() as tx:
            return records.has_definition(tx, _scope(workflow_id, shared_as), definition_hash)

    def costs_elsewhere(self, workflow_id: str, crew_name: str) -> dict[str, tuple[Usage, float]]:
        """Tokens and seconds that each task of a crew took in other workflows, by task name, as far as is recent."""
        with self._reading() as tx:
            return records.costs_elsewhere(tx, workflow_id, crew_name)

    def held_answers(self, workflow_id: str) -> list[HeldAnswer]:
        """The answers of people that are held in a workflow until their tasks are asked, the oldest first."""
        with self._reading() as tx:
            return held.held_answers(tx, workflow_id)

    def held_tasks(self, workflow_id: str | None) -> list[str]:
        """The names of the tasks for which such an answer is held."""
        with self._reading() as tx:
            return [name for _, name in held.held_tasks(tx, workflow_id)]

    def get_run(self, run_id: str) -> RunRecord | None:
        """One run with its tasks."""
        with self._reading() as tx:
            return next(iter(runs.get_runs(tx, run_id=run_id)), None)

    def list_runs(
        self, workflow_id: str | None = None, limit: int | None = None, *, until: str | None = None
    ) -> list[RunRecord]:
        """Runs with their tasks, the newest first; a run whose process is gone is interrupted. Writes nothing.

        `until`: a run; only that one and those before it.
        """
        with self._reading() as tx:
            return runs.get_runs(tx, workflow_id=workflow_id, limit=limit, until=until)

    def run_count(self, workflow_id: str | None = None) -> int:
        """How many runs there were of a workflow, or of all; no run is loaded."""
        with self._reading() as tx:
            return runs.run_count(tx, workflow_id)

    def record(self, record_id: int) -> Record | None:
        """One record, retired or not, with the texts of its components."""
        with self._reading() as tx:
            return records.records_by_id(tx, [record_id], texts=True).get(record_id)

    def records(self, record_ids: Collection[int]) -> dict[int, Record]:
        """Records that are there, by number, with the texts of their components; a damaged one has its `damage`."""
        with self._reading() as tx:
            return records.records_by_id(tx, record_ids, texts=True, damaged=True)

    def history(self, task_name: str, workflow_id: str | None = None) -> list[Record]:
        """Every record of a task, the newest first, with the texts of their components."""
        with self._reading() as tx:
            return records.history(tx, task_name, workflow_id)

    def changes(
        self, task_name: str | None = None, workflow_id: str | None = None, *, change_id: int | None = None,
        limit: int | None = None,
    ) -> list[Change]:  # fmt: skip
        """The entries of what people changed, the newest first."""
        with self._reading() as tx:
            return changes.list_changes(
                tx, change_id=change_id, task_name=task_name, workflow_id=workflow_id, limit=limit
            )

    def states(self, workflow_id: str | None = None, *, task_name: str | None = None) -> list[TaskState]:
        """The rows of `task_state`, in the order of the tasks."""
        with self._reading() as tx:
            return runs.states(tx, workflow_id, task_name)

    def shown_record(self, task_name: str, workflow_id: str | None = None) -> Record | None:
        """The record that `task_state` shows of a task, with texts; without a workflow, the newest."""
        with self._reading() as tx:
            return runs.shown_record(tx, task_name, workflow_id)

    def task_names(self, workflow_id: str | None = None) -> list[str]:
        """Every task name that the state knows, in the order of the tasks."""
        with self._reading() as tx:
            return runs.task_names(tx, workflow_id)

    def asked(self, ask: Callable[[Query], T]) -> T:
        """Give what `ask` makes of the rows, by any number of queries in one transaction: see `store.current`."""
        with self._reading() as tx:
            return ask(as_said(lambda select, **values: [dict(row) for row in tx.rows(text(select), values)]))

    def workflow_ids(self) -> list[str]:
        """Every workflow that the state knows."""
        with self._reading() as tx:
            return runs.workflow_ids(tx)


def _scope(workflow_id: str | None, shared_as: str | None) -> Scope | None:
    return None if workflow_id is None else Scope(workflow_id, shared_as)
