"""The column types of the state: text, and times as text, which both SQLite and PostgreSQL keep unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer
from sqlalchemy import Text as SqlText
from sqlalchemy.types import TypeDecorator

from crew_repo.store.stored_values import DamagedTime, restored, storable, text_read, time_read, utc_text, utc_time

__all__ = [
    "DamagedTime",
    "Identity",
    "KeptText",
    "PlainText",
    "UtcText",
    "restored",
    "storable",
    "utc_text",
    "utc_time",
]

Identity = BigInteger().with_variant(Integer, "sqlite")
"""A key that the database hands out; SQLite does so only for a column of type INTEGER."""


class KeptText(TypeDecorator[Any]):
    """A text whose column writes and reads it in its own way; nothing is nothing."""

    impl = SqlText
    cache_ok = True
    writes: Callable[[Any], str]
    reads: Callable[[Any], Any]

    def process_bind_param(self, value: Any, _dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else self.writes(value)

    def process_result_value(self, value: Any, _dialect: Dialect) -> Any:
        """From the database."""
        return None if value is None else self.reads(value)


class PlainText(KeptText):
    """Any Python text comes back as it was."""

    cache_ok = True
    writes = staticmethod(storable)
    reads = staticmethod(text_read)


class UtcText(KeptText):
    """An aware `datetime`, kept as the text that `utc_text` gives. What is no time is for its reader to refuse."""

    cache_ok = True
    writes = staticmethod(utc_text)
    reads = staticmethod(time_read)
