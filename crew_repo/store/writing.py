"""Writing to the store while runs go on: each method is one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from crew_repo.errors import ConflictError, RunGoneError
from crew_repo.model import (
    AtStart,
    Claim,
    Failure,
    HeldAnswer,
    Lease,
    NewRecord,
    NewRun,
    Record,
    RunRecord,
    RunStatus,
    TaskRun,
)
from crew_repo.store import alone, changes, leases, records, runs
from crew_repo.store.opened import OpenedState

__all__ = ["WritingStore"]


class WritingStore(OpenedState):
    """Writes runs, leases and finished tasks."""

    def start_run(self, new: NewRun, *, everywhere: bool = False) -> AtStart | None:
        """Write a run down, and which of those before it were interrupted.

        What comes back gives what `at_start` does, read in the same round trip. It is None where a file is written
        by one at a time, who is not to read meanwhile.
        """
        with self._writing(begins=True, at_once=True) as tx:
            somebody_is_gone = runs.start_run(tx, new)
            apart = tx.dialect.one_writer
            known = None if apart else runs.at_start(tx, new.workflow_id, everywhere=everywhere)
        if somebody_is_gone():
            self.reap()
        return known

    def heartbeat(self, run_ids: Sequence[str], leases_held: Sequence[Lease]) -> None:
        """Renew runs and leases, as far as they are still ours; the clock that they go by is compared anew."""
        self._database.measure_clock()
        with self._writing() as tx:
            leases.heartbeat(tx, run_ids, leases_held)

    def finish_run(
        self,
        run_id: str,
        status: RunStatus,
        finished_at: datetime,
        *,
        tasks: Sequence[TaskRun] = (),
        tokens_spent: int,
        failure: Failure | None = None,
        going_on: Sequence[int] = (),
    ) -> RunRecord:
        """Write down how a run ended and what it did; the run as it is stored.

        Its leases end with it, but for those with a fence in `going_on`, whose work nobody could stop.
        """
        with self._writing(durable=True, ends=True, at_once=not going_on) as tx:
            finished = runs.finish_run(tx, run_id, status, finished_at, tasks, tokens_spent, failure, going_on)
        return finished()

    def claim(
        self,
        workflow_id: str,
        input_hash: str,
        *,
        run_id: str,
        task_name: str,
        position: int,
        owner: str,
        take_finished: bool = True,
        shared: bool = False,
        take_late: bool = False,
        definition_hash: str | None = None,
    ) -> Claim:
        """The record, if somebody finished this work; else the lease, if it is free; else who holds it.

        `shared`: whoever does the same work in another workflow counts as well. `take_late`: whoever lives, and has not
        renewed its lease in time, does not. `definition_hash`: with the lease give the person's answer that is held.
        """
        work = (workflow_id, input_hash)
        if not shared:
            with self._writing(at_once=True) as tx:
                row = leases.lease_row(tx, work, run_id, task_name, position, owner)
                claimed = alone.claim(tx, row, definition_hash)
            if (claim := claimed()) is not None:
                return claim
        with self._writing() as tx:
            row = leases.lease_row(tx, work, run_id, task_name, position, owner)
            return leases.claim(
                tx,
                row,
                take_finished=take_finished,
                shared=shared,
                take_late=take_late,
                definition_hash=definition_hash,
            )

    def adopt(self, lease: Lease, held: HeldAnswer, new: NewRecord) -> Record | None:
        """Put an answer in force that was held, and give the lease back; None, and nothing, if it is held no longer."""
        try:
            with self._writing(durable=True) as tx:
                record = changes.adopt(tx, held, new)
                leases.give_up(tx, lease)
                return record
        except ConflictError:
            return None

    def note_waiting(self, run_id: str, waits_for: Mapping[str, str]) -> None:
        """Write which runs execute what a run waits for, by the names of its tasks; none when it goes on."""
        with self._writing() as tx:
            leases.note_waiting(tx, run_id, waits_for)

    def release(self, lease: Lease) -> None:
        """Give a lease back, if it is still ours."""
        with self._writing() as tx:
            leases.give_up(tx, lease)

    def save_finished(
        self, lease: Lease | None, new: NewRecord, task_run: TaskRun, buffered: Sequence[TaskRun] = ()
    ) -> Record:
        """Keep a finished task, which nothing can undo; returns the record to go on with.

        That is the other's if this lease was taken over and the other finished first; ours is then kept as
        superseded. If the run was deleted meanwhile, the record is kept without it, and RunGoneError is raised.
        """
        notes = [*buffered, task_run]
        try:
            if lease is not None:
                with self._writing(durable=True, at_once=True) as tx:
                    kept = alone.save(tx, lease, new, notes)
                if (record_id := kept()) is not None:
                    return records.recorded(new, record_id)
            with self._writing(durable=True) as tx:
                return runs.save_finished(tx, lease, new, notes)
        except RunGoneError:
            with self._writing(durable=True) as tx:
                runs.save_finished(tx, lease, new, [])
            raise

    def save_failed(self, lease: Lease | None, task_run: TaskRun, buffered: Sequence[TaskRun] = ()) -> None:
        """Keep a failure, and let others try."""
        with self._writing(durable=True) as tx:
            runs.save_failed(tx, lease, task_run, buffered)

    def reap(self, workflow_id: str | None = None) -> int:
        """Write down which runs were interrupted, and at which tasks; the number of those runs."""
        with self._writing() as tx:
            tx.dialect.lock_work(tx.connection, "reap")
            return leases.reap(tx, workflow_id)
