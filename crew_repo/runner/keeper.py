"""Keeps the leases and runs of this process alive while models work, in one daemon thread per store."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache

from crew_repo.errors import StoreError
from crew_repo.model import Lease
from crew_repo.store import Store

__all__ = ["Debt", "Keeper"]

log = logging.getLogger("crew_repo")

_TRIES = 3


@dataclass(slots=True, eq=False)
class Debt:
    """Something that is still to be written. Writing it twice must be the same as writing it once."""

    what: str
    writing: Callable[[], object]
    tries: int = _TRIES


class Keeper:
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
        self._leases: dict[tuple[str, str, int], Lease] = {}
        self._owed: list[Debt] = []
        self._leaving = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def hold_run(self, run_id: str) -> None:
        """Keep this run's heartbeat going."""
        self._check_fork()
        with self._lock:
            self._runs.add(run_id)
            self._ensure_thread()

    def drop_run(self, run_id: str) -> None:
        """The run has ended."""
        self._check_fork()
        with self._lock:
            self._runs.discard(run_id)
            self._stop_if_idle()

    def hold(self, lease: Lease) -> None:
        """Keep this lease alive."""
        self._check_fork()
        with self._lock:
            self._leases[_key(lease)] = lease
            self._ensure_thread()

    def drop(self, lease: Lease) -> None:
        """The work under this lease has ended."""
        self._check_fork()
        with self._lock:
            self._leases.pop(_key(lease), None)
            self._stop_if_idle()

    def owe(self, what: str, writing: Callable[[], object]) -> Debt:
        """Note what is about to be written, or could not be, until `forgive` says that it need not be any more.

        A finished task, which is paid for; a lease that could not be given back, and a run that could not be ended:
        this process lives on, so nobody would take them for those of a dead one. The next runs in this process write
        it before their first task, whichever repository they go through, and what is owed until then is written when
        the repository is closed, or the process ends.
        """
        self._check_fork()
        debt = Debt(what, writing)
        with self._lock:
            self._owed.append(debt)
            _owing.add(self)
        _settle_at_exit()
        return debt

    def forgive(self, debt: Debt) -> None:
        """It is written, or cannot be."""
        self._check_fork()
        with self._lock, suppress(ValueError):  # another run has paid it meanwhile
            self._owed.remove(debt)
            if not self._owed:
                _owing.discard(self)
        self._close_if_done()

    def pay_owed(self) -> None:
        """Write what this process owes to this state, through whichever repository, each in its order."""
        others = [each for each in list(_owing) if each is not self and each.place == self.place]
        for keeper in (*others, self):
            keeper._pay_own()

    def close(self) -> None:
        """Write what is owed, and close the store: later, if something cannot be written now, or a run goes on."""
        self._leaving = True
        self._pay_own()
        self._close_if_done()

    def _pay_own(self) -> None:
        for debt in self._unpaid():
            if not debt.tries:
                self.forgive(debt)
                log.error("%s was tried %d times and is lost", debt.what, _TRIES)

    def _close_if_done(self) -> None:
        if self._leaving and not (self._owed or self._runs or self._leases):
            self._store.close()

    def settle(self) -> None:
        """Write what is owed for the last time; what cannot be written is named in an error message."""
        for debt in self._unpaid():
            self.forgive(debt)
            log.error("%s is lost, since this was the last try", debt.what)

    @property
    def place(self) -> str:
        """Where the state is; one file has one, whatever links lead to it."""
        return os.path.realpath(self._store.display_url)

    def _unpaid(self) -> Iterator[Debt]:
        """Write down each thing that is owed by now; what could not be written. An interrupt leaves all owed."""
        self._check_fork()
        for debt in list(self._owed):
            if debt in self._owed and (not debt.tries or not self._pay(debt)):  # else another thread has written it
                yield debt

    def _pay(self, debt: Debt) -> bool:
        try:
            debt.writing()
        except StoreError as error:
            debt.tries -= 1
            log.warning("%s could not be written before, and could not be written now: %s", debt.what, error)
            return False
        except Exception:  # whatever it is, it must not stop every run from now on
            debt.tries -= 1
            raise
        self.forgive(debt)
        log.info("%s could not be written before, and is written now", debt.what)
        return True

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
                runs, leases = list(self._runs), list(self._leases.values())
            try:
                self._store.heartbeat(runs, leases)
            except StoreError as error:
                log.warning("the heartbeat of %d run(s) failed and is tried again: %s", len(runs), error)


def _key(lease: Lease) -> tuple[str, str, int]:
    return (lease.workflow_id, lease.input_hash, lease.fence)


_owing: set[Keeper] = set()  # alive until what they owe is written


@cache
def _settle_at_exit() -> None:
    """Once in a process: atexit does not forget what is registered and unregistered for each task."""
    atexit.register(_settle_all)


def _settle_all() -> None:
    with ExitStack() as each:  # what one of them raises keeps no other from writing
        for keeper in list(_owing):
            each.callback(keeper.settle)
