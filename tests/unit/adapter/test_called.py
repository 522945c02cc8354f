"""Whom a call is made to: its hash follows what is changed in the middle of a task."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from crewai import LLM

from crew_repo.adapter.describing.called import hash_of_model, look_of
from crew_repo.adapter.describing.components import Memo, Parts
from crew_repo.adapter.describing.llm import add_llm


def changes(llm: LLM) -> dict[str, Callable[[], object]]:
    """Changes that somebody may make while a task is at work."""
    return {
        "temperature": lambda: setattr(llm, "temperature", 1.0),
        "stop": lambda: llm.stop.append("END"),
        "additional_params": lambda: llm.additional_params.update(logit_bias={"50256": 1}),
    }


@pytest.mark.parametrize("name", ["temperature", "stop", "additional_params"])
def test_a_model_has_another_hash_once_a_parameter_was_changed(name: str) -> None:
    """However often the run has described it before, for a task or for another call."""
    llm, memo = LLM(model="gpt-4o-mini", api_key="x", temperature=0.5), Memo()
    add_llm(Parts(memo), "llm", llm)
    before = hash_of_model(memo, llm), look_of(llm)
    assert (hash_of_model(memo, llm), look_of(llm)) == before
    changes(llm)[name]()
    assert hash_of_model(memo, llm) != before[0]
    assert look_of(llm) != before[1]
