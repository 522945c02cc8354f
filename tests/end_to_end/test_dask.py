"""The batch on a Dask cluster of several processes, with a real PostgreSQL and a worker that is killed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.playing import run_example

pytestmark = pytest.mark.siege


def test_a_dask_worker_that_is_killed_costs_at_most_the_task_it_was_in(tmp_path: Path) -> None:
    """The batch completes on the other workers, no finished task is asked for twice, and a second batch is free."""
    said = run_example("batch_on_dask.py", tmp_path, OFFLINE_SECONDS="0.05")
    assert "12 claims, 3 Dask workers, postgresql+psycopg" in said
    killed, interrupted = re.findall(r"Worker (\d+) was killed; interrupted: (.*)", said)[0]
    by_worker = dict(re.findall(r"'(\d+)': (\d+)", said))
    assert killed in by_worker
    assert len(by_worker) >= 3
    tasks, calls, twice = re.findall(r"(\d+) tasks, (\d+) calls; asked twice: (.*) \(unfinished", said)[0]
    assert tasks == "36"
    assert int(calls) - 36 == len(re.findall(r"CLM-", twice)) <= 1
    assert set(re.findall(r"CLM-[\d-]+", twice)) <= set(interrupted.split(", "))
    assert "The same batch again: 0 tasks executed, 36 reused" in said
