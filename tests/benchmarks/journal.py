"""What the journal inside a task costs a call: a task that calls its model and a tool in turns, with and without it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from crewai import Crew
from crewai.llms.base_llm import BaseLLM
from crewai.tools import BaseTool
from pydantic import PrivateAttr

from crew_repo import StateRepository, TaskPolicy
from tests.benchmarks.measuring import Row, Sizes, interleaved
from tests.crews import agent, task

__all__ = ["rows"]

logging.getLogger("crewai.flow.runtime").setLevel(logging.CRITICAL)  # it says of a model that it is down

ROUNDS = {12: 8, 100: 2}
"""How often a task calls both, and how many times as many rounds it is measured: a difference is noisier than a work."""
RESULT = "x" * 1_024
UNKEPT = {"*": TaskPolicy(journal=False)}


class Turns(BaseLLM):
    """Calls the tool so many times, then answers, unless it is down. It keeps nothing of a call, or it would not be kept."""

    rounds: int
    _down: bool = PrivateAttr(default=False)

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        """Answer at once."""
        done = sum("Action: look_up" in str(message["content"]) for message in messages)
        if done == self.rounds and self._down:
            raise ConnectionError("the model is down")
        self._track_token_usage_internal({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110})
        if done < self.rounds:
            return f'Thought: go on\nAction: look_up\nAction Input: {{"number": {done}}}'
        return "Thought: I know.\nFinal Answer: done"

    def supports_function_calling(self) -> bool:
        """No: the ReAct text protocol."""
        return False

    def get_context_window_size(self) -> int:
        """Large enough for all of it: CrewAI makes no summaries."""
        return 1_000_000


class LookUp(BaseTool):
    """Gives 1 KB."""

    name: str = "look_up"
    description: str = "Looks a number up."

    def _run(self, number: int) -> str:
        return f"{number} {RESULT}"


def rows(sizes: Sizes, rounds: int) -> Iterator[Row]:
    """What a call costs, of the model or of the tool; in `goes on` all answers but the last are there already."""
    for turns, times_more in list(ROUNDS.items())[: len(sizes.tasks)]:
        times = interleaved(rounds * times_more, lambda folder, _: _round(folder, turns))  # noqa: B023
        calls = 2 * turns + 1
        for name in times.of:
            yield times.row(name, to="journal=False", each=calls, unit="ms a call").named(f"{name}, {calls} calls")
        above = times.above("journal", "journal=False")
        yield Row(f"of the journal, {calls} calls", above.value / calls, "ms a call", (above.cpu or 0) / calls, target="0.5")


def _round(folder: Path, turns: int) -> Iterator[tuple[str, Any]]:
    with StateRepository(folder / "state.db", verbose=False) as repo:
        repo.run(_crew(2), workflow_id="another")
        crews = [_crew(turns) for _ in range(4)]
        yield "plain kickoff", lambda: crews[0].kickoff()
        yield "journal=False", lambda: repo.run(crews[1], policies=UNKEPT, workflow_id="one")
        yield "journal", lambda: repo.run(crews[2], workflow_id="two")
        _broken(repo, crews[3])
        yield "goes on", lambda: repo.run(crews[3], workflow_id="three")


def _crew(turns: int) -> Any:
    worker = agent(Turns(model="turns", rounds=turns), tools=[LookUp()], max_iter=3 * turns, max_retry_limit=0)
    return Crew(name="turns", agents=[worker], tasks=[task("work", "go on", worker)])


def _broken(repo: StateRepository, crew: Any) -> None:
    """A run that fails at its last call."""
    crew.agents[0].llm._down = True
    with suppress(ConnectionError):
        repo.run(crew, workflow_id="three")
    crew.agents[0].llm._down = False
    assert "resumes" in str(repo.plan(crew, workflow_id="three")), "nothing is kept"
