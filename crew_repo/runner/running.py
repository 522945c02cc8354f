"""Running one crew once, in each of the ways that CrewAI has."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from crew_repo import adapter
from crew_repo.errors import AttachError
from crew_repo.model import RunRecord
from crew_repo.runner.session import Session

__all__ = ["arun_session", "attach_record", "exclusive", "run_session"]

_running: dict[int, str] = {}  # by the id of what is kept alive by its run
_running_lock = threading.Lock()


def run_session(
    session: Session, crew: Any, inputs: Mapping[str, Any] | None, input_files: Mapping[str, Any] | None
) -> Any:
    """Kick the crew off under this session; the result carries the RunRecord as `.run` where it can."""
    adapter.check_process()
    with exclusive(crew, session.run_id):
        with session.recorded():
            result = _kickoff(session, crew, inputs, input_files)
            record = session.finish()
        return attach_record(result, record)


def _kickoff(
    session: Session, crew: Any, inputs: Mapping[str, Any] | None, input_files: Mapping[str, Any] | None
) -> Any:
    with adapter.prepared(crew), adapter.overridden(crew, session):
        before = adapter.UsageBefore(crew)
        try:
            result = adapter.kickoff(crew, inputs, input_files)
        except Exception:
            session.async_tasks.wait()
            raise
        before.settle(crew, result)
    return result


async def arun_session(
    session: Session, crew: Any, inputs: Mapping[str, Any] | None, input_files: Mapping[str, Any] | None
) -> Any:
    """`run_session` with CrewAI's native async kickoff."""
    adapter.check_process()
    with exclusive(crew, session.run_id):
        with session.recorded():
            result = await _akickoff(session, crew, inputs, input_files)
            record = session.finish()
        return attach_record(result, record)


async def _akickoff(
    session: Session, crew: Any, inputs: Mapping[str, Any] | None, input_files: Mapping[str, Any] | None
) -> Any:
    with adapter.prepared(crew), adapter.overridden(crew, session):
        before = adapter.UsageBefore(crew)
        try:
            result = await adapter.akickoff(crew, inputs, input_files)
        except Exception:
            await session.async_tasks.wait_native()
            raise
        except BaseException:
            await session.async_tasks.cancel_native()
            raise
        before.settle(crew, result)
    return result


def attach_record(result: Any, record: RunRecord) -> Any:
    """Put the record on a CrewOutput as `.run`; whatever else a callback made of it is passed on as it is."""
    if adapter.is_crew_output(result):
        object.__setattr__(result, "run", record)
    return result


@contextmanager
def exclusive(crew: Any, run_id: str) -> Iterator[None]:
    """One crew object, and one task object, runs once at a time: a kickoff changes them."""
    parts = {id(part): part for part in (crew, *crew.tasks)}
    try:
        _enter(crew, parts, run_id)
        yield
    finally:
        with _running_lock:
            for key in parts:
                if _running.get(key) == run_id:
                    del _running[key]


def _enter(crew: Any, parts: Mapping[int, Any], run_id: str) -> None:
    with _running_lock:
        for key, part in parts.items():
            if key in _running:
                task = getattr(part, "name", None) or getattr(part, "description", None)
                what = "This crew object" if part is crew else f"The task {task!r} of this crew"
                raise AttachError(
                    f"{what} is being run already (run {_running[key]}). A kickoff changes the crew and its tasks, so "
                    "give each concurrent run a crew of its own: build it in a function, or use crew.copy()."
                )
        _running.update(dict.fromkeys(parts, run_id))
