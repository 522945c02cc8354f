"""A bounded sample of what `python -m tests.crash.kills 500` and `python -m tests.crash.crowd` do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.crowd import crowd
from tests.crash.kills import Siege
from tests.crash.server import Ledger


@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.siege)])
def test_nothing_is_lost_or_paid_twice_however_often_it_is_killed(url: str, tmp_path: Path, ledger: Ledger, kills: int) -> None:
    """After each kill: a sound state, no record lost, no finished task asked for again; all completes."""
    siege = Siege(url, tmp_path, ledger)
    siege.until(kills)
    assert (siege.kills, siege.checked - siege.kills) == (kills, siege.batches + siege.opened)
    assert siege.batches >= 1
    assert siege.migrations >= 1


@pytest.mark.siege
def test_a_crowd_of_processes_pays_for_each_task_once(url: str, tmp_path: Path, ledger: Ledger) -> None:
    """Four processes, one state, the same 8 claims: each task is asked for once in all, and nobody sees an error."""
    crowd(url, ledger, tmp_path, processes=4, claims=8)
