"""The bytes of a state file for a task with an answer of 2 KB, beside the file that is made by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from crew_repo import StateRepository
from tests.benchmarks.by_hand import by_hand
from tests.benchmarks.chains import chain, notes, run_null
from tests.benchmarks.measuring import Row, Sizes

__all__ = ["rows"]


def rows(sizes: Sizes, rounds: int) -> Iterator[Row]:
    """Kilobytes a task: after a cold run, and what a warm one adds. Each is the same every time."""
    del rounds
    for tasks in sizes.tasks:
        with tempfile.TemporaryDirectory() as name:
            hand, cold, warm = (size / 1024 / tasks for size in _sizes(Path(name), tasks))
        yield Row(f"by hand, {tasks:,} tasks", hand, "KB a task")
        yield Row(f"cold run, {tasks:,} tasks", cold, "KB a task", ratio=cold / hand, to="by hand", target="4 KB")
        yield Row(f"a warm run more, {tasks:,} tasks", warm - cold, "KB a task")


def _sizes(folder: Path, tasks: int) -> Iterator[int]:
    by_hand(folder / "hand.db", tasks, synchronous="NORMAL")
    yield (folder / "hand.db").stat().st_size
    for _ in ("cold", "warm"):
        with StateRepository(folder / "state.db", verbose=False) as repo:
            run_null(repo, chain(tasks), notes())
        yield (folder / "state.db").stat().st_size
