"""Answers of people that are held: adopted once, by whoever is asked first, and with an entry for each thing done to them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from crew_repo.errors import ConflictError, ImportFormatError
from crew_repo.model import PERSON, Author, Change, ChangeKind, Given, HeldAnswer, Lease, NewRecord, Record, ToHold
from crew_repo.store import Store
from tests.conformance.kit import Kit, new_record
from tests.conformance.test_changes import answer

ADA, BO = Author("Ada", "seen on site"), Author("Bo")


def hold(store: Store, record: NewRecord | None = None, output: str = "policy 43", author: Author = ADA) -> Change:
    """Hold an answer to a task of this definition."""
    asked = record or new_record()
    (change,) = store.complete([ToHold(asked.workflow_id, asked.task_name, asked.definition_hash, output)], author)
    return change


def asked(kit: Kit, record: NewRecord, *, finished: bool = True) -> tuple[Lease | None, HeldAnswer | None]:
    """Ask for the work of a record, as a boundary does: the lease, and the answer that is held for it."""
    claim = kit.store.claim(
        record.workflow_id, record.input_hash, run_id=record.run_id, task_name=record.task_name, position=0,
        owner=kit.owner, take_finished=finished, definition_hash=record.definition_hash,
    )  # fmt: skip
    return claim.lease, claim.held


def adopted(kit: Kit, record: NewRecord) -> Record | None:
    """Ask for the work of a record, and adopt what is held for it."""
    lease, held = asked(kit, record)
    assert lease is not None
    assert held is not None
    return kit.store.adopt(lease, held, answer(record, held.output, held.author))


def test_it_is_found_by_its_definition_whatever_the_context(kit: Kit) -> None:
    """Another definition, task or workflow is none of its business; with the context that is asked it becomes a record."""
    hold(kit.store)
    run_id = kit.start()
    told = new_record(context="hail on 5 May", run_id=run_id)
    others = [{"template": "Read it"}, {"task_name": "assess"}, {"workflow_id": "claim-2"}]
    kit.begin("other", "claim-2")
    assert [asked(kit, new_record(run_id="other", **other))[1] for other in others] == [None, None, None]
    record = adopted(kit, told)
    assert record is not None
    found = kit.store.find_record(told.input_hash, "claim-1")
    assert found is not None
    assert (found.record_id, found.result.raw, found.origin, found.person) == (record.record_id, "policy 43", PERSON, "Ada")
    assert kit.store.held_answers("claim-1") == []
    entry, given = kit.store.changes()
    assert (entry.kind, entry.by, entry.reason, entry.after) == (ChangeKind.ADOPT, "Ada", "seen on site", "policy 43")
    assert (given.kind, given.detail, given.after) == (ChangeKind.MARK_COMPLETE, "held until the task is asked", "policy 43")
    assert kit.store.verify() == []


def test_of_two_that_ask_at_once_one_adopts(kit: Kit) -> None:
    """Two contexts of one definition: one makes the record, the other is told that nothing is held, and executes."""
    hold(kit.store)
    run_id, ready = kit.start(), Barrier(2)
    records = [new_record(context=context, run_id=run_id) for context in ("hail", "fire")]
    claims = [(record, *asked(kit, record)) for record in records]

    def adopt(record: NewRecord, lease: Lease, held: HeldAnswer) -> bool:
        ready.wait(60)
        return kit.store.adopt(lease, held, answer(record, held.output, held.author)) is not None

    with ThreadPoolExecutor(2) as pool:
        done = [future.result() for future in [pool.submit(adopt, *claim) for claim in claims]]
    assert sorted(done) == [False, True]
    assert [change.kind for change in kit.store.changes()] == [ChangeKind.ADOPT, ChangeKind.MARK_COMPLETE]
    assert [kit.store.find_record(record.input_hash, "claim-1") is not None for record in records] == done


def test_one_answer_is_held_for_one_thing(kit: Kit) -> None:
    """A second one is refused by name, and the first stays."""
    hold(kit.store)
    with pytest.raises(ConflictError, match="has a held answer already, which Ada gave at"):
        hold(kit.store, output="policy 44", author=BO)
    assert [held.output for held in kit.store.held_answers("claim-1")] == ["policy 43"]
    assert len(kit.store.changes()) == 1


def test_it_is_dropped_and_held_again(kit: Kit) -> None:
    """Undo and redo are entries; what is dropped is not found, and is not dropped twice."""
    number = hold(kit.store).change_id
    assert number is not None
    undone = kit.store.undo(number, BO)
    assert (undone.kind, undone.undoes, undone.detail) == (ChangeKind.UNDO, number, "it is held no longer")
    assert kit.store.held_answers("claim-1") == []
    with pytest.raises(ConflictError, match="was undone already"):
        kit.store.undo(number, BO)
    kit.store.redo(number, BO)
    assert [held.output for held in kit.store.held_answers("claim-1")] == ["policy 43"]
    kit.store.undo(number, BO)
    hold(kit.store, output="policy 44")
    with pytest.raises(ConflictError, match="another one is held by now"):
        kit.store.redo(number, BO)


def test_after_its_adoption_undo_takes_that_back(kit: Kit) -> None:
    """By the number of either entry; nothing is held then, and redo puts the record in force again."""
    number = hold(kit.store).change_id
    assert number is not None
    told = new_record(context="hail on 5 May", run_id=kit.start())
    assert adopted(kit, told) is not None
    undone = kit.store.undo(number, BO)
    assert undone.undoes == kit.store.changes(change_id=number + 1)[0].change_id
    assert kit.store.find_record(told.input_hash, "claim-1") is None
    assert kit.store.held_answers("claim-1") == []
    kit.store.redo(number, BO)
    found = kit.store.find_record(told.input_hash, "claim-1")
    assert found is not None
    assert found.result.raw == "policy 43"


def test_invalidating_its_task_drops_it(kit: Kit) -> None:
    """So does deleting the task's row; undoing the invalidation holds it again, what was deleted is gone."""
    hold(kit.store)
    assert kit.store.invalidate({"claim-1": ["extract"]}, BO) == 0
    assert kit.store.held_answers("claim-1") == []
    number = kit.store.changes()[0].change_id
    assert number is not None
    for _ in range(2):
        kit.store.undo(number, BO)
        assert len(kit.store.held_answers("claim-1")) == 1
        kit.store.redo(number, BO)
        assert kit.store.held_answers("claim-1") == []


def test_deleting_the_row_of_its_task_drops_it(kit: Kit, sql: Any) -> None:
    """That task then runs, as the promise of `task_state` is."""
    kit.run(new_record())
    hold(kit.store, new_record())
    sql("DELETE FROM task_state WHERE task_name = 'extract'")
    assert kit.store.held_answers("claim-1") == []
    assert sql("SELECT retired FROM held_answer") == [{"retired": "deleted"}]


def test_an_edited_one_is_noticed(kit: Kit, sql: Any) -> None:
    """Its text, or both its text and hash, are no longer what the entry says."""
    hold(kit.store)
    for edit in ("output = 'policy 99'", "output = 'policy 43', output_hash = 'x'", "change_id = 77"):
        sql(f"UPDATE held_answer SET {edit}")
        assert [held.intact for held in kit.store.held_answers("claim-1")] == [False]
        (problem,) = kit.store.verify()
        assert str(problem).startswith("task extract (claim-1): ")
        assert "held answer" in str(problem)


def test_pruning_spares_what_is_held(kit: Kit, sql: Any) -> None:
    """What is held no longer goes; what is held goes by its age alone."""
    hold(kit.store)
    kit.store.prune(keep_last=0)
    assert len(kit.store.held_answers("claim-1")) == 1
    number = kit.store.changes()[-1].change_id
    assert number is not None
    kit.store.undo(number, BO)
    report = kit.store.prune(dry_run=False)
    assert (report.held, str(report).split(";")[0]) == (1, "deleted 0 records, 0 runs and 0 texts, and 1 held answer")
    assert sql("SELECT * FROM held_answer") == []
    hold(kit.store)
    assert kit.store.prune(older_than=timedelta(days=1)).held == 0
    assert kit.store.prune(older_than=timedelta(0)).held == 1


def test_an_export_takes_it_along(kit: Kit, other_url: str, other_of_same_kind: str) -> None:
    """It can be adopted and undone there; importing again changes nothing; a damaged one is refused by name."""
    kit.run(new_record())
    hold(kit.store, new_record(task_name="assess", position=1))
    lines = "".join(kit.store.export_json())
    for url in (other_url, other_of_same_kind):
        with Store(url) as there:
            for _ in range(2):
                there.import_json(lines)
                assert [(held.output, held.author.by) for held in there.held_answers("claim-1")] == [("policy 43", "Ada")]
            assert there.verify() == []
            number = there.changes()[0].change_id
            assert number is not None
            there.undo(number, BO)
            there.import_json(lines)
            assert there.held_answers("claim-1") == []
            with pytest.raises(ImportFormatError, match=r"line \d+, held_answer 1: it does not give its hash"):
                there.import_json(lines.replace('"output": "policy 43"', '"output": "policy 99"'))


def test_an_export_of_before_has_none(kit: Kit, other_url: str) -> None:
    """An export without such lines is imported as ever; where both sides hold one, the one here stays."""
    hold(kit.store)
    lines = "".join(kit.store.export_json())
    with Store(other_url) as there:
        there.import_json("".join("\n" if line.startswith('{"held_answer"') else line for line in lines.splitlines(True)))
        assert there.held_answers("claim-1") == []
        hold(there, output="policy 44", author=BO)
    other = replace(new_record(), workflow_id="claim-1")
    with Store(other_url) as there:
        there.import_json(lines)
        assert [held.output for held in there.held_answers(other.workflow_id)] == ["policy 44"]


def test_several_are_completed_or_none(kit: Kit) -> None:
    """Where one of them is overtaken, the others are not kept either."""
    first, second = new_record(), new_record(task_name="assess", template="Assess", position=1)
    hold(kit.store, second)
    both = [Given(answer(first)), ToHold("claim-1", "assess", second.definition_hash, "not covered")]
    with pytest.raises(ConflictError, match="has a held answer already"):
        kit.store.complete(both, BO)
    assert kit.store.find_record(first.input_hash, "claim-1") is None
    assert len(kit.store.changes()) == 1
    (change,) = kit.store.complete([Given(answer(first), detail="imported")], BO)
    assert (change.detail, change.after) == ("imported", "policy 43")
    with pytest.raises(ConflictError, match="has another answer by now: Ada gave it at"):
        kit.store.complete([Given(answer(first))], BO)
