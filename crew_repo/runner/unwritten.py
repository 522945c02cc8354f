"""Unwritten answers: what could not be written yet is kept and tried again, so that no paid answer is lost."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from crew_repo.errors import RunGoneError, StoreError
from crew_repo.model import NewRecord, Record
from crew_repo.store import Store

__all__ = ["Debt", "Finished", "Unwritten", "WorkKey"]

log = logging.getLogger("crew_repo")

_TRIES = 3

WorkKey: TypeAlias = "tuple[str, str]"
"""The workflow and the input hash by which an answer is found."""


@dataclass(slots=True, eq=False)
class Debt:
    """Something that is still to be written. Writing it twice must be the same as writing it once.

    `about` has the fields of what the log says of it. `work`: what it is the answer to.
    """

    what: str
    writing: Callable[[], object]
    about: Mapping[str, object]
    work: WorkKey | None = None
    tries: int = _TRIES


class Unwritten:
    """Debts of one process to one store, written as soon as they can be. A forked child owes nothing."""

    def __init__(self, store: Store, is_busy: Callable[[], bool] = lambda: False) -> None:
        self._store, self._is_busy = store, is_busy
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._owed: list[Debt] = []
        self._leaving = False

    @property
    def place(self) -> str:
        """The place of the state; one file has one, whatever links lead to it."""
        return os.path.realpath(self._store.display_url)

    def owe(
        self,
        what: str,
        writing: Callable[[], object],
        about: Mapping[str, object] | None = None,
        work: WorkKey | None = None,
    ) -> Debt:
        """Note what is about to be written, or could not be, until `forgive` says that it need not be any more.

        A finished task, which is paid for; a lease that could not be given back, and a run that could not be ended:
        this process lives on, so nobody would take them for those of a dead one. The next runs in this process write
        it before their first task, whichever repository they go through, and what is owed until then is written when
        the repository is closed, or the process ends. An answer is not given up before that.
        """
        self._check_fork()
        debt = Debt(what, writing, about or {}, work)
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

    def pay(self) -> bool:
        """Write what this process owes to this state, through whichever repository, each in its order.

        Whether it owed anything.
        """
        here = self._here()
        owed = any(unwritten._owed for unwritten in here)
        for unwritten in here:
            unwritten._pay_own()
        return owed

    def write_answer(self, work: WorkKey) -> None:
        """Write the answer to this work, if it is owed: nobody may pay for it again. Raises StoreError if it fails."""
        for unwritten in self._here():
            for debt in [each for each in list(unwritten._owed) if each.work == work]:
                error = unwritten._pay(debt)
                if error is not None:
                    why = f"{debt.what} is still to be written, so it is not executed again: {error}"
                    raise type(error)(why) from error

    def _here(self) -> list[Unwritten]:
        """The debtors to this state, this one last."""
        return [*(each for each in list(_owing) if each is not self and each.place == self.place), self]

    def close(self) -> None:
        """Write what is owed, and close the store: later, if something cannot be written now, or a run goes on."""
        self._leaving = True
        self._pay_own()
        self._close_if_done()

    def _pay_own(self) -> None:
        for debt in self._unpaid():
            if not debt.tries:
                self.forgive(debt)
                log.error("%s was tried %d times and is lost", debt.what, _TRIES, extra=debt.about)

    def _close_if_done(self) -> None:
        if self._leaving and not self._owed and not self._is_busy():
            self._store.close()

    def settle(self) -> None:
        """Write what is owed for the last time; what cannot be written is named in an error message."""
        for debt in self._unpaid():
            self.forgive(debt)
            log.error("%s is lost, since this was the last try", debt.what, extra=debt.about)

    def _unpaid(self) -> Iterator[Debt]:
        """Write down each thing that is owed by now; what could not be written. An interrupt leaves all owed."""
        self._check_fork()
        for debt in list(self._owed):
            if debt not in self._owed:  # another thread has written it
                continue
            if not debt.tries or self._pay(debt) is not None:
                yield debt

    def _pay(self, debt: Debt) -> StoreError | None:
        """Write it down, if it is not known to be gone; why it cannot be written."""
        try:
            debt.writing()
        except RunGoneError:
            self.forgive(debt)
            log.info("%s could not be written before, and its run is gone", debt.what, extra=debt.about)
            return None
        except StoreError as error:
            if debt.work is None:
                debt.tries -= 1
            log.warning("%s could not be written before, and could not be written now: %s", debt.what, error,
                        extra=debt.about)  # fmt: skip
            return error
        except Exception:  # whatever it is, it must not stop every run from now on
            debt.tries -= 1
            raise
        self.forgive(debt)
        log.info("%s could not be written before, and is written now", debt.what, extra=debt.about)
        return None

    def _check_fork(self) -> None:
        if self._pid != os.getpid():
            self._reset()


class Finished:
    """Writes down a finished task. It may be called again after whatever was raised: the store keeps it once.

    `make` gives the record; with False, one of the answer's text alone. `save` writes it.
    """

    def __init__(self, make: Callable[[bool], NewRecord], save: Callable[[NewRecord], Record]) -> None:
        self._make, self._save = make, save
        self._new: NewRecord | None = None
        self._raised = False

    def __call__(self) -> tuple[NewRecord, Record]:
        """Make the record once, and save it; also what the store goes on with."""
        if self._new is None:
            self._new = self._made()
        return self._new, self._save(self._new)

    def _made(self) -> NewRecord:
        """Make the record. An error may come once out of a signal handler; if it comes again, it always will."""
        try:
            return self._make(True)
        except Exception:
            if self._raised:
                return self._make(False)
            self._raised = True
            raise


_owing: set[Unwritten] = set()  # alive until what they owe is written


@cache
def _settle_at_exit() -> None:
    """Once in a process: atexit does not forget what is registered and unregistered for each task."""
    atexit.register(_settle_all)


def _settle_all() -> None:
    with ExitStack() as each:  # what one of them raises keeps no other from writing
        for unwritten in list(_owing):
            each.callback(unwritten.settle)
