"""The planner's plan is corrected, forced and given policies like the answer of a task: its name is `(planner)`."""

from __future__ import annotations

import json

import pytest
from crewai import Crew

from crew_repo import InputError, PolicyError, StateRepository, TaskPolicy
from crew_repo.model import PLANNER, Outcome
from tests import crews
from tests.crews import NOTES
from tests.models import PromptModel


def plan_of(*texts: str) -> dict[str, object]:
    """What a planner says: one text for each task, in turn."""
    listed = [{"task_number": number, "task": "a task", "plan": text} for number, text in enumerate(texts, start=1)]
    return {"list_of_plans_per_task": listed}


@pytest.fixture
def asked() -> PromptModel:
    """The planner, and what it was asked."""
    return PromptModel(model="planner", script={"tasks summary": json.dumps(plan_of(" FIRST", " SECOND"))})


@pytest.fixture
def crew(asked: PromptModel) -> Crew:
    """Two tasks, of which neither reads the other, and a planner."""
    built = crews.sequential_unspecified_context(PromptModel(model="m"))
    built.planning, built.planning_llm, built.tasks[1].context = True, asked, []
    return built


def test_a_persons_plan_is_served(repo: StateRepository, crew: Crew, asked: PromptModel) -> None:
    """The planner is not asked, and the tasks run whose plan text the person has changed; undone, all is as before."""
    before = repo.run(crew, NOTES)
    entry = repo.override(PLANNER, plan_of(" FIRST", " WITH CARE"), by="Ada", reason="too short")
    plan = repo.plan(crew, NOTES)
    assert (plan.planner.fresh, plan.fresh, plan.stale) == (True, ["analyze"], ["draft"])
    assert "Ada" in str(plan.planner.reasons[0])
    run = repo.run(crew, NOTES).run
    assert (run.planner.outcome, run.executed) == (Outcome.REUSED, ["draft"])
    assert "WITH CARE" in crew.tasks[1].agent.llm.calls[-1]
    assert len(asked.calls) == 1
    repo.undo(entry)
    again = repo.run(crew, NOTES)
    assert (again.run.executed, again.raw) == ([], before.raw)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("be quick", "is no JSON, which this task gives"),
        ({"list_of_plans_per_task": [{"task_number": 0, "plan": "x"}]}, "list_of_plans_per_task.0"),
        ({"plans": []}, "list_of_plans_per_task"),
    ],
)
def test_what_is_no_plan_is_refused(repo: StateRepository, crew: Crew, output: object, says: str) -> None:
    """The message names the field."""
    repo.run(crew, NOTES)
    with pytest.raises(InputError, match=says):
        repo.override(PLANNER, output)
    assert repo.plan(crew, NOTES).all_fresh


def test_what_has_no_plan_yet_cannot_be_marked_complete(repo: StateRepository, crew: Crew) -> None:
    """The message says who has to be asked first."""
    with pytest.raises(InputError, match=r"the planner of the crew has to plan it \(never ran\); run the crew"):
        repo.mark_complete("analyze", "an answer", crew=crew, inputs=NOTES)


def test_the_planner_alone_is_forced(repo: StateRepository, crew: Crew, asked: PromptModel) -> None:
    """It is asked; as long as it says the same, no task runs. Where there is none, the name is refused."""
    repo.run(crew, NOTES)
    assert not repo.plan(crew, NOTES, force=[PLANNER]).planner.fresh
    run = repo.run(crew, NOTES, force=[PLANNER]).run
    assert (run.planner.outcome, run.executed, len(asked.calls)) == (Outcome.EXECUTED, [], 2)
    crew.planning = False
    with pytest.raises(InputError, match="there is no task '\\(planner\\)'"):
        repo.run(crew, NOTES, force=[PLANNER])


@pytest.mark.parametrize("by_callback", [False, True])
def test_a_file_of_the_planners_policy_has_to_be_there(
    repo: StateRepository, crew: Crew, asked: PromptModel, by_callback: bool
) -> None:
    """What matches nothing is an error before it is asked, unless a task writes it."""
    if by_callback:
        crew.before_kickoff_callbacks = [lambda inputs: inputs]
    with pytest.raises(PolicyError, match=r"'\(planner\)' declares files='rules.txt'"):
        repo.run(crew, NOTES, policies={PLANNER: TaskPolicy(files=("rules.txt",))})
    assert asked.calls == []
    crew.tasks[0].output_file = "rules.txt"
    repo.run(crew, NOTES, policies={PLANNER: TaskPolicy(files=("rules.txt",))})


def test_a_policy_of_the_repository_for_the_planner_applies_to_a_crew_that_plans(tmp_path, crew, caplog):
    """It is not called a policy for no task, before the planner was ever asked; without a planner it is."""
    with StateRepository(tmp_path / "state.db", policies={PLANNER: TaskPolicy(salt="2")}) as repo:
        repo.plan(crew, NOTES)
        assert "applies to no task" not in caplog.text
        crew.planning = False
        repo.plan(crew, NOTES)
    assert "The policy for '(planner)' applies to no task" in caplog.text
