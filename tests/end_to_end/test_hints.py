"""What is right for CrewAI and not what its author meant is said, by plan and in the log, before anything is paid."""

from __future__ import annotations

import pytest
from crewai import Crew

from crew_repo import TaskPolicy
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
