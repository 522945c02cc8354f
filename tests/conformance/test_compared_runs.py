"""Two runs are found and compared on both databases, with what was deleted, damaged or interrupted since."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crew_repo.compare import compare, compared_records
from crew_repo.errors import InputError, UnknownRunError
from crew_repo.hashing import text_hash
from crew_repo.model import InputKind, Outcome, RunInput, RunStatus
from crew_repo.runner.comparing import diff
from crew_repo.store import Store
from tests.conformance.kit import DEAD, Kit, new_record, task_run


def given(notes: str) -> tuple[RunInput, ...]:
    return (RunInput("notes", InputKind.TEXT, sha256=text_hash(notes), text=notes),)


@pytest.fixture
def ran(kit: Kit) -> Store:
    """Three runs: one and three of claim-1, with other inputs and answers, and two of claim-2 between them."""
    for run_id, workflow_id, notes in (("one", "claim-1", "hail"), ("two", "claim-2", "hail"), ("three", "claim-1", "storm")):
        kit.begin(run_id, workflow_id, inputs=given(notes))
        kit.execute(new_record(run_id=run_id, workflow_id=workflow_id, raw=f"{notes}\x00", template=f"Read {notes}"))
        kit.finish(run_id, tokens_spent=30)
    return kit.store


def test_which_two_runs(ran: Store) -> None:
    """Without runs the last two of the workflow, with one that and the one before it, with two these."""
    def runs(*arguments: Any, workflow_id: str | None = None) -> list[str]:
        found = diff(ran, *arguments, workflow_id)
        return [found.before.run_id, found.after.run_id]

    assert runs(None, None) == ["one", "three"]
    assert runs(None, None, workflow_id="claim-1") == ["one", "three"]
    assert runs("three", None) == ["one", "three"]
    assert runs(None, "three") == ["one", "three"]
    assert runs("three", "two") == ["three", "two"]
    assert runs(ran.get_run("one"), ran.get_run("three")) == ["one", "three"]


@pytest.mark.parametrize("arguments, kind, said", [
    (("on", None, None), UnknownRunError, "There is no run 'on'. The newest runs are: three, two, one."),
    (("one", None, None), UnknownRunError, "Workflow 'claim-1' has no run before it (one) in"),
    ((None, None, "claim-2"), UnknownRunError, "Workflow 'claim-2' has no run but this one (two) in"),
    ((None, None, "claim-3"), InputError, "There is no workflow 'claim-3' in"),
    (("one", "two", "claim-1"), InputError, "Run two is one of workflow 'claim-2', not of 'claim-1'"),
    ((1, None, None), InputError, "run_id is 1; give the run_id of a run"),
])  # fmt: skip
def test_runs_that_are_not_there(ran: Store, arguments: Any, kind: type[Exception], said: str) -> None:
    """Each is said in one line, with what there is."""
    with pytest.raises(kind) as raised:
        diff(ran, *arguments)
    assert str(raised.value).startswith(said)


def test_an_empty_state_has_no_two_runs(store: Store) -> None:
    """It is said, and nothing is created."""
    with pytest.raises(UnknownRunError, match="There is no run in .* yet, and a difference needs two"):
        diff(store, None, None, None)


def test_inputs_parts_and_answers_come_from_the_state(ran: Store) -> None:
    """Also texts with characters that no database takes."""
    found = diff(ran, None, None, None)
    assert [str(reason) for reason in found.inputs] == ["input:notes: hail -> storm"]
    assert [str(part) for part in found["extract"].parts] == ["task.description: Read hail -> Read storm"]
    change = found["extract"].output
    assert change is not None
    assert (change.before, change.after) == ("hail\x00", "storm\x00")
    assert (found.before.tokens_spent, found["extract"].as_row()["tokens"]) == (30, "30")


def test_a_deleted_and_a_damaged_record(ran: Store, sql: Any) -> None:
    """What can no longer be read is said; the rest is compared."""
    sql("UPDATE record SET components = '7' WHERE run_id = 'three'")
    assert diff(ran, None, None, None)["extract"].answer == "damaged"
    sql("DELETE FROM record WHERE run_id = 'one'")
    found = diff(ran, "one", "two", None)
    assert (found["extract"].answer, found["extract"].changed) == ("deleted", True)


def test_a_run_whose_process_died_is_compared_as_interrupted(ran: Store, kit: Kit) -> None:
    """So is what it was doing."""
    dead = kit.start(owner=DEAD, run_id="four")
    kit.lease(new_record(run_id=dead, template="new"), owner=DEAD)
    found = diff(ran, None, None, None)
    assert (found.after.status, found["extract"].after and found["extract"].after.did.outcome) == (
        RunStatus.INTERRUPTED, Outcome.INTERRUPTED
    )  # fmt: skip
    assert found.notes == ("it is not stored what run four was given (an older crew_repo recorded that); what each task "
                           "was asked is compared all the same",)  # fmt: skip


def test_any_number_of_tasks_is_compared(kit: Kit) -> None:
    """More records than one statement takes are found too."""
    for run_id in ("one", "two"):
        kit.begin(run_id)
        notes = [task_run(new_record(f"t{at}", run_id=run_id, position=at)) for at in range(600)]
        record = kit.execute(new_record("t0", run_id=run_id, raw=run_id, template=run_id))
        kit.finish(run_id, tasks=[replace(note, record_id=record.record_id) for note in notes[1:]])
    before, after = kit.store.get_run("one"), kit.store.get_run("two")
    assert before is not None
    assert after is not None
    found = compare(before, after, kit.store.records(compared_records(before, after)))
    assert len(found.tasks) == 600
    assert {task.answer for task in found.tasks} == {"changed"}
