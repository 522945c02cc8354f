"""Runs without a kickoff, for items of a batch whose tasks are all fresh: a kickoff would only take time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, TypeAlias

from crew_repo import adapter
from crew_repo.hashing import looking
from crew_repo.model import PERSON, Decision, NewRun, Outcome, Record, RunRecord, TaskRun
from crew_repo.pricing import priced_run
from crew_repo.runner.audience import Audience
from crew_repo.runner.display import Display
from crew_repo.runner.finding import Sought, find_records
from crew_repo.runner.options import RunOptions, crew_name, utc_now
from crew_repo.runner.planner import Question, Walk
from crew_repo.runner.request import Request
from crew_repo.runner.running import attach_record
from crew_repo.runner.session import new_run_id
from crew_repo.runner.tied_tasks import Handed, handed_in
from crew_repo.store import Store
from crew_repo.store.process_identity import this_owner

__all__ = ["serve_in_a_row"]


_SIDE_BY_SIDE = 32  # walks; what they hold is gone before the next ones begin

ViewOf: TypeAlias = "Callable[[Request], adapter.CrewView]"


@looking()
def serve_in_a_row(store: Store, moment: adapter.Moment, asked: Sequence[Request], view_of: ViewOf) -> list[Any]:
    """The CrewOutputs, with their RunRecords, of the first of these requests: as many as are all fresh in a row.

    All are for one crew. Nothing is written of those behind, and none at all where `view_of` raises for one. Callbacks
    of tasks are not fired, and of events only ours are emitted, after all decisions; a crew with kickoff callbacks is
    left to a real run, which calls each once, and may come to something else by them.
    """
    crew, options = asked[0].crew, asked[0].options
    if crew.before_kickoff_callbacks or crew.after_kickoff_callbacks or options.fire_callbacks:
        return []
    names = adapter.task_names(crew)
    if _hands_files_on(crew, names, options):
        asked = asked[:1]
    handed = handed_in(crew, names, options)
    runs: list[_FreshRun] = []
    for start in range(0, len(asked), _SIDE_BY_SIDE):
        steps = [_Step(each, view_of(each), handed, store, moment) for each in asked[start : start + _SIDE_BY_SIDE]]
        fresh = [_FreshRun(step.request, step.view, step.walk, moment) for step in _fresh_in_a_row(store, steps)]
        runs += takewhile(lambda run: run.says_something, fresh)
        if len(runs) < start + len(steps):
            break
    return _finished(store, runs) if runs else []


def _hands_files_on(crew: Any, names: Sequence[str], options: RunOptions) -> bool:
    """Whether an item may read a file that the one before it writes, so that it is decided about after that."""
    writes = any(adapter.output_file(task) is not None for task in crew.tasks)
    return writes and any(options.policies.of(name).paths for name in names)


def _finished(store: Store, runs: Sequence[_FreshRun]) -> list[Any]:
    for run in runs:
        run.restore_files()
    finished = store.fresh_runs([(run.new, run.notes) for run in runs], utc_now())
    results = [run.told(record) for run, record in zip(runs, finished, strict=True)]
    adapter.wait_for_listeners()
    return results


class _Step:
    """One walk among several that go on side by side."""

    def __init__(
        self, request: Request, view: adapter.CrewView, handed: Handed, store: Store, moment: adapter.Moment
    ) -> None:
        self.request, self.view = request, view
        self.walk = Walk(
            store, view, request.options, handed=handed, together={}, describer=moment.describer(view), heads={}
        )
        self._views = self.walk.begin()
        self._asked: Any = None

    def ask(self, position: int) -> Sought | None:
        """Ask for the record of the task at this position, if one is to be looked for."""
        self._asked = self.walk.ask(self._views[position])
        return Sought(self.request.options, self._asked.current) if isinstance(self._asked, Question) else None

    def is_fresh(self, position: int, record: Record | None) -> bool:
        """Whether the task is, with what was found."""
        return self.walk.settle(self._views[position], self._asked, record).fresh


def _fresh_in_a_row(store: Store, steps: Sequence[_Step]) -> Sequence[_Step]:
    """The first of these, as many as find all tasks to be fresh; what each task needs is read for all at once."""
    for position in range(len(steps[0].request.crew.tasks)):
        found = find_records(store, [step.ask(position) for step in steps])
        settled = (step if step.is_fresh(position, record) else None for step, record in zip(steps, found, strict=True))
        steps = [step for step in takewhile(bool, settled) if step is not None]
        if not steps:
            break
    return steps


class _FreshRun:
    """One run that has found all to be fresh: what is written of it, and what comes of it."""

    def __init__(self, request: Request, view: adapter.CrewView, walk: Walk, moment: adapter.Moment) -> None:
        self._crew, self._prices = request.crew, request.options.prices
        decided = [decision for decision, _ in walk.answers()]
        self._outputs = [output for _, output in walk.answers()]
        self._files = [
            (task.task, output)
            for task, decision, output in zip(view.tasks, decided, self._outputs, strict=True)
            if decision.record is not None and adapter.output_file(task.task) is not None
        ]
        settled = [*([walk.planner] if walk.planner is not None else []), *decided]
        workflow_id = request.options.workflow_id
        self.new = NewRun(
            run_id=new_run_id(),
            workflow_id=workflow_id,
            crew_name=crew_name(self._crew),
            started_at=utc_now(),
            owner=this_owner(),
            facts=adapter.facts(),
            task_names=tuple(adapter.recorded_names(self._crew)),
            inputs=moment.kept(request.given, request.files),
            source=request.source,
        )
        self.notes = [_note(self.new.run_id, workflow_id, decision) for decision in settled]
        self._by_people = [_by_person(decision.record) for decision in settled]

    @property
    def says_something(self) -> bool:
        """Whether any of its outputs is not empty: CrewAI makes no result of others."""
        return any(output.raw for output in self._outputs)

    def restore_files(self) -> None:
        """Write the output files that are missing or say something else."""
        for task, output in self._files:
            adapter.restore_file(task, output)

    def told(self, finished: RunRecord) -> Any:
        """Tell everybody of the run, as it is stored, and give its result."""
        record = priced_run(finished, self._prices)
        audience = Audience(Display.silent(), self._crew, run_id=record.run_id, workflow_id=record.workflow_id)
        for note, by_person in zip(self.notes, self._by_people, strict=True):
            audience.settled(note, by_person)
        audience.finished(record)
        return attach_record(adapter.output_of(self._outputs), record)


def _by_person(record: Record | None) -> Record | None:
    return record if record is not None and record.origin == PERSON else None


def _note(run_id: str, workflow_id: str, decision: Decision) -> TaskRun:
    record = decision.record
    if record is None:
        return TaskRun(run_id, workflow_id, decision.task_name, decision.position, Outcome.SKIPPED)
    return TaskRun(
        run_id,
        workflow_id,
        decision.task_name,
        decision.position,
        Outcome.REUSED,
        reasons=decision.reasons,
        input_hash=record.input_hash,
        record_id=record.record_id,
        tokens_saved=record.usage.total_tokens,
        seconds_saved=record.duration_seconds,
        model=record.model,
    )
