"""All who are told of a run: the terminal and the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from crew_repo.model import Decision, Outcome, RunRecord, TaskRun
from crew_repo.runner.display import Display

__all__ = ["Audience"]

log = logging.getLogger("crew_repo")


class Audience:
    """Tells everybody of one run. Each outcome is told once, however often it is noted."""

    def __init__(self, display: Display, *, run_id: str, workflow_id: str) -> None:
        self._display, self._run_id, self._workflow_id = display, run_id, workflow_id
        self._told: set[tuple[str, int, Outcome]] = set()

    def started(self, names: Sequence[str]) -> None:
        """A run begins."""
        self._display.started(self._run_id, self._workflow_id, names)

    def executing(self, decision: Decision) -> None:
        """A model is about to be called."""
        why = [reason.what for reason in decision.reasons]
        log.info("run %s: task %s is executed: %s", self._run_id, decision.task_name, "; ".join(why),
                 extra=self.about(decision.task_name, reasons=why))  # fmt: skip
        self._display.executing(decision.task_name, decision)

    def settled(self, note: TaskRun) -> None:
        """A task is done with."""
        key = (note.task_name, note.position, note.outcome)
        if key in self._told:
            return
        self._told.add(key)
        self._display.settled(note)

    def finished(self, run: RunRecord) -> None:
        """The run is over."""
        log.info("run %s %s: executed %s, reused %s", run.run_id, run.status, run.executed, run.reused,
                 extra=self.about(status=str(run.status), tokens_spent=run.tokens_spent,
                                  tokens_saved=run.tokens_saved))  # fmt: skip
        self._display.finished(run)

    def about(self, task_name: str | None = None, outcome: Outcome | None = None, **more: object) -> dict[str, object]:
        """The fields of a log record about this run, and about a task of it, for whoever writes the log as JSON."""
        fields = {"run_id": self._run_id, "workflow_id": self._workflow_id, **more}
        if task_name is not None:
            fields["task"] = task_name
        if outcome is not None:
            fields["outcome"] = str(outcome)
        return {f"crew_repo_{name}": value for name, value in fields.items()}
