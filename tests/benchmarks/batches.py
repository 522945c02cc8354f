"""A batch whose items are all fresh, each in a workflow of its own, beside as many plain kickoffs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crewai import Crew

from crew_repo import StateRepository
from tests.benchmarks.chains import chain, notes, run_null
from tests.benchmarks.measuring import Row, Sizes, interleaved

__all__ = ["crew", "fill", "ids", "rows"]

TASKS = 3
KICKOFFS = 30
"""Plain kickoffs that are measured; the others are like them, since each deletes CrewAI's log of the one before."""


def crew() -> Crew:
    """The crew of each item."""
    return chain(TASKS)


def ids(count: int) -> list[str]:
    """The workflows of the items."""
    return [f"CLM-{number:05}" for number in range(count)]


def fill(repo: StateRepository, count: int) -> None:
    """Make so many items fresh, with no work of CrewAI's."""
    for name in ids(count):
        run_null(repo, crew(), notes(name), name)


def rows(sizes: Sizes, rounds: int) -> Iterator[Row]:
    """What an item costs. Filled once a round; one round is enough for so many items."""
    count = sizes.items
    times = interleaved(min(rounds, max(1, 2_000 // count)), lambda folder, _: _round(folder, count))
    few = min(count, KICKOFFS)
    yield times.row("plain kickoffs", each=few, unit="ms an item").named(f"plain kickoffs, {TASKS} tasks")
    for name, target in (("fresh items", "0.02"), ("fresh items, one at a time", "")):
        row = times.row(name, to="plain kickoffs", each=count, to_each=few, unit="ms an item", target=target)
        yield row.named(f"{name}, {count:,}")


def _round(folder: Path, count: int) -> Iterator[tuple[str, Any]]:
    crew().kickoff(notes())
    inputs = [notes(name) for name in ids(count)]
    with StateRepository(folder / "state.db", verbose=False) as repo:
        fill(repo, count)
        plain = crew()
        yield "plain kickoffs", lambda: [plain.kickoff(given) for given in inputs[:KICKOFFS]]
        yield "fresh items", lambda: _batch(repo, inputs, 4)
        yield "fresh items, one at a time", lambda: _batch(repo, inputs, 1)


def _batch(repo: StateRepository, inputs: list[dict[str, str]], workers: int) -> None:
    for result in repo.iter_for_each(crew, inputs, workflow_ids=ids(len(inputs)), max_workers=workers):
        assert not result.run.executed
