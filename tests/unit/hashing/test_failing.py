"""What only decides whether a model's call fails is no ingredient of the answers that it has given."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from crew_repo.code import only_failing
from crew_repo.hashing import hash_model_class
from tests.unit.hashing.conftest import Project
from tests.unit.hashing.switched import (
    AlsoAnswers,
    Catches,
    HandsItselfOn,
    LimitsContext,
    Suppresses,
    Switched,
)


def test_what_only_failing_looks_at_is_told_from_what_acts():
    """Switches, marks, numbers of calls and errors; what an answer is made of is none of them."""
    assert only_failing(Switched) == {"broken", "error", "fail_at", "fail_on"}


@pytest.mark.parametrize("cls", [Catches, Suppresses, HandsItselfOn, AlsoAnswers, LimitsContext])
def test_what_may_act_on_an_answer_is_none_of_it(cls: Any):
    """Where the failing is caught, or something else is read of it."""
    assert only_failing(cls) == frozenset()


@pytest.mark.parametrize("base", ["object", "BaseLLM"])
def test_the_hash_of_a_model_class_is_without_its_switches(project: Project, base: str):
    """Class attributes that only failing looks at; what acts counts as ever."""
    text = """
        from typing import ClassVar
        from crewai.llms.base_llm import BaseLLM
        TONE = "kind"
        class Base(BASE):
            broken: ClassVar[bool] = True
            def call(self, prompt):
                if self.broken and "t3" in prompt:
                    raise ValueError(prompt)
                return TONE + prompt
        class model(Base):
            def other(self):
                if self.broken:
                    raise ValueError
    """

    def hashed(*edits: tuple[str, str]) -> str:
        edited = text.replace("BASE", base)
        for old, new in edits:
            edited = edited.replace(old, new)
        project.write(crewmodule=edited)
        found = hash_model_class(project.load("crewmodule").model, "m")
        assert found.opaque == ()
        return found.sha256

    assert hashed() == hashed(("= True\n", "= False\n"))
    assert hashed() != hashed(('"kind"', '"curt"'))
    assert hashed() != hashed(("t3", "t4"))


def test_code_that_cannot_be_read_has_no_switches():
    """Without source nothing is known of what it looks at."""
    space: dict[str, Any] = {"__name__": __name__}
    exec("class Blind:\n    def call(self, prompt):\n        if self.fail: raise ValueError\n        return prompt\n", space)
    assert only_failing(space["Blind"]) == frozenset()
    assert sys.modules[__name__].__name__ == space["Blind"].__module__
