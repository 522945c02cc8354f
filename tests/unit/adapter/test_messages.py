"""Messages of requests: their hash is that of all that they say, whatever was asked before."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageToolCall

from crew_repo.adapter.running.call_values import Unkept, json_text
from crew_repo.adapter.running.messages import Messages

TEXTS = st.sampled_from(["", "a", "1", "true", "é", "\ud800", "call_1", "call_22", "call_a1"])
PARTS = st.one_of(TEXTS, st.sampled_from([None, True, False, 0, 1, 1.0, -0.0]))
MESSAGES = st.one_of(
    st.dictionaries(st.sampled_from(["role", "content", "tool_call_id"]), PARTS, max_size=3),
    st.fixed_dictionaries({"content": st.lists(st.dictionaries(TEXTS, PARTS, max_size=2), max_size=2)}),
    TEXTS,
)


def hash_of(messages: list[Any], known: Messages | None = None) -> str:
    """The hash of some messages; `known` has been asked before."""
    return (known or Messages()).hash_of(messages)[0]


@given(st.lists(st.lists(MESSAGES, max_size=4), min_size=2, max_size=4))
def test_the_hash_is_that_of_the_json_whatever_was_asked_before(requests: list[list[Any]]) -> None:
    """Two lists have one hash exactly if their JSON is one, and a list has the hash that it has alone."""
    known = Messages()
    hashes = [hash_of(messages, known) for messages in requests]
    assert hashes == [hash_of(messages) for messages in requests]
    texts = [json_text(messages) for messages in requests]
    assert [each == hashes[0] for each in hashes] == [each == texts[0] for each in texts]


@given(st.lists(MESSAGES, min_size=1, max_size=4), st.integers(0, 3), MESSAGES)
def test_a_message_that_was_changed_in_place_counts_as_it_is_now(messages: list[Any], at: int, other: Any) -> None:
    """CrewAI hands over its own list; what it, or somebody's hook, has changed in it since is seen."""
    known, now = Messages(), deepcopy(messages)
    hash_of(now, known)
    changed = now[at % len(now)]
    if isinstance(changed, dict) and isinstance(other, dict):
        changed.clear()
        changed.update(other)
    else:
        now[at % len(now)] = other
    assert hash_of(now, known) == hash_of(now)


@pytest.mark.parametrize("value", [1, 1.0, "1", True, [1], ["1"], {"1": 1}])
def test_equal_values_of_another_type_are_another_message(value: Any) -> None:
    """Python takes 1, 1.0 and True for equal, which a model is not told alike."""
    known = Messages()
    others = [{"content": other} for other in (1, 1.0, "1", True, [1], ["1"], {"1": 1})]
    for other in others:
        hash_of([other], known)
        same = json_text(other) == json_text({"content": value})
        assert (hash_of([{"content": value}], known) == hash_of([other])) is same


def test_ids_that_crewai_makes_are_numbered_through_all_messages() -> None:
    """In another process they are other addresses, in the same places; where two were one they stay one."""
    one, other, mixed = (
        [{"id": f"call_{first}"}, {"content": "a"}, {"of": f"call_{second}"}]
        for first, second in ((14, 14), (7, 7), (14, 7))
    )
    assert hash_of(one) == hash_of(other) != hash_of(mixed)


def test_a_providers_object_counts_by_its_content_and_what_is_unknown_by_nothing() -> None:
    """A provider's tool call is read as it is now; a message with any other object cannot be told from others."""
    call = ChatCompletionMessageToolCall(id="a", type="function", function={"name": "act", "arguments": "{}"})
    known, messages = Messages(), [{"content": "go on"}, {"tool_calls": [call]}]
    before = hash_of(messages, known)
    assert before == hash_of(messages, known)
    call.function.arguments = "[]"
    assert before != hash_of(messages, known) == hash_of(messages)
    with pytest.raises(Unkept):
        hash_of([*messages, {"content": object()}], known)
    assert hash_of(messages, known) == hash_of(messages)
