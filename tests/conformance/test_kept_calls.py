"""The journal of calls inside tasks that have not finished, on every database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from crew_repo.model import CallKind, KeptCall, Lease, NewRecord, Usage
from crew_repo.store import Store
from tests.conformance.kit import DEAD, Kit, new_record, now, task_run


def call(number: int, lease: Lease, kind: CallKind = CallKind.MODEL) -> KeptCall:
    """A call, told from others by its number."""
    return KeptCall(kind, f"{number:064}", 1, f'"answer {number}"', run_id="run-1", input_hash=lease.input_hash,
                    called_at=now(), usage=Usage(10, 7, 3, 0, 1))  # fmt: skip


def begun(kit: Kit, *, owner: str | None = None, **members: str) -> tuple[NewRecord, Lease]:
    """A record to come, and the lease of its work."""
    run_id = kit.start(members.get("workflow_id", "claim-1"), owner=owner)
    record = new_record(run_id=run_id, **members)
    return record, kit.lease(record, owner=owner)


def values(store: Store, lease: Lease, task_name: str = "extract") -> list[str]:
    """What is found of a task, for whoever holds this lease."""
    return [found.value for found in store.kept_calls(lease.workflow_id, task_name, lease.input_hash)]


def test_calls_come_back_as_they_were_kept(kit):
    """Every member of a call is found again, in the order in which calls were kept."""
    _, lease = begun(kit)
    kept = [call(1, lease), call(2, lease, CallKind.TOOL), call(3, lease, CallKind.ERROR)]
    assert [kit.store.keep_call(lease, "extract", each) for each in kept] == [True, True, True]
    found = kit.store.kept_calls(lease.workflow_id, "extract", lease.input_hash)
    assert [replace(each, call_id=None) for each in found] == kept


def test_a_call_is_kept_by_whoever_holds_the_lease_alone(kit):
    """Whoever has lost the lease, or given it back, adds nothing."""
    _, lease = begun(kit)
    kit.store.release(lease)
    assert not kit.store.keep_call(lease, "extract", call(1, lease))
    assert values(kit.store, lease) == []


def test_the_record_and_the_journal_change_in_one_transaction(kit):
    """A task that has its record has no calls any more; those of other tasks and other work stay."""
    record, lease = begun(kit)
    _, other = begun(kit, context="of another task")
    kit.store.keep_call(lease, "extract", call(1, lease))
    kit.store.keep_call(other, "extract", call(1, other))
    kit.store.save_finished(lease, record, task_run(record))
    assert (values(kit.store, lease), values(kit.store, other)) == ([], ['"answer 1"'])


def test_work_that_others_execute_is_not_found(kit):
    """Calls of a task with other inputs are found when its process is gone, and not while it works."""
    _, lease = begun(kit)
    _, alive = begun(kit, context="alive")
    _, dead = begun(kit, context="dead", owner=DEAD)
    kit.store.keep_call(alive, "extract", call(1, alive))
    kit.store.keep_call(dead, "extract", call(2, dead))
    assert values(kit.store, lease) == ['"answer 2"']


def test_what_is_taken_over_goes_with_the_record(kit):
    """Calls of a dead process that an execution goes on from are dropped with its record."""
    record, lease = begun(kit)
    _, dead = begun(kit, context="dead", owner=DEAD)
    kit.store.keep_call(dead, "extract", call(2, dead))
    kit.store.take_over_calls(lease, "extract", dead.input_hash)
    kit.store.save_finished(lease, record, task_run(record))
    assert values(kit.store, dead) == []


def test_the_last_calls_can_be_dropped(kit):
    """A call goes with all that were kept after it."""
    _, lease = begun(kit)
    for number in (1, 2, 3):
        kit.store.keep_call(lease, "extract", call(number, lease))
    second = kit.store.kept_calls(lease.workflow_id, "extract", lease.input_hash)[1]
    kit.store.drop_calls(lease, "extract", first=second.call_id)
    assert values(kit.store, lease) == ['"answer 1"']
    kit.store.drop_calls(lease, "extract")
    assert values(kit.store, lease) == []


def test_what_is_kept_is_summed_up(kit):
    """Plans know how much is kept of a task that nobody executes; what a tool cost is what models cost inside it."""
    _, lease = begun(kit, owner=DEAD)
    for number, kind in enumerate((CallKind.MODEL, CallKind.TOOL, CallKind.MODEL)):
        kit.store.keep_call(lease, "extract", call(number, lease, kind))
    (found,) = kit.store.resumable("claim-1").values()
    assert (found.model_calls, found.tool_calls, found.total_tokens) == (2, 1, 20)


def test_work_that_goes_on_is_not_summed_up(kit):
    """A task that is being executed does not resume."""
    _, lease = begun(kit)
    kit.store.keep_call(lease, "extract", call(1, lease))
    assert kit.store.resumable("claim-1") == {}


def test_invalidating_a_task_forgets_its_calls(kit):
    """Those of a task that others execute stay."""
    kit.run(new_record())
    _, dead = begun(kit, context="dead", owner=DEAD)
    kit.store.keep_call(dead, "extract", call(1, dead))
    kit.store.invalidate({"claim-1": ["extract"]})
    assert values(kit.store, dead) == []


def test_prune_deletes_what_nobody_goes_on_from(kit):
    """Calls that are older than a record of their task go; or, by `older_than`, those from before."""
    _, dead = begun(kit, context="dead", owner=DEAD)
    kit.store.keep_call(dead, "extract", call(1, dead))
    assert kit.store.prune().calls == 0
    kit.run(new_record())
    assert (kit.store.prune(dry_run=True).calls, kit.store.prune().calls, kit.store.prune().calls) == (1, 1, 0)
    kit.store.keep_call(dead, "extract", call(2, dead))
    assert kit.store.prune(older_than=timedelta(days=1)).calls == 0
