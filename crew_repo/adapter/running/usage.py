"""Counting the tokens of each task, even if tasks and crews in several threads share one LLM.

CrewAI counts per LLM object, cumulatively. For the length of a run the counting method of each LLM of the crew is
overridden on the object, once for all runs that share it: what a call adds is credited to the meter that the calling
context carries (threads and asyncio tasks of a task inherit its context), and to its run's. What an LLM adds by
other means is seen as the difference of its public summary, which is right as long as one meter is open on that LLM.

What is counted stands under the name of the LLM's model too, for whoever prices it. CrewAI's prompt tokens include what
a provider read from its cache for OpenAI, Azure, Gemini and LiteLLM; for Anthropic in 1.15.30 too, with what it wrote
there, which up to 1.14.7 are both left out. Bedrock's leave both out as well, and CrewAI does not count what it wrote:
what its total has beyond the rest is of no kind. See `UsageMetrics.from_provider_dict` and the methods
`_extract_*_token_usage` in `crewai.llms`.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from crewai.llms.base_llm import BaseLLM
from crewai.types.usage_metrics import UsageMetrics

from crew_repo.adapter import crew_shape, private
from crew_repo.model import ModelTokens, Usage

__all__ = ["Meter", "UsageTracker", "counted"]

_current: contextvars.ContextVar[Meter | None] = contextvars.ContextVar("crew_repo_meter", default=None)
_lock = threading.RLock()


class Meter:
    """Count of what one task, or one run, has spent so far on some LLMs."""

    def __init__(self, run: Meter | None = None) -> None:
        self.credited = Usage()
        self.run = run
        self._watches: list[_Watch] = []
        self._elsewhere = Usage()

    def add(self, watch: _Watch) -> None:
        """Count one more LLM from here on. It is known first, so that `close` finds it, whatever is raised."""
        self._watches = [*self._watches, watch]
        watch.open(self)
        self._elsewhere += watch.elsewhere()

    def close(self) -> None:
        """Others may be alone from here on."""
        for watch in self._watches:
            watch.close(self)

    def credit(self, added: Usage) -> None:
        """A call in this meter's context has spent this."""
        self.credited += added
        if self.run is not None:
            self.run.credit(added)

    def so_far(self) -> Usage:
        """Tokens that were credited; if the task was alone on its LLMs, also what they counted by other means."""
        with _lock:
            if not all(watch.was_alone(self) for watch in self._watches):
                return self.credited
            return self.credited + sum((watch.elsewhere() for watch in self._watches), Usage()) - self._elsewhere


@contextmanager
def counted() -> Iterator[Meter]:
    """Count what is spent inside by itself, and for whoever counts around it."""
    meter = Meter(_current.get())
    token = _current.set(meter)
    try:
        yield meter
    finally:
        _current.reset(token)


class _Watch:
    """The override of one LLM's counting method, shared by all meters that are open on it."""

    def __init__(self, llm: BaseLLM, counting: Callable[..., None] | None) -> None:
        self.llm, self._counting = llm, counting
        self._credited = Usage()
        self._meters: set[Meter] = set()
        self._accompanied: set[Meter] = set()

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Count as CrewAI does, and credit it."""
        assert self._counting is not None  # noqa: S101 - without a method nothing is overridden
        with _lock:
            before, meter = _summary(self.llm), _current.get()
            self._counting(*args, **kwargs)
            if meter is not None:
                added = _summary(self.llm) - before
                self._credited += added
                meter.credit(added)

    def open(self, meter: Meter) -> None:
        """Meters of one kind, tasks or runs, disturb each other; the first puts the override in place."""
        if not self._meters and self._counting is not None:
            object.__setattr__(self.llm, private.usage_tracker_name(), self)
        rivals = {other for other in self._meters if (other.run is None) is (meter.run is None)}
        self._accompanied |= {meter, *rivals} if rivals else set()
        self._meters.add(meter)

    def close(self, meter: Meter) -> None:
        """The last leaves the LLM as it was."""
        self._meters.discard(meter)
        self._accompanied.discard(meter)
        if not self._meters:
            self.llm.__dict__.pop(private.usage_tracker_name(), None)

    def was_alone(self, meter: Meter) -> bool:
        """Whether no other meter of its kind was open beside it."""
        return meter not in self._accompanied

    def elsewhere(self) -> Usage:
        """Tokens that the LLM has counted, but for what was credited here."""
        return _summary(self.llm) - self._credited


def _watch(llm: BaseLLM) -> _Watch:
    """The watch that is in place, else a new one; a copy of an LLM that was watched does not count for that."""
    counting = private.usage_tracker(llm)
    if isinstance(counting, _Watch):
        if counting.llm is llm:
            return counting
        llm.__dict__.pop(private.usage_tracker_name())
        counting = private.usage_tracker(llm)
    return _Watch(llm, counting)


class UsageTracker:
    """Watches the LLMs of one crew from `start` to `stop`; `measure` credits what happens inside to one task."""

    def __init__(self, llms: Iterable[object]) -> None:
        self._llms = list({id(llm): llm for llm in llms if isinstance(llm, BaseLLM)}.values())
        self._watches: list[_Watch] = []
        self._run: Meter | None = None
        self._outer: Meter | None = None
        self._spent = Usage()

    def start(self) -> None:
        """Begin to watch; what this context spends outside of tasks is the run's."""
        with _lock:
            self._watches, self._run = [_watch(llm) for llm in self._llms], Meter()
            for watch in self._watches:
                self._run.add(watch)
        self._outer = _current.get()
        _current.set(self._run)

    def watch(self, llm: object) -> None:
        """Count an LLM that is made in the run, for the run and for whoever is measured in this context."""
        with _lock:
            if self._run is None or not isinstance(llm, BaseLLM) or any(llm is known for known in self._llms):
                return
            self._llms.append(llm)
            self._watches.append(watch := _watch(llm))
            for meter in {self._run, _current.get() or self._run}:
                meter.add(watch)

    def stop(self) -> None:
        """Leave the LLMs as they were, once no task of this run is measured any more."""
        if self._run is None:
            return
        self._spent = self._run.so_far()
        if _current.get() is self._run:
            _current.set(self._outer)
        with _lock:
            self._run.close()

    def spent(self) -> Usage:
        """After `stop`: what this run has spent between."""
        return self._spent

    @contextmanager
    def measure(self) -> Iterator[Meter]:
        """Credit to one meter what is spent inside, by this context and those that descend from it."""
        meter = Meter(self._run)
        token = _current.set(meter)
        try:
            with _lock:
                for watch in self._watches:
                    meter.add(watch)
            yield meter
        finally:
            with _lock:
                meter.close()
            _current.reset(token)


def _summary(llm: BaseLLM) -> Usage:
    counted = llm.get_token_usage_summary()
    return Usage(
        total_tokens=counted.total_tokens,
        prompt_tokens=counted.prompt_tokens,
        completion_tokens=counted.completion_tokens,
        cached_prompt_tokens=counted.cached_prompt_tokens,
        successful_requests=counted.successful_requests,
        by_model=_of_model(llm, counted),
    )


def _of_model(llm: BaseLLM, counted: UsageMetrics) -> tuple[ModelTokens, ...]:
    """Its tokens, each in one kind; none where it has no name, or has counted nothing."""
    name = crew_shape.name_of_model(llm)
    if name is None:
        return ()
    prompt, cached, output = counted.prompt_tokens, counted.cached_prompt_tokens, counted.completion_tokens
    written = getattr(counted, "cache_creation_tokens", 0)  # CrewAI 1.13 does not count these
    if not private.cached_apart(llm):
        prompt -= cached + written
    found = ModelTokens(name, prompt, cached, written, output)
    return (found,) if any(found.counts) else ()
