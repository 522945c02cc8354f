"""The yardstick: what a careful person would write by hand with sqlite3, for a chain of steps of 2 KB."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.benchmarks.chains import ANSWER

__all__ = ["by_hand"]


def by_hand(path: Path, steps: int, *, synchronous: str) -> None:
    """A pass over the chain: each step's answer is looked up by a hash, or made and committed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("CREATE TABLE IF NOT EXISTS answer (hash TEXT PRIMARY KEY, step TEXT, answer TEXT)")
        said = ""
        for number in range(steps):
            said = _step(connection, f"step-{number}", said)


def _step(connection: sqlite3.Connection, name: str, context: str) -> str:
    asked = hashlib.sha256(json.dumps([name, "a sentence", context]).encode()).hexdigest()
    found = connection.execute("SELECT answer FROM answer WHERE hash = ?", (asked,)).fetchone()
    if found is not None:
        return str(found[0])
    answer = f"{ANSWER}{len(context)}"
    connection.execute("INSERT INTO answer VALUES (?, ?, ?)", (asked, name, answer))
    return answer
