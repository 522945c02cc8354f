"""A plain kickoff to compare a run with: CrewAI's own, but with no conversation that goes on from task to task.

CrewAI 1.13 tells an agent in each task all that it was asked in those before; a run does not, nor does CrewAI since 1.14.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import pytest
from crewai import Crew

KEEPS_CONVERSATIONS = version("crewai").startswith("1.13.")
# Up to 1.14.1, joining async tasks throws away what the tasks before them said.
JOINS_FORGET = "task_outputs = self._process_async_tasks" in inspect.getsource(Crew._execute_tasks)


def kickoff(crew: Crew, inputs: Any = None) -> Any:
    """What CrewAI makes of this crew."""
    with conversations_begin_anew():
        return crew.kickoff(inputs)


@contextmanager
def conversations_begin_anew() -> Iterator[None]:
    """Give CrewAI 1.13 the two lines that CrewAI 1.14 has."""
    with pytest.MonkeyPatch.context() as patched:
        if KEEPS_CONVERSATIONS:
            from crewai.agents.crew_agent_executor import CrewAgentExecutor  # gone in 1.15

            for name in ("invoke", "ainvoke"):
                patched.setattr(CrewAgentExecutor, name, _anew(getattr(CrewAgentExecutor, name)))
        yield


def _anew(invoke: Any) -> Any:
    def begin(self: Any, inputs: dict[str, Any]) -> Any:
        self.messages, self.iterations = [], 0
        return invoke(self, inputs)

    return begin
