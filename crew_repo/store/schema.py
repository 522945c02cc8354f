"""The version of the tables: nothing is done to a current database, an empty one is filled, an older one migrated.

| version | since | change                                                                      |
| ------- | ----- | --------------------------------------------------------------------------- |
| 1       | 0.1.0 | the first                                                                   |
| 2       | 0.1.0 | `record.reading`: how a typed output is read from its texts; `run.number`;  |
|         |       | `invalidation`; SQLite has its version in a table too, which a dump keeps   |
| 3       | 0.1.0 | the table `run` is `run_entry`, and `run` a view; `run_entry.task_names`;   |
|         |       | `record.model`                                                              |
| 4       | 0.1.0 | `change`: what people changed; `record.person`; `run_entry.ordinal`         |
| 5       | 0.1.0 | `run_entry.input_hashes`, `.source`, `.waits_for`; `task_run.model`;        |
|         |       | `usage_by_model` of `record` and `task_run`;                                |
|         |       | `held_answer`: answers of people to what is not known yet                   |
| 6       | 0.1.0 | `kept_call`: what was answered inside tasks that have not finished          |
| 7       | 0.1.0 | `record.shared_hash`: components that many records have in common           |
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.dialects import registry
from sqlalchemy.schema import CreateIndex, CreateTable

from crew_repo.errors import NewerSchemaError
from crew_repo.store.dialect import Dialect
from crew_repo.store.state_file import SCHEMA_VERSION
from crew_repo.store.tables import METADATA
from crew_repo.store.views import create_views, drop_views

__all__ = ["CURRENT", "Schema", "empty_sqlite", "ensure_schema"]


@dataclass(frozen=True, slots=True)
class Schema:
    """The version that this code reads and writes, and the folders of the migrations that lead to it."""

    version: int
    migrations: tuple[Path, ...]


CURRENT = Schema(SCHEMA_VERSION, (Path(__file__).parent / "migrations" / "versions",))


def ensure_schema(dialect: Dialect, engine: Engine) -> None:
    """Bring the database to the current version in one transaction; a kill leaves the old version or the new one."""
    with engine.connect() as connection:
        found = dialect.version(connection)
        settled = found == CURRENT.version and dialect.is_settled(connection, found)
    if settled:
        return
    _refuse_newer(dialect, found)
    if found not in (None, CURRENT.version):
        dialect.keep_copy(engine, found)
    with dialect.schema_transaction(engine) as connection:
        _bring_up(dialect, connection)


def _bring_up(dialect: Dialect, connection: Connection) -> None:
    """Looks again first: another process may have been quicker."""
    found = dialect.version(connection)
    if found == CURRENT.version and dialect.is_settled(connection, found):
        return
    _refuse_newer(dialect, found)
    if found is None:
        _run_all(connection, _tables(dialect.name))
    else:
        _run_all(connection, drop_views(dialect.name, inspect(connection).get_view_names()))
        if found != CURRENT.version:
            _migrate(connection, found)
    _run_all(connection, create_views(dialect.name))
    dialect.set_version(connection, CURRENT.version)


def _migrate(connection: Connection, found: int) -> None:
    from crew_repo.store.migrations import migrate  # imports alembic, which only an old file needs

    migrate(connection, found, CURRENT.version, CURRENT.migrations)


def _refuse_newer(dialect: Dialect, found: int | None) -> None:
    if found is not None and found > CURRENT.version:
        raise NewerSchemaError(
            f"{dialect.place} has schema version {found}, and this crew_repo knows up to {CURRENT.version}; "
            "install one here that is as new as the one that wrote it"
        )


def _run_all(connection: Connection, statements: list[str]) -> None:
    for statement in statements:
        connection.exec_driver_sql(statement)


@cache
def _tables(dialect_name: str) -> list[str]:
    """The statements that create the tables and their indexes, compiled once."""
    dialect, tables = registry.load(dialect_name)(), METADATA.sorted_tables
    made = [str(CreateTable(table).compile(dialect=dialect)) for table in tables]
    return made + [str(CreateIndex(index).compile(dialect=dialect)) for table in tables for index in table.indexes]


def empty_sqlite() -> sqlite3.Connection:
    """An empty state in memory: what is read as long as there is no file."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.executescript(";\n".join([*_tables("sqlite"), *create_views("sqlite")]))
    return connection
