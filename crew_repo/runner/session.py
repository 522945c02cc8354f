"""One run: decides at each boundary, serves or executes, and records before CrewAI moves on."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from crew_repo import adapter
from crew_repo.errors import RunGoneError, StoreError
from crew_repo.hashing import FORMAT, Work, output_hash
from crew_repo.model import (
    Claim,
    Decision,
    Failure,
    Lease,
    NewRecord,
    Outcome,
    Reason,
    ReasonKind,
    Record,
    RunRecord,
    RunStatus,
    Status,
    TaskHead,
    TaskRun,
    Usage,
)
from crew_repo.runner.display import Display
from crew_repo.runner.keeper import Keeper
from crew_repo.runner.options import RunOptions, utc_now
from crew_repo.runner.planner import settled_walk
from crew_repo.runner.together import Handed, beside, handed_in
from crew_repo.staleness import Current, current_state, decide, name_upstreams
from crew_repo.store import Store
from crew_repo.store.owners import this_owner

__all__ = ["Session", "new_run_id", "utc_now"]

log = logging.getLogger("crew_repo")

_FIRST_WAIT_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 1.0


def new_run_id() -> str:
    """A run ID that sorts by time: UTC to the microsecond, then 8 random hex digits."""
    return f"{utc_now():%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"


@dataclass(slots=True, eq=False)
class Ticket:
    """One arrival at a boundary."""

    view: adapter.TaskView
    agent: Any
    context: str
    current: Current
    decision: Decision
    texts: adapter.Texts
    output: Any = None
    lease: Lease | None = None
    started_at: datetime = field(default_factory=utc_now)
    written: bool = False  # what came of it, or owed
    lacks: str | None = None  # what should have been in memory


class Session:
    """The handler of one run's boundaries (adapter.boundary.Handler)."""

    def __init__(
        self,
        store: Store,
        keeper: Keeper,
        crew: Any,
        options: RunOptions,
        *,
        files: Mapping[str, Any] | None = None,
        display: Display | None = None,
    ) -> None:
        self.run_id = new_run_id()
        self.workflow_id = options.workflow_id
        self._store, self._keeper, self._crew, self._options = store, keeper, crew, options
        self._files = dict(files or {})
        self._display = display or Display.silent()
        self._names = adapter.task_names(crew)
        self._tasks = list(map(id, crew.tasks))
        self._crew_name = str(crew.name or "crew")
        self._usage = adapter.UsageTracker(adapter.crew_llms(crew))
        self._lock = threading.RLock()
        self._arrived: dict[int, tuple[str, str]] = {}
        self._task_runs: dict[int, TaskRun] = {}
        self._buffered: list[TaskRun] = []
        self._scope = None if options.share else options.workflow_id
        self._known: set[str] | None = None
        self._heads: dict[str, TaskHead] = {}
        self._futures: list[Future[Any]] = []
        self._natives: set[asyncio.Task[Any]] = set()
        self._open: set[Ticket] = set()
        self._ended = False
        self._planning = bool(crew.planning)
        self._plans: dict[int, str] = {}
        self._owner = this_owner()
        self._memo = adapter.Memo(hidden=adapter.secrets_of(crew))
        self._work = Work()
        self._handed: Handed | None = None
        self._together: Mapping[int, Reason] = {}
        self._inputs: dict[int, str] = {}

    # The run as a whole.

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Around the kickoff: writes the run down before anything is executed, and how it ended if it raises."""
        self._start()
        try:
            with self._work.under_way():
                self._look()
                yield
        except Exception as error:
            self._fail(RunStatus.FAILED, error)
            raise
        except BaseException as error:
            self._fail(RunStatus.INTERRUPTED, error)
            raise

    def _start(self) -> None:
        log.info("run %s of workflow %r: %s", self.run_id, self.workflow_id, ", ".join(self._names))
        self._store.start_run(
            self.run_id, self.workflow_id, self._crew_name, utc_now(), self._owner, adapter.facts()
        )
        self._keeper.hold_run(self.run_id)

    def _look(self) -> None:
        """What is known before the first task."""
        self._keeper.pay_owed()
        self._heads = self._store.heads(self.workflow_id)
        self._known = self._store.live_hashes(self._scope)
        self._usage.start()
        self._take_up()
        self._display.started(self.run_id, self.workflow_id, self._names)

    def _take_up(self) -> None:
        """What a kickoff fills before the first task is its work; what a callback sets before it is the user's."""
        if not self._crew.before_kickoff_callbacks:
            with self._work.hashing():
                adapter.take_up(adapter.own_view(self._crew, self._names, self._files), self._memo)

    def finish(self) -> RunRecord:
        """Write down that the run is complete, and what was reused since the last record."""
        self._notice_new_tasks()
        self._note_skipped()
        record: RunRecord = self._write(f"the end of run {self.run_id}", self._ending(RunStatus.COMPLETED))
        self._say_finished(record)
        return record

    def _fail(self, status: RunStatus, error: BaseException) -> None:
        """The same of a run that an error has ended: that is on its way, which an unreachable store must not hide."""
        try:
            record = self._write(f"the end of run {self.run_id}", self._ending(status, error))
        except StoreError as failed:
            log.warning("run %s: how it ended could not be written: %s", self.run_id, failed)
        else:
            self._say_finished(record)

    def _ending(self, status: RunStatus, error: BaseException | None = None) -> Callable[[], RunRecord]:
        self._usage.stop()
        self._keeper.drop_run(self.run_id)
        self._ended = True
        with self._lock:
            buffered, self._buffered = self._buffered, []
        return partial(
            self._store.finish_run,
            self.run_id,
            status,
            utc_now(),
            tasks=buffered,
            tokens_spent=self._usage.spent().total_tokens,
            failure=self._failure(error) if error is not None else None,
            going_on=[ticket.lease.fence for ticket in list(self._open) if ticket.lease is not None],
        )

    def _say_finished(self, record: RunRecord) -> None:
        log.info("run %s %s: executed %s, reused %s", self.run_id, record.status, record.executed, record.reused)
        self._display.finished(record)

    def _write(self, what: str, writing: Callable[[], Any]) -> Any:
        """Write it now, or owe it and say so; an interrupt may have come before it was written, or after."""
        try:
            return writing()
        except BaseException as error:
            writable = isinstance(error, StoreError) and not isinstance(error, RunGoneError)
            if writable or not isinstance(error, Exception):
                self._keeper.owe(what, writing)
            raise

    def wait_for_async(self) -> None:
        """Let the async tasks that still run finish: they are paid for, whatever failed beside them."""
        wait(self._futures)

    async def await_native(self) -> None:
        """The same for native async tasks, which run on this event loop; if the wait is cancelled, so are they."""
        try:
            await self._natives_done()
        except BaseException:
            await self.cancel_native()
            raise

    async def cancel_native(self) -> None:
        """A run that is cancelled leaves nothing behind on the event loop that goes on spending."""
        for task in self._natives:
            if task is not asyncio.current_task():
                task.cancel()
        await self._natives_done()

    async def _natives_done(self) -> None:
        others = self._natives - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)

    def _note_skipped(self) -> None:
        for position, name in enumerate(self._names):
            if position not in self._task_runs:
                self._note(self._task_run(name, position, Outcome.SKIPPED), buffer=True)

    # Arriving at a boundary.

    def arrive(self, task: Any, agent: Any, context: str) -> Ticket:
        """Hash what CrewAI is about to send, look the record up by that hash, and decide."""
        self._notice_new_tasks()
        texts = adapter.Texts(self._crew, task)
        self._settle_together()
        view, current = self._current(task, context)
        record = self._find(current.input_hash)
        decision = decide(current, record, self._heads.get(view.name), utc_now())
        if not decision.fresh:
            decision = name_upstreams(decision, adapter.said_to(self._crew, self._names, view), self._heads)
        ticket = Ticket(view, agent, context, current, decision, texts, lacks=self._lacked(view, decision))
        if decision.fresh:
            self._restore(ticket)
        self._warn_opaque(current)
        return ticket

    def _settle_together(self) -> None:
        """Before the first task: which tasks are executed because others are that they share state with."""
        with self._lock:
            if self._handed is None:
                self._handed = handed_in(self._crew, self._names, self._options)
                if self._handed:
                    view = adapter.own_view(self._crew, self._names, self._files)
                    with self._work.hashing():
                        walk, _ = settled_walk(self._store, view, self._options, memo=self._memo)
                    self._together = walk.together

    def _beside(self, position: int) -> Reason | None:
        executed = [at for at, note in self._task_runs.items() if note.outcome is Outcome.EXECUTED]
        return self._together.get(position) or beside(self._handed or (), position, executed)

    def _lacked(self, view: adapter.TaskView, decision: Decision) -> str | None:
        """What a task that executes will not find: the state of one that was reused, which no plan had foreseen."""
        lacked = [
            each.text
            for each in (self._handed or () if not decision.fresh else ())
            if each.reader == view.position
            and each.writer in self._task_runs
            and self._task_runs[each.writer].outcome is Outcome.REUSED
        ]
        return f"it was executed though the state that it needs was not there: {lacked[0]}" if lacked else None

    def _notice_new_tasks(self) -> None:
        """A before-kickoff callback may change the list of tasks; only those that were there before are met here."""
        tasks = list(map(id, self._crew.tasks))
        if tasks != self._tasks:
            if set(tasks) - set(self._tasks):
                log.warning("run %s: tasks were added to the crew after the run had begun; they are executed in every "
                            "run, and not recorded. Add them before run is called.", self.run_id)  # fmt: skip
            self._tasks, self._names = tasks, adapter.task_names(self._crew)

    def _find(self, input_hash: str) -> Record | None:
        """The record, if there was one when the run began; claiming the lease sees what was finished since."""
        if self._known is not None and input_hash not in self._known:
            return None
        return self._store.find_record(input_hash, self._scope)

    def _current(self, task: Any, context: str) -> tuple[adapter.TaskView, Current]:
        live = adapter.live_view(self._crew, self._names, self._files)
        position = self._position(task)
        view = adapter.live_task(task, self._names[position], position, self._plans)
        policy = self._options.policies.of(view.name)
        with self._work.hashing():
            definition = adapter.Describer(live, self._memo).describe(view, policy)
        current = current_state(
            view.name,
            view.position,
            definition,
            context,
            policy,
            forced=self._options.forces(view.name),
            human_input=bool(task.human_input),
            has_memory=adapter.has_memory(self._crew, view.worker),
            together=self._beside(position),
        )
        sources = [each for each in self._handed or () if each.reader == position and each.writer in self._inputs]
        current = current.with_state((each.what, self._inputs[each.writer]) for each in sources)
        key = (current.definition_hash, current.context_hash)
        with self._lock:
            self._arrived[view.position] = key
            earlier = sum(1 for at, other in self._arrived.items() if at < view.position and other == key)
            current = current.at_occurrence(earlier)
            self._inputs[position] = current.input_hash
        return view, current

    def _position(self, task: Any) -> int:
        """One task object may stand in a crew twice: the first place after all that have been reached is meant."""
        places = [at for at, each in enumerate(self._crew.tasks) if each is task]
        return next((at for at in places if at > max(self._arrived, default=-1)), places[-1])

    def _warn_opaque(self, current: Current) -> None:
        for opaque in current.definition.opaque:
            log.warning(
                "task %s runs every time: %s cannot be hashed (%s). Give it a hasher with register_hasher, "
                "or leave it out with TaskPolicy(ignore=(%r,)).",
                current.task_name, opaque.path, opaque.why, opaque.path,
            )  # fmt: skip

    def _restore(self, ticket: Ticket) -> None:
        """Make the stored output live; if the task's class no longer accepts it, the task is stale and says so."""
        record = ticket.decision.record
        assert record is not None  # noqa: S101 - a fresh decision has one
        try:
            ticket.output = adapter.restore_output(record.result, ticket.view.original, ticket.context)
        except adapter.NotRestorable as error:
            reason = Reason(ReasonKind.NOT_RESTORABLE, detail=str(error))
            ticket.decision = replace(ticket.decision, status=Status.STALE, reasons=(reason,), record=None)

    # Serving.

    def served(self, ticket: Ticket) -> Any | None:
        """The restored output of a fresh task, with CrewAI's events, its output file, and a note of what it saved."""
        for awaitable in self._serve(ticket):
            if inspect.iscoroutine(awaitable):  # as CrewAI does, which leaves all else alone here
                asyncio.run(awaitable)
        return ticket.output if ticket.decision.fresh else None

    async def aserved(self, ticket: Ticket) -> Any | None:
        """The same where an event loop runs."""
        for awaitable in self._serve(ticket):
            await awaitable
        return ticket.output if ticket.decision.fresh else None

    def _serve(self, ticket: Ticket) -> Iterator[Awaitable[Any]]:
        if not ticket.decision.fresh:
            return
        record = ticket.decision.record
        assert record is not None  # noqa: S101 - a fresh decision has one
        adapter.serve(ticket.view.original, ticket.agent, ticket.context, ticket.output)
        if self._options.fire_callbacks:
            yield from adapter.fire_callbacks(self._crew, ticket.view.original, ticket.output)
        self._note_reused(ticket, record)

    def _note_reused(self, ticket: Ticket, record: Record) -> None:
        log.info("run %s: task %s reused from run %s", self.run_id, ticket.view.name, record.run_id)
        note = replace(
            self._task_run(ticket.view.name, ticket.view.position, Outcome.REUSED),
            input_hash=record.input_hash,
            record_id=record.record_id,
            started_at=ticket.started_at,
            finished_at=utc_now(),
            tokens_saved=record.usage.total_tokens,
            seconds_saved=record.duration_seconds,
        )
        self._note(note, buffer=True)

    # Waiting for the lease.

    def claim(self, ticket: Ticket) -> Any | None:
        """Wait until this task is ours to execute; the output, if somebody else finished it meanwhile."""
        seconds = _FIRST_WAIT_SECONDS
        while not self._try_claim(ticket):
            time.sleep(seconds)
            seconds = min(seconds * 1.5, _LONGEST_WAIT_SECONDS)
        return self.served(ticket)

    async def aclaim(self, ticket: Ticket) -> Any | None:
        """The same; while it waits, the event loop goes on."""
        seconds = _FIRST_WAIT_SECONDS
        while not self._try_claim(ticket):
            await asyncio.sleep(seconds)
            seconds = min(seconds * 1.5, _LONGEST_WAIT_SECONDS)
        return await self.aserved(ticket)

    def _try_claim(self, ticket: Ticket) -> bool:
        """True when it is settled: a lease is held, or somebody else's record may be served."""
        if self._ended:
            raise InterruptedError(f"run {self.run_id} was interrupted before task {ticket.view.name} began")
        alone = self._executes_whatever(ticket)
        claim = self._claim(ticket, take_finished=not alone)
        if claim.record is not None:
            ticket.decision = decide(ticket.current, claim.record, None, utc_now())
            if ticket.decision.fresh:
                self._restore(ticket)
            if ticket.decision.fresh:
                return True
            claim = self._claim(ticket, take_finished=False)  # altered, or too old: execute in its place
        if claim.lease is None:
            return False
        ticket.lease = claim.lease
        self._keeper.hold(claim.lease)
        return True

    def _claim(self, ticket: Ticket, *, take_finished: bool) -> Claim:
        work = ticket.current.input_hash
        return self._store.claim(
            self.workflow_id,
            f"{work}:{self.run_id}" if self._executes_whatever(ticket) else work,
            run_id=self.run_id,
            task_name=ticket.view.name,
            position=ticket.view.position,
            owner=self._owner,
            take_finished=take_finished,
            shared=self._options.share,
        )

    @staticmethod
    def _executes_whatever(ticket: Ticket) -> bool:
        """Whether no record of anybody's can spare the execution: then there is nothing to wait for."""
        kinds = {reason.kind for reason in ticket.decision.reasons}
        return bool(kinds & {ReasonKind.FORCED, ReasonKind.ALWAYS, ReasonKind.NOT_HASHABLE, ReasonKind.HANDED_ON})

    # Executing.

    def started(self, future: Future[Any]) -> None:
        """An async task goes on in a thread of its own."""
        self._futures.append(future)

    def astarted(self) -> None:
        """An async task goes on in an asyncio task of its own; a synchronous one in that of the run."""
        task = asyncio.current_task()
        if task is not None:
            self._natives.add(task)

    @contextmanager
    def execution(self, ticket: Ticket) -> Iterator[tuple[Callable[[Any], Any], Any]]:
        """Around one execution: measures it, records what it gives, and records a failure as it was."""
        self._display.executing(ticket.view.name, ticket.decision)
        ticket.started_at, began = utc_now(), time.perf_counter()
        with self._kept_open(ticket), self._usage.measure() as meter:

            def record(output: Any) -> Any:
                tried.append(True)
                kept = self._save(ticket, output, time.perf_counter() - began, meter.so_far())
                saved.append(True)
                return kept

            tried: list[bool] = []
            saved: list[bool] = []
            try:
                self._plan_late()
                ticket.view.original.output = None  # so that an output found after an exception is this execution's
                with adapter.as_if_first(self._crew, ticket.view.original, ticket.agent) as worker:
                    yield record, worker
            except BaseException as error:
                if not (tried if isinstance(error, Exception) else ticket.written):
                    self._settle(ticket, error, time.perf_counter() - began, meter.so_far())
                raise
            finally:
                self._drop_lease(ticket, settled=bool(saved))

    @contextmanager
    def _kept_open(self, ticket: Ticket) -> Iterator[None]:
        """A run that ends before this execution does leaves it its lease, so that nobody else pays for it again."""
        self._open.add(ticket)
        try:
            yield
        finally:
            self._open.discard(ticket)

    def _plan_late(self) -> None:
        """`planning=True` asks a model in every kickoff; here only when the first task is really executed."""
        with self._lock:
            if self._planning:
                self._planning = False
                self._plans = adapter.plan_crew(self._crew)

    def _save(self, ticket: Ticket, output: Any, seconds: float, usage: Usage) -> Any:
        """Record a finished task in one transaction; the output to go on with (another's, if it was fenced off)."""
        new = self._new_record(ticket, output, seconds, usage)
        if new.not_restorable:
            log.warning("task %s will run every time: %s", ticket.view.name, new.not_restorable)
        note = self._executed_note(ticket, new)
        log.info("run %s: task %s executed in %.1f s, %d tokens; saving", self.run_id, new.task_name, seconds,
                 usage.total_tokens)  # fmt: skip
        with self._lock:
            buffered, self._buffered = self._buffered, []
        write = partial(self._store.save_finished, ticket.lease, new, note, buffered)
        ticket.written = True
        kept: Record = self._write(f"task {new.task_name} of run {self.run_id}, which is paid for,", write)
        self._note(replace(note, record_id=kept.record_id), buffer=False)
        if kept.output_hash != new.output_hash and kept.run_id != self.run_id:
            return adapter.restore_output(kept.result, ticket.view.original, ticket.context)
        return output

    def _new_record(self, ticket: Ticket, output: Any, seconds: float, usage: Usage) -> NewRecord:
        result, not_restorable = adapter.store_output(
            output, ticket.view.original, ticket.context, self._memo.hidden
        )
        if not ticket.texts.unchanged():
            not_restorable = "its task or an agent was rewritten while it ran, by another run that shares it"
        not_restorable = not_restorable or ticket.lacks
        current = ticket.current
        return NewRecord(
            workflow_id=self.workflow_id,
            crew_name=self._crew_name,
            task_name=ticket.view.name,
            position=ticket.view.position,
            run_id=self.run_id,
            input_hash=current.input_hash,
            definition_hash=current.definition_hash,
            context_hash=current.context_hash,
            occurrence=current.occurrence,
            components=current.definition.components,
            result=result,
            output_hash=output_hash(result),
            started_at=ticket.started_at,
            completed_at=utc_now(),
            duration_seconds=seconds,
            usage=usage,
            hash_format=FORMAT,
            not_restorable=not_restorable,
        )

    def _executed_note(self, ticket: Ticket, new: NewRecord) -> TaskRun:
        return replace(
            self._task_run(new.task_name, new.position, Outcome.EXECUTED),
            reasons=ticket.decision.reasons,
            input_hash=new.input_hash,
            started_at=new.started_at,
            finished_at=new.completed_at,
            duration_seconds=new.duration_seconds,
            usage=new.usage,
        )

    def _settle(self, ticket: Ticket, error: BaseException, seconds: float, usage: Usage) -> None:
        """Record what came of a task that has raised; that error is on its way, and stays what the user sees."""
        try:
            self._settle_error(ticket, error, seconds, usage)
        except StoreError as failed:
            log.warning("run %s: what came of task %s could not be written: %s", self.run_id, ticket.view.name, failed)

    def _settle_error(self, ticket: Ticket, error: BaseException, seconds: float, usage: Usage) -> None:
        """After an exception: a task that has its output is paid for and recorded all the same."""
        output = ticket.view.original.output
        if output is not None:
            log.warning("run %s: after task %s had finished, %s was raised; the task is recorded, and what "
                        "raised is not called again unless you pass fire_callbacks=True",
                        self.run_id, ticket.view.name, type(error).__name__)  # fmt: skip
            self._save(ticket, output, seconds, usage)
            return
        interrupted = not isinstance(error, Exception)
        note = replace(
            self._task_run(
                ticket.view.name, ticket.view.position, Outcome.INTERRUPTED if interrupted else Outcome.FAILED
            ),
            reasons=ticket.decision.reasons,
            input_hash=ticket.current.input_hash,
            started_at=ticket.started_at,
            finished_at=utc_now(),
            duration_seconds=seconds,
            usage=usage,
            failure=self._failure(error),
        )
        log.info("run %s: task %s %s: %s", self.run_id, ticket.view.name, note.outcome, type(error).__name__)
        with self._lock:
            buffered, self._buffered = self._buffered, []
        write = partial(self._store.save_failed, ticket.lease, note, buffered)
        self._write(f"the failure of task {ticket.view.name} of run {self.run_id}", write)
        self._note(note, buffer=False)

    def _drop_lease(self, ticket: Ticket, *, settled: bool) -> None:
        """Stop renewing the lease; the record's transaction has given it up, else it is given up here."""
        if ticket.lease is not None:
            self._keeper.drop(ticket.lease)
            if not settled:
                self._give_back(ticket.lease)

    def _give_back(self, lease: Lease) -> None:
        """An exception is on its way already, which an unreachable store must not hide."""
        try:
            self._store.release(lease)
        except StoreError as error:
            log.warning("run %s: a lease could not be given back: %s", self.run_id, error)
            self._keeper.owe(f"the end of a lease of run {self.run_id}", partial(self._store.release, lease))

    # Notes.

    def _task_run(self, name: str, position: int, outcome: Outcome) -> TaskRun:
        return TaskRun(self.run_id, self.workflow_id, name, position, outcome)

    def _note(self, note: TaskRun, *, buffer: bool) -> None:
        """Remember what was done; what is buffered goes into the next transaction, or the last."""
        with self._lock:
            self._task_runs[note.position] = note
            if buffer:
                self._buffered.append(note)
        self._display.settled(note)

    def _failure(self, error: BaseException) -> Failure:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        secrets = self._memo.hidden | adapter.secrets_of_error(error)
        message, text = adapter.without_secrets(secrets, [str(error), text])
        return Failure(type(error).__qualname__, message, text)
