"""Crews to measure with: chains of tasks whose model answers 2 KB at once, and a run without CrewAI's own work."""

from __future__ import annotations

import hashlib
from typing import Any

from crewai import Crew
from crewai.tasks.task_output import TaskOutput

from crew_repo import StateRepository
from tests.crews import agent, task
from tests.models import PromptModel

__all__ = ["ANSWER", "chain", "notes", "run_null"]

ANSWER = "x" * 2_048


class Instant(PromptModel):
    """Answers 2 KB at once, and keeps no prompt."""

    def answer(self, prompt: str) -> str:
        """The same text always, but for a mark of the prompt: so whatever is below a task that changed runs again."""
        self.forget()
        return f"Final Answer: {ANSWER}{hashlib.sha256(prompt.encode()).hexdigest()[:8]}"


def chain(length: int, **members: Any) -> Crew:
    """Tasks that each read the one before. The first reads the notes, the one in the middle `{middle}` too."""
    worker = agent(Instant(model="instant"), **members)
    tasks: list[Any] = []
    for number in range(length):
        text = "{middle}" if number == length // 2 else ""
        tasks.append(task(f"step-{number}", f"{{notes}} {text}" if number == 0 else text, worker, context=tasks[-1:]))
    return Crew(agents=[worker], tasks=tasks)


def notes(text: Any = "hail", middle: str = "m") -> dict[str, str]:
    """The inputs of a chain."""
    return {"notes": f"notes {text}", "middle": middle}


def run_null(repo: StateRepository, crew: Crew, inputs: dict[str, str], workflow_id: str | None = None) -> Any:
    """A run whose tasks are executed by nobody and for which CrewAI does nothing: what is left is the runner and the store."""
    session = repo._engine._session(repo._engine.request(crew, inputs, workflow_id=workflow_id))
    crew._interpolate_inputs(inputs)
    with session.recorded():
        said = ""
        for one in crew.tasks:
            said = _boundary(session, one, said)
        return session.finish()


def _boundary(session: Any, one: Any, context: str) -> str:
    ticket = session.arrive(one, one.agent, context, None)
    output = session.served(ticket) or session.claim(ticket)
    if output is None:
        with session.execution(ticket) as (record, _):
            length = len(one.description) + len(context)
            output = record(TaskOutput(description=one.description, raw=f"{ANSWER}{length}", agent=one.agent.role))
    one.output = output
    return str(output.raw)
