"""The programs that people read a state file with, none of which is ours: sqlite3, pandas, Datasette and DuckDB."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

__all__ = ["READERS", "Rows", "by_datasette", "by_duckdb", "by_sqlite3"]

Rows = tuple[list[str], list[tuple[Any, ...]]]


def by_sqlite3(file: Path, sql: str) -> Rows:
    """The columns and rows that Python's own module gives."""
    with closing(sqlite3.connect(file)) as connection:
        answer = connection.execute(sql)
        return [name for name, *_ in answer.description], answer.fetchall()


def by_pandas(file: Path, sql: str) -> Rows:
    """Those of a data frame; what is missing in it is None."""
    import pandas

    with closing(sqlite3.connect(file)) as connection:
        frame = pandas.read_sql(sql, connection)
    rows = frame.astype(object).where(frame.notna(), None)
    return list(frame.columns), list(rows.itertuples(index=False, name=None))


def by_datasette(file: Path, sql: str, *, immutable: bool = False) -> Rows:
    """Those of Datasette's JSON interface; `immutable`: as `datasette --immutable` has it."""
    from datasette.app import Datasette

    served = Datasette(**{"immutables" if immutable else "files": [str(file)]}, settings={"sql_time_limit_ms": 60_000})
    answer = asyncio.run(served.client.get(f"/{file.stem}.json", params={"sql": sql, "_shape": "objects"})).json()
    assert answer.get("ok", True), answer
    return answer["columns"], [tuple(row.values()) for row in answer["rows"]]


def by_duckdb(file: Path, sql: str) -> Rows:
    """Those of DuckDB, to which the file is attached.

    `INSTALL sqlite` fetches the extension from the internet; here it comes out of a wheel.
    """
    import duckdb
    from duckdb_extensions import import_extension

    with duckdb.connect() as connection:
        import_extension("sqlite_scanner", con=connection)
        connection.execute(f"LOAD sqlite; ATTACH '{file}' AS state (TYPE sqlite, READ_ONLY); USE state")
        answer = connection.execute(sql)
        return [name for name, *_ in answer.description], answer.fetchall()


READERS = {"sqlite3": by_sqlite3, "pandas": by_pandas, "Datasette": by_datasette, "DuckDB": by_duckdb}
