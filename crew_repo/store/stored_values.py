"""Texts and times as the state keeps them, and back: what the columns do, without a database library."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from crew_repo.errors import StoreError

__all__ = ["DamagedTime", "restored", "storable", "text_read", "time_read", "utc_text", "utc_time"]

_EXAMPLE = "2026-11-23T10:11:12.345678Z"
_MARK = "\uffff"  # a noncharacter: valid in UTF-8 and in PostgreSQL, and in no text that anybody wrote
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff\uffff]")
_ESCAPED = re.compile(_MARK + "([0-9a-f]{4})")


def storable(text: str) -> str:
    """Write what no database takes in a text (NUL, half a surrogate pair) as a mark and four digits."""
    if text.isascii() and "\x00" not in text:
        return text
    return _NOT_STORABLE.sub(lambda found: f"{_MARK}{ord(found.group()):04x}", text)


def restored(text: str) -> str:
    """The inverse of `storable`."""
    return _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), text) if _MARK in text else text


def utc_text(moment: datetime) -> str:
    """2026-11-23T10:11:12.345678Z: sorts as text, and always has microseconds. A naive time is refused."""
    if isinstance(moment, DamagedTime):
        return moment.text
    if moment.tzinfo is None:
        raise ValueError(f"A time without a time zone cannot be stored: {moment!r}; use datetime.now(timezone.utc)")
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def utc_time(text: str) -> datetime:
    """The inverse of `utc_text`; also reads what a person or a trigger wrote with fewer digits."""
    try:
        moment = datetime.fromisoformat(text.removesuffix("Z"))
    except (AttributeError, ValueError):
        raise StoreError(f"The state has {text!r} where a time should be; write it like {_EXAMPLE}") from None
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


class DamagedTime(datetime):
    """A text where a time should be: a row can be read, and says itself what is wrong with it."""

    text: str

    @classmethod
    def of(cls, text: object) -> DamagedTime:
        """A stand-in for an unreadable time: year 1, so that nothing is served, or waited for, because of it."""
        made = cls(1, 1, 2, tzinfo=timezone.utc)
        made.text = str(text)
        return made


def text_read(value: object) -> str:
    """Undo `storable`. A person may have put a number or bytes into a SQLite column: then that is the text."""
    if isinstance(value, str):
        return restored(value) if _MARK in value else value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def time_read(value: str) -> datetime:
    """Read a time; what is no time is for the reader of the row to refuse."""
    try:
        return utc_time(value)
    except StoreError:
        return DamagedTime.of(value)
