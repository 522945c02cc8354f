"""The peak memory of a process that runs a batch of fresh items, by the number of items."""

from __future__ import annotations

import re
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

from crew_repo import StateRepository
from tests.benchmarks import batches, measuring
from tests.benchmarks.chains import notes
from tests.benchmarks.measuring import Row, Sizes

__all__ = ["rows"]


def rows(sizes: Sizes, rounds: int) -> Iterator[Row]:
    """Megabytes, of one new process: after a few items, and after all. It differs little from round to round."""
    del rounds
    few, many = max(1, sizes.items // 100), max(2, sizes.items // 10)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        with StateRepository(path, verbose=False) as repo:
            batches.fill(repo, many)
        run = f"from tests.benchmarks import memory; memory.run_batch({str(path)!r}, {few}, {many})"
        least, most = map(int, measuring.process("-c", run).split())
    yield Row(f"fresh items, {few:,}", least / 1024, "MB")
    yield Row(f"fresh items, {many:,}", most / 1024, "MB", ratio=most / least, to=f"{few:,} items", target="1.1")
    yield Row("an item more", (most - least) / (many - few), "KB")


def run_batch(path: str, few: int, many: int) -> None:
    """Print the peak of this process after a few items and after many, of which it keeps neither inputs nor results."""
    with StateRepository(path, verbose=False) as repo:
        inputs, names = map(notes, batches.ids(many)), iter(batches.ids(many))
        results = repo.iter_for_each(batches.crew, inputs, workflow_ids=names)
        for number, result in enumerate(results, start=1):
            assert not result.run.executed
            if number in (few, many):
                print(_peak_kilobytes())


def _peak_kilobytes() -> int:
    """Where Linux tells it from its `exec` on: `ru_maxrss` has the memory of the process that started this one in it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text()).group(1))  # type: ignore[union-attr]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # macOS counts bytes
