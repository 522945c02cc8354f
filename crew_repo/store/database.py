"""One open state file or database: its transactions, and the errors that they may raise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, NoReturn

from sqlalchemy import Connection, Engine, QueuePool, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from crew_repo.errors import ForkedConnectionError, StoreBusyError, StoreError, StoreOpenError
from crew_repo.store.connecting import Connecting
from crew_repo.store.dialect import Dialect
from crew_repo.store.fork_gate import ForkGate
from crew_repo.store.schema import empty_sqlite, ensure_schema
from crew_repo.store.sqlite import SQLite
from crew_repo.store.transaction import Inserts, Transaction

__all__ = ["Database", "dialect_of"]

_SQLITE = ("sqlite:///", "sqlite+pysqlite:///")


def dialect_of(url: str, busy_timeout_seconds: float, synchronous: str = "FULL") -> Dialect:
    """The dialect for a SQLAlchemy URL. What follows `sqlite:///` is taken as the path, to the letter.

    `synchronous`: how SQLite commits what must not be lost; see `StateRepository`.
    """
    for prefix in _SQLITE:
        if url.startswith(prefix) and len(url) > len(prefix):
            return SQLite(url.removeprefix(prefix), busy_timeout_seconds, synchronous)
    try:
        parsed = make_url(url)
    except ArgumentError:
        what = "The target is neither a path nor a SQLAlchemy URL; give one like sqlite:///crew_state.db"
        raise StoreOpenError(what) from None
    if parsed.get_backend_name() != "postgresql":
        raise StoreOpenError(
            f"{parsed.render_as_string(hide_password=True)} is not supported; "
            "give a path, sqlite:///path, or postgresql+psycopg://user@host/database"
        )
    _, mistaken, host = (parsed.host or "").rpartition("@")
    if mistaken:
        raise StoreOpenError(
            f"The URL of the database on {host} cannot be read: the user or the password in it has an @; "
            "write that as %40"
        )
    from crew_repo.store.postgresql import PostgreSQL

    return PostgreSQL(parsed.set(drivername="postgresql+psycopg"), busy_timeout_seconds)


class _OpenedAs(NamedTuple):
    """Which file was opened, and how."""

    identity: object
    mode: str

    def fits(self, dialect: Dialect, identity: object) -> bool:
        """Whether it is the file that is there. One that was opened to write stays so, whatever is allowed since."""
        return self.identity == identity and (self.mode == "rw" or self.mode == dialect.mode())


class Database:
    """Transactions on one database, from any thread; each is short, and none is open while a model works.

    A SQLite file that does not exist is created by the first write; until then, reading finds nothing.
    """

    def __init__(self, dialect: Dialect, lease_seconds: float, clock: Callable[[], datetime] | None) -> None:
        self.dialect = dialect
        self._inserts = Inserts.of(dialect)
        self._lease_seconds, self._clock, self._clock_ahead = lease_seconds, clock, timedelta(0)
        self._engine: Engine | None = None
        self._kept: Connection | None = None
        self._opened_as = _OpenedAs(None, "rw")
        self._closed = False
        self._opening = threading.RLock()
        self._connected = Connecting(dialect)
        self._gate = ForkGate(self._dispose)
        self._lock = dialect.new_lock()
        dialect.check()
        if dialect.exists():
            self._open(writing=dialect.identity() is None)

    @contextmanager
    def reading(self, *, at_once: bool = False) -> Iterator[Transaction]:
        """A transaction that sees one state of the database, and keeps no writer waiting. at_once: as in `writing`."""
        with self._reader() as connection, self.dialect.reading(connection, at_once=at_once):
            yield self._transaction(connection)

    @contextmanager
    def writing(
        self, *, durable: bool = False, begins: bool = False, ends: bool = False, at_once: bool = False
    ) -> Iterator[Transaction]:
        """A transaction that is committed at the end, or not at all.

        durable: it survives a power cut. begins: it may start over in a new file, if the old one was deleted. ends: a
        plain copy of the file has it, and what was written before. at_once: see `Dialect.writing`.
        """
        with self._writer(begins=begins, durable=durable) as connection:
            with self.dialect.writing(connection, durable=durable, at_once=at_once):
                yield self._transaction(connection)
            if ends:
                with suppress(*self.dialect.errors):  # it is written, wherever in the file
                    self.dialect.checkpoint(connection)

    @contextmanager
    def adding(self) -> Iterator[Transaction]:
        """A transaction of one statement, which a power cut may cost: so it is cheap."""
        with self._writer() as connection, self.dialect.adding(connection):
            yield self._transaction(connection)

    def measure_clock(self) -> None:
        """How far the clock of the database is ahead of this host's, which may have been set meanwhile."""
        with self._reader() as connection:
            self._measure_clock(connection)

    def compact(self) -> None:
        """Give the space of deleted rows back."""
        with self._writer() as connection:
            self.dialect.compact(connection)

    def wipe(self) -> None:
        """Leave nothing behind of what was deleted."""
        with self._writer() as connection:
            self.dialect.wipe(connection)

    def copy(self, target: Path) -> None:
        """Copy what is committed into a new file, while others go on."""
        with self._reader() as connection:
            if connection.engine is _empty():
                raise StoreError(f"{self.dialect.place} has nothing to copy yet; run a crew first")
            self.dialect.copy(connection, target)

    def close(self) -> None:
        """Close every connection; calling it again does nothing."""
        self._closed = True
        if not self._gate.crossed:
            self._dispose()

    @contextmanager
    def _reader(self) -> Iterator[Connection]:
        with self._gate:
            self._check_usable()
            try:
                with self._connected(self._engine_for_reading()) as connection:
                    yield connection
            except Exception as error:  # noqa: BLE001 - it is raised
                _raise_explained(error, self.dialect)

    @contextmanager
    def _writer(self, *, begins: bool = False, durable: bool = False) -> Iterator[Connection]:
        """A connection; kept for the next transaction, if this one ends well and the threads take turns anyway."""
        with self._gate:
            self._check_usable()
            with self._lock:
                connection = None
                try:
                    engine, kept = self._engine_for_writing(begins=begins)
                    connection = kept or self._connected(engine, durable=durable)
                    yield connection
                except BaseException as error:  # noqa: BLE001 - it is raised
                    if connection is not None:
                        self.dialect.forget_texts(connection)
                        connection.close()
                    _raise_explained(error, self.dialect)
                self._keep(connection)

    def _keep(self, connection: Connection) -> None:
        with self._opening:
            if self._engine is connection.engine and self.dialect.one_writer:
                self._kept = connection
                return
        connection.close()

    def _engine_for_reading(self) -> Engine:
        """Another file in the same place is read as what it is; no file is an empty one."""
        with self._opening:
            if self._engine is not None and self._opened_as.fits(self.dialect, self.dialect.identity()):
                return self._engine
            self._leave()
            return (self._open(writing=False) if self.dialect.exists() else None) or _empty()

    def _engine_for_writing(self, *, begins: bool) -> tuple[Engine, Connection | None]:
        """The engine, and the connection that was kept. A run must not go on in another file than it began in."""
        with self._opening:
            identity = self.dialect.identity()
            if self._engine is not None and self._opened_as.fits(self.dialect, identity):
                kept, self._kept = self._kept, None
                return self._engine, kept
            self._leave()
            if self._opened_as.identity not in (None, identity) and not begins:
                raise StoreError(
                    f"{self.dialect.place} was deleted or replaced while it was in use, so this was not saved; "
                    "put the file back, or run again to begin a new one"
                )
            self.dialect.check()
            self.dialect.create()
            return self._open(writing=True) or _empty(), None

    def _open(self, *, writing: bool) -> Engine | None:
        """The engine on a database of the current version; None if it is empty, and nobody is about to write."""
        engine = self.dialect.engine()
        try:
            opened_as = _OpenedAs(identity := self.dialect.identity(), self.dialect.mode())
            self._connected(engine).close()  # whatever opens it below finds one
            if not writing and identity is not None:
                with engine.connect() as connection:
                    is_empty = self.dialect.version(connection) is None
                if is_empty:
                    engine.dispose()
                    return None
            ensure_schema(self.dialect, engine)
            with engine.connect() as connection:
                self._measure_clock(connection)
        except BaseException as error:  # noqa: BLE001 - it is raised
            engine.dispose()
            _raise_explained(error, self.dialect, opening=True)
        self._engine, self._opened_as = engine, opened_as
        return engine

    def _check_usable(self) -> None:
        if self._gate.crossed:
            raise ForkedConnectionError(
                f"This process was forked while its parent was writing to {self.dialect.place}; "
                "open a new StateRepository in the child, or start it with spawn"
            )
        if self._closed:
            raise StoreError(f"{self.dialect.place} is closed; open a new StateRepository")

    def _leave(self) -> None:
        """Close a file that has gone from its place, after what this process wrote beside it was put into it."""
        if self._kept is not None:
            with suppress(*self.dialect.errors):
                self.dialect.leave(self._kept)
        self._dispose()

    def _dispose(self) -> None:
        with self._opening:
            engine, self._engine, kept, self._kept = self._engine, None, self._kept, None
        if kept is not None:
            kept.close()
        if engine is not None:
            engine.dispose()

    def _measure_clock(self, connection: Connection) -> None:
        self._clock_ahead = timedelta(seconds=self.dialect.clock_ahead_seconds(connection))

    def _transaction(self, connection: Connection) -> Transaction:
        now = datetime.now(timezone.utc) if self._clock is None else self._clock()
        lease_now = now + self._clock_ahead if self._clock is None else now
        return Transaction(connection, self.dialect, self._inserts, now, lease_now, self._lease_seconds)


def _raise_explained(error: BaseException, dialect: Dialect, *, opening: bool = False) -> NoReturn:
    """Raise an error of the database or its driver as what it means, and any other as it is."""
    if isinstance(error, dialect.errors):
        explained = dialect.explain(error)
        if isinstance(explained, StoreOpenError):
            raise explained from None  # it says all that the driver's error and SQLAlchemy's around it do
        if opening and type(explained) is StoreError:
            explained = StoreOpenError(str(explained))
        raise explained from error
    if isinstance(error, PoolTimeoutError):
        busy = f"{dialect.place}: all connections of this process were in use; try again"
        raise StoreBusyError(busy) from error
    if isinstance(error, StatementError) and error.orig is not None:
        raise error.orig from error  # out of a signal handler, while a value was being converted
    raise error


@lru_cache(maxsize=1)
def _empty() -> Engine:
    """An empty database, which a state that does not exist yet reads like; its statements are compiled once."""
    return create_engine("sqlite+pysqlite://", creator=empty_sqlite, poolclass=QueuePool, max_overflow=-1)
