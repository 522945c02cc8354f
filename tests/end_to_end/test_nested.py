"""A crew that is started inside the very task that it has itself: it is executed, and never waits for itself."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew
from crewai.flow import Flow, start
from crewai.tools import tool

from crew_repo import StateRepository
from crew_repo.runner import nesting, single_flight
from tests import crews
from tests.models import PromptModel

pytestmark = pytest.mark.siege

Starter = Callable[[StateRepository, Callable[[], Crew]], Any]


def in_a_thread(work: Callable[[], Any]) -> Any:
    """In a thread that knows nothing of the context that it is started in."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def in_a_bare_thread(work: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def by_an_event(work: Callable[[], Any]) -> Any:
    """The outer task waits for no thread, but for what it is told."""
    found: list[Any] = []
    done = threading.Event()
    threading.Thread(target=lambda: (found.append(work()), done.set())).start()
    done.wait()
    return found[0]


def by_a_queue(work: Callable[[], Any]) -> Any:
    answers: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=lambda: answers.put(work())).start()
    return answers.get()


def in_an_older_pool(work: Callable[[], Any]) -> Any:
    """Its thread was there before the outer run; `wait` and `as_completed` join nothing."""
    future = OLDER.submit(work)
    wait([future])
    return next(as_completed([future])).result()


def in_the_executor_of_a_loop(work: Callable[[], Any]) -> Any:
    async def ask() -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, work)

    return asyncio.run(ask())


def in_a_flow(work: Callable[[], Any]) -> Any:
    """In a thread, from which CrewAI copies a context that knows nothing."""

    class Asking(Flow[Any]):
        @start()
        def ask(self) -> Any:
            return work()

    return in_a_bare_thread(lambda: Asking().kickoff())


OLDER = ThreadPoolExecutor(1)
OLDER.submit(int).result()


def read(stream: Any) -> Any:
    for _ in stream:
        pass
    return stream.result


def streamed(repo: StateRepository, build: Callable[[], Crew]) -> Any:
    crew = build()
    crew.stream = True
    return read(repo.run(crew))


def by_another_repository(repo: StateRepository, build: Callable[[], Crew]) -> Any:
    with StateRepository(repo.url) as other:
        return other.run(build())


WAYS: dict[str, Starter] = {
    "run": lambda repo, build: repo.run(build()),
    "arun": lambda repo, build: asyncio.run(repo.arun(build())),
    "attached": lambda repo, build: repo.attach(build()).kickoff(),
    "batch": lambda repo, build: repo.run_for_each(build, [None])[0],
    "stream": streamed,
    "another repository": by_another_repository,
    "a thread pool": lambda repo, build: in_a_thread(lambda: repo.run(build())),
    "a bare thread": lambda repo, build: in_a_bare_thread(lambda: repo.run(build())),
    "an event": lambda repo, build: by_an_event(lambda: repo.run(build())),
    "a queue": lambda repo, build: by_a_queue(lambda: repo.run(build())),
    "an older pool": lambda repo, build: in_an_older_pool(lambda: repo.run(build())),
    "the executor of a loop": lambda repo, build: in_the_executor_of_a_loop(lambda: repo.run(build())),
    "a thread in a thread": lambda repo, build: in_a_bare_thread(lambda: in_a_bare_thread(lambda: repo.run(build()))),
    "a flow in a thread": lambda repo, build: in_a_flow(lambda: repo.run(build())),
    "an event loop in a thread": lambda repo, build: in_a_thread(lambda: asyncio.run(repo.arun(build()))),
}


class Nest:
    """Builds the crew whose callback starts the crew again, once."""

    def __init__(self, repo: StateRepository, way: Starter) -> None:
        self.model = PromptModel(model="m", script={"": "fine"})
        self.repo, self.way = repo, way
        self.started, self.said = False, ""

    def again(self, _: Any) -> None:
        if not self.started:
            self.started = True
            self.said = self.way(self.repo, self.build).raw

    def build(self) -> Crew:
        worker = crews.agent(self.model)
        return Crew(name="nest", agents=[worker], tasks=[crews.task("look", "at it", worker, callback=self.again)])


def start_again(*_: Any) -> None:
    """Starts the crew again, as often as the file says; as tools do, it opens its own repository."""
    levels, place = Path("levels").read_text().split()
    if int(levels):
        Path("levels").write_text(f"{int(levels) - 1} {place}")
        with StateRepository("state.db") as repo:
            assert repo.run(crew_with_all(place)).raw == "fine"


def guardrail(output):
    start_again()
    return True, output.raw


@tool("again")
def again() -> str:
    """Ask once more."""
    start_again()
    return "asked"


def asks_the_tool(prompt: str) -> str:
    return "fine" if "Observation: asked" in prompt else "Thought: x\nAction: again\nAction Input: {}"


def crew_with_all(place: str) -> Crew:
    """One task that starts the crew again from that place."""
    model = PromptModel(model="m", script={"": asks_the_tool if place == "tool" else "fine"})
    worker = crews.agent(model, tools=[again] if place == "tool" else [])
    members: dict[str, dict[str, Any]] = {
        "guardrail": {"guardrail": guardrail},
        "async": {"callback": start_again, "async_execution": True},
    }
    task = crews.task("look", "at it", worker, **members.get(place, {}))
    return Crew(name="nest", agents=[worker], tasks=[task], task_callback=start_again if place == "crew" else None)


@pytest.fixture
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause is a failure."""

    def pauses(*_: Any) -> Any:
        raise AssertionError("the inner run waits")
        yield

    monkeypatch.setattr(single_flight.SingleFlight, "pauses", pauses)


@pytest.mark.usefixtures("nobody_waits")
@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_a_crew_started_by_a_callback_of_its_own_task_is_executed(repo, way):
    """However it is started there; the outer run ends as a plain kickoff does, and the next run is served."""
    nest = Nest(repo, way)
    assert (repo.run(nest.build()).raw, nest.said) == ("fine", "fine")
    calls = len(nest.model.calls)
    assert (repo.run(nest.build()).run.reused, len(nest.model.calls)) == (["look"], calls)
    assert [record.retired for record in repo.history("look")] == ["superseded", None]  # the inner run is the newer one
    assert repo.verify() == []


@pytest.mark.usefixtures("nobody_waits")
@pytest.mark.parametrize("place", ["tool", "guardrail", "crew", "async"])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_crew_started_anywhere_inside_its_own_task_is_executed(repo, place, depth):
    """From tools, guardrails, a callback of the crew, an async task; also several levels deep."""
    Path("levels").write_text(f"{depth} {place}")
    assert repo.run(crew_with_all(place)).raw == "fine"
    assert Path("levels").read_text() == f"0 {place}"
    assert [run.executed for run in repo.runs()] == [["look"]] * (depth + 1)
    assert repo.run(crew_with_all(place)).run.reused == ["look"]


@pytest.mark.usefixtures("nobody_waits")
async def test_a_native_run_that_is_started_inside_its_own_task_is_executed(repo):
    """From a callback that CrewAI awaits on the event loop of the outer run."""
    nest = Nest(repo, WAYS["a thread pool"])
    assert ((await repo.arun(nest.build())).raw, nest.said) == ("fine", "fine")


def test_two_crews_started_by_one_task_are_executed_once(repo):
    """They are one piece of work beside the outer one: the second takes the answer of the first."""

    def two(repo: StateRepository, build: Callable[[], Crew]) -> Any:
        with ThreadPoolExecutor(2) as pool:
            first, _ = [future.result() for future in [pool.submit(repo.run, build()) for _ in range(2)]]
        return first

    nest = Nest(repo, two)
    assert (repo.run(nest.build()).raw, nest.said, len(nest.model.calls)) == ("fine", "fine", 2)
    assert sorted((run.executed, run.reused) for run in repo.runs()) == [
        ([], ["look"]), (["look"], []), (["look"], [])
    ]  # fmt: skip


def test_work_of_others_in_this_process_is_still_waited_for(repo, monkeypatch, caplog):
    """Only who waits for us is not waited for: two runs side by side pay once; a long wait says in the log for whom."""
    going, end = threading.Event(), threading.Event()
    model = PromptModel(model="m", script={"": lambda _: going.set() or str(end.wait())})
    worker = crews.agent(model)

    def build() -> Crew:
        return Crew(name="beside", agents=[worker.copy()], tasks=[crews.task("look", "at it", worker)])

    monkeypatch.setattr(single_flight, "_SILENT_SECONDS", 0.0)
    say_waiting = single_flight.SingleFlight._say_waiting
    monkeypatch.setattr(single_flight.SingleFlight, "_say_waiting", lambda *told: end.set() or say_waiting(*told))
    with ThreadPoolExecutor(1) as pool, caplog.at_level(logging.WARNING, "crew_repo"):
        first = pool.submit(repo.run, build())
        going.wait()
        second = repo.run(build())
        assert (first.result().run.executed, second.run.reused, len(model.calls)) == (["look"], ["look"], 1)
    said = [record.getMessage() for record in caplog.records if "has waited" in record.getMessage()]
    assert f"for task look of run {first.result().run.run_id}, executed since" in said[0]


def test_a_pool_that_a_task_started_does_other_work_later_as_nobodys(repo):
    """Work that is given to its threads after the task, from outside of it, stands in no execution."""
    pool = ThreadPoolExecutor(1)
    seen: list[bool] = []

    def look() -> None:
        (ticket,) = [run.run_id for run in repo.runs()]
        seen.append(nesting.waits_for_us(ticket, 0))

    model = PromptModel(model="m", script={"": "fine"})
    worker = crews.agent(model)
    task = crews.task("look", "at it", worker, callback=lambda _: pool.submit(look).result())
    repo.run(Crew(agents=[worker], tasks=[task]))
    pool.submit(look).result()
    assert seen == [True, False]
