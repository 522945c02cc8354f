"""How many runs or changes are listed at most, and how long names may be, whatever the database."""

from __future__ import annotations

import random
from typing import Any

import pytest

from crew_repo import InputError, StateRepository
from tests import crews
from tests.conformance.kit import Kit, new_record
from tests.models import PromptModel


@pytest.mark.parametrize("limit", ["a", -1, 1.0, True])
@pytest.mark.parametrize("listed", ["runs", "changes"])
def test_a_limit_that_is_none_is_refused(url: str, listed: str, limit: Any) -> None:
    """The error names it and the remedy, and is no database's."""
    with StateRepository(url) as repo, pytest.raises(InputError) as refused:
        getattr(repo, listed)(limit=limit)
    assert str(refused.value) == f"limit is {limit!r}; give how many to list, 0 or more, or None for all"


def test_a_limit_is_the_most_that_is_listed(kit: Kit, url: str) -> None:
    """None is all."""
    kit.start()
    kit.start()
    with StateRepository(url) as repo:
        assert [len(repo.runs(limit=limit)) for limit in (0, 1, 7, None)] == [0, 1, 2, 2]
        for task in ("a", "b"):
            kit.run(new_record(task, template=task))
            repo.invalidate(task)
        assert [len(repo.changes(limit=limit)) for limit in (0, 1, 7, None)] == [0, 1, 2, 2]


def test_the_longest_names_can_be_stored(url: str) -> None:
    """So nothing is paid for that the database then refuses: a workflow ID and a task name share one entry of an index."""
    longest = "".join(random.Random(7).choices("0123456789abcdef", k=1_000))  # it does not compress well
    crew = crews.no_inputs(PromptModel(model="m"))
    crew.tasks[0].name = longest
    with StateRepository(url, verbose=False) as repo:
        assert longest in repo.run(crew, workflow_id=longest).run.executed
        assert longest in repo.run(crew, workflow_id=longest).run.reused
