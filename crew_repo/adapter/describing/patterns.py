"""Names in policies that stand for nothing: patterns of `ignore`, tools. Most are typing errors, and get a hint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from crewai.utilities.string_utils import sanitize_tool_name

from crew_repo.adapter.describing import field_table
from crew_repo.adapter.describing.components import Memo
from crew_repo.adapter.describing.field_table import Kind
from crew_repo.adapter.describing.servers import connects
from crew_repo.adapter.describing.task import Describer
from crew_repo.adapter.describing.working_objects import tools_of
from crew_repo.adapter.interpolation import CrewView, TaskView
from crew_repo.model import PLANNER, RESOLVED, Definition
from crew_repo.policy import Policies, TaskPolicy

__all__ = ["UnmatchedPattern", "unknown_tools", "unmatched_patterns"]

_TABLES: Mapping[str, Mapping[str, Kind]] = {
    "task": field_table.TASK,
    "agent": field_table.AGENT,
    "manager": field_table.AGENT,
    "crew": field_table.CREW,
    "agent.llm": field_table.LLM,
    "manager.llm": field_table.LLM,
}
# Parts that only a run knows, and fields that count as soon as somebody sets them.
_MAY_COME = {f"{RESOLVED}tools", f"{RESOLVED}context", "task.plan", "context", "policy.salt"} | {
    f"{prefix}.{name}"
    for prefix, table in _TABLES.items()
    for name, kind in table.items()
    if kind in (Kind.TEXT, Kind.VALUE)
}


_OF_CREWAI = {"delegate_work_to_coworker", "ask_question_to_coworker"}  # tools that it gives to agents itself


@dataclass(frozen=True, slots=True)
class UnmatchedPattern:
    """A pattern of the policy for `task_name` (`"*"`: of all), and the paths that there are."""

    task_name: str
    pattern: str
    paths: tuple[str, ...]


def unmatched_patterns(view: CrewView, policies: Policies) -> Iterator[UnmatchedPattern]:
    """The patterns of `ignore` that match no part of the tasks which their policy is for, and no input."""
    given = {name: policy for name, policy in policies.by_name.items() if policy.ignore}
    describer = Describer(view, Memo()) if given else None
    for name, policy in given.items():
        paths = _paths(describer, view, name, policies) if describer is not None else set()
        if not paths:
            continue  # of a task that another crew has
        paths |= {f"input:{each}" for each in view.inputs}
        for pattern in policy.ignore:
            alone = TaskPolicy(ignore=(pattern,))
            unread = pattern.startswith(RESOLVED) or (pattern.startswith("input:") and not view.inputs)
            if not unread and not any(map(alone.ignores, paths | _MAY_COME)):
                yield UnmatchedPattern(name, pattern, tuple(sorted(paths)))


def unknown_tools(view: CrewView, policies: Policies) -> Iterator[UnmatchedPattern]:
    """The `rerun_tools` that are no tools of the tasks which their policy is for; servers may give any."""
    for name, policy in policies.by_name.items():
        tasks = _tasks_under(view, name, policies)
        known = {tool.name for task in tasks for tool in tools_of(view.crew, task.original)}
        alike = {sanitize_tool_name(tool) for tool in known} | _OF_CREWAI
        if tasks and not any(connects(view.crew, task.worker) for task in tasks):
            for tool in policy.rerun_tools:
                if tool not in known and sanitize_tool_name(tool) not in alike:
                    yield UnmatchedPattern(name, tool, tuple(sorted(known)))


def _tasks_under(view: CrewView, name: str, policies: Policies) -> list[TaskView]:
    """The tasks that the policy of this name is for; `"*"` is for those that have none of their own."""
    return [task for task in view.tasks if name == task.name or (name == "*" and task.name not in policies.by_name)]


def _paths(describer: Describer, view: CrewView, name: str, policies: Policies) -> set[str]:
    """The paths of all parts of the tasks that a policy is for, whether or not it leaves them out."""
    tasks = _tasks_under(view, name, policies)
    found = [describer.describe(task, replace(policies.of(task.name), ignore=())) for task in tasks]
    if view.crew.planning and (name == PLANNER or (name == "*" and PLANNER not in policies.by_name)):
        found.append(describer.describe_planner(view.tasks, replace(policies.of(PLANNER), ignore=())))
    return {path for definition in found for path in _paths_in(definition)}


def _paths_in(definition: Definition) -> Iterator[str]:
    yield from (component.path for component in definition.components)
    yield from (opaque.path for opaque in definition.opaque)
