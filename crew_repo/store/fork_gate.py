"""Forks of a process. An open SQLite connection must not be copied into the child: it would act on the locks of its
parent, and the parent could then remove the -wal file under it. So a fork waits for the transactions in progress, and
closes the idle connections. Parent and child open new ones when they need them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from weakref import WeakSet

__all__ = ["ForkGate"]

_WAIT_SECONDS = 10.0


class ForkGate:
    """Knows which threads are in a transaction; `with gate:` around each, which costs under a microsecond.

    `on_fork` closes the idle connections.
    """

    def __init__(self, on_fork: Callable[[], None]) -> None:
        self._on_fork = on_fork
        self._torn = False
        self._forking = False
        self._pid = os.getpid()
        self._inside: dict[int, int] = {}  # how deep, by thread
        self._new_lock()
        _GATES.add(self)

    def _new_lock(self) -> None:
        """The lock itself is taken, where no signal can come between: a condition would be left locked by one."""
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def __enter__(self) -> None:
        me = threading.get_ident()
        before = self._inside.get(me, 0)
        try:
            with self._lock:
                while self._forking and not before:
                    self._changed.wait()
                self._inside[me] = before + 1
        except BaseException:
            self._leave(me, before)
            raise

    def __exit__(self, *_: object) -> None:
        me = threading.get_ident()
        self._leave(me, self._inside[me] - 1)

    def _leave(self, thread: int, depth: int) -> None:
        with self._lock:
            self._inside[thread] = depth
            if not depth:
                del self._inside[thread]
            if self._forking:
                self._changed.notify_all()

    @property
    def crossed(self) -> bool:
        """Whether this is a child with half a transaction of its parent, or one that was forked outside of Python."""
        return self._torn or self._pid != os.getpid()

    def before_fork(self) -> None:
        """Nobody enters from here on. Close what is idle, unless somebody stays inside for too long."""
        self._lock.acquire()
        self._forking = True  # waiting lets the lock go
        forking = threading.get_ident()
        if forking in self._inside or not self._changed.wait_for(lambda: not self._inside, _WAIT_SECONDS):
            self._torn = True
        else:
            self._on_fork()

    def after_in_parent(self) -> None:
        """Go on as before."""
        self._torn = self._forking = False
        self._changed.notify_all()
        self._lock.release()

    def after_in_child(self) -> None:
        """Go on with a lock of its own: the other threads of the parent are not here."""
        self._inside = {}
        self._forking = False
        self._new_lock()
        if not self._torn:
            self._pid = os.getpid()


_GATES: WeakSet[ForkGate] = WeakSet()
_HELD: list[ForkGate] = []


def _before() -> None:
    _HELD.extend(_GATES)
    for gate in _HELD:
        gate.before_fork()


def _in_parent() -> None:
    while _HELD:
        _HELD.pop().after_in_parent()


def _in_child() -> None:
    while _HELD:
        _HELD.pop().after_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
