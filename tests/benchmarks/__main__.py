"""The table of what crew_repo costs: `python -m tests.benchmarks [NAMES] [--rounds N] [--items N] [--quick]`.

Each benchmark is a module of this folder with a function `rows`. Nothing is asserted: the numbers are for people. All of it
takes some twenty minutes, most of them for 1,000 tasks and 10,000 items; `--quick` takes less than one where nothing else runs.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.measuring import QUICK, Row, Sizes

NAMES = ("imports", "store", "runner", "runs", "tools", "journal", "batches", "lookups", "commands", "sizes_on_disk", "memory",
         "postgresql")  # fmt: skip
HEADINGS = ("", "median", "cpu", "", "ratio", "cpu ratio", "to", "at most")


def main() -> None:
    """Print one table for each benchmark, as soon as it is there."""
    asked = _arguments()
    sizes = QUICK if asked.quick else Sizes()
    sizes = replace(sizes, items=asked.items or sizes.items)
    rounds = asked.rounds or (1 if asked.quick else 5)
    print(machine())
    for name in asked.names or NAMES:
        began = time.monotonic()
        _print(name, list(import_module(f"tests.benchmarks.{name}").rows(sizes, rounds)))
        # "at most": what takes long is measured less often
        print(f"at most {rounds} rounds, {time.monotonic() - began:.0f} s; load {os.getloadavg()[0]:.1f}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="What crew_repo costs, as a table.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure, by default all: {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, help="how often each is measured, if it does not take long (5)")
    parser.add_argument("--items", type=int, help="how many items the batch has (10,000)")
    parser.add_argument("--quick", action="store_true", help="small sizes and one round: to see that all of it works")
    asked = parser.parse_args()
    unknown = sorted({*asked.names} - {*NAMES})
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    return asked


def machine() -> str:
    """What was measured on, without the names of anybody's hosts."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("crewai", "sqlalchemy", "pydantic"))
    return (f"{datetime.now(timezone.utc):%Y-%m-%d}; {_processor()}, {os.cpu_count()} cores; {platform.system()}; "
            f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}")  # fmt: skip


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(named), platform.processor() or platform.machine())


def _print(name: str, rows: Sequence[Row]) -> None:
    lines = [(name, *HEADINGS[1:]), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print()
    for line in lines:
        cells = [cell.rjust(width) if at in (1, 2, 4, 5) else cell.ljust(width)
                 for at, (cell, width) in enumerate(zip(line, widths, strict=True))]  # fmt: skip
        print("  ".join(cells).rstrip())


def _cells(row: Row) -> tuple[str, ...]:
    return (row.name, *map(_number, (row.value, row.cpu)), row.unit, *map(_number, (row.ratio, row.cpu_ratio)), row.to, row.target)


def _number(value: float | None) -> str:
    """Three digits that mean something."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


if __name__ == "__main__":
    main()
