"""Answers and results as JSON, and back: what does not come back equal is not kept, and nobody else's class is imported."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessageFunctionToolCall
from pydantic import BaseModel

from crew_repo.adapter.running.call_values import Unkept, error_from, error_text, json_text, kept_text, value_from


class Report(BaseModel):
    number: int


class Odd(RuntimeError):
    pass


CALL = ChatCompletionMessageFunctionToolCall.model_validate(
    {"id": "call_1", "type": "function", "function": {"name": "act", "arguments": '{"a": 1}'}}
)
NAMELESS = ChatCompletionMessageFunctionToolCall.model_construct(id=None, type="function", function=CALL.function)


@pytest.mark.parametrize("value", [
    "text", "", None, 1, 1.5, True, [1, "2", None], {"a": [{"b": "ü"}]}, [CALL], {"calls": [CALL, NAMELESS]},
])  # fmt: skip
def test_a_value_comes_back_equal(value: Any) -> None:
    """Plain JSON, and what clients of providers give, are what they were, and new objects each time."""
    text = kept_text(value)
    back = value_from(text)
    assert (back, type(back)) == (value, type(value))
    assert value_from(text) is not value or not isinstance(value, (list, dict))


@pytest.mark.parametrize("value", [
    (1, 2), {1: "a"}, {1, 2}, object(), float("nan"), b"bytes", [object()], Report(number=1), {"crew_repo:class": "x"}, {"crew_repo:raised": []},
])  # fmt: skip
def test_what_would_not_come_back_is_not_kept(value: Any) -> None:
    """A value that JSON changes, and an object of anybody else's class, is refused."""
    with pytest.raises(Unkept):
        kept_text(value)


def test_an_object_of_a_class_that_the_call_names_comes_back() -> None:
    """A typed answer is an object of the class that was asked for."""
    assert value_from(kept_text(Report(number=1), [Report]), [Report]) == Report(number=1)


@pytest.mark.parametrize("name", ["turtle:Turtle", "crew_repo.store:Store", "openai:OpenAI", "openai.nowhere:Class"])
def test_a_stored_name_brings_no_class_of_anybody_else(name: str) -> None:
    """A row that somebody has written imports nothing, and makes no object that is no answer."""
    with pytest.raises(Unkept):
        value_from(f'{{"crew_repo:class": "{name}", "members": {{}}}}')
    assert "turtle" not in sys.modules


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("a"), OSError(2, "not there"), Odd("strange"), TimeoutError()])
def test_an_exception_reads_the_same(error: Exception) -> None:
    """The model is told the same of it, and its class has the same name; Python's own are themselves."""
    back = error_from(error_text(error))
    assert (str(back), type(back).__name__) == (str(error), type(error).__name__)
    assert isinstance(error, Odd) or type(back) is type(error)


def test_addresses_in_requests_do_not_count() -> None:
    """An ID that CrewAI makes of an address is numbered by its first use; a provider's stays."""
    one, other = ([{"id": f"call_{first}"}, {"of": f"call_{second}"}] for first, second in ((14, 99), (7, 8)))
    assert json_text(one) == json_text(other)
    assert json_text(one) != json_text([{"id": "call_14"}, {"of": "call_14"}])
    assert json_text({"id": "call_a1"}) != json_text({"id": "call_a2"})
