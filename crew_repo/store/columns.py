"""The column types of the state: text, and times as text, which both SQLite and PostgreSQL keep unchanged."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer
from sqlalchemy import Text as SqlText
from sqlalchemy.types import TypeDecorator

from crew_repo.store.stored_values import DamagedTime, restored, storable, text_read, time_read, utc_text, utc_time

__all__ = ["DamagedTime", "Identity", "PlainText", "UtcText", "restored", "storable", "utc_text", "utc_time"]

Identity = BigInteger().with_variant(Integer, "sqlite")
"""A key that the database hands out; SQLite does so only for a column of type INTEGER."""


class PlainText(TypeDecorator[str]):
    """Any Python text comes back as it was."""

    impl = SqlText
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """Make it storable."""
        return None if value is None else storable(value)

    def process_result_value(self, value: Any, _dialect: Dialect) -> str | None:
        """Undo that. A person may have put a number or bytes into a SQLite column: then that is the text."""
        return None if value is None else text_read(value)


class UtcText(TypeDecorator[datetime]):
    """An aware `datetime`, kept as the text that `utc_text` gives."""

    impl = SqlText
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> str | None:
        """To text."""
        return None if value is None else utc_text(value)

    def process_result_value(self, value: Any, _dialect: Dialect) -> datetime | None:
        """From text; what is no time is for the reader of the row to refuse."""
        return None if value is None else time_read(value)
