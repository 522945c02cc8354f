"""A task that was killed goes on where it was: nothing that was answered is bought again, no finished effect repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.journal.cases import CASES, KEYED
from tests.crash.journal.matrix import kill_everywhere
from tests.crash.journal.model_server import TOKENS, Server

QUICK = "one tool call"


def check(name: str, url: str, server: Server, folder: Path) -> None:
    row = kill_everywhere(name, url, server, folder)
    assert (row.again, row.repeated) == (0, 0)
    assert row.kills >= row.requests
    assert (row.reused.executed, row.reused.spent) == ([], 0)
    assert row.reused.raw == row.last.raw
    assert row.reused.saved == TOKENS * row.requests


def test_a_task_that_is_killed_at_every_request_and_in_its_tool_goes_on(server: Server, tmp_path: Path) -> None:
    """Killed before and after each answer and each effect, it repeats only what had not come back to it."""
    check(QUICK, f"sqlite:///{tmp_path / 'state.db'}", server, tmp_path)


@pytest.mark.siege
@pytest.mark.parametrize("name", [name for name in CASES if name != QUICK])
def test_nothing_is_bought_again_in_whatever_way_a_task_works(name: str, url: str, server: Server, tmp_path: Path) -> None:
    """Killed at every request and in every tool: what was answered is not asked again, what was done not done again."""
    if not CASES[name].is_there:
        pytest.skip("this CrewAI has no such thing, or it needs a package that is not here")
    check(name, url, server, tmp_path)


@pytest.mark.siege
def test_a_tool_that_is_called_again_has_the_key_that_it_had(server: Server, tmp_path: Path) -> None:
    """What a killed tool did, and does again, has one key; every other call has another."""
    row = kill_everywhere(KEYED, f"sqlite:///{tmp_path / 'state.db'}", server, tmp_path)
    keys = [effect.arguments["key"] for effect in server.model.effects]
    assert all(keys)
    assert len(keys) == row.effects + row.cut
    assert len(set(keys)) == row.effects
