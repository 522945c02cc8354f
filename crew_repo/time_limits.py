"""Exceptions that a signal's handler raises, as time limits do: `signal.alarm`, Celery's soft limit.

They strike any code. Where the faults of a value's own code are named or passed over, these must go through: else the
limit is lost, and a task that was fresh counts as changed.
"""

from __future__ import annotations

import signal
from contextlib import suppress
from traceback import walk_tb
from types import TracebackType

__all__ = ["faults", "let_through"]


def let_through(error: BaseException) -> None:
    """Raise an exception again, where it is caught, if a signal's handler is on the way to where it was raised."""
    trace = error.__traceback__ and error.__traceback__.tb_next  # the first frame is that of whoever has caught it
    if trace is not None:
        handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()}
        if any(frame.f_code in handlers for frame, _ in walk_tb(trace)):
            raise error


class _Faults(suppress):
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            let_through(error)
        return bool(super().__exit__(kind, error, trace))


def faults() -> suppress:
    """Pass over what a value's own code raises, in a `with` statement."""
    return _Faults(Exception)
