"""What the planner is asked: its hash differs exactly where CrewAI's summary of the tasks does, but for addresses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from crewai import Crew
from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource
from crewai.tools import tool
from crewai.utilities.planning_handler import CrewPlanner

from crew_repo.adapter import Describer, planned_view
from crew_repo.hashing import definition_hash
from crew_repo.policy import TaskPolicy
from tests import crews
from tests.crews import NOTES, Calculator
from tests.models import PromptModel


def look(text: str = "Look it up.", body: int = 1) -> Any:
    def lookup(number: int) -> str:
        return str(number + body)

    lookup.__doc__ = text
    return tool("lookup")(lookup)


def built(change: Callable[[Crew], Any] | None = None) -> Crew:
    """Two tasks of two agents, with tools and knowledge."""
    model = PromptModel(model="m")
    one = crews.agent(model, "One", tools=[look(), Calculator()])
    two = crews.agent(model, "Two of {adjuster}")
    one.knowledge_sources = [StringKnowledgeSource(content="hail"), StringKnowledgeSource(content="fire")]
    tasks = [crews.task("a", "{notes}", one), crews.task("b", "for {adjuster}", two, tools=[look()])]
    crew = Crew(agents=[one, two], tasks=tasks, planning=True, planning_llm=PromptModel(model="planner"))
    if change is not None:
        change(crew)
    return crew


def summary(crew: Crew) -> str:
    """What CrewAI tells the planner of the tasks, without the addresses of functions."""
    view = planned_view(crew, NOTES)
    tasks = [each.task for each in view.tasks]
    for each, seen in zip(tasks, view.tasks, strict=True):
        each.agent = seen.worker
    return re.sub(r" at 0x[0-9a-f]+", "", CrewPlanner(tasks, "gpt-4o")._create_tasks_summary())


def hashed(crew: Crew) -> str:
    view = planned_view(crew, NOTES)
    definition = Describer(view).describe_planner(view.tasks, TaskPolicy())
    assert definition.opaque == ()
    return definition_hash(definition.components)


def on(part: str, name: str, value: Any, at: int = 0) -> Callable[[Crew], Any]:
    return lambda crew: setattr(getattr(crew, part)[at], name, value)


CHANGES: dict[str, Callable[[Crew], Any]] = {
    "nothing": lambda crew: None,
    "description": on("tasks", "description", "other", 1),
    "expected output": on("tasks", "expected_output", "other"),
    "role": on("agents", "role", "other", 1),
    "goal": on("agents", "goal", "for {adjuster}", 1),
    "backstory": on("agents", "backstory", "other"),
    "name": on("tasks", "name", "other"),
    "order": lambda crew: setattr(crew, "tasks", crew.tasks[::-1]),
    "one less": lambda crew: setattr(crew, "tasks", crew.tasks[:1]),
    "agent": lambda crew: setattr(crew.tasks[1], "agent", crew.agents[0]),
    "context": lambda crew: setattr(crew.tasks[1], "context", []),
    "async": on("tasks", "async_execution", True),
    "guardrail": on("tasks", "guardrail", lambda output: (True, output)),
    "another agent": lambda crew: crew.agents.append(crews.agent(PromptModel(model="m"), "Idle")),
    "llm": on("agents", "llm", PromptModel(model="other")),
    "tool's words": on("tasks", "tools", [look("Look it up at once.")], 1),
    "tool's body": on("tasks", "tools", [look(body=2)], 1),
    "tool's field": on("tasks", "tools", [look(), Calculator(step=2)]),
    "no tools": on("tasks", "tools", [], 1),
    "agent's tools": on("agents", "tools", [look()]),
    "agent without tools": on("agents", "tools", []),
    "agent's tools, to one that has none": on("agents", "tools", [look()], 1),
    "tools' order": lambda crew: setattr(crew.tasks[0], "tools", crew.tasks[0].tools[::-1]),
    "knowledge": lambda crew: setattr(crew.agents[0], "knowledge_sources", [StringKnowledgeSource(content="rain")]),
    "second knowledge": lambda crew: setattr(crew.agents[0], "knowledge_sources", crew.agents[0].knowledge_sources[:1]),
    "no knowledge": lambda crew: setattr(crew.agents[0], "knowledge_sources", None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_is_hashed_what_the_planner_is_told_and_nothing_else(change):
    """Two crews of which the planner is told the same have one hash, and no others have."""
    assert (hashed(built(change)) == hashed(built())) == (summary(built(change)) == summary(built()))
