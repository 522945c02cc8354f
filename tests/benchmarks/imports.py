"""What an import costs, each in a new process, and how much of it is Python itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import Row, Sizes, interleaved, process

__all__ = ["rows"]

PASS = "pass"
IMPORTS = {
    "import crew_repo": "30 ms",
    "from crew_repo import StateRepository": "",
    "from crew_repo.cli import start": "",
    "import sqlmodel": "",
    "import crewai": "",
}


def rows(_: Sizes, rounds: int) -> Iterator[Row]:
    """What `python -c` takes, and what is above `python -c pass`, which is what an import costs."""
    times = interleaved(rounds, _round)
    yield times.row(PASS).named("python -c pass")
    for name, target in IMPORTS.items():
        yield times.above(name, PASS, target=target)


def _round(_: Path, number: int) -> Iterator[tuple[str, Any]]:
    del number
    for code in (PASS, *IMPORTS):
        yield code, lambda: process("-c", code)  # noqa: B023 - called before the next
