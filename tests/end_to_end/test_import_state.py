"""The JSON file in which a script keeps its answers, taken over as answers of people to what the crew will ask."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from crew_repo import ImportFormatError, InputError, ReasonKind, StateRepository, UnknownTaskError
from tests.crews import NEW_NOTES, NOTES
from tests.end_to_end.test_held_answers import Claim, chain
from tests.models import PromptModel

ANSWERS = {
    "note": "Call the insured.",
    "extract": {"output": "hail on 5 May", "completed_at": "2026-04-21T10:00:00Z"},
    "assess": {"output": "covered"},
}
siege = pytest.mark.siege


def script(tasks: Any = ANSWERS, file: str = "crew_state.json") -> str:
    """Write what a script has kept."""
    Path(file).write_text(json.dumps({"completed_tasks": tasks, "run_count": 7}, indent=2), encoding="utf-8")
    return file


def take(repo: StateRepository, model: PromptModel, source: Any, **more: Any) -> Any:
    """Take the answers over, as those of the chain to the notes."""
    return repo.import_state(source, crew=chain(model), inputs=NOTES, by="Ada", reason="moving in", **more)


def test_the_answers_of_a_script_are_served_by_the_next_run(
    repo: StateRepository, model: PromptModel, caplog: pytest.LogCaptureFixture
) -> None:
    """Both forms, in the order of the crew; no model is called; each has an entry, which keeps the time in the file."""
    with caplog.at_level(logging.WARNING, "crew_repo"):
        changes = take(repo, model, script())
    assert [(change.task_name, str(change.kind), change.by, change.reason) for change in changes] == [
        (name, "mark complete", "Ada", "moving in") for name in ("extract", "assess", "note")
    ]
    details = [change.detail for change in changes]
    assert details == ["imported, said to be completed at 2026-04-21T10:00:00Z", None, None]
    result = repo.run(chain(model), NOTES)
    assert (result.run.reused, result.raw) == (["extract", "assess", "note"], "Call the insured.")
    assert model.calls == []
    assert repo.verify() == []
    assert repo.run_count() == 1
    assert "took over no run_count" in caplog.text
    assert "extract" in repo.run(chain(model), NEW_NOTES).run.executed


def test_a_name_that_the_crew_does_not_have_changes_nothing(repo: StateRepository, model: PromptModel) -> None:
    """The nearest is named, and what says which one is meant."""
    named = {"extract": "hail", "asses": "covered"}
    with pytest.raises(UnknownTaskError, match="no task 'asses'. Did you mean 'assess'?.*names={'asses': 'assess'}"):
        take(repo, model, script(named))
    assert repo.changes() == []
    changes = take(repo, model, {"completed_tasks": named}, names={"asses": "assess"})
    assert [change.task_name for change in changes] == ["extract", "assess"]


@siege
def test_a_task_that_has_an_answer_is_left_alone(
    repo: StateRepository, model: PromptModel, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log says so; what is not in the file runs."""
    repo.mark_complete("extract", "fire", crew=chain(model), inputs=NOTES)
    with caplog.at_level(logging.WARNING, "crew_repo"):
        changes = take(repo, model, {"completed_tasks": {"extract": "hail", "assess": "covered"}})
    assert [change.task_name for change in changes] == ["assess"]
    assert "import_state left these tasks as they are, since they have an answer: extract" in caplog.text
    assert repo.get_output("extract") == "fire"
    assert repo.run(chain(model), NOTES).run.executed == ["note"]
    assert take(repo, model, script()) == []


@siege
def test_an_answer_found_by_what_the_file_says_is_left_alone_too(repo: StateRepository, model: PromptModel) -> None:
    """Where the file has what a task said before, those below it have their answers to that."""
    repo.run(chain(model), NOTES)
    said = str(repo.get_output("extract"))
    repo.invalidate("extract")
    changes = take(repo, model, {"completed_tasks": {"extract": said, "assess": "covered"}})
    assert [change.task_name for change in changes] == ["extract"]
    assert repo.run(chain(model), NOTES).run.executed == []


@siege
def test_one_below_a_gap_is_refused_or_held(repo: StateRepository, model: PromptModel) -> None:
    """All or nothing: without `hold` the one above it is not kept either; held, it is adopted."""
    gap = {"completed_tasks": {"extract": "hail", "note": {"output": "Call.", "completed_at": "May"}}}
    with pytest.raises(InputError, match="not known yet what task 'note' will be asked"):
        take(repo, model, gap)
    assert repo.changes() == []
    changes = take(repo, model, gap, hold=True)
    assert [change.detail for change in changes] == [
        None, "held until the task is asked; imported, said to be completed at May"
    ]  # fmt: skip
    assert repo.plan(chain(model), NOTES)["note"].reasons[-1].kind is ReasonKind.HELD
    result = repo.run(chain(model), NOTES)
    assert (result.run.executed, result.raw) == (["assess"], "Call.")


@siege
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("", "is empty"),
        ("my key is sk-proj-abcdef0123456789abcdef0123456789", "looks like a key"),
        ({"output": 7}, "is of type int; give its JSON"),
        ("covered", "is no JSON"),
        ({"output": {"number": "x"}}, "number: "),
    ],
)
def test_an_answer_that_is_none_changes_nothing(
    repo: StateRepository, model: PromptModel, answer: Any, said: str
) -> None:
    """Whichever it is, none of them is kept, and the message is the one of mark_complete."""
    crew = chain(model, output_pydantic=Claim)
    with pytest.raises(InputError, match=said):
        repo.import_state({"completed_tasks": {"extract": "hail", "assess": answer}}, crew=crew, inputs=NOTES)
    assert repo.changes() == []
    right = {"completed_tasks": {"extract": "hail", "assess": {"output": {"number": 4}}}}
    assert len(repo.import_state(right, crew=crew, inputs=NOTES)) == 2


@siege
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "crew_state.json cannot be read: No such file or directory; give the path of a JSON file"),
        ("no json", "crew_state.json is no JSON"),
        ("[1]", 'crew_state.json has no "completed_tasks"'),
        ('{"completed_tasks": []}', 'crew_state.json has no "completed_tasks"'),
        ('{"completed_tasks": {"extract": 7}}', "crew_state.json: the answer of 'extract' is neither a text nor "),
        ('{"completed_tasks": {"extract": {"text": "hail"}}}', "the answer of 'extract' is neither a text nor "),
        ('{"completed_tasks": {"extract": {"output": "x", "completed_at": 7}}}', "the completed_at of 'extract' is no time"),
        ("export", "crew_state.json is an export of crew_repo; import_json takes it, without a crew"),
        ("state", "crew_state.json is a SQLite file, and no JSON; open a state by StateRepository"),
    ],
)
def test_what_is_no_file_of_a_script_is_said(
    repo: StateRepository, model: PromptModel, content: str | None, said: str
) -> None:
    """One line names the file, what it is, and what takes it."""
    file = Path("crew_state.json")
    if content == "state":
        repo.run(chain(model), NOTES)
        repo.backup(file)
    elif content is not None:
        file.write_text(repo.export_json() if content == "export" else content, encoding="utf-8")
    with pytest.raises(ImportFormatError) as caught:
        take(repo, model, "crew_state.json")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert repo.changes() == []


@siege
@pytest.mark.parametrize("source", ["", 7, None])
def test_what_is_no_path_is_said(repo: StateRepository, model: PromptModel, source: Any) -> None:
    """Neither is it opened."""
    with pytest.raises(ImportFormatError, match="is no path; give the JSON file of a script"):
        take(repo, model, source)


@siege
def test_two_answers_for_one_task_change_nothing(repo: StateRepository, model: PromptModel) -> None:
    """By `names` one could stand for another; and `names` is a dict."""
    with pytest.raises(InputError, match="Two answers are for task 'extract', and nothing was changed"):
        take(repo, model, {"completed_tasks": {"a": "x", "extract": "y"}}, names={"a": "extract"})
    with pytest.raises(InputError, match="names is 'extract'; give a dict"):
        take(repo, model, {"completed_tasks": {}}, names="extract")
    assert take(repo, model, {"completed_tasks": {}}) == []


@siege
def test_tasks_without_names_are_named_by_their_place(repo: StateRepository, model: PromptModel) -> None:
    """As the tutorial has it: two tasks without names, whose answers have names of the script's own."""
    crew = chain(model)
    for task in crew.tasks:
        task.name = None
    tasks = {"completed_tasks": {"analyze_task": "hail", "draft_task": "Call."}}
    with pytest.raises(UnknownTaskError, match="The tasks are: 'task-01', 'task-02', 'task-03'"):
        repo.import_state(tasks, crew=crew, inputs=NOTES)
    repo.import_state(tasks, crew=crew, inputs=NOTES, names={"analyze_task": "task-01", "draft_task": "task-02"})
    assert repo.run(crew, NOTES).run.reused == ["task-01", "task-02"]


@siege
@pytest.mark.parametrize("as_text", [True, False])
def test_import_json_names_what_takes_it(repo: StateRepository, as_text: bool) -> None:
    """Where a script's file is given to import_json, the message names import_state."""
    file = script()
    with pytest.raises(ImportFormatError, match=r"has the answers of a script.*import_state\(file, crew=crew"):
        repo.import_json(Path(file).read_text() if as_text else file)
