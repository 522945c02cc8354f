"""Records that are read in bulk when a run begins, and which of them a task is served from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from crewai import Crew

from crew_repo import StateRepository
from crew_repo.store import Store
from tests import crews
from tests.models import PromptModel


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The input hashes for which the store was asked one by one."""
    hashes: list[str] = []
    find_record = Store.find_record

    def noted(store: Store, input_hash: str, *arguments: Any, **more: Any) -> Any:
        hashes.append(input_hash)
        return find_record(store, input_hash, *arguments, **more)

    monkeypatch.setattr(Store, "find_record", noted)
    return hashes


def _crew(model: PromptModel, **more: Any) -> Crew:
    worker = crews.agent(model)
    first = crews.task("first", "at {notes}", worker, **more)
    return Crew(name="crew", agents=[worker], tasks=[first, crews.task("second", "it", worker, context=[])])


def test_a_run_of_fresh_tasks_asks_for_none_of_them(repo: StateRepository, model: PromptModel, asked: list[str]) -> None:
    """All that it serves was read when it began."""
    repo.run(_crew(model), {"notes": "hail"})
    asked.clear()
    assert repo.run(_crew(model), {"notes": "hail"}).run.executed == []
    assert asked == []


def test_after_an_execution_it_is_asked_what_is_stored_by_then(repo: StateRepository, model: PromptModel) -> None:
    """It may have taken long: what a person has corrected meanwhile is served, and what is invalidated is not."""
    repo.run(_crew(model), {"notes": "hail"})
    correct = _crew(model, callback=lambda _: repo.override("second", "by Ada"))
    assert repo.run(correct, {"notes": "storm"}).raw == "by Ada"
    invalidate = _crew(model, callback=lambda _: repo.invalidate("second"))
    assert repo.run(invalidate, {"notes": "snow"}).run.executed == ["first", "second"]


def test_another_workflows_record_is_served_only_as_long_as_they_share(tmp_path: Path, model: PromptModel) -> None:
    """A plan says so, too."""
    with StateRepository(tmp_path / "state.db", share_across_workflows=True) as shared:
        shared.run(_crew(model), {"notes": "hail"}, workflow_id="a")
        assert shared.run(_crew(model), {"notes": "hail"}, workflow_id="b").run.executed == []
    with StateRepository(tmp_path / "state.db") as alone:
        assert alone.plan(_crew(model), {"notes": "hail"}, workflow_id="b").fresh == []
        assert alone.run(_crew(model), {"notes": "hail"}, workflow_id="b").run.executed == ["first", "second"]
