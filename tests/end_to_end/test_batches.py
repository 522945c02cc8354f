"""Many inputs through one crew: in order, bounded, killable, and never paid for twice."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import signal
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew
from crewai.events.event_bus import crewai_event_bus
from crewai.events.types.crew_events import CrewKickoffStartedEvent

from crew_repo import RunStatus, StateRepository, TaskPolicy
from crew_repo.errors import InputError, NotACrewError
from tests import crews
from tests.gates import Gate
from tests.models import PromptModel
from tests.processes import begin, forkserver
from tests.terminals import shown_on_terminal

pytestmark = pytest.mark.siege

CLAIMS = [{"notes": f"claim {number}"} for number in range(6)]
IDS = [f"CLAIM-{number}" for number in range(6)]

CALLS: list[str] = []
_lock = threading.Lock()


def gate_of(number: str) -> Gate:
    """A claim's gate, in the current folder; without one, nobody waits."""
    return Gate(Path(f"gate-{number}"))


class Boom(RuntimeError):
    """The failure of these tests."""


def counted(prompt: str) -> str:
    """Answers with the claim that the prompt is about; fails for claim 3 if there is a file `boom`; waits at its claim's gate."""
    number = re.findall(r"claim (\d+)", prompt)[0]
    with _lock:
        CALLS.append(number)
    if number == "3" and Path("boom").exists():
        raise Boom("claim 3 cannot be read")
    gate_of(number).pass_through()
    return f"answer to claim {number}"


def build() -> Crew:
    """A crew of two tasks, on a model of its own."""
    worker = crews.agent(PromptModel(model="m", script={"claim": counted}))
    return Crew(agents=[worker], tasks=[crews.task("analyze", "{notes}", worker), crews.task("draft", "x", worker)])


def build_noting() -> Crew:
    """The same, its model noting each call in a file that all processes share."""
    worker = crews.agent(PromptModel(model="m", script={"claim": noted}))
    return Crew(agents=[worker], tasks=[crews.task("analyze", "{notes}", worker), crews.task("draft", "x", worker)])


def noted(prompt: str) -> str:
    """One line per call."""
    number = re.findall(r"claim (\d+)", prompt)[0]
    with Path("calls.txt").open("a") as file:
        file.write(f"{number} {os.getpid()}\n")
    return f"answer to claim {number}"


class Project:
    """What `@CrewBase` makes: a class with a method `crew`."""

    def crew(self) -> Crew:
        """The crew."""
        return build()


def raws(results: list[Any]) -> list[str]:
    return [result.raw for result in results]


ANSWERS = [f"answer to claim {number}" for number in range(6)]
SOURCES = [build(), build, f"{__name__}:build", Project, f"{__name__}:Project"]


@pytest.fixture(autouse=True)
def forget() -> None:
    CALLS.clear()


@pytest.fixture
def processes() -> Iterator[Executor]:
    """Three processes that share nothing with this one."""
    with ProcessPoolExecutor(3, mp_context=forkserver) as pool:
        yield pool


@pytest.mark.parametrize("source", SOURCES, ids=["crew", "function", "name", "class", "name of a class"])
def test_results_come_in_the_order_of_the_inputs(repo, source):
    """Whatever the crew comes from, and although the first item takes longest; each item is a run of its own."""
    third, first = gate_of("3").shut(), gate_of("0").shut()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(open_in_turn, third, first)  # claim 0 is answered after claim 3 has come
        results = repo.run_for_each(source, CLAIMS, workflow_ids=IDS)
    assert raws(results) == ANSWERS
    assert [result.run.workflow_id for result in results] == IDS
    assert [result.run.executed for result in results] == [["analyze", "draft"]] * 6
    assert sorted(CALLS) == sorted([*"012345"] * 2)


def open_in_turn(*gates: Gate) -> None:
    for gate in gates:
        gate.wait_until_reached()
        gate.open()


def test_the_crew_that_was_passed_is_left_as_it_is(repo):
    """A crew object is copied for each concurrent run: its own texts keep their templates."""
    crew = build()
    repo.run_for_each(crew, CLAIMS)
    assert crew.tasks[0].description == "<<analyze>> {notes}"
    assert crew.tasks[0].output is None


def test_a_second_batch_costs_no_kickoff(repo):
    """No CrewAI event, no call, equal results; the runs are recorded all the same, with what they saved."""
    first = repo.run_for_each(build, CLAIMS)
    CALLS.clear()
    seen: list[Any] = []
    with crewai_event_bus.scoped_handlers():
        crewai_event_bus.on(CrewKickoffStartedEvent)(lambda source, event: seen.append(event))
        second = repo.run_for_each(build, CLAIMS)
        crewai_event_bus.flush()
    assert (raws(second), CALLS, seen) == (raws(first), [], [])
    assert [result.run.reused for result in second] == [["analyze", "draft"]] * 6
    assert [result.run.tokens_saved for result in second] == [result.run.tokens_spent for result in first]
    assert len(repo.runs()) == 12
    assert repo.verify() == []


def test_duplicates_in_one_batch_are_paid_once(repo):
    """Four times the same inputs at once in one workflow: one executes, the others wait for its record."""
    results = repo.run_for_each(build, [CLAIMS[0]] * 4, max_workers=4)
    assert (raws(results), CALLS) == ([ANSWERS[0]] * 4, ["0", "0"])
    assert sum(len(result.run.executed) for result in results) == 2


@pytest.mark.parametrize("workers", [1, 3])
def test_a_generator_of_inputs_is_read_only_as_far_as_needed(repo, workers):
    """Never more than two inputs per worker are taken ahead of the results that were read."""
    taken = 0

    def inputs() -> Iterator[dict[str, str]]:
        nonlocal taken
        for number in range(14):
            taken += 1
            yield {"notes": f"claim {number}"}

    for read, result in enumerate(repo.iter_for_each(build, inputs(), max_workers=workers), start=1):
        assert result.raw == f"answer to claim {read - 1}"
        assert taken <= read - 1 + 2 * workers
    assert taken == 14


@pytest.mark.parametrize("already_done", [False, True])
def test_results_that_were_read_are_not_kept(repo, already_done):
    """Memory does not grow with the number of items: at most two results per worker are alive beside the one read."""
    claims = [{"notes": f"claim {number}"} for number in range(1, 11)]
    if already_done:
        repo.run_for_each(build, claims, max_workers=2)
    alive: list[Any] = []
    for result in repo.iter_for_each(build, claims, max_workers=2):
        alive.append(weakref.ref(result))
        del result
        gc.collect()
        assert sum(each() is not None for each in alive) <= 4
    assert len(alive) == len(claims)


def test_no_transaction_is_open_while_a_model_works(repo):
    """A stranger may write into the file, and empty its WAL, at any moment of an answer."""
    file = repo.url.removeprefix("sqlite:///")
    checkpoints = []

    def answer(prompt: str) -> str:
        with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            stranger.execute("ROLLBACK")
            checkpoints.append(stranger.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        return counted(prompt)

    worker = crews.agent(PromptModel(model="m", script={"claim": answer}))
    repo.run(Crew(agents=[worker], tasks=[crews.task("analyze", "{notes}", worker), crews.task("draft", "x", worker)]), CLAIMS[1])
    assert [busy for busy, *_ in checkpoints] == [0, 0]


def test_at_most_max_workers_run_at_once(repo):
    """Bounded concurrency, and it is used: three are needed to go on, and there is never a fourth."""
    three, now, most = threading.Barrier(3), 0, 0

    def slow(prompt: str) -> str:
        nonlocal now, most
        with _lock:
            now, most = now + 1, max(most, now + 1)
        three.wait()
        with _lock:
            now -= 1
        return "done"

    def build_slow() -> Crew:
        worker = crews.agent(PromptModel(model="m", script={"claim": slow}))
        return Crew(agents=[worker], tasks=[crews.task("analyze", "{notes}", worker)])

    repo.run_for_each(build_slow, CLAIMS, max_workers=3)
    assert most == 3


def test_a_batch_that_is_no_longer_read_stops(repo):
    """Leaving the loop cancels what has not begun; the next batch reuses what has."""
    for result in repo.iter_for_each(build, CLAIMS, max_workers=1):
        assert result.raw == ANSWERS[0]
        break
    assert set(CALLS) <= set("012")
    CALLS.clear()
    assert raws(repo.run_for_each(build, CLAIMS)) == ANSWERS
    assert "0" not in CALLS


ONE_EACH = "6 inputs and {} workflow_ids; give one for each"


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (CLAIMS, {"workflow_ids": IDS[:4]}, ONE_EACH.format(4)),
        (CLAIMS, {"workflow_ids": [*IDS, "more"]}, ONE_EACH.format(7)),
        (CLAIMS, {"workflow_ids": "CLAIM-1"}, "workflow_ids is one text"),
        (CLAIMS[0], {}, "inputs_list is one set of inputs"),
        (None, {}, "inputs_list is one set of inputs"),
        (CLAIMS, {"on_error": "ignore"}, "'raise' or 'keep'"),
        (CLAIMS, {"max_workers": 0}, "a whole number from 1"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_runs(repo, inputs, options, message):
    """One clear error, no call, no run; the same for the batch on an event loop."""
    with pytest.raises(InputError, match=message):
        repo.run_for_each(build, inputs, **options)
    with pytest.raises(InputError, match=message):
        asyncio.run(repo.arun_for_each(build, inputs, **options))
    assert (CALLS, repo.runs()) == ([], [])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("tests.nothing:build", "there is no module 'tests.nothing'"),
        (f"{__name__}:nothing", "has no 'nothing'"),
        ("build", "package.module:attribute"),
        (42, "A batch also takes a function"),
        (dict, "Crew"),
    ],
)
def test_a_source_that_gives_no_crew_is_refused(repo, source, message):
    """The error names what was given and what it takes."""
    with pytest.raises((InputError, NotACrewError), match=message):
        repo.run_for_each(source, CLAIMS)
    assert CALLS == []


@pytest.mark.parametrize(("count", "message"), [(4, "only 4 workflow_ids; item 4 has none"), (7, "more workflow_ids")])
@pytest.mark.parametrize("native", [False, True], ids=["threads", "event loop"])
def test_a_generator_of_workflow_ids_that_does_not_fit_is_found_on_the_way(repo, count, message, native):
    """Where neither has a length it is an error all the same; what had begun is finished and recorded."""
    ids, threads = (f"CLAIM-{number}" for number in range(count)), threading.active_count()
    with pytest.raises(InputError, match=message):
        if native:
            asyncio.run(repo.arun_for_each(build, iter(CLAIMS), workflow_ids=ids, max_workers=2))
        else:
            repo.run_for_each(build, iter(CLAIMS), workflow_ids=ids, max_workers=2)
    assert {run.status for run in repo.runs()} <= {RunStatus.COMPLETED}
    assert threading.active_count() < threads + 20


@pytest.mark.parametrize("native", [False, True], ids=["threads", "event loop"])
def test_an_error_is_raised_or_kept_in_its_place(repo, native):
    """`raise`: the crew's own exception, what ran beside it is kept; `keep`: every other item has its result."""

    def run(**options: Any) -> list[Any]:
        if native:
            return asyncio.run(repo.arun_for_each(build, CLAIMS, max_workers=2, **options))
        return repo.run_for_each(build, CLAIMS, max_workers=2, **options)

    Path("boom").touch()
    with pytest.raises(Boom, match="claim 3"):
        run()
    assert {run.status for run in repo.runs()} == {RunStatus.COMPLETED, RunStatus.FAILED}
    kept = run(on_error="keep")
    assert isinstance(kept[3], Boom)
    assert [result.raw for at, result in enumerate(kept) if at != 3] == [ANSWERS[at] for at in (0, 1, 2, 4, 5)]
    Path("boom").unlink()
    CALLS.clear()
    assert raws(run()) == ANSWERS
    assert CALLS == ["3", "3"]


def test_a_batch_on_an_event_loop(repo):
    """The same results in the same order on CrewAI's native async kickoff; the second time without a call."""
    assert raws(asyncio.run(repo.arun_for_each(build, iter(CLAIMS), workflow_ids=IDS, max_workers=3))) == ANSWERS
    assert sorted(CALLS) == sorted([*"012345"] * 2)
    CALLS.clear()
    assert raws(repo.run_for_each(build, CLAIMS, workflow_ids=IDS)) == ANSWERS
    assert raws(asyncio.run(repo.arun_for_each(build, CLAIMS, workflow_ids=IDS))) == ANSWERS
    assert CALLS == []


def test_a_cancelled_batch_on_an_event_loop_is_interrupted_and_goes_on(repo, capsys):
    """Cancelling is said on standard error; no run stays behind as running."""

    async def cancelled() -> None:
        batch = asyncio.create_task(repo.arun_for_each(build, CLAIMS * 10, max_workers=2))
        await asyncio.to_thread(gate.wait_until_reached)
        batch.cancel()
        await asyncio.to_thread(gate.open)
        await batch

    gate = gate_of("3").shut()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert "start the same batch again" in capsys.readouterr().err
    assert RunStatus.RUNNING not in {run.status for run in repo.runs()}
    assert raws(repo.run_for_each(build, CLAIMS)) == ANSWERS


@pytest.mark.parametrize("source", [build_noting, f"{__name__}:build_noting"], ids=["function", "name"])
def test_processes_share_the_work(repo, processes, source):
    """The crew is built in worker processes; results and their runs come back; a second batch calls nobody."""
    for _ in range(2):
        results = repo.run_for_each(source, CLAIMS, workflow_ids=IDS, executor=processes)
        assert raws(results) == ANSWERS
        assert [result.run.workflow_id for result in results] == IDS
    lines = Path("calls.txt").read_text().splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted([*"012345"] * 2)
    assert str(os.getpid()) not in {line.split()[1] for line in lines}
    assert repo.verify() == []


def test_the_same_processes_serve_another_repository_as_that_one_says(repo, processes):
    """Policies belong to the repository: a worker that was kept from another batch does not answer with its own."""
    repo.run_for_each(build_noting, CLAIMS[:2], executor=processes)
    always = StateRepository(repo.url, policies={"draft": TaskPolicy(always=True)})
    results = always.run_for_each(build_noting, CLAIMS[:2], executor=processes)
    assert [result.run.executed for result in results] == [["draft"]] * 2
    old = StateRepository(repo.url, policies={"*": TaskPolicy(max_age=timedelta(microseconds=1))})
    assert [result.run.executed[0] for result in old.run_for_each(build_noting, CLAIMS[:1], executor=processes)] == [
        "analyze"
    ]


def test_a_function_with_arguments_travels_too(repo, processes):
    """`functools.partial` of a function of a module is a source like any other."""
    results = repo.run_for_each(partial(build_noting), CLAIMS, executor=processes)
    assert raws(results) == ANSWERS


def test_a_crew_object_does_not_travel(repo):
    """With an executor the crew must be built in the worker; the error says how."""
    with ThreadPoolExecutor(1) as pool, pytest.raises(InputError, match="pass a function of a module that builds it"):
        repo.run_for_each(build(), CLAIMS, executor=pool)
    assert CALLS == []


def test_an_error_waits_for_what_an_executor_still_runs(repo):
    """After the exception nothing of the batch runs any more, and the executor is still the caller's."""
    Path("boom").touch()
    with ThreadPoolExecutor(4) as pool:
        with pytest.raises(Boom):
            repo.run_for_each(build, [CLAIMS[3], CLAIMS[0]], executor=pool)
        assert RunStatus.RUNNING not in {run.status for run in repo.runs()}
        assert pool.submit(int, 1).result() == 1


def until(file: Path) -> None:
    """Be busy until this file is there."""
    while not file.exists():
        time.sleep(0.01)


def test_a_worker_that_dies_is_an_error_and_the_batch_goes_on_later(repo, processes):
    """A killed process breaks its pool, as Python has it; the next batch pays only for what had not finished."""

    def kill_one(future: Future[Any]) -> None:
        os.kill(next(iter(processes._processes)), signal.SIGKILL)

    there = Path("all_there").absolute()
    busy = [processes.submit(until, there) for _ in range(3)]
    there.touch()
    wait(busy)  # all processes have begun: Python may wait for ever for one that begins while the others are taken down
    processes.submit(int, 1).add_done_callback(kill_one)
    with pytest.raises(Exception, match=r"terminated abruptly|not usable"):
        repo.run_for_each(build_noting, CLAIMS * 20, executor=processes)
    assert raws(repo.run_for_each(build_noting, CLAIMS)) == ANSWERS
    assert repo.verify() == []


def test_a_batch_is_summed_up_in_the_log(repo, caplog):
    """One line at the end: items, reused, executed, failed, tokens."""
    repo.run_for_each(build, CLAIMS[:2])
    Path("boom").touch()
    with caplog.at_level(logging.INFO, logger="crew_repo"):
        repo.run_for_each(build, CLAIMS[:4], on_error="keep")
    last = caplog.messages[-1]
    assert re.match(r"batch: 4 items in [\d.]+ s: 4 reused, 2 executed, 1 failed, [1-9][\d,]* tokens saved", last)


class Announced(list[Any]):
    """Inputs with a gate before the third: whoever asks for that one has read the first result of two that were begun."""

    def __iter__(self) -> Iterator[Any]:
        for number, inputs in enumerate(super().__iter__()):
            if number == 2:
                Gate(Path("third")).pass_through()
            yield inputs


def live(terminal: str, times: int) -> None:
    """A batch whose standard error goes to a file, which is opened before the gate `opened` is reached."""
    os.environ.update(TERM="xterm", COLUMNS="160")
    file = os.open(terminal, os.O_WRONLY | os.O_NOCTTY)
    os.dup2(file, sys.stderr.fileno())
    os.close(file)
    gate_of("opened").pass_through()
    StateRepository("state.db").run_for_each(build, Announced(CLAIMS * times), max_workers=1)


def test_a_terminal_shows_a_bar_and_a_summary(repo):
    """On a terminal: how many of how many, and what was executed and reused."""
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown_on_terminal(gate_of("opened"), live, 2))
    assert "12/12" in text
    assert "12 reused, 12 executed, 0 failed" in text
    assert re.search(r"12 items in [\d.]+ s", text)


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(repo):
    """What has begun is finished and recorded, nothing new begins, and the same batch goes on from there."""
    second, third = gate_of("1").shut(), Gate(Path("third")).shut()
    os.mkfifo("told")
    process = begin(Path("report.txt"), live, "told", 1)
    with Path("told").open("rb") as told:
        open_in_turn(third)  # the first item's result is read, and the second's is waited for
        second.wait_until_reached()
        os.kill(process.pid, signal.SIGINT)
        said = next((line for line in told if b"Interrupted" in line), b"")
        second.open()
        told.read()
    process.join()
    assert process.exitcode == 1
    assert Path("report.txt").read_text().startswith("KeyboardInterrupt")
    assert re.search(r"Interrupted after \d of 6 items.*start the same batch again", said.decode())
    assert {run.status for run in repo.runs()} == {RunStatus.COMPLETED}
    finished = len(repo.runs())
    assert 1 <= finished < 6
    assert raws(repo.run_for_each(build, CLAIMS)) == ANSWERS
    assert len(CALLS) == 2 * (6 - finished)
