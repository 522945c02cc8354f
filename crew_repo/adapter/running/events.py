"""Events of ours on CrewAI's bus: what a run does with each task, which CrewAI's own events do not tell."""

from __future__ import annotations

from typing import Any, Literal

from crewai import Crew
from crewai.events.base_events import BaseEvent
from crewai.events.event_bus import crewai_event_bus

from crew_repo.adapter import private

__all__ = ["TaskEvent", "TaskFailed", "TaskOverridden", "TaskReused", "TaskStale", "emit", "wait_for_listeners"]


class TaskEvent(BaseEvent):
    """The members of every event of crew_repo. Listen to its subclasses: CrewAI's bus knows each by its own class.

    - `run_id`, `workflow_id`, `task_name`, `position`: as in `RunRecord` and `TaskRun`. CrewAI's planner is at -1.
    - `task_id`: as in CrewAI's own events; None for the planner.
    - `reasons`: the decision's reasons, each as `Reason.to_dict` gives it. Secrets are masked in them.
    """

    run_id: str
    workflow_id: str
    task_name: str
    position: int
    reasons: list[dict[str, Any]]


class TaskReused(TaskEvent):
    """A stored answer of a model was reused. It follows CrewAI's own events of that task.

    `record_id` is the record's number in the state, `tokens_saved` and `seconds_saved` are what its execution took.
    """

    type: Literal["crew_repo_task_reused"] = "crew_repo_task_reused"
    record_id: int
    tokens_saved: int
    seconds_saved: float


class TaskOverridden(TaskEvent):
    """A person's answer was served in place of the model's; there is no `TaskReused` for the task then.

    `person` is who gave it, None if unknown, and `record_id` its record's number in the state.
    """

    type: Literal["crew_repo_task_overridden"] = "crew_repo_task_overridden"
    record_id: int
    person: str | None


class TaskStale(TaskEvent):
    """A task is about to be executed, and `reasons` say why. `status` is "stale", or "missing" if nothing is stored."""

    type: Literal["crew_repo_task_stale"] = "crew_repo_task_stale"
    status: str


class TaskFailed(TaskEvent):
    """An execution has raised. It is recorded with its error, whose `error_type` and message without secrets are here.

    `outcome` is "failed", or "interrupted" if what was raised is no Exception, as after Ctrl-C.
    """

    type: Literal["crew_repo_task_failed"] = "crew_repo_task_failed"
    outcome: str
    error_type: str
    error: str


def emit(crew: Crew, event: TaskEvent) -> None:
    """Emit an event; its source is the task, None for the planner. What a listener raises, CrewAI's bus prints."""
    task = crew.tasks[event.position] if 0 <= event.position < len(crew.tasks) else None
    event.task_id = str(task.id) if task is not None else None
    crewai_event_bus.emit(task, event)


def wait_for_listeners() -> None:
    """Wait until all events have been listened to, 30 s at most, as CrewAI does at the end of a kickoff."""
    if not private.events_are_lost():
        crewai_event_bus.flush()
