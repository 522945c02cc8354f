"""A time limit that strikes while a run decides: it reaches the caller, and no task that was fresh is paid for again."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from crewai import Crew
from crewai.tools.base_tool import BaseTool
from pydantic import BaseModel

import crew_repo
from crew_repo.hashing import hash_value
from tests import crews
from tests.models import PromptModel

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGUSR1")

OURS = str(Path(crew_repo.__file__).parent)
STEP = 211  # any line will do; with 1 it takes an hour


class SoftTimeLimit(Exception):
    """What a job queue raises in a task that takes too long."""


class Claim(BaseModel):
    number: int


class Table:
    def __init__(self) -> None:
        self.rows = {"fire": [1, 2], "water": {3, 4}}


class LookUp(BaseTool):
    name: str = "look up"
    description: str = "looks it up"
    table: Any = None

    def _run(self, key: str) -> str:
        return str(self.table.rows[key])


def struck(_number: int, _frame: FrameType | None) -> None:
    raise SoftTimeLimit


@contextmanager
def limits() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, struck)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


class Strike:
    """A trace function that has the limit strike at one line of ours."""

    def __init__(self, number: int = -1) -> None:
        self.number, self.passed = number, 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        return self.meet if frame.f_code.co_filename.startswith(OURS) else None

    def meet(self, _frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            self.passed += 1
            if self.passed == self.number:
                sys.settrace(None)
                signal.raise_signal(signal.SIGUSR1)
        return self.meet

    def during(self, run: Any, *arguments: Any) -> Any:
        sys.settrace(self)
        try:
            return copy_context().run(run, *arguments)  # CrewAI leaves event scopes open in it
        finally:
            sys.settrace(None)


def crew(model: PromptModel) -> Crew:
    worker = crews.agent(model, tools=[LookUp(table=Table())])
    task = crews.task("look", "at {notes}", worker, output_json=Claim)
    return Crew(name="limits", agents=[worker], tasks=[task])


def test_a_time_limit_goes_through_what_a_value_raises_itself():
    """It is no fault of the value that was read when it struck."""

    class Slow:
        @property
        def __dict__(self):
            signal.raise_signal(signal.SIGUSR1)

    with limits(), pytest.raises(SoftTimeLimit):
        hash_value([Slow()], "v")


@pytest.mark.siege
def test_a_time_limit_at_any_line_of_a_run_in_which_all_is_fresh_reaches_the_caller(repo):
    """And the next run still finds the task fresh."""
    model, inputs = PromptModel(model="m", script={"": '{"number": 1}'}), {"notes": "x"}
    repo.run(crew(model), inputs)
    repo.run(crew(model), inputs)  # which leaves what the process remembers as it stays
    count, swallowed = Strike(), []
    assert count.during(repo.run, crew(model), inputs).run.reused == ["look"]
    with limits():
        for number in range(1, count.passed + 1, STEP):
            try:
                again = Strike(number).during(repo.run, crew(model), inputs)
            except SoftTimeLimit:
                continue
            swallowed.append((number, again.run.executed))
    assert (len(model.calls), swallowed) == (1, [])
    assert repo.run(crew(model), inputs).run.reused == ["look"]
