"""The peak memory of a process that runs a batch of fresh items, by the number of items."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from crew_repo import StateRepository
from tests.benchmarks import batches, measuring
from tests.benchmarks.chains import notes
from tests.benchmarks.measuring import Row, Sizes

__all__ = ["rows"]

WATCH = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def rows(sizes: Sizes, rounds: int) -> Iterator[Row]:
    """Megabytes; each process is a new one, and its rounds differ little, so that one is enough."""
    del rounds
    few, many = max(1, sizes.items // 100), max(2, sizes.items // 10)
    with tempfile.TemporaryDirectory() as folder:
        least, most = (_peak(Path(folder) / f"{count}.db", count) for count in (few, many))
    yield Row(f"fresh items, {few:,}", least, "MB")
    yield Row(f"fresh items, {many:,}", most, "MB", ratio=most / least, to=f"{few:,} items", target="1.1")
    yield Row("an item more", (most - least) * 1024 / (many - few), "KB")


_UNITS = 2**20 if sys.platform == "darwin" else 2**10


def _peak(path: Path, count: int) -> float:
    with StateRepository(path, verbose=False) as repo:
        batches.fill(repo, count)
    run = f"from tests.benchmarks.memory import batch; batch({str(path)!r}, {count})"
    return int(measuring.process("-c", f"{run}; {WATCH}")) / _UNITS


def batch(path: str, count: int) -> None:
    """The process that is measured; it keeps neither the inputs nor the results."""
    with StateRepository(path, verbose=False) as repo:
        inputs = map(notes, batches.ids(count))
        for result in repo.iter_for_each(batches.crew, inputs, workflow_ids=iter(batches.ids(count))):
            assert not result.run.executed
