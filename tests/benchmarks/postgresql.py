"""The runner with a null executor on PostgreSQL: round trips, which a distant server makes slow, and time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg

from crew_repo import StateRepository
from tests import postgres
from tests.benchmarks import counting
from tests.benchmarks.chains import ANSWER, chain, notes, run_null
from tests.benchmarks.measuring import Row, Sizes, interleaved

__all__ = ["rows"]

MOST_TASKS = 100


def rows(sizes: Sizes, rounds: int) -> Iterator[Row]:
    """What a task costs, beside the same by hand with psycopg, and its round trips; the server syncs to its disk."""
    with postgres.running() as server:
        server.psql("ALTER SYSTEM SET fsync = on;")
        server.psql("SELECT pg_reload_conf();")
        for tasks in sizes.tasks:
            if tasks <= MOST_TASKS:
                yield from _times(server, tasks, rounds)
        yield from _trips(server)


def _times(server: Any, tasks: int, rounds: int) -> Iterator[Row]:
    times = interleaved(rounds, lambda _, __: _round(server, tasks))
    for kind in ("cold", "warm"):
        yield times.row(f"by hand {kind}", each=tasks, unit="ms a task").named(f"by hand {kind}, {tasks:,} tasks")
        row = times.row(f"runner {kind}", to=f"by hand {kind}", each=tasks, unit="ms a task")
        yield row.named(f"runner {kind}, {tasks:,} tasks")


def _round(server: Any, tasks: int) -> Iterator[tuple[str, Any]]:
    by_hand = postgres.new_database(server).replace("+psycopg", "")
    with StateRepository(postgres.new_database(server), verbose=False) as repo:
        run_null(repo, chain(1), notes(), "another")
        for kind in ("cold", "warm"):
            yield f"by hand {kind}", lambda: _by_hand(by_hand, tasks)
            crew = chain(tasks)
            yield f"runner {kind}", lambda: run_null(repo, crew, notes())  # noqa: B023 - called before the next


def _by_hand(url: str, steps: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS answer (hash text PRIMARY KEY, answer text)")
        for number in range(steps):
            key = [f"step-{number}"]
            if connection.execute("SELECT answer FROM answer WHERE hash = %s", key).fetchone() is None:
                connection.execute("INSERT INTO answer VALUES (%s, %s)", [*key, ANSWER])


def _trips(server: Any) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        door = counting.Door(_folder_of(server), Path(folder))
        for kind, targets in (("cold", {"each": "2"}), ("warm", {"run": "2"})):
            counted = counting.growth(lambda tasks: _count(server, door, tasks, warm=kind == "warm"))  # noqa: B023
            yield from counting.rows_of(f"{kind}: round trips", counted, **targets)
        door.close()


def _folder_of(server: Any) -> Path:
    return Path(parse_qs(urlsplit(postgres.url_of(server)).query)["host"][0])


def _count(server: Any, door: counting.Door, tasks: int, *, warm: bool) -> int:
    url = postgres.new_database(server).replace(str(_folder_of(server)), str(door.folder))
    with StateRepository(url, verbose=False) as repo:
        run_null(repo, chain(1), notes(), "another")
        if warm:
            run_null(repo, chain(tasks), notes())
        before = door.trips
        run_null(repo, chain(tasks), notes())
        return door.trips - before
