"""PostgreSQL through psycopg: the same tables for many machines."""

from __future__ import annotations

import hashlib
import importlib.util
import selectors
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect
from sqlalchemy.exc import DBAPIError, InvalidatePoolError

from crew_repo.errors import RunGoneError, StoreBusyError, StoreError, StoreFullError, StoreOpenError
from crew_repo.store.dialect import VERSION_TABLE, Dialect, Statements, driver_of
from crew_repo.store.prepared import Prepared, Row

__all__ = ["PostgreSQL"]

_STATES: dict[str, tuple[type[StoreError], str]] = {
    "55P03": (StoreBusyError, "waited for another process for more than {seconds:g} s; try again"),
    "40P01": (StoreBusyError, "stopped two processes that waited for each other; run again"),
    "40001": (StoreBusyError, "could not keep two processes apart; run again"),
    "53100": (StoreFullError, "has no space left; make room and run again, what was saved is intact"),
    "53300": (StoreBusyError, "has no connection left; raise max_connections, or use fewer workers"),
    "25006": (StoreError, "is read-only; use the primary server, or a role that may write"),
    "42501": (StoreError, "does not allow this to this role; grant it CREATE, SELECT, INSERT, UPDATE and DELETE"),
    "23503": (RunGoneError, "does not have the run that this belongs to: it was deleted meanwhile; run again"),
    "42P01": (StoreError, "lacks a table of this version; it was changed by hand"),
}

_NO_CONNECTION_LEFT = ("too many connections", "too many clients", "connection slots", "no more connections")
_NOT_YET_UP = ("the database system is starting up", "the database system is shutting down", "not yet accepting")
"""What a server says to one that connects; the driver gives no SQLSTATE then."""


def _never_reached(said: str) -> str:
    """Advice where no connection was ever made: a server that answers says FATAL."""
    if "FATAL" in said:
        return "refuses the connection; look at the user, the password and the name of the database in the URL."
    return "cannot be reached; see that the server is up, and that the host and the port in the URL are right."


def _number(*key: str) -> int:
    """A 64-bit name for an advisory lock; two keys that share one merely wait for each other."""
    return int.from_bytes(hashlib.sha256("\x1f".join(key).encode()).digest()[:8], "big", signed=True)


_LONG_IDLE_SECONDS = 30.0
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def _note_idle(_: Any, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()


def _replace_if_dropped(connection: Any, record: Any, _: Any) -> None:
    """Have the pool replace a connection that is gone. Asking the server would be a round trip for each transaction.

    A server, or what is between, that closes an idle connection is heard of by the socket; one that has been idle for
    long may have been forgotten without a word, so that it is tried.
    """
    from psycopg import Error

    idle = time.monotonic() - record.info.get("idle_since", time.monotonic())
    try:
        if connection.closed or _is_spoken_to(connection):
            raise InvalidatePoolError
        if idle > _LONG_IDLE_SECONDS:
            connection.execute("SELECT 1")
            connection.rollback()
    except Error as error:
        raise InvalidatePoolError from error


def _is_spoken_to(connection: Any) -> bool:
    """Whether the server has said something that nobody asked for: that it closes the connection, mostly."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        return bool(selector.select(0))


@cache
def _has_pipelines() -> bool:
    """Whether the client library is new enough (libpq 14); with an older one each statement is a round trip."""
    from psycopg import Pipeline

    return Pipeline.is_supported()


@contextmanager
def _at_once(connection: Connection, begin: str) -> Iterator[None]:
    """A transaction in a pipeline. The driver's own BEGIN and COMMIT would each wait there."""
    connection.execution_options(isolation_level="AUTOCOMMIT")
    driver = driver_of(connection)
    with driver.pipeline() if _has_pipelines() else nullcontext():
        driver.execute(begin)
        yield
        driver.execute("COMMIT")


class PostgreSQLStatements(Statements):
    """Statements as PostgreSQL has them."""

    prepared = Prepared(psycopg_dialect(paramstyle="format"))  # type: ignore[no-untyped-call]

    def ask(self, connection: Connection, statement: Any, row: Row) -> Callable[[], list[Row]]:
        """Wait for the rows when they are wanted."""
        return partial(self.prepared.rows, self.prepared.run(driver_of(connection), statement, row), statement)

    @contextmanager
    def reading(self, connection: Connection, *, at_once: bool) -> Iterator[None]:
        """All at once in the driver's pipeline, as in `writing`."""
        inner = _at_once(connection, _READ) if at_once else super().reading(connection, at_once=at_once)
        with inner:
            yield

    @contextmanager
    def writing(self, connection: Connection, *, durable: bool, at_once: bool) -> Iterator[None]:
        """All at once in the driver's pipeline, where that can be: one round trip."""
        whole = super().writing(connection, durable=durable, at_once=at_once)
        with _at_once(connection, "BEGIN") if at_once else whole:
            yield

    def run(self, connection: Connection, statement: Any, rows: Row | Sequence[Row]) -> int:
        """Many rows one by one in a pipeline, since the driver would wait for them there; -1 then, not their number."""
        if isinstance(rows, Mapping) or driver_of(connection).pgconn.pipeline_status == 0:
            return super().run(connection, statement, rows)
        return [super(PostgreSQLStatements, self).run(connection, statement, row) for row in rows][-1]

    def lock_work(self, connection: Connection, *key: str) -> None:
        """An advisory lock that ends with the transaction."""
        driver_of(connection).execute("SELECT pg_advisory_xact_lock(%s)", [_number(*key)])

    def lock_writers(self, connection: Connection) -> None:
        """Writers wait; readers go on. The order is that in which `save_finished` writes, else both would deadlock."""
        connection.execute(text('LOCK TABLE "text", record, task_run, run_entry IN SHARE ROW EXCLUSIVE MODE'))

    def clock_ahead_seconds(self, connection: Connection) -> float:
        """Leases go by the server's clock, which all hosts share."""
        before = time.time()
        server = float(connection.scalar(text("SELECT EXTRACT(EPOCH FROM clock_timestamp())")) or 0.0)
        return server - (before + time.time()) / 2

    def insert_or_ignore(self, table: Table) -> Any:
        """INSERT ... ON CONFLICT DO NOTHING RETURNING its key."""
        return insert(table).on_conflict_do_nothing().returning(*table.primary_key)

    def key_of(self, inserted: Any) -> int | None:
        """The key that it returned."""
        row = inserted.fetchone()
        return None if row is None else row[0]

    def insert_or_replace(self, table: Table, key: tuple[str, ...]) -> Any:
        """INSERT ... ON CONFLICT DO UPDATE RETURNING its key; the serial number is new too."""
        new = insert(table)
        columns = {column.name: new.excluded[column.name] for column in table.columns if column.name not in key}
        return new.on_conflict_do_update(index_elements=list(key), set_=columns).returning(*table.primary_key)


class PostgreSQL(PostgreSQLStatements, Dialect):
    """The dialect for `postgresql+psycopg://...`."""

    name = "postgresql"

    def __init__(self, url: URL, busy_timeout_seconds: float) -> None:
        super().__init__(busy_timeout_seconds)
        self._url = url
        self._reached = False
        self.place = url.render_as_string(hide_password=True)

    def check(self) -> None:
        """The driver is an extra."""
        if importlib.util.find_spec("psycopg") is None:
            raise StoreOpenError(f"{self.place} needs psycopg; pip install 'psycopg[binary]'")

    def exists(self) -> bool:
        """Somebody else makes the database; we make the tables, at once."""
        return True

    def create(self) -> None:
        """CREATE DATABASE is not ours to run."""

    def engine(self) -> Engine:
        """A connection that the server has dropped is noticed and replaced before it is used."""
        from psycopg import Error  # an extra, which `check` has found

        self.errors = (DBAPIError, Error)
        engine = create_engine(self._url, pool_size=4, max_overflow=12, pool_timeout=60, hide_parameters=True)
        event.listen(engine, "checkin", _note_idle)
        event.listen(engine, "checkout", _replace_if_dropped)
        milliseconds = max(1, int(self.busy_timeout_seconds * 1000))  # 0 would mean: wait for ever

        @event.listens_for(engine, "connect")
        def _limit_waiting(connection: Any, _: object) -> None:
            self._reached = True
            connection.execute(f"SET lock_timeout = {milliseconds:d}")
            connection.commit()

        return engine

    def begin(self, connection: Connection, *, writing: bool, durable: bool) -> None:  # noqa: ARG002
        """Several reads see one state; who writes sees, under its locks, what others have just committed."""
        if not writing:
            connection.execution_options(isolation_level="REPEATABLE READ")

    def version(self, connection: Connection) -> int | None:
        """The one row of the version table, if there is one."""
        if connection.scalar(_HAS_TABLE, {"name": VERSION_TABLE}) is None:
            return None
        found = connection.scalar(text(f"SELECT version FROM {VERSION_TABLE}"))  # noqa: S608
        return None if found is None else int(found)

    @contextmanager
    def schema_transaction(self, engine: Engine) -> Iterator[Connection]:
        """One process at a time, by an advisory lock."""
        with engine.begin() as connection:
            self.lock_work(connection, VERSION_TABLE)
            yield connection

    def explain(self, error: Exception) -> StoreError:
        """By the SQLSTATE; an error without one, or of class 08 or 57P, is a lost connection."""
        cause = getattr(error, "orig", None) or error
        state = getattr(cause, "sqlstate", None) or ""
        if not state and _says(cause, _NO_CONNECTION_LEFT):
            state = "53300"
        if state in _STATES:
            kind, words = _STATES[state]
            return kind(f"{self.place} {words.format(seconds=self.busy_timeout_seconds)}")
        if _is_lost(cause, state):
            if not self._reached:
                return StoreOpenError(f"{self.place} {_never_reached(str(cause))} ({' '.join(str(cause).split())})")
            return StoreError(
                f"The connection to {self.place} is lost; see that the server is up, and run again: "
                f"what had finished is kept. ({cause})"
            )
        return StoreError(f"{self.place}: PostgreSQL says: {cause}")

    def is_passing(self, error: Exception, *, durable: bool) -> bool:
        """It has no connection left, or starts; for what is paid for, also that a server has gone that was there."""
        cause = getattr(error, "orig", None) or error
        gone = durable and self._reached and _is_lost(cause, getattr(cause, "sqlstate", None) or "")
        return gone or _says(cause, _NO_CONNECTION_LEFT + _NOT_YET_UP)

    def bytes_used(self, connection: Connection) -> int:
        """Tables with their indexes and large values."""
        sizes = "SELECT SUM(pg_total_relation_size(to_regclass(name))) FROM unnest(CAST(:names AS text[])) AS name"
        names = ["run_entry", "task_run", "record", "text", "lease", "kept_call"]
        return int(connection.scalar(text(sizes), {"names": names}) or 0)

    def compact(self, connection: Connection) -> None:
        """A plain VACUUM: nobody has to wait, and PostgreSQL uses the space again."""
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text('VACUUM ANALYZE run_entry, task_run, record, "text", lease, kept_call'))


def _says(cause: BaseException, words: Sequence[str]) -> bool:
    return any(each in str(cause) for each in words)


def _is_lost(cause: BaseException, state: str) -> bool:
    return state[:2] == "08" or state[:3] == "57P" or (not state and "OperationalError" in type(cause).__name__)


# Not to_regclass: it may answer from before another process created the table, while this one waited for the lock.
_HAS_TABLE = text("SELECT 1 FROM pg_class WHERE relname = :name AND relkind = 'r' AND pg_table_is_visible(oid)")
