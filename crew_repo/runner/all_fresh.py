"""A run without a kickoff, for an item of a batch whose tasks are all fresh: a kickoff would only take time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from crew_repo import adapter
from crew_repo.model import NewRun, Outcome, TaskRun
from crew_repo.pricing import priced_run
from crew_repo.runner.audience import Audience
from crew_repo.runner.display import Display
from crew_repo.runner.options import utc_now
from crew_repo.runner.planner import fresh_walk
from crew_repo.runner.request import Request
from crew_repo.runner.running import attach_record
from crew_repo.runner.session import new_run_id
from crew_repo.runner.tied_tasks import handed_in
from crew_repo.store import Store
from crew_repo.store.process_identity import this_owner

__all__ = ["serve_all"]


def serve_all(store: Store, view: adapter.CrewView, request: Request) -> Any | None:
    """The CrewOutput with its RunRecord if every task is fresh, else None and nothing is written.

    Callbacks of tasks are not fired, and of events only ours are emitted; a crew with kickoff callbacks is left to a
    real run, which calls each once, and may come to something else by them.
    """
    crew, options = view.crew, request.options
    if crew.before_kickoff_callbacks or crew.after_kickoff_callbacks or options.fire_callbacks:
        return None
    walk = fresh_walk(store, view, options, handed=handed_in(crew, view.names, options))
    if walk is None:
        return None
    outputs = [output for _, output in walk.answers()]
    if not any(output.raw for output in outputs):
        return None
    walk.restore_files()
    run_id, began = new_run_id(), utc_now()
    planned = [walk.planner] if walk.planner is not None else []
    settled = (*planned, *(decision for decision, _ in walk.answers()))
    notes = [_note(run_id, options.workflow_id, decision) for decision in settled]
    new = NewRun(
        run_id=run_id,
        workflow_id=options.workflow_id,
        crew_name=str(crew.name or "crew"),
        started_at=began,
        owner=this_owner(),
        facts=adapter.facts(),
        task_names=tuple(adapter.recorded_names(crew)),
        inputs=adapter.kept_inputs(request.given, request.files, adapter.secrets_of(crew)),
        source=request.source,
    )
    finished = store.fresh_run(new, notes, utc_now())
    record = priced_run(replace(finished, inputs=new.inputs), options.prices)
    audience = Audience(Display.silent(), crew, run_id=run_id, workflow_id=options.workflow_id)
    for note, decision in zip(notes, settled, strict=True):
        audience.settled(note, decision.record)
    audience.finished(record)
    adapter.wait_for_listeners()
    return attach_record(adapter.output_of(outputs), record)


def _note(run_id: str, workflow_id: str, decision: Any) -> TaskRun:
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
