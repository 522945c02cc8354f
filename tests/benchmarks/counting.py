"""Counting what goes to a database: statements to SQLite, round trips to a server. Counts need no quiet machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from crew_repo.store.sqlite import SQLite
from tests.benchmarks.measuring import Row

__all__ = ["Door", "growth", "rows_of", "statements"]


def growth(count: Callable[[int], float], few: int = 10, more: int = 30) -> tuple[float, float]:
    """What is counted for each task, and besides that for each run: from runs of few and of more tasks."""
    least, most = count(few), count(more)
    each = (most - least) / (more - few)
    return each, least - each * few


def rows_of(what: str, counted: tuple[float, float], *, each: str = "", run: str = "") -> Iterator[Row]:
    """Both numbers of `growth` as rows, with their targets."""
    for of, number, target in (("a task", counted[0], each), ("a run", counted[1], run)):
        yield Row(f"{what} {of}", number, "", target=target)


@contextmanager
def statements() -> Iterator[list[str]]:
    """Every statement that connections which are opened in here send to SQLite, also BEGIN, COMMIT and PRAGMA."""
    said: list[str] = []
    connect = SQLite._connect

    def listening(dialect: SQLite) -> Any:
        connection = connect(dialect)
        connection.set_trace_callback(lambda text: said.append(text) if not text.startswith("--") else None)
        return connection

    SQLite._connect = listening  # type: ignore[method-assign]
    try:
        yield said
    finally:
        SQLite._connect = connect  # type: ignore[method-assign]


class Door:
    """A socket before that of a PostgreSQL server, which counts how often a client asks again after an answer."""

    def __init__(self, server: Path, folder: Path) -> None:
        self.trips = 0
        self.folder = folder
        self._server = server / ".s.PGSQL.5432"
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / ".s.PGSQL.5432"))
        self._listening.listen()
        self._begin(self._welcome)

    def close(self) -> None:
        """Let nobody in any more; who is in goes on."""
        self._listening.close()

    def _welcome(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            asking = [False]
            self._begin(self._hand_on, client, server, asking, True)
            self._begin(self._hand_on, server, client, asking, False)

    def _hand_on(self, source: socket.socket, target: socket.socket, asking: list[bool], asks: bool) -> None:
        with target, suppress(OSError):  # the other side may have gone first
            while data := source.recv(1 << 16):
                self.trips += asks and not asking[0]
                asking[0] = asks
                target.sendall(data)

    @staticmethod
    def _begin(work: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()
