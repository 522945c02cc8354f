"""The runner and the store with a null executor: CrewAI does nothing. Beside the same work by hand, and in statements."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from crew_repo import StateRepository
from tests.benchmarks import counting
from tests.benchmarks.by_hand import by_hand
from tests.benchmarks.chains import chain, notes, run_null
from tests.benchmarks.measuring import Row, Sizes, interleaved

__all__ = ["rows"]

COUNTED = {"statements": "", "transactions": "BEGIN", "syncs": "PRAGMA synchronous=FULL"}
"""What is counted, and how its statements begin."""


def rows(sizes: Sizes, rounds: int) -> Iterator[Row]:
    """What a task costs, and what it sends to SQLite."""
    for tasks in sizes.tasks:
        times = interleaved(rounds, lambda folder, _: _round(folder, tasks))  # noqa: B023
        for kind in ("cold", "warm"):
            row = times.row(f"runner {kind}", to=f"by hand {kind}", each=tasks, unit="ms a task")
            yield row.named(f"runner {kind}, {tasks:,} tasks")
    for warm in (False, True):
        for what, beginning in COUNTED.items():
            counted = counting.growth(lambda tasks: sum(text.startswith(beginning) for text in _said(tasks, warm)))  # noqa: B023
            yield from counting.rows_of(f"{'warm' if warm else 'cold'}: {what}", counted)


def _round(folder: Path, tasks: int) -> Iterator[tuple[str, Any]]:
    yield "by hand cold", lambda: by_hand(folder / "hand.db", tasks, synchronous="NORMAL")
    with StateRepository(folder / "state.db", verbose=False) as repo:
        run_null(repo, chain(1), notes(), "another")
        crew = chain(tasks)
        yield "runner cold", lambda: run_null(repo, crew, notes())
        yield "by hand warm", lambda: by_hand(folder / "hand.db", tasks, synchronous="NORMAL")
        again = chain(tasks)
        yield "runner warm", lambda: run_null(repo, again, notes())


@cache
def _said(tasks: int, warm: bool) -> list[str]:
    with (
        tempfile.TemporaryDirectory() as folder,
        counting.statements() as said,
        StateRepository(Path(folder) / "state.db", verbose=False) as repo,
    ):
        run_null(repo, chain(1), notes(), "another")
        if warm:
            run_null(repo, chain(tasks), notes())
        said.clear()
        run_null(repo, chain(tasks), notes())
        return said[:]
