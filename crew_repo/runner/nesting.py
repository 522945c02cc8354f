"""Runs inside runs: a tool that starts a crew waits for it, so that crew must never wait for the task of that tool.

Which executions stand around a piece of code is kept in a context variable. CrewAI copies the context into each
thread that it starts. A thread of the user's starts with an empty one, and so does work that is given to a pool, so
this variable alone is handed on to both: as Python itself can do from 3.14 on (`thread_inherit_context`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context, ContextVar
from functools import cache, wraps
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["executing", "waits_for_us"]

Place = tuple[str, int]  # a run, and the position of a task in it

_around: ContextVar[tuple[Place, ...] | None] = ContextVar("crew_repo_around", default=None)
_started_in: WeakKeyDictionary[threading.Thread, tuple[Place, ...]] = WeakKeyDictionary()


@contextmanager
def executing(run_id: str, position: int) -> Iterator[None]:
    """Around the execution of a task."""
    _hand_on_to_threads()
    token = _around.set((*_places(), (run_id, position)))
    try:
        yield
    finally:
        _around.reset(token)


def waits_for_us(run_id: str, position: int) -> bool:
    """Whether this code was started by that execution, which most likely waits for it."""
    return (run_id, position) in _places()


def _places() -> tuple[Place, ...]:
    found = _around.get()
    return _started_in.get(threading.current_thread(), ()) if found is None else found


@cache
def _hand_on_to_threads() -> None:
    """Once in a process, and for good: others may have wrapped these two by the time that an execution ends."""
    start = threading.Thread.start
    submit: Callable[..., Future[Any]] = ThreadPoolExecutor.submit

    @wraps(start)
    def start_inside(self: threading.Thread) -> None:
        if places := _places():
            _started_in[self] = places
        start(self)

    @wraps(submit)
    def submit_inside(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        places = _places()
        if not places:
            return submit(self, fn, *args, **kwargs)
        token = _around.set(())  # a thread that the pool starts for this will do other work after it
        try:
            if _knows(fn):
                return submit(self, fn, *args, **kwargs)
            return submit(self, _inside, places, fn, *args, **kwargs)
        finally:
            _around.reset(token)

    threading.Thread.start = start_inside  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = submit_inside  # type: ignore[method-assign, assignment]


def _knows(fn: Callable[..., Any]) -> bool:
    """Whether it runs in a context that was copied inside an execution, as the handlers of CrewAI's events do."""
    context = getattr(fn, "__self__", None)
    return isinstance(context, Context) and context.get(_around) is not None


def _inside(places: tuple[Place, ...], fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Noted for the thread, since `fn` may bring a context of its own, copied where only the thread was known."""
    this = threading.current_thread()
    before = _started_in.get(this, ())
    _started_in[this] = places
    try:
        return fn(*args, **kwargs)
    finally:
        _started_in[this] = before
