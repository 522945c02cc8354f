"""Attributes of ours on the current OpenTelemetry span, whoever has begun it; they have no text of a prompt or answer.

No span is begun here: before 1.15, CrewAI makes its own telemetry the provider of every span that nobody else provides.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.trace import get_current_span
from opentelemetry.util.types import AttributeValue

from crew_repo.model import Outcome, Reason, Record, RunRecord, TaskRun

__all__ = ["put_run", "put_task", "without_texts"]


def put_task(note: TaskRun, by_person: Record | None, so_far: Sequence[TaskRun]) -> None:
    """Add an event `crew_repo.task` about the task to the span, and set what the run has done so far.

    `by_person` is the record of a person's answer, if that is what the run goes on with.
    """
    span = get_current_span()
    if span.is_recording():
        span.add_event("crew_repo.task", _of_task(note, by_person))
        span.set_attributes(_of_run(note.run_id, note.workflow_id, so_far))


def put_run(run: RunRecord) -> None:
    """Set what a run has done, on the span around it."""
    span = get_current_span()
    if span.is_recording():
        span.set_attributes(_of_run(run.run_id, run.workflow_id, run.tasks))
        span.set_attributes({"crew_repo.status": str(run.status), "crew_repo.tokens_spent": run.tokens_spent})


def without_texts(reasons: Sequence[Reason]) -> list[str]:
    """Reasons in words, without texts of inputs and prompts, which the message of an error may quote."""
    return [reason.what if reason.component else str(reason.kind) for reason in reasons]


def _of_task(note: TaskRun, by_person: Record | None) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "crew_repo.run_id": note.run_id,
        "crew_repo.workflow_id": note.workflow_id,
        "crew_repo.task": note.task_name,
        "crew_repo.outcome": str(note.outcome),
        "crew_repo.reasons": without_texts(note.reasons),
        "crew_repo.tokens_spent": note.usage.total_tokens,
        "crew_repo.tokens_saved": note.tokens_saved,
        "crew_repo.seconds_saved": note.seconds_saved,
    }
    if note.record_id is not None:
        attributes["crew_repo.record_id"] = note.record_id
    if by_person is not None:
        attributes["crew_repo.person"] = by_person.person or "unknown"
    return attributes


def _of_run(run_id: str, workflow_id: str, notes: Sequence[TaskRun]) -> dict[str, AttributeValue]:
    return {
        "crew_repo.run_id": run_id,
        "crew_repo.workflow_id": workflow_id,
        "crew_repo.executed": _names(notes, Outcome.EXECUTED),
        "crew_repo.reused": _names(notes, Outcome.REUSED),
        "crew_repo.failed": _names(notes, Outcome.FAILED, Outcome.INTERRUPTED),
        "crew_repo.tokens_saved": sum(note.tokens_saved for note in notes),
        "crew_repo.seconds_saved": sum(note.seconds_saved for note in notes),
    }


def _names(notes: Sequence[TaskRun], *outcomes: Outcome) -> list[str]:
    return [note.task_name for note in notes if note.outcome in outcomes]
