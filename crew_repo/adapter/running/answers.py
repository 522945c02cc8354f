"""A person's answer to a task, in the form in which CrewAI's would be stored; the task's own class reads it."""

from __future__ import annotations

from collections.abc import Collection

from crewai import Task
from crewai.tasks.output_format import OutputFormat

from crew_repo.adapter.crew_secrets import without_secrets
from crew_repo.adapter.interpolation import TaskView
from crew_repo.adapter.running.outputs import restore_output
from crew_repo.errors import InputError
from crew_repo.model import StoredResult
from crew_repo.model.record import json_of_class
from crew_repo.staleness import NotRestorableError

__all__ = ["is_typed", "stored_answer"]


def is_typed(task: Task) -> bool:
    """Whether a task gives an object or a dict beside its text."""
    return any(getattr(task, name, None) is not None for name in ("output_pydantic", "output_json", "response_model"))


def stored_answer(view: TaskView, text: str, context: str, secrets: Collection[str]) -> StoredResult:
    """The stored form of a text, of a typed task its JSON, read by the task's own class.

    Raises InputError naming what that refuses.
    """
    task, worker = view.task, view.worker
    pydantic_json = text if task.output_pydantic is not None else None
    json_dict = json_of_class(text) if task.output_json is not None and pydantic_json is None else None
    result = StoredResult(
        raw=text,
        agent=str(getattr(worker, "role", "") or ""),
        name=without_secrets(secrets, task.name or task.description),
        description=without_secrets(secrets, task.description),
        expected_output=without_secrets(secrets, task.expected_output),
        output_format=str(_format(task).value),
        pydantic_json=pydantic_json,
        json_dict_json=json_dict,
        messages_json="[]",
    )
    try:
        restore_output(result, view.original, context)
    except NotRestorableError as error:
        raise InputError(f"The answer to {view.name!r} is none: {error}") from error
    return result


def _format(task: Task) -> OutputFormat:
    if task.output_json is not None:
        return OutputFormat.JSON
    return OutputFormat.PYDANTIC if task.output_pydantic is not None else OutputFormat.RAW
