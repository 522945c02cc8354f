"""The components of CrewAI's planner (`planning=True`): what it is asked about the tasks, and with which LLM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crewai import Crew
from crewai.utilities.planning_handler import PlannerTaskPydanticOutput

from crew_repo.adapter import private
from crew_repo.adapter.describing.components import Parts
from crew_repo.adapter.describing.knowledge import add_knowledge
from crew_repo.adapter.describing.llm import add_llm
from crew_repo.adapter.describing.tool import add_tools
from crew_repo.adapter.interpolation import TaskView

__all__ = ["add_planner"]


def add_planner(parts: Parts, crew: Crew, tasks: Sequence[TaskView]) -> None:
    """Add what the planner is asked, with which LLM, and in which form it answers.

    It reads of all tasks, in their order; their names are not among it.
    """
    add_llm(parts, "crew.planning_llm", private.planning_llm(crew))
    parts.schema("crew.planning", PlannerTaskPydanticOutput)
    for view in tasks:
        _add_planned(parts, f"task#{view.position + 1}", view)


def _add_planned(parts: Parts, path: str, view: TaskView) -> None:
    task, worker = view.task, view.worker
    for name in ("description", "expected_output"):
        parts.text(f"{path}.{name}", str(getattr(task, name)))
    add_tools(parts, f"{path}.", task.tools, printed=True)
    parts.json(f"{path}.agent", worker is not None, keep=True)
    if worker is not None:
        for name in ("role", "goal"):
            parts.text(f"{path}.agent.{name}", str(getattr(worker, name)))
        add_tools(parts, f"{path}.agent.", worker.tools, printed=True)
        _add_told_knowledge(parts, f"{path}.agent.", getattr(worker, "knowledge_sources", None))


def _add_told_knowledge(parts: Parts, prefix: str, sources: Sequence[Any] | None) -> None:
    """The planner is told what the first source has loaded; of files it is told where they are, too."""
    for source in (sources or [])[:1]:
        if hasattr(source, "content"):
            parts.text(f"{prefix}knowledge", str(source.content), keep=False)
        else:
            add_knowledge(parts, prefix, [source])
