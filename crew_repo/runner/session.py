"""One run: executes or reuses each task, and records it before CrewAI goes on to the next."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from crew_repo import adapter
from crew_repo.errors import StoreError
from crew_repo.model import PLANNER, AtStart, Outcome, RunRecord, RunStatus
from crew_repo.pricing import priced_run
from crew_repo.runner.async_tasks import AsyncTasks
from crew_repo.runner.audience import Audience
from crew_repo.runner.decider import Decider
from crew_repo.runner.display import Display
from crew_repo.runner.heartbeat import Heartbeat
from crew_repo.runner.journal import Journal
from crew_repo.runner.ledger import Ledger
from crew_repo.runner.nesting import executing
from crew_repo.runner.options import crew_name, utc_now
from crew_repo.runner.recorder import Recorder
from crew_repo.runner.request import Request
from crew_repo.runner.single_flight import SingleFlight
from crew_repo.runner.ticket import Ticket
from crew_repo.runner.unseen import warn_of_tools
from crew_repo.runner.unwritten import Unwritten
from crew_repo.store import Store

__all__ = ["Session", "new_run_id"]

log = logging.getLogger("crew_repo")


def new_run_id() -> str:
    """A run ID that sorts by time: UTC to the microsecond, then 8 random hex digits."""
    return f"{utc_now():%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"


class Session:
    """The handler of one run's boundaries (`crew_repo.adapter.Handler`).

    The decider says whether a record serves, the flight waits for leases, the recorder makes what the ledger writes.
    """

    def __init__(
        self,
        store: Store,
        heartbeat: Heartbeat,
        unwritten: Unwritten,
        request: Request,
        *,
        display: Display | None = None,
    ) -> None:
        crew, options = request.crew, request.options
        self.run_id = new_run_id()
        self.async_tasks = AsyncTasks()
        self._crew, self._options, self._unwritten, self._request = crew, options, unwritten, request
        self._audience = Audience(
            display or Display.silent(), crew, run_id=self.run_id, workflow_id=options.workflow_id
        )
        self._usage = adapter.UsageTracker(adapter.crew_llms(crew))
        self._ledger = Ledger(
            store,
            heartbeat,
            unwritten,
            self._audience,
            run_id=self.run_id,
            workflow_id=options.workflow_id,
            crew_name=crew_name(crew),
        )
        self._decider = Decider(store, crew, options, self._ledger, request.files)
        self._recorder = Recorder(self._ledger, self._decider.memo)
        self._journal = Journal(store, self._decider, self._ledger)
        self._flight = SingleFlight(store, heartbeat, unwritten, self._ledger, share=options.share)
        self._open: set[Ticket] = set()

    # The run as a whole.

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Around the kickoff: writes the run down before anything is executed, and how it ended if it raises."""
        inputs = adapter.kept_inputs(self._request.given, self._request.files, self._decider.memo.hidden)
        names, recorded = self._decider.names, adapter.recorded_names(self._crew)
        try:
            with self._decider.work.under_way():
                self._look(
                    self._ledger.start(names, recorded, inputs, self._request.source, everywhere=self._options.share)
                )
                yield
        except Exception as error:
            self._fail(RunStatus.FAILED, error)
            raise
        except BaseException as error:
            self._fail(RunStatus.INTERRUPTED, error)
            raise

    def _look(self, known: AtStart | None) -> None:
        """Take up what is `known`, unless more of it was owed, and is written only now."""
        owed = self._unwritten.pay()
        self._usage.start()
        self._decider.look(None if owed else known)
        self._audience.started(self._decider.names)

    def finish(self) -> RunRecord:
        """Write down that the run is complete, and what was reused since the last record."""
        self._decider.notice_new_tasks()
        self._ledger.skipped(self._decider.names)
        return self._end(RunStatus.COMPLETED)

    def _fail(self, status: RunStatus, error: BaseException) -> None:
        """Write down that an error has ended the run. It is on its way, which an unreachable store must not hide."""
        if self._ledger.ended:  # its end could not be written, and is owed; or it has not begun
            return
        try:
            self._end(status, error)
        except StoreError as failed:
            if self._ledger.began:  # else an interrupt came first
                log.warning("run %s: how it ended could not be written: %s", self.run_id, failed,
                            extra=self._ledger.about())  # fmt: skip

    def _end(self, status: RunStatus, error: BaseException | None = None) -> RunRecord:
        self._usage.stop()
        ended = self._ledger.end(
            status,
            tokens_spent=self._usage.spent().total_tokens,
            failure=self._recorder.failure_of_run(error) if error is not None else None,
            going_on=[ticket.lease.fence for ticket in list(self._open) if ticket.lease is not None],
        )
        self._journal.end()
        record = priced_run(ended, self._options.prices)
        self._audience.finished(record)
        return record

    # Arriving.

    def plan(self, planner: adapter.Planner) -> None:
        """Append the planner's plan to the descriptions: a stored one, if it is asked what it was asked then.

        Waiting for another process that asks it holds up an event loop, as asking it does.
        """
        ticket = self._decider.planner_arrives(planner)
        output = self.served(ticket)
        if output is None:
            output = self.claim(ticket)
        if output is None:
            with self.execution(ticket) as (record, _):
                output = record(planner.ask(self._usage.watch))
        self._decider.plans = planner.append(output)

    def arrive(self, task: Any, agent: Any, context: str, tools: Any = None) -> Ticket:
        """Decide about what CrewAI is about to send."""
        return self._decider.task_arrives(task, agent, context, tools, busy=bool(self._open))

    # Serving.

    def serve_all(self) -> list[Any] | None:
        """Serve every task, if each is fresh, as their boundaries would one by one; else None, and nothing is done."""
        tickets = None if self._options.fire_callbacks else self._decider.all_fresh()
        return None if tickets is None else [self.served(ticket) for ticket in tickets]

    def served(self, ticket: Ticket) -> Any | None:
        """The restored output of a fresh task, with CrewAI's events, its output file, and a note of what it saved."""
        for awaitable in self._serve(ticket):
            if inspect.iscoroutine(awaitable):  # as CrewAI does, which leaves all else alone here
                asyncio.run(awaitable)
        return ticket.output if ticket.decision.fresh else None

    async def aserved(self, ticket: Ticket) -> Any | None:
        """`served`, where an event loop runs."""
        for awaitable in self._serve(ticket):
            await awaitable
        return ticket.output if ticket.decision.fresh else None

    def _serve(self, ticket: Ticket) -> Iterator[Awaitable[Any]]:
        record = ticket.decision.record
        if record is None:
            return
        if ticket.name != PLANNER:
            adapter.serve(ticket.view.original, ticket.agent, ticket.context, ticket.output)
            if self._options.fire_callbacks:
                yield from adapter.fire_callbacks(self._crew, ticket.view.original, ticket.output)
                self._decider.memo.look_again()
        self._ledger.reused(ticket, record)
        above = self._recorder.used_tools(lambda: adapter.upstreams(self._crew, ticket.position))
        about = self._ledger.about(ticket.name, Outcome.REUSED)
        warn_of_tools(ticket.current, [self._decider.names[at] for at in above], about)

    # Waiting for the lease.

    def claim(self, ticket: Ticket) -> Any | None:
        """Wait until this task is ours to execute; the output, if somebody else finished it meanwhile."""
        pauses = self._flight.pauses(ticket)
        while not self._try_claim(ticket):
            time.sleep(next(pauses))
        return self.served(ticket)

    async def aclaim(self, ticket: Ticket) -> Any | None:
        """`claim`; while it waits, the event loop goes on."""
        pauses = self._flight.pauses(ticket)
        while not self._try_claim(ticket):
            await asyncio.sleep(next(pauses))
        return await self.aserved(ticket)

    def _try_claim(self, ticket: Ticket) -> bool:
        return self._flight.try_claim(
            ticket,
            lambda record: self._decider.take(ticket, record),
            lambda lease, held: self._decider.adopt(ticket, lease, held),
        )

    # Executing.

    def started(self, future: Future[Any]) -> None:
        """Take in an async task that goes on in a thread of its own."""
        self.async_tasks.add(future)

    def astarted(self) -> None:
        """Take in an async task on this event loop; a synchronous one runs in the asyncio task of the run."""
        self.async_tasks.add_native()

    @contextmanager
    def execution(self, ticket: Ticket) -> Iterator[tuple[Callable[[Any], Any], Any]]:
        """Around one execution: measures it, records what it gives, and records a failure as it was."""
        ticket.started_at, began = utc_now(), time.perf_counter()
        here = executing(self.run_id, ticket.position)
        with here, self._kept_open(ticket), self._journal.execution(ticket) as calls, self._usage.measure() as meter:

            def record(output: Any) -> Any:
                kept = self._recorder.finished(ticket, output, time.perf_counter() - began, meter.so_far(), calls.saved)
                saved.append(True)
                return kept

            self._audience.executing(ticket.decision)
            saved: list[bool] = []
            try:
                ticket.view.original.output = None  # so that an output found after an exception is this execution's
                with adapter.as_if_first(self._crew, ticket.view.original, ticket.agent) as worker:
                    yield record, worker
            except BaseException as error:
                if not ticket.written:
                    calls.failed(error)
                    self._recorder.raised(ticket, error, time.perf_counter() - began, meter.so_far(), calls.saved)
                elif isinstance(error, Exception) and not isinstance(error, StoreError):
                    self._unwritten.pay()  # a time limit, say: the process may not live to write it later
                raise
            finally:
                self._flight.let_go(ticket, settled=bool(saved))

    @contextmanager
    def _kept_open(self, ticket: Ticket) -> Iterator[None]:
        """A run that ends before this execution does leaves it its lease, so that nobody else pays for it again."""
        self._open.add(ticket)
        try:
            yield
        finally:
            self._open.discard(ticket)
            self._decider.memo.look_again()
