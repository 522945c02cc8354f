"""SQLite: one file, WAL, one writer at a time, readers never waiting.

Not for network file systems: WAL needs memory that all processes share. Use PostgreSQL across machines.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, QueuePool, Table, create_engine
from sqlalchemy.dialects.sqlite import insert, pysqlite

from crew_repo.errors import RunGoneError, StoreBusyError, StoreError, StoreFullError, StoreOpenError
from crew_repo.store.dialect import Dialect, Row, Turns
from crew_repo.store.prepared import Prepared

__all__ = ["APPLICATION_ID", "SQLite"]

APPLICATION_ID = 0x63726577  # "crew", by which another program's file is not mistaken for ours

_MESSAGES = (
    ("locked", StoreBusyError, "was locked by another process for more than {seconds:g} s; try again, or raise "
     "busy_timeout_seconds"),
    ("is full", StoreFullError, "cannot grow: the disk is full; free some space and run again; what was saved "
     "is intact"),
    ("disk i/o error", StoreFullError, "cannot be written: no space, a quota, a limit on file sizes, or a failing "
     "disk; make room and run again, what was saved is intact"),
    ("readonly", StoreError, "is read-only; make it and its folder writable, or use another file"),
    ("malformed", StoreError, "is damaged; keep it, and restore a copy, or save what is left: "
     "sqlite3 {path} .recover | sqlite3 recovered.db"),
    ("not a database", StoreOpenError, "is no SQLite file, or its first page is damaged; give another path"),
    ("unable to open", StoreOpenError, "cannot be opened; look at the permissions of the file and its folder"),
    ("foreign key", RunGoneError, "does not have the run that this belongs to: the file was deleted, replaced or "
     "pruned while the run went on; run again"),
    ("no such", StoreError, "lacks a table or column of this version; it was changed by hand or is damaged"),
    ("utf-8", StoreError, "has text that is no UTF-8; it is damaged: restore a copy, or delete the row"),
)  # fmt: skip


_SHORTEST = 16  # bytes: the text that every SQLite file begins with
_PREPARED = Prepared(pysqlite.dialect())


class SQLite(Dialect):
    """The dialect for `sqlite:///path`."""

    name = "sqlite"
    one_writer = True

    def __init__(self, path: str, busy_timeout_seconds: float) -> None:
        super().__init__(busy_timeout_seconds)
        self.path = Path(path).absolute()
        self.place = str(self.path)

    def check(self) -> None:
        """A folder, a file that may not be read, a folder that is not there or may not be written in."""
        try:
            self.path.exists()
        except OSError as error:
            raise StoreOpenError(f"{self.path} cannot be looked at: {error.strerror}; give another path") from error
        if self.path.is_dir():
            raise StoreOpenError(f"{self.path} is a folder; give the path of a file in it")
        if not self.path.parent.is_dir():
            raise StoreOpenError(f"{self.path.parent} is no folder; create it, or give another path")
        if self.path.exists():
            if not self.path.is_file():
                raise StoreOpenError(f"{self.path} is a device, a pipe or a socket; give the path of a file")
            if not os.access(self.path, os.R_OK):
                raise StoreOpenError(f"{self.path} may not be read by this user; change its permissions")
            if 0 < self.path.stat().st_size < _SHORTEST:  # SQLite would take it for an empty one, and write over it
                raise StoreOpenError(f"{self.path} is no SQLite file; give another path")
        elif not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise StoreOpenError(f"{self.path.parent} is not writable by this user; give another path")

    def exists(self) -> bool:
        """An empty file counts as none."""
        try:
            return self.path.stat().st_size > 0
        except FileNotFoundError:
            return False

    def create(self) -> None:
        """Only this user may read it, also if it was there, and empty; SQLite gives -wal and -shm the same mode."""
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            found = self.path.stat()
            if stat.S_ISREG(found.st_mode) and found.st_size == 0 and found.st_uid == os.geteuid():
                self.path.chmod(0o600)
        except OSError as error:
            raise StoreOpenError(f"{self.path} cannot be created: {error.strerror}; give another path") from error

    def identity(self) -> object:
        """The file's device and inode, and how it may be opened by now; None when it is gone."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino, self._mode()

    def engine(self) -> Engine:
        """Connections are kept, each used by one thread at a time; opening never creates the file."""
        return create_engine(
            "sqlite+pysqlite://", creator=self._connect, poolclass=QueuePool, pool_size=8, max_overflow=-1
        )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode={self._mode()}",
            uri=True,
            timeout=self.busy_timeout_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    def _mode(self) -> str:
        """A file that this user cannot write is read without locks while nobody has it open for writing (no -wal)."""
        if os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK):
            return "rw"
        return "ro" if Path(f"{self.path}-wal").exists() else "ro&immutable=1"

    def version(self, connection: Connection) -> int | None:
        """SQLite's user_version; a file that has tables but not our mark belongs to another program."""
        row = connection.exec_driver_sql(
            "SELECT (SELECT user_version FROM pragma_user_version), (SELECT application_id FROM pragma_application_id),"
            " (SELECT COUNT(*) FROM sqlite_master)"
        ).one()
        if row[1] == APPLICATION_ID and row[0]:
            return int(row[0])
        if row[2]:
            raise StoreOpenError(f"{self.path} is the SQLite file of another program; give another path")
        return None

    def set_version(self, connection: Connection, version: int) -> None:
        """Both numbers are in the file's first page, and part of the transaction."""
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version={version:d}")

    @contextmanager
    def schema_transaction(self, engine: Engine) -> Iterator[Connection]:
        """Foreign keys are off, since a migration may rebuild a table; WAL is a property of the file from here on."""
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("PRAGMA synchronous=FULL")
            self._use_wal(connection)
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()
            connection.exec_driver_sql("PRAGMA foreign_keys=ON")

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
        copy, part = Path(f"{self.path}.v{version}.bak"), Path(f"{self.path}.v{version}.{os.getpid()}.part")
        try:
            os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600))
            with engine.connect() as connection:
                connection.exec_driver_sql("VACUUM INTO ?", (str(part),))
            with sqlite3.connect(part) as check:
                same = check.execute("PRAGMA user_version").fetchone()[0] == version
            check.close()
            if same:  # else another process has migrated the file meanwhile, and kept its copy
                part.replace(copy)
        finally:
            part.unlink(missing_ok=True)

    def begin(self, connection: Connection, *, writing: bool, durable: bool) -> None:
        """What was paid for survives a power cut (FULL); a lost claim or heartbeat costs nothing (NORMAL)."""
        run = _driver(connection).execute
        if writing:
            run("PRAGMA synchronous=FULL" if durable else "PRAGMA synchronous=NORMAL")
        run("BEGIN IMMEDIATE" if writing else "BEGIN")

    def commit(self, connection: Connection) -> None:
        """Of SQLAlchemy's transaction too, if it has begun one."""
        if connection.in_transaction():
            connection.commit()
        else:
            _driver(connection).commit()

    def run(self, connection: Connection, statement: Any, rows: Row | Sequence[Row]) -> int:
        """On the driver's own cursor."""
        return _PREPARED.run(_driver(connection), statement, rows).rowcount

    def insert(self, connection: Connection, statement: Any, row: Row) -> Any:
        """On the driver's own cursor; its last key is that of an earlier insert where this one made no row."""
        done = _PREPARED.run(_driver(connection), statement, row)
        return done.lastrowid if done.rowcount else None

    def number(self, connection: Connection, statement: Any, row: Row) -> int | None:
        """On the driver's own cursor."""
        found = _PREPARED.run(_driver(connection), statement, row).fetchone()
        return None if found is None else found[0]

    def new_lock(self) -> Turns:
        """Waiting in a queue is fairer to threads than SQLite's polling."""
        busy = f"{self.path} was in use by another thread for more than {self.busy_timeout_seconds:g} s; try again"
        return Turns(self.busy_timeout_seconds, busy)

    def insert_or_ignore(self, table: Table) -> Any:
        """INSERT ... ON CONFLICT DO NOTHING."""
        return insert(table).on_conflict_do_nothing()

    def insert_or_replace(self, table: Table, _key: tuple[str, ...]) -> Any:
        """INSERT OR REPLACE."""
        return insert(table).prefix_with("OR REPLACE")

    def explain(self, error: Exception) -> StoreError:
        """By the message, which SQLite has kept the same for decades."""
        said = str(getattr(error, "orig", None) or error)
        for part, kind, text in _MESSAGES:
            if part in said.lower():
                return kind(f"{self.path} " + text.format(path=self.path, seconds=self.busy_timeout_seconds))
        return StoreError(f"{self.path}: SQLite says: {said}")

    def bytes_used(self, connection: Connection) -> int:
        """Pages in use or free, times their size."""
        read = connection.exec_driver_sql
        return int(read("PRAGMA page_count").scalar_one()) * int(read("PRAGMA page_size").scalar_one())

    def compact(self, engine: Engine) -> None:
        """VACUUM, then empty the WAL, so that the file itself shrinks."""
        with engine.connect() as connection:
            connection.exec_driver_sql("VACUUM")
            with suppress(Exception):  # a reader keeps it for later; the next checkpoint does it
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _driver(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection: half of what a statement costs is SQLAlchemy."""
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    return driver
