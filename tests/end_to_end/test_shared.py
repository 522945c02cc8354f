"""Workflows that share their records, and a task that a person invalidated in one of them."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from crewai import Crew

from crew_repo import StateRepository
from tests import crews
from tests.models import PromptModel

pytestmark = pytest.mark.siege


def two_tasks(model: PromptModel) -> Crew:
    worker = crews.agent(model)
    tasks = [crews.task("look", "at {notes}", worker), crews.task("draft", "it", worker)]
    return Crew(name="shared", agents=[worker], tasks=tasks)


@pytest.mark.parametrize("way", ["invalidate", "delete"])
def test_it_executes_next_in_that_workflow_and_in_no_other(tmp_path, model, way):
    """Plan and run agree; then it is served there again, and was served to the others all the time."""
    notes: Any = {"notes": "hail"}
    path = tmp_path / "state.db"
    with StateRepository(path) as alone:
        for workflow in ("a", "b"):
            alone.run(two_tasks(model), notes, workflow_id=workflow)
    with StateRepository(path, share_across_workflows=True) as repo:
        if way == "invalidate":
            repo.invalidate("look", "a")
        else:
            with sqlite3.connect(path) as file:
                file.execute("DELETE FROM task_state WHERE workflow_id = 'a' AND task_name = 'look'")
        plans = {each: repo.plan(two_tasks(model), notes, workflow_id=each) for each in "abc"}
        assert {each: (plan.fresh, str(plan["look"].status)) for each, plan in plans.items()} == {
            "a": ([], "missing"), "b": (["look", "draft"], "fresh"), "c": (["look", "draft"], "fresh")
        }  # fmt: skip
        assert plans["a"]["look"].reasons[0].kind.value == "invalidated"
        assert repo.run(two_tasks(model), notes, workflow_id="b").run.executed == []
        assert repo.run(two_tasks(model), notes, workflow_id="a").run.executed == ["look"]
        for workflow in "abc":
            assert repo.run(two_tasks(model), notes, workflow_id=workflow).run.executed == []
        assert repo.run_for_each(lambda: two_tasks(model), [notes], workflow_ids=["a"])[0].run.executed == []
