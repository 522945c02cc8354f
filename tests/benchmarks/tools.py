"""Runs of a crew whose agent has a tool with a large table, which is hashed, beside plain kickoff of the same crew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crewai.tools import BaseTool

from crew_repo import StateRepository
from tests.benchmarks.chains import chain, notes
from tests.benchmarks.measuring import Row, Sizes, interleaved

__all__ = ["rows"]

TASKS = 5


class Tariff(BaseTool):
    """Finds a row."""

    name: str = "tariff"
    description: str = "Finds the price of an article."
    prices: list[dict[str, Any]] = []

    def _run(self, article: str) -> str:
        return next((str(row["price"]) for row in self.prices if row["article"] == article), "unknown")


def rows(sizes: Sizes, rounds: int) -> Iterator[Row]:
    """What a run costs; `plan again` and `warm run` are of the process that has hashed the table already."""
    times = interleaved(rounds, lambda folder, number: _round(folder, sizes.data_rows, number))
    for name in times.of:
        row = times.row(name, to="plain kickoff", unit="ms a run")
        yield row.named(f"{name}, {TASKS} tasks, {sizes.data_rows:,} rows")


def _round(folder: Path, count: int, number: int) -> Iterator[tuple[str, Any]]:
    table = [{"article": f"{number}-{at}", "price": at, "unit": "EUR"} for at in range(count)]
    crews = [chain(TASKS, tools=[Tariff(prices=table)]) for _ in range(6)]
    with StateRepository(folder / "state.db", verbose=False) as repo:
        repo.run(chain(2), notes(), workflow_id="another")
        yield "plain kickoff", lambda: crews[0].kickoff(notes())
        yield "first plan", lambda: repo.plan(crews[1], notes())
        yield "plan again", lambda: repo.plan(crews[2], notes())
        yield "cold run", lambda: repo.run(crews[3], notes())
        yield "warm run", lambda: repo.run(crews[4], notes())
