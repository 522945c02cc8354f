"""Bad input gets one clear error each, before any model is called and with nothing lost."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew

import crew_repo
from crew_repo import (
    AttachError,
    BadInputValueError,
    CheckpointError,
    CrewRepoError,
    ForkedConnectionError,
    InputError,
    MissingInputError,
    NewerSchemaError,
    NotACrewError,
    PolicyError,
    RunningLoopError,
    StateRepository,
    StoreError,
    StoreOpenError,
    TaskPolicy,
    UnknownRunError,
    UnknownTaskError,
    UnsupportedCrewAIError,
)
from crew_repo.adapter import private, supported
from tests import crews
from tests.crews import NOTES
from tests.models import PromptModel

pytestmark = pytest.mark.siege


@pytest.fixture
def crew(model: PromptModel) -> Crew:
    """Two tasks, `analyze` and `draft`."""
    return crews.sequential_unspecified_context(model)


BAD_CALLS = {
    "not a crew": (NotACrewError, "Expected a crewai.Crew, got dict", lambda repo, crew: repo.run({}, NOTES)),
    "a class": (NotACrewError, "pass an instance", lambda repo, crew: repo.run(Crew, NOTES)),
    "a builder": (NotACrewError, "a function: pass what it returns", lambda repo, crew: repo.run(lambda: crew, NOTES)),
    "inputs that are no mapping": (BadInputValueError, "dict or Mapping", lambda repo, crew: repo.run(crew, ["x"])),
    "an input that CrewAI cannot interpolate": (
        BadInputValueError,
        "notes",
        lambda repo, crew: repo.run(crew, {**NOTES, "notes": object()}),
    ),
    "a variable that inputs lack": (
        MissingInputError,
        "Missing required template variable 'adjuster'.*'draft'.*notes",
        lambda repo, crew: repo.run(crew, {"notes": "x"}),
    ),
    "an unknown task in force": (
        UnknownTaskError,
        "force: there is no task 'drft'. Did you mean 'draft'",
        lambda repo, crew: repo.run(crew, NOTES, force=["drft"]),
    ),
    "a policy for an unknown task": (
        PolicyError,
        "there is no task 'drft'. Did you mean 'draft'",
        lambda repo, crew: repo.run(crew, NOTES, policies={"drft": TaskPolicy()}),
    ),
    "a policy that is none": (
        PolicyError,
        "give a TaskPolicy",
        lambda repo, crew: repo.run(crew, NOTES, policies={"draft": "always"}),
    ),
    "an unknown task to invalidate": (
        UnknownTaskError,
        "invalidate: there is no task 'drft'. The tasks are: none yet",
        lambda repo, crew: repo.invalidate("drft"),
    ),
    "an unknown workflow to invalidate in": (
        InputError,
        "There is no workflow 'CLM' in .*The workflows are: none yet",
        lambda repo, crew: repo.invalidate("draft", "CLM"),
    ),
    "an unknown run": (UnknownRunError, "There is no run 'x'", lambda repo, crew: repo.show("x")),
    "from_checkpoint": (
        CheckpointError,
        "Leave it out",
        lambda repo, crew: repo.run(crew, NOTES, from_checkpoint=object()),
    ),
    "from_checkpoint of an attached crew": (
        CheckpointError,
        "Leave it out",
        lambda repo, crew: repo.attach(crew).kickoff(NOTES, from_checkpoint=object()),
    ),
    "an argument that an attached crew's kickoff has not": (
        TypeError,
        "unexpected keyword argument 'input'",
        lambda repo, crew: repo.attach(crew).kickoff(input=NOTES),
    ),
    "an argument that an attached crew's akickoff has not": (
        TypeError,
        "unexpected keyword argument 'bogus'",
        lambda repo, crew: asyncio.run(repo.attach(crew).akickoff(NOTES, bogus=1)),
    ),
    "force that is no name": (InputError, "force is 5; give task names", lambda repo, crew: repo.run(crew, NOTES, force=5)),
    "policies that are no dict": (
        PolicyError,
        "policies is 5; give a dict",
        lambda repo, crew: repo.run(crew, NOTES, policies=5),
    ),
    "policies of a repository that are no dict": (
        PolicyError,
        "policies is 5; give a dict",
        lambda repo, crew: StateRepository("other.db", policies=5),
    ),
    "policies of an attached crew that are no dict": (
        PolicyError,
        "policies is 5; give a dict",
        lambda repo, crew: repo.attach(crew, policies=5),
    ),
    "a run that is no text": (InputError, "run_id is 5; give the run_id", lambda repo, crew: repo.show(5)),
    "a task to invalidate that is no text": (InputError, "task_name is 5; give the name", lambda repo, crew: repo.invalidate(5)),
    "the output of a task that is no text": (InputError, "task_name is 5; give", lambda repo, crew: repo.get_output(5)),
    "the history of a task that is no text": (InputError, "task_name is 5; give", lambda repo, crew: repo.history(5)),
    "an empty workflow": (CrewRepoError, "workflow_id", lambda repo, crew: repo.run(crew, NOTES, workflow_id=" ")),
    "a workflow ID that no index takes": (
        InputError,
        "workflow_id 'CLMCLM.*…' is too long: it has 1,002 bytes; up to 1,000",
        lambda repo, crew: repo.run(crew, NOTES, workflow_id="CLM" * 334),
    ),
    "a workflow ID that is no Unicode": (
        InputError,
        "workflow_id .* has half of a surrogate pair",
        lambda repo, crew: repo.plan(crew, NOTES, workflow_id="CLM-\ud800"),
    ),
    "a task name that no index takes": (
        InputError,
        "the task name 'äää.*…' is too long: it has 1,002 bytes",
        lambda repo, crew: (setattr(crew.tasks[1], "name", "ä" * 501), repo.run(crew, NOTES)),
    ),
    "an unknown argument": (TypeError, "unexpected keyword argument 'forse'. Did you mean 'force'", lambda repo, crew: repo.run(crew, forse=1)),
    "inputs that are no dict": (
        TypeError,
        "unexpected keyword argument 'notes'. The arguments are: .*'inputs'",
        lambda repo, crew: repo.run(crew, **NOTES),
    ),
    "the name of a crew": (
        NotACrewError,
        r"got str. Pass the crew itself: Crew\(agents=..., tasks=...\)",
        lambda repo, crew: repo.run("claims", NOTES),
    ),
    "a workflow that is no text": (InputError, "workflow_id is 5", lambda repo, crew: repo.runs(5)),
    "the output in no workflow": (InputError, "or None for all", lambda repo, crew: repo.get_output("draft", "")),
    "invalidate in no workflow": (InputError, "workflow_id is ''", lambda repo, crew: repo.invalidate("draft", "")),
    "records to keep that are no number": (InputError, "keep_last is 'x'", lambda repo, crew: repo.prune(keep_last="x")),
    "fewer than no records to keep": (InputError, "0 or more", lambda repo, crew: repo.prune(keep_last=-5)),
    "an age that is no timedelta": (InputError, "timedelta", lambda repo, crew: repo.prune(older_than=3)),
    "an unknown argument of a batch": (
        TypeError,
        "unexpected keyword argument 'forse'",
        lambda repo, crew: repo.run_for_each(lambda: crew, [NOTES], on_error="keep", forse=["draft"]),
    ),
    "a policy of a batch that is none": (
        PolicyError,
        "give a TaskPolicy",
        lambda repo, crew: repo.run_for_each(lambda: crew, [NOTES], on_error="keep", policies={"draft": 1}),
    ),
    "plan of no crew": (NotACrewError, "Expected a crewai.Crew", lambda repo, crew: repo.plan(None)),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_a_bad_call_is_refused_before_any_model_is_called(repo, model, crew, case):
    """The error names the thing and the remedy; no model is called and no run is written down."""
    error, message, call = BAD_CALLS[case]
    with pytest.raises(error, match=message):
        call(repo, crew)
    assert (model.calls, repo.runs()) == ([], [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_age": 3600}, "timedelta"),
        ({"max_age": timedelta(-1)}, r"max_age is negative \(-1 day, 0:00:00\); give always=True"),
        ({"dates": "weekly"}, "'daily' or 'ignore'"),
        ({"memory": "never"}, "'ignore' or 'always'"),
        ({"always": "no"}, "always is 'no'; it can be True or False"),
        ({"salt": 2}, "salt is 2; give a text, such as 'v2'"),
        ({"ignore": 5}, r"ignore is 5; give the names of parts, such as \('agent.backstory',\)"),
        ({"rerun_tools": (5,)}, r"rerun_tools is \(5,\); give the names of tools"),
        ({"max_agee": timedelta(hours=1)}, "TaskPolicy has no 'max_agee'. Did you mean 'max_age'?"),
        ({"zzz": 1}, "TaskPolicy has no 'zzz'. The rules are: 'always', "),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(arguments: dict[str, Any], message: str):
    """TaskPolicy checks its members."""
    with pytest.raises(PolicyError, match=message):
        TaskPolicy(**arguments)


def test_a_policy_takes_a_single_text_as_one_pattern():
    """`ignore="agent.backstory"` is not a list of letters."""
    assert TaskPolicy(ignore="agent.backstory", max_age=timedelta(hours=1)).ignore == ("agent.backstory",)


def test_a_folder_is_no_state_file(tmp_path):
    """A directory as the target is named in the error."""
    with pytest.raises(StoreOpenError, match=str(tmp_path)):
        StateRepository(tmp_path)


def test_a_plan_leaves_the_lists_in_the_inputs_as_they_are(repo, crew):
    """Before-kickoff callbacks work on a copy all the way down: a plan changes nothing."""

    def add(inputs: Any) -> Any:
        inputs["lines"].append("more")
        return inputs

    crew.before_kickoff_callbacks.append(add)
    inputs = {**NOTES, "lines": []}
    repo.plan(crew, inputs)
    assert inputs["lines"] == []


def test_a_callback_that_returns_no_inputs_is_named_by_plan(repo, crew):
    """Where a before-kickoff callback returns a text, plan says so in place of failing somewhere in CrewAI."""
    crew.before_kickoff_callbacks.append(lambda inputs: "text")
    with pytest.raises(BadInputValueError, match="<lambda> returned a str"):
        repo.plan(crew, NOTES)


@pytest.mark.parametrize("target", [3, b"state.db", "", "a\0b", "x" * 300], ids=["int", "bytes", "empty", "NUL", "long"])
def test_what_is_no_path_is_refused(tmp_path, monkeypatch, target):
    """A target of another type, or one that no file can have as its name, is a StoreOpenError like every other."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreOpenError, match="give "):
        StateRepository(target)
    assert list(tmp_path.iterdir()) == []


def test_a_path_in_no_folder_is_refused(tmp_path):
    """A folder that does not exist is named, and not created."""
    with pytest.raises(StoreOpenError, match="nowhere"):
        StateRepository(tmp_path / "nowhere" / "state.db")
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_is_not_sqlite_is_left_alone(tmp_path):
    """Another file is refused by its name, and not a byte of it changes."""
    file = tmp_path / "notes.txt"
    file.write_text("these are my notes, not a database\n" * 40)
    before = file.read_bytes()
    with pytest.raises(StoreOpenError, match="notes.txt"):
        StateRepository(file)
    assert file.read_bytes() == before


def test_an_export_writes_over_nothing_but_an_export(repo, crew, tmp_path, monkeypatch):
    """Above all not over the state itself, by whichever of its names: all that was paid for would be gone."""
    monkeypatch.chdir(tmp_path)
    repo.run(crew, NOTES)
    Path("link.jsonl").symlink_to("state.db")
    Path("notes.txt").write_text("mine")
    for file, said in {
        "state.db": "is the state itself; name another file for the export",
        "link.jsonl": "is the state itself",
        "notes.txt": "is there already, and is no export; name another file, or delete it first",
        "nowhere/all.jsonl": "cannot be written: No such file or directory; name a file in a folder",
        ".": "is a folder; name a file for the export",
    }.items():
        with pytest.raises((InputError, StoreOpenError), match=said):
            repo.export_json(file)
    assert (Path("notes.txt").read_text(), repo.plan(crew, NOTES).fresh) == ("mine", ["analyze", "draft"])
    assert repo.export_json("all.jsonl") == repo.export_json("all.jsonl") == Path("all.jsonl").read_text()


@pytest.mark.parametrize("size", [1, 15, 16, 99, 100])
def test_a_file_that_is_too_short_for_sqlite_is_left_alone(tmp_path, size):
    """SQLite takes a few bytes for an empty file of its own, and would write over them."""
    file = tmp_path / "notes.txt"
    file.write_text("x" * size)
    with pytest.raises(StoreOpenError, match=r"notes.txt is no SQLite file.*give another path"):
        StateRepository(file)
    assert file.read_text() == "x" * size


def test_an_empty_file_counts_as_none(tmp_path, crew):
    """What `tempfile` and `touch` leave becomes the state file."""
    file = tmp_path / "state.db"
    file.touch()
    with StateRepository(file) as repository:
        assert repository.run(crew, NOTES).run.executed == ["analyze", "draft"]


@pytest.mark.parametrize("name", ["kickoff", "akickoff"])
def test_an_attached_crew_takes_every_argument_of_crewais_own(repo, crew, name):
    """By the same names and in the same order, in every CrewAI; another one is refused."""
    own = inspect.signature(getattr(Crew, name)).parameters
    taken = inspect.signature(getattr(repo.attach(crew), name)).parameters
    assert list(taken)[: len(own) - 1] == [argument for argument in own if argument != "self"]


def test_a_file_of_a_newer_version_is_left_alone(repo, model, crew):
    """A state file that a newer crew_repo wrote is refused, with the remedy."""
    repo.run(crew, NOTES)
    repo.close()
    path = repo.url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(NewerSchemaError, match="newer"):
        StateRepository(path)


@pytest.mark.parametrize("target", [":memory:", "sqlite://", "sqlite:///:memory:", "sqlite+pysqlite:///:memory:"])
def test_memory_is_no_place_for_state(target):
    """An in-memory database would lose everything with the process."""
    with pytest.raises(StoreOpenError, match="give the path of a file"):
        StateRepository(target)


def test_a_url_with_options_makes_no_file_of_that_name(tmp_path):
    """What the driver of SQLite would take from a URL is not taken for a part of the path."""
    with pytest.raises(StoreOpenError, match="give the plain path"):
        StateRepository(f"sqlite:///{tmp_path}/state.db?mode=ro")


@pytest.mark.parametrize("settings", [{"lease_seconds": 0}, {"lease_seconds": "60"}, {"busy_timeout_seconds": -1},
                                      {"busy_timeout_seconds": float("inf")}])  # fmt: skip
def test_a_setting_that_makes_no_sense_is_refused(tmp_path, settings):
    """By its name, and before a file is made."""
    with pytest.raises(InputError, match=f"{next(iter(settings))} is .*number of seconds"):
        StateRepository(tmp_path / "state.db", **settings)
    assert list(tmp_path.iterdir()) == []


def test_the_environment_names_the_default(tmp_path, monkeypatch):
    """Without a target `CREW_REPO_URL` is used, then `.env`, then `crew_state.db` here."""
    monkeypatch.chdir(tmp_path)
    assert StateRepository().url.endswith(f"{tmp_path.name}/crew_state.db")
    Path(".env").write_text("CREW_REPO_URL=from_dotenv.db\n")
    assert StateRepository().url.endswith("/from_dotenv.db")
    monkeypatch.setenv("CREW_REPO_URL", str(tmp_path / "from_environment.db"))
    assert StateRepository().url.endswith("/from_environment.db")


@pytest.mark.parametrize("target", ["state.db", "sqlite:///state.db"])
@pytest.mark.parametrize("loaded", [False, True])
def test_a_relative_path_in_a_dotenv_is_relative_to_it(tmp_path, monkeypatch, target, loaded):
    """From whichever folder below one starts, and whether or not `load_dotenv` was called: there is one state."""
    (tmp_path / ".env").write_text(f"CREW_REPO_URL={target}\n")
    (tmp_path / "reports" / "daily").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "reports" / "daily")
    if loaded:
        monkeypatch.setenv("CREW_REPO_URL", target)
    assert StateRepository().url == f"sqlite:///{tmp_path}/state.db"


def test_the_dotenv_beside_the_program_counts_where_its_value_was_loaded(tmp_path, monkeypatch):
    """`load_dotenv` finds the `.env` of the program, from whichever folder that is started."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / ".env").write_text("CREW_REPO_URL=state.db\n")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "app" / "main.py"), raising=False)
    monkeypatch.setenv("CREW_REPO_URL", "state.db")
    monkeypatch.chdir(tmp_path)
    assert StateRepository().url == f"sqlite:///{tmp_path}/app/state.db"
    monkeypatch.setenv("CREW_REPO_URL", "other.db")
    assert StateRepository().url == f"sqlite:///{tmp_path}/other.db"


async def test_a_synchronous_run_in_a_running_loop_is_refused_with_the_line_to_type(repo, model, crew):
    """Before anything is recorded or paid; so are a batch and an attached crew's kickoff, and the async twins work."""
    for wrong, line in (
        (lambda: repo.run(crew, NOTES), r"await repo\.arun\(crew, inputs\)"),
        (lambda: repo.run_for_each(crew, [NOTES]), r"await repo\.arun_for_each\(crew, inputs_list\)"),
        (lambda: repo.attach(crew).kickoff(NOTES), r"await crew\.kickoff_async\(inputs\)"),
    ):
        with pytest.raises(RunningLoopError, match=line):
            wrong()
    assert (repo.runs(), model.calls) == ([], [])
    assert (await crew.kickoff_async(NOTES)).run.executed
    assert (await repo.arun(repo.detach(crew), NOTES)).run.executed == []


@pytest.mark.parametrize("installed", ["1.12.1", "0.203.0", "2.0.0", None])
def test_an_unsupported_crewai_is_named_with_the_versions_that_work(monkeypatch, installed):
    """One error says what is installed, what is supported, and what to type."""

    def version(_: str) -> str:
        if installed is None:
            raise supported.PackageNotFoundError
        return installed

    monkeypatch.setattr(supported, "version", version)
    with pytest.raises(UnsupportedCrewAIError, match=rf"{installed or 'is not installed'}.*1\.13 to 1\.15.*pip install"):
        supported.check_version()


def test_a_crewai_that_lacks_a_needed_name_is_told_so(monkeypatch):
    """A later CrewAI may rename what is its own; that is said before a task is paid for."""
    monkeypatch.delattr(Crew, "_handle_crew_planning")
    with pytest.raises(ImportError, match="Crew has no _handle_crew_planning") as caught:
        private.check_names()
    told = str(supported.unsupported(caught.value))
    assert "lacks something that is needed (Crew has no _handle_crew_planning)" in told


@pytest.mark.parametrize("name", ["_resolve_crew_skills", "setup_agents"])
def test_a_crewai_that_cannot_be_imported_from_is_told_so(repo, tmp_path, name):
    """In place of the bare ImportError of whichever module came first."""
    script = f"""
import crewai.crews.utils
del crewai.crews.utils.{name}
from crew_repo import StateRepository, UnsupportedCrewAIError
try:
    StateRepository("state.db").plan(None)
except UnsupportedCrewAIError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(crew_repo.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert name in done.stdout
    assert "pip install 'crewai>=1.13,<1.16'" in done.stdout


def test_a_closed_repository_says_so(repo, crew):
    """Using a repository after close is a clear error."""
    repo.close()
    with pytest.raises(StoreError, match="closed"):
        repo.run(crew, NOTES)


def test_one_crew_object_cannot_run_twice_at_once(repo, model, crew):
    """A kickoff changes the crew, so a second concurrent run of the same object is refused."""
    errors: list[Exception] = []

    def again(_: Any) -> None:
        try:
            repo.run(crew, NOTES)
        except AttachError as error:
            errors.append(error)

    crew.tasks[0].callback = again
    repo.run(crew, NOTES)
    assert len(errors) == 1
    assert "a crew of its own" in str(errors[0])


def test_a_forked_child_works_with_its_parents_repository(repo, model, crew):
    """A child that was forked opens connections of its own; neither side notices the other."""
    repo.run(crew, NOTES)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if len(repo.runs()) == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert repo.runs()[0].executed == ["analyze", "draft"]


def test_a_run_in_a_forked_child_is_refused_where_it_would_hang(repo, model, crew):
    """After a kickoff in the parent, CrewAI's own would wait for ever in a forked child: a clear error instead."""
    repo.run(crew, NOTES)
    pid = os.fork()
    if pid == 0:
        signal.alarm(200)  # a child that hangs shall not outlive the test
        try:
            repo.run(crew, NOTES)
        except ForkedConnectionError as error:
            os._exit(0 if "spawn" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert repo.run(crew, NOTES).run.reused == ["analyze", "draft"]


def test_every_error_has_one_base_and_is_exported():
    """`except CrewRepoError` catches all of them."""
    from crew_repo import errors

    kinds = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert all(issubclass(kind, CrewRepoError) for kind in kinds)
    assert {kind.__name__ for kind in kinds} <= set(crew_repo.__all__)


@pytest.mark.parametrize("name", [None, "", "  "])
def test_a_crew_without_a_name_has_a_workflow_that_can_be_asked_for(repo, crew, name):
    """A blank name is none, since no method takes a blank workflow."""
    crew.name = name
    assert repo.run(crew, NOTES).run.workflow_id == "crew"
    assert len(repo.runs("crew")) == 1
