"""One transaction: its connection, its time, and helpers for its statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from sqlalchemy import Connection, text

from crew_repo.store.dialect import Dialect, Row
from crew_repo.store.tables import INVALIDATION, KEPT_CALL, LEASE, RECORD, TASK_RUN, TEXT

__all__ = ["Inserts", "Transaction", "chunks"]

_CHUNK = 500  # older SQLite versions take 999 parameters
Item = TypeVar("Item")


class Inserts:
    """The inserts that each dialect writes in its own way."""

    _made: ClassVar[dict[str, Inserts]] = {}

    @classmethod
    def of(cls, dialect: Dialect) -> Inserts:
        """Made once per kind of database."""
        if dialect.name not in cls._made:
            cls._made[dialect.name] = cls(dialect)
        return cls._made[dialect.name]

    def __init__(self, dialect: Dialect) -> None:
        self.text: Any = dialect.insert_or_ignore(TEXT)
        self.lease_if_free: Any = dialect.insert_or_ignore(LEASE)
        self.record_if_first: Any = dialect.insert_or_ignore(RECORD)
        self.task_run: Any = dialect.insert_or_replace(TASK_RUN, ("run_id", "position"))
        self.invalidation: Any = dialect.insert_or_replace(INVALIDATION, ("workflow_id", "task_name"))
        self.kept_call: Any = dialect.insert_or_replace(
            KEPT_CALL, ("workflow_id", "task_name", "input_hash", "call_key", "occurrence")
        )
        self.task_run_if_new: Any = dialect.insert_or_ignore(TASK_RUN)


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction. `now` is this host's time; leases and heartbeats go by `lease_now`, which hosts share."""

    connection: Connection
    dialect: Dialect
    inserts: Inserts
    now: datetime
    lease_now: datetime
    lease_seconds: float

    def run(self, statement: Any, rows: Row | Sequence[Row]) -> int:
        """Insert, update or delete, with one set of parameters or many; the number of rows."""
        return self.dialect.run(self.connection, statement, rows)

    def number(self, statement: Any, row: Row) -> int | None:
        """The number that a select finds, or None if it finds no row."""
        return self.dialect.number(self.connection, statement, row)

    def ask(self, statement: Any, row: Row | None = None) -> Callable[[], list[Row]]:
        """Select, and wait for nothing; what gives the rows, also when the transaction has ended."""
        return self.dialect.ask(self.connection, statement, row or {})

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        """Run a statement, with one set of parameters or a list of them."""
        return self.connection.execute(statement, parameters)

    def insert_later(self, statement: Any, row: Row) -> Callable[[], int | None]:
        """Do as `insert_if_new`, and wait for nothing; what gives the key when the transaction has ended."""
        return self.dialect.insert(self.connection, statement, row)

    def insert_if_new(self, statement: Any, row: Row) -> Any:
        """The key of the row that an insert of `Inserts` has made, or None if there was one already."""
        return self.dialect.insert(self.connection, statement, row)()

    @contextmanager
    def tried(self, only_tried: bool) -> Iterator[None]:
        """Take back what is written in here, if it was only tried."""
        if only_tried:
            self.execute(text("SAVEPOINT tried"))
        yield
        if only_tried:
            self.execute(text("ROLLBACK TO SAVEPOINT tried"))
            self.dialect.forget_texts(self.connection)

    def rows(self, statement: Any, parameters: Any = None) -> Any:
        """The rows of a select, as mappings."""
        return self.connection.execute(statement, parameters).mappings()


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Pieces that fit into one statement."""
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
