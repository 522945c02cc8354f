"""What each task of a plan reads: the arrows of its graph."""

from __future__ import annotations

import pytest
from crewai import Crew
from crewai.tasks.conditional_task import ConditionalTask

from crew_repo import StateRepository
from crew_repo.model import PLANNER
from tests import crews
from tests.crews import NOTES
from tests.models import PromptModel


def reads(repo: StateRepository, crew: Crew) -> dict[str, list[str]]:
    """By task name, as the plan tells it, and as JSON has it."""
    plan = repo.plan(crew, NOTES)
    assert {row["task_name"]: row["reads"] for row in plan.to_dict()["decisions"]} == {
        decision.task_name: list(decision.reads) for decision in plan
    }
    return {decision.task_name: list(decision.reads) for decision in plan}


@pytest.mark.parametrize("ran", [False, True])
def test_what_a_task_reads_is_in_the_plan(repo: StateRepository, model: PromptModel, ran: bool) -> None:
    """All before it, or those that its context names, each once; before the first run and after it."""
    for build, found in (
        (crews.sequential_unspecified_context, {"analyze": [], "draft": ["analyze"]}),
        (crews.context_list, {"analyze": [], "other": [], "draft": ["analyze"]}),
    ):
        if ran:
            repo.run(build(model), NOTES)
        assert reads(repo, build(model)) == found


def test_a_conditional_task_reads_what_its_condition_does(repo: StateRepository, model: PromptModel) -> None:
    """The answer of the task before it, whatever its context; also if it is skipped."""
    worker = crews.agent(model)
    one, two = crews.task("one", "{notes}", worker), crews.task("two", "x", worker, context=[])
    three = crews.task("three", "y", worker, cls=ConditionalTask, condition=lambda _: False, context=[one])
    crew = Crew(agents=[worker], tasks=[one, two, three])
    assert reads(repo, crew) == {"one": [], "two": [], "three": ["one", "two"]}
    repo.run(crew, NOTES)
    assert reads(repo, crew)["three"] == ["one", "two"]


def test_every_task_reads_the_plan_of_a_planner(repo: StateRepository, model: PromptModel) -> None:
    """It is in the table and the graph of the plan, before the tasks."""
    crew = crews.context_list(model)
    crew.planning, crew.planning_llm = True, model
    assert reads(repo, crew) == {"analyze": [PLANNER], "other": [PLANNER], "draft": [PLANNER, "analyze"]}
    told = repo.plan(crew, NOTES).to_markdown()
    assert [line for line in told.splitlines() if "-->" in line] == [
        "    t0 --> t1", "    t0 --> t2", "    t0 --> t3", "    t1 --> t3"
    ]  # fmt: skip
    assert "<code>(planner)</code> | missing" in told
