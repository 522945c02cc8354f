"""The file of a SQLite state: whether it is there, whose it is, how it may be opened, and private copies of it.

This module and `sqlite_words` need no SQLAlchemy: the command line reads a file by them alone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crew_repo.errors import StoreOpenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["APPLICATION_ID", "COPIED", "SCHEMA_VERSION", "StateFile", "vacuumed"]

APPLICATION_ID = 0x63726577  # "crew", by which another program's file is not mistaken for ours
SCHEMA_VERSION = 7  # see schema.py

COPIED = (
    "has no tables: it was copied while a program had it open, without its -wal file, where everything was. Copy it "
    "again with StateRepository.backup, or: sqlite3 state.db \".backup copy.db\". To begin anew, delete it"
)
_LOOKED_AT = 4096  # bytes of a file that is no SQLite file
_JSON = {
    b'"crew_repo_export"': "an export of crew_repo, and no state file. Give a new file, and import this into it: "
    "StateRepository({new}).import_json({old})",
    b'"completed_tasks"': "a JSON file with the answers of a script, and no state file. Give a new file, like {new}, "
    "and take its answers over, as those of your crew to your inputs: "
    "StateRepository({new}).import_state({old}, crew=crew, inputs=inputs)",
}
_OTHER_JSON = (
    "a JSON file, and no state file. Give a new file, such as {new}; what export_json wrote, import_json takes into it"
)
_FIRST_PAGE = 105  # bytes: the file's header, and how many rows its list of tables has
_SHORTEST = 16  # bytes: the text that every SQLite file begins with


class StateFile:
    """One path of a state, which may be a link."""

    def __init__(self, path: str) -> None:
        self.path = Path(path).absolute()
        self._name = str(self.path)

    @property
    def target(self) -> Path:
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
            raise StoreOpenError(f"{self.path} is a link to {self.target}, which is not there; mend or remove the link")
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
            raise StoreOpenError(f"{self.path} {COPIED}")
        if self.path.stat().st_nlink > 1:
            import logging  # which takes longer than all that reads a file

            log = logging.getLogger("crew_repo")
            log.warning("%s has a second name, by a hard link. SQLite damages the file if programs use both names. "
                        "Replace one of them by a copy or a symbolic link", self.path)  # fmt: skip

    def _refuse_json(self) -> None:
        """Refuse JSON: others keep their state in it, and exports of ours are easily given in place of a state."""
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
        return _is_bare_wal(page) and not Path(f"{self.target}-wal").exists()

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
            if stat.S_ISREG(found.st_mode) and found.st_size == 0 and _is_mine(found):
                self.path.chmod(0o600)
        except OSError as error:
            raise StoreOpenError(f"{self.path} cannot be created: {error.strerror}; give another path") from error

    def identity(self) -> object:
        """The file's device and inode; None when it is gone."""
        try:
            found = os.lstat(self._name)
            found = self.path.stat() if stat.S_ISLNK(found.st_mode) else found
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def mode(self) -> str:
        """How it may be opened by now.

        A file that this user cannot write is read without locks while nobody has it open for writing (no -wal).
        """
        if os.access(self._name, os.W_OK) and os.access(self.target.parent, os.W_OK):
            return "rw"
        return "ro" if Path(f"{self.target}-wal").exists() else "ro&immutable=1"

    def is_writable(self) -> bool:
        """Whether this user may write the file, and beside it."""
        return self.mode() == "rw"


@contextmanager
def vacuumed(connection: Connection, target: Path) -> Iterator[Path]:
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


def _is_bare_wal(page: bytes) -> bool:
    """Whether these first bytes of a file are those of a database in WAL mode that has no tables."""
    return page[18:20] == b"\x02\x02" and page[100:101] == b"\x0d" and page[103:105] == b"\x00\x00"


def _is_mine(found: os.stat_result) -> bool:
    """Whether this user owns the file. Windows knows no user numbers, and chmod changes no reader there."""
    return not hasattr(os, "geteuid") or found.st_uid == os.geteuid()


def _flush(file: Path) -> None:
    handle = os.open(file, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
