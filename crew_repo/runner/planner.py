"""Making a plan: what a run would do, without calling a model, writing anything, or changing the crew.

The tasks are walked in CrewAI's order with the outputs that would be served; where an upstream would run, what it
will say is not known, and what reads it "may rerun".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from types import SimpleNamespace
from typing import Any

from crew_repo import adapter
from crew_repo.declared_files import declared
from crew_repo.explain import name_upstreams
from crew_repo.model import (
    PLANNER,
    PLANNER_POSITION,
    Decision,
    Plan,
    Reason,
    ReasonKind,
    Record,
    Status,
    StoredResult,
    TaskHead,
    Usage,
)
from crew_repo.runner.arrivals import Arrivals
from crew_repo.runner.finding import HeldAnswers, find_record
from crew_repo.runner.options import RunOptions, crew_name, utc_now
from crew_repo.runner.renamed import answered_elsewhere
from crew_repo.runner.required_files import check_files
from crew_repo.runner.tied_tasks import Handed, handed_in, more_together
from crew_repo.staleness import Current, counts_resolved, current_state, decide_unknown, settle
from crew_repo.store import Store

__all__ = ["Question", "Walk", "fresh_walk", "make_plan", "old_answer", "settled_walk"]

_CONNECTS = Reason(ReasonKind.AT_RUN_TIME, "agent.mcp", "the tools that its servers give")


def make_plan(store: Store, view: adapter.CrewView, options: RunOptions) -> Plan:
    """Give the decisions for all tasks, in order."""
    check_files(view.crew, ((task.name, task.task) for task in view.tasks), options.policies)
    walk, decisions = settled_walk(store, view, options)
    if any(decision.usage is None and not decision.fresh for decision in decisions):
        elsewhere = store.costs_elsewhere(options.workflow_id, crew_name(view.crew))
        decisions = tuple(_with_cost(decision, elsewhere) for decision in decisions)
    decisions = tuple(_resuming(store, walk, options, decisions))
    known = (decision for decision in decisions if decision.position in walk.asked)
    notes = [_to_adopt(decision, old) for decision in known if (old := old_answer(decision)) is not None]
    notes += answered_elsewhere(store, options, decisions, [current for current, _ in walk.asked.values()])
    return Plan(options.workflow_id, decisions, tuple(notes), walk.planner)


def _resuming(
    store: Store, walk: Walk, options: RunOptions, decisions: Sequence[Decision]
) -> Iterator[Decision]:
    """The decisions; those about tasks that would go on where they were killed say so."""
    kept = {} if all(decision.fresh for decision in decisions) else store.resumable(options.workflow_id)
    for decision in decisions:
        asked = walk.asked.get(decision.position)
        found = None if asked is None else kept.get((decision.task_name, asked[0].input_hash))
        goes_on = options.policies.of(decision.task_name).journal and not (decision.fresh or decision.begins_anew)
        yield decision.noting(found.reason) if found is not None and goes_on else decision


def old_answer(decision: Decision) -> Reason | None:
    """A person's answer that no longer applies, and could be given to what is asked now."""
    kinds = {reason.kind: reason for reason in decision.reasons}
    unfit = decision.runs_anyway or ReasonKind.NOT_RESTORABLE in kinds
    return None if unfit else kinds.get(ReasonKind.NOT_BY_PERSON)


def _to_adopt(decision: Decision, old: Reason) -> str:
    name = decision.task_name
    return (
        f"A person's answer to {name!r} no longer applies ({old.detail}); to give it to what is asked now: "
        f"repo.adopt({name!r}, crew=crew, inputs=inputs), or crew-repo adopt {quote(name)} with this plan's arguments"
    )


def _with_cost(decision: Decision, elsewhere: Mapping[str, tuple[Usage, float]]) -> Decision:
    """The decision with the cost of the same task in other workflows, where this one knows none."""
    if decision.fresh or decision.usage is not None or decision.task_name not in elsewhere:
        return decision
    usage, seconds = elsewhere[decision.task_name]
    return replace(decision, usage=usage, seconds=seconds, cost_from="other workflows")


def settled_walk(
    store: Store, view: adapter.CrewView, options: RunOptions, *, memo: adapter.Memo | None = None,
    supposed: Mapping[str, StoredResult] | None = None,
) -> tuple[Walk, tuple[Decision, ...]]:  # fmt: skip
    """A walk after which tasks that hand on state in memory are either all served or all executed.

    `supposed`: what tasks, by name, would say that have no answer, so that it is known what those below them are asked.
    """
    handed = handed_in(view.crew, view.names, options)
    together: dict[int, Reason] = {}
    while True:
        walk = Walk(store, view, options, handed=handed, together=together, memo=memo, supposed=supposed)
        decisions = tuple(walk.decisions())
        more = more_together(handed, decisions, together)
        if not more:
            return walk, decisions
        together.update(more)


def fresh_walk(
    store: Store, view: adapter.CrewView, options: RunOptions, *, handed: Handed, memo: adapter.Memo | None = None,
    heads: Mapping[str, TaskHead] | None = None,
) -> Walk | None:  # fmt: skip
    """A walk that has found all to be fresh; None, as soon as it comes to a task that is not."""
    walk = Walk(store, view, options, handed=handed, together={}, memo=memo, heads=heads)
    return walk if all(decision.fresh for decision in walk.decisions()) else None


@dataclass(slots=True)
class _Seen:
    """A task already walked: its output if it is known, else None; a skipped one has an empty text and no output."""

    decision: Decision
    raw: str | None
    output: Any = None
    skipped: bool = False
    input_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A task as it is asked, with its context: a record is looked for by its input hash."""

    current: Current
    context: str


class Walk:
    """One walk over the tasks of a view.

    `asked`: after `decisions`, what the tasks will be asked, with their contexts, by position, as far as it is known;
    `untold`: the tasks whose contexts are not known yet.
    """

    def __init__(
        self,
        store: Store,
        view: adapter.CrewView,
        options: RunOptions,
        *,
        handed: Handed,
        together: Mapping[int, Reason],
        memo: adapter.Memo | None = None,
        describer: adapter.Describer | None = None,
        supposed: Mapping[str, StoredResult] | None = None,
        heads: Mapping[str, TaskHead] | None = None,
    ) -> None:
        self._store, self._view, self._options = store, view, options
        self._handed, self.together = handed, together
        self._describer = describer or adapter.Describer(view, memo)
        self._heads = store.heads(options.workflow_id) if heads is None else heads
        self._possible: dict[tuple[str, str | None], bool] = {}
        self.asked: dict[int, tuple[Current, str]] = {}
        self.untold: dict[int, Current] = {}
        self._held = HeldAnswers(store, options.workflow_id)
        self._supposed = supposed or {}
        self._seen: list[_Seen] = []
        self._arrivals = Arrivals()
        self._written: dict[Path, str] = {}
        self._writers: dict[Path, list[_Seen]] = {}
        self._planner: _Seen | None = None

    @property
    def planner(self) -> Decision | None:
        """After `decisions`: the one about CrewAI's planner, if the crew has one."""
        return None if self._planner is None else self._planner.decision

    def answers(self) -> list[tuple[Decision, Any]]:
        """After `decisions`: each, with the output that would be served; that of a skipped task is empty."""
        return [(seen.decision, seen.output) for seen in self._seen]

    def decisions(self) -> Iterator[Decision]:
        """Decide about each task, in order, as the decisions are asked for. Call it once."""
        for view in self.begin():
            asked = self.ask(view)
            self.settle(view, asked, self._find(asked.current) if isinstance(asked, Question) else None)
            seen = self._seen[-1]
            seen.decision = replace(seen.decision, reads=self._reads(view))
            yield seen.decision

    def begin(self) -> Sequence[adapter.TaskView]:
        """Decide about the planner, and give the tasks with their plans, as far as those are known.

        Each is to be given to `ask`, in order, and what comes of it to `settle`.
        """
        views = self._view.tasks
        if self._view.crew.planning:
            self._planner = self._plan()
        if self._planner is None or self._planner.output is None:
            return views
        texts = adapter.plan_texts([view.original for view in views], self._planner.output)
        return [replace(view, plan=text) for view, text in zip(views, texts, strict=True)]

    def settle(self, view: adapter.TaskView, asked: Question | _Seen, record: Record | None) -> Decision:
        """Decide about a task; `record` is what may be served for the question, if it is one. Not what it reads."""
        seen = self._known(view, asked, record) if isinstance(asked, Question) else asked
        self._seen.append(seen)
        self._note_file(view, seen)
        return seen.decision

    def _plan(self) -> _Seen:
        """The planner as the first that the tasks read; its output, if that would be served."""
        policy = self._options.policies.of(PLANNER)
        definition = self._describer.describe_planner(self._view.tasks, policy)
        forced = self._options.forces(PLANNER)
        current = current_state(PLANNER, PLANNER_POSITION, definition, "", policy, forced=forced)
        task = adapter.Planner(self._view.crew).view.task
        return self._settled(Question(current, ""), task, self._find(current))

    def _note_file(self, view: adapter.TaskView, seen: _Seen) -> None:
        """Note which file a run will have written before the next task, or that it is not known yet."""
        file = adapter.output_file(view.task)
        if file is None or seen.skipped:
            return
        if seen.output is None:
            self._writers.setdefault(file, []).append(seen)
        else:
            text = adapter.file_text(seen.output)
            if file in self._written or not adapter.says(file, text):
                self._written[file] = text

    def ask(self, view: adapter.TaskView) -> Question | _Seen:
        """The question for a record that a task comes to, or the decision about it where none is looked for."""
        condition = self._condition(view)
        if condition is False:
            reason = Reason(ReasonKind.CONDITION, detail="its condition says no: CrewAI skips it")
            skipped = adapter.skipped_output(view.task)
            decision = Decision(view.name, Status.FRESH, (reason,), position=view.position)
            return _Seen(decision, "", skipped, skipped=True)
        context = self._context(view)
        sources = [(each, self._seen[each.writer]) for each in self._handed if each.reader == view.position]
        left = [(each.what, seen) for each, seen in sources if not seen.skipped]
        current = self._current(view, context).with_state(
            (what, seen.input_hash) for what, seen in left if seen.input_hash is not None
        )
        connects = _connects(self._view.crew, view, self._options)
        known = context is not None and not connects
        equal = self._arrivals.equal_before(current, known=known, certain=condition is True)
        unsure = [self._seen[at] for at, same in equal.items() if same is None] + self._file_writers(view)
        unsure += [seen for _, seen in left if seen.input_hash is None and seen not in unsure]
        if context is None or condition is None or unsure or connects:
            return self._unknown(view, current, unsure)
        return Question(current.at_occurrence(sum(map(bool, equal.values()))), context)

    def _file_writers(self, view: adapter.TaskView) -> list[_Seen]:
        """The tasks before it that may yet write something else into a file that its policy names."""
        elements = declared(self._options.policies.of(view.name).paths) if self._writers else ()
        files = [file for file in self._writers if any(element.covers(file) for element in elements)]
        return [seen for file in files for seen in self._writers[file]]

    def _current(self, view: adapter.TaskView, context: str | None) -> Current:
        policy = self._options.policies.of(view.name)
        definition = self._describer.describe(view, policy, written=self._written)
        return current_state(
            view.name,
            view.position,
            definition,
            context or "",
            policy,
            plan=view.plan,
            forced=self._options.forces(view.name),
            human_input=bool(view.task.human_input),
            has_memory=adapter.has_memory(self._view.crew, view.worker),
            together=self.together.get(view.position),
        )

    def _find(self, current: Current) -> Record | None:
        name = current.task_name
        return find_record(
            self._store, self._options, name, current.input_hash, current.policy, self._heads.get(name)
        )

    def _known(self, view: adapter.TaskView, asked: Question, record: Record | None) -> _Seen:
        seen = self._settled(asked, view.original, record)
        if seen.decision.fresh:
            return seen
        if view.name in self._supposed:
            output = adapter.restore_output(self._supposed[view.name], view.original, asked.context)
            return replace(seen, raw=output.raw, output=output)
        said = {above.decision.task_name: above.raw for above in self._upstreams(view) if above.raw is not None}
        return replace(seen, decision=name_upstreams(seen.decision, said, self._heads))

    def _settled(self, asked: Question, task: Any, record: Record | None) -> _Seen:
        current, context = asked.current, asked.context
        decision, output = settle(
            current,
            record,
            self._heads.get(current.task_name),
            utc_now(),
            lambda result: adapter.restore_output(result, task, context),
        )
        self.asked[current.position] = (current, context)
        decision = self._held.beside(decision, current)
        return _Seen(decision, None if output is None else output.raw, output, input_hash=current.input_hash)

    def _unknown(self, view: adapter.TaskView, current: Current, unsure: list[_Seen]) -> _Seen:
        """`unsure`: the tasks before it that may turn out to be equal, and take the record that this one would get.

        Or that may write a file which it reads.
        """
        wanted, shared_as = current.definition_hash, view.name if self._options.share else None
        possible = self._possible.get((wanted, shared_as))
        if possible is None:
            possible = self._store.has_definition(wanted, self._options.workflow_id, shared_as=shared_as)
            self._possible[wanted, shared_as] = possible
        above = [seen for seen in self._upstreams(view) if seen.raw is None]
        unknown = above + [seen for seen in unsure if seen not in above]
        upstream = tuple(_upstream_reason(seen, self._view.names) for seen in unknown)
        upstream += (_CONNECTS,) if possible and _connects(self._view.crew, view, self._options) else ()
        self.untold[current.position] = current
        decision = decide_unknown(current, possible, upstream, self._heads.get(view.name))
        return _Seen(self._held.beside(decision, current), None)

    # What CrewAI would send as context.

    def _sources(self, view: adapter.TaskView) -> list[int | Any]:
        """Give what this task reads; one that was walked and is skipped is none of several places of its object."""
        skipped = {at for at, seen in enumerate(self._seen) if seen.skipped}
        return adapter.sources(self._view.crew, view.position, skipped)

    def _upstreams(self, view: adapter.TaskView) -> list[_Seen]:
        """Give the tasks whose text this one reads, as far as they are the crew's; a planner that is to be asked."""
        found = [self._seen[each] for each in self._sources(view) if isinstance(each, int)]
        if adapter.is_conditional(view.original) and self._seen and self._seen[-1] not in found:
            found.append(self._seen[-1])
        if self._planner is not None and self._planner.output is None:
            found.insert(0, self._planner)
        return found

    def _reads(self, view: adapter.TaskView) -> tuple[str, ...]:
        """Name what it reads: the planner, if there is one, the tasks of its context, the one of its condition."""
        names = [PLANNER] if self._planner is not None else []
        names += [self._view.names[each] for each in self._sources(view) if isinstance(each, int)]
        if adapter.is_conditional(view.original) and view.position:
            names.append(self._view.names[view.position - 1])
        return tuple(dict.fromkeys(names))

    def _context(self, view: adapter.TaskView) -> str | None:
        """Give the context string, or None while something in it, or the plan, is not known."""
        if self._planner is not None and self._planner.output is None:
            return None
        raws: list[str | None] = []
        for each in self._sources(view):
            if isinstance(each, int):
                raws.append(self._seen[each].raw)
            elif each.output is not None:
                raws.append(each.output.raw)
        if any(raw is None for raw in raws):
            return None
        return adapter.joined([SimpleNamespace(raw=raw) for raw in raws])

    def _condition(self, view: adapter.TaskView) -> bool | None:
        """Ask the condition; None while the output that it reads is not known. True without one."""
        if not adapter.is_conditional(view.original) or not self._seen:
            return True
        last = self._seen[-1]
        return None if last.output is None else adapter.condition_says(view.original, last.output)


def _connects(crew: Any, view: adapter.TaskView, options: RunOptions) -> bool:
    """Whether servers are asked for the task's tools first, which only a run does."""
    return adapter.connects(crew, view.worker) and counts_resolved(options.policies.of(view.name))


def _upstream_reason(seen: _Seen, names: Sequence[str]) -> Reason:
    name, status = seen.decision.task_name, str(seen.decision.status)
    root = _root(seen)
    return Reason(ReasonKind.UPSTREAM, f"upstream:{name}", status, root=root and _with_names(root, names))


def _with_names(root: str, names: Sequence[str]) -> str:
    """A change in what the planner is asked: `task#2.description changed` is that of the second task."""
    found = re.fullmatch(r"task#(\d+)\.(.*) (\w+)", root)
    return root if found is None else f"task.{found[2]} of {names[int(found[1]) - 1]} {found[3]}"


def _root(seen: _Seen) -> str | None:
    """The change that a stale upstream comes from."""
    for reason in seen.decision.reasons:
        if reason.kind is ReasonKind.UPSTREAM and reason.root:
            return reason.root
    for reason in seen.decision.reasons:
        if reason.component and reason.kind is not ReasonKind.UPSTREAM:
            return f"{reason.component} {reason.kind}"
    return str(seen.decision.reasons[0].kind) if seen.decision.reasons else None
