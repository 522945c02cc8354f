"""A view of a crew with the inputs put into its texts, as the model will get them. A plan makes it from copies.

`live_view` is taken at a boundary, when CrewAI has interpolated the crew itself. `planned_view` makes the same of
copies, so that a plan changes nothing; interpolation is CrewAI's own in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from crewai import Crew, Task
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.utilities.i18n import get_i18n
from crewai.utilities.string_utils import interpolate_only

from crew_repo.adapter import crew_shape, private
from crew_repo.errors import BadInputValueError, MissingInputError

__all__ = [
    "CrewView",
    "PlannedViews",
    "TaskView",
    "Texts",
    "as_sent",
    "generated_manager",
    "live_task",
    "live_view",
    "own_view",
    "planned_view",
    "said_to",
]


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task as it will be sent; `worker` is its own agent, also where a manager hands it out.

    `plan`: what the planner wrote for it, which is sent behind its description.
    """

    name: str
    position: int
    task: Task
    worker: BaseAgent | None
    original: Task
    plan: str = ""


@dataclass(frozen=True, slots=True)
class CrewView:
    """A crew as its tasks will be sent. `manager` is the user's own manager agent, never one that CrewAI made."""

    crew: Crew
    tasks: tuple[TaskView, ...]
    agents: tuple[BaseAgent, ...]
    manager: BaseAgent | None
    inputs: Mapping[str, Any]
    files: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    @property
    def trigger_payload(self) -> Any:
        """The input `crewai_trigger_payload`, which no template names."""
        return self.inputs.get("crewai_trigger_payload")


def generated_manager(crew: Crew) -> bool:
    """Whether the crew's manager is the one that CrewAI makes of `manager_llm`, left there by an earlier kickoff."""
    manager = crew.manager_agent
    if manager is None or crew.manager_llm is None:
        return False
    i18n = get_i18n(prompt_file=crew.prompt_file)
    texts = [i18n.retrieve("hierarchical_manager_agent", text) for text in crew_shape.AGENT_TEXTS]
    return [manager.role, manager.goal, manager.backstory] == texts


def _manager(crew: Crew) -> BaseAgent | None:
    return None if generated_manager(crew) else crew.manager_agent


def live_view(crew: Crew, names: Sequence[str], files: Mapping[str, Any] | None = None) -> CrewView:
    """The crew as CrewAI has interpolated it by now, without its tasks: `live_task` gives the one that is meant."""
    sent = {**(files or {}), **private.sent_files(crew)}
    return CrewView(crew, (), tuple(crew.agents), _manager(crew), private.crew_inputs(crew), sent, tuple(names))


def live_task(task: Task, name: str, position: int, plans: Mapping[int, str]) -> TaskView:
    """A task as CrewAI has interpolated it by now; the planner's text (`plans`, by id of the task) taken off."""
    plan = plans.get(id(task), "")
    if not plan or not task.description.endswith(plan):
        return TaskView(name, position, task, task.agent, task)
    copy = task.model_copy()
    copy.description = task.description.removesuffix(plan)
    return TaskView(name, position, copy, task.agent, task, plan)


def own_view(
    crew: Crew, names: Sequence[str], plans: Mapping[int, str], files: Mapping[str, Any] | None = None
) -> CrewView:
    """The crew as CrewAI has interpolated it by now, with all of its tasks, for a plan at the first boundary."""
    tasks = tuple(
        replace(live_task(task, name, position, plans), worker=crew_shape.own_agent(crew, task))
        for position, (name, task) in enumerate(zip(names, crew.tasks, strict=True))
    )
    return replace(live_view(crew, names, files), tasks=tasks)


def planned_view(
    crew: Crew, inputs: Mapping[str, Any] | None, files: Mapping[str, Any] | None = None
) -> CrewView:
    """The crew as CrewAI would interpolate it for these inputs; the crew itself stays as it is.

    Raises MissingInputError for a variable that the inputs lack and BadInputValueError for a value that CrewAI
    cannot put into a prompt.
    """
    return PlannedViews(crew).of(inputs, files)


class PlannedViews:
    """The views of one crew for several inputs: what names no input in its texts is copied once.

    No code of the user's may run between the first and the last.
    """

    def __init__(self, crew: Crew) -> None:
        self._crew, self._manager = crew, _manager(crew)
        self._names = tuple(crew_shape.task_names(crew))
        self._workers = [crew_shape.own_agent(crew, task) for task in crew.tasks]
        self._variables: dict[int, dict[str, set[str]]] = {}  # by the id of a task or an agent, and the name of a text
        self._alike: dict[int, Task | BaseAgent] = {}
        self._shared: set[int] = set()

    def of(self, inputs: Mapping[str, Any] | None, files: Mapping[str, Any] | None = None) -> CrewView:
        """The view for these inputs. Raises as `planned_view` does."""
        if inputs and self._alike:
            _check_values(inputs)
        crew = self._crew
        copies: dict[int, Any] = {id(agent): self._agent(agent, inputs) for agent in crew.agents}
        tasks = tuple(
            TaskView(name, position, self._task(task, inputs), copies.get(id(worker), worker), task)
            for position, (name, task, worker) in enumerate(zip(self._names, crew.tasks, self._workers, strict=True))
        )
        known = dict(inputs) if inputs is not None else private.crew_inputs(crew)
        return CrewView(crew, tasks, tuple(copies.values()), self._manager, known, files or {}, self._names)

    def are_alike(self, copies: Iterable[Task | BaseAgent]) -> bool:
        """Whether these parts of a view are the same in the views for all inputs."""
        return all(id(copy) in self._shared for copy in copies)

    def _task(self, task: Task, inputs: Mapping[str, Any] | None) -> Any:
        if not inputs:
            return task.model_copy()
        appended = "crew_chat_messages" in inputs  # CrewAI puts them behind each description
        return self._interpolated(task, inputs, crew_shape.TASK_TEXTS, anew=appended or _has_own_way(task))

    def _agent(self, agent: BaseAgent, inputs: Mapping[str, Any] | None) -> Any:
        return self._interpolated(agent, inputs, crew_shape.AGENT_TEXTS, anew=_has_own_way(agent)) if inputs else agent

    def _interpolated(self, item: Any, inputs: Mapping[str, Any], names: tuple[str, ...], *, anew: bool) -> Any:
        """A copy with the inputs in its texts; the same one for all inputs, if it names none."""
        variables = self._variables.get(id(item))
        if variables is None:
            texts = {name: private.original_text(item, name) for name in names}
            variables = self._variables[id(item)] = {name: crew_shape.variables(text) for name, text in texts.items()}
        anew = anew or any(variables.values())
        if not anew and id(item) in self._alike:
            return self._alike[id(item)]
        _check(item, variables, inputs)
        copy = item.model_copy()
        _interpolate(copy, inputs)
        if not anew:
            self._alike[id(item)] = copy
            self._shared.add(id(copy))
        return copy


def _has_own_way(item: Task | BaseAgent) -> bool:
    """Whether the user's own class puts the inputs into its texts otherwise than CrewAI does."""
    name = "interpolate_inputs_and_add_conversation_history" if isinstance(item, Task) else "interpolate_inputs"
    return not str(getattr(type(item), name).__module__).startswith("crewai.")


def _check_values(inputs: Mapping[str, Any]) -> None:
    """Raise BadInputValueError for what no text takes, also where no text is made."""
    try:
        interpolate_only("", dict(inputs))
    except ValueError as error:  # of CrewAI alone, which says in it all that there is to say
        raise BadInputValueError(f"{_not_put_in(error)} Give a text in its place, such as str(value)") from None


def _interpolate(copy: Task | BaseAgent, inputs: Mapping[str, Any]) -> None:
    """Put inputs into the texts of a copy, as a kickoff does."""
    try:
        if isinstance(copy, Task):
            copy.interpolate_inputs_and_add_conversation_history(dict(inputs))
        else:
            copy.interpolate_inputs(dict(inputs))
    except ValueError as error:
        _check_values(inputs)
        raise _not_put_in(error) from error


def _not_put_in(error: ValueError) -> BadInputValueError:
    return BadInputValueError(f"CrewAI cannot put these inputs into its prompts: {error}")


def _check(item: Task | BaseAgent, variables: Mapping[str, set[str]], inputs: Mapping[str, Any]) -> None:
    """Raise MissingInputError for the first variable that the inputs lack; `variables` by the names of the texts."""
    for name, named in variables.items():
        missing = sorted(named - set(inputs))
        if missing:
            given = ", ".join(sorted(map(str, inputs))) or "none"
            raise MissingInputError(
                f"Missing required template variable {missing[0]!r}: {_named(item)} mentions it in its {name}, "
                f"but the inputs are: {given}. Add it to the inputs."
            )


def _named(item: Task | BaseAgent) -> str:
    if isinstance(item, Task):
        return f"Task {item.name or private.original_text(item, 'description')!r}"
    return f"Agent {private.original_text(item, 'role')!r}"


def as_sent(item: Task | BaseAgent, inputs: Mapping[str, Any]) -> Task | BaseAgent | None:
    """A copy of a task or an agent with these inputs in its texts; None where CrewAI cannot put them in."""
    copy = item.model_copy()
    try:
        _interpolate(copy, inputs)
    except (KeyError, BadInputValueError):
        return None
    return copy


class Texts:
    """The texts that a kickoff writes into shared objects: another one may rewrite them while this one goes on."""

    def __init__(self, crew: Crew, task: Task) -> None:
        self._task, self._description = task, task.description
        planner = all(task is not each for each in crew.tasks)  # which is told of the agents of all tasks
        agents = crew_shape.crew_agents(crew) if planner else crew_shape.agents_that_act(crew, task)
        parts = [(task, ("expected_output",)), *((agent, crew_shape.AGENT_TEXTS) for agent in agents)]
        self._texts = [(part, name, getattr(part, name)) for part, names in parts for name in names]

    def unchanged(self) -> bool:
        """Whether nothing was rewritten since; what CrewAI appends while a task runs is its own (plans, dates)."""
        same = all(getattr(part, name) == text for part, name, text in self._texts)
        return same and self._task.description.startswith(self._description)


def said_to(crew: Crew, names: Sequence[str], position: int) -> dict[str, str]:
    """Give what the tasks of the crew that the one at this position reads have said by now, by name."""
    read = [each for each in crew_shape.sources(crew, position) if isinstance(each, int)]
    outputs = [(names[at], crew.tasks[at].output) for at in read]
    return {name: output.raw for name, output in outputs if output is not None}
