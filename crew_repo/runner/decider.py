"""Deciding about each task of a run: what the model would get is hashed, and the record with that hash found."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any

from crew_repo import adapter
from crew_repo.errors import InputError
from crew_repo.explain import name_upstreams
from crew_repo.hashing import Work
from crew_repo.model import (
    PLANNER,
    PLANNER_POSITION,
    AtStart,
    Decision,
    HeldAnswer,
    Lease,
    NewRecord,
    Outcome,
    Reason,
    Record,
    TaskHead,
)
from crew_repo.runner.arrivals import Arrivals
from crew_repo.runner.finding import believed, find_record
from crew_repo.runner.ledger import Ledger
from crew_repo.runner.options import RunOptions, utc_now
from crew_repo.runner.person_record import asked_of, person_record
from crew_repo.runner.planner import fresh_walk, settled_walk
from crew_repo.runner.required_files import check_files
from crew_repo.runner.ticket import Ticket
from crew_repo.runner.tied_tasks import Handed, beside, handed_in
from crew_repo.runner.unseen import warn_of_opaque
from crew_repo.staleness import Current, current_state, settle
from crew_repo.store import Store

__all__ = ["Decider"]

log = logging.getLogger("crew_repo")


class Decider:
    """Knows the crew of one run as it was meant, and makes a ticket of each arrival.

    `memo` has what was hashed in the run of `crew`, `plans` the planner's texts by id of the task.
    """

    def __init__(
        self, store: Store, crew: Any, options: RunOptions, ledger: Ledger, files: Mapping[str, Any]
    ) -> None:
        self._store, self.crew, self._options, self._ledger, self._files = store, crew, options, ledger, files
        self.names = adapter.task_names(crew)
        self.memo = adapter.Memo(hidden=adapter.secrets_of(crew))
        self.work = Work()
        self.plans: Mapping[int, str] = {}
        self._tasks = list(map(id, crew.tasks))
        self._lock = threading.RLock()
        self._heads: dict[str, TaskHead] = {}
        self._known: set[str] | None = None
        self._all_fresh = True
        self._arrivals = Arrivals()
        self._inputs: dict[int, str] = {}
        self._handed: Handed | None = None
        self._together: Mapping[int, Reason] = {}
        self._told: set[str] = set()

    def look(self, known: AtStart | None = None) -> None:
        """Take up what the state knows (if it is not `known` yet), and what the crew works with, before the first task.

        What a kickoff fills before the first task is its work; what a callback sets before it is the user's.
        """
        ask = known or partial(self._store.at_start, self._options.workflow_id, everywhere=self._options.share)
        self._heads, self._known = ask()
        if not self.crew.before_kickoff_callbacks:
            with self.work.hashing():
                adapter.take_up(adapter.own_view(self.crew, self.names, {}, self._files), self.memo)
            self.memo.forget_texts()

    def notice_new_tasks(self) -> None:
        """Take the names anew if a callback has changed the list of tasks; only those of before are met here."""
        tasks = list(map(id, self.crew.tasks))
        if tasks != self._tasks:
            if set(tasks) - set(self._tasks):
                log.warning("run %s: tasks were added to the crew after the run had begun; they are executed in every "
                            "run, and not recorded. Add them before run is called.", self._ledger.run_id,
                            extra=self._ledger.about())  # fmt: skip
            self._tasks, self.names = tasks, adapter.task_names(self.crew)

    def planner_arrives(self, planner: adapter.Planner) -> Ticket:
        """Decide about CrewAI's planner, which has a record of its own, like a task."""
        self.notice_new_tasks()
        self._check_files()
        live = adapter.live_view(self.crew, self.names, self._files)
        tasks = [adapter.live_task(task, self.names[at], at, {}) for at, task in enumerate(self.crew.tasks)]
        policy = self._options.policies.of(PLANNER)
        with self.work.hashing():
            definition = adapter.Describer(live, self.memo).describe_planner(tasks, policy)
        forced = self._options.forces(PLANNER)
        current = current_state(PLANNER, PLANNER_POSITION, definition, "", policy, forced=forced)
        return self._decided(planner.view, None, "", current, adapter.Texts(self.crew, planner.view.task))

    def task_arrives(self, task: Any, agent: Any, context: str, tools: Any, *, busy: bool) -> Ticket:
        """Hash what CrewAI is about to send, look the record up by that hash, and decide.

        `busy`: something is being executed at the moment, so that objects may have changed.
        """
        self.notice_new_tasks()
        self._check_files()
        texts = adapter.Texts(self.crew, task)
        self._settle_together()
        position = self._position(task)
        view = adapter.live_task(task, self.names[position], position, self.plans)
        if busy or adapter.is_conditional(task):
            self.memo.look_again()
        return self._decided(view, agent, context, self._current(view, context, tools), texts)

    def all_fresh(self) -> list[Ticket] | None:
        """A ticket for each task, if all are fresh; else None, and each is decided about when it arrives."""
        if self._known is not None and not self._known:  # nothing is stored
            return None
        self.notice_new_tasks()
        self._check_files()
        view = adapter.own_view(self.crew, self.names, self.plans, self._files)
        with self.work.hashing():
            walk = fresh_walk(
                self._store, view, self._options, handed=self._handed_on, memo=self.memo, heads=self._heads
            )
        if walk is None:
            return None
        answers = zip(view.tasks, walk.answers(), strict=True)
        return [self._served_ticket(task, *walk.asked[task.position], *answer) for task, answer in answers]

    def _served_ticket(
        self, view: adapter.TaskView, current: Current, context: str, decision: Decision, output: Any
    ) -> Ticket:
        texts = adapter.Texts(self.crew, view.original)
        warn_of_opaque(current, self._told, self._ledger.about(view.name))
        return Ticket(view, adapter.acting_agent(self.crew, view.original), context, current, decision, texts, output)

    def take(self, ticket: Ticket, record: Record) -> bool:
        """Decide anew, with a record that somebody else has just finished; whether it serves."""
        record = believed(self._store, record, ticket.current.policy)
        ticket.decision, ticket.output = self._settled(ticket.view, ticket.context, ticket.current, record, None)
        return ticket.decision.fresh

    def adopt(self, ticket: Ticket, lease: Lease, held: HeldAnswer) -> Record | None:
        """Make the record of a person's answer that was held for this task; None if it would not be served."""
        asked = asked_of(ticket.current, self._options.workflow_id, self.crew)
        try:
            result = adapter.stored_answer(ticket.view, held.output, ticket.context, self.memo.hidden)
        except InputError as refused:
            log.warning("run %s: what is held for task %s does not fit: %s", self._ledger.run_id, ticket.name, refused)
            return None
        new = person_record(self._store, asked, result, held.author, given_at=held.given_at)
        record = Record(**{name: getattr(new, name) for name in NewRecord.__slots__}, record_id=0)
        decision, _ = self._settled(ticket.view, ticket.context, ticket.current, record, None)
        if not held.intact or not decision.fresh:
            return None
        log.info("run %s: task %s adopts the answer of %s", self._ledger.run_id, ticket.name, held.author.by)
        return self._store.adopt(lease, held, new)

    def _decided(
        self, view: adapter.TaskView, agent: Any, context: str, current: Current, texts: adapter.Texts
    ) -> Ticket:
        record = self._find(view.name, current)
        decision, output = self._settled(view, context, current, record, self._heads.get(view.name))
        if not decision.fresh and self._all_fresh:
            self._begin_to_explain()
            decision, output = self._settled(view, context, current, record, self._heads.get(view.name))
        ticket = Ticket(view, agent, context, current, decision, texts, output)
        if not decision.fresh:
            said = adapter.said_to(self.crew, self.names, view.position)
            ticket.decision = name_upstreams(decision, said, self._heads)
            ticket.lacks = self._lacked(view.position)
        warn_of_opaque(current, self._told, self._ledger.about(view.name))
        return ticket

    def _begin_to_explain(self) -> None:
        """Read the texts of what there was: a run of fresh tasks needs none."""
        self._all_fresh = False
        if self._heads:
            self._heads = self._store.heads(self._options.workflow_id)

    @staticmethod
    def _settled(
        view: adapter.TaskView, context: str, current: Current, record: Record | None, head: TaskHead | None
    ) -> tuple[Decision, Any]:
        return settle(
            current, record, head, utc_now(), lambda result: adapter.restore_output(result, view.original, context)
        )

    def _find(self, name: str, current: Current) -> Record | None:
        """The record, if there was one when the run began; claiming the lease sees what was finished since.

        As long as all is fresh the run has only begun, and what was read then is what is stored.
        """
        if self._known is not None and current.input_hash not in self._known:
            return None
        head = self._heads.get(name) if self._all_fresh else None
        return find_record(self._store, self._options, name, current.input_hash, current.policy, head)

    def _current(self, view: adapter.TaskView, context: str, tools: Any) -> Current:
        policy = self._options.policies.of(view.name)
        live = adapter.live_view(self.crew, self.names, self._files)
        with self.work.hashing():
            definition = adapter.Describer(live, self.memo).describe(view, policy)
        current = current_state(
            view.name,
            view.position,
            definition,
            context,
            policy,
            plan=view.plan,
            forced=self._options.forces(view.name),
            human_input=bool(view.original.human_input),
            has_memory=adapter.has_memory(self.crew, view.worker),
            resolved=adapter.resolved_tools(self.crew, view, tools),
            together=self._beside(view.position),
        )
        sources = [each for each in self._handed or () if each.reader == view.position and each.writer in self._inputs]
        current = current.with_state((each.what, self._inputs[each.writer]) for each in sources)
        with self._lock:
            current = current.at_occurrence(len(self._arrivals.equal_before(current)))
            self._inputs[view.position] = current.input_hash
        return current

    def _position(self, task: Any) -> int:
        """One task object may stand in a crew twice: the first place after all that have been reached is meant."""
        places = [at for at, each in enumerate(self.crew.tasks) if each is task]
        return next((at for at in places if at > self._arrivals.furthest), places[-1])

    def _check_files(self) -> None:
        """Which files the tasks write is known before the run, unless a callback has made the inputs."""
        if self.crew.before_kickoff_callbacks and self._arrivals.furthest < 0:
            check_files(self.crew, zip(self.names, self.crew.tasks, strict=True), self._options.policies)

    # State that tasks hand on in memory.

    def _settle_together(self) -> None:
        """Before the first task: which tasks are executed because others are that they share state with."""
        with self._lock:
            if self._handed is None:
                self._handed = self._handed_on
                if self._handed:
                    view = adapter.own_view(self.crew, self.names, self.plans, self._files)
                    with self.work.hashing():
                        walk, _ = settled_walk(self._store, view, self._options, memo=self.memo)
                    self._together = walk.together

    @cached_property
    def _handed_on(self) -> Handed:
        return handed_in(self.crew, self.names, self._options)

    def _beside(self, position: int) -> Reason | None:
        return self._together.get(position) or beside(self._handed or (), position, self._ledger.executed())

    def _lacked(self, position: int) -> str | None:
        """Name state that an executing task will not find: one was reused, which no plan had foreseen."""
        reused = [each for each in self._handed or () if self._ledger.outcome(each.writer) is Outcome.REUSED]
        lacked = [each.text for each in reused if each.reader == position]
        return f"it was executed, but the state that it needs was not there: {lacked[0]}" if lacked else None
