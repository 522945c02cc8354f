"""Whatever is raised between the end of a task and its record: the task is kept once, and never paid for again.

A signal handler (a job queue's time limit, Ctrl-C) may raise between any two lines of ours. Here a trace function does.
"""

from __future__ import annotations

import gc
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from crewai import Crew
from pydantic import BaseModel

import crew_repo
from crew_repo import StateRepository
from crew_repo.code import are_in_force
from crew_repo.runner.ledger import Ledger
from crew_repo.runner.recorder import Recorder
from tests import crews
from tests.models import PromptModel

pytestmark = pytest.mark.siege

STEP = 16  # any line will do; with 1 it takes two minutes
OURS = str(Path(crew_repo.__file__).parent)


KEPT = [("look", None, None)]


class SoftTimeLimit(Exception):
    """What a job queue raises in a task that takes too long."""


class Line:
    """A trace function that raises at one line of ours, counted from the moment at which the task has its output."""

    def __init__(self, number: int, error: type[BaseException]) -> None:
        self.number, self.error = number, error
        self.passed: list[str] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        return self.meet

    def meet(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            self.passed.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
            if len(self.passed) == self.number:
                sys.settrace(None)
                raise self.error
        return self.meet

    @contextmanager
    def while_saving(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        """Traces from the recorder on, until the task is recorded."""
        save = Recorder.finished

        def traced(*arguments: Any) -> Any:
            if self.passed:
                return save(*arguments)
            sys.settrace(self)
            try:
                return save(*arguments)
            finally:
                sys.settrace(None)

        with patch.context() as patched:
            patched.setattr(Recorder, "finished", traced)
            yield


class Verdict(BaseModel):
    covered: bool


def one_task(model: PromptModel) -> Crew:
    worker = crews.agent(model)
    task = crews.task("look", "at it", worker, output_pydantic=Verdict)
    return Crew(name="saved", agents=[worker], tasks=[task])


def new_model() -> PromptModel:
    return PromptModel(model="m", script={"": '{"covered": true}'})


def lines_of_a_save(folder: Path, patch: pytest.MonkeyPatch) -> list[str]:
    line = Line(-1, SoftTimeLimit)
    with StateRepository(folder / "count.db") as repo, line.while_saving(patch):
        repo.run(one_task(new_model()))
    return line.passed


def rows(file: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(file)
    found = connection.execute("SELECT task_name, retired, not_restorable FROM record").fetchall()
    connection.close()
    return found


@pytest.mark.siege
@pytest.mark.parametrize("error", [SoftTimeLimit, KeyboardInterrupt])
def test_an_exception_at_any_line_of_a_save_loses_nothing(tmp_path, monkeypatch, error):
    """The next run in the process serves the task; the model was asked once; the store has one record."""
    passed = lines_of_a_save(tmp_path, monkeypatch)
    assert len(passed) > 100
    first = {name: number for number, name in reversed(list(enumerate(passed, 1)))}
    wrong = []
    for number in sorted(first.values())[error is KeyboardInterrupt :: STEP]:
        file, model, line = tmp_path / f"{number}.db", new_model(), Line(number, error)
        with StateRepository(file, busy_timeout_seconds=0) as repo:
            with line.while_saving(monkeypatch), suppress(error):  # among a user's validators it may be swallowed
                copy_context().run(repo.run, one_task(model))  # CrewAI leaves event scopes open in it
            again = repo.run(one_task(model))
        if (len(model.calls), again.run.reused, rows(file)) != (1, ["look"], KEPT):
            wrong.append((number, passed[number - 1], len(model.calls), again.run.reused, rows(file)))
    assert wrong == []
    gc.collect()
    assert not are_in_force()  # nor does this thread go on to hash as the interrupted save did


@pytest.mark.parametrize("committed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("error", [SoftTimeLimit, TimeoutError, MemoryError, KeyboardInterrupt, SystemExit])
def test_an_exception_around_the_commit_loses_nothing(repo, tmp_path, monkeypatch, committed, error):
    """Before it the record is written later; after it, not once more."""
    model, raised = new_model(), []
    save = repo._store.save_finished

    def interrupted_once(*arguments: Any) -> Any:
        if raised:
            return save(*arguments)
        raised.append(error)
        if committed:
            save(*arguments)
        raise error

    monkeypatch.setattr(repo._store, "save_finished", interrupted_once)
    with pytest.raises(error):
        copy_context().run(repo.run, one_task(model))
    if isinstance(error(), Exception):
        assert rows(tmp_path / "state.db") == KEPT  # at once: the process may be killed after its time limit
    repo.close()
    assert rows(tmp_path / "state.db") == KEPT
    with StateRepository(tmp_path / "state.db") as later:
        assert (later.run(one_task(model)).run.reused, len(model.calls)) == (["look"], 1)


def test_a_time_limit_among_the_users_own_classes_does_not_make_an_output_unfit(repo, tmp_path, monkeypatch):
    """What is raised once while the output is compared with what comes back says nothing about its class."""
    model, raised = new_model(), []

    def limited_once(*_: Any) -> Any:
        monkeypatch.undo()
        raised.append(1)
        raise SoftTimeLimit

    with suppress(SoftTimeLimit):
        crew = one_task(model)
        monkeypatch.setattr(Verdict, "model_validate_json", limited_once)
        repo.run(crew)
    assert (raised, rows(tmp_path / "state.db")) == ([1], KEPT)


def test_an_output_that_cannot_be_stored_is_kept_as_text(repo, tmp_path, monkeypatch):
    """What is raised each time is the output's own: the user sees it, the text is kept, and is not served."""
    model = new_model()

    def unfit(*_: Any) -> Any:
        raise ArithmeticError("it has no JSON form")

    with monkeypatch.context() as patched, pytest.raises(ArithmeticError):
        patched.setattr("crew_repo.adapter.running.outputs._dump_messages", unfit)
        repo.run(one_task(model))
    ((name, retired, why),) = rows(tmp_path / "state.db")
    assert (name, retired, "only its text is kept" in why) == ("look", None, True)
    assert repo.get_output("look") == '{"covered": true}'
    assert repo.run(one_task(model)).run.executed == ["look"]


def test_what_a_run_reused_is_not_forgotten_with_a_save_that_fails(repo, monkeypatch):
    """The notes that were to be written with the record are written with the end of the run."""
    model = PromptModel(model="m")
    worker = crews.agent(model)
    crew = Crew(name="notes", agents=[worker], tasks=[crews.task(name, name, worker, context=[]) for name in "ab"])
    repo.run(crew)

    def limited_once(_: Any) -> Any:
        monkeypatch.undo()
        raise SoftTimeLimit

    monkeypatch.setattr("crew_repo.runner.recorder.output_hash", limited_once)
    with pytest.raises(SoftTimeLimit):
        repo.run(crew, force="b")
    assert (repo.runs()[0].reused, repo.runs()[0].executed) == (["a"], ["b"])


def test_an_exception_before_the_end_of_a_run_is_written_ends_it(repo, monkeypatch):
    """No run seems to go on for as long as this process lives."""
    model = new_model()

    def limited(*_: Any) -> Any:
        raise SoftTimeLimit

    with monkeypatch.context() as patched, pytest.raises(SoftTimeLimit):
        patched.setattr(Ledger, "skipped", limited)
        repo.run(one_task(model))
    assert ([str(run.status) for run in repo.runs()], repo.run(one_task(model)).run.reused) == (["failed"], ["look"])
