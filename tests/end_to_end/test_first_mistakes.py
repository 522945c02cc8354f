"""What a newcomer gets wrong first: each mistake is named with its remedy, in one traceback, and costs nothing."""

from __future__ import annotations

import traceback
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew

from crew_repo import BadInputValueError, CrewRepoError, InputError, RunningLoopError, StateRepository, register_hasher
from crew_repo.store import postgresql
from tests import crews
from tests.crews import NOTES
from tests.models import PromptModel


@pytest.fixture
def crew(model: PromptModel) -> Crew:
    """Two tasks, `analyze` and `draft`."""
    return crews.sequential_unspecified_context(model)


def refused(call: Any) -> CrewRepoError:
    """The error that a call raises. It is raised from no other, so that its message is the last thing to be read."""
    with pytest.raises(CrewRepoError) as caught:
        call()
    said = "".join(traceback.format_exception(caught.value))
    assert said.count("Traceback (most recent call last)") == 1, said
    return caught.value


@pytest.mark.parametrize("value", [Path("notes.txt"), date(2025, 3, 14), {"a", "b"}], ids=["path", "date", "set"])
def test_an_input_that_no_prompt_takes_is_named_with_what_does(repo, model, crew, value):
    """The name of the input, its type and what to give instead; by a run and by a plan."""
    for call in (repo.run, repo.plan):
        error = refused(lambda call=call: call(crew, {**NOTES, "notes": value}))
        assert isinstance(error, BadInputValueError)
        assert f"'notes': Unsupported type {type(value).__name__}" in str(error)
        assert "such as str(value)" in str(error)
    assert (model.calls, repo.runs()) == ([], [])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("terms.pdf", "input_files is 'terms.pdf'; give a dict of files by name"),
        (["terms.pdf"], r"input_files is ['terms.pdf']; give a dict of files by name"),
        ({"terms": 3}, "The input file 'terms' is 3; give a File of crewai_files: PDFFile(source='terms.pdf')"),
        ({3: "terms.pdf"}, "The input file 3 has a name of type int; use a string"),
    ],
)
def test_input_files_of_another_kind_are_named(repo, model, crew, files, said):
    """In place of the TypeError of whichever line came upon them first."""
    for call in (repo.run, repo.plan):
        assert said in str(refused(lambda call=call: call(crew, NOTES, input_files=files)))
    assert (model.calls, repo.runs()) == ([], [])


def test_an_input_file_that_is_not_there_is_named_before_it_is_paid_for(repo, model, crew):
    """As a declared file is: the model would be asked about a file that it never gets."""
    for call in (repo.run, repo.plan):
        error = refused(lambda call=call: call(crew, NOTES, input_files={"terms": "terms.pdf"}))
        assert isinstance(error, InputError)
        assert f"The input file 'terms' is not there: {Path.cwd() / 'terms.pdf'}; correct its path" in str(error)
    assert (model.calls, repo.runs()) == ([], [])


def test_a_crew_without_tasks_is_said_to_have_none(repo, model, crew):
    """Before a run is written down, and with no hint about inputs that no task reads."""
    empty = Crew(name="claims", agents=crew.agents, tasks=[])
    for call in (repo.run, repo.plan, repo.attach(empty).kickoff):
        given = (empty, NOTES) if call != empty.kickoff else (NOTES,)
        error = refused(lambda call=call, given=given: call(*given))
        assert "Crew 'claims' has no tasks, so there is nothing to run; give it some: Crew(tasks=[...])" in str(error)
    assert repo.runs() == []


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("prices", lambda repo: StateRepository("other.db", prices=3)),
        ("path", lambda repo: repo.report(3)),
        ("file", lambda repo: repo.backup(3)),
        ("file", lambda repo: repo.export_json(3)),
        ("source", lambda repo: repo.import_json(3)),
    ],
)
def test_what_is_no_path_is_named_by_its_argument(repo, name, call):
    """`3` is no file: that is said with the argument's name."""
    assert f"{name} is 3; give " in str(refused(lambda: call(repo)))


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("share_across_workflows", lambda repo, crew: StateRepository("other.db", share_across_workflows="no")),
        ("verbose", lambda repo, crew: StateRepository("other.db", verbose="no")),
        ("fire_callbacks", lambda repo, crew: repo.run(crew, NOTES, fire_callbacks="no")),
    ],
)
def test_a_text_is_no_yes_or_no(repo, model, crew, name, call):
    """`"no"` out of the environment would count as True."""
    assert f"{name} is 'no'; give True or False" in str(refused(lambda: call(repo, crew)))
    assert model.calls == []


def test_a_server_that_is_not_there_is_named_once():
    """The error of the driver, and SQLAlchemy's around it, say nothing more: they filled a screen above the message."""
    error = refused(lambda: StateRepository("postgresql://ada:secret@localhost:1/claims", busy_timeout_seconds=0))
    assert "ada:***@localhost:1/claims cannot be reached" in str(error)


@pytest.mark.parametrize("password", ["se@cret", "s@e@cret"])
def test_a_password_with_an_at_sign_is_asked_for_in_its_other_form(password):
    """What stands after the first @ was taken for the host, and so shown in messages, and looked up by name."""
    error = refused(lambda: StateRepository(f"postgresql://ada:{password}@db.invalid/claims"))
    assert "the user or the password in it has an @; write that as %40" in str(error)
    assert "cret" not in str(error)


def test_a_missing_driver_is_named_with_what_can_be_installed(monkeypatch):
    """By the driver's own name: `crew-repo` is on no package index, and somebody else's may come to be."""
    monkeypatch.setattr(postgresql.importlib.util, "find_spec", lambda name: None)
    error = refused(lambda: StateRepository("postgresql://ada@localhost/claims"))
    assert "needs psycopg; pip install 'psycopg[binary]'" in str(error)


def test_a_misspelt_argument_of_resume_is_named_with_the_one_that_is_meant(repo, crew):
    """By the name of the method that was called."""
    repo.run(crew, NOTES)
    with pytest.raises(TypeError, match=r"resume\(\) got an unexpected keyword argument 'input'. Did you mean 'inputs'"):
        repo.resume(input=NOTES)


async def test_resume_where_an_event_loop_runs_is_told_its_own_twin(repo, crew):
    """`arun` would have to be given the crew and the inputs again."""
    await repo.arun(crew, NOTES)
    with pytest.raises(RunningLoopError, match=r"result = await repo\.aresume\(workflow_id\)"):
        repo.resume()


@pytest.mark.parametrize(
    ("given", "said"), [((3, str), "type_ is 3; give a class"), ((Path, 4), "function is 4; give a function")]
)
def test_a_hasher_that_is_none_is_refused(given, said):
    """It was taken, and told of as a part that cannot be hashed, or never."""
    assert said in str(refused(lambda: register_hasher(*given)))


def test_an_override_in_one_of_many_workflows_names_some_and_says_so(repo, crew):
    """A list that looks whole, and is not, sends its reader away from the workflow that is meant."""
    for number in range(7):
        repo.run(crew, NOTES, workflow_id=f"CLM-{number}")
    error = refused(lambda: repo.override("draft", "by hand"))
    assert "workflow_id, one of: 'CLM-0', 'CLM-1', 'CLM-2', 'CLM-3', 'CLM-4' and 2 more" in str(error)


@pytest.mark.parametrize("executor", [3, "threads", ThreadPoolExecutor])
def test_an_executor_that_is_none_is_named(repo, executor):
    """Above all its class: the brackets were forgotten."""
    error = refused(lambda: repo.run_for_each(crews.sequential_unspecified_context, [NOTES], executor=executor))
    assert f"executor is {executor!r}; give one that is made, such as ProcessPoolExecutor(8)" in str(error)


def test_a_builder_that_no_other_process_can_have_is_named_before_the_batch(repo, crew):
    """An inner function cannot be sent: each item failed of that, in the words of pickle."""
    with ProcessPoolExecutor(1) as executor:
        error = refused(lambda: repo.run_for_each(lambda: crew, [NOTES], executor=executor))
    assert "The crew is built in other processes, and Can't " in str(error)
    assert "pass a function of a module that builds it" in str(error)
    assert repo.runs() == []


def test_a_run_is_shown_by_its_record_as_by_its_id(repo, crew):
    """As `diff` and `report` take it: `repo.show(result.run)` shows the run as it stands in the state."""
    run = repo.run(crew, NOTES).run
    assert repo.show(run) == repo.show(run.run_id)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda repo: repo.mark_complete("draft", "Dear"), "mark_complete(task_name, output, crew=crew, inputs=inputs)"),
        (lambda repo: repo.adopt("draft"), "adopt(task_name, crew=crew, inputs=inputs)"),
        (lambda repo: repo.import_state("crew_state.json"), "import_state(source, crew=crew, inputs=inputs)"),
    ],
)
def test_an_answer_without_its_crew_is_asked_for_it(repo, call, said):
    """As a script's own `mark_complete(task_name, output)` is called: with it nobody knows what was answered."""
    assert f"For which crew and inputs is this the answer? Say so: {said}" in str(refused(lambda: call(repo)))
