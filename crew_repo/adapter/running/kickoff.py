"""Kicking a crew off: arguments are checked before, and the crew is made ready for the next run afterwards."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

from crewai import Crew
from crewai.crews.crew_output import CrewOutput
from crewai.llms.base_llm import BaseLLM
from crewai.types.usage_metrics import UsageMetrics

from crew_repo.adapter import crew_shape, private
from crew_repo.adapter.input_files import files_among
from crew_repo.adapter.interpolation import generated_manager
from crew_repo.errors import BadInputValueError, CheckpointError, ForkedConnectionError, InputError, NotACrewError
from crew_repo.settings import package_version

__all__ = [
    "UsageBefore",
    "akickoff",
    "check_crew",
    "check_input_files",
    "check_inputs",
    "check_process",
    "facts",
    "has_memory",
    "is_crew_output",
    "kickoff",
    "planned_inputs",
    "prepared",
    "refuse_checkpoint",
]


_A_FILE = "PDFFile(source='terms.pdf')"


def check_crew(crew: object) -> Crew:
    """The crew, or a clear error."""
    if isinstance(crew, Crew):
        return crew
    hint = " Pass the crew itself: Crew(agents=..., tasks=...)."
    if callable(getattr(crew, "crew", None)):
        hint = " It has a method crew(): pass what that returns."
    elif isinstance(crew, type):
        hint = " It is a class: pass an instance."
    elif inspect.isroutine(crew):
        hint = " It is a function: pass what it returns."
    raise NotACrewError(f"Expected a crewai.Crew, got {type(crew).__qualname__}.{hint}")


def check_process() -> None:
    """Raise where CrewAI's own kickoff would wait for ever."""
    if private.events_are_lost():
        raise ForkedConnectionError(
            "This process was forked from one that had run a crew. CrewAI's event threads are not in the copy, so a "
            "kickoff would hang. Start the process with spawn: multiprocessing.get_context('spawn')"
        )


def check_inputs(inputs: object) -> Mapping[str, Any] | None:
    """The inputs, or a clear error for something that is not a mapping with names."""
    if inputs is None:
        return None
    if not isinstance(inputs, Mapping):
        raise BadInputValueError(f"inputs must be a dict or Mapping, got {type(inputs).__name__}")
    for name in inputs:
        if not isinstance(name, str):
            raise BadInputValueError(f"The input {name!r} has a name of type {type(name).__name__}; use a string")
    return inputs


def check_input_files(input_files: object) -> None:
    """Raise InputError unless these are files by name that are there, or None."""
    if not isinstance(input_files, Mapping | None):
        raise BadInputValueError(
            f"input_files is {input_files!r}; give a dict of files by name, such as {{'terms': {_A_FILE}}}"
        )
    for name, file in (input_files or {}).items():
        if not isinstance(name, str):
            raise BadInputValueError(f"The input file {name!r} has a name of type {type(name).__name__}; use a string")
        if isinstance(file, (str, PathLike)):
            if not Path(file).is_file():
                raise InputError(f"The input file {name!r} is not there: {Path(file).absolute()}; correct its path")
        elif not hasattr(file, "read"):
            raise BadInputValueError(f"The input file {name!r} is {file!r}; give a File of crewai_files: {_A_FILE}")


def refuse_checkpoint(arguments: Mapping[str, Any]) -> None:
    """Raise if a checkpoint is to be resumed."""
    if arguments.get("from_checkpoint") is not None:
        raise CheckpointError(
            "from_checkpoint makes CrewAI run another crew object, which no StateRepository has seen. "
            "Leave it out: every finished task is recorded already."
        )


def planned_inputs(crew: Crew, inputs: Mapping[str, Any] | None) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The inputs as the crew's before-kickoff callbacks would rewrite them, on a copy, and the files taken out."""
    given: dict[str, Any] | None = None if inputs is None else _copied(dict(inputs))
    for callback in crew.before_kickoff_callbacks:
        given = callback(given if given is not None else {})
        if given is not None and not isinstance(given, Mapping):
            name = getattr(callback, "__qualname__", type(callback).__qualname__)
            raise BadInputValueError(
                f"The before-kickoff callback {name} returned a {type(given).__name__}; it must return the inputs"
            )
    files = files_among(given)
    return None if given is None else {name: value for name, value in given.items() if name not in files}, files


def _copied(value: Any) -> Any:
    """Copy lists and dicts, all the way down; what else is in them is shared, since it may not be copied."""
    if type(value) is dict:
        return {name: _copied(item) for name, item in value.items()}
    return [_copied(item) for item in value] if type(value) is list else value


def kickoff(crew: Crew, inputs: Mapping[str, Any] | None, input_files: Mapping[str, Any] | None) -> Any:
    """CrewAI's own kickoff, whatever this package has overridden on the object."""
    return type(crew).kickoff(crew, **_arguments(inputs, input_files))


async def akickoff(crew: Crew, inputs: Mapping[str, Any] | None, input_files: Mapping[str, Any] | None) -> Any:
    """CrewAI's own native async kickoff."""
    return await type(crew).akickoff(crew, **_arguments(inputs, input_files))


def _arguments(inputs: Mapping[str, Any] | None, input_files: Mapping[str, Any] | None) -> dict[str, Any]:
    arguments: dict[str, Any] = {"inputs": inputs}
    if input_files is not None:
        arguments["input_files"] = input_files
    return arguments


def is_crew_output(result: object) -> bool:
    """Whether kickoff returned what it returns when no callback has turned it into something else."""
    return isinstance(result, CrewOutput)


@contextmanager
def prepared(crew: Crew) -> Iterator[None]:
    """Make a crew ready for a run, and put back what a kickoff leaves behind and a later run would stumble over.

    No output of an earlier run may leak into a condition or a context; a manager in the place of a task's own agent
    would change the next run's prompts. What tools said in an earlier run is asked again: CrewAI would answer from its
    cache even for a tool that has changed.
    """
    for task in crew.tasks:
        task.output = None
    for agent in crew_shape.crew_agents(crew):
        private.forget_tool_results(agent)
    agents = [(crew_shape.own_agent(crew, task), task.tools) for task in crew.tasks]
    _forget_manager(crew)
    try:
        yield
    finally:
        _give_back(crew, agents)


def _forget_manager(crew: Crew) -> None:
    """Have CrewAI make its manager anew: it keeps the one it made first, whatever `manager_llm` is by now.

    A manager on a task is no worker to CrewAI, unless it is another than the crew's: so it is taken off there too.
    """
    for task in crew.tasks:
        task.agent = crew_shape.own_agent(crew, task)
    if generated_manager(crew):
        crew.manager_agent = None


def _give_back(crew: Crew, agents: Sequence[tuple[Any, Any]]) -> None:
    for task, (agent, tools) in zip(crew.tasks, agents, strict=False):
        task.agent, task.tools = agent, tools


class UsageBefore:
    """CrewAI counts tokens per LLM for as long as it lives; a run's result should tell what the run spent."""

    def __init__(self, crew: Crew) -> None:
        self._before = crew.calculate_usage_metrics()
        if crew.manager_agent is None and isinstance(crew.manager_llm, BaseLLM):
            self._before.add_usage_metrics(crew.manager_llm.get_token_usage_summary())

    def settle(self, crew: Crew, result: Any) -> None:
        """Set the crew's and the result's usage to what was spent since."""
        spent = _difference(crew.calculate_usage_metrics(), self._before)
        crew.usage_metrics = spent
        crew.token_usage = spent
        if isinstance(result, CrewOutput):
            result.token_usage = spent


def _difference(after: UsageMetrics, before: UsageMetrics) -> UsageMetrics:
    counted = {
        name: value - getattr(before, name)
        for name, value in after.model_dump().items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    return UsageMetrics(**counted)


def has_memory(crew: Crew, agent: Any) -> bool:
    """Whether a task's prompt may hold what a memory recalls."""
    return bool(private.crew_memory(crew) or getattr(agent, "memory", None))


@cache
def facts() -> Mapping[str, str]:
    """Facts about the surroundings of a run, for people; none of them is hashed."""
    return {
        "crewai": version("crewai"),
        "crew_repo": package_version(),
        "python": platform.python_version(),
    }
