"""A record's age, and what is said of one that comes from the future."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

import pytest

from crew_repo import TaskPolicy
from crew_repo.model import Definition, NewRecord, ReasonKind, Record
from crew_repo.staleness import current_state, decide
from tests.conformance.kit import new_record, now


@pytest.mark.parametrize(
    ("age", "max_age", "fresh"),
    [
        (0, 0, True),
        (9, 10, True),
        (11, 10, False),
        (-5, 10, True),
        (-11, 10, False),
        (-50, 3600, True),
        (-70, 3600, False),
        (-1, 0, False),
        (-1e6, 1e9, False),
        (-1e6, None, True),
    ],
)
def test_a_record_from_the_future_has_no_age(age: float, max_age: float | None, fresh: bool) -> None:
    """Hosts may differ by a moment; beyond that a clock was wrong, and `max_age` cannot be kept."""
    moment = now()
    made = new_record()
    policy = TaskPolicy(max_age=None if max_age is None else timedelta(seconds=max_age))
    current = current_state("extract", 0, Definition(made.components), "", policy)
    completed = moment - timedelta(seconds=age)
    members = {each.name: getattr(made, each.name) for each in fields(NewRecord)} | {"completed_at": completed}
    decision = decide(current, Record(**members), None, moment)
    assert decision.fresh is fresh
    if not fresh:
        (reason,) = decision.reasons
        assert reason.kind is ReasonKind.EXPIRED
        assert ("a clock was wrong" in str(reason)) is (age < 0)
