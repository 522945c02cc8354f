"""Copies of a state that is in use: each serves what was recorded, or says what it lacks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew

from crew_repo import StateRepository, StoreError
from crew_repo.adapter.running.reuse import says
from tests import crews
from tests.models import PromptModel

pytestmark = pytest.mark.siege

COPIES: dict[str, Callable[[StateRepository, Path], Any]] = {
    "backup": lambda repo, target: repo.backup(target),
    "cp": lambda repo, target: shutil.copy(Path(repo.url.removeprefix("sqlite:///")), target),
}


def two_tasks(model: PromptModel, **members: Any) -> Crew:
    worker = crews.agent(model)
    tasks = [crews.task(name, name, worker, **members) for name in ("one", "two")]
    return Crew(name="copied", agents=[worker], tasks=tasks)


@pytest.mark.parametrize("how", COPIES.values(), ids=list(COPIES))
def test_a_copy_of_an_open_state_serves_what_was_recorded(repo, model, tmp_path, how):
    """The program that has it open goes on."""
    repo.run(two_tasks(model))
    how(repo, tmp_path / "copy.db")
    with StateRepository(tmp_path / "copy.db") as copy:
        assert copy.run(two_tasks(model)).run.reused == ["one", "two"]
        assert (copy.runs()[1].status, copy.verify()) == (repo.runs()[0].status, [])
    assert repo.run(two_tasks(model)).run.reused == ["one", "two"]


def test_a_backup_has_the_finished_tasks_of_a_run_that_goes_on(repo, model, tmp_path):
    """Made by a callback of the second task, it has the first."""
    target = tmp_path / "copy.db"
    crew = two_tasks(model)
    crew.tasks[1].callback = lambda _: repo.backup(target)
    repo.run(crew)
    with StateRepository(target) as copy:
        assert [state.task_name for state in copy.tasks()] == ["one"]
        assert copy.run(two_tasks(model)).run.reused == ["one"]
    with pytest.raises(StoreError, match=r"copy\.db is there already"):
        repo.backup(target)


def test_a_backup_put_in_place_of_an_open_state_is_the_state(repo, model, tmp_path):
    """Also while a program has the old one open: what stands beside that file does not ruin the new one."""
    repo.run(two_tasks(model))
    repo.backup(tmp_path / "copy.db")
    repo.run(two_tasks(model, expected_output="something else"))
    (tmp_path / "copy.db").replace(tmp_path / "state.db")
    assert repo.run(two_tasks(model)).run.reused == ["one", "two"]
    assert repo.run(two_tasks(model, expected_output="something else")).run.executed == ["one", "two"]
    assert repo.verify() == []
    with StateRepository(tmp_path / "state.db") as other:
        assert (len(other.runs()), other.verify()) == (3, [])


@pytest.mark.parametrize("closed", [False, True])
def test_a_state_that_was_moved_away_and_back_has_all_that_was_paid_for(tmp_path, model, closed):
    """No other file is begun meanwhile by a run that cannot save; what it could not save is written later."""
    path, away = tmp_path / "state.db", tmp_path / "away.db"
    crew = two_tasks(model)
    crew.tasks[1].callback = lambda _: path.rename(away)
    repo = StateRepository(path)
    with pytest.raises(StoreError, match="deleted or replaced"):
        repo.run(crew)
    if closed:
        repo.close()
    assert not path.exists()
    away.rename(path)
    with StateRepository(path) as later:
        assert later.run(two_tasks(model)).run.reused == ["one", "two"]
        assert later.verify() == []
    repo.close()
    assert len(model.calls) == 2


def test_a_repository_closed_by_a_callback_of_its_run_is_closed_when_that_has_ended(tmp_path, model):
    """A run that goes on can still save what is paid for."""
    repo = StateRepository(tmp_path / "state.db")
    crew = two_tasks(model)
    crew.tasks[0].callback = lambda _: repo.close()
    assert repo.run(crew).run.executed == ["one", "two"]
    with pytest.raises(StoreError, match="is closed"):
        repo.runs()
    with StateRepository(tmp_path / "state.db") as later:
        assert later.run(two_tasks(model)).run.reused == ["one", "two"]


def test_an_output_file_that_is_no_file_is_not_read(tmp_path):
    """A terminal or a pipe, as /dev/stdout may be, would be waited for."""
    os.mkfifo(tmp_path / "pipe")
    assert not says(tmp_path / "pipe", "text")
