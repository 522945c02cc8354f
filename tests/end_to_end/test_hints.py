"""What is right for CrewAI and not what its author meant is said, by plan and in the log, before anything is paid."""

from __future__ import annotations

import pytest
from crewai import Crew

from crew_repo import StateRepository, TaskPolicy
from tests import crews
from tests.crews import NEW_NOTES, NOTES


def said(caplog) -> str:
    """The warnings of crew_repo so far."""
    return "\n".join(record.getMessage() for record in caplog.records if record.name == "crew_repo")


def silent_about_notes(model) -> Crew:
    """The tutorial's crew: its texts do not name the notes."""
    worker = crews.agent(model)
    return Crew(agents=[worker], tasks=[crews.task("analyze", "Extract the facts.", worker)])


def test_an_input_that_no_task_names_is_named(repo, model, caplog):
    """Changed notes leave everything fresh, and plan, run and the log say why."""
    crew = silent_about_notes(model)
    repo.run(crew, {"case_notes": "hail"})
    assert "No task reads the input 'case_notes'" in said(caplog)
    plan = repo.plan(crew, {"case_notes": "fire"})
    assert plan.fresh == ["analyze"]
    assert "note: No task reads the input 'case_notes'" in str(plan)
    assert plan.to_dict()["notes"] == list(plan.notes)
    caplog.clear()
    repo.run(crew, {"case_notes": "fire"})
    assert said(caplog) == "", "it is said once"


def test_an_input_that_only_tools_read_can_be_silenced(repo, model, caplog):
    """By the policy of any task, in the words that the note itself gives."""
    crew = silent_about_notes(model)
    policies = {"analyze": TaskPolicy(ignore=("input:case_notes",))}
    assert repo.plan(crew, {"case_notes": "hail"}, policies=policies).notes == ()
    repo.run(crew, {"case_notes": "hail"}, policies=policies)
    assert said(caplog) == ""


def test_an_input_that_only_an_agent_or_a_file_name_mentions_is_read(repo, model, tmp_path):
    """Roles, goals and output files are templates too."""
    worker = crews.agent(model, role="{adjuster}'s analyst")
    task = crews.task("analyze", "Extract.", worker, output_file="{claim}.txt")
    plan = repo.plan(Crew(agents=[worker], tasks=[task]), {"adjuster": "Ada", "claim": "7", "crewai_trigger_payload": 1})
    assert plan.notes == ()


def test_forgotten_inputs_are_named(repo, model, caplog):
    """Before the model is sent the braces as they stand."""
    crew = crews.sequential_unspecified_context(model)
    assert "Task 'analyze' has {notes} in its description, and no inputs were given" in str(repo.plan(crew))
    repo.run(crew)
    assert "Pass inputs with 'adjuster'" in said(caplog)


@pytest.mark.parametrize("text", ['Answer as {"a": 1}', "Answer as {{name}}", "A set {1, 2}", "No braces"])
def test_other_braces_are_no_variables(repo, model, text):
    """JSON, doubled braces and sets in a text are what they are."""
    worker = crews.agent(model)
    assert repo.plan(Crew(agents=[worker], tasks=[crews.task("a", text, worker)])).notes == ()


@pytest.mark.parametrize("what", ["description", "expected_output", "role", "backstory"])
def test_an_edit_that_reaches_no_prompt_is_named(repo, model, caplog, what):
    """CrewAI sends the first text of a crew that has run with inputs, whatever its field says later."""
    crew = crews.sequential_unspecified_context(model)
    repo.run(crew, NOTES)
    assert repo.plan(crew, NEW_NOTES).notes == ()
    setattr(crew.tasks[0] if what in type(crew.tasks[0]).model_fields else crew.agents[0], what, "Be brief.")
    assert f"its {what} was edited after a run, and the edit reaches no prompt" in str(repo.plan(crew, NOTES))
    repo.run(crew, NOTES)
    assert "Build the crew again" in said(caplog)


def test_an_agent_that_another_crew_has_used_is_not_taken_for_edited(repo, model):
    """Its texts then carry that crew's inputs."""
    worker = crews.agent(model, role="{adjuster}'s analyst")
    one = Crew(agents=[worker], tasks=[crews.task("a", "x", worker)])
    two = Crew(agents=[worker], tasks=[crews.task("b", "y", worker)])
    repo.run(one, {"adjuster": "Ada"}, workflow_id="1")
    repo.run(two, {"adjuster": "Bo"}, workflow_id="2")
    assert repo.plan(one, {"adjuster": "Ada"}, workflow_id="1").notes == ()


def test_what_is_not_known_is_unknown(repo, model):
    """An estimate never says that a task which has no record costs about nothing."""
    crew = crews.sequential_unspecified_context(model)
    assert repo.plan(crew, NOTES).estimate == (
        "0 fresh, 2 to run, 2 of them never ran; what that costs is unknown, 0 tokens and 0.0 s saved"
    )


def test_a_new_workflow_is_estimated_by_the_others(repo, model):
    """From the same tasks of the same crew, and the estimate says so; other crews' tasks of that name do not count."""
    crew = crews.sequential_unspecified_context(model)
    spent = repo.run(crew, NOTES, workflow_id="CLM-1").run.tokens_spent
    plan = repo.plan(crew, NOTES, workflow_id="CLM-2")
    assert plan.tokens_to_spend == spent
    assert f"about {spent:,} tokens" in plan.estimate
    assert "(by runs of other workflows)" in plan.estimate
    assert {decision.cost_from for decision in plan} == {"other workflows"}
    other = crews.sequential_unspecified_context(model)
    other.name = "another crew"
    assert "is unknown" in repo.plan(other, NOTES, workflow_id="CLM-2").estimate


def test_a_task_that_failed_is_not_counted_among_those_that_never_ran(repo, model):
    """It ran, and what it costs is unknown."""
    model.script["<<analyze>>"] = lambda _: 1 / 0
    crew = crews.sequential_unspecified_context(model)
    with pytest.raises(ZeroDivisionError):
        repo.run(crew, NOTES)
    assert "2 to run, 1 of them never ran" in repo.plan(crew, NOTES).estimate


def test_a_policy_of_the_repository_for_no_task_is_named(tmp_path, model, caplog):
    """With the nearest names; one that another crew of the state has is none of this one's business."""
    crew, named = crews.sequential_unspecified_context(model), {"analyse": TaskPolicy(salt="2")}
    with StateRepository(tmp_path / "state.db", policies=named) as repo:
        repo.plan(crew, NOTES)
    assert "The policy for 'analyse' applies to no task. The nearest names are: 'analyze'." in said(caplog)
    caplog.clear()
    with StateRepository(tmp_path / "state.db", policies={"analyze": TaskPolicy(salt="2")}) as repo:
        repo.run(crew, NOTES)
        repo.run(silent_about_notes(model), workflow_id="other")
    assert "applies to no task" not in said(caplog)


def test_names_that_the_state_does_not_know_are_named_with_what_there_is(repo, model, caplog):
    """Nothing is returned as before, and a warning says why."""
    repo.run(crews.sequential_unspecified_context(model), NOTES, workflow_id="CLM-1")
    caplog.clear()
    assert (repo.get_output("analyse"), repo.history("drafts"), repo.runs("CLM-2")) == (None, [], [])
    assert "There is no task 'analyse'" in said(caplog)
    assert "There are: 'analyze'." in said(caplog)
    assert "There is no task 'drafts'" in said(caplog)
    assert "There is no workflow 'CLM-2'" in said(caplog)
    caplog.clear()
    assert repo.get_output("analyze") is not None
    assert said(caplog) == ""
