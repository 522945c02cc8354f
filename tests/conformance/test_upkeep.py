"""verify names what was altered; prune deletes what is old, and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crew_repo.errors import StoreError
from crew_repo.model import Outcome, RunStatus
from crew_repo.store import Store, alone
from tests.conformance.kit import Clock, Kit, new_record, now, task_run


def test_what_is_as_it_was_written_has_no_problem(kit: Kit) -> None:
    """Also with retired records and strange texts."""
    kit.run(new_record(raw="\x00\ud83d"), new_record("draft", template="D\uffff", position=1))
    kit.store.invalidate({None: ["draft"]})
    assert kit.store.verify() == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("output", "x"), ("messages", "[1]"), ("pydantic_json", "{}"), ("agent", "x"), ("description", "x"),
        ("tool_failures", "[]"), ("name", "x"), ("expected_output", "x"), ("output_format", "json"),
        ("json_dict", "{}"), ("output_hash", "0"), ("components", '{"a":"b"}'), ("components", "no json"),
        ("components", "[1]"), ("components", '{"a":1}'), ("context_hash", "0"), ("definition_hash", "0"), ("input_hash", "0"), ("occurrence", 3),
        ("hash_format", 999), ("started_at", "yesterday"), ("completed_at", "yesterday"),
    ],
)  # fmt: skip
def test_every_altered_column_is_named(kit: Kit, sql: Any, column: str, value: Any) -> None:
    """Whatever a hash stands for cannot be changed by hand without verify saying so."""
    kept, _ = kit.run(new_record(), new_record("draft", template="D", position=1))
    sql(f"UPDATE record SET {column} = :value WHERE task_name = 'extract'", value=value)
    problems = kit.store.verify()
    assert {problem.record_id for problem in problems} == {kept.record_id}
    assert {(problem.workflow_id, problem.task_name) for problem in problems} == {("claim-1", "extract")}


@pytest.mark.parametrize(("column", "value"), [("components", "[]"), ("completed_at", "yesterday")])
def test_a_damaged_record_stands_in_no_other_tasks_way(kit: Kit, sql: Any, column: str, value: str) -> None:
    """It says what is wrong with it and is never served; the other tasks of its workflow are found as before."""
    damaged, sound = kit.run(new_record(), new_record("draft", template="D", position=1))
    sql(f"UPDATE record SET {column} = :value WHERE task_name = 'extract'", value=value)
    found = kit.store.find_record(damaged.input_hash, "claim-1")
    assert found is not None
    assert found.damage is not None
    assert f"Record {damaged.record_id} " in found.damage
    heads = kit.store.heads("claim-1")
    assert (heads["extract"].record.damage, heads["draft"].record.damage) == (found.damage, None)  # type: ignore[union-attr]
    assert kit.store.find_record(sound.input_hash, "claim-1").damage is None  # type: ignore[union-attr]
    with pytest.raises(StoreError, match="delete that row"):
        kit.store.history("extract")
    assert kit.store.prune(dry_run=True).records == 0


@pytest.mark.parametrize("table", ["run", "task_run"])
def test_a_damaged_time_of_a_run_is_named(kit: Kit, sql: Any, table: str) -> None:
    """Reading the runs says which row cannot be read, and what to do; the tasks are served all the same."""
    (kept,) = kit.run(new_record())
    sql(f"UPDATE {table} SET finished_at = 'yesterday'")
    with pytest.raises(StoreError, match=r"run-1.*'yesterday'.*row of"):
        kit.store.list_runs()
    assert kit.store.find_record(kept.input_hash, "claim-1") is not None
    assert kit.store.heads("claim-1")["extract"].record is not None


def test_an_altered_text_is_named(kit: Kit, sql: Any) -> None:
    """A text that explains a component is checked too."""
    kit.run(new_record())
    sql("UPDATE text SET body = 'x' WHERE body LIKE 'Read%'")
    assert [problem.what for problem in kit.store.verify()] == [
        "the stored text of task.description was changed: it does not give its hash"
    ]


def test_verify_reads_every_page(kit: Kit, sql: Any) -> None:
    """The last of many records is looked at as well."""
    kit.run(*[new_record(f"t{n}", template=f"Do {n}", position=n) for n in range(450)])
    sql("UPDATE record SET output = 'x' WHERE task_name IN ('t0', 't449')")
    assert [problem.task_name for problem in kit.store.verify()] == ["t0", "t449"]


def _runs(kit: Kit, *raws: str) -> None:
    for raw in raws:
        kit.run(new_record(raw=raw * 1000, context=raw, template=f"Read {raw}"))


def test_pruning_deletes_what_may_not_be_served(kit: Kit) -> None:
    """Without options: retired records go, live ones and all runs stay."""
    _runs(kit, "a", "b")
    kit.run(new_record("draft", template="D"))
    kit.store.invalidate({None: ["draft"]})
    kit.run(new_record("draft", template="D"))
    report = kit.store.prune()
    assert (report.records, report.runs, report.texts) == (1, 0, 0)
    assert len(kit.store.history("extract")) == 2
    assert [record.retired for record in kit.store.history("draft")] == [None]


def test_keep_last_keeps_the_newest(kit: Kit) -> None:
    """The newest records of each task stay, with their runs and texts; what is shown stays; verify finds no problem."""
    _runs(kit, "a", "b", "c")
    kit.run(new_record("draft", template="D"), workflow_id="claim-2")
    report = kit.store.prune(keep_last=2)
    assert (report.records, report.runs, report.texts) == (1, 1, 1)
    assert [record.result.raw[0] for record in kit.store.history("extract")] == ["c", "b"]
    assert [run.run_id for run in kit.store.list_runs()] == ["run-4", "run-3", "run-2"]
    assert len(kit.store.states()) == 2
    assert kit.store.verify() == []


def test_keep_last_keeps_what_is_shown(kit: Kit) -> None:
    """An old record that the last run reused is the present state, and stays."""
    (old,) = kit.run(new_record(raw="old"))
    _runs(kit, "a", "b")
    run_id = kit.start()
    kit.finish(run_id, tasks=[replace(task_run(old, Outcome.REUSED), run_id=run_id, record_id=old.record_id)])
    kit.store.prune(keep_last=1)
    assert [record.result.raw[0] for record in kit.store.history("extract")] == ["b", "o"]
    assert [state.output for state in kit.store.states()] == ["old"]


def test_a_dry_run_changes_nothing(kit: Kit) -> None:
    """It reports what would go, and every line of an export is the same afterwards."""
    _runs(kit, "a", "b", "c")
    before = list(kit.store.export_json())
    report = kit.store.prune(keep_last=1, dry_run=True)
    assert (report.records, report.runs, report.texts) == (2, 2, 2)
    assert list(kit.store.export_json()) == before
    assert kit.store.prune(keep_last=1).records == 2


def test_older_than_deletes_what_is_no_longer_used(url: str) -> None:
    """By age also what is shown goes; what was reused since then stays, and so does a run that goes on."""
    clock = Clock()
    with Store(url, clock=clock) as store:
        kit = Kit(store)

        def run(*records: Any) -> str:
            run_id = f"run-{clock.time:%m%d}"
            Kit(store).begin(run_id, started_at=clock.time)
            for record in records:
                kit.execute(replace(record, run_id=run_id, completed_at=clock.time))
            return run_id

        used, unused = new_record("used", template="U"), new_record("unused", template="X", position=1)
        kit.finish(run(used, unused))
        clock.advance(86400 * 40)
        last = run()
        (record,) = store.history("used")
        kit.finish(last, tasks=[replace(task_run(record, Outcome.REUSED), run_id=last, record_id=record.record_id)])
        clock.advance(86400 * 20)
        report = store.prune(older_than=timedelta(days=30))
        assert (report.records, report.runs) == (1, 1)
        assert [state.task_name for state in store.states()] == ["used"]
        assert store.find_record(unused.input_hash, None) is None
        assert "unused" not in store.heads("claim-1")
        assert store.prune(keep_last=0, older_than=timedelta(days=1)).records == 0


def test_running_runs_are_not_pruned(kit: Kit) -> None:
    """However old: it may still be at work."""
    kit.begin("old", started_at=now() - timedelta(days=400))
    assert kit.store.prune(older_than=timedelta(days=1)).runs == 0


def test_a_run_whose_work_goes_on_is_not_pruned(kit: Kit) -> None:
    """An interrupted run whose thread nobody could stop: what that pays for is still recorded."""
    run_id = kit.start()
    record = new_record(run_id=run_id)
    lease = kit.lease(record)
    kit.finish(run_id, RunStatus.INTERRUPTED, going_on=[lease.fence])
    assert kit.store.prune(older_than=timedelta(0)).runs == 0
    kit.store.save_finished(lease, record, task_run(record))
    assert kit.store.find_record(record.input_hash, "claim-1") is not None


def test_pruning_and_saving_wait_for_each_other(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes second waits, and neither is refused: a finished task is paid for."""
    with Store(url) as one, Store(url) as two, ThreadPoolExecutor(1) as pool:
        record = new_record(run_id=Kit(one).start())
        lease = Kit(one).lease(record)
        add_texts, pruning = alone.add_texts, []

        def adds(*arguments: Any) -> None:
            add_texts(*arguments)
            pruning.append(pool.submit(two.prune, keep_last=0))
            wait(pruning, 0.3)  # time to take the locks that it can get

        monkeypatch.setattr(alone, "add_texts", adds)
        one.save_finished(lease, record, task_run(record))
        assert pruning[0].result().records == 0
        assert one.find_record(record.input_hash, "claim-1") is not None


def test_a_copy_is_the_state_or_says_how_to_make_one(kit: Kit, url: str, tmp_path: Path) -> None:
    """A file is copied; of a server, the remedy is named."""
    (kept,) = kit.run(new_record())
    target = tmp_path / "copy.db"
    if url.startswith("postgresql"):
        with pytest.raises(StoreError, match=r"is no file; copy it with pg_dump"):
            kit.store.copy(target)
        assert not target.exists()
        return
    kit.store.copy(target)
    with Store(f"sqlite:///{target}") as copy:
        assert copy.find_record(kept.input_hash, "claim-1") is not None
