"""The heartbeat: writes every few seconds that this process lives, so that no other one takes over its tasks."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection

from crew_repo.model import Lease
from crew_repo.store import Store

__all__ = ["Heartbeat"]

log = logging.getLogger("crew_repo")


class Heartbeat:
    """Renews what was given to it every `interval_seconds`, until it is taken back.

    The thread starts with the first lease or run and ends when there is none; a forked child starts its own.
    """

    def __init__(self, store: Store, interval_seconds: float) -> None:
        self._store = store
        self._interval_seconds = interval_seconds
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._runs: set[str] = set()
        self._leases: dict[tuple[str, str, int], tuple[str, Lease]] = {}  # and the run that holds it
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def hold_run(self, run_id: str) -> None:
        """Keep this run's heartbeat going."""
        self._check_fork()
        with self._lock:
            self._runs.add(run_id)
            self._ensure_thread()

    def drop_run(self, run_id: str, going_on: Collection[int] = ()) -> None:
        """Let the heartbeat of a run end with it, and those of its leases: but for those with a fence in `going_on`."""
        self._check_fork()
        with self._lock:
            self._runs.discard(run_id)
            held = self._leases.items()
            self._leases = {key: (run, lease) for key, (run, lease) in held if run != run_id or lease.fence in going_on}
            self._stop_if_idle()

    @property
    def is_busy(self) -> bool:
        """Whether a run or a lease of this process goes on."""
        self._check_fork()
        return bool(self._runs or self._leases)

    def hold(self, run_id: str, lease: Lease) -> None:
        """Keep this lease of a run alive."""
        self._check_fork()
        with self._lock:
            self._leases[_key(lease)] = run_id, lease
            self._ensure_thread()

    def drop(self, lease: Lease) -> None:
        """Stop renewing the lease of work that has ended."""
        self._check_fork()
        with self._lock:
            self._leases.pop(_key(lease), None)
            self._stop_if_idle()

    def _check_fork(self) -> None:
        if self._pid != os.getpid():
            self._reset()

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._wake = threading.Event()
            self._thread = threading.Thread(target=self._beat, args=(self._wake,), name="crew_repo", daemon=True)
            self._thread.start()

    def _stop_if_idle(self) -> None:
        if not self._runs and not self._leases:
            self._wake.set()
            self._thread = None

    def _beat(self, wake: threading.Event) -> None:
        while not wake.wait(self._interval_seconds):
            with self._lock:
                runs, leases = list(self._runs), [lease for _, lease in self._leases.values()]
            try:
                self._store.heartbeat(runs, leases)
            except Exception as error:  # noqa: BLE001 - without a heartbeat, another process would pay for the task again
                log.warning("that %d run(s) go on could not be written; it is tried again: %s", len(runs), error)


def _key(lease: Lease) -> tuple[str, str, int]:
    return (lease.workflow_id, lease.input_hash, lease.fence)
