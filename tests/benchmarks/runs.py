"""`repo.run` and `repo.plan` beside plain `kickoff`, with a model that answers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crew_repo import StateRepository
from tests.benchmarks.chains import chain, notes
from tests.benchmarks.measuring import Row, Sizes, Times, interleaved

__all__ = ["rows"]

KINDS = {"plain kickoff": "", "cold run": "1.00", "warm run": "0.10", "changed in the middle": "", "plan": ""}
TARGETS = {**KINDS, **{f"async {name}": target for name, target in KINDS.items() if name != "plan"}}
MOST_ASYNC = 100
"""A kickoff of 1,000 tasks takes most of a minute, since CrewAI's log of outputs grows with the square: once is enough."""


def rows(sizes: Sizes, rounds: int) -> Iterator[Row]:
    """What a task costs. Below the one that is changed in the middle all run again; those above are reused."""
    for tasks in sizes.tasks:
        few = max(1, min(rounds, 1_000 // tasks))
        yield from _rows(interleaved(few, lambda folder, number: _round(folder, tasks, number)), tasks)  # noqa: B023
        if tasks <= MOST_ASYNC:
            yield from _rows(interleaved(few, lambda folder, number: _async(folder, tasks, number)), tasks)  # noqa: B023


def _rows(times: Times, tasks: int) -> Iterator[Row]:
    plain = next(iter(times.of))
    for name in times.of:
        row = times.row(name, to=plain, each=tasks, unit="ms a task", target=TARGETS[name])
        yield row.named(f"{name}, {tasks:,} tasks")


def _round(folder: Path, tasks: int, number: int) -> Iterator[tuple[str, Any]]:
    chain(2).kickoff(notes())
    with StateRepository(folder / "state.db", verbose=False) as repo:
        repo.run(chain(2), notes(), workflow_id="another")
        crews = [chain(tasks) for _ in range(5)]
        given, changed = notes(number), notes(number, middle="much more")
        yield "plain kickoff", lambda: crews[0].kickoff(given)
        yield "cold run", lambda: repo.run(crews[1], given)
        yield "warm run", lambda: repo.run(crews[2], given)
        yield "changed in the middle", lambda: repo.run(crews[3], changed)
        yield "plan", lambda: repo.plan(crews[4], changed)


def _async(folder: Path, tasks: int, number: int) -> Iterator[tuple[str, Any]]:
    with StateRepository(folder / "state.db", verbose=False) as repo:
        asyncio.run(repo.arun(chain(2), notes(), workflow_id="another"))
        crews = [chain(tasks) for _ in range(4)]
        given, changed = notes(number), notes(number, middle="much more")
        yield "async plain kickoff", lambda: asyncio.run(crews[0].akickoff(given))
        yield "async cold run", lambda: asyncio.run(repo.arun(crews[1], given))
        yield "async warm run", lambda: asyncio.run(repo.arun(crews[2], given))
        yield "async changed in the middle", lambda: asyncio.run(repo.arun(crews[3], changed))
