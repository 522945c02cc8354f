"""Large plain data that this process has been through before is found by its whole content, which saves time.

Plain is what consists of Python's own lists, tuples, dicts, sets, texts, bytes, numbers and times, of their very types.
Two such values with one pickle are the same to whoever goes through them, since unpickling it would make both. Nothing
is unpickled, and of the data digests only are remembered, with what was found.
"""

from __future__ import annotations

import pickle
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from hashlib import sha256
from typing import Any

from crew_repo.time_limits import let_through

__all__ = ["PLAIN_TYPES", "is_large", "mark_of", "recall", "remember"]

_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
_VALUES = (date, datetime, time, timedelta, timezone, Decimal)
_FEWEST = 1000  # members; fewer are walked as fast as they are looked up
_MOST = 4096  # remembered at a time

PLAIN_TYPES: tuple[type, ...] = (*_CONTAINERS, *_VALUES, bytearray)
"""Types that plain data may consist of, beside texts, bytes and numbers."""

_known: dict[bytes, Any] = {}


class _Pickler(pickle.Pickler):
    """Refuses all but Python's own plain types: it asks about everything else."""

    def reducer_override(self, value: object) -> Any:
        if any(type(value) is kind or value is kind for kind in _VALUES):
            return NotImplemented
        raise pickle.PicklingError(f"a {type(value).__qualname__} is not plain")


class _Digest:
    def __init__(self) -> None:
        self._sha256 = sha256()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._sha256.update(data)

    def digest(self) -> bytes:
        return self._sha256.digest()


def is_large(value: Any) -> bool:
    """Whether a value is a container that is worth a mark."""
    return type(value) in _CONTAINERS and len(value) >= _FEWEST


def mark_of(value: Any, asked: object) -> bytes | None:
    """A mark that tells plain data from all other; None for anything else.

    `asked` is what else decides on what is found in it, and is plain too: another question has another mark.
    """
    found = _Digest()
    try:
        _Pickler(found, 4).dump(asked)
        _Pickler(found, 4).dump(value)  # the protocol has no buffers beside bytes
    except Exception as error:  # noqa: BLE001 - what is not plain, changes meanwhile or is too deep has no mark
        let_through(error)
        return None
    return found.digest()


def recall(mark: bytes) -> Any:
    """Give what was found in the data of this mark; None if nobody has been through it yet."""
    return _known.get(mark)


def remember(mark: bytes, found: Any) -> None:
    """Keep what was found, which is neither None nor a secret, for as long as the process lives."""
    if len(_known) >= _MOST:
        _known.clear()
    _known[mark] = found
