"""Executing a task as if its agent had never worked before, so that its prompt depends on its own parts only.

CrewAI keeps on tasks and agents what it made and noted in earlier executions, and lets it reach later ones.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from crewai import Agent, Crew, Task

from crew_repo.adapter import crew_shape, private

__all__ = ["as_if_first"]

# What CrewAI gives an executor when it makes one, and not again when it uses it for another task.
_MADE_WITH = ("crew", "llm", "max_iter", "step_callback", "function_calling_llm", "respect_context_window")

_executing: Counter[int] = Counter()  # by id of the agent; crews in other threads may share it
_executing_lock = threading.Lock()


@contextmanager
def as_if_first(crew: Crew, task: Task, agent: Any) -> Iterator[Any]:
    """Around one execution: nothing that earlier ones left behind acts, and nothing stays in the task's description.

    Gives the agent to execute it with. With a `result_as_answer` tool, a later task would return the earlier one's
    result; and at every third use of a tool in the life of a task object, CrewAI adds a reminder of the format to the
    tool's result. Before 1.15 `inject_date` and `reasoning` append to the description, in every execution again.
    A guardrail that was changed would not act, nor would a changed LLM in one that is a text.
    """
    task.used_tools = 0
    private.renew_guardrails(task)
    if getattr(agent, "tools_results", None):
        agent.tools_results = []
    description = task.description
    try:
        with _own_executor(agent, crew_shape.agents_of(crew, task)) as alone:
            yield alone
    finally:
        if task.description.startswith(description):  # a text that the user's own code put there stays
            task.description = description


@contextmanager
def _own_executor(agent: Any, others: Iterable[Any]) -> Iterator[Any]:
    """Let CrewAI make new executors where an old one would not do what its agent says by now.

    Otherwise a changed `max_iter`, which the hash sees, would not act; before 1.14 neither would a changed LLM, and
    a task would be told all that its agent was asked before. An agent that is executing in another thread is left
    alone: that it is running already is CrewAI's to say; where it does not, a copy of the agent keeps them apart.
    """
    with _executing_lock:
        busy = bool(_executing[id(agent)])
        for each in (agent, *others):
            if isinstance(each, Agent) and not _executing[id(each)] and _is_outdated(each):
                each.agent_executor = None
        _executing[id(agent)] += 1
    try:
        yield _copy(agent) if busy and _mixes_conversations(agent) else agent
    finally:
        with _executing_lock:
            _executing[id(agent)] -= 1
            if not _executing[id(agent)]:
                del _executing[id(agent)]


def _mixes_conversations(agent: Any) -> bool:
    return isinstance(agent, Agent) and not private.refuses_a_second_use(agent.executor_class)


def _copy(agent: Agent) -> Agent:
    copy = agent.model_copy()
    copy.agent_executor = None
    return copy


def _is_outdated(agent: Agent) -> bool:
    executor = agent.agent_executor
    if executor is None:
        return False
    if private.keeps_conversation(executor) or type(executor) is not agent.executor_class:
        return True
    made_with = {"agent": agent, **{name: agent.__dict__.get(name) for name in _MADE_WITH}}
    return not all(_same(getattr(executor, name, None), value) for name, value in made_with.items())


def _same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, int) and one == other)
