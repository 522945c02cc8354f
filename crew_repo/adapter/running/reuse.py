"""Doing for a reused task what CrewAI does for an executed one: its state, its events, its output file."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from crewai import Crew, Task
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.events.event_bus import crewai_event_bus
from crewai.events.types.task_events import TaskCompletedEvent, TaskStartedEvent
from crewai.tasks.task_output import TaskOutput

from crew_repo.adapter import private

__all__ = ["file_text", "fire_callbacks", "output_file", "restore_file", "says", "serve"]


def serve(task: Task, agent: BaseAgent | None, context: str, output: TaskOutput) -> None:
    """Set the task's output and times, emit TaskStarted and TaskCompleted, and restore its output file."""
    task.start_time = datetime.now()
    task.agent = agent or task.agent
    task.prompt_context = context
    if task.agent is not None:
        task.processed_by_agents.add(task.agent.role)
    crewai_event_bus.emit(task, TaskStartedEvent(context=context, task=task))
    task.output = output
    task.end_time = datetime.now()
    restore_file(task, output)
    crewai_event_bus.emit(task, TaskCompletedEvent(output=output, task=task))


def restore_file(task: Task, output: TaskOutput) -> None:
    """Write the task's output file, if it has one and it is missing or says something else."""
    file = output_file(task)
    if file is not None and not says(file, file_text(output)):
        private.save_output_file(task, _file_content(output))


def says(file: Path, text: str) -> bool:
    """Whether a file is there with this text. A terminal or a pipe says nothing, and could be read for ever."""
    try:
        return file.is_file() and file.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def output_file(task: Task) -> Path | None:
    """Where the task writes its output, if it does."""
    return Path(task.output_file).expanduser().resolve() if task.output_file else None


def file_text(output: TaskOutput) -> str:
    """The text that CrewAI writes into the output file of a task with this output."""
    content = _file_content(output)
    return json.dumps(content, ensure_ascii=False, indent=2) if isinstance(content, dict) else str(content)


def _file_content(output: TaskOutput) -> Any:
    if output.json_dict:
        return output.json_dict
    return output.pydantic.model_dump_json() if output.pydantic else output.raw


def fire_callbacks(crew: Crew, task: Task, output: TaskOutput) -> Iterator[Awaitable[Any]]:
    """Call the task's callback and the crew's, as CrewAI does after an execution; gives what has to be awaited."""
    for callback in dict.fromkeys(filter(None, (task.callback, crew.task_callback))):
        returned = callback(output)
        if inspect.isawaitable(returned):
            yield returned
