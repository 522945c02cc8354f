"""What goes wrong beside the crew costs no finished task, and no answer that is not the right one is served."""

from __future__ import annotations

import io
import logging
import os
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew
from crewai.tools import BaseTool
from pydantic import PrivateAttr

from crew_repo import RunStatus, StateRepository, StoreError
from crew_repo.runner import single_flight
from tests import crews, postgres
from tests.models import PromptModel

pytestmark = pytest.mark.siege


def one_task(model: PromptModel, text: str = "look at it", *, tools: Any = (), **members: Any) -> Crew:
    """A crew of the task `look`."""
    worker = crews.agent(model, tools=list(tools))
    return Crew(name="mishaps", agents=[worker], tasks=[crews.task("look", text, worker)], **members)


class Table(BaseTool):
    """Reads what it was told to load."""

    name: str = "table"
    description: str = "reads the table"
    _rows: str = PrivateAttr(default="")

    def load(self, rows: str) -> None:
        self._rows = rows

    def _run(self) -> str:
        return f"rows={self._rows}"


def reader(prompt: str) -> str:
    """Asks the table, and repeats what it says."""
    found = [rows for rows in ("apples", "pears") if f"rows={rows}" in prompt]
    return f"there are {found[0]}" if found else "Thought: x\nAction: table\nAction Input: {}"


def test_a_tool_that_is_told_something_while_another_crew_runs_is_another_tool(repo):
    """In a server some run always goes on: what it writes on its own tools says nothing about those of others."""
    going, end = threading.Event(), threading.Event()
    slow = PromptModel(model="m", script={"": lambda _: going.set() or str(end.wait())})
    thread = threading.Thread(target=repo.run, args=(one_task(slow, "slowly"),), kwargs={"workflow_id": "other"})
    thread.start()
    going.wait()
    tool = Table()
    crew = one_task(PromptModel(model="m", script={"": reader}), tools=[tool])
    said = []
    for rows in ("apples", "pears", "pears"):
        tool.load(rows)
        status = repo.plan(crew)["look"].status
        result = repo.run(crew)
        said.append((result.raw, str(status), result.run.reused))
    end.set()
    thread.join()
    assert said == [
        ("there are apples", "missing", []), ("there are pears", "stale", []), ("there are pears", "fresh", ["look"])
    ]  # fmt: skip


def test_an_interrupt_while_a_finished_task_is_saved_loses_nothing(repo, monkeypatch):
    """Ctrl-C while the file is locked: what was paid for is written by the next run, which serves it."""
    model, waited = PromptModel(model="m"), []
    save = repo._store.save_finished

    def interrupted_once(*arguments: Any) -> Any:
        if not waited:
            waited.append(arguments)
            raise KeyboardInterrupt
        return save(*arguments)

    monkeypatch.setattr(repo._store, "save_finished", interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        repo.run(one_task(model))
    again = repo.run(one_task(model))
    assert (len(model.calls), again.run.reused) == (1, ["look"])
    assert [run.status for run in repo.runs()] == [RunStatus.COMPLETED, RunStatus.INTERRUPTED]


def test_an_interrupt_just_before_a_finished_task_is_saved_loses_nothing(repo, monkeypatch):
    """Nor does it between the model's answer and the record."""
    model = PromptModel(model="m")
    with monkeypatch.context() as patched:
        seen = []

        def interrupted_once(*_: Any) -> Any:
            patched.undo()
            seen.append(1)
            raise KeyboardInterrupt

        patched.setattr("crew_repo.runner.recorder.output_hash", interrupted_once)
        with pytest.raises(KeyboardInterrupt):
            repo.run(one_task(model))
    again = repo.run(one_task(model))
    assert (len(model.calls), again.run.reused, seen) == (1, ["look"], [1])


def test_a_run_that_cannot_begin_has_ended(repo, model, monkeypatch):
    """What fails before the first task leaves a failed run, and none that seems to go on for ever."""

    def unreadable(*_: Any, **__: Any) -> Any:
        raise StoreError("the disk is gone")

    with monkeypatch.context() as patched, pytest.raises(StoreError, match="the disk is gone"):
        patched.setattr(repo._store, "at_start", unreadable)
        repo.run(one_task(model))
    assert [run.status for run in repo.runs()] == [RunStatus.FAILED]
    assert repo.run(one_task(model)).run.executed == ["look"]


def test_an_answer_that_is_owed_to_a_server_is_reused_by_the_run_that_writes_it(model, postgres_server, monkeypatch):
    """What the run knew from its beginning, before it wrote what was owed, is known anew."""

    def unreachable(*_: Any, **__: Any) -> Any:
        raise StoreError("the server is gone")

    with StateRepository(postgres.new_database(postgres_server), verbose=False) as repo:
        with monkeypatch.context() as patched, pytest.raises(StoreError, match="the server is gone"):
            patched.setattr(repo._store, "save_finished", unreachable)
            repo.run(one_task(model))
        looked = []
        monkeypatch.setattr(repo._store, "at_start", _noted(looked, repo._store.at_start))
        assert repo.run(one_task(model)).run.reused == ["look"]
        assert repo.run(one_task(model)).run.reused == ["look"]
    assert (len(model.calls), len(looked)) == (1, 1)


def _noted(calls: list[Any], function: Any) -> Any:
    def noted(*arguments: Any, **more: Any) -> Any:
        calls.append(arguments)
        return function(*arguments, **more)

    return noted


def test_a_damaged_record_is_executed_again_and_said_to_be_altered(repo, model, tmp_path):
    """A cell that a person or a disk has spoilt: that task runs again, and the others are served."""
    worker = crews.agent(model)
    crew = Crew(agents=[worker], tasks=[crews.task(name, name, worker, context=[]) for name in ("one", "two")])
    repo.run(crew)
    with sqlite3.connect(tmp_path / "state.db") as file:
        file.execute("UPDATE record SET components = '[]' WHERE task_name = 'one'")
    plan = repo.plan(crew)
    assert (plan.missing, plan.fresh, plan["one"].reasons[0].kind.value) == (["one"], ["two"], "altered")
    again = repo.run(crew)
    assert (again.run.executed, again.run.reused) == (["one"], ["two"])
    assert repo.run(crew).run.reused == ["one", "two"]


class Gone(io.StringIO):
    """A terminal whose window was closed."""

    def write(self, _: str) -> int:
        raise BrokenPipeError("the window was closed")


def test_a_terminal_that_goes_away_costs_nothing(tmp_path, model, monkeypatch, caplog):
    """The run goes on without being shown, and says so once in the log."""
    monkeypatch.setattr(sys, "stderr", Gone())
    with StateRepository(tmp_path / "state.db", verbose=True) as repo, caplog.at_level(logging.WARNING, "crew_repo"):
        assert repo.run(one_task(model)).run.executed == ["look"]
    assert [record.message for record in caplog.records].count(caplog.records[0].message) == 1
    assert "no longer shown" in caplog.records[0].message


def test_a_users_own_override_of_a_task_stays(repo, model):
    """Who has put an `execute_sync` of his own on a task object finds it there after the run."""
    crew, seen = one_task(model), []
    task = crew.tasks[0]
    execute = task.execute_sync
    object.__setattr__(task, "execute_sync", lambda **members: seen.append("own") or execute(**members))
    own = task.__dict__["execute_sync"]
    repo.run(crew)
    assert (seen, task.__dict__["execute_sync"]) == (["own"], own)


@pytest.mark.parametrize("calls", [1, 2])
def test_kickoff_callbacks_are_called_once_per_item_of_a_batch(repo, model, calls):
    """As often as a kickoff would, whether its tasks are executed or fresh."""
    seen = []
    before = [lambda inputs: seen.append(inputs) or inputs]
    for _ in range(calls):
        repo.run_for_each(lambda: one_task(model, "{x}", before_kickoff_callbacks=before), [{"x": "1"}, {"x": "2"}])
    assert (len(seen), len(model.calls)) == (2 * calls, 2)


def test_the_value_of_an_input_with_a_secrets_name_is_not_kept(repo, tmp_path):
    """It goes into the prompt; what is kept of the prompt is without it. A model's own words are kept as they are."""
    secret = "rk-5150-not-for-the-file"
    model = PromptModel(model="m")
    crew = one_task(model, "use {api_key} for {x}")
    repo.run(crew, {"api_key": secret, "x": "this"})
    repo.run(crew, {"api_key": secret, "x": "that"})
    assert secret in model.calls[0]
    with pytest.raises(ZeroDivisionError):
        repo.run(one_task(PromptModel(model="m", script={"": lambda prompt: 1 / 0}), "use {api_key}"), {"api_key": secret})
    repo.close()
    assert not [file.name for file in tmp_path.glob("state.db*") if secret.encode() in file.read_bytes()]


@pytest.mark.parametrize("make", [Path.touch, lambda file: file.write_text('{"crew_repo_export": 1}\n')], ids=["state", "export"])
def test_files_that_were_there_become_private(tmp_path, model, make):
    """Also where somebody had made the file before, for everybody to read: an empty state file, an old export."""
    file = tmp_path / "there"
    make(file)
    file.chmod(0o644)
    state = tmp_path / "state.db" if file.stat().st_size else file
    with StateRepository(state) as repo:
        repo.run(one_task(model))
        if state is not file:
            repo.export_json(file)
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    assert [other.name for other in tmp_path.iterdir() if other.name not in (file.name, state.name)] == []


def test_a_pipe_is_no_state_file_and_stays_as_it_is(tmp_path, model):
    """Devices and pipes belong to others: no state is kept in one, an export goes through, and none is changed."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o622)
    before = pipe.stat()
    with pytest.raises(StoreError, match="a device, a pipe or a socket"):
        StateRepository(pipe)
    with StateRepository(tmp_path / "state.db") as repo, ThreadPoolExecutor() as pool:
        repo.run(one_task(model))
        read = pool.submit(pipe.read_text)
        text = repo.export_json(pipe)
        assert read.result() == text
    after = pipe.stat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)


def test_what_a_living_process_cannot_write_down_any_more_is_taken_over_in_the_end(tmp_path, model, monkeypatch):
    """A folder that was moved has a claim that nobody renews, of a process that lives: others do not wait for ever."""
    monkeypatch.setattr(single_flight, "_PATIENCE_SECONDS", 0.0)
    worker, here, there = crews.agent(model), tmp_path / "here", tmp_path / "there"
    here.mkdir()

    def claims(callback=None) -> Crew:
        tasks = [crews.task("a", "one", worker), crews.task("b", "two", worker, callback=callback)]
        return Crew(name="claims", agents=[worker], tasks=tasks)

    state, is_gone = here / "state.db", pytest.raises(StoreError, match="deleted or replaced")
    with StateRepository(state, lease_seconds=1) as repo, is_gone:
        repo.run(claims(lambda _: here.rename(there)))
    with StateRepository(there / "state.db") as repo:
        again = repo.run(claims())
    assert (again.run.reused, again.run.executed) == (["a"], ["b"])
