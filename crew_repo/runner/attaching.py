"""Overriding a crew's own `kickoff`, `akickoff` and `copy`, so that code that cannot be changed goes through here.

`kickoff_async`, `kickoff_for_each` and a stream that is read later all end in these. `train` and `test` do not: they
kick a copy off again and again with the same inputs, to see how the answers differ.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from crew_repo import adapter

__all__ = ["attach", "attached_to", "detach", "run_when_read"]

Run = Callable[..., Any]
ARun = Callable[..., Awaitable[Any]]

_NAMES = ("kickoff", "akickoff", "copy", "train", "test")
_MARK = "_crew_repo"
_repeated: ContextVar[object] = ContextVar("repeated", default=None)


def attached_to(crew: Any) -> object | None:
    """Whatever this crew was attached by, or None."""
    owner: object | None = crew.__dict__.get(_MARK)
    return owner


def attach(crew: Any, owner: object, run: Run, arun: ARun, attach_copy: Callable[[Any], Any]) -> None:
    """Send every kickoff of this crew, and of its copies, through `run` and `arun`."""

    def kickoff(inputs: Any = None, input_files: Any = None, **rest: Any) -> Any:
        adapter.refuse_checkpoint(rest)
        if crew.stream:  # CrewAI comes back here, with stream off, when the stream is read
            return adapter.kickoff(crew, inputs, input_files)
        return run(crew, inputs, input_files=input_files)

    async def akickoff(inputs: Any = None, input_files: Any = None, **rest: Any) -> Any:
        adapter.refuse_checkpoint(rest)
        if crew.stream:
            return await adapter.akickoff(crew, inputs, input_files)
        return await arun(crew, inputs, input_files=input_files)

    def copy() -> Any:
        copied = adapter.copy_crew(crew)
        return copied if _repeated.get() is crew else attach_copy(copied)

    overrides = (kickoff, akickoff, copy, _repeating(crew, "train"), _repeating(crew, "test"))
    for name, override in zip(_NAMES, overrides, strict=True):
        object.__setattr__(crew, name, override)
    object.__setattr__(crew, _MARK, owner)


def _repeating(crew: Any, name: str) -> Run:
    """The crew's own `train` or `test`, whose copy is not attached."""

    def repeat(*args: Any, **kwargs: Any) -> Any:
        token = _repeated.set(crew)
        try:
            return getattr(type(crew), name)(crew, *args, **kwargs)
        finally:
            _repeated.reset(token)

    return repeat


def detach(crew: Any) -> None:
    """Take the overrides off again."""
    for name in (*_NAMES, _MARK):
        crew.__dict__.pop(name, None)


def run_when_read(crew: Any, run: Run, arun: ARun) -> None:
    """For one streaming kickoff: record the run that CrewAI starts when the stream is read, then let go."""

    def kickoff(inputs: Any = None, input_files: Any = None, **_: Any) -> Any:
        if crew.stream:
            return adapter.kickoff(crew, inputs, input_files)
        _let_go(crew, kickoff)
        return run(crew, inputs, input_files=input_files)

    async def akickoff(inputs: Any = None, input_files: Any = None, **_: Any) -> Any:
        if crew.stream:
            return await adapter.akickoff(crew, inputs, input_files)
        _let_go(crew, kickoff)
        return await arun(crew, inputs, input_files=input_files)

    object.__setattr__(crew, "kickoff", kickoff)
    object.__setattr__(crew, "akickoff", akickoff)


def let_go_with(stream: object, crew: Any) -> None:
    """A stream that is never read records nothing: when it goes, the crew is as it was."""
    override = crew.__dict__.get("kickoff")
    try:
        weakref.finalize(stream, _let_go, crew, override)
    except TypeError:  # an object without weak references lives as long as the crew
        return


def _let_go(crew: Any, override: object) -> None:
    if crew.__dict__.get("kickoff") is override:
        for name in ("kickoff", "akickoff"):
            crew.__dict__.pop(name, None)
