"""Connecting to a database that has no connection left, or is started again."""

from __future__ import annotations

import time

from sqlalchemy import Connection, Engine

from crew_repo.store.dialect import Dialect

__all__ = ["Connecting"]

_PAUSE_SECONDS = 0.1


class Connecting:
    """Gives a connection of an engine. Where what stands in the way passes, it is waited for.

    It is, from the first try to the last, as long as for another's write: only once, if it does not pass.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._in_vain_since: float | None = None

    def __call__(self, engine: Engine, *, durable: bool = False) -> Connection:
        """`durable`: something paid for is to be written."""
        while True:
            try:
                connection = engine.connect()
            except self._dialect.errors as error:
                if not self._dialect.is_passing(error, durable=durable):
                    raise
                since = self._in_vain_since = self._in_vain_since or time.monotonic()
                if time.monotonic() > since + self._dialect.busy_timeout_seconds:
                    raise
            else:
                self._in_vain_since = None
                return connection
            time.sleep(_PAUSE_SECONDS)
