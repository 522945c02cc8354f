"""Values that must not reach the state file, even if a model repeats them: keys, headers, passwords.

What is found here is what a crew's objects hold, and the environment; the secrets that code leads to (globals,
closures, clients) are handed over when that code is hashed.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Collection, Iterator, Mapping
from types import FrameType
from typing import Any

from crewai import Crew

from crew_repo.adapter import crew_shape
from crew_repo.code import is_own_function
from crew_repo.secrets import (
    is_secret,
    is_secret_name,
    masked,
    may_be_secret_name,
    may_hold_secrets,
    secrets_in,
    spoken,
    spoken_variable,
)

__all__ = ["private_inputs", "secret_inputs", "secrets_of", "secrets_of_error", "without_secrets"]


def secrets_of(crew: Crew) -> set[str]:
    """Collect the secrets of a crew's LLMs, tools, servers, sources and embedders, and those of the environment."""
    return {*_of_environment(), *(secret for holder in _holders(crew) for secret in secrets_in(holder))}


def secret_inputs(inputs: Mapping[str, Any]) -> set[str]:
    """Collect what inputs hold under secret names, at any depth: it goes into the prompt, and not into the state."""
    named = {form for name, value in inputs.items() if is_secret(name, value) for form in spoken(str(value))}
    return named | {form for name, value in inputs.items() for form in secrets_in(value, name)}


def private_inputs(inputs: Mapping[str, Any]) -> set[str]:
    """The secrets among the inputs as they stand in texts, however short: of those no plain hash is stored."""
    named = {str(value) for name, value in inputs.items() if is_secret(name, value) and str(value)}
    return named | {form for name, value in inputs.items() for form in secrets_in(value, name)}


def secrets_of_error(error: BaseException) -> set[str]:
    """Collect what the code that raised an error held under secret names: that of callbacks, say, is in no hash.

    A library's code is looked into for its local variables alone: a request's headers, as they were sent.
    """
    held = [member for frame in _frames(error) for member in _held(frame)]
    return {form for name, value in held if may_hold_secrets(name) for form in secrets_in(value, name)}


def without_secrets(secrets: Collection[str], value: Any) -> Any:
    """JSON with `[secret]` for each of these secrets in its texts, and for each that its form gives away."""
    return _without(sorted(secrets, key=len, reverse=True), value)  # the longest first: others are parts of it


def _without(secrets: list[str], value: Any) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "[secret]")
        return masked(value)
    if isinstance(value, list):
        return [_without(secrets, item) for item in value]
    if isinstance(value, dict):
        return {_without(secrets, key): _without_at(secrets, key, item) for key, item in value.items()}
    return value


def _without_at(secrets: list[str], name: str, value: Any) -> Any:
    return "[secret]" if isinstance(value, str) and value and is_secret(name, value) else _without(secrets, value)


def _holders(crew: Crew) -> list[Any]:
    holders: list[Any] = [*crew_shape.crew_llms(crew), crew.embedder, *(crew.knowledge_sources or [])]
    holders += [tool for task in crew.tasks for tool in task.tools or []]
    for agent in crew_shape.crew_agents(crew):
        for name in ("tools", "mcps", "knowledge_sources"):
            holders += getattr(agent, name, None) or []
        holders += [getattr(agent, "embedder", None), getattr(agent, "a2a", None)]
    return list({id(holder): holder for holder in holders}.values())


def _frames(error: BaseException) -> Iterator[FrameType]:
    """Yield the frames of the error, and of the errors that it came of."""
    pending, seen = [error], set[int]()
    while pending:
        each = pending.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield from (frame for frame, _ in traceback.walk_tb(each.__traceback__))
            others = (each.__cause__, each.__context__, *getattr(each, "exceptions", ()))
            pending += [other for other in others if isinstance(other, BaseException)]


def _held(frame: FrameType) -> list[tuple[str, Any]]:
    own = is_own_function(frame.f_code, frame.f_globals)
    return [*list(frame.f_locals.items()), *(list(frame.f_globals.items()) if own else ())]


def _of_environment() -> Iterator[str]:
    """Collect the variables that may be secrets by their names, and the passwords in URLs whatever their names."""
    for name, value in os.environ.items():
        if may_be_secret_name(name):
            yield from spoken_variable(value)
        if is_secret_name(name) or "://" in value:
            yield from secrets_in(value, name)
