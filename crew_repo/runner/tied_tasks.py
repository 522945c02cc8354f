"""Tasks that hand on state in memory: they are executed together, or reused together.

What one task's tools leave in memory is gone in the next process. So a task that must execute, and reads it, needs the
task that leaves it executed in the same run; and where that executes, what it leaves may be something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crew_repo import adapter
from crew_repo.model import Decision, Reason, ReasonKind, Status
from crew_repo.runner.options import RunOptions

__all__ = ["Handed", "beside", "handed_in", "more_together"]

Handed = Sequence["adapter.HandedOn"]


def handed_in(crew: Any, names: Sequence[str], options: RunOptions) -> Handed:
    """Find what the tasks of a crew hand on, but for what the reading task's policy ignores (as `state:NAME`)."""
    found = adapter.all_handed_on(crew)
    return [each for each in found if not options.policies.of(names[each.reader]).ignores(f"state:{each.what}")]


def reason_of(handed: adapter.HandedOn) -> Reason:
    """Why a task is executed beside another."""
    return Reason(ReasonKind.HANDED_ON, f"state:{handed.what}", handed.text)


def more_together(handed: Handed, decisions: Sequence[Decision], known: Mapping[int, Reason]) -> dict[int, Reason]:
    """The tasks that are executed only because another is, by position, as far as they are not `known`."""
    found: dict[int, Reason] = {}
    for each in handed:
        pair = [decisions[each.writer], decisions[each.reader]]
        if any(decision.status is not Status.FRESH for decision in pair):
            found.update({at.position: reason_of(each) for at in pair if _might_be_served(at)})
    return {position: reason for position, reason in found.items() if position not in known}


def _might_be_served(decision: Decision) -> bool:
    return decision.status is Status.MAY_RERUN or decision.record is not None


def beside(handed: Handed, position: int, executed: Iterable[int]) -> Reason | None:
    """Why a task is executed beside one that was, whatever had been planned."""
    done = set(executed)
    found = (each for each in handed if {each.writer, each.reader} - done == {position})
    return next((reason_of(each) for each in found), None)
