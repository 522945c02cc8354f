"""A task that CrewAI is about to execute, and what is known of it by then."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from crew_repo import adapter
from crew_repo.model import Decision, Holder, Lease
from crew_repo.runner.options import utc_now
from crew_repo.staleness import Current

__all__ = ["Ticket"]


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
    has_calls: bool = True  # something may be kept inside the task
    held_by: Holder | None = None
    late_since: float | None = None  # by the monotonic clock: from when on the holder was always found to be late
    started_at: datetime = field(default_factory=utc_now)
    written: bool = False  # the record or the failure is stored, or owed
    lacks: str | None = None  # the state that should have been in memory

    @property
    def name(self) -> str:
        """The task's name."""
        return self.view.name

    @property
    def position(self) -> int:
        """The task's place in its crew."""
        return self.view.position

    @property
    def model(self) -> str | None:
        """The name of the model that is asked: that of the planner's agent, too, which is made for its task."""
        return adapter.model_name(self.agent or self.view.task.agent)
