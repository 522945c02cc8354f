"""Copies of a state that is in use: each serves what was recorded, or says what it lacks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew

from crew_repo import StateRepository, StoreError
from tests import crews
from tests.models import PromptModel

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
