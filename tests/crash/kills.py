"""Kill processes at random moments, and look after each kill at what is left: `python -m tests.crash.kills 500`.

After every kill: the file is sound, every record gives its hashes again, and nothing that had a record when the
process died is ever asked of the model server again.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from crew_repo.store import Store
from tests.crash.lives import TASKS, begin, live_batch, live_one_by_one
from tests.crash.server import Ledger, serving

__all__ = ["Siege"]

_SETTLE_SECONDS = 0.05  # for requests of a process that was killed to reach the ledger


@dataclass
class Siege:
    """Lives on one state file: killed ones are begun again, and after a batch comes the next one."""

    folder: Path
    ledger: Ledger
    seed: int = 0
    claims_per_batch: int = 4
    kills: int = 0
    batches: int = 0
    checked: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.file = self.folder / "state.db"
        self.url = f"sqlite:///{self.file}"

    def claims(self) -> list[str]:
        """The claims of the present batch."""
        return [f"{self.batches}-{number}" for number in range(self.claims_per_batch)]

    def until(self, kills: int) -> None:
        """Go on until so many processes were killed, then let the last batch complete."""
        while self.kills < kills:
            self._life(after=self.random.choice([0, 1, 1, 2, 3, 4, 6]), seconds=self.random.uniform(0.0, 0.06))
        self._life(after=10_000, seconds=0.0)

    def _life(self, *, after: int, seconds: float) -> bool:
        """One process, killed so many seconds after so many requests; whether it was done before."""
        finished, since = self.finished(), self.ledger.position()
        work = self.random.choice([live_batch, live_one_by_one])
        report = self.folder / "report.txt"
        process = begin(report, work, self.url, self.ledger.base_url, self.claims())
        limit = time.monotonic() + 60
        while process.exitcode is None and time.monotonic() < limit and self.ledger.requests(since).total() < after:
            time.sleep(0.003)
        process.join(seconds if after else seconds * 10)
        done = process.exitcode is not None
        if not done:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            self.kills += 1
            time.sleep(_SETTLE_SECONDS)
        self._check(finished, since)
        if done:
            assert process.exitcode == 0, report.read_text() if report.exists() else process.exitcode
            assert self.finished() >= {(claim, task) for claim in self.claims() for task in TASKS}
            self.batches += 1
        return done

    def finished(self) -> set[tuple[str, str]]:
        """The (claim, task) that have a record."""
        if not self.file.exists() or not self.file.stat().st_size:
            return set()
        with closing(sqlite3.connect(self.file)) as connection:
            try:
                return set(connection.execute("SELECT workflow_id, task_name FROM record WHERE retired IS NULL"))
            except sqlite3.OperationalError as error:
                assert "no such table" in str(error)  # noqa: PT017 - killed before the tables were made
                return set()

    def _check(self, finished: set[tuple[str, str]], since: int) -> None:
        asked = self.ledger.requests(since)
        assert not finished & set(asked), "a finished task was paid for again"
        assert max(asked.values(), default=0) <= 1, "a process asked twice for the same task"
        assert finished <= self.finished(), "a record was lost"
        if self.file.exists() and self.file.stat().st_size:
            with closing(sqlite3.connect(self.file)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            with Store(self.url) as store:
                assert store.verify() == []
        self.checked += 1

    def summary(self) -> str:
        """The figures."""
        asked = self.ledger.requests()
        tasks = self.batches * self.claims_per_batch * len(TASKS)
        return (
            f"{self.kills} kills, {self.batches} batches completed, {tasks} tasks, {asked.total()} requests "
            f"({asked.total() - len(asked)} for tasks that were killed before their record), seed {self.seed}"
        )


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=500)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as ledger:
        siege = Siege(Path(folder), ledger, seed=given.seed)
        sys.stdout.write(f"seed {given.seed}\n")
        sys.stdout.flush()
        for kills in [*range(25, given.kills, 25), given.kills]:
            siege.until(kills)
            sys.stdout.write(siege.summary() + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _main()
