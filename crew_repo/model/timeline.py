"""The timeline of runs: what ran beside what. A run that was interrupted or failed is joined with the one after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from crew_repo.page.rendering import duration

if TYPE_CHECKING:
    from crew_repo.model.run import RunRecord, TaskRun

__all__ = ["Bar", "Chain", "Lane", "chains"]

_MOST_JOINED = 6
_WAITED_SECONDS = 0.1  # a reused task that took longer has waited for another run's answer
_BREAK = 0.03  # of the whole, between two runs
_LEAST_WIDTH = 0.6


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time in percent of the whole, and the state that it ended in."""

    state: str
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One task in the runs of a chain: its bars, and in words what became of it, each with its state."""

    task_name: str
    bars: tuple[Bar, ...]
    words: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """Runs that are joined, the oldest first. `starts`: where each after the first begins, in percent."""

    runs: tuple[RunRecord, ...]
    lanes: tuple[Lane, ...]
    starts: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Part:
    """One run of a chain: its time, and where on the axis that is, in percent."""

    run: RunRecord
    end: datetime
    left: float
    width: float


def chains(runs: Sequence[RunRecord], now: datetime) -> list[Chain]:
    """Join the runs of one workflow, given and returned the newest first. A run that goes on lasts till now."""
    joined: list[list[RunRecord]] = []
    for run in reversed(runs):
        if joined and _goes_on(joined[-1][-1]) and len(joined[-1]) < _MOST_JOINED:
            joined[-1].append(run)
        else:
            joined.append([run])
    return [_chain(each, now) for each in reversed(joined)]


def _goes_on(run: RunRecord) -> bool:
    return str(run.status) in ("interrupted", "failed")


def _chain(runs: Sequence[RunRecord], now: datetime) -> Chain:
    ends = [_end(run, now) for run in runs]
    lengths = [max((end - run.started_at).total_seconds(), 0.001) for run, end in zip(runs, ends, strict=True)]
    room = 100 * (1 - _BREAK * (len(runs) - 1))
    parts, left = [], 0.0
    for run, end, length in zip(runs, ends, lengths, strict=True):
        width = room * length / sum(lengths)
        parts.append(_Part(run, end, left, width))
        left += width + 100 * _BREAK
    names = {task.task_name: task.position for run in runs for task in run.tasks}
    lanes = tuple(_lane(name, parts) for name in sorted(names, key=lambda name: names[name]))
    return Chain(tuple(runs), lanes, tuple(round(part.left, 2) for part in parts[1:]), sum(lengths))


def _end(run: RunRecord, now: datetime) -> datetime:
    """When a run ended; of one that was killed, the last that is known of it."""
    if run.finished_at is not None:
        return run.finished_at
    if str(run.status) == "running":
        return now
    known = [time for task in run.tasks for time in (task.started_at, task.finished_at) if time is not None]
    last = max([run.started_at, *known])
    cut = any(task.finished_at is None and task.started_at is not None for task in run.tasks)
    return last + (last - run.started_at) / 20 if cut else last  # what was cut off is seen


def _lane(name: str, parts: Sequence[_Part]) -> Lane:
    found = [(part, task) for part in parts for task in part.run.tasks if task.task_name == name]
    bars = tuple(bar for part, task in found for bar in _bars(part, task))
    return Lane(name, bars, tuple(word for _, task in found for word in _words(task)))


def _bars(part: _Part, task: TaskRun) -> Iterator[Bar]:
    if task.started_at is None:
        return
    start, end = task.started_at, task.finished_at or part.end
    length = max((part.end - part.run.started_at).total_seconds(), 0.001)
    left = part.left + part.width * min(1, max(0, (start - part.run.started_at).total_seconds() / length))
    width = part.width * max(0, (end - start).total_seconds()) / length
    width = max(_LEAST_WIDTH, min(width, part.left + part.width - left))
    yield Bar(_state(task), round(min(left, 100 - width), 2), round(width, 2))


def _state(task: TaskRun) -> str:
    return "waited" if _waited(task) is not None else str(task.outcome)


def _waited(task: TaskRun) -> float | None:
    """How long a reused task has waited for the run that executed it; None if it has not."""
    if str(task.outcome) != "reused" or task.started_at is None or task.finished_at is None:
        return None
    seconds = (task.finished_at - task.started_at) / timedelta(seconds=1)
    return seconds if seconds >= _WAITED_SECONDS else None


def _words(task: TaskRun) -> Iterator[tuple[str, str]]:
    waited = _waited(task)
    if waited is not None:
        yield "waited", f"waited {duration(waited)}"
    took = f" {duration(task.duration_seconds)}" if task.duration_seconds is not None else ""
    yield str(task.outcome), f"{task.outcome}{took}"
