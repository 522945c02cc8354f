"""Many processes, one state, the same claims: `python -m tests.crash.crowd --processes 8 --claims 50`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from crew_repo.model import RunStatus
from crew_repo.store import Store
from tests import postgres
from tests.crash.lives import TASKS, live_batch
from tests.crash.server import Ledger, serving
from tests.processes import begin

__all__ = ["crowd"]


def crowd(url: str, ledger: Ledger, folder: Path, *, processes: int, claims: int) -> None:
    """Each process goes through all claims; each task is asked for exactly once in all, and nobody fails."""
    names = [f"claim-{number}" for number in range(claims)]
    since = ledger.position()
    reports = [folder / f"report-{number}.txt" for number in range(processes)]
    begun = [begin(report, live_batch, url, ledger.base_url, names, 2) for report in reports]
    for process in begun:
        process.join()
    assert [report.read_text() for report in reports if report.exists()] == []
    assert [process.exitcode for process in begun] == [0] * processes
    assert ledger.requests(since) == {(claim, task): 1 for claim in names for task in TASKS}
    with Store(url) as store:
        assert store.verify() == []
        runs = store.list_runs()
    assert {run.status for run in runs} == {RunStatus.COMPLETED}
    assert len(runs) == processes * claims
    assert sum(len(run.executed) for run in runs) == claims * len(TASKS)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--claims", type=int, default=50)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as ledger, postgres.running() as server:
        folder = Path(name)
        for kind, url in (("SQLite", f"sqlite:///{folder / 'state.db'}"), ("PostgreSQL", postgres.url_of(server))):
            began = time.monotonic()
            crowd(url, ledger, folder, processes=given.processes, claims=given.claims)
            asked = given.claims * len(TASKS)
            sys.stdout.write(
                f"{kind}: {given.processes} processes, {given.claims} claims each, {asked} tasks, {asked} requests, "
                f"no error, {time.monotonic() - began:.1f} s\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    _main()
