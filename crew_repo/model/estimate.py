"""Estimates: the tokens and seconds that a run would spend and save. They are what the tasks took before."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from crew_repo.model.cost import Cost
from crew_repo.model.decision import Decision, ReasonKind

__all__ = ["Estimated"]


class Estimated:
    """Costs of a plan, as far as they are known."""

    __slots__ = ()

    decisions: tuple[Decision, ...]
    planner: Decision | None
    currency: str | None

    @property
    def all_decisions(self) -> tuple[Decision, ...]:
        """The decisions about all tasks. If the crew has a planner, the decision about it comes first."""
        return self.decisions if self.planner is None else (self.planner, *self.decisions)

    @property
    def tokens_to_spend(self) -> int:
        """Tokens that the tasks which are not fresh took when they last ran. An unknown number adds nothing."""
        return sum(d.tokens or 0 for d in self.all_decisions if not d.fresh)

    @property
    def tokens_to_save(self) -> int:
        """Tokens that the fresh tasks took when they ran."""
        return sum(d.tokens or 0 for d in self.all_decisions if d.fresh)

    @property
    def seconds_to_spend(self) -> float:
        """Seconds that the tasks which are not fresh took when they last ran."""
        return sum(d.seconds or 0.0 for d in self.all_decisions if not d.fresh)

    @property
    def seconds_to_save(self) -> float:
        """Seconds that the fresh tasks took when they ran."""
        return sum(d.seconds or 0.0 for d in self.all_decisions if d.fresh)

    @property
    def cost_to_spend(self) -> Cost | None:
        """Money for `tokens_to_spend`; None as long as no prices are given."""
        return self._cost(d for d in self.all_decisions if not d.fresh)

    @property
    def cost_to_save(self) -> Cost | None:
        """Money for `tokens_to_save`; None as long as no prices are given."""
        return self._cost(d for d in self.all_decisions if d.fresh)

    def _cost(self, decisions: Iterable[Decision]) -> Cost | None:
        if self.currency is None:
            return None
        return sum((d.cost for d in decisions if d.cost is not None), Cost(Decimal(0), self.currency))

    @property
    def estimate(self) -> str:
        """One line: how many tasks would run, and what that would spend and save.

        The cost is what the tasks took before, in this workflow or else in others. If a task never ran, it is unknown.
        """
        running = [d for d in self.decisions if not d.fresh]
        never = sum(any(reason.kind is ReasonKind.NEVER_RAN for reason in d.reasons) for d in running)
        to_run = f"{len(running)} to run{f', {never} of them never ran' if never else ''}"
        save = f"{_amounts(self.tokens_to_save, self.cost_to_save, self.seconds_to_save)} saved"
        return f"{len(self.decisions) - len(running)} fresh, {to_run}; {self._spending(running)}, {save}"

    def _spending(self, running: list[Decision]) -> str:
        unknown = sum(d.tokens is None for d in running)
        if running and unknown == len(running):
            return "what that costs is unknown"
        spend = f"about {_amounts(self.tokens_to_spend, self.cost_to_spend, self.seconds_to_spend)} to spend"
        if any(d.cost_from is not None for d in running):
            spend += " (by runs of other workflows)"
        more = f", and what {unknown} more {'costs' if unknown == 1 else 'cost'} is unknown" if unknown else ""
        return spend + more


def _amounts(tokens: int, cost: Cost | None, seconds: float) -> str:
    return f"{tokens:,} tokens{'' if cost is None else f' ({cost})'} and {seconds:.1f} s"
