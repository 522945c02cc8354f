"""A state file with many records: a small crew's runs, multiplied by SQL; ten runs of each workflow, three tasks each."""

from __future__ import annotations

import atexit
import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from crew_repo import StateRepository
from tests import crews
from tests.models import PromptModel

__all__ = ["ONE", "crew", "made"]

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


@cache
def made(records: int) -> Path:
    """A file with so many records, made once in a process and gone with it."""
    folder = tempfile.mkdtemp(prefix="crew-repo-benchmarks-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "state.db"
    _make(path, records)
    return path


def crew():
    """The crew to plan, whose model is never asked."""
    return crews.context_list(PromptModel(model="m"))


def _make(path: Path, records: int) -> None:
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
