"""Runs that are cancelled or interrupted while async tasks go on: nothing is paid for twice, nothing is left behind."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from crewai import Crew

from crew_repo import RunStatus
from tests import crews
from tests.crews import NOTES
from tests.models import PromptModel


def sleeper(seconds: float, mark: str) -> PromptModel:
    """A model that takes its time."""
    return PromptModel(model="m", script={mark: lambda _: time.sleep(seconds) or "done"})


def fork_and_join(quick: PromptModel, slow: PromptModel, **members: Any) -> Crew:
    a, b = crews.agent(quick, "A"), crews.agent(slow, "B")
    tasks = [
        crews.task("check", "x", a, async_execution=True, **members),
        crews.task("slow", "{notes}", b, async_execution=True),
        crews.task("draft", "y", a),
    ]
    return Crew(agents=[a, b], tasks=tasks)


def interrupt(_: Any) -> None:
    raise KeyboardInterrupt


def test_what_an_interrupted_run_leaves_going_is_not_paid_for_again(repo):
    """After Ctrl-C an async task goes on in its thread; the next run waits for its answer and takes it."""
    slow = sleeper(0.5, "<<slow>>")
    with pytest.raises(KeyboardInterrupt):
        repo.run(fork_and_join(PromptModel(model="m"), slow, callback=interrupt), NOTES)
    again = repo.run(fork_and_join(PromptModel(model="m"), slow), NOTES)
    assert (len(slow.calls), again.run.reused) == (1, ["check", "slow"])
    assert [run.status for run in repo.runs()] == [RunStatus.COMPLETED, RunStatus.INTERRUPTED]
    assert [record.retired for record in repo.history("slow")] == [None]


def test_an_interrupt_while_siblings_are_waited_for_is_recorded(repo, monkeypatch):
    """Ctrl-C while a failed run waits for what is paid for ends the run as interrupted, not as running for ever."""
    monkeypatch.setattr("crew_repo.runner.session.wait", interrupt)
    failing = PromptModel(model="m", script={"<<check>>": lambda _: 1 / 0})
    with pytest.raises(KeyboardInterrupt):
        repo.run(fork_and_join(failing, PromptModel(model="m")), NOTES)
    assert repo.runs()[0].status is RunStatus.INTERRUPTED


async def test_a_cancelled_run_leaves_no_task_on_the_event_loop(repo):
    """A cancelled `arun` cancels its async tasks too: none goes on spending beside the run that comes after it."""
    quick, slow = sleeper(0.6, "<<check>>"), sleeper(0.8, "<<slow>>")
    before = asyncio.all_tasks()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(repo.arun(fork_and_join(quick, slow), NOTES), 0.3)
    assert asyncio.all_tasks() == before
    assert repo.runs()[0].status is RunStatus.INTERRUPTED
    again = await repo.arun(fork_and_join(quick, slow), NOTES)
    assert again.run.executed == ["check", "slow", "draft"]
    assert [record.retired for record in repo.history("slow")] == [None]


async def test_a_cancellation_while_siblings_are_waited_for_cancels_them(repo):
    """A failed run waits for its async tasks; cancelled meanwhile, it waits no longer and leaves none behind."""
    end, done = threading.Event(), []
    failing = PromptModel(model="m", script={"<<check>>": lambda _: 1 / 0})
    slow = PromptModel(model="m", script={"<<slow>>": lambda _: "done" if end.wait(10) else done.append("slow") or "late"})
    before = asyncio.all_tasks()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(repo.arun(fork_and_join(failing, slow), NOTES), 1)
    assert (done, asyncio.all_tasks(), repo.runs()[0].status) == ([], before, RunStatus.INTERRUPTED)
    end.set()
