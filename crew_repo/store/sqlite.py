"""SQLite: one file, WAL, one writer at a time, readers never waiting.

Not for network file systems: WAL needs memory that all processes share. Use PostgreSQL across machines.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, QueuePool, Table, create_engine
from sqlalchemy.dialects.sqlite import insert, pysqlite
from sqlalchemy.exc import DBAPIError

from crew_repo.errors import StoreError, StoreOpenError
from crew_repo.store.dialect import VERSION_TABLE, Dialect, Statements, Turns, driver_of
from crew_repo.store.prepared import Prepared
from crew_repo.store.sqlite_words import explained
from crew_repo.store.state_file import APPLICATION_ID, COPIED, StateFile, vacuumed

__all__ = ["APPLICATION_ID", "SQLite"]

log = logging.getLogger("crew_repo")

_FIRST_TABLES = {"run", "record", "text", "task_run", "lease"}
_MOST_KNOWN = 10_000  # texts; a megabyte of hashes
_PAGE_BYTES = 1024  # an answer of 2 KB would fill a page of 4 KB alone; in small ones the rest of a row is little


class SQLiteStatements(Statements):
    """Statements as SQLite has them."""

    prepared = Prepared(pysqlite.dialect())
    synchronous = "FULL"

    def begin(self, connection: Connection, *, writing: bool, durable: bool) -> None:
        """Begin: what was paid for survives a power cut, if it may (FULL); a lost claim or heartbeat costs nothing."""
        if writing:
            self._commit_by(connection, self.synchronous if durable else "NORMAL")
        driver_of(connection).execute("BEGIN IMMEDIATE" if writing else "BEGIN")

    def adding(self, connection: Connection) -> AbstractContextManager[None]:
        """SQLite begins and ends it by itself, with the statement."""
        self._commit_by(connection, "NORMAL")
        return nullcontext()

    @staticmethod
    def _commit_by(connection: Connection, synchronous: str) -> None:
        """A connection goes on to commit as it was told last."""
        if connection.info.get("synchronous") != synchronous:
            driver_of(connection).execute(f"PRAGMA synchronous={synchronous}")
            connection.info["synchronous"] = synchronous

    def key_of(self, inserted: Any) -> int | None:
        """Its last key; that is one of an earlier insert where this one made no row."""
        return inserted.lastrowid if inserted.rowcount else None

    def known_texts(self, connection: Connection) -> set[str]:
        """Texts that this connection has written, unless another one has written since: a prune may delete them."""
        version = driver_of(connection).execute("PRAGMA data_version").fetchone()
        known: set[str]
        seen, known = connection.info.get("texts", (None, set()))
        if seen != version or len(known) > _MOST_KNOWN:
            known = set()
            connection.info["texts"] = version, known
        return known

    def forget_texts(self, connection: Connection) -> None:
        """After a rollback, and where they are deleted."""
        connection.info.pop("texts", None)

    def insert_or_ignore(self, table: Table) -> Any:
        """INSERT ... ON CONFLICT DO NOTHING."""
        return insert(table).on_conflict_do_nothing()

    def insert_or_replace(self, table: Table, _key: tuple[str, ...]) -> Any:
        """INSERT OR REPLACE."""
        return insert(table).prefix_with("OR REPLACE")

    def checkpoint(self, connection: Connection) -> None:
        """PASSIVE: it waits for nobody, and leaves for the next time what a reader still needs in the -wal."""
        driver_of(connection).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def wipe(self, connection: Connection) -> None:
        """TRUNCATE, without waiting: what was deleted is in no page any more (`secure_delete`), and not in the -wal."""
        run = driver_of(connection).execute
        (milliseconds,) = run("PRAGMA busy_timeout").fetchone()
        run("PRAGMA busy_timeout=0").fetchall()
        run("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        run(f"PRAGMA busy_timeout={milliseconds:d}").fetchall()

    def leave(self, connection: Connection) -> None:
        """SQLite itself leaves the -wal of a file that was moved where it is: it would ruin what takes its place."""
        driver_of(connection).execute("PRAGMA busy_timeout=0").fetchall()
        driver_of(connection).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


class SQLite(SQLiteStatements, Dialect):
    """The dialect for `sqlite:///path`."""

    name = "sqlite"
    errors = (DBAPIError, sqlite3.Error, UnicodeDecodeError)  # the last where SQLite tells a damaged name
    one_writer = True

    def __init__(self, path: str, busy_timeout_seconds: float, synchronous: str = "FULL") -> None:
        super().__init__(busy_timeout_seconds)
        self.synchronous = synchronous
        self._file = StateFile(path)
        self.path = self._file.path
        self.place = str(self.path)

    def check(self) -> None:
        """Paths of folders and devices, of files that may not be read, in folders that may not be written in."""
        self._file.check()

    def exists(self) -> bool:
        """An empty file counts as none."""
        return self._file.exists()

    def create(self) -> None:
        """Make the file, which only this user may read."""
        self._file.create()

    def identity(self) -> object:
        """The file's device and inode; None when it is gone."""
        return self._file.identity()

    def mode(self) -> str:
        """How the file may be opened by now."""
        return self._file.mode()

    def engine(self) -> Engine:
        """Connections are kept, each used by one thread at a time; opening never creates the file."""
        return create_engine(
            "sqlite+pysqlite://", creator=self._connect, poolclass=QueuePool, pool_size=8, max_overflow=-1,
            hide_parameters=True,  # prompts and answers are personal data, and tracebacks go to logs
        )  # fmt: skip

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._file.target.as_uri()}?mode={self._file.mode()}",
            uri=True,
            timeout=self.busy_timeout_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten
        return connection

    def version(self, connection: Connection) -> int | None:
        """The schema version; a file that has tables but not ours belongs to another program.

        SQLite's own numbers for both, user_version and application_id, get lost in a dump: then the tables say it.
        """
        version, mark = self._numbers(connection)
        tables = set(connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars())
        if mark == APPLICATION_ID and not tables & _FIRST_TABLES:
            raise StoreOpenError(f"{self.path} {COPIED}")
        if mark == APPLICATION_ID and version:
            return version
        if mark in (0, APPLICATION_ID) and tables >= _FIRST_TABLES:
            return _dumped_version(connection, tables)
        if tables:
            raise StoreOpenError(f"{self.path} is the SQLite file of another program; give another path")
        return None

    def is_settled(self, connection: Connection, version: int) -> bool:
        """A dump, and a copy made by SQLite, have no mark or no WAL; where nothing can be written, they stay so."""
        if not self._file.is_writable():
            return True
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        return self._numbers(connection) == (version, APPLICATION_ID) and mode == "wal"

    @staticmethod
    def _numbers(connection: Connection) -> tuple[int, int]:
        read = "SELECT user_version, application_id FROM pragma_user_version, pragma_application_id"
        version, mark = connection.exec_driver_sql(read).one()
        return int(version), int(mark)

    def set_version(self, connection: Connection, version: int) -> None:
        """In the file's first page, and in a table, which a dump has too; part of the transaction."""
        super().set_version(connection, version)
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version={version:d}")

    @contextmanager
    def schema_transaction(self, engine: Engine) -> Iterator[Connection]:
        """Foreign keys are off, since a migration may rebuild a table. WAL is a property of the file from here on.

        A new file gets its tables before WAL, and so at once: it is never without them, in no copy and after no kill.
        """
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            self._commit_by(connection, "FULL")
            connection.exec_driver_sql(f"PRAGMA page_size={_PAGE_BYTES}")  # of a new file; others keep theirs
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()
            connection.exec_driver_sql("PRAGMA foreign_keys=ON")
            self._use_wal(connection)

    def _use_wal(self, connection: Connection) -> None:
        """SQLite does not wait by itself when two processes do this at once."""
        deadline = time.monotonic() + self.busy_timeout_seconds
        while True:
            try:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar()
                return
            except Exception as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def keep_copy(self, engine: Engine, version: int) -> None:
        """`name.db.v1.bak` beside the file, complete and only for this user, or not at all."""
        with engine.connect() as connection, vacuumed(connection, Path(f"{self._file.target}.v{version}.bak")) as part:
            copied = SQLite(str(part), self.busy_timeout_seconds).engine()
            with copied.connect() as check:
                same = self.version(check) == version
            copied.dispose()
            if not same:  # another process has migrated the file meanwhile, and kept its copy
                part.unlink()

    def copy(self, connection: Connection, target: Path) -> None:
        """VACUUM INTO: one state of the database, while others go on reading and writing.

        Claims stay behind: nobody works on the copy, and its first run would wait for them.
        """
        with (
            vacuumed(connection, target) as part,
            closing(sqlite3.connect(part)) as copied,
            copied,
        ):
            copied.execute("DELETE FROM lease")

    def new_lock(self) -> Turns:
        """Waiting in a queue is fairer to threads than SQLite's polling."""
        busy = f"{self.path} was in use by another thread for more than {self.busy_timeout_seconds:g} s; try again"
        return Turns(self.busy_timeout_seconds, busy)

    def explain(self, error: Exception) -> StoreError:
        """By the message, which SQLite has kept the same for decades."""
        return explained(str(getattr(error, "orig", None) or error), self.path, self.busy_timeout_seconds)

    def bytes_used(self, connection: Connection) -> int:
        """Pages in use or free, times their size."""
        read = connection.exec_driver_sql
        return int(read("PRAGMA page_count").scalar_one()) * int(read("PRAGMA page_size").scalar_one())

    def compact(self, connection: Connection) -> None:
        """VACUUM, then empty the WAL, so that the file itself shrinks."""
        driver = driver_of(connection)
        driver.execute("VACUUM")
        with suppress(Exception):  # a reader keeps it for later; the next checkpoint does it
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _dumped_version(connection: Connection, tables: set[str]) -> int:
    """The version of a state without our mark; its first version has it nowhere else."""
    if VERSION_TABLE not in tables:
        return 1
    version = connection.exec_driver_sql(f"SELECT version FROM {VERSION_TABLE}").scalar()  # noqa: S608
    if version is None:
        raise StoreOpenError("The state file has tables of crew_repo and no rows, like a dump of the schema alone; "
                             "give another path, or restore all of it")  # fmt: skip
    return int(version)
