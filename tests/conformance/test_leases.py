"""Single flight: one executes, the others wait; who is gone or late stands in nobody's way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from crew_repo.errors import StoreError
from crew_repo.model import Claim, Lease, NewRecord, Outcome, RunStatus
from crew_repo.store import Store, leases
from crew_repo.store.process_identity import this_owner
from tests.conformance.kit import DEAD, ELSEWHERE, Clock, Kit, new_record, task_run


def _claim(store: Store, record: NewRecord, owner: str | None = None, **more: Any) -> Claim:
    place = {"run_id": record.run_id, "task_name": record.task_name, "position": record.position}
    return store.claim(record.workflow_id, record.input_hash, owner=owner or this_owner(), **place, **more)


@contextmanager
def leased(url: str, owner: str | None = None) -> Iterator[tuple[Kit, Clock, NewRecord, Lease]]:
    """A task under a lease of ten seconds; the clock of its store stands until it is advanced."""
    clock = Clock()
    with Store(url, clock=clock, lease_seconds=10) as store:
        kit = Kit(store)
        record = new_record(run_id=kit.start(owner=owner))
        yield kit, clock, record, kit.lease(record, owner=owner)


def test_the_second_claim_waits(kit: Kit) -> None:
    """While a lease is held, others learn by whom; also another thread of the very same process."""
    record = new_record(run_id=kit.start())
    kit.lease(record)
    held_by = _claim(kit.store, record).held_by
    assert held_by is not None
    assert (held_by.owner, held_by.run_id, held_by.task_name) == (this_owner(), record.run_id, "extract")


def test_a_claim_of_finished_work_is_the_record(kit: Kit) -> None:
    """Whoever comes after the record was saved gets it; who must run it anyway gets a lease."""
    run_id = kit.start()
    record = new_record(run_id=run_id)
    kept = kit.execute(record)
    claim = _claim(kit.store, record)
    assert claim.record is not None
    assert claim.record.record_id == kept.record_id
    assert _claim(kit.store, record, take_finished=False).lease is not None


def test_shared_work_is_waited_for_in_any_workflow(kit: Kit) -> None:
    """Where records are shared, so is the work: who does it in another workflow is waited for, and its record taken."""
    here = new_record(run_id=kit.start())
    there = replace(here, workflow_id="claim-2", run_id=kit.start("claim-2"))
    lease = kit.lease(here)
    held_by = _claim(kit.store, there, shared=True).held_by
    assert held_by is not None
    assert (held_by.owner, held_by.run_id) == (this_owner(), here.run_id)
    kept = kit.store.save_finished(lease, here, task_run(here))
    claim = _claim(kit.store, there, shared=True)
    assert claim.record is not None
    assert claim.record.record_id == kept.record_id


def test_shared_work_is_not_saved_while_another_workflow_claims_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the two meet, the second gets the record or waits: it is never told to do the same work again."""
    with Store(url) as one, Store(url) as two:
        here = new_record(run_id=Kit(one).start(run_id="here"))
        there = replace(here, workflow_id="claim-2", run_id=Kit(two).start("claim-2", run_id="there"))
        lease = _claim(one, here, shared=True).lease
        saving = threading.Thread(target=one.save_finished, args=(lease, here, task_run(here)))
        is_finished = leases.is_finished

        def looks(*arguments: Any) -> bool:
            found = is_finished(*arguments)
            if not saving.ident:
                saving.start()
                saving.join(0.5)  # time to be saved, if nothing holds it up
            return found

        monkeypatch.setattr(leases, "is_finished", looks)
        claim = _claim(two, there, shared=True)
        saving.join()
        assert claim.lease is None
        assert _claim(two, there, shared=True).record is not None


def test_work_that_is_not_shared_is_done_in_each_workflow(kit: Kit) -> None:
    """Neither the lease nor the record of another workflow counts."""
    here = new_record(run_id=kit.start())
    there = replace(here, workflow_id="claim-2", run_id=kit.start("claim-2"))
    kit.lease(here)
    assert _claim(kit.store, there).lease is not None


def test_a_dead_process_in_another_workflow_is_not_waited_for(kit: Kit) -> None:
    """Its lease stays for its own workflow to find."""
    here = new_record(run_id=kit.start(owner=DEAD))
    there = replace(here, workflow_id="claim-2", run_id=kit.start("claim-2"))
    kit.lease(here, owner=DEAD)
    assert _claim(kit.store, there, shared=True).lease is not None


def test_released_work_is_free(kit: Kit) -> None:
    """A released lease is gone; releasing it again does nothing."""
    record = new_record(run_id=kit.start())
    lease = kit.lease(record)
    kit.store.release(lease)
    kit.store.release(lease)
    assert kit.lease(record).fence > lease.fence


def test_a_fence_is_never_used_again(kit: Kit) -> None:
    """The number grows with every lease, also after all leases are gone."""
    record = new_record(run_id=kit.start())
    fences = []
    for _ in range(3):
        lease = kit.lease(record)
        fences.append(lease.fence)
        kit.store.release(lease)
    assert fences == sorted(set(fences))


def test_work_of_a_killed_process_is_taken_over_at_once(kit: Kit) -> None:
    """An owner on this host that is gone need not be waited for; its run is noted as interrupted there."""
    record = new_record(run_id=kit.start(owner=DEAD))
    old = kit.lease(record, owner=DEAD)
    mine = kit.lease(replace(record, run_id=kit.start("claim-1")))
    assert mine.fence > old.fence
    assert kit.store.get_run("run-1").interrupted == ["extract"]  # type: ignore[union-attr]


def test_work_of_a_silent_host_is_taken_over_in_time(url: str) -> None:
    """An owner on another host is waited for as long as its lease lasts, and heartbeats make it last."""
    with leased(url, ELSEWHERE) as (kit, clock, record, lease):
        clock.advance(9)
        kit.store.heartbeat(["run-1"], [lease])
        clock.advance(9)
        assert _claim(kit.store, record).held_by.owner == ELSEWHERE  # type: ignore[union-attr]
        clock.advance(2)
        assert _claim(kit.store, record).lease is not None


def test_work_of_a_process_that_lives_is_waited_for_however_late_its_heartbeat_is(url: str) -> None:
    """It was suspended, or a library kept Python from beating, or a clock was set: taken over, its task is paid twice."""
    with leased(url) as (kit, clock, record, old):
        clock.advance(24 * 60 * 60)
        assert _claim(kit.store, record).held_by is not None
        kit.store.heartbeat([], [old])
        assert _claim(kit.store, record, take_late=True).held_by.owner == this_owner()  # type: ignore[union-attr]
        clock.advance(11)
        assert _claim(kit.store, record, take_late=True).lease is not None


def test_a_late_lease_whose_run_has_ended_is_free(url: str) -> None:
    """What went on after its run, and is not renewed any more, keeps nobody waiting for the end of its process."""
    with leased(url) as (kit, clock, record, old):
        kit.finish(record.run_id, RunStatus.INTERRUPTED, going_on=[old.fence])
        again = replace(record, run_id=kit.start())
        assert _claim(kit.store, again).held_by is not None
        clock.advance(11)
        assert _claim(kit.store, again).lease is not None


def test_a_heartbeat_cannot_bring_a_lost_lease_back(url: str) -> None:
    """Once taken over, the old owner's heartbeat renews nothing of the new one's."""
    with leased(url, ELSEWHERE) as (kit, clock, record, old):
        clock.advance(11)
        kit.lease(record, owner=ELSEWHERE)
        clock.advance(9)
        kit.store.heartbeat([], [old])
        kit.store.release(old)
        clock.advance(2)
        assert _claim(kit.store, record).lease is not None


def test_who_was_overtaken_does_not_overwrite(kit: Kit) -> None:
    """The late one's answer is kept as superseded, and it goes on with the answer that others have read."""
    first, second = new_record(raw="late", run_id=kit.start()), new_record(raw="first", run_id=kit.start())
    lost = kit.lease(first, owner=DEAD)
    winner = kit.execute(second)
    answer = kit.store.save_finished(lost, first, task_run(first))
    assert (answer.record_id, answer.result.raw) == (winner.record_id, "first")
    assert kit.store.find_record(first.input_hash, "claim-1").result.raw == "first"  # type: ignore[union-attr]
    assert [(r.result.raw, r.retired) for r in kit.store.history("extract")][::-1] in (
        [("late", "superseded"), ("first", None)],
        [("first", None), ("late", "superseded")],
    )


def test_who_was_overtaken_but_finished_first_is_served(kit: Kit) -> None:
    """A finished task is never lost: if the new owner is still at work, the late answer may be served."""
    record = new_record(raw="late", run_id=kit.start())
    lost = kit.lease(record, owner=DEAD)
    held = kit.lease(replace(record, run_id=kit.start()))
    assert kit.store.save_finished(lost, record, task_run(record)).retired is None
    assert kit.store.find_record(record.input_hash, "claim-1").result.raw == "late"  # type: ignore[union-attr]
    kit.store.release(held)


def test_who_was_overtaken_in_a_forced_run_replaces_what_was_there_before(kit: Kit) -> None:
    """A record from before the lease is not one that overtook it."""
    kit.run(new_record(raw="old"))
    record = new_record(raw="forced", run_id=kit.start())
    lost = kit.lease(record, take_finished=False)
    kit.store.release(lost)
    kit.store.save_finished(lost, record, task_run(record))
    assert kit.store.find_record(record.input_hash, "claim-1").result.raw == "forced"  # type: ignore[union-attr]


def test_other_work_is_not_held(kit: Kit) -> None:
    """A lease is for one input hash in one workflow."""
    kit.lease(new_record(run_id=kit.start()))
    kit.lease(new_record(run_id="run-1", template="another"))
    kit.lease(new_record(run_id="run-1", workflow_id="claim-2"))


def test_leases_end_with_their_run(kit: Kit) -> None:
    """What a run failed to release is free when the run is over."""
    record = new_record(run_id=kit.start())
    kit.lease(record)
    kit.finish("run-1", RunStatus.FAILED)
    kit.lease(replace(record, run_id=kit.start()))


def test_a_claim_of_a_run_that_is_not_there_is_refused(kit: Kit) -> None:
    """As after the file was replaced: a clear error, and nothing written."""
    kit.start()
    with pytest.raises(StoreError, match="does not have the run"):
        _claim(kit.store, new_record(run_id="nobody"))


def test_of_many_threads_one_executes(kit: Kit) -> None:
    """Sixteen threads claim the same work at once: one lease, and the others wait."""
    record = new_record(run_id=kit.start())
    ready = threading.Barrier(16)

    def race(_: int) -> Claim:
        ready.wait()
        return _claim(kit.store, record)

    with ThreadPoolExecutor(16) as pool:
        claims = list(pool.map(race, range(16)))
    assert sum(claim.lease is not None for claim in claims) == 1
    assert sum(claim.held_by is not None for claim in claims) == 15


def test_many_threads_save_at_once(kit: Kit) -> None:
    """Writers do not get in each other's way: every record is there, and no error is raised."""
    run_id = kit.start()
    records = [new_record(f"t{n}", f"out {n}", context=str(n), position=n, run_id=run_id) for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(kit.execute, records))
    assert len(kit.finish(run_id).executed) == 40
    assert all(task.outcome is Outcome.EXECUTED for task in kit.store.list_runs()[0].tasks)
