"""The table of the kill matrix, on SQLite or PostgreSQL: `python -m tests.crash.journal [CASES] [--postgresql]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests import postgres
from tests.crash.journal.cases import case_names
from tests.crash.journal.matrix import kill_everywhere
from tests.crash.journal.model_server import serving

HEADINGS = ("case", "requests", "effects", "kills", "bought again", "repeated", "cut off")


def main() -> int:
    """Print a row for each case; 1 if anything was paid twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.journal", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--postgresql", action="store_true")
    asked = parser.parse_args()
    twice = 0
    with serving() as server, postgres.running() if asked.postgresql else nullcontext() as database:
        say(f"CrewAI {version('crewai')}, {'PostgreSQL' if database else 'SQLite'}", "")
        say(table(HEADINGS), table(["---"] * len(HEADINGS)))
        for name in asked.cases or case_names():
            with tempfile.TemporaryDirectory() as folder:
                url = postgres.new_database(database) if database else f"sqlite:///{folder}/state.db"
                try:
                    row = kill_everywhere(name, url, server, Path(folder))
                except AssertionError as error:
                    say(table([name, " ".join(str(error).split())[-500:]]))
                    twice += 1
                    continue
            twice += row.again + row.repeated
            say(table([name, row.requests, row.effects, row.kills, row.again, row.repeated, row.cut]))
    return bool(twice)


def table(cells: Sequence[Any]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def say(*lines: str) -> None:
    """Print now."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
