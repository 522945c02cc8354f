"""Runs inside runs: a tool, callback or guardrail that starts a crew waits for it, so that crew never waits back.

Which executions stand around a piece of code is kept in a context variable. CrewAI copies the context into each
thread that it starts; a thread of the user's that does not is recognised by the execution that waits for it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any

__all__ = ["executing", "waits_for_us"]

Place = tuple[str, int]  # a run, and the position of a task in it

_around: ContextVar[tuple[Place, ...]] = ContextVar("crew_repo_around", default=())
_threads: dict[Place, int] = {}


@contextmanager
def executing(run_id: str, position: int) -> Iterator[None]:
    """Around the execution of a task."""
    place = (run_id, position)
    token = _around.set((*_around.get(), place))
    _threads[place] = threading.get_ident()
    try:
        yield
    finally:
        _threads.pop(place, None)
        _around.reset(token)


def waits_for_us(run_id: str, position: int) -> bool:
    """Whether this execution cannot go on before the code that asks has ended."""
    place = (run_id, position)
    return place in _around.get() or _joins_this_thread(_threads.get(place))


def _joins_this_thread(thread: int | None) -> bool:
    """Whether a thread stands in `join`, or in `result` of a future, of the thread that asks."""
    if thread is None or thread == threading.get_ident():
        return False
    awaited = {id(this) for method, this in _callers(sys._current_frames().get(thread)) if method in _WAITING}
    here = [getattr(this, "future", this) for _, this in _callers(sys._getframe())]
    return any(id(this) in awaited for this in (threading.current_thread(), *here))


_WAITING = ("join", "result")


def _callers(frame: FrameType | None) -> Iterator[tuple[str, Any]]:
    """The methods on a stack, and their objects."""
    while frame is not None:
        this = frame.f_locals.get("self")
        if this is not None:
            yield frame.f_code.co_name, this
        frame = frame.f_back
