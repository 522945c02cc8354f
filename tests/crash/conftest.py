"""A model server in another process, and a new database of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.crash.server import Ledger, serving


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A model server, and what it was asked for."""
    with serving(tmp_path) as begun:
        yield begun


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    return postgres.new_database(request.getfixturevalue("postgres_server"))
