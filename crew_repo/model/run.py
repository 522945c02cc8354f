"""Runs, what they did with each task, and where each task stands by now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from crew_repo.model.decision import Reason
from crew_repo.model.record import Failure, Record, Usage
from crew_repo.model.text import TextEnum

__all__ = ["Outcome", "RunRecord", "RunStatus", "TaskHead", "TaskRun", "TaskState"]


class Outcome(TextEnum):
    """The deed of a run with a task. Skipped is CrewAI's word: a condition said no."""

    EXECUTED = "executed"
    REUSED = "reused"
    SKIPPED = "skipped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class RunStatus(TextEnum):
    """The state of one run. Interrupted: its process is gone, and it had not finished."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class TaskRun:
    """A note of what one run did with one task, or with CrewAI's planner (position -1), and why."""

    run_id: str
    workflow_id: str
    task_name: str
    position: int
    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    input_hash: str | None = None
    record_id: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_seconds: float | None = None
    usage: Usage = field(default_factory=Usage)
    tokens_saved: int = 0
    seconds_saved: float = 0.0
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run: what it executed and what it reused, in order, and what that cost and saved.

    `planner`: what it did with CrewAI's planner, which is none of the tasks; the tokens have its share.
    """

    run_id: str
    workflow_id: str
    crew_name: str
    status: RunStatus
    started_at: datetime
    finished_at: datetime | None = None
    tasks: tuple[TaskRun, ...] = ()
    tokens_spent: int = 0
    tokens_saved: int = 0
    seconds_saved: float = 0.0
    failure: Failure | None = None
    planner: TaskRun | None = None

    def __str__(self) -> str:
        done = [f"{outcome} {', '.join(names)}" for outcome in Outcome if (names := self._names(outcome))]
        spent = f"{self.tokens_spent:,} tokens spent, {self.tokens_saved:,} saved"
        return f"run {self.run_id} of {self.workflow_id} {self.status}: {'; '.join([*done, spent])}"

    def _names(self, outcome: Outcome) -> list[str]:
        return [t.task_name for t in sorted(self.tasks, key=lambda t: t.position) if t.outcome is outcome]

    @property
    def executed(self) -> list[str]:
        """The tasks that a model worked on, in order."""
        return self._names(Outcome.EXECUTED)

    @property
    def reused(self) -> list[str]:
        """The tasks that were served from their records, in order."""
        return self._names(Outcome.REUSED)

    @property
    def skipped(self) -> list[str]:
        """The conditional tasks whose condition said no, in order."""
        return self._names(Outcome.SKIPPED)

    @property
    def failed(self) -> list[str]:
        """The tasks that raised, in order."""
        return self._names(Outcome.FAILED)

    @property
    def interrupted(self) -> list[str]:
        """The tasks that were being executed when the process went away, in order."""
        return self._names(Outcome.INTERRUPTED)

    @property
    def duration_seconds(self) -> float | None:
        """How long the run took, or None while it runs or if it was killed."""
        if self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class TaskState:
    """The current state of one task of one workflow: a row of `task_state`.

    `started_at`: since when it is executed, or was. `in_crew`: whether the crew of the newest run has a task of this
    name, None where that is not known.
    """

    workflow_id: str
    crew_name: str
    task_name: str
    position: int
    status: str
    output: str | None
    input_hash: str | None
    output_hash: str | None
    completed_at: datetime | None
    duration_seconds: float | None
    total_tokens: int | None
    error: str | None
    run_id: str
    record_id: int | None = None
    started_at: datetime | None = None
    model: str | None = None
    in_crew: bool | None = None


@dataclass(frozen=True, slots=True)
class TaskHead:
    """A task by its name, as the store knows it: for explaining, never for serving.

    `record` is the one that the last run executed or reused, else the newest of that name, retired or not. `outcome`
    is what that run did with it.
    """

    task_name: str
    record: Record | None = None
    outcome: Outcome | None = None
    failure: Failure | None = None
