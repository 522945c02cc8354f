"""The shape of a crew: the names of its tasks, the agents and LLMs in it, and what each task reads of the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

from crewai import Crew, Process, Task
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tasks.task_output import TaskOutput
from crewai.utilities.formatter import aggregate_raw_outputs_from_task_outputs

from crew_repo.model import PLANNER
from crew_repo.time_limits import let_through

__all__ = [
    "AGENT_TEXTS",
    "TASK_TEXTS",
    "acting_agent",
    "agents_of",
    "agents_that_act",
    "condition_says",
    "crew_agents",
    "crew_llms",
    "deprecated",
    "guardrails",
    "is_conditional",
    "is_hierarchical",
    "joined",
    "model_name",
    "name_of_model",
    "own_agent",
    "reads",
    "recorded_names",
    "single_variables",
    "skipped_output",
    "sources",
    "task_names",
    "upstreams",
    "variables",
]

# What a kickoff interpolates.
TASK_TEXTS = ("description", "expected_output", "output_file")
AGENT_TEXTS = ("role", "goal", "backstory")

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_\-]*)}")
_DOUBLED = re.compile(r"\{\{[^{}]*}}")


def task_names(crew: Crew) -> list[str]:
    """One stable name per task: its own, made unique (`draft_task#2`), else `task-01` by its position.

    The planner's name is taken, whether or not there is one.
    """
    taken: set[str] = {task.name for task in crew.tasks if task.name}
    counted: Counter[str] = Counter({PLANNER: 1})
    names = []
    for position, task in enumerate(crew.tasks, start=1):
        base = task.name or f"task-{position:02d}"
        counted[base] += 1
        names.append(base if counted[base] == 1 and (task.name or base not in taken) else _unique(base, counted, taken))
        taken.add(names[-1])
    return names


def recorded_names(crew: Crew) -> list[str]:
    """The names under which a run of this crew records something: its tasks, and the planner where it has one."""
    return [*([PLANNER] if crew.planning else []), *task_names(crew)]


def model_name(agent: object) -> str | None:
    """The name of the model that an agent asks, as its LLM has it; None where it has none."""
    return name_of_model(getattr(agent, "llm", None))


def name_of_model(llm: object) -> str | None:
    """The name of the model that an LLM, or the name of one, stands for; None where it has none."""
    name = llm if isinstance(llm, str) else getattr(llm, "model", None)
    return name if isinstance(name, str) and name else None


def _unique(base: str, counted: Counter[str], taken: set[str]) -> str:
    number = max(counted[base], 2)
    while f"{base}#{number}" in taken:
        number += 1
    return f"{base}#{number}"


def variables(template: str | None) -> set[str]:
    """The `{variables}` of a template, by CrewAI's own rule for what is one."""
    return set(_VARIABLE.findall(template or ""))


def single_variables(template: str | None) -> set[str]:
    """The variables of a template but those in doubled braces, by which their author means braces."""
    return variables(_DOUBLED.sub("", template or ""))


def is_hierarchical(crew: Crew) -> bool:
    """Whether a manager hands out the tasks."""
    return crew.process == Process.hierarchical


def own_agent(crew: Crew, task: Task) -> BaseAgent | None:
    """The agent that the task was given; none if an earlier kickoff left the manager there, who hands it to all."""
    return None if is_hierarchical(crew) and task.agent is crew.manager_agent else task.agent


def acting_agent(crew: Crew, task: Task) -> BaseAgent | None:
    """The agent that a kickoff gives the task to."""
    return crew.manager_agent if is_hierarchical(crew) else task.agent


def crew_agents(crew: Crew) -> list[BaseAgent]:
    """Every agent that may act: the crew's, its tasks', its manager; each once."""
    return _each_once([*crew.agents, *(task.agent for task in crew.tasks), crew.manager_agent])


def agents_of(crew: Crew, task: Task) -> list[BaseAgent]:
    """The agents that may act on one task: its own, the crew's, whom it may delegate to, and the manager; each once."""
    return _each_once([task.agent, *crew.agents, crew.manager_agent])


def agents_that_act(crew: Crew, task: Task) -> list[BaseAgent]:
    """The agents whose texts a task is sent with: its own, and all of the crew where it may be handed on."""
    handed_on = is_hierarchical(crew) or task.agent is None or getattr(task.agent, "allow_delegation", False)
    return agents_of(crew, task) if handed_on else _each_once([task.agent])


def _each_once(agents: Iterable[BaseAgent | None]) -> list[BaseAgent]:
    return list({id(agent): agent for agent in agents if agent is not None}.values())


def crew_llms(crew: Crew) -> list[Any]:
    """Every LLM object that a run may call; each once."""
    found = [crew.manager_llm, deprecated(crew, "function_calling_llm"), crew.planning_llm]
    for agent in crew_agents(crew):
        found += [agent.llm, deprecated(agent, "function_calling_llm")]
        found.append(getattr(getattr(agent, "planning_config", None), "llm", None))
    found += [getattr(guardrail, "llm", None) for task in crew.tasks for guardrail in guardrails(task)]
    return list({id(llm): llm for llm in found if llm is not None and not isinstance(llm, str)}.values())


def deprecated(item: Crew | Task | BaseAgent, field: str) -> Any:
    """A field whose reading makes pydantic warn, read without the warning."""
    return item.__dict__.get(field)


def guardrails(task: Task) -> Iterator[Any]:
    """The guardrails of a task: functions, texts, CrewAI's own, or None."""
    yield task.guardrail
    if isinstance(task.guardrails, (list, tuple)):
        yield from task.guardrails
    else:
        yield task.guardrails


def _reads_all_before(task: Task) -> bool:
    """Whether the task's context is whatever came before it (`context` was not given)."""
    return bool(task.context) and not isinstance(task.context, list)


def _context_tasks(task: Task) -> list[Task]:
    """The tasks that `context=[...]` names, in order."""
    return list(task.context) if isinstance(task.context, list) else []


def sources(crew: Crew, position: int, skipped: Container[int] = ()) -> list[int | Task]:
    """Give the places of the tasks whose text the one at this position reads, in order; a task outside the crew itself.

    This is the one statement of what a task reads: its context in a plan, what its upstreams say in a run, and what is
    stored of it all come from here. One object may stand in a crew more than once: its last place before this one
    counts, among those not `skipped`. The planner (`PLANNER_POSITION`) reads nothing.
    """
    task = crew.tasks[position] if position >= 0 else None
    if task is None or (_reads_all_before(task) and task.async_execution):
        return []
    if _reads_all_before(task):
        return list(range(position))
    found: list[int | Task] = []
    for named in _context_tasks(task):
        before = (at for at in range(position - 1, -1, -1) if crew.tasks[at] is named and at not in skipped)
        place = next(before, None)
        if place is not None:
            found.append(place)
        elif all(each is not named for each in crew.tasks):
            found.append(named)
    return found


def reads(crew: Crew, names: Sequence[str], position: int) -> str | list[str]:
    """Give the names of the tasks that the one at this position reads, in order; `"*"` for whatever came before."""
    task = crew.tasks[position]
    if _reads_all_before(task) and not task.async_execution:
        return "*"
    found = sources(crew, position)
    return [names[each] if isinstance(each, int) else "(outside the crew)" for each in found]


def upstreams(crew: Crew, position: int) -> set[int]:
    """Give the positions of the tasks that the one at this position reads, and of those that these read, and so on."""
    found: set[int] = set()
    pending = [position]
    while pending:
        new = {each for each in sources(crew, pending.pop()) if isinstance(each, int)} - found
        pending += new
        found |= new
    return found


def joined(outputs: Sequence[Any]) -> str:
    """The context string that CrewAI makes of these outputs (anything with `.raw`)."""
    return aggregate_raw_outputs_from_task_outputs(list(outputs))


def is_conditional(task: Task) -> bool:
    """Whether a condition decides about this task in every run."""
    return isinstance(task, ConditionalTask)


def condition_says(task: Task, previous: TaskOutput) -> bool | None:
    """Ask a conditional task's condition about the previous output; None if it raises, as it then will in a run."""
    try:
        return bool(task.should_execute(previous))  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001 - the user's own code; the run shows what it raises
        let_through(error)
        return None


def skipped_output(task: Task) -> TaskOutput:
    """The empty output that CrewAI makes for a conditional task that it skips."""
    return task.get_skipped_task_output()  # type: ignore[attr-defined,no-any-return]
