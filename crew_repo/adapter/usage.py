"""Tokens, attributed to the task that spent them, also while async tasks share one LLM.

CrewAI counts per LLM object, cumulatively. For the length of a run the counting method of each LLM of the crew
is overridden on the object: what a call adds is credited to the meter that the calling context carries (threads
and asyncio tasks of a task inherit its context). What an LLM adds by other means is seen as the difference of
its public summary, which is right as long as one task runs at a time.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from crewai.llms.base_llm import BaseLLM

from crew_repo.adapter import private
from crew_repo.model import Usage

__all__ = ["Meter", "UsageTracker"]

_current: contextvars.ContextVar[Meter | None] = contextvars.ContextVar("crew_repo_meter", default=None)


class Meter:
    """What one task has spent so far."""

    def __init__(self, before: Usage) -> None:
        self.credited = Usage()
        self.before = before
        self.alone = True


class UsageTracker:
    """Watches the LLMs of one crew from `start` to `stop`; `measure` credits what happens inside to one task."""

    def __init__(self, llms: Iterable[object]) -> None:
        self._llms = list({id(llm): llm for llm in llms if isinstance(llm, BaseLLM)}.values())
        self._lock = threading.RLock()
        self._open: set[Meter] = set()
        self._before = Usage()

    def start(self) -> None:
        """Begin to watch."""
        self._before = self._summed()
        for llm in self._llms:
            tracker = private.usage_tracker(llm)
            if tracker is not None:
                object.__setattr__(llm, private.usage_tracker_name(), self._crediting(llm, tracker))

    def stop(self) -> None:
        """Leave the LLMs as they were."""
        for llm in self._llms:
            llm.__dict__.pop(private.usage_tracker_name(), None)

    def spent(self) -> Usage:
        """What the crew's LLMs have counted since `start`, each LLM once."""
        return self._summed() - self._before

    @contextmanager
    def measure(self) -> Iterator[Meter]:
        """Credit to one meter what is spent inside, by this context and those that descend from it."""
        meter = self._enter()
        token = _current.set(meter)
        try:
            yield meter
        finally:
            _current.reset(token)
            with self._lock:
                self._open.discard(meter)

    def so_far(self, meter: Meter) -> Usage:
        """What was credited to this meter; the whole difference, if no other was open beside it."""
        with self._lock:
            return self._summed() - meter.before if meter.alone else meter.credited

    def _enter(self) -> Meter:
        with self._lock:
            meter = Meter(self._summed())
            self._open.add(meter)
            if len(self._open) > 1:
                for each in self._open:
                    each.alone = False
            return meter

    def _summed(self) -> Usage:
        total = Usage()
        for llm in self._llms:
            total += _summary(llm)
        return total

    def _crediting(self, llm: BaseLLM, tracker: Callable[..., None]) -> Callable[..., None]:
        def credit(*args: Any, **kwargs: Any) -> None:
            with self._lock:
                before = _summary(llm)
                tracker(*args, **kwargs)
                meter = _current.get()
                if meter is not None:
                    meter.credited += _summary(llm) - before

        return credit


def _summary(llm: BaseLLM) -> Usage:
    counted = llm.get_token_usage_summary()
    return Usage(
        total_tokens=counted.total_tokens,
        prompt_tokens=counted.prompt_tokens,
        completion_tokens=counted.completion_tokens,
        cached_prompt_tokens=counted.cached_prompt_tokens,
        successful_requests=counted.successful_requests,
    )
