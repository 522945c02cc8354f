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
    """Megabytes; each process is a new one, and its rounds differ little, so that one is enough."""
    del rounds
    few, many = max(1, sizes.items // 100), max(2, sizes.items // 10)
    with tempfile.TemporaryDirectory() as folder:
        least, most = (_peak(Path(folder) / f"{count}.db", count) for count in (few, many))
    yield Row(f"fresh items, {few:,}", least, "MB")
    yield Row(f"fresh items, {many:,}", most, "MB", ratio=most / least, to=f"{few:,} items", target="1.1")
    yield Row("an item more", (most - least) * 1024 / (many - few), "KB")


def _peak(path: Path, count: int) -> float:
    with StateRepository(path, verbose=False) as repo:
        batches.fill(repo, count)
    run = "import sys; from tests.benchmarks import memory; print(memory.peak_of_batch(sys.argv[1], int(sys.argv[2])))"
    return int(measuring.process("-c", run, str(path), str(count))) / 1024


def peak_of_batch(path: str, count: int) -> int:
    """The peak of this process, in kilobytes, after a batch of which it keeps neither the inputs nor the results."""
    with StateRepository(path, verbose=False) as repo:
        inputs = map(notes, batches.ids(count))
        for result in repo.iter_for_each(batches.crew, inputs, workflow_ids=iter(batches.ids(count))):
            assert not result.run.executed
    return _peak_kilobytes()


def _peak_kilobytes() -> int:
    """Where Linux tells it from its `exec` on: `ru_maxrss` has the memory of the process that started this one in it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text()).group(1))  # type: ignore[union-attr]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # macOS counts bytes
