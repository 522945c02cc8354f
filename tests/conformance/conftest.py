"""Every test here runs on SQLite and on a real PostgreSQL, which a fixture starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from crew_repo.store import Store
from tests import postgres
from tests.conformance.kit import Kit


@pytest.fixture(scope="session")
def with_tables(postgres_server: Any) -> str:
    """The name of a PostgreSQL database that has our tables and no rows, to be copied."""
    url = postgres.new_database(postgres_server)
    with Store(url) as store, store._writing():
        pass
    return str(make_url(url).database)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database of each kind. It is empty, unless the test has it opened as `store`: that may find its tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'crew_state.db'}"
    template = request.getfixturevalue("with_tables") if "store" in request.fixturenames else "template1"
    return postgres.new_database(request.getfixturevalue("postgres_server"), template=template)


@pytest.fixture
def other_url(request: pytest.FixtureRequest, tmp_path: Path, url: str) -> str:
    """A second database, of the other kind."""
    if url.startswith("postgresql"):
        return f"sqlite:///{tmp_path / 'other.db'}"
    return postgres.new_database(request.getfixturevalue("postgres_server"))


@pytest.fixture
def other_of_same_kind(request: pytest.FixtureRequest, tmp_path: Path, url: str) -> str:
    """A second database, of the same kind."""
    if url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'other.db'}"
    return postgres.new_database(request.getfixturevalue("postgres_server"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store on it."""
    with Store(url) as opened:
        yield opened


@pytest.fixture
def kit(store: Store) -> Kit:
    """Short words for what a run does to a store."""
    return Kit(store)


@pytest.fixture
def sql(url: str) -> Iterator[Any]:
    """What a person types at a SQL prompt; returns rows as dicts."""
    engine = create_engine(url)

    def typed(statement: str, **values: Any) -> list[dict[str, Any]]:
        with engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    yield typed
    engine.dispose()
