"""Plain data that was encoded before in this process. It is found by its whole content, which saves time.

Plain is what consists of Python's own lists, tuples, dicts, sets, texts, bytes, numbers and times, of their very types.
Two such values with one pickle are the same to a walk, since unpickling it would make both. Nothing is unpickled, and
remembered are digests only.
"""

from __future__ import annotations

import pickle
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from hashlib import sha256
from typing import Any

from crew_repo.canonical import Encoded
from crew_repo.hashing.dispatch import has_registered

__all__ = ["mark_of", "recall", "remember"]

_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
_VALUES = (date, datetime, time, timedelta, timezone, Decimal)
_FEWEST = 1000  # members; fewer are walked as fast as they are looked up
_MOST = 4096  # remembered at a time

_known: dict[bytes, Encoded] = {}


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


def mark_of(value: Any, ordered: bool, keys: frozenset[str]) -> bytes | None:
    """A mark that tells large plain data from all other; None for anything else.

    A walk depends on nothing else than whether order counts and which keys are in the environment, as long as it finds
    no secrets and no paths (`Walker.text` notes these).
    """
    if type(value) not in _CONTAINERS or len(value) < _FEWEST or has_registered(*_CONTAINERS, *_VALUES, bytearray):
        return None
    found = _Digest()
    try:
        _Pickler(found, 4).dump((ordered, sorted(keys)))
        _Pickler(found, 4).dump(value)  # the protocol has no buffers beside bytes
    except Exception:  # noqa: BLE001 - what is not plain, changes meanwhile or is too deep is walked
        return None
    return found.digest()


def recall(mark: bytes) -> Encoded:
    """The encoding of plain data; None if it was not walked yet."""
    return _known.get(mark)


def remember(mark: bytes, encoded: Encoded) -> None:
    """Keep the encoding of plain data for as long as the process lives."""
    if len(_known) >= _MOST:
        _known.clear()
    _known[mark] = encoded
