"""All who are told of a run: the terminal, the log, the listeners on CrewAI's event bus, the current span."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from crew_repo import adapter
from crew_repo.model import PERSON, Decision, Outcome, Record, RunRecord, TaskRun
from crew_repo.runner.display import Display
from crew_repo.runner.spans import put_run, put_task, without_texts

__all__ = ["Audience"]

log = logging.getLogger("crew_repo")


class Audience:
    """Tells everybody of one run. Each outcome is told once, however often it is noted."""

    def __init__(self, display: Display, crew: Any, *, run_id: str, workflow_id: str) -> None:
        self._display, self._crew, self._run_id, self._workflow_id = display, crew, run_id, workflow_id
        self._told: set[tuple[str, int, Outcome]] = set()
        self._notes: list[TaskRun] = []

    def started(self, names: Sequence[str]) -> None:
        """A run begins."""
        self._display.started(self._run_id, self._workflow_id, names)

    def executing(self, decision: Decision) -> None:
        """A model is about to be called."""
        why = without_texts(decision.reasons)
        log.info("run %s: task %s is executed: %s", self._run_id, decision.task_name, "; ".join(why),
                 extra=self.about(decision.task_name, reasons=why))  # fmt: skip
        self._display.executing(decision.task_name, decision)
        self._emit(adapter.TaskStale, decision, status=str(decision.status))

    def settled(self, note: TaskRun, record: Record | None = None) -> None:
        """A task is done with; `record` is what the run goes on with, if it has one."""
        key = (note.task_name, note.position, note.outcome)
        if key in self._told:
            return
        self._told.add(key)
        self._notes.append(note)
        self._display.settled(note)
        theirs = record if record is not None and record.origin == PERSON else None
        put_task(note, theirs, self._notes)
        if theirs is not None:
            self._emit(adapter.TaskOverridden, note, record_id=theirs.record_id, person=theirs.person)
        elif note.outcome is Outcome.REUSED:
            self._emit(adapter.TaskReused, note, record_id=note.record_id, tokens_saved=note.tokens_saved,
                       seconds_saved=note.seconds_saved)  # fmt: skip
        elif note.failure is not None:
            self._emit(adapter.TaskFailed, note, outcome=str(note.outcome), error_type=note.failure.type,
                       error=note.failure.message)  # fmt: skip

    def finished(self, run: RunRecord) -> None:
        """The run is over."""
        if log.isEnabledFor(logging.INFO):  # what it says takes longer than to find that nobody reads it
            log.info("run %s %s: executed %s, reused %s", run.run_id, run.status, run.executed, run.reused,
                     extra=self.about(status=str(run.status), tokens_spent=run.tokens_spent,
                                      tokens_saved=run.tokens_saved))  # fmt: skip
        self._display.finished(run)
        put_run(run)

    def about(self, task_name: str | None = None, outcome: Outcome | None = None, **more: object) -> dict[str, object]:
        """The fields of a log record about this run, and about a task of it, for whoever writes the log as JSON."""
        fields = {"run_id": self._run_id, "workflow_id": self._workflow_id, **more}
        if task_name is not None:
            fields["task"] = task_name
        if outcome is not None:
            fields["outcome"] = str(outcome)
        return {f"crew_repo_{name}": value for name, value in fields.items()}

    def _emit(self, kind: type[adapter.TaskEvent], about: Decision | TaskRun, **members: Any) -> None:
        reasons = [reason.to_dict() for reason in about.reasons]
        event = kind(
            run_id=self._run_id,
            workflow_id=self._workflow_id,
            task_name=about.task_name,
            position=about.position,
            reasons=reasons,
            **members,
        )
        adapter.emit(self._crew, event)
