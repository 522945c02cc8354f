"""What differs between two runs of whole crews."""

from __future__ import annotations

import json
from typing import Any

import pytest
from crewai import Crew

from crew_repo import InputError, StateRepository, TaskPolicy, UnknownRunError
from tests import crews
from tests.crews import NEW_ADJUSTER, NEW_NOTES, NOTES
from tests.models import PromptModel


def test_changed_notes_are_followed_down_to_each_answer(repo: StateRepository, model: PromptModel) -> None:
    """The input, the task that names it, the one that read its answer, and the one that was reused."""
    before = repo.run(crews.context_list(model), NOTES).run
    after = repo.run(crews.context_list(model), NEW_NOTES).run
    found = repo.diff()
    assert (found.before, found.after) == (repo.show(before.run_id), repo.show(after.run_id))
    assert [str(reason) for reason in found.inputs] == ["input:notes: hail on 3 May -> hail on 4 May"]
    assert [(task.task_name, task.changed) for task in found.tasks] == [("analyze", True), ("other", False), ("draft", True)]
    assert found["analyze"].causes == ["input:notes: hail on 3 May -> hail on 4 May"]
    (cause,) = found["draft"].causes
    assert cause.startswith("upstream:analyze: answer ")
    assert found["other"].as_row()["after"] == "reused"
    assert (found.before.tokens_saved, found.after.tokens_saved) == (0, found["other"].after.did.tokens_saved)
    assert found.changed
    for told in (str(found), found.details(), found._repr_html_(), repr(found)):
        assert before.run_id in told
    assert json.loads(json.dumps(found.to_dict()))["after"]["run_id"] == after.run_id


def test_the_same_again_differs_in_nothing(repo: StateRepository, model: PromptModel) -> None:
    """Though all was reused, and nothing spent."""
    for _ in range(2):
        repo.run(crews.context_list(model), NOTES)
    found = repo.diff()
    assert not found.changed
    assert found.summary.startswith("0 of 3 tasks differ; tokens spent ")
    assert found.answers == []


@pytest.mark.siege
def test_a_changed_model_is_named(repo: StateRepository, model: PromptModel) -> None:
    """With its name before and after; what each spent is there to be priced by it."""
    repo.run(crews.sequential_unspecified_context(model), NOTES)
    repo.run(crews.sequential_unspecified_context(PromptModel(model="anthropic/claude-9")), NOTES)
    found = repo.diff()
    assert found["analyze"].causes == ["agent.llm.model: m -> anthropic/claude-9"]
    sides = found["analyze"].before, found["analyze"].after
    assert [side.model for side in sides] == ["m", "anthropic/claude-9"]
    assert all(side.spent.prompt_tokens and side.spent.completion_tokens == 5 for side in sides)
    assert found["analyze"].answer == "same"


@pytest.mark.siege
def test_a_persons_answer_between_is_named(repo: StateRepository, model: PromptModel) -> None:
    """With who gave it, and what it made of the answers below."""
    repo.run(crews.sequential_unspecified_context(model), NOTES)
    repo.override("analyze", "hail on 5 May", by="Ada")
    repo.run(crews.sequential_unspecified_context(model), NOTES)
    found = repo.diff()
    assert found["analyze"].as_row()["after"] == "reused (Ada)"
    assert found["analyze"].causes[0].startswith("a person's answer (Ada, ")
    assert "+}" in found.answers[0]
    assert found["draft"].causes[0].endswith(" -> hail on 5 May")
    assert found.inputs == ()


@pytest.mark.siege
def test_a_failed_run_against_the_one_that_went_on(repo: StateRepository, model: PromptModel) -> None:
    """What was not reached is new; why it failed is read the other way round."""
    def breaks(_prompt: str) -> str:
        raise RuntimeError("no network")

    any_script = {"*": TaskPolicy(ignore=("agent.llm.script",))}
    model.script["<<other>>"] = breaks
    with pytest.raises(RuntimeError):
        repo.run(crews.context_list(model), NOTES, policies=any_script)
    model.script.clear()
    after = repo.run(crews.context_list(model), NOTES, policies=any_script).run
    found = repo.diff(after)
    assert [(task.task_name, task.changed, task.answer) for task in found.tasks] == [
        ("analyze", False, "same"), ("other", True, "new"), ("draft", True, "new")
    ]  # fmt: skip
    assert found["draft"].causes == [f"not reached (failed) in run {found.before.run_id}"]
    assert repo.diff(after, found.before)["other"].causes == ["RuntimeError: no network"]


@pytest.mark.siege
def test_a_planner_is_compared_too(repo: StateRepository, model: PromptModel) -> None:
    """It comes first, with its own tokens."""
    def planned(plan: str) -> Crew:
        plans = [{"task_number": at, "task": mark, "plan": f"{plan} {mark}"} for at, mark in ((1, "analyze"), (2, "draft"))]
        worker = crews.agent(model)
        planner = PromptModel(model="p", script={"": json.dumps({"list_of_plans_per_task": plans})})
        tasks = [crews.task("analyze", "{notes}", worker), crews.task("draft", "for {adjuster}", worker)]
        return Crew(agents=[worker], tasks=tasks, planning=True, planning_llm=planner)

    repo.run(planned("Look."), NOTES)
    repo.run(planned("Look twice."), NEW_ADJUSTER)
    found = repo.diff()
    assert found.tasks[0].task_name == "(planner)"
    assert found.tasks[0].before.did == found.before.planner
    assert found.tasks[0].changed


@pytest.mark.siege
def test_typed_answers_are_compared_by_their_members(repo: StateRepository, model: PromptModel) -> None:
    """As values, also where the model wrote the JSON otherwise."""
    repo.run(crews.output_pydantic(model), NOTES)
    crew = crews.output_pydantic(model)
    model.script = {"<<check>>": crews.COVERAGE.replace("true", "false").replace(", ", ",\n")}
    repo.run(crew, NEW_NOTES)
    change = repo.diff()["check"].output
    assert change is not None
    assert [(value.path, value.before, value.after) for value in change.values] == [("covered", True, False)]


@pytest.mark.siege
def test_pruned_records_are_said_to_be_deleted(repo: StateRepository, model: PromptModel) -> None:
    """The run is still there while one of its answers is; what else it said is not known."""
    first = repo.run(crews.context_list(model), NOTES).run
    repo.run(crews.context_list(model), NOTES, force=["analyze"])
    repo.prune(dry_run=False)
    found = repo.diff()
    assert [(task.task_name, task.answer, task.changed) for task in found.tasks] == [
        ("analyze", "deleted", True), ("other", "same", False), ("draft", "same", False)
    ]  # fmt: skip
    assert found["analyze"].as_row()["before"] == "executed"
    assert not repo.diff(first, first).changed


@pytest.mark.siege
def test_runs_of_two_workflows_and_crews_can_be_compared(repo: StateRepository, model: PromptModel) -> None:
    """By the names of their tasks."""
    one = repo.run(crews.context_list(model), NOTES, workflow_id="CLM-1").run
    two = repo.run(crews.sequential_unspecified_context(model), NOTES, workflow_id="CLM-2").run
    found = repo.diff(one, two)
    assert found["other"].causes == [f"its crew has no such task in run {two.run_id}"]
    assert found.head.startswith("run #1 of CLM-1 (")
    with pytest.raises(UnknownRunError, match="no run but this one"):
        repo.diff(workflow_id="CLM-1")
    with pytest.raises(InputError):
        repo.diff(one, workflow_id="CLM-2")


@pytest.mark.siege
def test_a_secret_is_in_no_difference(repo: StateRepository, model: PromptModel) -> None:
    """Neither its value nor whether it changed."""
    def run(key: str) -> Any:
        return repo.run(crews.context_list(model), {**NOTES, "api_key": key})

    run("sk-proj-abcdef0123456789abcdef0123456789")
    run("sk-proj-0123456789abcdefabcdef0123456789")
    found = repo.diff()
    assert not found.changed
    assert found.notes == ("whether input:api_key changed is not known: the value is never stored",)
    assert "sk-proj" not in json.dumps(found.to_dict()) + found.details()
