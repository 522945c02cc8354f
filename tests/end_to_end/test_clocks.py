"""Clocks that were wrong: a record is as old as it is for certain, and no older clock makes it young."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from crewai import Crew

from crew_repo import ReasonKind, TaskPolicy
from crew_repo.runner import decider, planner
from tests.crews import agent, task
from tests.models import PromptModel

NOTES = {"notes": "hail on 3 May"}


def crew_of(model: PromptModel, name: str = "claims") -> Crew:
    """One task that reads the notes."""
    worker = agent(model)
    return Crew(name=name, agents=[worker], tasks=[task("analyze", "{notes}", worker)])


def set_ahead(file: Path, hours: int) -> None:
    """Write all times of a state as a clock has them that is ahead."""
    with closing(sqlite3.connect(file)) as state, state:
        for table, names in (("run_entry", ("started_at", "finished_at")), ("record", ("started_at", "completed_at"))):
            for name in names:
                state.execute(
                    f"UPDATE {table} SET {name} = strftime('%Y-%m-%dT%H:%M:%f', {name}, '+{hours} hours') || '000Z'"  
                )


@pytest.mark.parametrize(("ran_since", "fresh"), [(True, False), (False, True)])
def test_a_record_of_a_clock_that_was_ahead_grows_no_younger(repo, model, monkeypatch, tmp_path, ran_since, fresh):
    """A run since then, by the right clock, shows its age; without one nobody can know."""
    repo.run(crew_of(model), NOTES)
    set_ahead(tmp_path / "state.db", 24)
    if ran_since:
        repo.run(crew_of(model, "another"), NOTES)
    for module in (decider, planner):
        monkeypatch.setattr(module, "utc_now", lambda: datetime.now(timezone.utc) + timedelta(hours=25))
    policies = {"analyze": TaskPolicy(max_age=timedelta(hours=2))}
    plan = repo.plan(crew_of(model), NOTES, policies=policies)
    assert plan["analyze"].fresh is fresh
    assert fresh or [reason.kind for reason in plan["analyze"].reasons] == [ReasonKind.EXPIRED]
    if ran_since:
        assert repo.run(crew_of(model), NOTES, policies=policies).run.executed == ["analyze"]
