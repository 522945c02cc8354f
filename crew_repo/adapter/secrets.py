"""Values that must not reach the state file, whoever speaks them out: keys, headers, passwords."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from crewai import Crew
from pydantic import BaseModel, SecretStr

from crew_repo.adapter import graph, private
from crew_repo.hashing import is_secret_name

__all__ = ["secret_inputs", "secrets_of"]

_SHORTEST = 6  # characters; what is shorter stands in a text by chance
_DEEPEST = 4
_DEEPEST_IN_CLIENTS = 2  # a client of a library holds its keys near, and much else below


def secrets_of(crew: Crew) -> set[str]:
    """What the crew's LLMs, tools, servers and embedders hold of secrets, and the environment under a secret's name."""
    found = set(_environment())
    holders: list[Any] = [*graph.crew_llms(crew), crew.embedder]
    holders += [tool for task in crew.tasks for tool in task.tools or []]
    for agent in graph.crew_agents(crew):
        holders += [*(agent.tools or []), *(getattr(agent, "mcps", None) or []), getattr(agent, "embedder", None)]
    for holder in {id(holder): holder for holder in holders}.values():
        found.update(_inside("", holder, _DEEPEST))
    return {secret for secret in found if len(secret) >= _SHORTEST}


def secret_inputs(inputs: Mapping[str, Any]) -> set[str]:
    """What the inputs hold under a secret's name: it goes into the prompt, and not into the state."""
    found = (word for name, value in inputs.items() if is_secret_name(name) for word in _words(str(value)))
    return {secret for secret in found if len(secret) >= _SHORTEST}


def _environment() -> Iterator[str]:
    for name, value in os.environ.items():
        if is_secret_name(name):
            yield from _words(value)


def _inside(name: str, value: Any, depth: int, *, header: bool = False) -> Iterator[str]:
    """The secrets in a value that is called `name`; under `headers`, every value counts."""
    if isinstance(value, SecretStr):
        yield from _words(value.get_secret_value())
    elif isinstance(value, str):
        yield from _words(value) if header or is_secret_name(name) else _of_url(value)
    elif depth > 0:
        if not isinstance(value, (BaseModel, dict, list, tuple, set, frozenset)):
            depth = min(depth, _DEEPEST_IN_CLIENTS)
        for inner_name, inner in _members(name, value):
            yield from _inside(inner_name, inner, depth - 1, header=header or "header" in name.lower())


def _members(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((str(key), item) for key, item in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((name, item) for item in value)
    elif isinstance(value, BaseModel):
        yield from private.members(value).items()
    elif type(value).__module__ != "builtins" and not isinstance(value, type):
        yield from getattr(value, "__dict__", {}).items()


def _words(text: str) -> Iterator[str]:
    """The text, and what stands in it beside a scheme: `Bearer ...`."""
    yield text
    yield from text.split()[1:]


def _of_url(text: str) -> Iterator[str]:
    """The password in a URL, and the secrets in its query."""
    if "://" not in text:
        return
    try:
        parts = urlsplit(text)
        password = parts.password
    except ValueError:
        return
    if password:
        yield password
    yield from (value for name, value in parse_qsl(parts.query) if is_secret_name(name))
