"""Reading a state without writing anything: a SQLite file by the standard library alone, PostgreSQL by the store.

A SQLite file and its folder stay byte for byte as they were, whoever has it open. In WAL mode that needs one of three
ways: with no -wal nobody has it open for writing, and it is read without locks, again if somebody came meanwhile; with
a -wal, its index (-shm) is read and not written; a -wal without its index is read from a copy.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep

from crew_repo.errors import NewerSchemaError, StoreBusyError, StoreOpenError
from crew_repo.settings import resolve_url
from crew_repo.store.current import as_said
from crew_repo.store.sqlite_words import explained
from crew_repo.store.state_file import APPLICATION_ID, COPIED, SCHEMA_VERSION, StateFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    from crew_repo.store.current import Query

    T = TypeVar("T")

__all__ = ["path_of", "read", "read_again", "refuse_missing"]

_SQLITE = "sqlite:///"
_BUSY_SECONDS = 10.0
_TRIES = 20
_AT_LEAST_EVERY_SECONDS = 10.0
_OURS = {"record", "text", "task_run", "lease"}


def path_of(url: str) -> Path | None:
    """The path of a SQLite state; None for a server."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def read(target: str | None, ask: Callable[[Query], T]) -> T:
    """Give what `ask` makes of the rows; it may be called again, if somebody wrote meanwhile.

    Its query takes a SELECT, and `:name` for each value. Raises StoreError for a file that is not there, or no state.
    """
    url = resolve_url(target)
    path = path_of(url)
    if path is None:
        return _read_server(url, ask)
    refuse_missing(url)
    file = StateFile(str(path))
    file.check()
    return ask(_nothing) if not file.exists() else _read_file(file, ask)


def read_again(target: str | None, ask: Callable[[Query], T], interval_seconds: float) -> Iterator[T | None]:
    """Give what `ask` makes of the rows, at each interval; None where the file is as it was.

    It is read again after 10 s in any case: a process that has fallen silent writes nothing. A server is asked each
    time. Raises StoreError as `read` does; but once it was read, a busy file is tried again.
    """
    url = resolve_url(target)
    path = path_of(url)
    if path is None:
        from crew_repo.store import Store

        with Store(url) as store:
            while True:
                yield store.asked(ask)
                sleep(interval_seconds)
    file, read_at = StateFile(str(path)), 0.0
    seen: list[Any] | None = None
    while True:
        answer = None
        if seen is None or seen != _versions(file) or monotonic() - read_at >= _AT_LEAST_EVERY_SECONDS:
            before, seen, read_at = seen, _versions(file), monotonic()
            try:
                answer = read(url, ask)
            except StoreBusyError:
                if before is None:
                    raise
                seen = []
        yield answer
        sleep(interval_seconds)


def refuse_missing(url: str) -> None:
    """Raise StoreOpenError if the file is not there: a misspelt path is no empty state."""
    path = path_of(url)
    if path is not None and not path.exists() and path.parent.is_dir() and not path.is_symlink():
        raise StoreOpenError(
            f"{path} is not there; name the state with --db or CREW_REPO_URL, or make a new one: crew-repo init"
        )


def _read_server(url: str, ask: Callable[[Query], T]) -> T:
    from crew_repo.store import Store

    with Store(url) as store:
        return store.asked(ask)


def _read_file(file: StateFile, ask: Callable[[Query], T]) -> T:
    for _ in range(_TRIES):
        before = _looks(file)
        try:
            with _opened(file) as connection:
                answer = ask(_query_of(connection, file.path))
        except (sqlite3.Error, UnicodeDecodeError, StoreOpenError) as error:
            if before == _looks(file):
                if isinstance(error, StoreOpenError):
                    raise
                raise explained(str(error), file.path, _BUSY_SECONDS) from error
        else:
            if before == _looks(file) or before[0]:
                return answer
    raise StoreBusyError(f"{file.path} is opened and closed by others all the time; try again")


def _looks(file: StateFile) -> tuple[bool, int, int, int]:
    """Whether there is a -wal; which file it is, its size, when it was written."""
    found = file.target.stat()
    return _beside(file, "-wal").exists(), found.st_ino, found.st_size, found.st_mtime_ns


def _versions(file: StateFile) -> list[tuple[int, int] | None]:
    """The size of the file and of its -wal, and when each was written; None for one that is not there."""
    return [_version(path) for path in (file.target, _beside(file, "-wal"))]


def _version(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def _beside(file: StateFile, ending: str) -> Path:
    return Path(f"{file.target}{ending}")


@contextmanager
def _opened(file: StateFile) -> Iterator[sqlite3.Connection]:
    """A connection that writes nothing."""
    with file.target.open("rb") as content:
        in_wal_mode = content.read(20)[18:20] == b"\x02\x02"
    if not in_wal_mode:
        options = "mode=ro"
    elif not _beside(file, "-wal").exists():
        options = "mode=ro&immutable=1"
    elif _beside(file, "-shm").exists():
        options = "mode=ro&readonly_shm=1"
    else:
        with _copied(file) as copy, _connected(copy, "mode=ro") as connection:
            yield connection
        return
    with _connected(file.target, options) as connection:
        yield connection


@contextmanager
def _copied(file: StateFile) -> Iterator[Path]:
    import shutil  # these two take longer to import than a file takes to read
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        copy = Path(folder) / "state.db"
        for ending in ("", "-wal"):
            shutil.copyfile(_beside(file, ending), f"{copy}{ending}")
        yield copy


@contextmanager
def _connected(path: Path, options: str) -> Iterator[sqlite3.Connection]:
    uri = f"{path.as_uri()}?{options}"
    with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        yield connection


def _query_of(connection: sqlite3.Connection, path: Path) -> Query:
    """Queries on a state of this version; none finds anything in a database without tables."""

    def query(select: str, **values: Any) -> list[dict[str, Any]]:
        found = connection.execute(select, values)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    return as_said(query) if _is_state(query, path) else _nothing


def _nothing(_select: str, **_values: Any) -> list[dict[str, Any]]:
    return []


def _is_state(query: Query, path: Path) -> bool:
    """Whether it has our tables; False if it has none at all. Raises StoreOpenError for anything else."""
    names = {row["name"] for row in query("SELECT name FROM sqlite_master")}
    numbers = query("SELECT user_version, application_id FROM pragma_user_version, pragma_application_id")[0]
    if numbers["application_id"] not in (0, APPLICATION_ID) or (names and not names >= _OURS):
        raise StoreOpenError(f"{path} is the SQLite file of another program; give another path")
    if not names and numbers["application_id"] == APPLICATION_ID:
        raise StoreOpenError(f"{path} {COPIED}")
    version = numbers["user_version"]
    if "crew_repo_schema" in names:
        version = max([version, *(row["version"] for row in query("SELECT version FROM crew_repo_schema"))])
    if version > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"{path} has schema version {version}, and this crew_repo knows up to {SCHEMA_VERSION}; "
            "install one here that is as new as the one that wrote it"
        )
    if names and version < SCHEMA_VERSION:
        raise StoreOpenError(
            f"{path} was written by an older crew_repo; bring it up to date, which keeps a copy: crew-repo init"
        )
    return bool(names)
