"""Runs are written down, and what they did."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crew_repo.errors import StoreError
from crew_repo.model import (
    PLANNER,
    PLANNER_POSITION,
    Failure,
    NewRun,
    Outcome,
    Reason,
    ReasonKind,
    RunStatus,
    TaskRun,
)
from crew_repo.store import Store
from tests.conformance.kit import DEAD, ELSEWHERE, Clock, Kit, new_record, now, task_run


def test_a_finished_run_comes_back_as_it_was(kit: Kit) -> None:
    """What a run executed, reused and skipped, its sums and times are all there again, in the order of the tasks."""
    run_id = kit.start()
    record = kit.execute(new_record(run_id=run_id, position=1))
    reason = Reason(ReasonKind.CHANGED, "input:notes", old="a", new="b")
    reused = TaskRun(
        run_id, "claim-1", "draft", 0, Outcome.REUSED, reasons=(reason,),
        record_id=record.record_id, tokens_saved=70, seconds_saved=2.5,
    )  # fmt: skip
    skipped = TaskRun(run_id, "claim-1", "escalate", 2, Outcome.SKIPPED)
    finished = kit.finish(run_id, tasks=[skipped, reused], tokens_spent=30)
    assert finished == kit.store.get_run(run_id) == kit.store.list_runs()[0]
    assert (finished.executed, finished.reused, finished.skipped) == (["extract"], ["draft"], ["escalate"])
    assert (finished.tokens_spent, finished.tokens_saved, finished.seconds_saved) == (30, 70, 2.5)
    assert finished.tasks[0].reasons == (reason,)


def test_a_run_that_only_reuses_comes_back_too(kit: Kit) -> None:
    """The answer of finish_run is what get_run gives, also where nothing was executed."""
    run_id = kit.start()
    finished = kit.finish(run_id, tasks=[TaskRun(run_id, "claim-1", "draft", 0, Outcome.REUSED, tokens_saved=7)])
    assert finished == kit.store.get_run(run_id)


def test_the_planner_is_none_of_the_tasks(kit: Kit, sql: Any) -> None:
    """A run's sums have the planner's share; its tasks, and their number, do not have it, also where a run was killed."""
    planner = {"task_name": PLANNER, "position": PLANNER_POSITION}
    for owner, template in ((None, "A"), (DEAD, "B")):
        run_id = kit.start(owner=owner)
        kit.execute(new_record(run_id=run_id, template=template, **planner))
        kit.execute(new_record(run_id=run_id, template=template, context="c"))
    finished = kit.finish("run-1", tokens_spent=60)
    assert (finished.executed, finished.planner.outcome) == (["extract"], Outcome.EXECUTED)
    assert kit.store.get_run("run-1") == finished
    kit.store.reap()
    killed = kit.store.get_run("run-2")
    assert (killed.executed, killed.planner.record_id is not None, killed.tokens_spent) == (["extract"], True, 60)
    assert sql("SELECT executed FROM run ORDER BY run_id") == [{"executed": 1}] * 2


def test_a_failure_keeps_type_message_and_traceback(kit: Kit) -> None:
    """A failed task and the run that it ended say why, and the lease is free again."""
    run_id = kit.start()
    record, failure = new_record(run_id=run_id), Failure("ValueError", "no policy", "Traceback ...")
    kit.store.save_failed(kit.lease(record), task_run(record, Outcome.FAILED, failure=failure))
    finished = kit.finish(run_id, RunStatus.FAILED, failure=failure)
    assert finished.failure == failure
    assert [(task.task_name, task.failure) for task in finished.tasks] == [("extract", failure)]
    kit.lease(record)


def test_runs_are_listed_newest_first_and_by_workflow(kit: Kit) -> None:
    """The newest run stands first; a limit and a workflow narrow the list."""
    for workflow_id in ("claim-1", "claim-2", "claim-1"):
        kit.finish(kit.start(workflow_id))
    assert [run.run_id for run in kit.store.list_runs()] == ["run-3", "run-2", "run-1"]
    assert [run.run_id for run in kit.store.list_runs("claim-1")] == ["run-3", "run-1"]
    assert [run.run_id for run in kit.store.list_runs(limit=1)] == ["run-3"]
    assert kit.store.get_run("no such run") is None


def test_a_killed_run_is_interrupted(kit: Kit) -> None:
    """A run whose process is gone is interrupted, at the task whose lease it held; looking writes nothing."""
    kit.lease(new_record(run_id=kit.start(owner=DEAD)), owner=DEAD)
    for _ in range(2):
        (run,) = kit.store.list_runs()
        assert (run.status, run.interrupted) == (RunStatus.INTERRUPTED, ["extract"])


def test_a_living_run_is_running(kit: Kit) -> None:
    """A run of this process is not interrupted, however long its task takes."""
    kit.lease(new_record(run_id=kit.start()))
    (run,) = kit.store.list_runs()
    assert (run.status, run.interrupted) == (RunStatus.RUNNING, [])


def test_a_silent_run_on_another_host_is_interrupted(url: str) -> None:
    """Nobody can look at processes on another host: silence for longer than a lease lasts is what counts."""
    clock = Clock()
    with Store(url, clock=clock) as store:
        kit = Kit(store)
        kit.start(owner=ELSEWHERE)
        clock.advance(59)
        assert store.list_runs()[0].status is RunStatus.RUNNING
        store.heartbeat(["run-1"], [])
        clock.advance(59)
        assert store.list_runs()[0].status is RunStatus.RUNNING
        clock.advance(2)
        assert store.list_runs()[0].status is RunStatus.INTERRUPTED


def test_the_next_run_writes_down_what_was_interrupted(kit: Kit, sql: Any) -> None:
    """Starting a run notes which runs were killed, and at what, so that plain SQL shows it too."""
    kit.lease(new_record(run_id=kit.start(owner=DEAD)), owner=DEAD)
    kit.start("claim-2")
    assert sql("SELECT status FROM run WHERE run_id = 'run-1'") == [{"status": "interrupted"}]
    assert sql("SELECT task_name, status FROM task_run") == [{"task_name": "extract", "status": "interrupted"}]
    assert sql("SELECT * FROM lease") == []
    assert kit.store.get_run("run-1").interrupted == ["extract"]  # type: ignore[union-attr]


def test_a_killed_run_says_what_it_had_done(kit: Kit, sql: Any) -> None:
    """What was paid for before the kill is in the run, before and after the next run writes it down."""
    record = new_record(run_id=kit.start(owner=DEAD))
    kit.store.save_finished(kit.lease(record, owner=DEAD), record, task_run(record))
    seen = kit.store.get_run("run-1")
    kit.start("claim-2")
    (row,) = sql("SELECT status, executed, reused, failed, tokens_spent FROM run WHERE run_id = 'run-1'")
    spent = record.usage.total_tokens
    assert row == {"status": "interrupted", "executed": 1, "reused": 0, "failed": 0, "tokens_spent": spent}
    assert seen == kit.store.get_run("run-1")
    assert seen is not None
    assert (seen.executed, seen.tokens_spent) == (["extract"], spent)
    assert spent > 0


def test_reap_counts_what_it_wrote_down(kit: Kit) -> None:
    """Reaping by hand says how many runs were interrupted; a second time there are none left."""
    kit.start(owner=DEAD)
    assert (kit.store.reap(), kit.store.reap()) == (1, 0)


def test_a_run_taken_for_dead_can_go_on(kit: Kit) -> None:
    """A run that was taken for interrupted and beats again is running, and may finish."""
    kit.start(owner=DEAD)
    kit.store.reap()
    kit.store.heartbeat(["run-1"], [])
    assert kit.finish("run-1").status is RunStatus.COMPLETED


def test_a_task_noted_twice_counts_once(kit: Kit) -> None:
    """A later word on a task of a run takes the place of the earlier one."""
    run_id = kit.start()
    record = new_record(run_id=run_id)
    kit.store.save_failed(None, task_run(record, Outcome.FAILED))
    kit.execute(record)
    finished = kit.finish(run_id)
    assert (finished.executed, finished.failed) == (["extract"], [])


def test_a_run_that_never_started_cannot_finish(kit: Kit) -> None:
    """Finishing an unknown run is a clear error."""
    kit.start()
    with pytest.raises(StoreError, match="no run nobody"):
        kit.finish("nobody")


def test_a_damaged_note_is_a_clear_error(kit: Kit, sql: Any) -> None:
    """It names the run and the task, and the remedy."""
    kit.run(new_record())
    sql("UPDATE task_run SET reasons = '['")
    with pytest.raises(StoreError, match="run run-1 did with task extract cannot be read"):
        kit.store.list_runs()


def test_run_columns_are_for_people(kit: Kit, sql: Any) -> None:
    """Times are UTC text with microseconds, counts are there, facts are JSON."""
    run_id = kit.start()
    kit.execute(new_record(run_id=run_id))
    finished_at = now() + timedelta(seconds=1)
    kit.store.finish_run(run_id, RunStatus.COMPLETED, finished_at, tokens_spent=30)
    (row,) = sql("SELECT executed, reused, failed, tokens_spent, status, finished_at, facts FROM run")
    assert row == {
        "executed": 1,
        "reused": 0,
        "failed": 0,
        "tokens_spent": 30,
        "status": "completed",
        "finished_at": finished_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "facts": '{"crewai":"1.14"}',
    }


def test_a_clock_that_was_ahead_leaves_nothing_the_newest_for_ever(url: str) -> None:
    """Runs, records and states go by the order in which they were written, whatever the clock said."""
    clock = Clock()
    with Store(url, clock=clock) as store:
        kit = Kit(store)
        for number, days in enumerate((0, 400, 1, 2), 1):
            moment = clock.time + timedelta(days=days)
            run_id, workflow_id = f"run-{number}", f"claim-{number % 2}"
            record = new_record(raw=run_id, run_id=run_id, workflow_id=workflow_id, template=run_id,
                                started_at=moment, completed_at=moment)  # fmt: skip
            kit.begin(run_id, workflow_id, started_at=moment)
            kit.execute(record)
            kit.finish(run_id)
        assert [run.run_id for run in store.list_runs()] == ["run-4", "run-3", "run-2", "run-1"]
        assert [run.run_id for run in store.list_runs("claim-0", limit=1)] == ["run-4"]
        assert [record.run_id for record in store.history("extract")] == ["run-4", "run-3", "run-2", "run-1"]
        assert store.shown_record("extract").run_id == "run-4"  # type: ignore[union-attr]
        assert store.heads("claim-0")["extract"].record.run_id == "run-4"  # type: ignore[union-attr]
        store.prune(keep_last=1)
        assert [run.run_id for run in store.list_runs()] == ["run-4", "run-3"]
        kit.start(run_id="after")
        assert store.list_runs()[0].run_id == "after"


def test_what_a_run_goes_by_comes_with_its_beginning(kit: Kit) -> None:
    """From a server, in the same round trip; who writes a file reads afterwards, and keeps no writer waiting."""
    kit.run(new_record())
    new = NewRun(run_id="next", workflow_id="claim-1", crew_name="claims", started_at=now(), owner=kit.owner)
    known = kit.store.start_run(new, everywhere=False)
    if kit.store.url.startswith("sqlite"):
        assert known is None
    else:
        assert known is not None
        heads, hashes = known()
        assert (heads, hashes) == kit.store.at_start("claim-1", everywhere=False)
        assert heads["extract"].record is not None


def test_a_record_whose_run_is_gone_is_old(kit: Kit, sql: Any) -> None:
    """It stays in the history, behind those whose place is known."""
    kit.run(new_record(raw="one"))
    kit.run(new_record(raw="two", template="T"))
    sql("DELETE FROM task_run WHERE run_id = 'run-2'")
    sql("DELETE FROM run WHERE run_id = 'run-2'")
    assert [record.result.raw for record in kit.store.history("extract")] == ["one", "two"]
