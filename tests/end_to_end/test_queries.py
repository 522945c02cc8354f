"""The page of queries: each is asked with every program that the page names, and gives the table that stands there."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from numbers import Number
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from crew_repo import StateRepository
from tests import postgres
from tests.playing import EXAMPLES, run_once
from tests.sql_readers import READERS, Rows, by_datasette, by_sqlite3

pytestmark = pytest.mark.siege

PAGE = EXAMPLES / "queries.md"
LONGEST = 60
FIGURE = re.compile(r"_at$|^day$|tokens|seconds")  # columns that differ from run to run, or between versions of CrewAI

# Each query of the page, and the table below it.
QUERIES = re.findall(r"^```sql\n(.*?)^```\n\n((?:\|[^\n]*\n)*)", PAGE.read_text(encoding="utf-8"), re.S | re.M)


@pytest.fixture
def state(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the file that queries.py makes, in which every task ran on one day."""
    folder, _ = run_once("queries.py", tmp_path_factory)
    copy = shutil.copy(folder / "queries.db", tmp_path / "queries.db")
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("UPDATE task_run SET started_at = '2026-11-28' || SUBSTR(started_at, 11)")
    return copy


def rows_of(answer: Rows) -> Rows:
    """An answer without what programs differ in: how they hold a number."""
    columns, rows = answer
    return columns, [tuple(round(float(c), 6) if isinstance(c, Number) else c for c in row) for row in rows]


def shown(answer: Rows) -> list[list[str]]:
    """The lines of an answer as they stand on the page."""
    columns, rows = answer
    return [columns, ["---"] * len(columns), *([cell(value) for value in row] for row in rows)]


def cell(value: Any) -> str:
    """A cell of the page: short, and on one line."""
    said = "" if value is None else str(round(value, 1) if isinstance(value, float) else value)
    said = said.replace("\n", " / ").replace("|", "\\|")
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}…"


def without_figures(lines: list[list[str]]) -> list[list[str]]:
    """These lines; columns of figures say only whether there is one."""
    figures = [bool(FIGURE.search(name)) for name in lines[0]]
    return [lines[0], *[[str(bool(cell)) if hide else cell for hide, cell in zip(figures, line, strict=True)]
                        for line in lines[1:]]]  # fmt: skip


def test_no_query_is_left_out() -> None:
    """Each query of the page has its table there, and is among those that are asked here."""
    assert len(QUERIES) == PAGE.read_text(encoding="utf-8").count("```sql")
    assert all(table for _, table in QUERIES)


@pytest.mark.parametrize("query,table", QUERIES)
def test_the_page_shows_what_is_answered(state: Path, query: str, table: str) -> None:
    """A person who makes the file and types the query sees the table that stands below it."""
    lines = [line[2:-2].split(" | ") for line in table.splitlines()]
    assert without_figures(lines) == without_figures(shown(by_sqlite3(state, query)))


@pytest.mark.parametrize("reader", READERS)
def test_each_program_gives_the_same_rows(state: Path, reader: str) -> None:
    """The four programs that the page names, for every query."""
    for query, _ in QUERIES:
        assert rows_of(READERS[reader](state, query)) == rows_of(by_sqlite3(state, query)), query


def test_postgresql_gives_the_same_rows_with_the_words_that_the_page_names(state: Path, postgres_server: Any) -> None:
    """The state is copied to PostgreSQL, and each query asked with its own JSON."""
    url = postgres.new_database(postgres_server)
    with StateRepository(f"sqlite:///{state}") as ours, StateRepository(url) as theirs:
        ours.export_json(state.with_name("state.jsonl"))
        theirs.import_json(state.with_name("state.jsonl"))
    engine = create_engine(url)
    with engine.connect() as connection:
        for query, _ in QUERIES:
            answer = connection.exec_driver_sql(for_postgresql(query))
            found = list(answer.keys()), [tuple(row) for row in answer]
            assert rows_of(found) == rows_of(by_sqlite3(state, query)), query
    engine.dispose()


def for_postgresql(query: str) -> str:
    """A query with what the page says to write there."""
    query = query.replace("json_each(task_run.reasons)", "json_array_elements(task_run.reasons::json)")
    return re.sub(r"\b(inputs|output_json) ->>", r"\1::json ->>", query)


@pytest.mark.parametrize("reader", READERS)
def test_each_program_reads_while_another_writes(state: Path, reader: str) -> None:
    """It sees what was saved, though the file itself does not have it yet; `--immutable` would not."""
    query = "select count(*) as tasks from task_run"
    with closing(sqlite3.connect(state)) as program:
        before = READERS[reader](state, query)
        program.execute("DELETE FROM task_run WHERE status = 'failed'")
        assert READERS[reader](state, query) == before
        program.commit()
        assert rows_of(READERS[reader](state, query)) != rows_of(before)
        assert rows_of(by_datasette(state, query, immutable=True)) == rows_of(before)
