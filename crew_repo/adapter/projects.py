"""Projects of CrewAI: crews in JSON, classes with `@CrewBase`, and the inputs that the texts of a crew name."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from crewai import Crew
from crewai.types.streaming import CrewStreamingOutput

from crew_repo.adapter import crew_shape, private
from crew_repo.errors import InputError, UnsupportedCrewAIError

__all__ = ["crew_classes", "load_json_crew", "raw_text", "read_whole", "wanted_inputs"]


def load_json_crew(file: Path) -> tuple[Crew, dict[str, Any]]:
    """The crew in a JSON file, and its default inputs. Raises InputError if CrewAI cannot read it."""
    try:
        from crewai.project.crew_loader import load_crew
    except ImportError as error:
        raise UnsupportedCrewAIError("Crews in JSON need CrewAI 1.15 or newer: pip install -U crewai") from error
    try:
        crew, inputs = load_crew(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is no crew that CrewAI can load: {error}") from error
    return crew, dict(inputs or {})


def crew_classes(module: ModuleType) -> list[type]:
    """The classes with `@CrewBase` that a module defines."""
    return [
        found
        for found in vars(module).values()
        if isinstance(found, type) and getattr(found, "is_crew_class", False) and found.__module__ == module.__name__
    ]


def wanted_inputs(crew: Crew) -> set[str]:
    """The names in the texts of a crew's tasks and agents, as far as no input was put in yet."""
    if private.crew_inputs(crew):
        return set()
    texts = [private.original_text(task, field) for task in crew.tasks for field in crew_shape.TASK_TEXTS]
    texts += [private.original_text(agent, field) for agent in crew.agents for field in crew_shape.AGENT_TEXTS]
    return {name for text in texts for name in crew_shape.single_variables(text)}


def read_whole(result: Any) -> Any:
    """The result of a run; where it is a stream, that is read to its end."""
    if not isinstance(result, CrewStreamingOutput):
        return result
    for _ in result:
        pass
    return result.result


def raw_text(result: Any) -> str:
    """The text of what a kickoff returned, which an after-kickoff callback may have made something else."""
    return str(getattr(result, "raw", result))
