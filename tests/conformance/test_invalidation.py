"""A task that was invalidated in one workflow is executed there next, whatever others have that share records."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from crew_repo.model import Claim, NewRecord, Outcome, Record
from crew_repo.store import Store
from crew_repo.store.process_identity import this_owner
from tests.conformance.kit import Kit, new_record, task_run

WAYS = ["invalidate", "delete"]


def _filled(kit: Kit) -> NewRecord:
    """Two workflows that have the same work done, each by itself."""
    kit.run(new_record(raw="mine"))
    kit.run(new_record(raw="theirs"), workflow_id="claim-2")
    return new_record()


def _retire(kit: Kit, sql: Any, way: str, workflow_id: str = "claim-1") -> None:
    if way == "invalidate":
        kit.store.invalidate({workflow_id: ["extract"]})
    else:
        sql(f"DELETE FROM task_state WHERE task_name = 'extract' AND workflow_id = '{workflow_id}'")


def _found(store: Store, workflow_id: str, shared_as: str | None = "extract") -> str | None:
    record = store.find_record(new_record().input_hash, workflow_id, shared_as=shared_as)
    return None if record is None else record.result.raw


def _claim(kit: Kit, workflow_id: str) -> Claim:
    run_id = kit.start(workflow_id)
    return kit.store.claim(workflow_id, new_record().input_hash, run_id=run_id, task_name="extract", position=0,
                           owner=this_owner(), shared=True)  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_it_is_executed_there_though_others_have_it(kit: Kit, sql: Any, way: str) -> None:
    """Neither looking it up nor claiming it finds what others had; their own is served to them, and to a third."""
    record = _filled(kit)
    _retire(kit, sql, way)
    assert (_found(kit.store, "claim-1"), _found(kit.store, "claim-2"), _found(kit.store, "claim-3")) == (
        None, "theirs", "theirs"
    )  # fmt: skip
    assert not kit.store.has_definition(record.definition_hash, "claim-1", shared_as="extract")
    assert kit.store.has_definition(record.definition_hash, "claim-2", shared_as="extract")
    assert _claim(kit, "claim-1").lease is not None
    claimed = _claim(kit, "claim-2").record
    assert claimed is not None
    assert claimed.result.raw == "theirs"


@pytest.mark.parametrize("way", WAYS)
def test_a_new_answer_of_others_does_not_spare_it(kit: Kit, sql: Any, way: str) -> None:
    """Whoever else executes it after that, or does so at the moment, it is executed there; then sharing goes on."""
    _filled(kit)
    _retire(kit, sql, way)
    kit.store.invalidate({"claim-2": ["extract"]})
    working = _claim(kit, "claim-2").lease
    assert working is not None
    mine = _claim(kit, "claim-1").lease
    assert mine is not None  # nobody is waited for
    theirs = new_record(raw="theirs again", workflow_id="claim-2", run_id=kit.start("claim-2"))
    kit.store.save_finished(working, theirs, task_run(theirs))
    assert _found(kit.store, "claim-1") is None
    kit.store.release(mine)
    kit.run(new_record(raw="mine again"))
    assert (_found(kit.store, "claim-1"), _found(kit.store, "claim-3")) == ("mine again", "mine again")


@pytest.mark.parametrize("way", WAYS)
def test_after_it_was_executed_there_what_is_old_is_still_not_served(kit: Kit, sql: Any, way: str) -> None:
    """Other inputs that others had answered before are asked anew; what they answer from then on is shared."""
    _filled(kit)
    (old,) = kit.run(new_record(raw="old", context="more"), workflow_id="claim-2")
    _retire(kit, sql, way)
    kit.run(new_record(raw="mine again"))
    assert kit.store.find_record(old.input_hash, "claim-1", shared_as="extract") is None
    (new,) = kit.run(new_record(raw="new", context="yet more"), workflow_id="claim-2")
    found = kit.store.find_record(new.input_hash, "claim-1", shared_as="extract")
    assert found is not None
    assert found.result.raw == "new"


def test_a_task_that_only_took_the_answer_of_others_can_be_invalidated(kit: Kit) -> None:
    """It has no record of its own; with two others that have one, it is executed all the same."""
    kept: list[Record] = []
    for workflow_id in ("claim-2", "claim-3"):
        kept += kit.run(new_record(raw=workflow_id), workflow_id=workflow_id)
    run_id = kit.start()
    note = replace(task_run(kept[-1], Outcome.REUSED), run_id=run_id, workflow_id="claim-1", record_id=kept[-1].record_id)
    kit.finish(run_id, tasks=[note])
    kit.store.invalidate({"claim-1": ["extract"]})
    assert _found(kit.store, "claim-1") is None
    assert _found(kit.store, "claim-4") == "claim-2"


def test_invalidated_everywhere_it_is_executed_everywhere(kit: Kit) -> None:
    """Also where it is recorded under this name in one workflow, and under another in the next."""
    kit.run(new_record(raw="mine"))
    kit.run(new_record("renamed", raw="theirs"), workflow_id="claim-2")
    kit.store.invalidate({None: ["extract"]})
    assert _found(kit.store, "claim-1") is None
    assert _found(kit.store, "claim-2", "renamed") == "theirs"


@pytest.mark.parametrize("way", WAYS)
def test_pruning_and_moving_do_not_forget_it(kit: Kit, sql: Any, other_url: str, way: str) -> None:
    """Neither deleting what is retired nor an export lets what others had be served."""
    _filled(kit)
    _retire(kit, sql, way)
    kit.store.prune()
    assert _found(kit.store, "claim-1") is None
    with Store(other_url) as other:
        there = Kit(other, _numbers=count(100))
        there.run(new_record("elsewhere", template="E"), workflow_id="claim-9")
        for _ in range(2):
            other.import_json(kit.store.export_json())
            assert (_found(other, "claim-1"), _found(other, "claim-2")) == (None, "theirs")
        there.run(new_record(raw="mine again"))
        assert _found(other, "claim-1") == "mine again"


def test_where_nothing_is_shared_nothing_changes(kit: Kit, sql: Any) -> None:
    """A workflow of its own is executed after an invalidation, and served after that."""
    _filled(kit)
    _retire(kit, sql, "invalidate")
    assert (_found(kit.store, "claim-1", None), _found(kit.store, "claim-2", None)) == (None, "theirs")
    kit.run(new_record(raw="mine again"))
    assert _found(kit.store, "claim-1", None) == "mine again"
