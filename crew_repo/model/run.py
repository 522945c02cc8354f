"""Runs, what each run did with each task, and the present state of each task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timezone

from crew_repo.model.asked import RunInput
from crew_repo.model.cost import Cost, cost_cell
from crew_repo.model.decision import Decision, Reason, Status
from crew_repo.model.record import Failure, Record
from crew_repo.model.text import TextEnum
from crew_repo.model.usage import Usage
from crew_repo.model.wording import listed, notebook_html, shortened

__all__ = ["AtStart", "Outcome", "RunRecord", "RunStatus", "TaskHead", "TaskRun", "TaskState"]


class Outcome(TextEnum):
    """The outcome of a task in a run. SKIPPED is CrewAI's word: the condition of a conditional task said no."""

    EXECUTED = "executed"
    REUSED = "reused"
    SKIPPED = "skipped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class RunStatus(TextEnum):
    """The status of a run. INTERRUPTED: its process ended before the run did."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, repr=False)
class TaskRun:
    """One task in one run: what was done with it, and why. CrewAI's planner has the position -1.

    `cost` is what it spent, in money: None as long as no prices are given.
    """

    run_id: str
    workflow_id: str
    task_name: str
    position: int
    outcome: Outcome
    _: KW_ONLY
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
    model: str | None = None
    cost: Cost | None = None

    def __repr__(self) -> str:
        return f"<TaskRun {shortened(self.task_name)!r} {self.outcome} in run {self.run_id}>"

    @property
    def causes(self) -> list[str]:
        """Why it was executed, or that a person's answer was reused, for people, each cause once."""
        return Decision(self.task_name, Status.STALE, self.reasons).causes

    def as_row(self) -> dict[str, str]:
        """The cells of a table of tasks."""
        return {
            "task": self.task_name,
            "outcome": str(self.outcome),
            "tokens": f"{self.usage.total_tokens:,}",
            "saved": f"{self.tokens_saved:,}",
            **cost_cell(self.cost),
            "seconds": "" if self.duration_seconds is None else f"{self.duration_seconds:.1f}",
            "why": str(self.failure) if self.failure else "; ".join(self.causes),
        }


@dataclass(frozen=True, slots=True, repr=False)
class RunRecord:
    """One run: the tasks that it executed and reused, in order, and what that cost and saved.

    `planner` says what the run did with CrewAI's planner. The tokens of the planner are in `tokens_spent` too.
    `ordinal` is the number of the run in its workflow, from 1 on. `inputs` is what the run was given, None if that is
    not known; `source` is where its crew can be loaded from, None if it was given as an object. `cost` is what was
    spent, in money: None as long as no prices are given.
    """

    run_id: str
    workflow_id: str
    crew_name: str
    status: RunStatus
    _: KW_ONLY
    started_at: datetime
    finished_at: datetime | None = None
    tasks: tuple[TaskRun, ...] = ()
    tokens_spent: int = 0
    tokens_saved: int = 0
    seconds_saved: float = 0.0
    failure: Failure | None = None
    planner: TaskRun | None = None
    ordinal: int | None = None
    inputs: tuple[RunInput, ...] | None = None
    source: str | None = None
    cost: Cost | None = None

    def __str__(self) -> str:
        done = [f"{outcome} {', '.join(names)}" for outcome in Outcome if (names := self._names(outcome))]
        cost = "" if self.cost is None else f" ({self.cost})"
        spent = f"{self.tokens_spent:,} tokens spent{cost}, {self.tokens_saved:,} saved"
        return f"run {self.run_id} of {self.workflow_id} {self.status}: {'; '.join([*done, spent])}"

    def __repr__(self) -> str:
        done = [f"{outcome} {listed(names)}" for outcome in Outcome if (names := self._names(outcome))]
        text = f"{self.run_id} of {shortened(self.workflow_id)} {self.status}: {'; '.join(done) or 'no task'}"
        return f"<RunRecord {shortened(text, 300)}>"

    def as_row(self) -> dict[str, str]:
        """The cells of a table of runs."""
        return {
            "run": self.run_id,
            "workflow": self.workflow_id,
            "status": str(self.status),
            "started (UTC)": f"{self.started_at:%Y-%m-%d %H:%M:%S}",
            "executed": listed(self.executed),
            "reused": listed(self.reused),
            "tokens spent": f"{self.tokens_spent:,}",
            "tokens saved": f"{self.tokens_saved:,}",
            **cost_cell(self.cost),
            "error": str(self.failure or ""),
        }

    def _repr_html_(self) -> str:
        planner = [self.planner] if self.planner is not None else []
        rows = [task.as_row() for task in [*planner, *self.tasks]]
        from crew_repo.model.timeline import chains

        (chain,) = chains([self], datetime.now(timezone.utc))
        return notebook_html("run", rows, above=str(self), chain=chain, failure=self.failure)

    def _names(self, outcome: Outcome) -> list[str]:
        return [t.task_name for t in sorted(self.tasks, key=lambda t: t.position) if t.outcome is outcome]

    @property
    def executed(self) -> list[str]:
        """The tasks that a model worked on, in order."""
        return self._names(Outcome.EXECUTED)

    @property
    def reused(self) -> list[str]:
        """The tasks whose stored answers were reused, in order."""
        return self._names(Outcome.REUSED)

    @property
    def skipped(self) -> list[str]:
        """The conditional tasks whose condition said no, in order."""
        return self._names(Outcome.SKIPPED)

    @property
    def failed(self) -> list[str]:
        """The tasks that raised an exception, in order."""
        return self._names(Outcome.FAILED)

    @property
    def interrupted(self) -> list[str]:
        """The tasks that were being executed when the process ended, in order."""
        return self._names(Outcome.INTERRUPTED)

    @property
    def duration_seconds(self) -> float | None:
        """How long the run took, or None while it runs or if it was killed."""
        if self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True, repr=False)
class TaskState:
    """The present state of one task of one workflow: a row of the table `task_state`.

    `started_at` is when its execution began. `in_crew` says whether the crew of the newest run still has a task of this
    name. It is None if that is not known. `origin` is "model", or "person" if `person` gave the answer.
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
    origin: str | None = None
    person: str | None = None

    def __repr__(self) -> str:
        return f"<TaskState {shortened(self.task_name)!r} of {shortened(self.workflow_id)!r}: {self.status}>"

    def as_row(self) -> dict[str, str]:
        """The cells of a table of tasks."""
        return {
            "workflow": self.workflow_id,
            "task": self.task_name,
            "status": self.status,
            "completed (UTC)": f"{self.completed_at:%Y-%m-%d %H:%M:%S}" if self.completed_at else "",
            "tokens": "" if self.total_tokens is None else f"{self.total_tokens:,}",
            "output": shortened(self.error or self.output or "", 80),
        }

    def _repr_html_(self) -> str:
        return notebook_html("list", [self.as_row()])


@dataclass(frozen=True, slots=True)
class TaskHead:
    """The last that is known of a task, by its name. It is used for reasons only: its record is never reused.

    `record` is the one that the last run executed or reused. If there is none, it is the newest of that name, even if
    it is retired. `outcome` is what the last run did with the task. `person` is a person's answer that may be reused.
    """

    task_name: str
    record: Record | None = None
    outcome: Outcome | None = None
    failure: Failure | None = None
    person: Record | None = None


AtStart = Callable[[], tuple[dict[str, TaskHead], set[str] | None]]
"""What gives, once, what a run goes by: see `Store.at_start`."""
