"""An exception out of a signal handler, at whatever moment in which a lock is taken, leaves it to others."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from crew_repo.store.dialect import Turns
from crew_repo.store.fork_gate import ForkGate

LOCKS: dict[str, Callable[[], Any]] = {
    "turns": lambda: Turns(0.05, "in use"),
    "gate": lambda: ForkGate(lambda: None),
}


class AtCall:
    """A profile function that raises where Python looks for signals: as a function begins, or one in C has returned."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, _frame: FrameType, event: str, _what: Any) -> None:
        if event in ("call", "c_return"):
            self.number -= 1
            if not self.number:
                sys.setprofile(None)
                raise KeyboardInterrupt


def was_interrupted(lock: Any, number: int) -> bool:
    """Take a lock, interrupted at one moment of that; False if it took fewer."""
    hook = AtCall(number)
    sys.setprofile(hook)
    try:
        lock.__enter__()
        sys.setprofile(None)
    except KeyboardInterrupt:
        return True
    lock.__exit__(None, None, None)
    return False


@pytest.mark.parametrize("make", LOCKS.values(), ids=LOCKS)
def test_an_interrupt_while_a_lock_is_taken_leaves_it_to_other_threads(make: Callable[[], Any]) -> None:
    """At each moment in which a signal is noticed, one after the other."""
    number, blocked = 1, []
    while was_interrupted(lock := make(), number):
        entered = threading.Event()

        def enter(lock: Any = lock, entered: threading.Event = entered) -> None:
            with lock:
                entered.set()

        threading.Thread(target=enter, daemon=True).start()
        blocked += [] if entered.wait(5) else [number]
        number += 1
    assert (number > 2, blocked) == (True, [])
