"""Copies of a crew, one for each concurrent run; and the result of a run that needs no kickoff."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy as shallow_copy
from typing import Any

from crewai import Crew
from crewai.crews.crew_output import CrewOutput
from crewai.tasks.task_output import TaskOutput

from crew_repo.adapter import crew_shape, private

__all__ = ["copy_crew", "output_of"]



def copy_crew(crew: Crew) -> Crew:
    """A copy that shares no task, agent or model with the crew.

    CrewAI's own `copy` finds tasks by their text and agents by their role, and so mixes up equal ones
    (crewAI#7238), takes texts as the last kickoff left them, and makes of a `planning_llm` another LLM with its
    fields, or fails to; that is put right here.
    """
    unplanned = crew.model_copy()
    unplanned.planning_llm = None
    copy: Crew = type(crew).copy(unplanned)
    for original, agent in zip(crew.agents, copy.agents, strict=True):
        _restore_texts(original, agent, crew_shape.AGENT_TEXTS)
    agents = {id(original): agent for original, agent in zip(crew.agents, copy.agents, strict=True)}
    tasks = {id(original): task for original, task in zip(crew.tasks, copy.tasks, strict=True)}
    for original_task, task in zip(crew.tasks, copy.tasks, strict=True):
        _restore_texts(original_task, task, crew_shape.TASK_TEXTS)
        task.agent = agents.get(id(original_task.agent), task.agent)
        if isinstance(original_task.context, list):
            task.context = [tasks.get(id(each), each) for each in original_task.context]
        task.output = None
    copy.planning_llm = shallow_copy(crew.planning_llm)
    return copy


def _restore_texts(original: Any, copy: Any, names: Sequence[str]) -> None:
    for name in names:
        text = private.original_text(original, name)
        if text is not None:
            setattr(copy, name, text)


def output_of(outputs: Sequence[TaskOutput]) -> CrewOutput:
    """The CrewOutput that CrewAI would make of these task outputs, which must not all be empty."""
    last = [output for output in outputs if output.raw][-1]
    return CrewOutput(
        raw=last.raw, pydantic=last.pydantic, json_dict=last.json_dict, tasks_output=list(outputs)
    )
