"""What is right for CrewAI and not what its author meant is said, by plan and in the log, before anything is paid."""

from __future__ import annotations

import asyncio

import pytest
from crewai import Crew
from crewai.tools import tool

from crew_repo import StateRepository, TaskPolicy, UnknownTaskError
from tests import crews
from tests.crews import NEW_NOTES, NOTES


def now() -> str:
    """The time."""
    return "noon"


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


@pytest.mark.parametrize("way", ["mark_complete", "import_state"])
def test_forgotten_inputs_are_named_where_an_answer_is_given(repo, model, caplog, way):
    """The answer is bound to a prompt with braces in it, and no run with inputs would ever ask that."""
    crew = crews.sequential_unspecified_context(model)
    if way == "mark_complete":
        repo.mark_complete("analyze", "hail on 3 May", crew=crew)
    else:
        repo.import_state({"completed_tasks": {"analyze": "hail on 3 May"}}, crew=crew)
    assert "Task 'analyze' has {notes} in its description, and no inputs were given" in said(caplog)
    assert "Pass inputs with 'notes'" in said(caplog)


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
    assert f"its {what} was edited after a run, but CrewAI still sends the first text" in str(repo.plan(crew, NOTES))
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


def test_a_tool_that_is_named_for_two_tasks_has_to_be_one_of_each(repo, model):
    """Also where both have the very same policy: each is looked at by its own name."""
    crew, again = crews.sequential_unspecified_context(model), TaskPolicy(rerun_tools=("now",))
    crew.tasks[1].tools = [tool("now")(now)]
    notes = repo.plan(crew, NOTES, policies={"analyze": again, "draft": again}).notes
    assert [note for note in notes if "rerun_tools" in note] == [
        "rerun_tools has 'now' in the policy for 'analyze', the name of no tool there, so it has no effect. "
        "The nearest names are: none yet."
    ]


def test_names_that_the_state_does_not_know_are_named_with_what_there_is(repo, model, caplog):
    """Nothing is returned as before, and a warning says why."""
    repo.run(crews.sequential_unspecified_context(model), NOTES, workflow_id="CLM-1")
    caplog.clear()
    assert (repo.get_output("analyse"), repo.history("drafts"), repo.runs("CLM-2")) == (None, [], [])
    assert (repo.tasks("CLM-3"), repo.history("zzz")) == ([], [])
    for name, there in {
        "task 'analyse'": "Did you mean 'analyze'?",
        "task 'drafts'": "Did you mean 'draft'?",
        "task 'zzz'": "The tasks are: 'analyze', 'draft'.",
        **{f"workflow 'CLM-{n}'": "Did you mean 'CLM-1'?" for n in (2, 3)},
    }.items():
        assert f"There is no {name} in {repo.url.removeprefix('sqlite:///')}. {there}" in said(caplog)
    caplog.clear()
    assert repo.get_output("analyze") is not None
    assert said(caplog) == ""


# A workflow that has another name.


def test_a_task_that_a_plan_or_a_diff_lacks_is_named_with_what_it_has(repo, model):
    """A misspelt name is a KeyError that says which was meant."""
    crew = crews.sequential_unspecified_context(model)
    for _ in range(2):
        repo.run(crew, NOTES)
    for held in (repo.plan(crew, NOTES), repo.diff()):
        with pytest.raises(UnknownTaskError, match=r"There is no task 'analyse' in this .*\. Did you mean 'analyze'\?") as raised:
            held["analyse"]
        assert isinstance(raised.value, KeyError)


def test_a_renamed_crew_is_told_the_workflow_that_has_its_answers(repo, model):
    """Where nothing ran under the new name, and all that is known to be asked was answered under the old one."""
    crew = crews.sequential_unspecified_context(model)
    crew.name = "claims"
    repo.run(crew, NOTES)
    crew.name = "water claims"
    (note,) = repo.plan(crew, NOTES).notes
    assert note.startswith("Workflow 'water claims' has no record yet, and workflow 'claims' has the answer to exactly")
    assert "what is asked of 'analyze'. If it was renamed, pass workflow_id='claims' (crew-repo: --workflow claims)." in note
    assert repo.plan(crew, NOTES, workflow_id="claims").fresh == ["analyze", "draft"]


def test_a_new_workflow_is_taken_for_no_renamed_one(repo, model, tmp_path):
    """Not where it is asked something else, where something ran in it, and where workflows share their answers."""
    crew = crews.sequential_unspecified_context(model)
    repo.run(crew, NOTES, workflow_id="CLM-1")
    assert repo.plan(crew, NEW_NOTES, workflow_id="CLM-2").notes == ()
    repo.run(crew, NEW_NOTES, workflow_id="CLM-2")
    assert repo.plan(crew, NOTES, workflow_id="CLM-2").notes == ()
    with StateRepository(repo.url, share_across_workflows=True) as sharing:
        assert sharing.plan(crew, NOTES, workflow_id="CLM-3").notes == ()


# Patterns that match nothing.


@pytest.mark.parametrize(
    ("policies", "words"),
    [
        (
            {"analyze": TaskPolicy(ignore=("agent.backstroy",))},
            "ignore='agent.backstroy' in the policy for 'analyze' matches no part of that task, so it has no effect."
            " The nearest parts are: 'agent.backstory'",
        ),
        ({"*": TaskPolicy(ignore=("agnt.goal", "agent.goal"))}, "ignore='agnt.goal' in the policy for '*' matches no part of any"),
        ({"draft": TaskPolicy(ignore=("tols:*.source",))}, "ignore='tols:*.source'"),
        ({"draft": TaskPolicy(ignore=("agent.tools",))}, "ignore='agent.tools'"),
        ({"draft": TaskPolicy(ignore=("input:ajuster",))}, "The nearest parts are: 'input:adjuster'"),
    ],
    ids=["a slip", "of all tasks", "with a star", "a field that is no part", "an input"],
)
def test_a_pattern_that_matches_nothing_is_named(repo, model, caplog, policies, words):
    """By plan and once in the log, with the nearest paths."""
    crew = crews.sequential_unspecified_context(model)
    assert words in str(repo.plan(crew, NOTES, policies=policies))
    repo.run(crew, NOTES, policies=policies)
    assert words in said(caplog)
    caplog.clear()
    repo.run(crew, NEW_NOTES, policies=policies)
    assert said(caplog) == "", "it is said once"


@pytest.mark.parametrize(
    "pattern",
    [
        "agent.backstory",
        "agent.*",
        "agent",
        "tool:lookup",
        "tool:*.source",
        "agent.llm.temperature",
        "task.markdown",
        "resolved:tools",
        "task.plan",
        "input:notes",
        "input:adjuster",
        "*",
    ],
)
def test_a_pattern_that_matches_is_not(repo, model, caplog, pattern):
    """Nor one for a field that nobody has set, an input that only tools read, or what only a run knows."""
    policies = {"analyze": TaskPolicy(ignore=(pattern, "input:adjuster"))}
    assert repo.plan(crews.tools_function_and_class(model), NOTES, policies=policies).notes == ()
    repo.run(crews.tools_function_and_class(model), NOTES, policies=policies)
    assert said(caplog) == ""


def test_a_pattern_of_the_repository_for_another_crews_task_is_not_named(tmp_path, model, caplog):
    """What is for a task that this crew does not have cannot be judged by it."""
    with StateRepository(tmp_path / "state.db", policies={"elsewhere": TaskPolicy(ignore=("x",))}) as repo:
        assert repo.plan(crews.sequential_unspecified_context(model), NOTES).notes == ()
    assert "matches no part" not in said(caplog)


# Two crews in one workflow.


def unnamed(model, *texts: str, role: str = "Analyst", expected: str = "a sentence") -> Crew:
    """A crew of tasks without names."""
    worker = crews.agent(model, role=role)
    made = [crews.task(f"#{n}", text, worker, name=None, expected_output=expected) for n, text in enumerate(texts)]
    return Crew(agents=[worker], tasks=made)


def test_a_workflow_that_another_crew_has_taken_is_named(repo, model, caplog):
    """Two crews without a name are both `crew`, with a `task-01`: plan and run say so, and what to do."""
    repo.run(unnamed(model, "Extract the facts of the claim.", "Write a triage note."))
    assert said(caplog) == ""
    other = unnamed(model, "Name three films for a rainy day!", role="Critic", expected="a list of titles")
    words = (
        "Workflow 'crew' has the tasks 'task-01', 'task-02' of another crew already. None of them is like this crew's "
        "('task-01'). task_state and history show both crews as one. Give each crew a name, Crew(name=...), or pass a "
        "workflow_id."
    )
    assert f"note: {words}" in str(repo.plan(other))
    assert repo.plan(other, workflow_id="films").notes == ()
    repo.run(other)
    assert said(caplog) == words
    repo.run(other)
    assert said(caplog) == words, "it is said once"


@pytest.mark.parametrize("way", ["batch", "async batch", "attached", "a workflow of its own"])
async def test_it_is_named_however_the_crew_is_run(repo, model, caplog, way):
    """Also where the workflow was given by name."""
    workflow_id = "CLM-1" if way == "a workflow of its own" else None
    await repo.arun(unnamed(model, "Extract the facts of the claim."), workflow_id=workflow_id)
    other = unnamed(model, "Name three films for a rainy day!", role="Critic", expected="a list of titles")
    if way == "batch":
        await asyncio.to_thread(repo.run_for_each, other, [None])
    elif way == "async batch":
        await repo.arun_for_each(other, [None])
    elif way == "attached":
        await repo.attach(other).akickoff()
    else:
        await repo.arun(other, workflow_id=workflow_id)
    assert "of another crew already" in said(caplog)


EDITED = {
    "the same crew": lambda model: unnamed(model, "Extract the facts of {claim}.", "Write a triage note."),
    "a description that was edited": lambda model: unnamed(model, "Extract all the facts of {claim}, in order.", "Name films."),
    "another first task": lambda model: unnamed(model, "Read the terms.", "Extract the facts of {claim}.", role="Critic"),
    "a new text for the same agent": lambda model: unnamed(model, "Summarise {claim} in three points!"),
    "one task more": lambda model: unnamed(model, "Extract the facts of {claim}.", "Write a triage note.", "Translate."),
}


@pytest.mark.parametrize("edit", EDITED)
def test_a_crew_that_was_edited_is_not_taken_for_another(repo, model, caplog, edit):
    """With other inputs too: what its author wrote is compared, and not what they were put into."""
    repo.run(unnamed(model, "Extract the facts of {claim}.", "Write a triage note."), {"claim": "hail " * 50})
    repo.run(EDITED[edit](model), {"claim": "a fire in the barn"})
    assert "of another crew already" not in said(caplog)


def test_a_task_that_keeps_its_name_is_the_same_task(repo, model, caplog):
    """Whatever its texts say now."""
    one, other = crews.agent(model), crews.agent(model, role="Critic")
    repo.run(Crew(agents=[one], tasks=[crews.task("look", "Extract the facts.", one)]))
    task = crews.task("look", "Name three films for a rainy day!", other, expected_output="titles")
    repo.run(Crew(agents=[other], tasks=[task]))
    assert "of another crew already" not in said(caplog)
