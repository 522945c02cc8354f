"""The user's code that CrewAI calls beside the work of a task, where it alters what is asked or answered.

Callbacks and hooks that only look do not count: one that sends a message may be edited for nothing. Nor does what hooks
of a kickoff do to its inputs and its output, which every kickoff does again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crewai import Crew, Task, hooks

from crew_repo.adapter import crew_shape
from crew_repo.adapter.describing.components import Parts, is_crewais, numbered
from crew_repo.code import alters, replaced_in

__all__ = ["add_callbacks", "add_hooks", "altering_code"]

_HOOKS = ("before_llm_call", "after_llm_call", "before_tool_call", "after_tool_call")


def add_callbacks(parts: Parts, crew: Crew, task: Task) -> None:
    """Add the callbacks of a task that alter its output."""
    given = list({id(each): each for each in (task.callback, crew.task_callback) if each is not None}.values())
    for path, callback in zip(numbered(["callback"] * len(given)), given, strict=True):
        if alters(callback):
            parts.callable(path, callback)


def add_hooks(parts: Parts, crew: Crew) -> None:
    """Add the hooks that alter calls of models and tools, and the user's functions in the place of CrewAI's methods."""
    found = altering_code(crew)
    for path, (_, function) in zip(numbered(name for name, _ in found), found, strict=True):
        parts.callable(path, function)


def altering_code(crew: Crew) -> list[tuple[str, Any]]:
    """All of these, by the names of their components."""
    return [*_altering_hooks(), *_replaced_methods(crew)]


def _altering_hooks() -> Iterator[tuple[str, Any]]:
    for name in _HOOKS:
        for hook in getattr(hooks, f"get_{name}_hooks")():
            if alters(hook, by_answer=True):
                yield f"hook:{name}", hook


def _replaced_methods(crew: Crew) -> Iterator[tuple[str, Any]]:
    """`Task.prompt = mine`: of the classes that a kickoff goes through."""
    agents = crew_shape.crew_agents(crew)
    listed = [*(agent.tools for agent in agents), *(task.tools for task in crew.tasks)]
    tools = [tool for some in listed for tool in some or ()]
    kinds = [type(each) for each in (crew, *agents, *crew.tasks, *tools, *crew_shape.crew_llms(crew))]
    kinds += [kind for agent in agents if isinstance(kind := getattr(agent, "executor_class", None), type)]
    bases = {base: None for kind in kinds for base in kind.__mro__ if is_crewais(base)}
    for base in bases:
        yield from ((f"replaced:{name}", member) for name, member in replaced_in(base).items())
