"""What only decides whether a model's call fails is no ingredient of the answers that it has given."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from crew_repo.hashing import hash_model_class, only_failing
from tests.unit.hashing.conftest import Project

FAIL, MARKS, SCRIPT = True, ["t3"], {"fail": True}


class Switched:
    """Fails in many ways, and answers in one."""

    broken: ClassVar[bool] = True

    def __init__(self, fail_on: str | None = None, tone: str = "kind", delay: float = 0.0) -> None:
        self.fail_on, self.tone, self.delay = fail_on, tone, delay
        self.marks, self.fail_at, self.calls, self.error = ["t4"], 3, 0, RuntimeError("down")

    def call(self, prompt: str) -> str:
        self.calls += 1
        time.sleep(self.delay)
        if self.fail_on and self.fail_on in prompt:
            self.fail_on = None
            raise RuntimeError(f"no {self.fail_on}")
        if type(self).broken or self.calls == self.fail_at:
            raise self.error
        for mark in self.marks:
            if mark in prompt:
                raise RuntimeError(mark)
        if FAIL and any(mark in prompt for mark in MARKS):
            os._exit(1)
        elif SCRIPT["fail"]:
            raise self.error
        self._check(prompt)
        return f"{self.tone} {prompt}"

    def _check(self, prompt: str) -> None:
        assert self.fail_at, prompt


def test_what_only_failing_looks_at_is_told_from_what_acts():
    """Switches, marks, numbers of calls, delays and errors; what an answer is made of is none of them."""
    found = only_failing(Switched)
    assert found.attributes == {"broken", "calls", "delay", "error", "fail_at", "fail_on", "marks"}
    assert found.variables >= {"call.FAIL", "call.MARKS", "call.SCRIPT", "call.RuntimeError"}


class Catches(Switched):
    """Another method's failing may be caught here, and answered."""

    def answer(self, prompt: str) -> str:
        try:
            return self.call(prompt)
        except RuntimeError:
            return "plan B"


class Suppresses:
    """Goes on after what it suppresses."""

    fail = True

    def call(self, prompt: str) -> str:
        with suppress(ValueError):
            if self.fail:
                raise ValueError
            return prompt
        return "plan B"


class HandsItselfOn:
    """Whoever gets it may read all of it."""

    fail = True

    def call(self, prompt: str) -> str:
        if self.fail:
            raise ValueError
        return str(vars(self))


class AlsoAnswers:
    """Each switch is looked at by an answer too."""

    def call(self, prompt: str) -> str:
        if self.mode == "fail":
            raise ValueError
        if self.quiet:
            return ""
        if self.short:
            if prompt:
                return prompt
            raise ValueError
        fail = self.fail
        if fail:
            raise ValueError
        return self.mode


class LimitsContext:
    """CrewAI asks something else when the context is too long."""

    def call(self, prompt: str) -> str:
        if len(prompt) > self.limit:
            raise ValueError("maximum context length exceeded")
        return prompt


@pytest.mark.parametrize("cls", [Catches, Suppresses, HandsItselfOn, AlsoAnswers, LimitsContext])
def test_what_may_act_on_an_answer_is_none_of_it(cls: Any):
    """Where the failing is caught, or something else is read of it."""
    assert only_failing(cls).attributes == frozenset()


@pytest.mark.parametrize("base", ["object", "BaseLLM"])
def test_the_hash_of_a_model_class_is_without_its_switches(project: Project, base: str):
    """Globals, free variables and class attributes that only failing looks at; what acts counts as ever."""
    text = """
        from typing import ClassVar
        from crewai.llms.base_llm import BaseLLM
        FAIL, TONE = True, "kind"
        def make(fail):
            class Base(BASE):
                broken: ClassVar[bool] = True
                def call(self, prompt):
                    if FAIL and "t3" in prompt or fail["on"]:
                        raise ValueError(prompt)
                    return TONE + prompt
            class Model(Base):
                def other(self):
                    if self.broken:
                        raise ValueError
            return Model
        model = make({"on": True})
    """

    def hashed(*edits: tuple[str, str]) -> str:
        edited = text.replace("BASE", base)
        for old, new in edits:
            edited = edited.replace(old, new)
        project.write(crewmodule=edited)
        found = hash_model_class(project.load("crewmodule").model, "m")
        assert found.opaque == ()
        return found.sha256

    assert hashed() == hashed(("FAIL, TONE = True", "FAIL, TONE = False"), ('{"on": True}', '{"on": False}'))
    assert hashed() == hashed(("= True\n", "= False\n"))
    assert hashed() != hashed(('"kind"', '"curt"'))
    assert hashed() != hashed(("t3", "t4"))


def test_code_that_cannot_be_read_has_no_switches():
    """Without source nothing is known of what it looks at."""
    space: dict[str, Any] = {"__name__": __name__}
    exec("class Blind:\n    def call(self, prompt):\n        if self.fail: raise ValueError\n        return prompt\n", space)
    assert only_failing(space["Blind"]) == (frozenset(), frozenset())
    assert sys.modules[__name__].__name__ == space["Blind"].__module__
