"""The times of the commands that read, on a large file, as ratios to `python -c pass`. Run it; it asserts nothing.

    python -m tests.benchmarks.large_file [records] [rounds] [file]

A small crew's runs are multiplied by SQL: ten runs of each workflow, three tasks each. The file is kept if it is named.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import tests.conftest  # noqa: F401 - a home folder of its own, no telemetry
from crew_repo import StateRepository
from tests import crews
from tests.benchmarks.overhead import seconds
from tests.models import PromptModel

ROOT = Path(__file__).parents[2]
RUNS_OF_A_WORKFLOW = 10
ONE = "CLM-0000007"
RUN, WORKFLOW = "printf('20260101T%012d-0badcafe', run.i)", f"printf('CLM-%07d', run.i / {RUNS_OF_A_WORKFLOW})"
MINUTE = "strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2026-01-01', '+' || run.i || ' minutes')"
PLACE = "run.i * (SELECT COUNT(*) FROM record_of) + of.at"
OF_EACH = {
    "run_entry": {"run_id": RUN, "workflow_id": WORKFLOW, "number": "run.i + 1000", "started_at": MINUTE,
                  "ordinal": f"run.i % {RUNS_OF_A_WORKFLOW} + 1"},
    "record": {"record_id": f"1000 + {PLACE}", "run_id": RUN, "workflow_id": WORKFLOW, "completed_at": MINUTE,
               "input_hash": f"lower(hex(zeroblob(16))) || printf('%032d', {PLACE})"},
    "task_run": {"task_run_id": f"1000 + {PLACE}", "record_id": f"1000 + {PLACE}", "run_id": RUN,
                 "workflow_id": WORKFLOW, "finished_at": MINUTE,
                 "input_hash": f"lower(hex(zeroblob(16))) || printf('%032d', {PLACE})"},
}  # fmt: skip
COMMANDS = [
    ["status", "--workflow", ONE], ["status"], ["status", "draft"], ["runs"],
    ["runs", "--workflow", ONE], ["runs", "status:completed"], ["show"], ["show", "20260101T000000000000-0badcafe"],
    ["history", "draft"], ["history", "draft", "--workflow", ONE],
    ["plan", "tests.benchmarks.large_file:crew", *(f"-i{name}={text}" for name, text in crews.NOTES.items()),
     "--workflow", ONE],
]  # fmt: skip


def crew():
    """The crew to plan, whose model is never asked."""
    return crews.context_list(PromptModel(model="m"))


def make(path: Path, records: int) -> None:
    """A state with so many records."""
    with StateRepository(path, verbose=False) as repo:
        repo.run(crew(), crews.NOTES, workflow_id="crew")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        for table in OF_EACH:
            _of_each(connection, table)
        connection.execute("CREATE TEMP TABLE run (i INTEGER PRIMARY KEY)")
        runs = records // connection.execute("SELECT COUNT(*) FROM record_of").fetchone()[0]
        connection.executemany("INSERT INTO run VALUES (?)", ((at,) for at in range(runs)))
        for table, changed in OF_EACH.items():
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(changed.get(name, f'of."{name}"') for name in names)
            connection.execute(f"INSERT INTO {table} SELECT {values} FROM temp.run AS run, temp.{table}_of AS of")


def _of_each(connection: sqlite3.Connection, table: str) -> None:
    """Keep what the crew's one run has in a table, numbered, to be multiplied."""
    connection.execute(f"CREATE TEMP TABLE {table}_of AS SELECT ROW_NUMBER() OVER () - 1 AS at, * FROM {table}")


def process(arguments: list[str]) -> float:
    """The seconds of a process, which must answer: with 0, or with 1 for a plan with something to run."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    ended = []
    taken = seconds(lambda: ended.append(subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)))
    assert ended[0].returncode in (0, 1), command
    return taken


def main(records: int, rounds: int, path: Path) -> None:
    """Interleave the commands, so that a noisy machine troubles all alike."""
    if not path.exists():
        print(f"made in {seconds(lambda: make(path, records)):.0f} s")
    print(f"{records:,} records, {path.stat().st_size / 2**20:,.0f} MB")
    times: dict[str, list[float]] = {"python -c pass": []}
    for _ in range(rounds):
        times["python -c pass"].append(process(["-c", "pass"]))
        for command in COMMANDS:
            taken = process(["-m", "crew_repo.cli", *command, "--db", str(path)])
            times.setdefault(" ".join(command[:3]), []).append(taken)
    least = statistics.median(times["python -c pass"])
    for name, taken in times.items():
        print(f"{name:<45} {statistics.median(taken) * 1000:10.0f} ms  {statistics.median(taken) / least:8.1f} x")


if __name__ == "__main__":
    given = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        counts = [int(argument) for argument in [*given[:2], *("1000000", "5")[len(given[:2]) :]]]
        main(*counts, Path(given[2]) if len(given) > 2 else Path(folder) / "large.db")
