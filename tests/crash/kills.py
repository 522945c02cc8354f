"""Kill processes at random moments, and look after each kill at what is left: `python -m tests.crash.kills 500`.

What is killed: cold runs, their resumes, batches, and migrations to a newer schema; on SQLite or, with `--postgresql`,
on PostgreSQL. After every kill: the file is sound, every record gives its hashes again, the schema is the old or the
new one, and nothing that had a record when the process died is ever asked of the model server again.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool

from crew_repo.store import Store, schema
from crew_repo.store.database import dialect_of
from tests import postgres
from tests.crash.lives import TASKS, live_batch, live_one_by_one, live_opening
from tests.crash.server import Ledger, serving
from tests.processes import begin

__all__ = ["Siege"]

_REVISION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{version:04}", "{before:04}"

def upgrade():
    {change}
    op.execute("UPDATE record SET crew_name = crew_name")
    with op.batch_alter_table("run_entry", recreate="{recreate}") as run:
        run.alter_column("crew_name", existing_type=sa.Text(), nullable={nullable})
"""
_ADD = 'op.add_column("record", sa.Column("note", sa.Text()))'
_DROP = 'op.drop_column("record", "note")'


def _adds(version: int) -> bool:
    """Whether the revision that leads to this version adds the column; the next drops it again."""
    return (version - schema.CURRENT.version) % 2 == 1


@dataclass
class Siege:
    """Lives on one state: killed ones are begun again, and after a batch comes the next one."""

    url: str
    folder: Path
    ledger: Ledger
    seed: int = 0
    claims_per_batch: int = 4
    kills: int = 0
    kills_in_migrations: int = 0
    migrations: int = 0
    opened: int = 0
    batches: int = 0
    checked: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.dialect = dialect_of(self.url, 30)
        self.engine = create_engine(self.url, poolclass=NullPool)  # keeps no connection open beside those that are killed
        self.versions = self.folder / "versions"
        self.versions.mkdir()
        self.newest = self.first = schema.CURRENT.version

    def claims(self) -> list[str]:
        """The claims of the present batch."""
        return [f"{self.batches}-{number}" for number in range(self.claims_per_batch)]

    def until(self, kills: int) -> None:
        """Go on until so many processes were killed, then let the last migration and the last batch complete."""
        while self.kills < kills:
            if self.random.random() < 0.15 and self.version() is not None:
                self._migration(seconds=self.random.uniform(0.0, 0.1))
            else:
                self._life(after=self.random.choice([0, 1, 1, 2, 3, 4, 6]), seconds=self.random.uniform(0.0, 0.06))
        self._migration(seconds=None)
        self._life(after=10_000, seconds=0.0)

    def _life(self, *, after: int, seconds: float) -> None:
        """A batch, killed so many seconds after so many requests, if it is not done before."""

        def wait(process: Any) -> None:
            while process.exitcode is None and self.ledger.requests(since).total() < after:
                time.sleep(0.003)
            process.join(seconds if after else seconds * 10)

        since = self.ledger.position()
        if self._killed(self.random.choice([live_batch, live_one_by_one]), wait):
            return
        assert self.finished() >= {(claim, task) for claim in self.claims() for task in TASKS}
        self.batches += 1

    def _migration(self, *, seconds: float | None) -> None:
        """A newer crew_repo opens the state, and is killed after so many seconds (None: never), if it is not done before."""
        before, wanted = self.version(), self._newer()
        if self._killed(live_opening, lambda process: process.join(seconds)):
            self.kills_in_migrations += 1
            assert self.version() in (before, wanted), "the schema is neither the old nor the new one"
        else:
            self.opened += 1
            assert self.version() == wanted
        columns = {column["name"] for column in inspect(self.engine).get_columns("record")}
        assert ("note" in columns) == _adds(self.version()), "the tables are of another version than they say"
        self.migrations += self.version() == wanted != before
        for copy in self.folder.glob("state.db.v*"):
            copy.unlink()

    def _newer(self) -> int:
        """One more revision, unless the newest is still to be reached; it adds a column or drops it, and rebuilds."""
        if self.version() == self.newest:
            self.newest += 1
            adds = _adds(self.newest)
            revision = _REVISION.format(
                version=self.newest, before=self.newest - 1, change=_ADD if adds else _DROP, nullable=adds,
                recreate="always" if self.dialect.name == "sqlite" else "never",
            )  # fmt: skip
            (self.versions / f"{self.newest:04}_a_change.py").write_text(revision)
        return self.newest

    def _killed(self, work: Callable[..., Any], wait: Callable[[Any], None]) -> bool:
        """Begin a process, and kill it if it is not done after the wait; then look at what it left."""
        finished, since = self.finished(), self.ledger.position()
        report = self.folder / "report.txt"
        installed = schema.Schema(self.newest, (*schema.CURRENT.migrations, self.versions))
        process = begin(report, work, self.url, self.ledger.base_url, self.claims(), installed=installed)
        wait(process)
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            self.ledger.settle()
        killed = bool(process.exitcode == -signal.SIGKILL)
        self.kills += killed
        self._check(finished, since)
        assert killed or process.exitcode == 0, report.read_text() if report.exists() else process.exitcode
        return killed

    def version(self) -> int | None:
        """The schema's version; None if there are no tables yet."""
        if not self.dialect.exists():
            return None
        with self.engine.connect() as connection:
            return self.dialect.version(connection)

    def finished(self) -> set[tuple[str, str]]:
        """The (claim, task) that have a record."""
        if self.version() is None:
            return set()
        with self.engine.connect() as connection:
            found = connection.execute(text("SELECT workflow_id, task_name FROM record WHERE retired IS NULL"))
            return {(claim, task) for claim, task in found}

    def _check(self, finished: set[tuple[str, str]], since: int) -> None:
        asked = self.ledger.requests(since)
        assert not finished & set(asked), "a finished task was paid for again"
        assert max(asked.values(), default=0) <= 1, "a process asked twice for the same task"
        assert finished <= self.finished(), "a record was lost"
        if self.dialect.name == "sqlite" and self.dialect.exists():
            with self.engine.connect() as connection:
                assert connection.execute(text("PRAGMA integrity_check")).all() == [("ok",)]
        if self.version() is not None:
            assert self._verify() == []
        self.checked += 1

    def _verify(self) -> list[Any]:
        """`verify()` of the crew_repo whose schema this is, since a newer one would migrate it."""
        version, installed = self.version(), schema.CURRENT
        assert version is not None
        schema.CURRENT = schema.Schema(version, (*installed.migrations, self.versions))
        try:
            with Store(self.url) as store:
                return list(store.verify())
        finally:
            schema.CURRENT = installed

    def summary(self) -> str:
        """The figures."""
        asked = self.ledger.requests()
        tasks = self.batches * self.claims_per_batch * len(TASKS)
        return (
            f"{self.kills} kills, {self.kills_in_migrations} of them while migrating, {self.migrations} migrations and "
            f"{self.batches} batches completed, {tasks} tasks, {asked.total()} requests "
            f"({asked.total() - len(asked)} for tasks that were killed before their record), seed {self.seed}"
        )


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=500)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--postgresql", action="store_true")
    given = parser.parse_args()
    database = postgres.running() if given.postgresql else nullcontext()
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as ledger, database as server:
        folder = Path(name)
        url = postgres.url_of(server) if server else f"sqlite:///{folder / 'state.db'}"
        siege = Siege(url, folder, ledger, seed=given.seed)
        sys.stdout.write(f"seed {given.seed}\n")
        sys.stdout.flush()
        for kills in [*range(25, given.kills, 25), given.kills]:
            siege.until(kills)
            sys.stdout.write(siege.summary() + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _main()
