"""The ledger of one run: that it began, what became of each task, and how it ended.

The note of a reused task waits for the next transaction, or the last. A note may be written twice, but never lost.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from crew_repo import adapter
from crew_repo.errors import RunGoneError, StoreError
from crew_repo.model import (
    AtStart,
    Failure,
    NewRecord,
    NewRun,
    Outcome,
    Record,
    RunInput,
    RunRecord,
    RunStatus,
    TaskRun,
    Usage,
)
from crew_repo.runner.audience import Audience
from crew_repo.runner.heartbeat import Heartbeat
from crew_repo.runner.options import utc_now
from crew_repo.runner.ticket import Ticket
from crew_repo.runner.unwritten import Finished, Unwritten, WorkKey
from crew_repo.store import Store
from crew_repo.store.process_identity import this_owner

__all__ = ["Ledger"]

log = logging.getLogger("crew_repo")
Answer = TypeVar("Answer")


class Ledger:
    """Writes down one run, and knows what it has written."""

    def __init__(
        self,
        store: Store,
        heartbeat: Heartbeat,
        unwritten: Unwritten,
        audience: Audience,
        *,
        run_id: str,
        workflow_id: str,
        crew_name: str,
    ) -> None:
        self.run_id, self.workflow_id, self.crew_name = run_id, workflow_id, crew_name
        self.about = audience.about
        self.owner = this_owner()
        self.began = self.ended = False
        self._inputs: tuple[RunInput, ...] | None = None
        self._store, self._heartbeat, self._unwritten, self._audience = store, heartbeat, unwritten, audience
        self._lock = threading.RLock()
        self._task_runs: dict[int, TaskRun] = {}
        self._buffered: list[TaskRun] = []

    def start(
        self, names: Sequence[str], recorded: Sequence[str], inputs: tuple[RunInput, ...], source: str | None,
        *, everywhere: bool,
    ) -> AtStart | None:  # fmt: skip
        """Write that the run has begun, and keep its heartbeat going.

        `names` are those of the tasks, `recorded` all under which it may record something. What comes back: see
        `Store.start_run`.
        """
        log.info("run %s of workflow %r: %s", self.run_id, self.workflow_id, ", ".join(names), extra=self.about())
        new = NewRun(
            run_id=self.run_id,
            workflow_id=self.workflow_id,
            crew_name=self.crew_name,
            started_at=utc_now(),
            owner=self.owner,
            facts=adapter.facts(),
            task_names=tuple(recorded),
            inputs=inputs,
            source=source,
        )
        try:
            known = self._store.start_run(new, everywhere=everywhere)
        except StoreError:
            self.ended = True  # there is nothing to end
            raise
        self.began, self._inputs = True, inputs
        self._heartbeat.hold_run(self.run_id)
        return known

    def end(
        self, status: RunStatus, *, tokens_spent: int, failure: Failure | None, going_on: Sequence[int]
    ) -> RunRecord:
        """Write how the run has ended. `going_on`: the fences of the executions that have not."""
        self._heartbeat.drop_run(self.run_id, going_on)
        buffered = tuple(self._buffered)
        write = partial(
            self._store.finish_run,
            self.run_id,
            status,
            utc_now(),
            tasks=buffered,
            tokens_spent=tokens_spent,
            failure=failure,
            going_on=going_on,
        )
        self.ended = True
        record = replace(self._write(f"the end of run {self.run_id}", write), inputs=self._inputs)
        self._forget(buffered)
        return record

    def reused(self, ticket: Ticket, record: Record) -> None:
        """Note that a task was served from a record, and what that has saved."""
        log.info("run %s: task %s reused from run %s", self.run_id, ticket.name, record.run_id,
                 extra=self.about(ticket.name, Outcome.REUSED, tokens_saved=record.usage.total_tokens))  # fmt: skip
        note = replace(
            self.note_of(ticket.name, ticket.position, Outcome.REUSED),
            reasons=ticket.decision.reasons,
            input_hash=record.input_hash,
            record_id=record.record_id,
            started_at=ticket.started_at,
            finished_at=utc_now(),
            tokens_saved=record.usage.total_tokens,
            seconds_saved=record.duration_seconds,
            model=record.model,
        )
        self._note(note, record, buffer=True)

    def skipped(self, names: Sequence[str]) -> None:
        """Note the tasks, all of the crew's by name, that never came to their boundary."""
        for position, name in enumerate(names):
            if position not in self._task_runs:
                self._note(self.note_of(name, position, Outcome.SKIPPED), buffer=True)

    def save(self, ticket: Ticket, make: Callable[[bool], NewRecord], spent: Usage) -> tuple[NewRecord, Record]:
        """Write a finished task in one transaction; what was made, and what the store goes on with.

        `make` gives the record, with False one of the answer's text alone (`Finished`). `spent`: by this execution;
        what its record cost beyond that was in the journal, and is saved.
        """
        buffered = tuple(self._buffered)
        finished = Finished(
            make, lambda new: self._store.save_finished(ticket.lease, new, self._executed(ticket, new, spent), buffered)
        )
        what, work = f"task {ticket.name} of run {self.run_id}, which is paid for,", self.work_of(ticket)
        new, kept = self._write(what, finished, ticket, work)
        self._forget(buffered)
        self._note(replace(self._executed(ticket, new, spent), record_id=kept.record_id), kept, buffer=False)
        return new, kept

    def save_failed(self, ticket: Ticket, note: TaskRun) -> None:
        """Write a task that has failed, or was interrupted."""
        buffered = tuple(self._buffered)
        write = partial(self._store.save_failed, ticket.lease, note, buffered)
        self._write(f"the failure of task {ticket.name} of run {self.run_id}", write, ticket)
        self._forget(buffered)
        self._note(note, buffer=False)

    def outcome(self, position: int) -> Outcome | None:
        """The outcome of the task at this position; None as long as there is none."""
        note = self._task_runs.get(position)
        return note.outcome if note is not None else None

    def executed(self) -> list[int]:
        """The positions of the tasks that were executed by now."""
        return [at for at, note in list(self._task_runs.items()) if note.outcome is Outcome.EXECUTED]

    def note_of(self, name: str, position: int, outcome: Outcome) -> TaskRun:
        """A note on one task of this run."""
        return TaskRun(self.run_id, self.workflow_id, name, position, outcome)

    def _executed(self, ticket: Ticket, new: NewRecord, spent: Usage) -> TaskRun:
        return replace(
            self.note_of(new.task_name, new.position, Outcome.EXECUTED),
            reasons=ticket.decision.reasons,
            input_hash=new.input_hash,
            started_at=new.started_at,
            finished_at=new.completed_at,
            duration_seconds=new.duration_seconds,
            usage=spent,
            tokens_saved=new.usage.total_tokens - spent.total_tokens,
            model=new.model,
        )

    def work_of(self, ticket: Ticket) -> WorkKey:
        """The key by which the answer to a task is found, and owed as long as it is not written."""
        return self.workflow_id, ticket.current.input_hash

    def _write(
        self,
        what: str,
        writing: Callable[[], Answer],
        ticket: Ticket | None = None,
        work: WorkKey | None = None,
    ) -> Answer:
        """Write it now. It is owed before it is tried, so that whatever is raised, at whatever place, loses nothing."""
        debt = self._unwritten.owe(what, writing, self.about(ticket.name if ticket is not None else None), work)
        if ticket is not None:
            ticket.written = True
        try:
            answer = writing()
        except RunGoneError:
            self._unwritten.forgive(debt)
            raise
        self._unwritten.forgive(debt)
        return answer

    def _note(self, note: TaskRun, record: Record | None = None, *, buffer: bool) -> None:
        """Remember what was done; a buffered note goes into the next transaction, or the last."""
        with self._lock:
            self._task_runs[note.position] = note
            if buffer:
                self._buffered.append(note)
        self._audience.settled(note, record)

    def _forget(self, written: Sequence[TaskRun]) -> None:
        """Drop notes that are in the store by now."""
        gone = set(map(id, written))
        with self._lock:
            self._buffered = [note for note in self._buffered if id(note) not in gone]
