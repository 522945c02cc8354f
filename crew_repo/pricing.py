"""Prices of models, as the user gives them, and what tokens cost by them. Nothing is priced by a guess.

    {
      "currency": "USD",
      "gpt-4o": {"input": 2.5, "cached_input": 1.25, "output": 10.0}
    }

A price is for a million tokens. `input` and `output` must be there. `cached_input` is for tokens of a prompt that the
provider read from its cache, `cache_write` for those that it wrote into it: without these prices such tokens have none.
`currency` is only shown; without it, it is USD. In Python it is the same, with a Price for each model.

A model has the price under its name. Failing that, it has the price under the name with or without its provider
(`openai/gpt-4o` and `gpt-4o`), if exactly one is there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from crew_repo.errors import InputError
from crew_repo.model import KINDS_OF_TOKENS, Cost, Decision, Plan, RunRecord, TaskRun, Usage
from crew_repo.settings import PRICES_VARIABLE, checked_path, from_environment

__all__ = ["Price", "Prices", "cost_of", "given_prices", "priced_plan", "priced_run", "run_cost"]

_MILLION = 1_000_000
_NEEDED = ("input", "output")


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one model's tokens: money for a million of them, of each kind.

    Numbers may be int, float or Decimal. None means that there is no price for tokens of that kind, which are then
    counted apart. Raises InputError for anything else, and for what is negative.
    """

    input: Decimal | float
    output: Decimal | float
    cached_input: Decimal | float | None = None
    cache_write: Decimal | float | None = None

    def __post_init__(self) -> None:
        for kind in KINDS_OF_TOKENS:
            given = getattr(self, kind)
            if given is not None or kind in _NEEDED:
                object.__setattr__(self, kind, _money(kind, given))


def _money(kind: str, given: object) -> Decimal:
    if isinstance(given, (int, float, Decimal)) and not isinstance(given, bool):
        money = Decimal(str(given))
        if money.is_finite() and money >= 0:
            return money
    raise InputError(f"{kind} is {given!r}; give the price of a million tokens as a number, 0 or more")


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by the name of the model, in one currency."""

    by_model: Mapping[str, Price] = field(default_factory=dict)
    currency: str = "USD"

    def of(self, model: str) -> Price | None:
        """The price of a model, or None: see the top of this module for what its name may be."""
        if model in self.by_model:
            return self.by_model[model]
        bare = model.partition("/")[2]
        found = [name for name in self.by_model if name == bare or name.partition("/")[2] == model]
        return self.by_model[found[0]] if len(found) == 1 else None


def given_prices(given: Mapping[str, Any] | str | os.PathLike[str] | Prices | None) -> Prices | None:
    """The prices of a mapping, or of a JSON file; None reads `CREW_REPO_PRICES`, and is None where that is not set.

    Raises InputError, which names the file, the model and the member that is wrong.
    """
    if given is None:
        given = from_environment(PRICES_VARIABLE)
    if given is None or isinstance(given, Prices):
        return given
    if isinstance(given, Mapping):
        return _prices("prices", given)
    file = checked_path("prices", given)
    return _prices(str(file), _of_file(file))


def _of_file(file: Path) -> Any:
    try:
        return json.loads(file.expanduser().read_text(encoding="utf-8"), parse_float=Decimal, object_pairs_hook=_once)
    except OSError as error:
        raise InputError(f"{file}: it cannot be read: {error.strerror}; give the path of a JSON file") from error
    except _Twice as error:
        raise InputError(f"{file}: {error} stands there twice; leave one of them") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: this is no JSON ({error}); {_FORM}") from error


_FORM = 'give {"gpt-4o": {"input": 2.5, "output": 10.0}, ...}'


class _Twice(Exception):
    """A name that stands twice in one object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(repr(next(name for name in names if names.count(name) > 1)))
    return found


def _prices(where: str, given: object) -> Prices:
    if not isinstance(given, Mapping):
        raise InputError(f"{where}: this is no JSON object; {_FORM}")
    models = dict(given)
    currency = models.pop("currency", "USD")
    if not isinstance(currency, str) or not currency.strip():
        raise InputError(f'{where}: currency is {currency!r}; give a text, such as "EUR"')
    return Prices({_name(where, model): _price(f"{where}: {model}", each) for model, each in models.items()}, currency)


def _name(where: str, model: object) -> str:
    if isinstance(model, str) and model:
        return model
    raise InputError(f"{where}: {model!r} is no name of a model; give a text, such as 'gpt-4o'")


def _price(where: str, given: object) -> Price:
    if isinstance(given, Price):
        return given
    if not isinstance(given, Mapping):
        raise InputError(f'{where}: {given!r} is no price; give {{"input": 2.5, "output": 10.0}}')
    odd = [name for name in given if name not in KINDS_OF_TOKENS]
    if odd:
        raise InputError(f"{where}: there is no price {odd[0]!r}; there are {', '.join(KINDS_OF_TOKENS)}")
    lacking = [name for name in _NEEDED if name not in given]
    if lacking:
        raise InputError(f"{where}: {lacking[0]} is not there; give the price of a million tokens")
    try:
        return Price(**given)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def cost_of(usage: Usage, prices: Prices) -> Cost:
    """The cost of tokens, each by the price of its model and kind, and the number of those without one.

    Tokens of which it is not known which model they are of have no price.
    """
    amount, priced = Decimal(0), 0
    if any(count < 0 for each in usage.by_model for count in each.counts):  # a provider that counts in another way
        return Cost(amount, prices.currency, usage.total_tokens)
    known = 0
    for each in usage.by_model:
        price = prices.of(each.model)
        for kind, count in zip(KINDS_OF_TOKENS, each.counts, strict=True):
            known += count
            money = None if price is None else getattr(price, kind)
            if money is not None:
                amount, priced = amount + money * count / _MILLION, priced + count
    return Cost(amount, prices.currency, max(known, usage.total_tokens) - priced)


def run_cost(tasks: Sequence[Usage], tokens_spent: int, prices: Prices) -> Cost:
    """The cost of a run: that of its tasks, and without a price what was spent outside of them."""
    cost = sum((cost_of(usage, prices) for usage in tasks), Cost(Decimal(0), prices.currency))
    outside = tokens_spent - sum(usage.total_tokens for usage in tasks)
    return replace(cost, unpriced_tokens=cost.unpriced_tokens + max(0, outside))


def priced_run(run: RunRecord, prices: Prices | None) -> RunRecord:
    """The run with its costs and those of its tasks; as it is without prices."""
    if prices is None:
        return run
    usages = [task.usage for task in (run.planner, *run.tasks) if task is not None]
    return replace(
        run,
        tasks=tuple(_priced_task(task, prices) for task in run.tasks),
        planner=None if run.planner is None else _priced_task(run.planner, prices),
        cost=run_cost(usages, run.tokens_spent, prices),
    )


def _priced_task(task: TaskRun, prices: Prices) -> TaskRun:
    return replace(task, cost=cost_of(task.usage, prices))


def priced_plan(plan: Plan, prices: Prices | None) -> Plan:
    """The plan with what its tasks took, in money; as it is without prices."""
    if prices is None:
        return plan
    return replace(
        plan,
        decisions=tuple(_priced_decision(decision, prices) for decision in plan.decisions),
        planner=None if plan.planner is None else _priced_decision(plan.planner, prices),
        currency=prices.currency,
    )


def _priced_decision(decision: Decision, prices: Prices) -> Decision:
    return decision if decision.usage is None else replace(decision, cost=cost_of(decision.usage, prices))
