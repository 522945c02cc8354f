"""A state is imported while its runs go on, and again later: how they went on is here then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from crew_repo.model import Failure, NewRecord, Outcome, RunStatus
from crew_repo.store import Store
from tests.conformance.kit import DEAD, Kit, new_record, now, task_run


def step(position: int, run_id: str = "run-1") -> NewRecord:
    """A task of a crew of three."""
    return new_record(f"t{position}", f"said {position}", run_id=run_id, template=f"T{position}", position=position)


def executed(kit: Kit, *positions: int, run_id: str = "run-1") -> str:
    """The export after these tasks were executed."""
    for position in positions:
        kit.execute(step(position, run_id))
    return exported(kit.store)


def exported(store: Store) -> str:
    """The whole state as text."""
    return "".join(store.export_json())


@pytest.fixture
def other(other_url: str) -> Iterator[Store]:
    """The state that imports."""
    with Store(other_url) as opened:
        yield opened


def seen(store: Store) -> Any:
    """What both sides say of runs and tasks, but for the numbers of records."""
    runs = [replace(run, tasks=tuple(replace(task, record_id=None) for task in run.tasks)) for run in store.list_runs()]
    return runs, [replace(state, record_id=None) for state in store.states()]


def test_a_run_that_was_imported_while_it_went_on_ends_with_a_later_import(kit: Kit, other: Store) -> None:
    """Its status, its times, its counts and all that it did are those of the other side."""
    kit.start()
    assert other.import_json(executed(kit, 0)) == 1
    executed(kit, 1)
    kit.store.save_failed(None, task_run(step(2), Outcome.FAILED, failure=Failure("E", "m", "t")))
    kit.finish("run-1", RunStatus.FAILED, tokens_spent=90, failure=Failure("E", "m", "t"))
    assert other.import_json(exported(kit.store)) == 1
    assert seen(other) == seen(kit.store)
    assert [(str(run.status), run.executed, run.failed) for run in other.list_runs()] == [("failed", ["t0", "t1"], ["t2"])]


def test_the_counts_of_such_a_run_are_in_its_row(kit: Kit, other: Store, other_url: str) -> None:
    """Plain SQL sees the end as well."""
    kit.start()
    other.import_json(executed(kit, 0))
    executed(kit, 1)
    kit.finish("run-1", tokens_spent=60)
    other.import_json(exported(kit.store))
    (line,) = [line for line in other.export_json() if line.startswith('{"run"')]
    (theirs,) = [line for line in kit.store.export_json() if line.startswith('{"run"')]
    assert line == theirs


def test_a_run_that_still_goes_on_gains_what_it_has_done_since(kit: Kit, other: Store) -> None:
    """It stays interrupted, and its counts and tokens are those of all its notes."""
    kit.start()
    other.import_json(executed(kit, 0))
    other.import_json(executed(kit, 1))
    (run,) = other.list_runs()
    assert (run.status, run.executed, run.tokens_spent) == (RunStatus.INTERRUPTED, ["t0", "t1"], 60)
    assert run.finished_at is None


def test_importing_the_later_export_again_changes_nothing(kit: Kit, other: Store) -> None:
    """Nor does the earlier one, which is older than what is here."""
    kit.start()
    early = executed(kit, 0)
    executed(kit, 1)
    kit.finish("run-1", tokens_spent=60)
    late = exported(kit.store)
    other.import_json(early)
    other.import_json(late)
    before = exported(other)
    for export in (late, early, late):
        assert other.import_json(export) == 0
        assert exported(other) == before


def test_a_task_that_failed_at_first_is_executed_with_a_later_import(kit: Kit, other: Store) -> None:
    """The later word on a task of a run counts, as it does where the run wrote it."""
    kit.start()
    kit.store.save_failed(None, task_run(step(0), Outcome.FAILED))
    other.import_json(exported(kit.store))
    executed(kit, 0)
    kit.finish("run-1", tokens_spent=30)
    other.import_json(exported(kit.store))
    assert seen(other) == seen(kit.store)
    assert other.list_runs()[0].executed == ["t0"]


def test_a_run_that_goes_on_here_is_not_changed(kit: Kit) -> None:
    """Not by an export that says it has ended, nor by one that has more of its tasks."""
    kit.start()
    executed(kit, 0)
    lines = exported(kit.store).splitlines(keepends=True)
    moment = '"finished_at": "2026-11-23T10:11:12.345678Z"'
    ended = [line.replace('"status": "running"', '"status": "failed"').replace('"finished_at": null', moment, 1)
             if line.startswith('{"run"') else line for line in lines]  # fmt: skip
    more = [line.replace('"position": 0', '"position": 1') if line.startswith('{"task_run"') else line for line in ended]
    before = exported(kit.store)
    kit.store.import_json(ended)
    kit.store.import_json(more)
    assert exported(kit.store) == before
    executed(kit, 1)
    assert kit.finish("run-1", tokens_spent=60).executed == ["t0", "t1"]


def test_a_run_that_was_killed_here_takes_over_its_end(kit: Kit, other: Store) -> None:
    """Where a state was copied while a run went on, the copy knows no more than that its process is gone."""
    for here, owner in ((kit, kit.owner), (Kit(other), DEAD)):
        here.start(owner=owner)
    executed(kit, 0)
    kit.finish("run-1", tokens_spent=30)
    other.import_json(exported(kit.store))
    assert [(run.status, run.executed) for run in other.list_runs()] == [(RunStatus.COMPLETED, ["t0"])]
    other.reap()
    assert other.list_runs()[0].status is RunStatus.COMPLETED


def test_a_run_that_has_ended_here_keeps_its_end(kit: Kit, other: Store) -> None:
    """What it did with tasks is added where it is not here, and how it ended stays."""
    Kit(other).start()
    executed(Kit(other), 0)
    Kit(other).finish("run-1", RunStatus.FAILED, tokens_spent=30)
    kit.start()
    executed(kit, 0, 1)
    kit.finish("run-1", tokens_spent=60)
    other.import_json(exported(kit.store))
    (run,) = other.list_runs()
    assert (run.status, run.tokens_spent, run.executed) == (RunStatus.FAILED, 30, ["t0", "t1"])


def test_what_an_older_run_did_after_all_is_not_shown_before_what_a_newer_one_did(kit: Kit, other: Store) -> None:
    """A task that no newer run has touched shows what is added."""
    kit.start()
    other.import_json(executed(kit, 0))
    newer = Kit(other)
    newer.begin("newer", started_at=now())
    newer.execute(new_record("t1", "newer", run_id="newer", template="N", position=1))
    newer.finish("newer")
    executed(kit, 1, 2)
    kit.finish("run-1", tokens_spent=90)
    other.import_json(exported(kit.store))
    assert [state.output for state in other.states()] == ["said 0", "newer", "said 2"]
    assert [run.executed for run in other.list_runs()] == [["t1"], ["t0", "t1", "t2"]]
