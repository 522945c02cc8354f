"""Costs of runs and of their tasks, for the commands that only read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crew_repo.settings import PRICES_VARIABLE, from_environment
from crew_repo.store.current import among

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crew_repo.cli.options import Asked
    from crew_repo.model import Cost, Usage
    from crew_repo.pricing import Prices
    from crew_repo.store.current import Query

__all__ = ["by_model", "prices_of", "run_costs", "task_cost"]

Row = dict[str, Any]


def prices_of(asked: Asked) -> Prices | None:
    """The prices of --prices or of the environment; None without any, and then nothing is imported for them."""
    given = asked.prices or from_environment(PRICES_VARIABLE)
    if given is None:
        return None
    from crew_repo.pricing import given_prices

    return given_prices(given)


def run_costs(query: Query, runs: Sequence[Row], prices: Prices | None) -> dict[str, Cost]:
    """The cost of each run, by its ID; none without prices."""
    if prices is None:
        return {}
    from crew_repo.pricing import run_cost

    usages = _usages(query, [run["run_id"] for run in runs])
    return {run["run_id"]: run_cost(usages[run["run_id"]], run["tokens_spent"], prices) for run in runs}


def _usages(query: Query, run_ids: Sequence[str]) -> dict[str, list[Usage]]:
    """The tokens of each task of these runs, the planner's among them."""
    found: dict[str, list[Usage]] = {run_id: [] for run_id in run_ids}
    for row in among(query, "SELECT run_id, total_tokens, usage_by_model FROM task_run WHERE run_id IN", run_ids):
        found[row["run_id"]].append(_usage(row["total_tokens"], row["usage_by_model"]))
    return found


def task_cost(task: Row, prices: Prices | None) -> Cost | None:
    """The cost of what a run did with a task; None without prices, and where nothing is known yet."""
    if prices is None or task["total_tokens"] is None:
        return None
    from crew_repo.pricing import cost_of

    return cost_of(_usage(task["total_tokens"], task["usage_by_model"]), prices)


def _usage(total_tokens: int, text: str | None) -> Usage:
    from crew_repo.model import Usage
    from crew_repo.model.usage import by_model_from_json

    return Usage(total_tokens, by_model=by_model_from_json(text))


def by_model(text: str | None) -> Any:
    """The tokens of each model as they are stored; None where they are not known."""
    import json

    try:
        return json.loads(text or "null")
    except ValueError:
        return None
