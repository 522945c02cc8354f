"""The sums of a report: what was spent and saved, over time, by task and by model; in money where prices are given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from crew_repo.model import PLANNER, Cost, Usage
from crew_repo.model.usage import by_model_from_json
from crew_repo.pricing import Prices, cost_of
from crew_repo.report.gathering import Gathered

if TYPE_CHECKING:
    from crew_repo.store.current import Row

__all__ = ["ModelSum", "Sum", "Summary", "summed"]

_MOST_BARS = 48
_UNITS = {"minute": "%Y-%m-%d %H:%M", "hour": "%Y-%m-%d %H:00", "day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}


@dataclass(slots=True)
class Sum:
    """Sums of what was spent and saved under one name. Costs are None without prices."""

    name: str
    executed: int = 0
    reused: int = 0
    tokens: int = 0
    tokens_saved: int = 0
    seconds: float = 0.0
    seconds_saved: float = 0.0
    cost: Cost | None = None
    cost_saved: Cost | None = None

    def add(self, other: Sum) -> None:
        """Add what another has."""
        for name in self.__slots__[1:]:
            one, two = getattr(self, name), getattr(other, name)
            setattr(self, name, two if one is None else one if two is None else one + two)


@dataclass(slots=True)
class ModelSum:
    """The tokens of one model that were spent, by their kind. `other`: those of which the kind is not known."""

    name: str
    usage: Usage = field(default_factory=Usage)
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """All sums. `periods` are of one `unit` each: a run, or the runs of an hour, a day and so on."""

    total: Sum
    unit: str
    periods: list[Sum]
    by_task: list[Sum]
    by_model: list[Sum]
    kinds: list[ModelSum]


def summed(found: Gathered, prices: Prices | None) -> Summary:
    """Add up what each run did with each task."""
    each = [(row, _sum_of(row, found, prices)) for row in found.done]
    total, tasks, models, runs = Sum(""), dict[str, Sum](), dict[str, Sum](), dict[str, Sum]()
    for row, done in each:
        if row["task_name"] != PLANNER:
            total.executed, total.reused = total.executed + done.executed, total.reused + done.reused
        total.add(replace(done, executed=0, reused=0))
        for sums, name in ((tasks, row["task_name"]), (models, row["model"] or "(no model)"), (runs, row["run_id"])):
            sums.setdefault(name, Sum(name)).add(done)
    unit, periods = _periods(found.runs, runs)
    return Summary(total, unit, periods, _largest(tasks.values()),
                   _largest(each for each in models.values() if each.tokens or each.tokens_saved),
                   _kinds(found.done, prices))  # fmt: skip


def _sum_of(row: Row, found: Gathered, prices: Prices | None) -> Sum:
    reused = row["status"] == "reused"
    done = Sum("", int(row["status"] == "executed"), int(reused), _count(row["total_tokens"]),
               _count(row["tokens_saved"]), _seconds(row["duration_seconds"]),
               _seconds(row["seconds_saved"]))  # fmt: skip
    if prices is not None:
        done.cost = cost_of(_usage(row), prices)
        before = found.spent.get(row["record_id"]) if reused else None
        unknown = Cost(Decimal(0), prices.currency, done.tokens_saved)
        done.cost_saved = unknown if before is None else cost_of(_usage(before), prices)
    return done


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _usage(row: Row) -> Usage:
    return Usage(_count(row["total_tokens"]), by_model=by_model_from_json(row["usage_by_model"]))


def _largest(sums: Iterable[Sum]) -> list[Sum]:
    return sorted(sums, key=lambda each: (-each.tokens - each.tokens_saved, -each.seconds, each.name))


def _periods(runs: Sequence[Row], by_run: dict[str, Sum]) -> tuple[str, list[Sum]]:
    """The sums of each run if these are few, else of the runs that began in one unit of time; the oldest first."""
    if len(runs) <= _MOST_BARS:
        return "run", [replace(by_run.get(run["run_id"], Sum("")), name=_name(run)) for run in reversed(runs)]
    starts = {run["run_id"]: run["started_at"] for run in reversed(runs)}
    few = (name for name, form in _UNITS.items() if len({f"{at:{form}}" for at in starts.values()}) <= _MOST_BARS)
    unit = next(few, "year")
    periods: dict[str, Sum] = {}
    for run_id, at in starts.items():
        label = f"{at:{_UNITS[unit]}}"
        periods.setdefault(label, Sum(label)).add(by_run.get(run_id, Sum("")))
    return unit, list(periods.values())[-_MOST_BARS:]


def _name(run: Row) -> str:
    return f"{run['workflow_id']}, {run['started_at']:%Y-%m-%d %H:%M:%S}"


def _kinds(done: Sequence[Row], prices: Prices | None) -> list[ModelSum]:
    """The tokens of each model that were spent, by their kind."""
    usage = sum((replace(_usage(row), total_tokens=0) for row in done if row["usage_by_model"]), Usage())
    found = [ModelSum(each.model, Usage(sum(each.counts), by_model=(each,))) for each in usage.by_model]
    for model in found:
        model.cost = None if prices is None else cost_of(model.usage, prices)
    return sorted(found, key=lambda model: -model.usage.total_tokens)
