"""CrewAI's planner (`planning=True`): asking it, and its plan in the descriptions of the tasks.

A kickoff asks it before the first task, in a task and an agent that are not the crew's own.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from crewai import Crew, Task
from crewai.tasks.task_output import TaskOutput
from crewai.utilities.planning_handler import PlannerTaskPydanticOutput

from crew_repo.adapter import private
from crew_repo.adapter.interpolation import TaskView
from crew_repo.model import PLANNER, PLANNER_POSITION

__all__ = ["Planner", "plan_texts"]


class Planner:
    """The planner of one kickoff, as a task that has not been asked yet."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._plans: dict[int, str] = {}
        self.view = TaskView(PLANNER, PLANNER_POSITION, task := private.planner_task(), None, task)

    def ask(self, watch: Callable[[object], None]) -> TaskOutput:
        """Have CrewAI's planner plan the crew as it is now; `watch` gets the LLM that it is about to call.

        Raises what CrewAI raises, ValueError where the answer is no plan.
        """
        task = self.view.task
        private.ready_planner(self._crew, task)
        watch(getattr(task.agent, "llm", None))
        output = _outside_of_loops(task.execute_sync)
        if not isinstance(output.pydantic, PlannerTaskPydanticOutput):
            task.output = None
            raise ValueError("Failed to get the Planning output")
        return output

    def append(self, output: TaskOutput) -> Mapping[int, str]:
        """Append the plan to the descriptions as CrewAI does; what was appended, by id of the task."""
        texts = plan_texts(self._crew.tasks, output)
        self._plans = {id(task): text for task, text in zip(self._crew.tasks, texts, strict=True) if text}
        for task in self._each_once():
            task.description += self._plans.get(id(task), "")
        return self._plans

    def take_back(self) -> None:
        """Leave the descriptions without the plan, so that the next run does not plan upon it."""
        for task in self._each_once():
            task.description = task.description.removesuffix(self._plans.get(id(task), ""))

    def _each_once(self) -> list[Task]:
        return list({id(task): task for task in self._crew.tasks}.values())


def _outside_of_loops(ask: Callable[[], TaskOutput]) -> TaskOutput:
    """CrewAI asks the planner synchronously, which its agents refuse in the thread of an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return ask()
    with ThreadPoolExecutor(1, "crew_repo planner") as beside:
        return beside.submit(contextvars.copy_context().run, ask).result()


def plan_texts(tasks: Sequence[Task], output: TaskOutput) -> list[str]:
    """Texts that CrewAI appends to the descriptions: of several plans for one number the first, of none nothing.

    A task object that stands in the crew twice gets both.
    """
    assert isinstance(output.pydantic, PlannerTaskPydanticOutput)  # noqa: S101 - `ask` gives no other
    plans: dict[int, str] = {}
    for each in output.pydantic.list_of_plans_per_task:
        plans.setdefault(each.task_number, each.plan)
    appended: dict[int, str] = {}
    for number, task in enumerate(tasks, start=1):
        appended[id(task)] = appended.get(id(task), "") + plans.get(number, "")
    return [appended[id(task)] for task in tasks]
