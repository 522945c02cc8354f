"""Objects with code of yours that runs in a kickoff, such as tools, and values that they pass on from task to task."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from crewai import Crew, Task

from crew_repo.adapter import crew_shape
from crew_repo.adapter.describing.beside import altering_code
from crew_repo.adapter.describing.knowledge import given_sources
from crew_repo.code import Exchange, Marks, counted_on, handed_on
from crew_repo.hashing import changed_at_work, exchange, model_state

__all__ = ["HandedOn", "all_handed_on", "goes_on_from_itself", "leaving_state", "marks_of", "tools_of"]


class HandedOn(NamedTuple):
    """State that a task leaves in memory for a later one: positions, the name of the value, and a sentence."""

    writer: int
    reader: int
    what: str
    text: str


def marks_of(crew: Crew) -> Marks:
    """Find what the work of all that CrewAI calls may change; a kickoff's own callbacks set, before and after it."""
    agents = crew_shape.crew_agents(crew)
    llms = crew_shape.crew_llms(crew)
    roots: list[Any] = [crew, *agents, *crew.tasks, *llms]
    for llm in llms:  # interceptors and clients run with each call
        roots += model_state(llm).values() if hasattr(type(llm), "model_fields") else []
    for owner in [crew, *agents]:
        roots += given_sources(owner) or []
    for task in crew.tasks:
        roots += [value for _, value in (*_readers(crew, task), *_callbacks(crew, task))]
    return changed_at_work([*roots, *(code for _, code in altering_code(crew))])


def all_handed_on(crew: Crew) -> list[HandedOn]:
    """Find what the tasks of a crew hand on, but for what shows in their outputs."""
    names, known = crew_shape.task_names(crew), _Exchanges()
    readers = [known.of(_readers(crew, task)) for task in crew.tasks]
    writers = [found + known.of(_callbacks(crew, task)) for task, found in zip(crew.tasks, readers, strict=True)]
    writing = [(at, sources) for at, sources in enumerate(writers) if any(source.writes for _, source in sources)]
    found: list[HandedOn] = []
    for reader, sinks in enumerate(readers):
        for writer, sources in writing:
            if writer >= reader:
                break
            for whose, what, who in _between(sources, sinks):
                text = f"{whose} of {names[writer]} hands {what} on to {who} of {names[reader]}"
                found.append(HandedOn(writer, reader, what, text))
                break
    return found


def leaving_state(crew: Crew, task: Task) -> set[int]:
    """The ids of tools that leave something in memory which they, or others at work in the same task, go on from.

    Who resumes the task in another process has to call them again: nothing else brings that back.
    """
    known, tools = _Exchanges(), tools_of(crew, task)
    readers = [found for _, found in known.of([*_readers(crew, task), *_callbacks(crew, task)])]
    found = zip(tools, (each for _, each in known.of((tool.name, tool) for tool in tools)), strict=True)
    return {
        id(tool)
        for tool, own in found
        if goes_on_from_itself(tool, own) or any(handed_on(own, other) is not None for other in readers)
    }


def goes_on_from_itself(worker: Any, found: Exchange) -> bool:
    """Whether what an object's work does hangs on what its work before has left: a script, a count, a notebook.

    A client that is made when it is first needed is no such thing, and neither is a count that nothing reads.
    """
    values = {**vars(sys.modules.get(type(worker).__module__, object)), **model_state(worker)}
    counted = (values.get(name, _UNKNOWN) for name in counted_on(found))
    return handed_on(found, found) is not None or any(isinstance(value, _COUNTS) for value in counted)


class _Unknown(int):
    """A value that was not found."""


_UNKNOWN = _Unknown()
_COUNTS = (bool, int, float, str)


class _Exchanges:
    """Exchanges by object, each found once."""

    def __init__(self) -> None:
        self._known: dict[int, Exchange] = {}

    def of(self, named: Iterable[tuple[str, Any]]) -> list[tuple[str, Exchange]]:
        """The exchanges of some objects, by what these are called."""
        return [(name, self._known.get(id(root)) or self._find(root)) for name, root in named]

    def _find(self, root: Any) -> Exchange:
        found = self._known[id(root)] = exchange(root)
        return found


def _between(
    sources: Sequence[tuple[str, Exchange]], sinks: Sequence[tuple[str, Exchange]]
) -> Iterator[tuple[str, str, str]]:
    for whose, source in sources:
        for who, sink in sinks if source.writes else ():
            if (what := handed_on(source, sink)) is not None:
                yield whose, what, who


def tools_of(crew: Crew, task: Task) -> list[Any]:
    """The tools that may be called for a task."""
    worker = crew_shape.own_agent(crew, task)
    asks = worker is None or crew_shape.is_hierarchical(crew) or getattr(worker, "allow_delegation", False)
    agents = crew_shape.agents_of(crew, task) if asks else [worker]
    own = [] if task.tools else list(worker.tools or []) if worker is not None else []
    coworkers = [tool for agent in agents if agent is not None and agent is not worker for tool in agent.tools or []]
    return list({id(tool): tool for tool in [*(task.tools or []), *own, *coworkers]}.values())


def _readers(crew: Crew, task: Task) -> Iterator[tuple[str, Any]]:
    """Whose reading acts on the answer, by what it is called."""
    for tool in tools_of(crew, task):
        yield f"tool {tool.name}", tool
    for guardrail in crew_shape.guardrails(task):
        if callable(guardrail):
            yield f"guardrail {_name(guardrail)}", guardrail
    for name in ("output_pydantic", "output_json", "response_model"):
        if (cls := getattr(task, name, None)) is not None:
            yield f"class {_name(cls)}", cls


def _callbacks(crew: Crew, task: Task) -> Iterator[tuple[str, Any]]:
    """Who else runs with a task, and may leave something for another."""
    worker = crew_shape.own_agent(crew, task)
    for callback in (task.callback, crew.task_callback, crew.step_callback, getattr(worker, "step_callback", None)):
        if callback is not None:
            yield f"callback {_name(callback)}", callback


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
