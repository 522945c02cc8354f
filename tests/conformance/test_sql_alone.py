"""What a SQL prompt says with no Python of ours running: what is being done now, by whom, and by which names."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DBAPIError

from crew_repo.model import Failure, Outcome, Record, TaskRun, Usage
from crew_repo.store import Store
from tests.conformance.kit import DEAD, ELSEWHERE, Kit, new_record, now, task_run

_ROW = "SELECT status, started_at, run_id, output, completed_at, total_tokens, error FROM task_state"


def _hour_ago(url: str) -> Store:
    """A store whose process stopped writing an hour ago."""
    return Store(url, clock=lambda: now() - timedelta(hours=1))


def _reuse(kit: Kit, kept: Record, task_name: str, position: int = 0, names: list[str] | None = None) -> str:
    """A run that serves a record under this name."""
    run_id = f"reuse-{task_name}-{kept.record_id}"
    kit.begin(run_id, kept.workflow_id, task_names=None if names is None else tuple(names))
    note = replace(task_run(kept, Outcome.REUSED, usage=Usage()), run_id=run_id, task_name=task_name,
                   position=position, record_id=kept.record_id)  # fmt: skip
    kit.finish(run_id, tasks=[note])
    return run_id


# What is being done now.


def test_a_task_that_is_executed_now_is_running(kit: Kit, sql: Any) -> None:
    """Since when, and by which run, is in its row, though nothing was noted of it yet."""
    record = new_record(run_id=kit.start())
    lease = kit.lease(record)
    (row,) = sql("SELECT workflow_id, crew_name, task_name, position, status, started_at, run_id, input_hash, output "
                 "FROM task_state")  # fmt: skip
    assert row == {
        "workflow_id": "claim-1", "crew_name": "claims", "task_name": "extract", "position": 0, "status": "running",
        "started_at": lease.acquired_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "run_id": record.run_id,
        "input_hash": record.input_hash, "output": None,
    }  # fmt: skip
    kit.store.save_finished(lease, record, task_run(record))
    assert [row["status"] for row in sql(_ROW)] == ["completed"]


def test_a_task_that_is_executed_again_shows_its_last_answer_meanwhile(kit: Kit, sql: Any) -> None:
    """The row says that it is running, by the new run; its answer, and what that took, are there as before."""
    (kept,) = kit.run(new_record())
    again = new_record(template="Read {notes} well", run_id=kit.start())
    kit.lease(again)
    (row,) = sql(_ROW)
    assert (row["status"], row["run_id"], row["output"], row["total_tokens"]) == ("running", "run-2", "policy 42", 30)
    assert row["completed_at"] == kept.completed_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert sql("SELECT input_hash FROM task_state") == [{"input_hash": kept.input_hash}]
    (state,) = kit.store.states()
    assert (state.status, state.output, state.run_id) == ("running", "policy 42", "run-2")
    assert kit.store.shown_record("extract") is not None


def test_a_task_that_is_tried_again_after_a_failure_is_running_without_the_error(kit: Kit, sql: Any) -> None:
    """What the failed attempt said and took is not said of the one that goes on."""
    failed = new_record(run_id=kit.start())
    kit.store.save_failed(None, task_run(failed, Outcome.FAILED, failure=Failure("ValueError", "no", "...")))
    kit.lease(replace(failed, run_id=kit.start()))
    (row,) = sql(_ROW)
    assert (row["status"], row["error"], row["total_tokens"], row["run_id"]) == ("running", None, None, "run-2")


def test_work_that_nothing_can_spare_is_shown_by_the_hash_of_what_it_is_asked(kit: Kit, sql: Any) -> None:
    """A forced execution claims its work under a longer name."""
    record = new_record(run_id=kit.start())
    kit.lease(replace(record, input_hash=f"{record.input_hash}:run-1"))
    assert sql("SELECT status, input_hash FROM task_state") == [{"status": "running", "input_hash": record.input_hash}]


@pytest.mark.parametrize("before", ["never ran", "has an answer"])
def test_what_a_killed_run_was_doing_is_interrupted(url: str, sql: Any, before: str) -> None:
    """Once its lease is over, the row says so; it has no answer, as after a failure, and nothing has been written."""
    with _hour_ago(url) as store:
        kit = Kit(store, owner=ELSEWHERE)
        if before == "has an answer":
            kit.run(new_record())
        record = new_record(template="Read {notes} well", run_id=kit.start())
        kit.lease(record)
    (row,) = sql(_ROW)
    assert (row["status"], row["run_id"], row["output"], row["completed_at"]) == (
        "interrupted", record.run_id, None, None
    )  # fmt: skip
    assert len(sql("SELECT * FROM lease")) == 1
    with Store(url) as store:
        said = store.states()
        assert [(state.status, state.output, state.run_id) for state in said] == [("interrupted", None, record.run_id)]
        Kit(store).start("claim-2", run_id="next")
        assert store.states() == said


def test_a_run_that_was_killed_is_interrupted_once_its_heartbeat_is_old(url: str, sql: Any) -> None:
    """And its sums are those of what it had noted, as Python says."""
    with _hour_ago(url) as store:
        kit = Kit(store, owner=ELSEWHERE)
        kit.execute(new_record(run_id=kit.start()))
    asked = "SELECT status, executed, failed, tokens_spent FROM run"
    said = {"status": "interrupted", "executed": 1, "failed": 0, "tokens_spent": 30}
    assert sql(asked) == [said]
    with Store(url) as store:
        (run,) = store.list_runs()
        assert (run.status, run.tokens_spent) == ("interrupted", 30)
        store.reap()
    assert sql(asked) == [said]
    assert sql("SELECT status FROM run_entry") == [{"status": "interrupted"}]


def test_a_run_that_beats_is_running_and_says_what_it_has_spent_so_far(kit: Kit, sql: Any) -> None:
    """In SQL as in Python."""
    kit.execute(new_record(run_id=kit.start()))
    assert sql("SELECT status, executed, tokens_spent FROM run") == [
        {"status": "running", "executed": 1, "tokens_spent": 30}
    ]
    assert kit.store.list_runs()[0].tokens_spent == 30


@pytest.mark.parametrize("lease_seconds", [0.25, 7200.0])
def test_how_long_a_run_may_be_silent_is_its_own_matter(url: str, sql: Any, lease_seconds: float) -> None:
    """By the lease that it was started with."""
    with Store(url, clock=lambda: now() - timedelta(hours=1), lease_seconds=lease_seconds) as store:
        Kit(store, owner=ELSEWHERE).start()
    assert sql("SELECT status FROM run") == [{"status": "interrupted" if lease_seconds < 1 else "running"}]


def test_a_finished_run_stays_what_it_is(url: str, sql: Any) -> None:
    """However old its heartbeat is."""
    with _hour_ago(url) as store:
        Kit(store).run(new_record())
    assert sql("SELECT status, tokens_spent FROM run") == [{"status": "completed", "tokens_spent": 30}]


def test_python_knows_sooner_that_a_process_of_this_host_is_gone(kit: Kit, sql: Any) -> None:
    """SQL goes by the lease alone; Python says so at once, and shows no answer that the next run would take back."""
    kit.run(new_record())
    kit.lease(new_record(template="T", run_id=kit.start(owner=DEAD)), owner=DEAD)
    assert [row["status"] for row in sql(_ROW)] == ["running"]
    assert [(state.status, state.output) for state in kit.store.states()] == [("interrupted", None)]


def test_the_work_that_goes_on_is_shown_before_the_work_that_was_killed(url: str, sql: Any) -> None:
    """Of two runs of one workflow that executed a task with different inputs."""
    with Store(url) as store:
        kit = Kit(store)
        kit.lease(new_record(run_id=kit.start(run_id="alive")))
    with _hour_ago(url) as store:
        kit = Kit(store, owner=ELSEWHERE)
        kit.lease(new_record(template="T", run_id=kit.start(run_id="killed")), owner=ELSEWHERE)
    assert [(row["status"], row["run_id"]) for row in sql(_ROW)] == [("running", "alive")]


def test_a_damaged_heartbeat_hides_no_other_run(kit: Kit, sql: Any) -> None:
    """A time that is none is no error of the view."""
    for workflow_id in ("claim-1", "claim-2"):
        kit.start(workflow_id)
    sql("UPDATE run_entry SET heartbeat_at = 'yesterday' WHERE run_id = 'run-1'")
    assert len(sql("SELECT status FROM run")) == 2


# Editing.


@pytest.mark.parametrize("change", ["output = 'policy 43'", "output = output", "status = 'completed!'", "input_hash = NULL"])
def test_task_state_cannot_be_edited(kit: Kit, sql: Any, change: str) -> None:
    """The refusal names the remedy, and nothing is changed: an edited answer would not be served, and be paid again."""
    kit.run(new_record())
    before = list(kit.store.export_json())
    with pytest.raises(DBAPIError, match=r"cannot be edited.*is not served.*To make a task run again, delete its row"):
        sql(f"UPDATE task_state SET {change}")
    assert list(kit.store.export_json()) == before


def test_task_state_takes_no_rows(kit: Kit, sql: Any) -> None:
    """The refusal says where they come from."""
    kit.run(new_record())
    with pytest.raises(DBAPIError, match="takes no rows: StateRepository.run makes them"):
        sql("INSERT INTO task_state (workflow_id, task_name, output) VALUES ('claim-1', 'draft', 'x')")


def test_the_status_and_the_sums_of_a_run_cannot_be_edited(kit: Kit, sql: Any) -> None:
    """They are worked out; what was written of a run can be mended, and a run can be deleted."""
    kit.finish(kit.start())
    for change in ("status = 'failed'", "tokens_spent = 7"):
        with pytest.raises(DBAPIError, match="cannot be edited|cannot update column"):
            sql(f"UPDATE run SET {change}")
    sql("UPDATE run SET crew_name = 'mended' WHERE run_id = 'run-1'")
    assert sql("SELECT crew_name, status FROM run") == [{"crew_name": "mended", "status": "completed"}]
    sql("DELETE FROM run")
    assert sql("SELECT run_id FROM run_entry") == []


def test_deleting_the_row_of_a_killed_task_takes_it_away(url: str, sql: Any) -> None:
    """Its lease is over, and would be shown again."""
    with _hour_ago(url) as store:
        kit = Kit(store, owner=ELSEWHERE)
        kit.lease(new_record(run_id=kit.start()))
    sql("DELETE FROM task_state")
    assert sql(_ROW) == []


def test_deleting_the_row_of_a_running_task_takes_its_earlier_answers(kit: Kit, sql: Any) -> None:
    """It goes on, and what it comes to is its answer; nothing older is served."""
    (kept,) = kit.run(new_record())
    record = new_record(raw="new", template="T", run_id=kit.start())
    lease = kit.lease(record)
    sql("DELETE FROM task_state")
    assert [(row["status"], row["output"]) for row in sql(_ROW)] == [("running", None)]
    kit.store.save_finished(lease, record, task_run(record))
    assert [(row["status"], row["output"]) for row in sql(_ROW)] == [("completed", "new")]
    assert kit.store.find_record(kept.input_hash, "claim-1") is None


# Names that were, and names that are.


def test_deleting_the_rows_of_old_names_leaves_what_the_new_names_share(kit: Kit, sql: Any) -> None:
    """All tasks were renamed: the old rows are gone, and every answer is served on, under either input."""
    kept = kit.run(new_record("old-1"), new_record("old-2", template="D", position=1))
    other = kit.run(new_record("old-1", context="other"))
    for record, name, position in ((*other, "new-1", 0), (kept[0], "new-1", 0), (kept[1], "new-2", 1)):
        _reuse(kit, record, name, position, ["new-1", "new-2"])
    asked = "SELECT task_name, in_crew FROM task_state ORDER BY task_name"
    assert [tuple(row.values()) for row in sql(asked)] == [("new-1", 1), ("new-2", 1), ("old-1", 0), ("old-2", 0)]
    sql("DELETE FROM task_state WHERE in_crew = 0")
    assert [row["task_name"] for row in sql(asked)] == ["new-1", "new-2"]
    assert all(kit.store.find_record(record.input_hash, "claim-1") for record in (*kept, *other))
    sql("DELETE FROM task_state")
    assert not any(kit.store.find_record(record.input_hash, "claim-1") for record in (*kept, *other))


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old")])
def test_deleting_both_rows_retires_what_they_share_in_either_order(kit: Kit, sql: Any, order: tuple[str, str]) -> None:
    """Nothing is left behind."""
    (kept,) = kit.run(new_record("old"))
    _reuse(kit, kept, "new")
    for name in order:
        sql("DELETE FROM task_state WHERE task_name = :name", name=name)
    assert kit.store.find_record(kept.input_hash, "claim-1") is None


def test_an_old_name_beside_a_deleted_answer_does_not_say_completed(kit: Kit, sql: Any) -> None:
    """Deleting the new name's row retires what both show."""
    (kept,) = kit.run(new_record("old"))
    _reuse(kit, kept, "new")
    sql("DELETE FROM task_state WHERE task_name = 'new'")
    assert [row["status"] for row in sql(_ROW)] == ["invalidated"]


@pytest.mark.parametrize("way", ["delete", "invalidate"])
def test_a_new_name_takes_all_that_it_was_served_with(kit: Kit, sql: Any, way: str) -> None:
    """Not the answer alone that is shown: no older one comes back into service."""
    (first,) = kit.run(new_record("old"))
    (second,) = kit.run(new_record("old", template="T"))
    _reuse(kit, first, "new")
    _reuse(kit, second, "new")
    if way == "delete":
        sql("DELETE FROM task_state WHERE task_name = 'new'")
    else:
        assert kit.store.invalidate({None: ["new"]}) == 2
    assert not any(kit.store.find_record(record.input_hash, "claim-1") for record in (first, second))


def test_what_only_the_old_name_had_goes_with_its_row(kit: Kit, sql: Any) -> None:
    """A new task that merely took the place of another shares nothing with it."""
    (kept,) = kit.run(new_record("old"))
    kit.run(new_record("new", template="N"))
    sql("DELETE FROM task_state WHERE task_name = 'old'")
    assert kit.store.find_record(kept.input_hash, "claim-1") is None


def test_names_of_the_crew_are_those_of_the_newest_run_that_told_them(kit: Kit, sql: Any) -> None:
    """Also of a run that has come to none of them; another workflow's crew says nothing; unknown is null."""
    kit.run(new_record("draft"), new_record('a "quoted" \\ name', template="Q", position=1))
    kit.run(new_record("draft"), workflow_id="claim-2")
    asked = "SELECT workflow_id, task_name, in_crew FROM task_state ORDER BY workflow_id, position"
    assert [row["in_crew"] for row in sql(asked)] == [None, None, None]
    kit.begin("told", task_names=('a "quoted" \\ name', "dra"))
    kit.start()
    assert [row["in_crew"] for row in sql(asked)] == [0, 1, None]
    assert [state.in_crew for state in kit.store.states()] == [False, True, None]


@pytest.mark.parametrize("damage", ["[", "{}", "7"])
def test_damaged_names_of_a_crew_say_nothing(kit: Kit, sql: Any, damage: str) -> None:
    """And the view can be read."""
    kit.run(new_record())
    kit.begin("told", task_names=("draft",))
    sql("UPDATE run_entry SET task_names = :damage WHERE run_id = 'told'", damage=damage)
    assert sql("SELECT in_crew FROM task_state")[0]["in_crew"] in (None, 0)


def test_the_names_of_the_crew_travel_with_an_export(kit: Kit, other_url: str) -> None:
    """And so does the model's name."""
    run_id = "run-a"
    kit.begin(run_id, task_names=("draft",))
    kit.execute(new_record(run_id=run_id, model="gpt-4o"))
    kit.finish(run_id)
    lines = list(kit.store.export_json())
    assert sum(line.startswith('{"run"') for line in lines) == 1
    with Store(other_url) as other:
        other.import_json(lines)
        (state,) = other.states()
        assert (state.task_name, state.in_crew, state.model) == ("extract", False, "gpt-4o")


# How much it costs.


def test_one_workflow_is_read_without_going_through_all(kit: Kit, url: str) -> None:
    """Its rows are found by an index, however many workflows there are."""
    kit.run(new_record())
    for number in range(3):
        kit.finish(kit.start(f"w{number}"), tasks=[TaskRun(f"run-{number + 2}", f"w{number}", "t", 0, Outcome.SKIPPED)])
    engine = create_engine(url)
    if engine.dialect.name == "postgresql":

        @event.listens_for(engine, "connect")
        def _few_rows_too(connection: Any, _: object) -> None:
            connection.execute("SET enable_seqscan = off")

    with engine.connect() as connection:
        explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
        plan = "\n".join(map(str, connection.execute(
            text(f"{explain} SELECT output FROM task_state WHERE workflow_id = 'claim-1'")
        )))  # fmt: skip
    engine.dispose()
    assert "task_run_newest" in plan
    assert "SCAN task_run" not in plan
