"""Journals of work that several do at once, or that goes on when nobody waits for it: nothing is mixed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from crew_repo import StateRepository
from tests.crash.journal import scripts
from tests.crash.journal.cases import build_steps
from tests.crash.journal.model_server import Asked, Model, Said, Server

pytestmark = pytest.mark.siege

STEPS = 3


class Door:
    """Stops the first request that has two answers behind it, until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self.script = scripts.steps(STEPS)

    def __call__(self, asked: Asked, mark: str) -> Said:
        if asked.rounds == 2 and not self.reached.is_set():
            self.reached.set()
            self.opened.wait()
        return self.script(asked, mark)


@pytest.fixture
def door(server: Server) -> Iterator[Door]:
    """A model with a door."""
    door = Door()
    server.model = Model(door)
    yield door
    door.opened.set()


def tomorrow(url: str) -> StateRepository:
    """A repository that sees every lease run out."""
    repo = StateRepository(url, verbose=False)
    repo._engine.store._database._clock = lambda: datetime.now(timezone.utc) + timedelta(days=1)
    return repo


def begin(work: Callable[[], Any]) -> Future[Any]:
    """Do this in a thread."""
    return ThreadPoolExecutor(1).submit(work)


def test_whoever_takes_over_goes_on_and_whoever_lost_mixes_nothing_in(
    server: Server, door: Door, url: str, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease is lost in the middle of a task: the next worker is served what was kept, and has a record of its own."""
    monkeypatch.setattr("crew_repo.runner.single_flight._PATIENCE_SECONDS", 0)  # with a process that lives
    with StateRepository(url, verbose=False) as first, tomorrow(url) as second:
        slow = begin(lambda: first.run(build_steps(server.address)))
        door.reached.wait()
        taken = second.run(build_steps(server.address))
        assert len(server.model.answered) == STEPS + 1  # the third request of the first is still open
        door.opened.set()
        slow.exception()
        assert sql("SELECT * FROM kept_call") == []
        assert server.model.mixed() == []
        assert second.get_output("work").raw == taken.raw
        assert second.verify() == []


def test_two_who_want_the_same_pay_once(server: Server, door: Door, url: str) -> None:
    """The second waits for the first, and is served its record."""
    with StateRepository(url, verbose=False) as first, StateRepository(url, verbose=False) as second:
        one = begin(lambda: first.run(build_steps(server.address)))
        door.reached.wait()
        two = begin(lambda: second.run(build_steps(server.address)))
        door.opened.set()
        assert one.result().raw == two.result().raw
    assert len(server.model.answered) == STEPS + 1
    assert len(server.model.effects) == STEPS


def test_runs_with_other_inputs_have_journals_of_their_own(server: Server, door: Door, url: str, sql: Any) -> None:
    """Two runs of one workflow and one task, with other prompts, at once: each is asked its own, and leaves nothing."""

    def build(prompt: str) -> Any:
        return build_steps(server.address, task={"prompt": prompt})

    with StateRepository(url, verbose=False) as repo:
        slow = begin(lambda: repo.run(build("Do the one part.")))
        door.reached.wait()
        repo.run(build("Do the other part."))
        assert sql("SELECT * FROM kept_call")  # of the one that goes on
        door.opened.set()
        slow.result()
    assert len(server.model.answered) == 2 * (STEPS + 1)
    assert sql("SELECT * FROM kept_call") == []
    assert server.model.mixed() == []


@pytest.mark.parametrize("way", ["run", "arun"])
def test_a_thread_that_goes_on_after_a_time_limit_mixes_nothing_in(server: Server, door: Door, url: str, sql: Any, way: str) -> None:
    """What comes after the limit is kept or thrown away, and the next run is right in either case."""

    async def both(repo: StateRepository) -> Any:
        with pytest.raises(TimeoutError):
            await repo.arun(build_steps(server.address, max_execution_time=1))
        door.opened.set()
        return await repo.arun(build_steps(server.address))

    def open_late() -> None:
        door.reached.wait()
        threading.Timer(1.5, door.opened.set).start()

    def one_after_the_other(repo: StateRepository) -> Any:
        begin(open_late)  # CrewAI waits for the thread before it says that it is late
        with pytest.raises(TimeoutError):
            repo.run(build_steps(server.address, max_execution_time=1))
        return repo.run(build_steps(server.address))

    with StateRepository(url, verbose=False) as repo:
        result = one_after_the_other(repo) if way == "run" else asyncio.run(both(repo))
    assert STEPS + 1 <= len(server.model.answered) <= STEPS + 2
    assert len(server.model.effects) == STEPS
    assert result.raw in [f"Final {answer.mark}" for answer in server.model.answered]
    assert sql("SELECT * FROM kept_call") == []
    assert server.model.mixed() == []
