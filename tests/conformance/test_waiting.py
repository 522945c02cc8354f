"""Whom a run waits for is in the state: as long as it waits and lives, and no longer."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from crew_repo.model import RunStatus
from crew_repo.store import Store
from tests.conformance.kit import Kit, now


def waits(sql: Any) -> dict[str, Any]:
    """The runs that wait, and what stands there of each."""
    rows = sql("SELECT run_id, waits_for FROM run WHERE waits_for IS NOT NULL")
    return {row["run_id"]: json.loads(row["waits_for"]) for row in rows}


def test_it_is_shown_by_the_task_that_waits(kit: Kit, sql: Any) -> None:
    """Each task with the run that executes the same; none when it goes on."""
    for run_id in ("one", "two"):
        kit.begin(run_id)
    kit.store.note_waiting("two", {"draft": "one", 'odd "ä"': "one"})
    assert waits(sql) == {"two": {"draft": "one", 'odd "ä"': "one"}}
    kit.store.note_waiting("two", {})
    assert waits(sql) == {}


def test_a_run_that_ended_waits_for_nobody(kit: Kit, sql: Any) -> None:
    """However it ended."""
    for run_id, status in (("done", RunStatus.COMPLETED), ("failed", RunStatus.FAILED)):
        kit.begin(run_id)
        kit.store.note_waiting(run_id, {"draft": "other"})
        kit.finish(run_id, status)
    assert waits(sql) == {}


def test_a_run_that_was_killed_waits_for_nobody(url: str, sql: Any) -> None:
    """Once it has been silent for longer than its lease lasts, also before anybody writes that down."""
    with Store(url, clock=lambda: now() - timedelta(hours=1)) as gone:
        Kit(gone, owner="a-host:1:1").begin("killed")
        gone.note_waiting("killed", {"draft": "other"})
    assert waits(sql) == {}
    with Store(url) as store:
        Kit(store).begin("next")
    assert sql("SELECT waits_for FROM run_entry WHERE run_id = 'killed'") == [{"waits_for": None}]
