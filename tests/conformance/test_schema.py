"""The version of the tables: created, migrated, refused; and never half."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text

from crew_repo.errors import NewerSchemaError, StoreOpenError
from crew_repo.store import Store, schema
from crew_repo.store.database import dialect_of
from crew_repo.store.migrations import migrate
from crew_repo.store.views import create_views
from tests.conformance.kit import Kit, new_record
from tests.processes import forkserver

_ADDS_A_COLUMN = """
import os
import sqlalchemy as sa
from alembic import op
revision, down_revision = "{newer:04}", "{current:04}"

def upgrade():
    op.add_column("record", sa.Column("note", sa.Text()))
    op.execute("UPDATE record SET note = 'migrated'")
    if os.environ.get("DIE_HERE"):
        os.kill(os.getpid(), 9)
    with op.batch_alter_table("run_entry") as run:
        run.alter_column("crew_name", existing_type=sa.Text(), nullable=True)
"""


@pytest.fixture
def newer(tmp_path: Path) -> schema.Schema:
    """A made-up newer version, with a migration that adds a column and rebuilds a table that others refer to."""
    folder = tmp_path / "versions"
    folder.mkdir()
    current = schema.CURRENT.version
    revision = _ADDS_A_COLUMN.format(current=current, newer=current + 1)
    (folder / f"{current + 1:04}_a_note.py").write_text(revision)
    return schema.Schema(current + 1, (*schema.CURRENT.migrations, folder))


def _shape(url: str) -> Any:
    engine = create_engine(url)
    found = inspect(engine)
    shape: dict[str, Any] = {}
    for name in sorted({*found.get_table_names()} - {"crew_repo_schema"}):
        columns = [{**column, "type": str(column["type"])} for column in found.get_columns(name)]
        indexes = sorted(json.dumps(index, default=str, sort_keys=True) for index in found.get_indexes(name))
        shape[name] = [columns, indexes, found.get_pk_constraint(name), found.get_foreign_keys(name)]
    shape["views"] = found.get_view_names()
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT name, sql FROM sqlite_master ORDER BY name"))
            shape["sql"] = [(name, "".join((sql or "").replace('"', "").split())) for name, sql in rows]
    engine.dispose()
    return shape


def test_migrating_from_nothing_gives_what_creating_gives(url: str, other_of_same_kind: str) -> None:
    """The revisions lead to exactly the tables, indexes and views that a new database gets."""
    with Store(url) as store:
        Kit(store).start()
    dialect = dialect_of(other_of_same_kind, 30)
    dialect.create()
    engine = dialect.engine()
    with dialect.schema_transaction(engine) as connection:
        migrate(connection, 0, schema.CURRENT.version, schema.CURRENT.migrations)
        for statement in create_views(dialect.name):
            connection.exec_driver_sql(statement)
        dialect.set_version(connection, schema.CURRENT.version)
    engine.dispose()
    assert _shape(other_of_same_kind) == _shape(url)


def test_an_older_database_is_migrated(url: str, sql: Any, newer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On opening, in place, with everything in it; the view and its triggers work as before."""
    with Store(url) as store:
        (kept,) = Kit(store).run(new_record())
    monkeypatch.setattr(schema, "CURRENT", newer)
    with Store(url) as store:
        assert store.find_record(kept.input_hash, "claim-1") is not None
        assert [state.output for state in store.states()] == ["policy 42"]
        assert store.verify() == []
        sql("DELETE FROM task_state")
        assert store.states() == []
        Kit(store).start(run_id="after")
    assert sql("SELECT note FROM record") == [{"note": "migrated"}]


@pytest.fixture
def first_export() -> list[str]:
    """The export of a state that version 0.1.0 wrote, when its schema was version 1."""
    return (Path(__file__).parent / "version_1.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)


def _write_first_version(url: str, export: list[str]) -> None:
    """Make the tables of schema version 1, with the rows of an export of that time."""
    dialect = dialect_of(url, 30)
    dialect.create()
    engine = dialect.engine()
    with dialect.schema_transaction(engine) as connection:
        migrate(connection, 0, 1, schema.CURRENT.migrations)
        connection.execute(text("CREATE VIEW task_state AS SELECT task_name FROM task_run JOIN run USING (run_id)"))
        for line in map(json.loads, export[1:-1]):
            ((table, row),) = line.items()
            names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), row)
        dialect.set_version(connection, 1)
    engine.dispose()


def test_a_state_of_the_first_version_is_opened_with_all_that_is_in_it(url: str, first_export: list[str]) -> None:
    """Its records keep their hashes, and may be served."""
    _write_first_version(url, first_export)
    with Store(url) as store:
        assert [state.output for state in store.states()] == ["policy 42", "a note"]
        assert store.verify() == []
        assert store.find_record(new_record().input_hash, "claim-1") is not None


def test_an_export_of_the_first_version_is_imported(store: Store, first_export: list[str]) -> None:
    """What later versions keep beside is not there, and nothing else is missing."""
    assert store.import_json(first_export) == 2
    assert store.verify() == []


def test_runs_of_the_first_version_are_numbered_by_their_times(url: str, sql: Any) -> None:
    """That is all that is known of their order; the next run is the newest, whatever the clock says."""
    _write_first_version(url, [""])
    for run_id, day in (("late", "2099-01-01"), ("b", "2026-01-01"), ("a", "2026-01-01"), ("first", "2025-01-01")):
        sql(
            "INSERT INTO run (run_id, workflow_id, crew_name, status, started_at, owner, heartbeat_at, lease_seconds, "
            "executed, reused, failed, tokens_spent, tokens_saved, seconds_saved, facts) VALUES "
            "(:r, 'w', 'c', 'completed', :at, 'o', :at, 1, 0, 0, 0, 0, 0, 0, '{}')",
            r=run_id, at=f"{day}T00:00:00.000000Z",
        )  # fmt: skip
    with Store(url) as store:
        assert [run.run_id for run in store.list_runs()] == ["late", "b", "a", "first"]
        Kit(store).start(run_id="now")
        assert [run.run_id for run in store.list_runs()] == ["now", "late", "b", "a", "first"]


def test_runs_of_older_versions_are_numbered_within_their_workflows(url: str, sql: Any) -> None:
    """In the order in which they began; no answer is a person's, and none was changed by one."""
    _write_first_version(url, [""])
    for run_id, workflow_id, day in (("c", "w", 3), ("a", "w", 1), ("x", "v", 2)):
        sql(
            "INSERT INTO run (run_id, workflow_id, crew_name, status, started_at, owner, heartbeat_at, lease_seconds, "
            "executed, reused, failed, tokens_spent, tokens_saved, seconds_saved, facts) VALUES "
            "(:r, :w, 'c', 'completed', :at, 'o', :at, 1, 0, 0, 0, 0, 0, 0, '{}')",
            r=run_id, w=workflow_id, at=f"2026-01-0{day}T00:00:00.000000Z",
        )  # fmt: skip
    with Store(url) as store:
        assert {run.run_id: run.ordinal for run in store.list_runs()} == {"c": 2, "x": 1, "a": 1}
        assert (store.run_count("w"), store.run_count(), store.changes()) == (2, 3, [])
        Kit(store).start("w", run_id="now")
        assert store.run_count("w") == 3


def test_a_newer_database_is_refused(url: str, newer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the remedy, and nothing in it is touched."""
    with Store(url) as store:
        Kit(store).run(new_record())
    with monkeypatch.context() as patch:
        patch.setattr(schema, "CURRENT", newer)
        Store(url).close()
    with pytest.raises(NewerSchemaError, match=rf"has schema version {newer.version}.*install one here that is as new"):
        Store(url)


def test_a_missing_migration_is_an_error(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the database is still the old one."""
    with Store(url) as store:
        Kit(store).run(new_record())
    with monkeypatch.context() as patch:
        lacking = schema.CURRENT.version + 1
        patch.setattr(schema, "CURRENT", schema.Schema(lacking + 6, schema.CURRENT.migrations))
        with pytest.raises(StoreOpenError, match=f"no migration to schema version {lacking}"):
            Store(url)
    with Store(url) as store:
        assert len(store.states()) == 1


def test_a_kill_in_the_middle_of_a_migration_leaves_the_old_schema(
    url: str, tmp_path: Path, newer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old version opens it as before, and the new one migrates it then."""
    with Store(url) as store:
        Kit(store).run(new_record())
    shape = _shape(url)
    script = f"""
        from pathlib import Path
        from crew_repo.store import Store, schema
        folders = (*schema.CURRENT.migrations, Path({str(tmp_path / "versions")!r}))
        schema.CURRENT = schema.Schema(schema.CURRENT.version + 1, folders)
        Store({url!r})
    """
    environment = {**os.environ, "DIE_HERE": "1"}
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, check=False)
    assert died.returncode == -9
    with Store(url) as store:
        assert store.verify() == []
        assert len(store.states()) == 1
    assert _shape(url) == shape
    monkeypatch.setattr(schema, "CURRENT", newer)
    with Store(url) as store:
        assert len(store.states()) == 1


def _start_a_run(url: str, number: int) -> int:
    with Store(url) as store:
        Kit(store).start(run_id=f"run-{number}")
        return len(store.list_runs())


@pytest.mark.siege
def test_many_processes_may_create_one_database(url: str) -> None:
    """All open a new one at the same moment; none fails, and all write to the same."""
    with ProcessPoolExecutor(4, mp_context=forkserver) as pool:
        list(pool.map(_start_a_run, [url] * 8, range(8)))
    with Store(url) as store:
        assert len(store.list_runs()) == 8
