"""Measuring: works that are interleaved, what each took in each round, and the rows of the table."""

from __future__ import annotations

import tests.benchmarks.on_disk  # noqa: F401 - first: it sets the environment

# isort: split
import gc
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

__all__ = ["QUICK", "ROOT", "Row", "Sizes", "Taken", "Times", "interleaved", "process", "taken"]

ROOT = Path(__file__).parents[2]
MILLI = {"s": 1, "ms": 1e3, "us": 1e6}

logging.getLogger("crewai").setLevel(logging.ERROR)  # it says of each answer that its tokens are estimated

Work = Callable[[], Any]


@dataclass(frozen=True)
class Sizes:
    """How large each benchmark is."""

    tasks: tuple[int, ...] = (10, 100, 1_000)
    items: int = 10_000
    data_rows: int = 100_000
    records: tuple[int, ...] = (1_000, 100_000, 1_000_000)


QUICK = Sizes(tasks=(10,), items=30, data_rows=1_000, records=(1_000,))


@dataclass(frozen=True)
class Row:
    """One line of the table. `target` is what the ratio, or the value where there is none, should be at most."""

    name: str
    value: float
    unit: str
    cpu: float | None = None
    ratio: float | None = None
    cpu_ratio: float | None = None
    to: str = ""
    target: str = ""

    def named(self, name: str) -> Row:
        """The row under another name."""
        return replace(self, name=name)

    def beside(self, to: str) -> Row:
        """The row, with another name for what its ratio is to."""
        return replace(self, to=to)


@dataclass(frozen=True)
class Taken:
    """Seconds by the clock, and of the processor: of this process, its threads and the processes that it has ended."""

    wall: float
    cpu: float


class Times:
    """What each piece of work took, round by round."""

    def __init__(self) -> None:
        self.of: dict[str, list[Taken]] = {}

    def add(self, name: str, one: Taken) -> None:
        """One round more."""
        self.of.setdefault(name, []).append(one)

    def row(self, name: str, *, to: str = "", each: int = 1, to_each: int = 0, unit: str = "ms", target: str = "") -> Row:
        """The medians of a work that did `each` things, per thing, beside those of another (which did `to_each`).

        The ratios are medians of those of each round, since a noisy machine troubles the works of a round alike.
        """
        parts = MILLI[unit.split()[0]] / each
        wall, cpu = (statistics.median(getattr(one, kind) for one in self.of[name]) * parts for kind in ("wall", "cpu"))
        ratio, cpu_ratio = (self._ratio(name, to, (to_each or each) / each, kind) if to else None for kind in ("wall", "cpu"))
        return Row(name, wall, unit, cpu, ratio, cpu_ratio, to, target)

    def above(self, name: str, least: str, *, target: str = "") -> Row:
        """The medians of what a work took more than another, in milliseconds."""
        pairs = list(zip(self.of[name], self.of[least], strict=True))
        wall, cpu = (statistics.median(getattr(one, kind) - getattr(other, kind) for one, other in pairs) * 1e3
                     for kind in ("wall", "cpu"))  # fmt: skip
        return Row(name, wall, "ms more", cpu, to=least, target=target)

    def _ratio(self, name: str, to: str, things: float, kind: str) -> float:
        pairs = zip(self.of[name], self.of[to], strict=True)
        return statistics.median(getattr(one, kind) / max(getattr(other, kind), 1e-9) * things for one, other in pairs)


def interleaved(rounds: int, once: Callable[[Path, int], Iterator[tuple[str, Work]]]) -> Times:
    """Take the time of each work that a round gives; what it does between them is not measured."""
    times = Times()
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, work in once(Path(folder), number):
                times.add(name, taken(work))
    return times


def taken(work: Work) -> Taken:
    """What a call took."""
    gc.collect()
    began, used = time.perf_counter(), _used()
    work()
    return Taken(time.perf_counter() - began, _used() - used)


def _used() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def process(*arguments: str, exits: tuple[int, ...] = (0,)) -> str:
    """What a Python process prints, which must end as expected."""
    ended = subprocess.run([sys.executable, *arguments], env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT,
                           stdout=subprocess.PIPE, check=False, text=True)  # fmt: skip
    assert ended.returncode in exits, (arguments, ended.returncode)
    return ended.stdout
