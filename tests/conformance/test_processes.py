"""Threads, forks, other processes, kills, copies by pickle."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crew_repo.errors import ForkedConnectionError, StoreError
from crew_repo.model import RunStatus
from crew_repo.store import Store, fork_gate
from tests.conformance.kit import Kit, new_record, task_run
from tests.processes import forkserver

pytestmark = pytest.mark.siege


def _in_child(work: Callable[[], object]) -> int:
    """Fork, work, and leave; the exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may get out of the child
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_uses_the_store(kit: Kit) -> None:
    """Parent and child go on with the same object, on connections of their own; nothing is lost."""
    kit.run(new_record())

    def work() -> None:
        assert Kit(kit.store).owner != kit.owner
        run_id = Kit(kit.store).start(run_id="child")
        Kit(kit.store).execute(new_record("draft", template="D", run_id=run_id))

    for _ in range(1):
        assert _in_child(work) == 0
    kit.run(new_record("third", template="T"))
    assert [state.task_name for state in kit.store.states()] == ["draft", "extract", "third"]
    assert kit.store.get_run("child").status is RunStatus.INTERRUPTED  # type: ignore[union-attr]
    assert kit.store.verify() == []


def test_forks_wait_for_transactions(kit: Kit) -> None:
    """Forks while other threads write: every child works, and every record of the parent is there."""
    run_id = kit.start()
    records = [new_record(f"t{n}", context=str(n), position=n, run_id=run_id) for n in range(60)]
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(kit.execute, record) for record in records]
        statuses = [_in_child(lambda: kit.store.heartbeat([run_id], [])) for _ in range(5)]
        for future in futures:
            future.result()
    assert statuses == [0] * 5
    assert len(kit.finish(run_id).executed) == 60


def test_a_fork_does_not_wait_for_threads_that_come_after_it(kit: Kit) -> None:
    """While many threads read one transaction after the other, none begins while a fork waits, and the child works."""
    kit.run(new_record())
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            kit.store.history("extract")

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    statuses = [_in_child(lambda: kit.store.history("extract")) for _ in range(3)]
    stop.set()
    for thread in threads:
        thread.join()
    assert statuses == [0] * 3


def test_a_fork_in_the_middle_of_a_transaction_is_refused(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child gets a clear error, and the parent goes on."""
    monkeypatch.setattr(fork_gate, "_WAIT_SECONDS", 0.1)
    kit.start()
    inside, leave = threading.Event(), threading.Event()

    def linger() -> None:
        with kit.store._writing():
            inside.set()
            leave.wait()

    def work() -> None:
        with pytest.raises(ForkedConnectionError, match="forked while its parent was writing"):
            kit.store.list_runs()
        kit.store.close()

    thread = threading.Thread(target=linger)
    thread.start()
    inside.wait()
    status = _in_child(work)
    leave.set()
    thread.join()
    assert status == 0
    kit.finish(kit.start())


def _run_one(store: Store, number: int) -> str:
    kit = Kit(store)
    run_id = kit.start(run_id=f"run-{number}")
    record = kit.execute(new_record(f"t{number}", context=str(number), position=number, run_id=run_id))
    kit.finish(run_id)
    return record.task_name


@pytest.mark.parametrize("context", [multiprocessing.get_context("fork"), forkserver], ids=["fork", "forkserver"])
def test_process_pools_share_a_state(store: Store, context: Any) -> None:
    """The store itself is sent to the workers; they write at once, without an error."""
    with ProcessPoolExecutor(3, mp_context=context) as pool:
        names = list(pool.map(_run_one, [store] * 12, range(12)))
    assert store.task_names() == names
    assert all(run.status is RunStatus.COMPLETED for run in store.list_runs())


def test_a_copy_by_pickle_opens_the_same_state(store: Store) -> None:
    """With the same settings; no connection is carried along."""
    Kit(store).run(new_record())
    with pickle.loads(pickle.dumps(store)) as copy:
        assert copy.states() == store.states()
        assert copy.url == store.url


def test_closing(store: Store) -> None:
    """Closing twice is fine; using a closed store is a clear error."""
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.list_runs()
    with pytest.raises(StoreError, match="is closed"):
        store.heartbeat(["x"], [])


def test_reading_waits_for_no_writer(kit: Kit) -> None:
    """While a transaction writes, others read what was there before."""
    kit.run(new_record())
    with kit.store._writing() as tx:
        tx.connection.exec_driver_sql("UPDATE record SET output = 'x'")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(kit.store.states).result()[0].output == "policy 42"


def test_what_a_killed_process_saved_is_there(url: str, tmp_path: Path) -> None:
    """kill -9 right after a save: the record is there, the run is interrupted, and its work is free at once."""
    script = f"""
        import os, sys
        from crew_repo.store import Store
        from tests.conformance.kit import Kit, new_record
        kit = Kit(Store({url!r}))
        kit.start(run_id="killed")
        kit.execute(new_record(run_id="killed"))
        kit.lease(new_record("draft", template="D", position=1, run_id="killed"))
        print("saved", flush=True)
        sys.stdin.read()
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdin=-1, stdout=-1)
    assert child.stdout is not None
    assert child.stdout.readline() == b"saved\n"
    with Store(url) as store:
        kit = Kit(store)
        draft = new_record("draft", template="D", position=1)
        place = {"task_name": "draft", "position": 1, "owner": kit.owner}
        assert store.list_runs()[0].status is RunStatus.RUNNING
        assert store.claim("claim-1", draft.input_hash, run_id="killed", **place).held_by is not None  # type: ignore[arg-type]
        child.send_signal(signal.SIGKILL)  # not waited for: a zombie is dead too
        while store.list_runs()[0].status is RunStatus.RUNNING:
            pass
        assert store.list_runs()[0].executed == ["extract"]
        assert store.list_runs()[0].interrupted == ["draft"]
        mine = replace(draft, run_id=kit.start(run_id="next"))
        store.save_finished(kit.lease(mine), mine, task_run(mine))
        assert store.verify() == []
    child.communicate()


def test_threads_that_open_a_new_database_at_once_find_it_open(url: str) -> None:
    """The first to write creates it; whoever reads meanwhile sees nothing, or what is there."""
    for round_ in range(15):
        with Store(url) as store, ThreadPoolExecutor(8) as pool:
            barrier = threading.Barrier(8)

            def begin(number: int, store: Store = store, barrier: Any = barrier, round_: int = round_) -> None:
                barrier.wait()
                Kit(store).start(run_id=f"run-{round_}-{number}")
                store.heads("claim-1")

            assert list(pool.map(begin, range(8))) == [None] * 8
