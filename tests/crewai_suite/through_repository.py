"""A pytest plugin: while a test runs, every kickoff of a crew goes through a StateRepository on a file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew

from crew_repo import StateRepository, TaskPolicy, adapter

_kickoff, _akickoff = Crew.kickoff, Crew.akickoff
_adapter_kickoff, _adapter_akickoff = adapter.kickoff, adapter.akickoff

# The crews (by id) whose kickoff is under way: what a run calls then is CrewAI's own. A crew inside of it is another.
# A user's own patch of CrewAI counts. This one changes no answer, which its author may say.
_OWN_PATCHES = {"*": TaskPolicy(ignore=("replaced:Crew.*", "global:_under_way"))}
_under_way: ContextVar[frozenset[int]] = ContextVar("under_way", default=frozenset())


@pytest.fixture(autouse=True)
def kicked_off_through_repository(
    request: pytest.FixtureRequest, crewai_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Patch the class, and let the adapter through to CrewAI's own kickoff; note how many runs the test made."""
    with StateRepository(tmp_path / "crew_repo_suite.db", policies=_OWN_PATCHES, verbose=False) as repo:
        _send_through(repo, monkeypatch)
        yield
        request.node.user_properties.append(("runs", len(repo.runs())))


def _send_through(repo: StateRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    def kickoff(self: Crew, inputs: Any = None, input_files: Any = None, from_checkpoint: Any = None) -> Any:
        if from_checkpoint is not None or id(self) in _under_way.get():
            return _kickoff(self, inputs, input_files, from_checkpoint)
        with _going(self):
            return repo.run(self, inputs, input_files=input_files)

    async def akickoff(self: Crew, inputs: Any = None, input_files: Any = None, from_checkpoint: Any = None) -> Any:
        if from_checkpoint is not None or id(self) in _under_way.get():
            return await _akickoff(self, inputs, input_files, from_checkpoint)
        with _going(self):
            return await repo.arun(self, inputs, input_files=input_files)

    monkeypatch.setattr(Crew, "kickoff", kickoff)
    monkeypatch.setattr(Crew, "akickoff", akickoff)
    monkeypatch.setattr(adapter, "kickoff", _own_kickoff)
    monkeypatch.setattr(adapter, "akickoff", _own_akickoff)


def _own_kickoff(crew: Crew, inputs: Any, input_files: Any) -> Any:
    """What a run calls; where a stream is read, that is whatever the test has put in the place of the class's own."""
    if id(crew) in _under_way.get():
        return _kickoff(crew, inputs, input_files)
    with _going(crew):
        return _adapter_kickoff(crew, inputs, input_files)


async def _own_akickoff(crew: Crew, inputs: Any, input_files: Any) -> Any:
    if id(crew) in _under_way.get():
        return await _akickoff(crew, inputs, input_files)
    with _going(crew):
        return await _adapter_akickoff(crew, inputs, input_files)


@contextmanager
def _going(crew: Crew) -> Iterator[None]:
    token = _under_way.set(_under_way.get() | {id(crew)})
    try:
        yield
    finally:
        _under_way.reset(token)
