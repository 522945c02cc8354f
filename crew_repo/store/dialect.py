"""Differences between SQLite and PostgreSQL: one base class; its two subclasses are in sqlite.py and postgresql.py."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.exc import DBAPIError

from crew_repo.errors import StoreBusyError, StoreError
from crew_repo.store.prepared import Prepared, Row

__all__ = ["VERSION_TABLE", "Dialect", "Row", "Statements", "Turns", "driver_of"]

VERSION_TABLE = "crew_repo_schema"


class Statements(ABC):
    """The statements that differ between databases: inserting, transactions, locks. They go to the driver itself."""

    prepared: Prepared

    @abstractmethod
    def insert_or_ignore(self, table: Table) -> Any:
        """An insert that passes over a row whose key is there already; see `insert` for the key that a row is given."""

    @abstractmethod
    def insert_or_replace(self, table: Table, key: tuple[str, ...]) -> Any:
        """An insert that takes the place of the row with the same `key`, under a new serial number."""

    @abstractmethod
    def key_of(self, inserted: Any) -> int | None:
        """The key that the row of an `insert_or_ignore` was given, by its cursor; None if there was one already."""

    def run(self, connection: Connection, statement: Any, rows: Row | Sequence[Row]) -> int:
        """Insert, update or delete, with one set of parameters or many; the number of rows."""
        return int(self.prepared.run(driver_of(connection), statement, rows).rowcount)

    def insert(self, connection: Connection, statement: Any, row: Row) -> Callable[[], int | None]:
        """Insert by an `insert_or_ignore`; what gives its key, also when the transaction has ended."""
        return partial(self.key_of, self.prepared.run(driver_of(connection), statement, row))

    def number(self, connection: Connection, statement: Any, row: Row) -> int | None:
        """The number that a select finds, or None if it finds no row."""
        found = self.prepared.run(driver_of(connection), statement, row).fetchone()
        return None if found is None else found[0]

    def ask(self, connection: Connection, statement: Any, row: Row) -> Callable[[], list[Row]]:
        """Select; what gives the rows, also when the transaction has ended."""
        rows = self.prepared.rows(self.prepared.run(driver_of(connection), statement, row), statement)
        return lambda: rows

    def begin(self, connection: Connection, *, writing: bool, durable: bool) -> None:  # noqa: B027 - only one dialect needs it
        """Begin the transaction, where the driver does not do so by itself."""

    def commit(self, connection: Connection) -> None:
        """End the transaction, SQLAlchemy's too if it has begun one, and keep what it did."""
        if connection.in_transaction():
            connection.commit()
        else:
            driver_of(connection).commit()

    @contextmanager
    def reading(self, connection: Connection, *, at_once: bool) -> Iterator[None]:  # noqa: ARG002
        """A transaction that writes nothing; `at_once` as in `writing`."""
        self.begin(connection, writing=False, durable=False)
        yield

    @contextmanager
    def writing(self, connection: Connection, *, durable: bool, at_once: bool) -> Iterator[None]:  # noqa: ARG002
        """A transaction. `at_once`: nothing is asked for before its end, so that its statements may go all at once."""
        self.begin(connection, writing=True, durable=durable)
        yield
        self.commit(connection)

    def adding(self, connection: Connection) -> AbstractContextManager[None]:
        """A transaction of one statement, which a power cut may cost."""
        return self.writing(connection, durable=False, at_once=True)

    def known_texts(self, _connection: Connection) -> set[str]:
        """The hashes of texts that are there for certain; whoever writes one adds it."""
        return set()

    def forget_texts(self, connection: Connection) -> None:  # noqa: B027 - only one dialect needs it
        """Know of no text any more, since some that were added or read may be gone."""

    def wipe(self, connection: Connection) -> None:  # noqa: B027 - only one dialect needs it
        """Leave nothing behind of what was deleted, as far as that costs nobody anything."""

    def lock_work(self, connection: Connection, *key: str) -> None:  # noqa: B027 - only one dialect needs it
        """Until the transaction ends, let nobody else claim or save this piece of work."""

    def lock_writers(self, connection: Connection) -> None:  # noqa: B027 - only one dialect needs it
        """Until the transaction ends, let nobody else write records and texts."""

    def clock_ahead_seconds(self, _connection: Connection) -> float:
        """How far the clock that leases go by is ahead of this host's clock."""
        return 0.0


def driver_of(connection: Connection) -> Any:
    """The driver's own connection: half of what a statement costs is SQLAlchemy."""
    return connection.connection.driver_connection


class Dialect(Statements):
    """One kind of database. `place` names it in messages, without a password."""

    name: str
    place: str
    errors: tuple[type[Exception], ...] = (DBAPIError,)  # and what the driver itself raises
    one_writer = False  # whether `new_lock` lets one thread of a process write at a time

    def __init__(self, busy_timeout_seconds: float) -> None:
        self.busy_timeout_seconds = busy_timeout_seconds

    @abstractmethod
    def check(self) -> None:
        """Raise StoreOpenError if it can never be opened. Creates nothing."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is anything to open. If not, reading finds nothing and the first write creates it."""

    @abstractmethod
    def create(self) -> None:
        """Make an empty database where there is none yet."""

    @abstractmethod
    def engine(self) -> Engine:
        """A new engine, with a pool of its own."""

    @abstractmethod
    def version(self, connection: Connection) -> int | None:
        """The schema version that is stored, or None in an empty database."""

    def set_version(self, connection: Connection, version: int) -> None:
        """Store the schema version, in the transaction at hand: one row, always."""
        connection.execute(text(f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (version integer NOT NULL)"))
        connection.execute(text(f"DELETE FROM {VERSION_TABLE}"))  # noqa: S608
        connection.execute(text(f"INSERT INTO {VERSION_TABLE} VALUES (:version)"), {"version": version})  # noqa: S608

    def is_settled(self, _connection: Connection, _version: int) -> bool:
        """Whether a database of this version needs nothing to be put right."""
        return True

    @abstractmethod
    def schema_transaction(self, engine: Engine) -> AbstractContextManager[Connection]:
        """A transaction that may change the schema: one process at a time, committed at the end."""

    @abstractmethod
    def explain(self, error: Exception) -> StoreError:
        """Translate a driver's error into what it means, with the remedy."""

    def is_passing(self, _error: Exception, *, durable: bool) -> bool:  # noqa: ARG002
        """Whether no connection could be had for a reason that passes; `durable`: something paid for is at stake."""
        return False

    @abstractmethod
    def bytes_used(self, connection: Connection) -> int:
        """How large the state is."""

    @abstractmethod
    def compact(self, connection: Connection) -> None:
        """Give the space of deleted rows back."""

    def new_lock(self) -> AbstractContextManager[Any]:
        """A lock by which the writing threads of one process take turns; none, where the database does that well."""
        return nullcontext()

    def identity(self) -> object:
        """A mark that tells this database from another one that was put in its place; None where that cannot be."""
        return None

    def mode(self) -> str:
        """How it may be opened by now; "rw" where it may be written."""
        return "rw"

    def copy(self, _connection: Connection, _target: Path) -> None:
        """Copy the whole database into a new file."""
        raise StoreError(f"{self.place} is no file; copy it with pg_dump, or with export_json")

    def checkpoint(self, connection: Connection) -> None:
        """Put what is committed where a copy of the file has it."""

    def leave(self, connection: Connection) -> None:
        """Put into a database that has another place by now what is kept beside the old place, before it is closed."""

    def keep_copy(self, engine: Engine, version: int) -> None:
        """Keep a copy before a migration, where the database is a file."""


class Turns:
    """A lock with a time limit, so that a stuck writer gives a clear error and no hang.

    An exception out of a signal handler may leave it held; then the thread that holds it can take it, and lets it go.
    """

    def __init__(self, timeout_seconds: float, expired: str) -> None:
        self._lock = threading.RLock()
        self._timeout_seconds = timeout_seconds
        self._expired = expired

    def __enter__(self) -> None:
        try:
            taken = self._lock.acquire(timeout=self._timeout_seconds)
        except BaseException:  # out of a signal handler, when it was taken already
            self.__exit__()
            raise
        if not taken:
            raise StoreBusyError(self._expired)

    def __exit__(self, *_: object) -> None:
        with suppress(RuntimeError):  # as often as it was taken
            while True:
                self._lock.release()
