"""Runs that are cancelled or interrupted while async tasks go on: nothing is paid for twice, nothing is left behind."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from crewai import Crew
from pydantic import PrivateAttr

from crew_repo import RunStatus
from tests import crews
from tests.crews import NOTES
from tests.models import PromptModel

pytestmark = pytest.mark.siege


class Held(PromptModel):
    """Says that it was asked, and answers when it is told to."""

    _asked: threading.Event = PrivateAttr(default_factory=threading.Event)
    _told: threading.Event = PrivateAttr(default_factory=threading.Event)

    def answer(self, prompt: str) -> str:
        self._asked.set()
        self._told.wait()
        return super().answer(prompt)


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


def test_what_an_interrupted_run_leaves_going_is_not_paid_for_again(repo, refused):
    """After Ctrl-C an async task goes on in its thread; the next run waits for its answer and takes it."""
    slow = Held(model="m")
    with pytest.raises(KeyboardInterrupt):
        repo.run(fork_and_join(PromptModel(model="m"), slow, callback=interrupt), NOTES)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(repo.run, fork_and_join(PromptModel(model="m"), slow), NOTES)
        refused.wait()
        slow._told.set()
        again = second.result()
    assert (len(slow.calls), again.run.reused) == (1, ["check", "slow"])
    assert [run.status for run in repo.runs()] == [RunStatus.COMPLETED, RunStatus.INTERRUPTED]
    assert [record.retired for record in repo.history("slow")] == [None]


def test_an_interrupt_while_siblings_are_waited_for_is_recorded(repo, monkeypatch):
    """Ctrl-C while a failed run waits for what is paid for ends the run as interrupted, not as running for ever."""
    monkeypatch.setattr("crew_repo.runner.async_tasks.wait", interrupt)
    failing = PromptModel(model="m", script={"<<check>>": lambda _: 1 / 0})
    with pytest.raises(KeyboardInterrupt):
        repo.run(fork_and_join(failing, PromptModel(model="m")), NOTES)
    assert repo.runs()[0].status is RunStatus.INTERRUPTED


def test_a_thread_that_cannot_be_started_fails_the_run(repo, monkeypatch):
    """A machine out of threads fails the run, which keeps what its siblings answer and does not wait for ever."""
    start, started = threading.Thread.start, []

    def start_first(thread: threading.Thread) -> None:
        if "settle" in thread.name:
            started.append(thread)
            if len(started) == 2:
                raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_first)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        repo.run(fork_and_join(PromptModel(model="m"), PromptModel(model="m")), NOTES)
    assert repo.runs()[0].status is RunStatus.FAILED
    assert repo.plan(fork_and_join(PromptModel(model="m"), PromptModel(model="m")), NOTES).fresh == ["check"]


async def test_a_cancelled_run_leaves_no_task_on_the_event_loop(repo):
    """A cancelled `arun` cancels its async tasks too: none goes on spending beside the run that comes after it."""
    quick, slow = Held(model="m"), Held(model="m")
    before = asyncio.all_tasks()
    running = asyncio.create_task(repo.arun(fork_and_join(quick, slow), NOTES))
    for asked in (quick._asked, slow._asked):
        await asyncio.to_thread(asked.wait)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    quick._told.set()
    slow._told.set()
    assert asyncio.all_tasks() == before
    assert repo.runs()[0].status is RunStatus.INTERRUPTED
    again = await repo.arun(fork_and_join(quick, slow), NOTES)
    assert again.run.executed == ["check", "slow", "draft"]
    assert [record.retired for record in repo.history("slow")] == [None]


async def test_a_cancellation_while_siblings_are_waited_for_cancels_them(repo, monkeypatch):
    """A failed run waits for its async tasks; cancelled meanwhile, it waits no longer and leaves none behind."""
    end, done, waits, wait = threading.Event(), [], asyncio.Event(), asyncio.wait

    def waited_for(tasks: Any, **named: Any) -> Any:
        waits.set()
        return wait(tasks, **named)

    monkeypatch.setattr(asyncio, "wait", waited_for)
    failing = PromptModel(model="m", script={"<<check>>": lambda _: 1 / 0})
    slow = PromptModel(model="m", script={"<<slow>>": lambda _: "done" if end.wait() else done.append("slow") or "late"})
    before = asyncio.all_tasks()
    running = asyncio.create_task(repo.arun(fork_and_join(failing, slow), NOTES))
    await waits.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (done, asyncio.all_tasks(), repo.runs()[0].status) == ([], before, RunStatus.INTERRUPTED)
    end.set()
