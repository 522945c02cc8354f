"""Attaching: a crew's own `kickoff`, `akickoff` and `copy` are replaced, so that unchanged code uses crew_repo.

`kickoff_async`, `kickoff_for_each` and a stream that is read later all end in these. `train` and `test` do not: they
kick a copy off again and again with the same inputs, to see how the answers differ.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import Any

from crew_repo import adapter
from crew_repo.errors import AttachError
from crew_repo.runner.request import Request, Runs

__all__ = ["Reading", "attach", "detach", "run_when_read"]

Kickoff = Callable[..., Any]

_KICKOFFS = ("kickoff", "akickoff")
_REPEATING = ("train", "test")
_STREAMS = "_crew_repo_streams"
_MARK = "_crew_repo"
_repeated: ContextVar[object] = ContextVar("repeated", default=None)


class Reading(dict[str, Any]):
    """The inputs of one stream, with which CrewAI comes back when it is read: they carry the request to run.

    So several streams of one crew do not mix, whenever each is read, and those of an attached crew keep their options.
    """

    def __init__(self, engine: Runs, request: Request) -> None:
        super().__init__(request.inputs or {})
        self.engine, self.request = engine, request
        self.token = object()


def attach(crew: Any, engine: Runs, options: Mapping[str, Any]) -> None:
    """Send every kickoff of this crew, and of its copies, through the engine, with these options of `run`.

    Raises AttachError if the crew is attached to another repository.
    """
    owner = _attached_to(crew)
    if owner is not None and owner is not engine:
        raise AttachError(
            f"This crew is attached to the repository {owner.store.display_url} already. "
            "Call detach(crew) there, or attach a copy."
        )

    def run(inputs: Any, input_files: Any) -> Any:
        return engine.run(engine.request(crew, inputs, input_files=input_files, **options))

    async def arun(inputs: Any, input_files: Any) -> Any:
        return await engine.arun(engine.request(crew, inputs, input_files=input_files, **options))

    def copy() -> Any:
        copied = adapter.copy_crew(crew)
        if _repeated.get() is not crew:
            attach(copied, engine, options)
        return copied

    _override(crew, run, arun)
    object.__setattr__(crew, "copy", copy)
    for name in _REPEATING:
        object.__setattr__(crew, name, partial(_repeat, crew, name))
    object.__setattr__(crew, _MARK, engine)


def _attached_to(crew: Any) -> Any:
    """The engine that this crew was attached to, or None."""
    return crew.__dict__.get(_MARK)


def _repeat(crew: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """The crew's own `train` or `test`, whose copy is not attached."""
    token = _repeated.set(crew)
    try:
        return getattr(type(crew), name)(crew, *args, **kwargs)
    finally:
        _repeated.reset(token)


def detach(crew: Any, engine: Runs) -> None:
    """Take the overrides of this engine off again, but for streams of `run` that are still to be read."""
    if _attached_to(crew) is engine:
        for name in ("copy", *_REPEATING, _MARK):
            crew.__dict__.pop(name, None)
        _settle(crew)


@contextmanager
def run_when_read(engine: Runs, request: Request) -> Iterator[tuple[Reading, Callable[[Any], Any]]]:
    """Have a request run when CrewAI comes back with its reading; the stream that CrewAI makes is then to be passed.

    When the last stream of a crew that is not attached is read, or has gone unread, the crew is as it was.
    """
    crew, reading = request.crew, Reading(engine, request)
    crew.__dict__.setdefault(_STREAMS, set()).add(reading.token)
    _settle(crew)

    def let_go_with(stream: Any) -> Any:
        weakref.finalize(stream, _let_go, crew, reading.token)
        return stream

    try:
        yield reading, let_go_with
    except BaseException:
        _let_go(crew, reading.token)
        raise


def _let_go(crew: Any, token: object) -> None:
    crew.__dict__.get(_STREAMS, set()).discard(token)
    _settle(crew)


def _settle(crew: Any) -> None:
    """Override only what is needed: streams come back to this crew as long as they can be read."""
    streams = crew.__dict__.get(_STREAMS)
    if not streams:
        crew.__dict__.pop(_STREAMS, None)
    if _attached_to(crew) is not None:
        return
    if streams:
        _override(crew, partial(adapter.kickoff, crew), partial(adapter.akickoff, crew))
    else:
        for name in _KICKOFFS:
            crew.__dict__.pop(name, None)


def _override(crew: Any, run: Kickoff, arun: Kickoff) -> None:
    """Put `run` and `arun` in place of the crew's kickoffs, with CrewAI's own arguments: a misspelt one is a TypeError.

    With `stream`, CrewAI's own kickoff only makes the stream, and comes back here, with `stream` off, to fill it.
    """

    def kickoff(inputs: Any = None, input_files: Any = None, from_checkpoint: Any = None) -> Any:
        adapter.refuse_checkpoint({"from_checkpoint": from_checkpoint})
        if crew.stream:
            return adapter.kickoff(crew, inputs, input_files)
        if isinstance(inputs, Reading):
            return inputs.engine.run_now(_request_of(crew, inputs, input_files))
        return run(inputs, input_files)

    async def akickoff(inputs: Any = None, input_files: Any = None, from_checkpoint: Any = None) -> Any:
        adapter.refuse_checkpoint({"from_checkpoint": from_checkpoint})
        if crew.stream:
            return await adapter.akickoff(crew, inputs, input_files)
        if isinstance(inputs, Reading):
            return await inputs.engine.arun_now(_request_of(crew, inputs, input_files))
        return await arun(inputs, input_files)

    object.__setattr__(crew, "kickoff", kickoff)
    object.__setattr__(crew, "akickoff", akickoff)


def _request_of(crew: Any, reading: Reading, input_files: Any) -> Request:
    """The request that a stream was made for; from here on the stream needs the overrides no more."""
    _let_go(crew, reading.token)
    return replace(reading.request, crew=crew, input_files=input_files)
