"""SQLite: one file, WAL, one writer at a time, readers never waiting.

Not for network file systems: WAL needs memory that all processes share. Use PostgreSQL across machines.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, QueuePool, Table, create_engine
from sqlalchemy.dialects.sqlite import insert, pysqlite

from crew_repo.errors import RunGoneError, StoreBusyError, StoreError, StoreFullError, StoreOpenError
from crew_repo.store.dialect import VERSION_TABLE, Dialect, Row, Turns
from crew_repo.store.fast_sqlite import Prepared

__all__ = ["APPLICATION_ID", "SQLite"]

log = logging.getLogger("crew_repo")

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


_COPIED = (
    "has no tables: it was copied while a program had it open, without its -wal file, where everything was. Copy it "
    "again with StateRepository.backup, or: sqlite3 state.db \".backup copy.db\". To begin anew, delete it"
)
_LOOKED_AT = 4096  # bytes of a file that is no SQLite file
_JSON = {
    b'"crew_repo_export"': "an export of crew_repo, and no state file. Give a new file, and import this into it: "
    "StateRepository({new}).import_json({old})",
    b'"completed_tasks"': "a JSON file with the answers of a script, and no state file. Give a new file, like {new}. "
    "import_json cannot import these answers, since nothing in it says what they were made from: the first run makes "
    "them anew, and every later one reuses them",
}
_OTHER_JSON = (
    "a JSON file, and no state file. Give a new file, such as {new}; what export_json wrote, import_json takes into it"
)
_FIRST_TABLES = {"run", "record", "text", "task_run", "lease"}
_FIRST_PAGE = 105  # bytes: the file's header, and how many rows its list of tables has
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

    @property
    def file(self) -> Path:
        """The file itself, where the path is a link: SQLite keeps its -wal and -shm beside that."""
        return Path(os.path.realpath(self.path)) if self.path.is_symlink() else self.path

    def check(self) -> None:
        """Paths of folders and devices, of files that may not be read, in folders that may not be written in."""
        try:
            self.path.exists()
        except OSError as error:
            raise StoreOpenError(f"{self.path} cannot be looked at: {error.strerror}; give another path") from error
        if self.path.is_dir():
            raise StoreOpenError(f"{self.path} is a folder; give the path of a file in it")
        if not self.path.parent.is_dir():
            raise StoreOpenError(f"{self.path.parent} is no folder; create it, or give another path")
        if self.path.is_symlink() and not self.path.exists():
            raise StoreOpenError(f"{self.path} is a link to {self.file}, which is not there; mend or remove the link")
        if self.path.exists():
            self._check_file()
        elif not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise StoreOpenError(f"{self.path.parent} is not writable by this user; give another path")

    def _check_file(self) -> None:
        if not self.path.is_file():
            raise StoreOpenError(f"{self.path} is a device, a pipe or a socket; give the path of a file")
        if not os.access(self.path, os.R_OK):
            raise StoreOpenError(f"{self.path} may not be read by this user; change its permissions")
        self._refuse_json()
        if 0 < self.path.stat().st_size < _SHORTEST:  # SQLite would take it for an empty one, and write over it
            raise StoreOpenError(f"{self.path} is no SQLite file; give another path")
        if self._lacks_its_wal():
            raise StoreOpenError(f"{self.path} {_COPIED}")
        if self.path.stat().st_nlink > 1:
            log.warning("%s has another name, a hard link. SQLite keeps what is new beside each name, and damages the "
                        "file when two names are used: make it a copy, or a symbolic link", self.path)  # fmt: skip

    def _refuse_json(self) -> None:
        """What others keep their state in, and exports of ours, are easily given in place of a state."""
        with self.path.open("rb") as file:
            begins = file.read(_LOOKED_AT).removeprefix(b"\xef\xbb\xbf").lstrip()
        if begins[:1] in (b"{", b"["):
            what = next((said for mark, said in _JSON.items() if mark in begins), _OTHER_JSON)
            new = self.path.with_suffix(".db").name
            raise StoreOpenError(f"{self.path} is {what.format(new=repr(new), old=repr(str(self.path)))}")

    def _lacks_its_wal(self) -> bool:
        """Whether everything is in a -wal that is not here. A state is made complete before it has a -wal."""
        with self.path.open("rb") as file:
            page = file.read(_FIRST_PAGE)
        return _is_bare_wal(page) and not Path(f"{self.file}-wal").exists()

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
            f"{self.file.as_uri()}?mode={self._mode()}",
            uri=True,
            timeout=self.busy_timeout_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    def _mode(self) -> str:
        """A file that this user cannot write is read without locks while nobody has it open for writing (no -wal)."""
        if self._is_writable():
            return "rw"
        return "ro" if Path(f"{self.file}-wal").exists() else "ro&immutable=1"

    def _is_writable(self) -> bool:
        return os.access(self.path, os.W_OK) and os.access(self.file.parent, os.W_OK)

    def version(self, connection: Connection) -> int | None:
        """The schema version; a file that has tables but not ours belongs to another program.

        SQLite's own numbers for both, user_version and application_id, get lost in a dump: then the tables say it.
        """
        version, mark = self._numbers(connection)
        tables = set(connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars())
        if mark == APPLICATION_ID and not tables & _FIRST_TABLES:
            raise StoreOpenError(f"{self.path} {_COPIED}")
        if mark == APPLICATION_ID and version:
            return version
        if mark in (0, APPLICATION_ID) and tables >= _FIRST_TABLES:
            return _dumped_version(connection, tables)
        if tables:
            raise StoreOpenError(f"{self.path} is the SQLite file of another program; give another path")
        return None

    def is_settled(self, connection: Connection, version: int) -> bool:
        """A dump, and a copy made by SQLite, have no mark or no WAL; where nothing can be written, they stay so."""
        if not self._is_writable():
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
            connection.exec_driver_sql("PRAGMA synchronous=FULL")
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
        with engine.connect() as connection, self._vacuumed(connection, Path(f"{self.file}.v{version}.bak")) as part:
            copied = SQLite(str(part), self.busy_timeout_seconds).engine()
            with copied.connect() as check:
                same = self.version(check) == version
            copied.dispose()
            if not same:  # another process has migrated the file meanwhile, and kept its copy
                part.unlink()

    def copy(self, engine: Engine, target: Path) -> None:
        """VACUUM INTO: one state of the database, while others go on reading and writing.

        Claims stay behind: nobody works on the copy, and its first run would wait for them.
        """
        with (
            engine.connect() as connection,
            self._vacuumed(connection, target) as part,
            closing(sqlite3.connect(part)) as copied,
            copied,
        ):
            copied.execute("DELETE FROM lease")

    @staticmethod
    @contextmanager
    def _vacuumed(connection: Connection, target: Path) -> Iterator[Path]:
        """A private copy. At the end it becomes `target`, complete, unless it was deleted meanwhile."""
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600))
            connection.exec_driver_sql("VACUUM INTO ?", (str(part),))
            yield part
            if part.exists():
                _flush(part)
                part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def checkpoint(self, connection: Connection) -> None:
        """PASSIVE: it waits for nobody, and leaves for the next time what a reader still needs in the -wal."""
        _driver(connection).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

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


def _dumped_version(connection: Connection, tables: set[str]) -> int:
    """The version of a state without our mark; its first version has it nowhere else."""
    if VERSION_TABLE not in tables:
        return 1
    return int(connection.exec_driver_sql(f"SELECT version FROM {VERSION_TABLE}").scalar_one())  # noqa: S608


def _is_bare_wal(page: bytes) -> bool:
    """Whether these first bytes of a file are those of a database in WAL mode that has no tables."""
    return page[18:20] == b"\x02\x02" and page[100:101] == b"\x0d" and page[103:105] == b"\x00\x00"


def _flush(file: Path) -> None:
    handle = os.open(file, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _driver(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection: half of what a statement costs is SQLAlchemy."""
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    return driver
