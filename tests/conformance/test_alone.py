"""Claiming and saving where nobody else is there, which is done at once; and what it must not pass over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from crew_repo.model import Author, ChangeKind, Lease, NewRecord, Outcome, ToHold
from crew_repo.store import Store, leases, runs
from tests.conformance.kit import DEAD, Kit, new_record, task_run


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done step by step, since somebody else had been there."""
    done: list[str] = []
    for where, name in ((leases, "claim"), (runs, "save_finished")):
        monkeypatch.setattr(where, name, _noted(done, name, getattr(where, name)))
    return done


def _noted(done: list[str], name: str, function: Any) -> Any:
    def noted(*arguments: Any, **more: Any) -> Any:
        done.append(name)
        return function(*arguments, **more)

    return noted


def _begun(kit: Kit) -> tuple[Lease, NewRecord]:
    """A run that executes a task."""
    record = new_record(run_id=kit.start())
    return kit.lease(record), record


def test_where_nobody_else_is_there_it_is_done_at_once(kit: Kit, steps: list[str], sql: Any) -> None:
    """The record, its texts, the notes and the end of the lease are all there."""
    lease, record = _begun(kit)
    before = task_run(new_record("before", run_id=record.run_id, position=1), Outcome.REUSED)
    kept = kit.store.save_finished(lease, record, task_run(record), [before])
    assert steps == []
    assert kit.store.record(kept.record_id) == replace(kept, components=kit.store.record(kept.record_id).components)  # type: ignore[union-attr]
    noted = sql("SELECT task_name, record_id FROM task_run ORDER BY position")
    assert noted == [{"task_name": "extract", "record_id": kept.record_id}, {"task_name": "before", "record_id": None}]
    assert sql("SELECT * FROM lease") == []
    assert kit.finish(record.run_id).executed == ["extract"]


def test_a_person_who_answers_meanwhile_is_not_passed_over(kit: Kit, steps: list[str]) -> None:
    """Their answer stays in force, and the run goes on with it."""
    lease, record = _begun(kit)
    given = replace(record, origin="person", person="Ada", completed_at=record.started_at + timedelta(seconds=1))
    kit.store.give(given, ChangeKind.OVERRIDE, Author("Ada"), instead_of=None, shown=None)
    assert kit.store.save_finished(lease, record, task_run(record)).person == "Ada"
    assert steps == ["save_finished"]


def test_a_lease_that_was_taken_over_is_not_passed_over(kit: Kit, steps: list[str]) -> None:
    """Whoever finished first is believed; what came second is kept as superseded."""
    record = new_record(run_id=kit.start())
    late = kit.lease(record, owner=DEAD)
    first = kit.execute(record)
    assert kit.store.save_finished(late, replace(record, run_id=kit.start()), task_run(record)) == replace(
        first, components=kit.store.find_record(record.input_hash, "claim-1").components  # type: ignore[union-attr]
    )
    assert steps == ["claim", "save_finished"]


def test_what_was_written_though_nobody_heard_of_it_is_written_once(kit: Kit, sql: Any) -> None:
    """A connection may break after the end was sent: whoever saves again is given what is there, and notes nothing."""
    lease, record = _begun(kit)
    kept = kit.store.save_finished(lease, record, task_run(record))
    noted = sql("SELECT * FROM task_run")
    assert kit.store.save_finished(lease, record, task_run(record)).record_id == kept.record_id
    assert sql("SELECT * FROM task_run") == noted
    assert sql("SELECT COUNT(*) AS n FROM record") == [{"n": 1}]


def test_an_answer_that_is_held_is_not_passed_over(kit: Kit, steps: list[str]) -> None:
    """Whoever claims the task is given it with the lease."""
    record = new_record(run_id=kit.start())
    kit.store.complete([ToHold("claim-1", "extract", record.definition_hash, "held", None)], Author("Ada"))
    asked: dict[str, Any] = {"run_id": record.run_id, "task_name": "extract", "position": 0, "owner": kit.owner}
    claim = kit.store.claim("claim-1", record.input_hash, definition_hash=record.definition_hash, **asked)
    assert claim.held is not None
    assert claim.held.output == "held"
    assert steps == ["claim"]


def test_a_text_that_another_has_pruned_is_written_again(kit: Kit, url: str) -> None:
    """Whoever wrote it knows that it is there only as long as nobody else has written."""
    kit.run(new_record())
    with Store(url) as other:
        assert other.prune(older_than=timedelta(0)).texts > 0
    (kept,) = kit.run(new_record())
    found = kit.store.record(kept.record_id)
    assert {part.path: part.text for part in found.components if part.acts} == {  # type: ignore[union-attr]
        "task.description": "Read {notes}", "agent.role": "analyst",
    }  # fmt: skip


def test_a_text_that_was_taken_back_is_written_again(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a transaction wrote that failed is not there."""
    lease, record = _begun(kit)
    with monkeypatch.context() as broken:
        broken.setattr("crew_repo.store.alone.record_row", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            kit.store.save_finished(lease, record, task_run(record))
    kept = kit.store.save_finished(lease, record, task_run(record))
    found = kit.store.record(kept.record_id)
    assert [part.text for part in found.components] == ["Read {notes}", "analyst", None]  # type: ignore[union-attr]


def test_a_text_that_this_store_has_pruned_is_written_again(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes by the same connection as what is written next; giving space back goes by another, and may fail."""
    kit.run(new_record())
    monkeypatch.setattr(kit.store._database, "compact", lambda: None)
    assert kit.store.prune(older_than=timedelta(0)).texts > 0
    (kept,) = kit.run(new_record())
    found = kit.store.record(kept.record_id)
    assert [part.text for part in found.components] == ["Read {notes}", "analyst", None]  # type: ignore[union-attr]
