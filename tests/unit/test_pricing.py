"""Prices as a user gives them, and what tokens cost by them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crew_repo import Cost, InputError, Price, Usage
from crew_repo.model import ModelTokens
from crew_repo.model.usage import by_model_from_json, by_model_to_json
from crew_repo.pricing import Prices, cost_of, given_prices

FOUR = Price(input=2.5, cached_input=1.25, cache_write=3.125, output=10.0)
SPENT = Usage(1000, 900, 100, 500, 1, (ModelTokens("gpt-4o", 300, 500, 100, 100),))


def cost(usage: Usage, currency: str = "USD", **models: Price) -> Cost:
    return cost_of(usage, Prices({name.replace("_", "-"): price for name, price in models.items()}, currency))


def test_each_kind_of_token_has_its_own_price():
    """Cached tokens are priced as cached, not as full ones; the amount is exact."""
    expected = (Decimal("2.5") * 300 + Decimal("1.25") * 500 + Decimal("3.125") * 100 + Decimal(10) * 100) / 1_000_000
    assert cost(SPENT, gpt_4o=FOUR) == Cost(expected, "USD", 0) == Cost(Decimal("0.0026875"), "USD")


def test_tokens_of_a_kind_without_a_price_are_said_apart():
    """A cached token is not priced as another; nor is one that was written into the cache."""
    found = cost(SPENT, gpt_4o=Price(input=2.5, output=10))
    assert found == Cost(Decimal("0.00175"), "USD", 600)
    assert str(found) == "0.0018 USD + 600 tokens without a price"


def test_tokens_of_an_unknown_model_have_no_price():
    """Whether the model has no price, or it is not known which one it was."""
    assert cost(SPENT) == cost(Usage(1000, 900, 100)) == Cost(Decimal(0), "USD", 1000)
    assert cost(Usage(1200, 1100, 100, by_model=SPENT.by_model), gpt_4o=FOUR).unpriced_tokens == 200


def test_a_count_that_cannot_be_is_not_priced():
    """More cached tokens than tokens: whoever counts so counts in another way."""
    assert cost(Usage(10, 5, 5, 7, by_model=(ModelTokens("gpt-4o", -2, 7, 0, 5),)), gpt_4o=FOUR) == Cost(
        Decimal(0), "USD", 10
    )


@pytest.mark.parametrize(
    ("model", "names", "found"),
    [
        ("gpt-4o", ["gpt-4o"], "gpt-4o"),
        ("gpt-4o", ["openai/gpt-4o"], "openai/gpt-4o"),
        ("openai/gpt-4o", ["gpt-4o"], "gpt-4o"),
        ("gpt-4o", ["openai/gpt-4o", "gpt-4o"], "gpt-4o"),
        ("openai/gpt-4o", ["gpt-4o", "openai/gpt-4o"], "openai/gpt-4o"),
        ("gpt-4o", ["openai/gpt-4o", "azure/gpt-4o"], None),
        ("azure/gpt-4o", ["openai/gpt-4o"], None),
        ("gpt-4o-2024-08-06", ["gpt-4o"], None),
        ("gpt-4o", ["GPT-4o"], None),
        ("openrouter/openai/gpt-4o", ["gpt-4o"], None),
        ("gpt-4o", ["gpt-4o/"], None),
        ("gpt-4o", [], None),
    ],
)
def test_which_price_a_model_has(model, names, found):
    """That under its name; else with or without its provider, if that is unambiguous; nothing cleverer."""
    prices = Prices({name: Price(at, at) for at, name in enumerate(names)})
    assert prices.of(model) == (None if found is None else prices.by_model[found])


@pytest.mark.parametrize(
    ("amount", "unpriced", "said"),
    [
        ("0", 0, "0.0000 USD"),
        ("0.00001", 0, "<0.0001 USD"),
        ("0.01234", 0, "0.0123 USD"),
        ("1234.5", 0, "1,234.5000 USD"),
        ("0.01234", 1200, "0.0123 USD + 1,200 tokens without a price"),
        ("0", 1, "1 token without a price"),
    ],
)
def test_a_cost_in_print(amount, unpriced, said):
    """Four decimals, and what has no price."""
    assert str(Cost(Decimal(amount), "USD", unpriced)) == said


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), True, "2.5", None, Decimal("-0.1"), [1]])
@pytest.mark.parametrize("kind", ["input", "output", "cached_input", "cache_write"])
def test_a_price_is_a_number(kind, wrong):
    """Anything else is refused, with the member and the remedy."""
    if wrong is None and kind.startswith("cache"):
        return
    with pytest.raises(InputError, match=rf"^{kind} is .*; give the price of a million tokens as a number, 0 or more$"):
        Price(**{"input": 1, "output": 1, kind: wrong})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "this is no JSON"),
        ("{", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        ("[]", "this is no JSON object; give"),
        ('{"gpt-4o": 1}', "gpt-4o: 1 is no price; give"),
        ('{"": {"input": 1, "output": 1}}', "'' is no name of a model"),
        ('{"gpt-4o": {"input": 1}}', "gpt-4o: output is not there; give the price of a million tokens"),
        ('{"gpt-4o": {"input": 1, "output": 1, "cached": 1}}', "there is no price 'cached'; there are input, cached_input"),
        ('{"gpt-4o": {"input": -1, "output": 1}}', "gpt-4o: input is -1; give the price"),
        ('{"gpt-4o": {"input": NaN, "output": 1}}', "gpt-4o: input is nan; give the price"),
        ('{"gpt-4o": {"input": "1", "output": 1}}', "gpt-4o: input is '1'; give the price"),
        ('{"gpt-4o": {"input": null, "output": 1}}', "gpt-4o: input is None; give the price"),
        ('{"a": {"input": 1, "output": 1}, "a": {"input": 2, "output": 1}}', "'a' stands there twice; leave one of them"),
        ('{"currency": 1}', 'currency is 1; give a text, such as "EUR"'),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, said: str):
    """With its name, what is wrong in it, and what to write."""
    file = tmp_path / "prices.json"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        given_prices(file)
    assert str(error.value).startswith(f"{file}: ")
    assert said in str(error.value)


@pytest.mark.parametrize("make", [lambda file: None, lambda file: file.mkdir(), lambda file: file.write_bytes(b"\xff")])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, make: Any):
    """A missing one, a folder, and what is no text."""
    make(tmp_path / "prices.json")
    with pytest.raises(InputError, match=r"prices.json: (it cannot be read: |this is no JSON)"):
        given_prices(str(tmp_path / "prices.json"))


def test_a_file_and_a_mapping_say_the_same(tmp_path: Path):
    """Numbers are taken as they are written, with no rounding between."""
    (tmp_path / "prices.json").write_text('{"currency": "EUR", "m": {"input": 0.1, "output": 12345678901234567890.1}}')
    found = given_prices(tmp_path / "prices.json")
    assert found == Prices({"m": Price(Decimal("0.1"), Decimal("12345678901234567890.1"))}, "EUR")
    assert given_prices({"currency": "EUR", "m": {"input": 0.1, "output": Decimal("12345678901234567890.1")}}) == found
    with pytest.raises(InputError, match=r"^prices: m: output is not there"):
        given_prices({"m": {"input": 0.1}})


COUNTS = st.integers(min_value=0, max_value=10**9)
USAGES = st.builds(
    lambda parts: sum((Usage(sum(part.counts), by_model=(part,) if any(part.counts) else ()) for part in parts), Usage()),
    st.lists(st.builds(ModelTokens, st.text(max_size=3), COUNTS, COUNTS, COUNTS, COUNTS), max_size=5),
)


@given(USAGES, USAGES)
def test_tokens_of_each_model_add_up(one: Usage, other: Usage):
    """What was added can be taken away again; the order of a sum does not matter; all is kept as JSON."""
    both = one + other
    assert both == other + one
    assert (both - other, both - both) == (one, Usage())
    assert sum(sum(each.counts) for each in both.by_model) == both.total_tokens
    assert by_model_from_json(by_model_to_json(both.by_model)) == both.by_model


@given(USAGES, USAGES)
def test_costs_add_up(one: Usage, other: Usage):
    """The cost of a sum is the sum of the costs; no token is lost or counted twice."""
    prices = Prices({"a": FOUR, "b": Price(input=1, output=2)})
    assert cost_of(one, prices) + cost_of(other, prices) == cost_of(one + other, prices)
