"""One run: decides at each boundary, serves or executes, and records before CrewAI moves on."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from crew_repo import adapter
from crew_repo.errors import RunGoneError, StoreError
from crew_repo.hashing import FORMAT, Work, output_hash
from crew_repo.model import (
    PLANNER,
    PLANNER_POSITION,
    Claim,
    Decision,
    Failure,
    Holder,
    Lease,
    NewRecord,
    Opaque,
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
from crew_repo.runner.declared_files import check_files
from crew_repo.runner.display import Display
from crew_repo.runner.failures import failure_from, kept_elsewhere
from crew_repo.runner.keeper import Keeper
from crew_repo.runner.nesting import executing, waits_for_us
from crew_repo.runner.options import RunOptions, utc_now
from crew_repo.runner.planner import settled_walk
from crew_repo.runner.together import Handed, beside, handed_in
from crew_repo.runner.unwritten import Finished
from crew_repo.staleness import Current, current_state, decide, name_upstreams
from crew_repo.store import Store
from crew_repo.store.owners import this_owner

__all__ = ["Session", "new_run_id", "utc_now"]

log = logging.getLogger("crew_repo")
Answer = TypeVar("Answer")

_FIRST_WAIT_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 1.0
_SILENT_SECONDS = 10.0


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
    held_by: Holder | None = None
    started_at: datetime = field(default_factory=utc_now)
    written: bool = False  # what came of it, or owed
    lacks: str | None = None  # what should have been in memory

    @property
    def model(self) -> str | None:
        """The name of the model that is asked: that of the planner's agent, too, which is made for its task."""
        return adapter.model_name(self.agent or self.view.task.agent)


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
        self._used_tools: set[int] = set()
        self._buffered: list[TaskRun] = []
        self._known: set[str] | None = None
        self._heads: dict[str, TaskHead] = {}
        self._futures: list[Future[Any]] = []
        self._natives: set[asyncio.Task[Any]] = set()
        self._open: set[Ticket] = set()
        self._ended = False
        self._plans: Mapping[int, str] = {}
        self._owner = this_owner()
        self._memo = adapter.Memo(hidden=adapter.secrets_of(crew))
        self._failed: tuple[BaseException | None, str] = (None, "")
        self._work = Work()
        self._told: set[str] = set()
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
            self.run_id, self.workflow_id, self._crew_name, utc_now(), self._owner, adapter.facts(),
            adapter.recorded_names(self._crew),
        )  # fmt: skip
        self._keeper.hold_run(self.run_id)

    def _look(self) -> None:
        """What is known before the first task."""
        self._keeper.pay_owed()
        self._heads = self._store.heads(self.workflow_id)
        self._known = self._store.live_hashes(None if self._options.share else self.workflow_id)
        self._usage.start()
        self._take_up()
        self._display.started(self.run_id, self.workflow_id, self._names)

    def _take_up(self) -> None:
        """What a kickoff fills before the first task is its work; what a callback sets before it is the user's."""
        if not self._crew.before_kickoff_callbacks:
            with self._work.hashing():
                adapter.take_up(adapter.own_view(self._crew, self._names, {}, self._files), self._memo)
            self._memo.forget_texts()

    def finish(self) -> RunRecord:
        """Write down that the run is complete, and what was reused since the last record."""
        self._notice_new_tasks()
        self._note_skipped()
        record = self._end(RunStatus.COMPLETED)
        self._say_finished(record)
        return record

    def _fail(self, status: RunStatus, error: BaseException) -> None:
        """The same of a run that an error has ended: that is on its way, which an unreachable store must not hide."""
        if self._ended:  # its end could not be written, and is owed
            return
        try:
            record = self._end(status, error)
        except StoreError as failed:
            log.warning("run %s: how it ended could not be written: %s", self.run_id, failed)
        else:
            self._say_finished(record)

    def _end(self, status: RunStatus, error: BaseException | None = None) -> RunRecord:
        self._usage.stop()
        self._keeper.drop_run(self.run_id)
        buffered = tuple(self._buffered)
        write = partial(
            self._store.finish_run,
            self.run_id,
            status,
            utc_now(),
            tasks=buffered,
            tokens_spent=self._usage.spent().total_tokens,
            failure=self._failure_of_run(error) if error is not None else None,
            going_on=[ticket.lease.fence for ticket in list(self._open) if ticket.lease is not None],
        )
        self._ended = True
        record = self._write(f"the end of run {self.run_id}", write)
        self._forget(buffered)
        return record

    def _say_finished(self, record: RunRecord) -> None:
        log.info("run %s %s: executed %s, reused %s", self.run_id, record.status, record.executed, record.reused)
        self._display.finished(record)

    def _write(self, what: str, writing: Callable[[], Answer], ticket: Ticket | None = None) -> Answer:
        """Write it now. It is owed before it is tried, so that whatever is raised, at whatever place, loses nothing."""
        debt = self._keeper.owe(what, writing)
        if ticket is not None:
            ticket.written = True
        try:
            answer = writing()
        except RunGoneError:
            self._keeper.forgive(debt)
            raise
        self._keeper.forgive(debt)
        return answer

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

    # Planning.

    def plan(self, planner: adapter.Planner) -> None:
        """Append the planner's plan to the descriptions: a stored one, if it is asked what it was asked then.

        It has a record of its own, like a task; waiting for another process that asks it holds up an event loop, as
        asking it does.
        """
        texts = adapter.Texts(self._crew, planner.view.task)
        ticket = self._decided(planner.view, None, "", self._asked_to_plan(), texts)
        output = self.served(ticket)
        if output is None:
            output = self.claim(ticket)
        if output is None:
            with self.execution(ticket) as (record, _):
                output = record(planner.ask(self._usage.watch))
        self._plans = planner.append(output)

    def _asked_to_plan(self) -> Current:
        self._notice_new_tasks()
        live = adapter.live_view(self._crew, self._names, self._files)
        tasks = [adapter.live_task(task, self._names[at], at, {}) for at, task in enumerate(self._crew.tasks)]
        policy = self._options.policies.of(PLANNER)
        with self._work.hashing():
            definition = adapter.Describer(live, self._memo).describe_planner(tasks, policy)
        forced = self._options.forces(PLANNER)
        return current_state(PLANNER, PLANNER_POSITION, definition, "", policy, forced=forced)

    # Arriving at a boundary.

    def arrive(self, task: Any, agent: Any, context: str, tools: Any = None) -> Ticket:
        """Hash what CrewAI is about to send, look the record up by that hash, and decide."""
        self._notice_new_tasks()
        self._check_files()
        texts = adapter.Texts(self._crew, task)
        self._settle_together()
        view, current = self._current(task, context, tools)
        return self._decided(view, agent, context, current, texts)

    def _decided(
        self, view: adapter.TaskView, agent: Any, context: str, current: Current, texts: adapter.Texts
    ) -> Ticket:
        record = self._find(view.name, current.input_hash)
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
                    view = adapter.own_view(self._crew, self._names, self._plans, self._files)
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

    def _check_files(self) -> None:
        """Which files the tasks write is known before the run, unless a callback has made the inputs."""
        if self._crew.before_kickoff_callbacks and not self._arrived:
            check_files(zip(self._names, self._crew.tasks, strict=True), self._options.policies)

    def _find(self, name: str, input_hash: str) -> Record | None:
        """The record, if there was one when the run began; claiming the lease sees what was finished since."""
        if self._known is not None and input_hash not in self._known:
            return None
        shared_as = name if self._options.share else None
        return self._store.find_record(input_hash, self.workflow_id, shared_as=shared_as)

    def _current(self, task: Any, context: str, tools: Any) -> tuple[adapter.TaskView, Current]:
        live = adapter.live_view(self._crew, self._names, self._files)
        position = self._position(task)
        view = adapter.live_task(task, self._names[position], position, self._plans)
        policy = self._options.policies.of(view.name)
        if self._open or adapter.is_conditional(task):
            self._memo.look_again()
        with self._work.hashing():
            definition = adapter.Describer(live, self._memo).describe(view, policy)
        current = current_state(
            view.name,
            view.position,
            definition,
            context,
            policy,
            plan=view.plan,
            forced=self._options.forces(view.name),
            human_input=bool(task.human_input),
            has_memory=adapter.has_memory(self._crew, view.worker),
            resolved=adapter.resolved_tools(self._crew, view, tools),
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
            if opaque.elsewhere:
                self._warn_elsewhere(current, opaque)
                continue
            log.warning(
                "task %s runs every time: %s cannot be hashed (%s). Give it a hasher with register_hasher, "
                "or leave it out with TaskPolicy(ignore=(%r,)).",
                current.task_name, opaque.path, opaque.why, opaque.path,
            )  # fmt: skip

    def _warn_elsewhere(self, current: Current, opaque: Opaque) -> None:
        """Say once in a run what is not seen, unless the task's policy has an answer to it."""
        policy = current.policy
        answered = policy.files or policy.always or policy.max_age is not None or policy.salt is not None
        if answered or opaque.path in self._told:
            return
        self._told.add(opaque.path)
        log.warning(
            "task %s is served although %s stands for data that crew_repo cannot see (%s); changes there are not "
            "noticed. Name their files with TaskPolicy(files=...), or give it a max_age, or always=True.",
            current.task_name, opaque.path, opaque.why,
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
        if ticket.view.name != PLANNER:
            adapter.serve(ticket.view.original, ticket.agent, ticket.context, ticket.output)
            if self._options.fire_callbacks:
                yield from adapter.fire_callbacks(self._crew, ticket.view.original, ticket.output)
                self._memo.look_again()
        self._note_reused(ticket, record)
        self._warn_unseen(ticket)

    def _warn_unseen(self, ticket: Ticket) -> None:
        """Only words are compared: what the tools of an upstream have written beside them may be another."""
        current = ticket.current
        declared = current.policy.files is not None or ticket.view.name == PLANNER
        if declared or not adapter.uses_tools(current.definition):
            return
        above = adapter.upstreams(self._crew, self._names, current.position) & self._used_tools
        if above:
            log.warning(
                "task %s is served from its record: what it reads of %s is the same as before, but that was executed "
                "again, with tools. If the tools of %s read a file that those wrote, declare it: "
                "TaskPolicy(files=(\"that/file\",)) for task %s; files=() says that there is none.",
                current.task_name, ", ".join(repr(self._names[at]) for at in sorted(above)), current.task_name,
                current.task_name,
            )  # fmt: skip

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
        pauses = self._pauses(ticket)
        while not self._try_claim(ticket):
            time.sleep(next(pauses))
        return self.served(ticket)

    async def aclaim(self, ticket: Ticket) -> Any | None:
        """The same; while it waits, the event loop goes on."""
        pauses = self._pauses(ticket)
        while not self._try_claim(ticket):
            await asyncio.sleep(next(pauses))
        return await self.aserved(ticket)

    def _pauses(self, ticket: Ticket) -> Iterator[float]:
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
            "itself started this run, in a process or thread of its own, neither can end: stop one of them, and give "
            "the inner run a workflow_id of its own.",
            self.run_id, ticket.view.name, waited, holder.task_name, holder.run_id, f"{holder.since:%Y-%m-%d %H:%M:%S}",
            " on ".join(reversed(holder.owner.split(":")[:2])),
        )  # fmt: skip

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
        while claim.held_by is not None and waits_for_us(claim.held_by.run_id, claim.held_by.position):
            claim = self._claim(ticket, take_finished=False, inside=claim.held_by.run_id)
        ticket.lease, ticket.held_by = claim.lease, claim.held_by
        if claim.lease is None:
            return False
        self._keeper.hold(claim.lease)
        return True

    def _claim(self, ticket: Ticket, *, take_finished: bool, inside: str | None = None) -> Claim:
        """Claim the work; `inside` a run that does the very work, and waits for this one, it is work beside that."""
        beside = self.run_id if self._executes_whatever(ticket) else inside
        work = ticket.current.input_hash
        return self._store.claim(
            self.workflow_id,
            work if beside is None else f"{work}:{beside}",
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
        here = executing(self.run_id, ticket.view.position)
        with here, self._kept_open(ticket), self._usage.measure() as meter:

            def record(output: Any) -> Any:
                kept = self._save(ticket, output, time.perf_counter() - began, meter.so_far())
                saved.append(True)
                return kept

            saved: list[bool] = []
            try:
                ticket.view.original.output = None  # so that an output found after an exception is this execution's
                with adapter.as_if_first(self._crew, ticket.view.original, ticket.agent) as worker:
                    yield record, worker
            except BaseException as error:
                if not ticket.written:
                    self._settle(ticket, error, time.perf_counter() - began, meter.so_far())
                elif isinstance(error, Exception) and not isinstance(error, StoreError):
                    self._keeper.pay_owed()  # a time limit, say: the process may not live to write it later
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
            self._memo.look_again()

    def _save(self, ticket: Ticket, output: Any, seconds: float, usage: Usage) -> Any:
        """Record a finished task in one transaction; the output to go on with (another's, if it was fenced off)."""
        name, buffered = ticket.view.name, tuple(self._buffered)
        if adapter.uses_tools(ticket.current.definition):
            self._used_tools.add(ticket.view.position)
        log.info("run %s: task %s executed in %.1f s, %d tokens; saving", self.run_id, name, seconds,
                 usage.total_tokens)  # fmt: skip
        finished = Finished(
            partial(self._new_record, ticket, output, seconds, usage, utc_now()),
            lambda new: self._store.save_finished(ticket.lease, new, self._executed_note(ticket, new), buffered),
        )
        new, kept = self._write(f"task {name} of run {self.run_id}, which is paid for,", finished, ticket)
        self._forget(buffered)
        if new.not_restorable:
            log.warning("task %s is kept, and will not be served: %s", name, new.not_restorable)
        self._note(replace(self._executed_note(ticket, new), record_id=kept.record_id), buffer=False)
        if kept.output_hash != new.output_hash and kept.run_id != self.run_id:
            return adapter.restore_output(kept.result, ticket.view.original, ticket.context)
        return output

    def _new_record(
        self, ticket: Ticket, output: Any, seconds: float, usage: Usage, completed_at: datetime, whole: bool
    ) -> NewRecord:
        store = adapter.store_output if whole else adapter.store_text
        result, not_restorable = store(output, ticket.view.original, ticket.context, self._memo.hidden)
        if not ticket.texts.unchanged():
            not_restorable = "its task or agent was rewritten while it ran, by a callback or another run that shares it"
        not_restorable = not_restorable or ticket.lacks
        current = ticket.current
        not_restorable = self._changed_meanwhile(current) or not_restorable
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
            completed_at=completed_at,
            duration_seconds=seconds,
            usage=usage,
            hash_format=FORMAT,
            not_restorable=not_restorable,
            model=adapter.without_secrets(self._memo.hidden, ticket.model),
        )

    def _changed_meanwhile(self, current: Current) -> str | None:
        """The answer may have been made of what a file said before, after or in between: nobody can know."""
        changed = adapter.changed_file(current.definition, current.policy, self._memo)
        if changed is None:
            return None
        return (
            f"{changed} while the task was being executed; if the task itself writes it, "
            "take it out of TaskPolicy(files=...)"
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
        self._failed = (error, ticket.view.name)
        log.info("run %s: task %s %s: %s", self.run_id, ticket.view.name, note.outcome, type(error).__name__)
        buffered = tuple(self._buffered)
        write = partial(self._store.save_failed, ticket.lease, note, buffered)
        self._write(f"the failure of task {ticket.view.name} of run {self.run_id}", write)
        self._forget(buffered)
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

    def _forget(self, written: Sequence[TaskRun]) -> None:
        """These notes are in the store. Until then they are kept here: a note may be written twice, but not lost."""
        gone = set(map(id, written))
        with self._lock:
            self._buffered = [note for note in self._buffered if id(note) not in gone]

    def _failure(self, error: BaseException) -> Failure:
        return failure_from(error, self._memo.hidden)

    def _failure_of_run(self, error: BaseException) -> Failure:
        """The error that ended the run; if it is that of a task, the task has the whole."""
        failed, name = self._failed
        failure = self._failure(error)
        return kept_elsewhere(failure, name) if failed is error else failure
