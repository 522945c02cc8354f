"""task_state: what a person sees at a SQL prompt, and what deleting and editing there does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crew_repo.hashing import output_hash
from crew_repo.model import Failure, Outcome, TaskRun
from tests.conformance.kit import Kit, new_record, task_run


def test_one_row_per_task_in_order(kit: Kit) -> None:
    """The present state of each task of each workflow, by the position of the tasks."""
    kit.run(new_record("zeta", "one"), new_record("alpha", "two", template="A", position=1))
    kit.run(new_record("zeta", "three"), workflow_id="claim-2")
    rows = [(state.workflow_id, state.task_name, state.status, state.output) for state in kit.store.states()]
    assert rows == [
        ("claim-1", "zeta", "completed", "one"),
        ("claim-1", "alpha", "completed", "two"),
        ("claim-2", "zeta", "completed", "three"),
    ]
    assert len(kit.store.states("claim-2")) == 1


def test_the_columns(kit: Kit, sql: Any) -> None:
    """The columns that are promised, in that order, with the record's hashes and times."""
    (kept,) = kit.run(new_record())
    (row,) = sql("SELECT * FROM task_state")
    assert list(row)[:13] == [
        "workflow_id", "crew_name", "task_name", "position", "status", "output", "input_hash", "output_hash",
        "completed_at", "duration_seconds", "total_tokens", "error", "run_id",
    ]  # fmt: skip
    assert (row["output"], row["output_hash"], row["total_tokens"]) == ("policy 42", kept.output_hash, 30)
    assert row["completed_at"] == kept.completed_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_the_latest_run_counts(kit: Kit) -> None:
    """A failure after a success shows as failed, with the error; a skipped task as skipped."""
    kit.run(new_record())
    run_id = kit.start()
    failed = task_run(new_record(run_id=run_id), Outcome.FAILED, failure=Failure("ValueError", "no policy", "..."))
    kit.store.save_failed(None, failed)
    kit.finish(run_id, tasks=[TaskRun(run_id, "claim-1", "escalate", 1, Outcome.SKIPPED)])
    states = {state.task_name: state for state in kit.store.states()}
    assert (states["extract"].status, states["extract"].error) == ("failed", "ValueError: no policy")
    assert (states["escalate"].status, states["escalate"].output) == ("skipped", None)


def test_a_reused_task_is_completed(kit: Kit) -> None:
    """It shows the output that was served, and the run that served it."""
    (kept,) = kit.run(new_record())
    run_id = kit.start()
    kit.finish(run_id, tasks=[replace(task_run(kept, Outcome.REUSED), run_id=run_id, record_id=kept.record_id)])
    (state,) = kit.store.states()
    assert (state.status, state.output, state.run_id) == ("completed", "policy 42", run_id)


def test_an_invalidated_task_says_so(kit: Kit) -> None:
    """invalidate shows in task_state, until the task has run again."""
    kit.run(new_record())
    kit.store.invalidate({None: ["extract"]})
    assert kit.store.states()[0].status == "invalidated"
    kit.run(new_record())
    assert kit.store.states()[0].status == "completed"


def test_deleting_a_row_makes_that_task_run_again(kit: Kit, sql: Any) -> None:
    """Exactly that task's records are retired; the row is gone; other tasks and workflows are as they were."""
    kept = kit.run(new_record(), new_record("draft", template="D", position=1))
    (other,) = kit.run(new_record(), workflow_id="claim-2")
    sql("DELETE FROM task_state WHERE workflow_id = 'claim-1' AND task_name = 'extract'")
    assert kit.store.find_record(kept[0].input_hash, "claim-1") is None
    assert kit.store.find_record(kept[1].input_hash, "claim-1") is not None
    assert kit.store.find_record(other.input_hash, "claim-2") is not None
    assert [(state.workflow_id, state.task_name) for state in kit.store.states()] == [
        ("claim-1", "draft"),
        ("claim-2", "extract"),
    ]
    head = kit.store.heads("claim-1")["extract"]
    assert (head.outcome, head.record.retired if head.record else None) == (None, "deleted")


def test_deleting_a_row_deletes_no_older_answer_back_into_service(kit: Kit, sql: Any) -> None:
    """The answers of that task to earlier inputs are retired as well, and no older row comes to light."""
    (older,) = kit.run(new_record())
    (newer,) = kit.run(new_record(template="Read {notes} well"))
    sql("DELETE FROM task_state WHERE task_name = 'extract'")
    assert not any(kit.store.find_record(record.input_hash, None) for record in (older, newer))
    assert kit.store.states() == []


def test_deleting_the_row_of_a_renamed_task_retires_what_it_served(kit: Kit, sql: Any) -> None:
    """A task that was renamed serves the record of its old name; deleting its new row retires that record."""
    (kept,) = kit.run(new_record("old_name"))
    run_id = kit.start()
    reused = replace(task_run(kept, Outcome.REUSED), run_id=run_id, task_name="new_name", record_id=kept.record_id)
    kit.finish(run_id, tasks=[reused])
    sql("DELETE FROM task_state WHERE task_name = 'new_name'")
    assert kit.store.find_record(kept.input_hash, "claim-1") is None


def test_after_deleting_the_task_runs_and_shows_again(kit: Kit, sql: Any) -> None:
    """The next run puts the row back."""
    kit.run(new_record(raw="first"))
    sql("DELETE FROM task_state")
    kit.run(new_record(raw="second"))
    assert [state.output for state in kit.store.states()] == ["second"]


def test_an_edited_output_is_noticed(kit: Kit, sql: Any) -> None:
    """The record is found with the edited text, which does not give its output hash; verify names it."""
    (kept,) = kit.run(new_record())
    sql("UPDATE record SET output = 'policy 43' WHERE task_name = 'extract'")
    found = kit.store.find_record(kept.input_hash, "claim-1")
    assert found is not None
    assert found.result.raw == "policy 43"
    assert output_hash(found.result) != found.output_hash
    assert [problem.record_id for problem in kit.store.verify()] == [kept.record_id]


@pytest.mark.parametrize("how", ["delete", "invalidate"])
def test_what_the_same_run_shows_as_another_tasks_answer_stays(kit: Kit, sql: Any, how: str) -> None:
    """Two tasks have swapped names: retiring one retires what it shows, not what its name was recorded with."""
    one, two = kit.run(new_record("one"), new_record("two", template="D", position=1))
    run_id = kit.start()
    shown = [("two", one), ("one", two)]
    notes = [replace(task_run(r, Outcome.REUSED), run_id=run_id, task_name=n, position=p, record_id=r.record_id)
             for p, (n, r) in enumerate(shown)]  # fmt: skip
    kit.finish(run_id, tasks=notes)
    if how == "delete":
        sql("DELETE FROM task_state WHERE task_name = 'one'")
    else:
        assert kit.store.invalidate({None: ["one"]}) == 1
    assert kit.store.find_record(two.input_hash, "claim-1") is None
    assert kit.store.find_record(one.input_hash, "claim-1") is not None
    sql("DELETE FROM task_state")
    assert kit.store.find_record(one.input_hash, "claim-1") is None
