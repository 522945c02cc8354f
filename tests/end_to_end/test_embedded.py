"""Agents, crews and projects that the user's own code holds: what acts of them counts, ids and run state do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from crewai import Agent, Crew, Task
from crewai.project import CrewBase, agent, crew, task
from crewai.tools import BaseTool, tool

from tests import crews
from tests.models import PromptModel

pytestmark = pytest.mark.siege


class Expert(BaseTool):
    """Asks whom it holds."""

    name: str = "expert"
    description: str = "asks an expert"
    who: Any = None

    def _run(self) -> str:
        return "the expert agrees"


def inner_agent(goal: str = "advise", **members: Any) -> Agent:
    return crews.agent(PromptModel(model="inner"), "Adviser", goal=goal, **members)


def inner_crew(goal: str = "advise", **members: Any) -> Crew:
    worker = inner_agent(goal)
    return Crew(agents=[worker], tasks=[crews.task("advise", "on {x}", worker)], **members)


def with_tool(model: PromptModel, held: Any) -> Crew:
    worker = crews.agent(model, tools=[Expert(who=held)])
    return Crew(name="outer", agents=[worker], tasks=[crews.task("ask", "the expert", worker)])


def with_guardrail(model: PromptModel, held: Any) -> Crew:
    def is_right(output: Any):
        return held is not None, output.raw

    worker = crews.agent(model)
    return Crew(name="outer", agents=[worker], tasks=[crews.task("ask", "the expert", worker, guardrail=is_right)])


def kicked_off(goal: str = "advise") -> Crew:
    """A crew that has run, with inputs, as the tool that holds it lets it."""
    made = inner_crew(goal, manager_llm=None)
    made.kickoff({"x": "hail"})
    return made


@pytest.mark.parametrize("build", [with_tool, with_guardrail])
@pytest.mark.parametrize("make", [inner_agent, inner_crew, kicked_off])
def test_what_code_holds_is_the_same_when_it_is_built_again(repo, model, build: Callable[..., Crew], make):
    """A tool or a guardrail with another agent or crew of its own: the second run, built anew, asks nobody."""
    for _ in range(2):
        result = repo.run(build(model, make()))
    assert (result.run.reused, len(model.calls)) == (["ask"], 1)


@pytest.mark.parametrize("build", [with_tool, with_guardrail])
@pytest.mark.parametrize("make", [inner_agent, inner_crew])
def test_what_acts_of_what_code_holds_counts(repo, model, build: Callable[..., Crew], make):
    """Another goal of an agent deep inside is a change of the tool."""
    repo.run(build(model, make()))
    assert repo.run(build(model, make("contradict"))).run.executed == ["ask"]


@pytest.mark.parametrize(
    "change",
    [
        lambda held: setattr(held, "verbose", True),
        lambda held: setattr(held, "max_rpm", 7),
        lambda held: setattr(held, "step_callback", print),
    ],
)
def test_what_does_not_act_of_what_code_holds_does_not_count(repo, model, change):
    """As it does not where it is the crew's own."""
    repo.run(with_tool(model, inner_agent()))
    held = inner_agent()
    change(held)
    assert repo.run(with_tool(model, held)).run.reused == ["ask"]


class Toned(Agent):
    """An agent of the user's own, which is told by a method how to speak."""

    tone: str = "kind"

    def speak(self, tone: str) -> None:
        self.tone = tone


def test_what_an_agent_that_code_holds_was_told_counts(repo, model):
    """What its own method writes counts as it was given, as in a tool."""
    executed = []
    for tone in ("kind", "curt", "curt"):
        held = Toned(role="Adviser", goal="advise", backstory="long in the trade", llm=PromptModel(model="inner"))
        held.speak(tone)
        executed.append(repo.run(with_tool(model, held)).run.executed)
    assert executed == [["ask"], ["ask"], []]


def test_a_crew_that_a_tool_kicks_off_leaves_it_as_it_was(repo):
    """The same objects, run after run: the inner crew's outputs, counters and interpolated texts are its run state."""
    inner = inner_crew()

    @tool("advise")
    def advise() -> str:
        """Asks the advisers."""
        return str(inner.kickoff({"x": "hail"}))

    asking = PromptModel(
        model="m",
        script={"Observation": "so be it", "": "Thought: x\nAction: advise\nAction Input: {}"},
    )
    worker = crews.agent(asking, tools=[advise])
    outer = Crew(name="outer", agents=[worker], tasks=[crews.task("ask", "them", worker)])
    assert [repo.run(outer).run.executed for _ in range(3)] == [["ask"], [], []]


def test_a_tool_that_leads_back_to_its_agent_is_hashed(repo, model):
    """An agent that a tool of its own can ask."""

    def build(goal: str) -> Crew:
        expert = Expert()
        worker = crews.agent(model, tools=[expert], goal=goal)
        expert.who = worker
        return Crew(name="outer", agents=[worker], tasks=[crews.task("ask", "yourself", worker)])

    assert [repo.run(build(goal)).run.executed for goal in ("a", "a", "b")] == [["ask"], [], ["ask"]]


MODEL = PromptModel(model="m")


@CrewBase
class Project:
    """A project whose guardrail is one of its methods, and whose tool closes over it."""

    agents: list[Any]
    tasks: list[Any]
    agents_config = "agents.yaml"
    tasks_config = "tasks.yaml"
    reviewed = 0

    def __init__(self, least: int = 1, goal: str = "be right") -> None:
        self.least, self.goal = least, goal

    def long_enough(self, output: Any):
        self.reviewed += 1
        return len(output.raw) >= self.least, output.raw

    def counting(self) -> Any:
        @tool("count")
        def count() -> str:
            """Says the least length."""
            return str(self.least)

        return count

    @agent
    def analyst(self) -> Agent:
        return crews.agent(MODEL, "Analyst", tools=[self.counting()])

    @agent
    def clerk(self) -> Agent:
        return crews.agent(MODEL, "Clerk", goal=self.goal)

    @task
    def analyze(self) -> Task:
        return crews.task("analyze", "{notes}", self.analyst(), guardrail=self.long_enough)

    @task
    def file(self) -> Task:
        return crews.task("file", "it", self.clerk(), context=[])

    @crew
    def crew(self) -> Crew:
        return Crew(name="project", agents=self.agents, tasks=self.tasks)


def test_a_projects_own_methods_are_guardrails_and_tools(repo):
    """A `@CrewBase` project built anew is the same; what its guardrail reads of it counts."""
    notes = {"notes": "hail"}
    made = [Project(), Project(), Project(least=2)]
    executed = [repo.run(project.crew(), notes).run.executed for project in made]
    assert executed == [["analyze", "file"], [], ["analyze"]]
    assert repo.run(made[0].crew(), notes).run.executed == []
