"""Where each task and run stands: the rows of the views, corrected by what is known on this host of their processes."""

from __future__ import annotations

from crew_repo.cli.printing import Answer, Table, moment, on_a_line, seconds, whole
from crew_repo.cli.reader import read
from crew_repo.store.current import check_workflow, current_tasks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from crew_repo.store.current import Query

    Row = dict[str, Any]

__all__ = [
    "TO_DO",
    "beginning",
    "by_person",
    "resumes",
    "status",
    "status_of",
]

TO_DO = ("failed", "interrupted", "invalidated")
"""States of a task that the next run executes."""
_WIDEST = 60  # characters of what a task has said


def status(target: str | None, workflow_id: str | None) -> Answer:
    """The state of each task. Exit code 1 if a task that is still in its crew is one of those in `TO_DO`."""

    def ask(query: Query) -> list[Row]:
        check_workflow(query, workflow_id)
        return current_tasks(query, workflow_id)

    return status_of(read(target, ask))


def status_of(tasks: Sequence[Row]) -> Answer:
    """The answer about these tasks."""
    to_do = any(task["status"] in TO_DO and task["in_crew"] is not False for task in tasks)
    columns = ("workflow", "task", "status", "tokens", "seconds", "finished (UTC)", "said")
    rows = [(
        task["workflow_id"], task["task_name"], _marked(task), whole(task["total_tokens"]),
        seconds(task["duration_seconds"]), moment(task["completed_at"]),
        beginning(task["error"] if task["status"] == "failed" else task["output"]),
    ) for task in tasks]  # fmt: skip
    shown = Table(columns, rows, ("tokens", "seconds")) if tasks else "No task is recorded yet."
    resuming = [f"{task['task_name']} of {task['workflow_id']} {resumes(task)}" for task in tasks if resumes(task)]
    return Answer({"tasks": list(tasks)}, shown, *resuming, exit_code=int(to_do))


def resumes(task: Row) -> str:
    """How much is kept of a task that has not finished; nothing if it would begin anew."""
    if not task.get("resumes"):
        return ""
    from crew_repo.model import KeptCalls
    from crew_repo.store.stored_values import time_read

    kept = {**task["resumes"], "last_at": time_read(task["resumes"]["last_at"])}
    return str(KeptCalls(**kept).reason)


def _marked(task: Row) -> str:
    whose = by_person(task)
    return f"{task['status']}, by {whose}" if whose else str(task["status"])


def by_person(row: Row) -> str:
    """The mark of a person's answer, `Ada (person)`; nothing for a model's."""
    return f"{row['person'] or 'unknown'} (person)" if row["origin"] == "person" else ""


def beginning(text: str | None) -> str:
    """The beginning of a text, on one line."""
    line = on_a_line((text or "")[: 20 * _WIDEST])
    return line if len(line) <= _WIDEST else line[: _WIDEST - 1].rstrip() + "…"
