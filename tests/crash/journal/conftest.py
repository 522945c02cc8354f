"""A model that can kill its clients, and a new database of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.crash.journal.model_server import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    """A model server; each test gives it a model."""
    with serving() as begun:
        yield begun


@pytest.fixture
def other_server() -> Iterator[Server]:
    """A second one, at another address."""
    with serving() as begun:
        yield begun


@pytest.fixture
def sql(url: str) -> Iterator[Any]:
    """What a person types at a SQL prompt; returns rows."""
    engine = create_engine(url)

    def typed(statement: str, **values: Any) -> list[Any]:
        with engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    yield typed
    engine.dispose()
