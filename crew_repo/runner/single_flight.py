"""Waiting for work of others: of all that want one task done, one executes it, and the others take its answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from crew_repo.errors import StoreError
from crew_repo.model import Claim, HeldAnswer, Holder, Lease, Record
from crew_repo.runner.heartbeat import Heartbeat
from crew_repo.runner.ledger import Ledger
from crew_repo.runner.nesting import waits_for_us
from crew_repo.runner.ticket import Ticket
from crew_repo.runner.unwritten import Unwritten
from crew_repo.store import Store

__all__ = ["SingleFlight"]

log = logging.getLogger("crew_repo")

_FIRST_WAIT_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 1.0
_SILENT_SECONDS = 10.0
_PATIENCE_SECONDS = 600.0  # with a process that lives and does not beat: it is suspended, kept busy, or has given up


class SingleFlight:
    """Claims leases for one run, and gives them back."""

    def __init__(
        self, store: Store, heartbeat: Heartbeat, unwritten: Unwritten, ledger: Ledger, *, share: bool
    ) -> None:
        self._store, self._heartbeat, self._unwritten, self._ledger = store, heartbeat, unwritten, ledger
        self._share = share
        self._lock = threading.Lock()
        self._waits_for: dict[str, str] = {}

    def try_claim(
        self, ticket: Ticket, take: Callable[[Record], bool], adopt: Callable[[Lease, HeldAnswer], Record | None]
    ) -> bool:
        """Claim the work; True when it is settled: a lease is held, or somebody else's record serves.

        `take` decides about such a record, and says whether it serves. `adopt` makes one of a person's answer that was
        held for this, and gives the lease back; None if it would not serve. Whom the run waits for is written down.
        """
        settled = self._is_settled(ticket, take, adopt)
        self._note_waiting(ticket.name, None if settled or ticket.held_by is None else ticket.held_by.run_id)
        return settled

    def _note_waiting(self, task_name: str, run_id: str | None) -> None:
        """Write which run executes what this task waits for, where that is another than before."""
        with self._lock:
            if self._waits_for.get(task_name) == run_id:
                return
            others = {name: each for name, each in self._waits_for.items() if name != task_name}
            self._waits_for = others if run_id is None else {**others, task_name: run_id}
            try:
                self._store.note_waiting(self._ledger.run_id, self._waits_for)
            except StoreError as error:  # the task goes on, and is recorded when the state can be written
                log.warning("run %s: whom it waits for could not be written: %s", self._ledger.run_id, error,
                            extra=self._ledger.about(task_name))  # fmt: skip

    def _is_settled(
        self, ticket: Ticket, take: Callable[[Record], bool], adopt: Callable[[Lease, HeldAnswer], Record | None]
    ) -> bool:
        if self._ledger.ended:
            raise InterruptedError(f"run {self._ledger.run_id} was interrupted before task {ticket.name} began")
        self._unwritten.write_answer(self._ledger.work_of(ticket))
        claim = self._claim(ticket, take_finished=not ticket.decision.runs_anyway)
        if claim.record is not None:
            if take(claim.record):
                return True
            claim = self._claim(ticket, take_finished=False)  # altered, or too old: execute in its place
        while claim.held_by is not None and waits_for_us(claim.held_by.run_id, claim.held_by.position):
            claim = self._claim(ticket, take_finished=False, inside=claim.held_by.run_id)
        if claim.lease is not None and claim.held is not None:
            adopted = adopt(claim.lease, claim.held)
            if adopted is not None:
                return take(adopted)  # if it does not serve after all, the next try executes
        ticket.lease, ticket.held_by, ticket.has_calls = claim.lease, claim.held_by, claim.has_calls
        if claim.lease is None:
            return False
        self._heartbeat.hold(self._ledger.run_id, claim.lease)
        return True

    def _claim(self, ticket: Ticket, *, take_finished: bool, inside: str | None = None) -> Claim:
        """Claim the work; `inside` a run that does the very work, and waits for this one, it is work beside that."""
        late, anyway = ticket.late_since, ticket.decision.runs_anyway  # then no record of anybody's spares it
        beside = self._ledger.run_id if anyway else inside
        work = ticket.current.input_hash
        claim = self._store.claim(
            self._ledger.workflow_id,
            work if beside is None else f"{work}:{beside}",
            run_id=self._ledger.run_id,
            task_name=ticket.name,
            position=ticket.position,
            owner=self._ledger.owner,
            take_finished=take_finished,
            shared=self._share,
            take_late=late is not None and time.monotonic() - late > _PATIENCE_SECONDS,
            definition_hash=None if anyway else ticket.current.definition_hash,
        )
        is_late = claim.held_by is not None and claim.held_by.late
        ticket.late_since = (late or time.monotonic()) if is_late else None
        return claim

    def pauses(self, ticket: Ticket) -> Iterator[float]:
        """Seconds until each new try, growing. A long wait is told in the log, less often the longer it lasts."""
        seconds, waited, silent = _FIRST_WAIT_SECONDS, 0.0, _SILENT_SECONDS
        while True:
            yield seconds
            waited += seconds
            seconds = min(seconds * 1.5, _LONGEST_WAIT_SECONDS)
            if waited >= silent and ticket.held_by is not None:
                silent = waited * 4
                self._say_waiting(ticket, ticket.held_by, waited)

    def _say_waiting(self, ticket: Ticket, holder: Holder, waited: float) -> None:
        log.warning(
            "run %s: task %s has waited %.0f s for task %s of run %s, executed since %s by process %s. If that task "
            "started this run itself, in a process or thread of its own, each waits for the other: stop one of them, "
            "and give the inner run a workflow_id of its own.",
            self._ledger.run_id, ticket.name, waited, holder.task_name, holder.run_id,
            f"{holder.since:%Y-%m-%d %H:%M:%S}", " on ".join(reversed(holder.owner.split(":")[:2])),
            extra=self._ledger.about(ticket.name),
        )  # fmt: skip

    def let_go(self, ticket: Ticket, *, settled: bool) -> None:
        """Stop renewing the lease; the record's transaction has given it up, else it is given up here."""
        if ticket.lease is not None:
            self._heartbeat.drop(ticket.lease)
            if not settled:
                self._give_back(ticket.lease)

    def _give_back(self, lease: Lease) -> None:
        """Release a lease. An exception is on its way already, which an unreachable store must not hide."""
        try:
            self._store.release(lease)
        except StoreError as error:
            log.warning("run %s: its claim on a task could not be removed, so others wait; it is tried again when the "
                        "state can be written: %s", self._ledger.run_id, error, extra=self._ledger.about())  # fmt: skip
            what = f"the end of a claim of run {self._ledger.run_id}"
            self._unwritten.owe(what, partial(self._store.release, lease), self._ledger.about())
