"""Hints about inputs and texts that CrewAI accepts, but that their author probably did not mean.

Each hint is a text that names the thing and the remedy. None changes what a run does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from crewai import Crew, Task
from crewai.agents.agent_builder.base_agent import BaseAgent

from crew_repo.adapter import crew_shape, interpolation, private
from crew_repo.policy import Policies

__all__ = ["TaskLook", "hints_about", "looks_of"]

# CrewAI reads these itself, without a template that names them.
_CREWAIS_INPUTS = {"crewai_trigger_payload", "crew_chat_messages", "id"}


@dataclass(frozen=True, slots=True)
class TaskLook:
    """A task as its author sees it: its name in crew_repo, and its texts before inputs are put in."""

    name: str
    description: str
    expected_output: str
    role: str | None


def looks_of(crew: Crew) -> list[TaskLook]:
    """The tasks of a crew, by what tells them from those of other crews."""
    return [
        TaskLook(
            name,
            private.original_text(task, "description") or "",
            private.original_text(task, "expected_output") or "",
            private.original_text(task.agent, "role") if task.agent is not None else None,
        )
        for name, task in zip(crew_shape.task_names(crew), crew.tasks, strict=True)
    ]


def hints_about(crew: Crew, inputs: Mapping[str, Any] | None, policies: Policies) -> list[str]:
    """Sentences about inputs that no text names, texts that lack their inputs, and edits that reach no prompt.

    An input that only tools or callbacks read is silenced by `TaskPolicy(ignore=("input:NAME",))` of any task.
    """
    return [*_unread(crew, inputs, policies), *_forgotten(crew, inputs), *_edited(crew)]


def _unread(crew: Crew, inputs: Mapping[str, Any] | None, policies: Policies) -> Iterator[str]:
    named = {name for _, _, text in _templates(crew) for name in crew_shape.variables(text)}
    for name in sorted(set(inputs or {}) - named - _CREWAIS_INPUTS, key=str):
        if not policies.any_ignores(f"input:{name}"):
            yield (
                f"No task reads the input {name!r}: no text has {{{name}}} in it, so no task runs again if it changes. "
                f"Put {{{name}}} into a description. If only tools or callbacks read the input, silence this with "
                f"TaskPolicy(ignore=('input:{name}',))."
            )


def _forgotten(crew: Crew, inputs: Mapping[str, Any] | None) -> Iterator[str]:
    if inputs or private.crew_inputs(crew):
        return
    for what, field, text in _templates(crew):
        names = sorted(crew_shape.single_variables(text))
        if names:
            listed = ", ".join(f"{{{name}}}" for name in names)
            yield (
                f"{what} has {listed} in its {field}, and no inputs were given. The model gets the braces unchanged. "
                f"Pass inputs with {', '.join(map(repr, names))}."
            )


def _edited(crew: Crew) -> Iterator[str]:
    """CrewAI keeps the first text as the template, and sends that, whatever a field says later."""
    last = private.crew_inputs(crew)
    if not last:
        return
    for item, what, fields in _items(crew):
        if isinstance(item, BaseAgent) and item.crew is not crew:
            continue  # another crew has put its inputs into this agent's texts
        sent = interpolation.as_sent(item, last)
        for field in fields:
            text = getattr(item, field, None)
            if isinstance(text, str) and sent is not None and not text.startswith(str(getattr(sent, field))):
                yield (
                    f"{what}: its {field} was edited after a run, but CrewAI still sends the first text. Build the "
                    "crew again, or make a new Task or Agent with the new text."
                )


def _templates(crew: Crew) -> Iterator[tuple[str, str, str]]:
    for item, what, fields in _items(crew):
        for field in fields:
            text = private.original_text(item, field)
            if text:
                yield what, field, text


def _items(crew: Crew) -> Iterator[tuple[Task | BaseAgent, str, tuple[str, ...]]]:
    for name, task in zip(crew_shape.task_names(crew), crew.tasks, strict=True):
        yield task, f"Task {name!r}", crew_shape.TASK_TEXTS
    for agent in crew_shape.crew_agents(crew):
        yield agent, f"Agent {str(agent.role).strip()!r}", crew_shape.AGENT_TEXTS
