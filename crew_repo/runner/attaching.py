"""Overriding a crew's own `kickoff`, `akickoff` and `copy`, so that code that cannot be changed goes through here.

`kickoff_async`, `kickoff_for_each` and a stream that is read later all end in these. `train` and `test` do not: they
kick a copy off again and again with the same inputs, to see how the answers differ.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any

from crew_repo import adapter

__all__ = ["Reading", "attach", "attached_to", "detach", "run_when_read"]

Run = Callable[..., Any]
ARun = Callable[..., Awaitable[Any]]

_KICKOFFS = ("kickoff", "akickoff")
_REPEATING = ("train", "test")
_STREAMS = "_crew_repo_streams"
_MARK = "_crew_repo"
_repeated: ContextVar[object] = ContextVar("repeated", default=None)


class Reading(dict[str, Any]):
    """The inputs of one stream, with which CrewAI comes back when it is read: they say how it is to be run.

    So several streams of one crew do not mix, whenever each is read, and those of an attached crew keep their options.
    """

    def __init__(self, inputs: Mapping[str, Any] | None, run: Run, arun: ARun) -> None:
        super().__init__(inputs or {})
        self.inputs, self.run, self.arun = inputs, run, arun
        self.token = object()


def attached_to(crew: Any) -> object | None:
    """Whatever this crew was attached by, or None."""
    owner: object | None = crew.__dict__.get(_MARK)
    return owner


def attach(crew: Any, owner: object, run: Run, arun: ARun, attach_copy: Callable[[Any], Any]) -> None:
    """Send every kickoff of this crew, and of its copies, through `run` and `arun`."""

    def copy() -> Any:
        copied = adapter.copy_crew(crew)
        return copied if _repeated.get() is crew else attach_copy(copied)

    _override(crew, run, arun)
    object.__setattr__(crew, "copy", copy)
    for name in _REPEATING:
        object.__setattr__(crew, name, partial(_repeat, crew, name))
    object.__setattr__(crew, _MARK, owner)


def _repeat(crew: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """The crew's own `train` or `test`, whose copy is not attached."""
    token = _repeated.set(crew)
    try:
        return getattr(type(crew), name)(crew, *args, **kwargs)
    finally:
        _repeated.reset(token)


def detach(crew: Any) -> None:
    """Take the overrides off again, but for streams of `run` that are still to be read."""
    for name in ("copy", *_REPEATING, _MARK):
        crew.__dict__.pop(name, None)
    _settle(crew)


def run_when_read(crew: Any, reading: Reading) -> Callable[[object], None]:
    """Have the run recorded that CrewAI starts when the stream of `reading` is read; the stream is then to be passed.

    When the last stream of a crew that is not attached is read, or has gone unread, the crew is as it was.
    """
    crew.__dict__.setdefault(_STREAMS, set()).add(reading.token)
    _settle(crew)

    def let_go_with(stream: object) -> None:
        weakref.finalize(stream, _let_go, crew, reading.token)

    return let_go_with


def _let_go(crew: Any, token: object) -> None:
    crew.__dict__.get(_STREAMS, set()).discard(token)
    _settle(crew)


def _settle(crew: Any) -> None:
    """Only what is needed is overridden: streams come back to this crew as long as they can be read."""
    streams = crew.__dict__.get(_STREAMS)
    if not streams:
        crew.__dict__.pop(_STREAMS, None)
    if attached_to(crew) is not None:
        return
    if streams:
        _override(crew, partial(_plain, adapter.kickoff), partial(_plain, adapter.akickoff))
    else:
        for name in _KICKOFFS:
            crew.__dict__.pop(name, None)


def _plain(kickoff: Run, crew: Any, inputs: Any, *, input_files: Any) -> Any:
    return kickoff(crew, inputs, input_files)


def _override(crew: Any, run: Run, arun: ARun) -> None:
    """With `stream`, CrewAI's own kickoff only makes the stream, and comes back here, with `stream` off, to fill it.

    They take what CrewAI's own take, and nothing else: a misspelt `inputs` is a TypeError.
    """

    def kickoff(inputs: Any = None, input_files: Any = None, from_checkpoint: Any = None) -> Any:
        adapter.refuse_checkpoint({"from_checkpoint": from_checkpoint})
        if crew.stream:
            return adapter.kickoff(crew, inputs, input_files)
        if isinstance(inputs, Reading):
            _let_go(crew, inputs.token)
            return inputs.run(crew, inputs.inputs, input_files=input_files)
        return run(crew, inputs, input_files=input_files)

    async def akickoff(inputs: Any = None, input_files: Any = None, from_checkpoint: Any = None) -> Any:
        adapter.refuse_checkpoint({"from_checkpoint": from_checkpoint})
        if crew.stream:
            return await adapter.akickoff(crew, inputs, input_files)
        if isinstance(inputs, Reading):
            _let_go(crew, inputs.token)
            return await inputs.arun(crew, inputs.inputs, input_files=input_files)
        return await arun(crew, inputs, input_files=input_files)

    object.__setattr__(crew, "kickoff", kickoff)
    object.__setattr__(crew, "akickoff", akickoff)
