"""Changes by people: a person's answer in force, taken back, done again; each with an entry that nobody can alter."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from crew_repo.errors import ConflictError, InputError, UnknownChangeError
from crew_repo.hashing import output_hash
from crew_repo.model import PERSON, Author, Change, ChangeKind, NewRecord, Outcome, Record, Usage
from crew_repo.store import Store
from tests.conformance.kit import Kit, new_record, now, task_run

ADA, BO = Author("Ada", "wrong day"), Author("Bo")


def answer(before: NewRecord, raw: str = "policy 43", by: Author = ADA, **changes: Any) -> NewRecord:
    """What a person says in place of a record."""
    result = replace(before.result, raw=raw)
    members = {name: getattr(before, name) for name in NewRecord.__slots__}
    moment = now()
    members.update(result=result, output_hash=output_hash(result), origin=PERSON, person=by.by, usage=Usage(),
                   started_at=moment, completed_at=moment, **changes)  # fmt: skip
    return NewRecord(**members)


def give(store: Store, before: Record, raw: str = "policy 43", by: Author = ADA) -> Change:
    """Put a person's answer in place of a record that is in force."""
    new = answer(before, raw, by)
    return store.give(new, ChangeKind.OVERRIDE, by, instead_of=before.record_id, shown=before.record_id)


def served(store: Store, record: NewRecord) -> str | None:
    """What is served for the input hash of a record."""
    found = store.find_record(record.input_hash, record.workflow_id)
    return None if found is None else found.result.raw


def test_a_persons_answer_is_in_force_for_that_hash_alone(kit: Kit, sql: Any) -> None:
    """It is found by the same input hash, and shown with its origin; the record before is superseded, not lost."""
    before, other = kit.run(new_record(), new_record(template="Read {notes} well", position=1))
    change = give(kit.store, before)
    assert (served(kit.store, before), served(kit.store, other)) == ("policy 43", "policy 42")
    assert (change.kind, change.by, change.reason, change.before, change.after) == (
        ChangeKind.OVERRIDE, "Ada", "wrong day", "policy 42", "policy 43"
    )  # fmt: skip
    rows = sql("SELECT output, origin, person, retired FROM record ORDER BY record_id")
    assert [tuple(row.values()) for row in rows] == [
        ("policy 42", "model", None, "superseded"), ("policy 42", "model", None, None), ("policy 43", "person", "Ada", None)
    ]  # fmt: skip


def test_it_is_shown_before_any_run_has_served_it(kit: Kit, sql: Any) -> None:
    """task_state says what is in force, and whose it is; so does what is shown of the task."""
    (before,) = kit.run(new_record())
    give(kit.store, before)
    (row,) = sql("SELECT status, output, origin, person, output_hash, total_tokens FROM task_state")
    assert row == {"status": "completed", "output": "policy 43", "origin": "person", "person": "Ada",
                   "output_hash": answer(before).output_hash, "total_tokens": 0}  # fmt: skip
    shown = kit.store.shown_record("extract")
    assert shown is not None
    assert (shown.origin, shown.person) == (PERSON, "Ada")
    head = kit.store.heads("claim-1")["extract"]
    assert head.person is not None
    assert head.person.result.raw == "policy 43"


def test_undoing_revives_the_record_before_and_redoing_the_answer(kit: Kit) -> None:
    """Each is an entry, and may be repeated; what is shown follows."""
    (before,) = kit.run(new_record())
    change = give(kit.store, before)
    assert change.change_id is not None
    undone = kit.store.undo(change.change_id, BO)
    assert (undone.kind, undone.undoes, undone.by, undone.before, undone.after) == (
        ChangeKind.UNDO, change.change_id, "Bo", "policy 43", "policy 42"
    )  # fmt: skip
    assert (served(kit.store, before), kit.store.states()[0].output) == ("policy 42", "policy 42")
    assert [each.undone for each in kit.store.changes()] == [False, True]
    assert undone.change_id is not None
    kit.store.redo(undone.change_id, BO)  # by the number of either entry
    assert (served(kit.store, before), kit.store.states()[0].output) == ("policy 43", "policy 43")
    kit.store.undo(change.change_id, BO)
    assert served(kit.store, before) == "policy 42"
    assert [str(each.kind) for each in kit.store.changes()] == ["undo", "redo", "undo", "override"]
    assert kit.store.verify() == []


def test_undoing_can_be_tried(kit: Kit, sql: Any) -> None:
    """A dry run gives the entry without a number, or the error, and leaves every row as it was."""
    (before,) = kit.run(new_record())
    change = give(kit.store, before)
    kit.store.invalidate({"claim-1": ["extract"]}, BO)
    tables = ("record", "change", "invalidation", "task_state")
    rows = [sql(f"SELECT * FROM {table}") for table in tables]
    tried = kit.store.undo(2, ADA, dry_run=True)
    assert (tried.change_id, tried.kind, tried.undoes, tried.after) == (None, ChangeKind.UNDO, 2, "policy 43")
    with pytest.raises(ConflictError, match="its record is invalidated"):
        kit.store.undo(change.change_id or 0, ADA, dry_run=True)
    with pytest.raises(ConflictError, match="was not undone"):
        kit.store.redo(2, ADA, dry_run=True)
    assert [sql(f"SELECT * FROM {table}") for table in tables] == rows
    undone = kit.store.undo(2, ADA)
    again = kit.store.redo(2, ADA, dry_run=True)
    assert (again.change_id, again.kind, again.undoes) == (None, ChangeKind.REDO, 2)
    assert [each.change_id for each in kit.store.changes()] == [undone.change_id, 2, 1]


def test_an_answer_that_was_taken_over_is_a_persons(kit: Kit) -> None:
    """Its entry says from whom; it can be undone, is covered by verify, and may be sent elsewhere."""
    (before,) = kit.run(new_record())
    new = answer(before)
    change = kit.store.give(new, ChangeKind.ADOPT, ADA, instead_of=before.record_id, shown=None, detail="from Bo")
    assert (str(change.kind), change.detail, served(kit.store, before)) == ("adopt", "from Bo", "policy 43")
    assert "now policy 43; from Bo" in str(change)
    assert kit.store.verify() == []
    kit.store.undo(change.change_id or 0, BO)
    assert served(kit.store, before) == "policy 42"


def test_undone_after_a_run_has_served_it_the_record_before_is_shown(kit: Kit) -> None:
    """The newest note names the person's record, which is no longer in force."""
    (before,) = kit.run(new_record())
    change = give(kit.store, before)
    given = kit.store.find_record(before.input_hash, "claim-1")
    assert given is not None
    run_id = kit.start()
    kit.finish(run_id, tasks=[replace(task_run(given, Outcome.REUSED), run_id=run_id, record_id=given.record_id)])
    assert kit.store.states()[0].origin == PERSON
    kit.store.undo(change.change_id or 0, BO)
    (state,) = kit.store.states()
    assert (state.output, state.origin, state.status) == ("policy 42", "model", "completed")


@pytest.mark.parametrize("raced", ["override", "execution", "invalidation"])
def test_who_comes_second_is_told(kit: Kit, raced: str) -> None:
    """What was looked at is no longer in force: nothing is changed, and the error says what is."""
    (before,) = kit.run(new_record())
    match = "another answer by now: Bo gave it"
    if raced == "override":
        give(kit.store, before, "from Bo", BO)
    elif raced == "execution":
        run_id = kit.start()
        kit.execute(new_record(raw="executed", run_id=run_id), take_finished=False)
        match = "another answer by now: a run gave it"
    else:
        kit.store.invalidate({None: ["extract"]}, BO)
        match = "is no longer in force"
    entries = len(kit.store.changes())
    with pytest.raises(ConflictError, match=match):
        give(kit.store, before)
    assert served(kit.store, before) == {"override": "from Bo", "execution": "executed"}.get(raced)
    assert len(kit.store.changes()) == entries


def test_of_two_at_once_one_wins(kit: Kit, url: str) -> None:
    """Two people who have looked at the same answer: one answer is in force, one entry is there, one is told."""
    (before,) = kit.run(new_record())
    barrier = Barrier(2)

    def say(author: Author) -> str:
        with Store(url) as store:
            barrier.wait()
            try:
                give(store, before, f"from {author.by}", author)
            except ConflictError as told:
                return str(told)
            return author.by

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(say, [ADA, BO]))
    (winner,) = {"Ada", "Bo"} & set(said)
    assert served(kit.store, before) == f"from {winner}"
    assert [each.by for each in kit.store.changes()] == [winner]
    assert any(f"{winner} gave it" in each for each in said)


def test_an_execution_that_ends_later_does_not_replace_it(kit: Kit) -> None:
    """A run that was executing the task when the person spoke keeps its answer as superseded, and goes on with theirs."""
    (before,) = kit.run(new_record())
    run_id = kit.start()
    working = new_record(raw="executed", run_id=run_id)
    lease = kit.lease(working, take_finished=False)
    give(kit.store, before)
    kept = kit.store.save_finished(lease, working, task_run(working))
    assert (kept.result.raw, served(kit.store, before)) == ("policy 43", "policy 43")
    assert [record.result.raw for record in kit.store.history("extract") if record.retired] == ["executed", "policy 42"]
    assert kit.store.states()[0].origin == PERSON


def test_an_execution_that_begins_later_replaces_it(kit: Kit) -> None:
    """Somebody forced it; the entry cannot be undone then, since it is no longer in force."""
    (before,) = kit.run(new_record())
    change = give(kit.store, before)
    kit.execute(new_record(raw="forced", run_id=kit.start()), take_finished=False)
    assert served(kit.store, before) == "forced"
    with pytest.raises(ConflictError, match="is no longer in force: its record is superseded"):
        kit.store.undo(change.change_id or 0, BO)


def test_an_invalidation_is_an_entry_and_can_be_undone(kit: Kit, sql: Any) -> None:
    """All that it retired is served again, and in other workflows nothing changes."""
    one, two = kit.run(new_record(), new_record(template="Read {notes} well", position=1))
    kit.run(new_record(), workflow_id="claim-2")
    assert kit.store.invalidate({"claim-1": ["extract"]}, ADA) == 2
    (entry,) = kit.store.changes()
    assert (entry.kind, entry.by, entry.workflow_id, entry.task_name) == (
        ChangeKind.INVALIDATE, "Ada", "claim-1", "extract"
    )  # fmt: skip
    kit.store.undo(entry.change_id or 0, BO)
    assert (served(kit.store, one), served(kit.store, two)) == ("policy 42", "policy 42")
    assert sql("SELECT * FROM invalidation") == []
    with pytest.raises(ConflictError, match="was undone already"):
        kit.store.undo(entry.change_id or 0, BO)
    kit.store.redo(entry.change_id or 0, BO)
    assert (served(kit.store, one), served(kit.store, two)) == (None, None)
    assert len(sql("SELECT * FROM invalidation")) == 1


def test_an_invalidation_undone_does_not_replace_what_was_executed_since(kit: Kit) -> None:
    """What a run has said meanwhile stays in force; the rest is served again."""
    one, two = kit.run(new_record(), new_record(template="Read {notes} well", position=1))
    kit.store.invalidate({None: ["extract"]}, ADA)
    kit.run(new_record(raw="executed"))
    kit.store.undo(kit.store.changes()[0].change_id or 0, BO)
    assert (served(kit.store, one), served(kit.store, two)) == ("executed", "policy 42")


def test_a_pruning_is_an_entry_that_cannot_be_undone(kit: Kit) -> None:
    """Trying it out, and finding nothing, is none."""
    (before,) = kit.run(new_record())
    kit.store.prune(author=ADA)
    assert kit.store.changes() == []
    kit.run(new_record(raw="again", template="A"))
    change = give(kit.store, before)
    kit.store.prune(dry_run=True, author=ADA)
    kit.store.prune(author=ADA)
    entry, _ = kit.store.changes()
    assert (entry.kind, entry.detail) == (ChangeKind.PRUNE, "1 record, 0 runs and 0 texts")
    with pytest.raises(InputError, match="cannot be undone: prune deletes for good"):
        kit.store.undo(entry.change_id or 0, BO)
    with pytest.raises(InputError, match="was deleted since"):
        kit.store.undo(change.change_id or 0, BO)
    assert served(kit.store, before) == "policy 43"


@pytest.mark.parametrize("options", [{"keep_last": 0}, {"keep_last": 1, "older_than": timedelta(0)}])
def test_pruning_keeps_an_answer_that_no_run_has_served_yet(kit: Kit, options: Any) -> None:
    """It is what task_state shows."""
    (before,) = kit.run(new_record())
    give(kit.store, before)
    kit.store.prune(**options)
    assert (served(kit.store, before), kit.store.states()[0].output) == ("policy 43", "policy 43")


def test_entries_are_only_added(kit: Kit, sql: Any) -> None:
    """Neither an update nor a delete at a SQL prompt is taken; the message says how to take a change back."""
    (before,) = kit.run(new_record())
    give(kit.store, before)
    for statement in ("UPDATE change SET changed_by = 'nobody'", "DELETE FROM change"):
        with pytest.raises(DBAPIError, match="only added to: StateRepository.undo"):
            sql(statement)
    assert [each.by for each in kit.store.changes()] == ["Ada"]


@pytest.mark.parametrize(
    ("tampered", "what"),
    [
        ("UPDATE record SET origin = 'model' WHERE person = 'Ada'", "says that a person gave it, and it does not"),
        ("UPDATE record SET origin = 'person' WHERE person IS NULL", "no entry of the table change does"),
        ("UPDATE record SET person = 'Bo' WHERE person = 'Ada'", "or not by whom"),
        ("UPDATE record SET output = 'policy 44' WHERE person = 'Ada'", "does not give the output hash"),
    ],
)
def test_verify_covers_them(kit: Kit, sql: Any, tampered: str, what: str) -> None:
    """An answer that is passed off as a person's, or as a model's, or as another person's, is named."""
    (before,) = kit.run(new_record())
    give(kit.store, before)
    assert kit.store.verify() == []
    sql(tampered)
    (problem,) = kit.store.verify()
    assert what in problem.what


def test_an_export_has_them(kit: Kit, other_url: str) -> None:
    """Elsewhere they are in force, can be undone there, and importing them twice adds nothing."""
    (before,) = kit.run(new_record())
    change = give(kit.store, before)
    kit.store.undo(change.change_id or 0, BO)
    kit.store.redo(change.change_id or 0, ADA)
    with Store(other_url) as other:
        Kit(other).run(new_record("other", template="O"), workflow_id="claim-0")
        for _ in range(2):
            other.import_json(kit.store.export_json())
        assert served(other, before) == "policy 43"
        assert [(str(each.kind), each.by, each.undoes) for each in other.changes()] == [
            ("redo", "Ada", 1), ("undo", "Bo", 1), ("override", "Ada", None)
        ]  # fmt: skip
        assert other.verify() == []
        other.undo(1, BO)
        assert served(other, before) == "policy 42"


def test_an_imported_correction_takes_the_place_of_a_models_answer(kit: Kit, other_url: str) -> None:
    """The same state was imported before it was corrected; a person's answer that is there already stays."""
    (before,) = kit.run(new_record())
    with Store(other_url) as other:
        other.import_json(kit.store.export_json())
        give(kit.store, before)
        other.import_json(kit.store.export_json())
        assert served(other, before) == "policy 43"
        found = other.find_record(before.input_hash, "claim-1")
        assert found is not None
        give(other, found, "policy 44", BO)
        kit.store.undo(1, BO)
        give(kit.store, before, "policy 45", ADA)
        other.import_json(kit.store.export_json())
        assert served(other, before) == "policy 44"
        assert other.verify() == []


def test_where_workflows_share_an_answer_of_a_person_comes_first(kit: Kit) -> None:
    """A later run of another workflow does not overtake it, here or in a third."""
    (before,) = kit.run(new_record())
    give(kit.store, before)
    kit.run(new_record(raw="theirs"), workflow_id="claim-2")
    for workflow_id in ("claim-1", "claim-3"):
        found = kit.store.find_record(before.input_hash, workflow_id, shared_as="extract")
        assert found is not None
        assert found.result.raw == "policy 43"


@pytest.mark.parametrize("act", [Store.undo, Store.redo])
def test_what_is_not_there_cannot_be_undone(kit: Kit, act: Callable[[Store, int, Author], Change]) -> None:
    """The error says where the entries are listed."""
    kit.run(new_record())
    with pytest.raises(UnknownChangeError, match=r"There is no change 7; changes\(\) or crew-repo changes lists them: none was made yet"):
        act(kit.store, 7, ADA)
    kit.store.invalidate({"claim-1": ["extract"]}, ADA)
    with pytest.raises(UnknownChangeError, match=r"There is no change 7; changes\(\) or crew-repo changes lists them: the newest is 1"):
        act(kit.store, 7, ADA)


def test_what_was_not_undone_cannot_be_done_again(kit: Kit) -> None:
    """Nor what another answer has overtaken since."""
    (before,) = kit.run(new_record())
    change = give(kit.store, before)
    with pytest.raises(ConflictError, match="was not undone"):
        kit.store.redo(change.change_id or 0, BO)
    kit.store.undo(change.change_id or 0, BO)
    give(kit.store, before, "policy 44", BO)
    with pytest.raises(ConflictError, match="another answer by now: Bo gave it"):
        kit.store.redo(change.change_id or 0, ADA)


def test_runs_are_numbered_within_their_workflow(kit: Kit) -> None:
    """The count is that of the newest, also where older ones were pruned; nothing is loaded for it."""
    for number, workflow_id in enumerate(["a", "b", "a", "a"]):
        kit.run(new_record(template=f"{number}"), workflow_id=workflow_id)
    assert [(run.workflow_id, run.ordinal) for run in kit.store.list_runs()] == [("a", 3), ("a", 2), ("b", 1), ("a", 1)]
    assert (kit.store.run_count("a"), kit.store.run_count(), kit.store.run_count("c")) == (3, 4, 0)
    kit.store.prune(keep_last=1)
    assert [run.ordinal for run in kit.store.list_runs("a")] == [3]
    assert kit.store.run_count("a") == 3
    kit.start("a")
    assert kit.store.list_runs("a")[0].ordinal == 4


def test_imported_runs_are_numbered_with_those_that_are_here(kit: Kit, other_url: str) -> None:
    """In the order in which all of them began."""
    kit.run(new_record())
    with Store(other_url) as other:
        Kit(other).start(run_id="there")
        other.import_json(kit.store.export_json())
        assert sorted((run.ordinal, run.run_id) for run in other.list_runs("claim-1")) == [(1, "run-1"), (2, "there")]
        assert other.run_count("claim-1") == 2
