"""A state can be exported and imported into the other kind of database, and is served there."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from crew_repo.errors import ImportFormatError
from crew_repo.model import Failure, Outcome, RunStatus
from crew_repo.store import Store
from tests.conformance.kit import Kit, new_record, now, task_run


@pytest.fixture
def filled(kit: Kit) -> Kit:
    """Runs that executed, reused, failed and were interrupted, and strange texts."""
    kept = kit.run(new_record(), new_record("draft", "\x00 \ud83d \u2028", template="D", position=1))
    run_id = kit.start()
    failed = task_run(new_record(run_id=run_id, position=1), Outcome.FAILED, failure=Failure("E", "m", "t"))
    kit.store.save_failed(None, failed)
    kit.finish(run_id, RunStatus.FAILED, tasks=[replace(task_run(kept[0], Outcome.REUSED), run_id=run_id,
                                                        record_id=kept[0].record_id)])  # fmt: skip
    kit.store.invalidate({None: ["draft"]})
    return kit


def test_everything_arrives(filled: Kit, other_url: str) -> None:
    """Records, runs, states, heads and texts are the same there, but for the numbers of the records."""
    export = list(filled.store.export_json())
    with Store(other_url) as other:
        assert other.import_json(export) == 2
        assert other.verify() == []
        assert _bare(other) == _bare(filled.store)
        record = filled.store.history("extract")[0]
        found = other.find_record(record.input_hash, "claim-1")
        assert found is not None
        assert found.result == record.result


def _bare(store: Store) -> object:
    runs = [replace(run, tasks=tuple(replace(task, record_id=None) for task in run.tasks)) for run in store.list_runs()]
    names = store.task_names()
    records = [replace(record, record_id=0) for name in names for record in store.history(name)]
    return runs, names, records, [replace(state, record_id=None) for state in store.states()]


def test_importing_again_changes_nothing(filled: Kit, other_url: str) -> None:
    """Also into the database that it came from."""
    export = "".join(filled.store.export_json())
    before = _bare(filled.store)
    assert filled.store.import_json(export) == 0
    assert _bare(filled.store) == before
    with Store(other_url) as other:
        assert (other.import_json(export), other.import_json(export)) == (2, 0)
        assert len(other.history("extract")) == 1
        assert len(other.list_runs()) == 2


def test_an_export_of_an_import_is_the_same(filled: Kit, other_url: str) -> None:
    """There and back again, nothing is lost but the numbers."""
    with Store(other_url) as other:
        other.import_json(filled.store.export_json())
        assert _unnumbered(other) == _unnumbered(filled.store)


def _unnumbered(store: Store) -> list[str]:
    return [line for line in store.export_json() if not line.startswith(('{"record"', '{"task_run"'))]


def test_the_record_that_is_here_stays(kit: Kit, other_url: str) -> None:
    """Where both have an answer to the same input, the one here is served on; the other one is history."""
    kit.run(new_record(raw="theirs"))
    with Store(other_url) as other:
        here = Kit(other)
        here.begin("here", started_at=kit.store.list_runs()[0].started_at)
        here.execute(new_record(raw="ours", run_id="here"))
        assert other.import_json(kit.store.export_json()) == 1
        assert other.find_record(new_record().input_hash, "claim-1").result.raw == "ours"  # type: ignore[union-attr]
        assert sorted(record.result.raw for record in other.history("extract")) == ["ours", "theirs"]


def test_older_runs_do_not_become_the_present_state(kit: Kit, other_url: str) -> None:
    """What is imported from before the newest run here is history, and not shown."""
    kit.run(new_record(raw="older"))
    with Store(other_url) as other:
        here = Kit(other)
        here.start(run_id="here")
        here.execute(new_record("extract", "newer", run_id="here", template="N"))
        here.finish("here")
        other.import_json(kit.store.export_json())
        assert [state.output for state in other.states()] == ["newer"]
        assert len(other.list_runs()) == 2


def test_an_altered_record_is_refused_by_name(filled: Kit, other_url: str) -> None:
    """The line and the task are named, and nothing at all is imported."""
    export = "".join(filled.store.export_json()).replace('"output": "policy 42"', '"output": "policy 43"')
    with Store(other_url) as other:
        with pytest.raises(ImportFormatError, match=r"Nothing was imported: line \d+, record 1 \(claim-1/extract\)"):
            other.import_json(export)
        assert other.list_runs() == other.task_names() == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda lines: [], "no export"),
        (lambda lines: lines[1:], "no export"),
        (lambda lines: ["hello"], "no JSON"),
        (lambda lines: [*lines[:-1], "{", lines[-1]], "no JSON"),
        (lambda lines: [*lines[:-1], "[1]", lines[-1]], "is no text, run, record or task_run"),
        (lambda lines: [*lines[:-1], '{"other": {}}', lines[-1]], "is no text, run, record or task_run"),
        (lambda lines: [*lines[:-1], '{"run": {"run_id": "x"}}', lines[-1]], "lacks"),
        (lambda lines: [line.replace('"started_at": "2', '"started_at": "x') for line in lines], "time"),
        (lambda lines: [line.replace('"body": "', '"body": "x') for line in lines], "does not give its hash"),
        (lambda lines: [line.replace('"components": "', '"components": "x') for line in lines], "no JSON object"),
    ],
)
def test_what_is_no_export_is_refused(filled: Kit, other_url: str, spoil: object, words: str) -> None:
    """With the line and the reason, and nothing is imported."""
    lines = spoil(list(filled.store.export_json()))  # type: ignore[operator]
    with Store(other_url) as other:
        with pytest.raises(ImportFormatError, match=words):
            other.import_json(lines)
        assert other.list_runs() == []


def test_each_line_is_one_json_object(filled: Kit) -> None:
    """Other programs can read an export line by line."""
    assert all(len(json.loads(line)) == 1 and line.endswith("\n") for line in filled.store.export_json())


def test_a_run_that_was_going_on_is_interrupted_elsewhere_and_says_what_it_had_done(
    kit: Kit, other_url: str
) -> None:
    """Its row has the counts and tokens of the tasks that came with it."""
    record = new_record(run_id=kit.start())
    kit.execute(record)
    with Store(other_url) as other:
        other.import_json(list(kit.store.export_json()))
        (run,) = other.list_runs()
        assert (run.status, run.executed) == (RunStatus.INTERRUPTED, ["extract"])
        assert run.tokens_spent == record.usage.total_tokens > 0


def test_an_export_is_of_one_moment(kit: Kit, other_url: str) -> None:
    """What is saved while it is read is not in it, or all of it is: each record with its run and its texts."""
    kit.run(new_record())
    lines = []
    for line in kit.store.export_json():
        lines.append(line)
        if '"text"' in line[:8] and len(lines) == 2:
            kit.run(new_record("late", template="Late"))
    with Store(other_url) as other:
        other.import_json(lines)
        assert [state.task_name for state in other.states()] == ["extract"]
        assert other.history("late") == []


def _run_at(store: Store, run_id: str, day: int) -> None:
    moment = now() + timedelta(days=day - 100)
    Kit(store).begin(run_id, started_at=moment)
    Kit(store).execute(new_record(raw=run_id, run_id=run_id, template=run_id, completed_at=moment))
    Kit(store).finish(run_id)


def test_imported_runs_stand_between_those_that_are_here(store: Store, other_url: str) -> None:
    """By their times; where a clock was ahead, before the run that came after. Both keep their own order."""
    for run_id, day in (("a1", 1), ("a-ahead", 900), ("a3", 3), ("a9", 9)):
        _run_at(store, run_id, day)
    with Store(other_url) as other:
        for run_id, day in (("b2", 2), ("b4", 4), ("b-ahead", 800), ("b6", 6)):
            _run_at(other, run_id, day)
        other.import_json(store.export_json())
        order = ["a9", "b6", "b-ahead", "b4", "a3", "a-ahead", "b2", "a1"]
        assert [run.run_id for run in other.list_runs()] == order
        assert [record.run_id for record in other.history("extract")] == order
        assert [state.output for state in other.states()] == ["a9"]
        assert other.import_json(store.export_json()) == 0
        assert [run.run_id for run in other.list_runs()] == order
        _run_at(other, "after", 7)
        assert other.list_runs()[0].run_id == "after"


def test_a_run_from_the_future_is_not_shown_before_what_came_later(store: Store, other_url: str) -> None:
    """What is imported is no newer than the import."""
    _run_at(store, "ahead", 900)
    with Store(other_url) as other:
        other.import_json(store.export_json())
        _run_at(other, "here", 101)
        assert [run.run_id for run in other.list_runs()] == ["here", "ahead"]
        assert [state.output for state in other.states()] == ["here"]
