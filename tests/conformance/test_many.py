"""Looking up and noting for many runs at once, of which all is fresh."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crew_repo.hashing import text_hash
from crew_repo.model import PLANNER, PLANNER_POSITION, InputKind, NewRun, Outcome, RunInput, RunStatus, TaskRun
from crew_repo.store.transaction import Transaction
from tests.conformance.kit import Kit, new_record, now


def _fresh(kit: Kit, run_id: str, workflow_id: str, *notes: TaskRun) -> tuple[NewRun, list[TaskRun]]:
    inputs = (RunInput("notes", InputKind.TEXT, sha256=text_hash(run_id), text=run_id),)
    new = NewRun(
        run_id=run_id, workflow_id=workflow_id, crew_name="claims", started_at=now(), owner=kit.owner, inputs=inputs,
        source="claims:crew",
    )  # fmt: skip
    return new, [replace(note, run_id=run_id, workflow_id=workflow_id) for note in notes]


def _reused(record_id: int | None = None, **more: Any) -> TaskRun:
    return replace(TaskRun("", "", "extract", 0, Outcome.REUSED, record_id=record_id, tokens_saved=30), **more)


def test_records_are_found_as_one_by_one(kit: Kit) -> None:
    """Each where it belongs, without its components; what is retired, of another workflow or unknown is not there."""
    one, two = new_record(workflow_id="claim-1"), new_record("draft", workflow_id="claim-2", template="Draft {notes}")
    kit.run(one, workflow_id="claim-1")
    kit.run(two, workflow_id="claim-2")
    gone = new_record("gone", template="Gone {notes}")
    kit.run(gone)
    kit.store.invalidate({"claim-1": ["gone"]})
    asked = [(of, each.input_hash) for of in ("claim-1", "claim-2") for each in (one, two, gone)]
    found = kit.store.find_records([*asked, ("claim-1", "unknown")])
    alone = {each: kit.store.find_record(each[1], each[0]) for each in asked}
    expected = {each: replace(record, components=()) for each, record in alone.items() if record is not None}
    assert found == expected
    assert set(found) == {("claim-1", one.input_hash), ("claim-2", two.input_hash)}


def test_a_damaged_record_says_so(kit: Kit, sql: Any) -> None:
    """Although its components are not read into anything."""
    record = new_record()
    kit.run(record)
    sql("UPDATE record SET components = '[]'")
    (found,) = kit.store.find_records([("claim-1", record.input_hash)]).values()
    assert "components that are no JSON object" in str(found.damage)


def test_fresh_runs_are_stored_as_they_are_returned(kit: Kit) -> None:
    """With their tasks, sums, inputs and numbers: as if each had been started and finished by itself."""
    (record,) = kit.run(new_record())
    planned = TaskRun("", "", PLANNER, PLANNER_POSITION, Outcome.REUSED, tokens_saved=5, seconds_saved=0.5)
    skipped = TaskRun("", "", "escalate", 1, Outcome.SKIPPED)
    runs = [
        _fresh(kit, "fresh-1", "claim-1", _reused(record.record_id), skipped),
        _fresh(kit, "fresh-2", "claim-2", planned, _reused()),
        _fresh(kit, "fresh-3", "claim-1", _reused(record.record_id)),
    ]
    returned = kit.store.fresh_runs(runs, now())
    assert returned == [kit.store.get_run(new.run_id) for new, _ in runs]
    assert [run.ordinal for run in returned] == [2, 1, 3]
    assert [(run.status, run.tokens_saved, run.reused, run.skipped) for run in returned] == [
        (RunStatus.COMPLETED, 30, ["extract"], ["escalate"]),
        (RunStatus.COMPLETED, 35, ["extract"], []),
        (RunStatus.COMPLETED, 30, ["extract"], []),
    ]
    assert [run.run_id for run in kit.store.list_runs()] == ["fresh-3", "fresh-2", "fresh-1", "run-1"]


def test_the_row_of_a_fresh_run_is_that_of_any_other(kit: Kit, sql: Any) -> None:
    """What SQL shows of it is what it shows of a run that was started, and finished with the same."""
    (record,) = kit.run(new_record())
    new, notes = _fresh(kit, "fresh", "claim-1", _reused(record.record_id, seconds_saved=1.5))
    kit.store.fresh_runs([(new, notes)], now())
    kit.store.start_run(replace(new, run_id="by-steps"))
    kit.finish("by-steps", tasks=[replace(note, run_id="by-steps") for note in notes])
    own = {"run_id", "number", "ordinal", "started_at", "finished_at", "heartbeat_at"}
    rows = [
        {name: value for name, value in row.items() if name not in own}
        for row in sql("SELECT * FROM run_entry WHERE run_id IN ('fresh', 'by-steps')")
    ]
    assert rows[0] == rows[1]


def test_all_are_written_or_none(kit: Kit, sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails, or is killed, between the runs and their notes leaves nothing behind."""
    run = Transaction.run

    def broken(tx: Transaction, statement: Any, rows: Any) -> int:
        if statement is tx.inserts.task_run:
            raise KeyboardInterrupt
        return run(tx, statement, rows)

    monkeypatch.setattr(Transaction, "run", broken)
    runs = [_fresh(kit, f"fresh-{number}", "claim-1", _reused()) for number in range(3)]
    with pytest.raises(KeyboardInterrupt):
        kit.store.fresh_runs(runs, now())
    monkeypatch.undo()
    assert (sql("SELECT * FROM run_entry"), sql("SELECT * FROM task_run"), sql('SELECT * FROM "text"')) == ([], [], [])
    assert [run.ordinal for run in kit.store.fresh_runs(runs, now())] == [1, 2, 3]
