"""DuckDB reads the views of a SQLite state: itself where it understands them, else by SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from crew_repo.model import Failure, Outcome
from crew_repo.store import Store
from tests.conformance.kit import Kit, new_record, now, task_run
from tests.conformance.test_inputs_of_runs import GIVEN
from tests.sql_readers import Rows, by_duckdb, by_sqlite3


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state that a program has open: answers, a failure, tasks that are executed, and some of a process that died."""
    file = tmp_path / "state.db"
    with Store(f"sqlite:///{file}", clock=lambda: now() - timedelta(hours=1)) as gone:
        kit = Kit(gone)
        kit.start("claim-1", run_id="killed")
        kit.lease(new_record("draft", template="D", run_id="killed", position=1))
    with Store(f"sqlite:///{file}") as store:
        kit = Kit(store)
        kit.begin("run-0", task_names=("extract", "draft", "note"), inputs=GIVEN)
        kit.execute(new_record(run_id="run-0"))
        kit.run(new_record(workflow_id="claim-2"), new_record("odd", template="Odd"), workflow_id="claim-2")
        failed = task_run(new_record("note", run_id="run-0", position=2), Outcome.FAILED,
                          failure=Failure("ValueError", "no policy", "..."))  # fmt: skip
        kit.store.save_failed(None, failed)
        kit.lease(new_record(template="Read {notes} well", run_id="run-0"))
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("UPDATE record SET components = 'no JSON' WHERE task_name = 'odd'")
        yield file


def in_order(answer: Rows) -> Rows:
    """An answer with its rows in an order of their own; no view promises one. There is something to compare."""
    columns, rows = answer
    assert rows
    return columns, sorted(rows, key=repr)


@pytest.mark.parametrize("view", ["task_state", "run", "known_task", "task_lease"])
def test_it_reads_what_people_ask_with_numbers_as_numbers(state: Path, view: str) -> None:
    """Whatever happens to a task, each cell is what SQLite says, and of its type."""
    assert in_order(by_duckdb(state, f"SELECT * FROM {view}")) == in_order(by_sqlite3(state, f"SELECT * FROM {view}"))


@pytest.mark.parametrize("view", ["run_silent", "lease_over", "crew_task", "record_inputs", "run_inputs"])
def test_it_has_sqlite_read_what_only_that_understands(state: Path, view: str) -> None:
    """Every cell of such a view is a text; the views above compare them as numbers nevertheless."""
    columns, rows = in_order(by_sqlite3(state, f"SELECT * FROM {view}"))
    assert in_order(by_duckdb(state, f"SELECT * FROM {view}")) == (columns, [tuple(map(str, row)) for row in rows])
