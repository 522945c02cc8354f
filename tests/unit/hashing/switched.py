"""Models that fail in many ways, in a module whose asserts pytest leaves as they are."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar


class Switched:
    """Fails in many ways, and answers in one."""

    broken: ClassVar[bool] = True

    def __init__(self, fail_on: str | None = None, tone: str = "kind") -> None:
        self.fail_on, self.tone, self.fail_at, self.calls, self.error = fail_on, tone, 3, 0, RuntimeError("down")

    def call(self, prompt: str) -> str:
        self.calls += 1
        if self.fail_on and self.fail_on in prompt:
            self.fail_on = None
            raise RuntimeError(f"no {self.fail_on}")
        if type(self).broken or self.calls == self.fail_at:
            raise self.error
        return f"{self.calls} {self.tone} {prompt}"


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
