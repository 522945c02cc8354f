"""An exception out of a signal handler, at an odd place of a run, leaves nothing behind: no lease, no override, no run.

Each place here is one at which something was taken up, and not yet entered where its end is certain.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from crewai import Crew
from crewai.llms.base_llm import BaseLLM
from crewai.tools.base_tool import BaseTool

from crew_repo import RunStatus
from crew_repo.adapter.running import calls, usage
from crew_repo.adapter.running.with_methods import with_methods
from crew_repo.errors import StoreError
from crew_repo.runner import running
from crew_repo.runner.heartbeat import Heartbeat
from crew_repo.runner.journal import Execution
from crew_repo.store import Store
from tests import crews
from tests.models import PromptModel

Patch = pytest.MonkeyPatch


def interrupted(patch: Patch, target: Any, name: str, *, after: bool = True, at: int = 1) -> None:
    """Have a method interrupted once: at the end of its `at`-th call, or before it."""
    method, count = getattr(target, name), iter(range(1, 1000))

    def once(*arguments: Any, **named: Any) -> Any:
        here = next(count) == at
        if here and not after:
            raise KeyboardInterrupt
        found = method(*arguments, **named)
        if here:
            raise KeyboardInterrupt
        return found

    patch.setattr(target, name, once)


def one_task(model: PromptModel) -> Crew:
    worker = crews.agent(model)
    return Crew(name="odd", agents=[worker], tasks=[crews.task("look", "at it", worker)])


PLACES = {
    "the run is in the store": (Store, "start_run"),
    "its heartbeat is going": (Heartbeat, "hold_run"),
    "an LLM is watched": (usage._Watch, "open"),
    "a lease is held": (Heartbeat, "hold"),
    "the journal is open": (Execution, "open"),
    "a watch of the task is open": (usage.Meter, "add", 2),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_an_interrupt_leaves_no_run_no_lease_and_no_watch(repo, monkeypatch, place):
    """The run is interrupted, the heartbeat stops, the LLM counts for itself, and another thread runs the same crew."""
    model = PromptModel(model="m")
    crew = one_task(model)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupted(patched, *place[:2], at=(*place, 1)[2])
        repo.run(crew)
    assert [run.status for run in repo.runs()] == [RunStatus.INTERRUPTED]
    assert (repo._engine._heartbeat.is_busy, "_track_token_usage_internal" in model.__dict__) == (False, False)
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(repo.run(crew)))
    thread.start()
    thread.join()
    assert (results[0].run.executed, len(model.calls)) == (["look"], 1)


def test_an_interrupt_before_a_run_is_written_leaves_none_and_owes_nothing(repo, model, monkeypatch, caplog):
    """There is nothing to end, and so no word of an end that could not be written."""
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupted(patched, Store, "start_run", after=False)
        repo.run(one_task(model))
    assert (repo.runs(), repo._engine._unwritten._owed, caplog.records) == ([], [], [])
    assert repo.run(one_task(model)).run.executed == ["look"]


def test_a_run_that_cannot_be_written_is_said_once(repo, model, monkeypatch, caplog):
    """A run that has not begun has no end that could be missing."""

    def refused(*_: Any, **__: Any) -> Any:
        raise StoreError("the disk is gone")

    with monkeypatch.context() as patched, pytest.raises(StoreError, match="the disk is gone"):
        patched.setattr(Store, "start_run", refused)
        repo.run(one_task(model))
    assert (repo._engine._unwritten._owed, caplog.records) == ([], [])


def test_an_interrupt_as_a_crew_is_entered_lets_it_run_again(repo, model, monkeypatch):
    """The crew is not taken for one that is running, though the interrupt came when it had been entered."""
    crew = one_task(model)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupted(patched, running, "_enter")
        repo.run(crew)
    assert repo.run(crew).run.executed == ["look"]


def test_an_interrupt_among_overrides_leaves_none() -> None:
    """Also where only some of the methods were in place."""

    class Interrupting(dict[str, Callable[..., Any]]):
        def __iter__(self) -> Iterator[str]:  # so that `update` asks for the values one by one
            return super().__iter__()

        def __getitem__(self, name: str) -> Callable[..., Any]:
            if name == "second":
                raise KeyboardInterrupt
            return super().__getitem__(name)

    class Target:
        pass

    target = Target()
    with pytest.raises(KeyboardInterrupt), with_methods(target, Interrupting(first=len, second=len)):
        pass
    assert target.__dict__ == {}


def test_an_interrupt_while_the_classes_are_met_keeps_no_later_call_from_being_met(monkeypatch):
    """Nor does it make any of them met twice, or for good."""
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupted(patched, calls, "_meet")
        calls._meeting.__enter__()
    before = BaseLLM.__getattribute__
    with calls._meeting:
        assert BaseLLM.__getattribute__ is before
        assert BaseTool.__getattribute__.__module__ == calls.__name__
    assert "__getattribute__" not in {**BaseLLM.__dict__, **BaseTool.__dict__}


def test_a_heartbeat_goes_on_after_whatever_is_raised(repo, monkeypatch):
    """Without it another process would take the task for that of a dead one, and pay for it again."""
    beats, beaten = [], threading.Event()

    def beat(*_: Any) -> None:
        beats.append(1)
        if len(beats) > 1:
            beaten.set()
        raise PermissionError("the folder may not be read")

    monkeypatch.setattr(Store, "heartbeat", beat)
    heartbeat = Heartbeat(repo._store, 0.001)
    heartbeat.hold_run("a run")
    assert beaten.wait(30)
    heartbeat.drop_run("a run")
    assert not heartbeat.is_busy
