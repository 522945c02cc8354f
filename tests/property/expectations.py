"""What has to come of a run of a random crew: a plain kickoff from scratch, and the books of what is stored.

Both are independent of crew_repo: the kickoff is CrewAI's own, and the books know a record by the texts that its
task was made of, not by a hash.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from crewai import Agent, Crew, Task

from tests.models import PromptModel
from tests.plain import kickoff
from tests.property.random_crews import Shape, Step, Worker, build

DIVIDER = "\n\n----------\n\n"
Key = tuple[Any, ...]


class Noted(list[str]):
    """The prompts that models were sent, with the id of the task that each was for; `failing` ones raise."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[int] = []
        self.failing: frozenset[str] = frozenset()

    def forget(self) -> None:
        self.clear()
        self.tasks.clear()


class Failing(RuntimeError):
    """The failure of these tests."""


class NotingModel(PromptModel):
    """A model that notes what it is sent, with its temperature, in a list that several share."""

    def call(self, messages: Any, *args: Any, from_task: Any = None, **kwargs: Any) -> str:
        """Note and answer."""
        prompt = json.dumps([self.temperature, messages], default=str)
        self._calls.append(prompt)
        self._calls.tasks.append(id(from_task))
        if prompt in self._calls.failing:
            raise Failing("no luck")
        return self.answer(prompt)


def models(noted: Noted) -> Any:
    """Makes models that note in this list."""

    def make(temperature: float | None) -> NotingModel:
        model = NotingModel(model="m", temperature=temperature, script={"": answer})
        model._calls = noted
        return model

    return make


def answer(prompt: str) -> str:
    """A digest of the prompt; a constant, or one of two, where the task says so: then downstream may stay fresh."""
    digest = hashlib.sha256(prompt.encode()).hexdigest()
    current = prompt.rpartition("Current Task:")[2].partition("expected criteria")[0]
    if "[constant]" in current:
        return "yes"
    return f"coin {int(digest, 16) % 2}" if "[coin]" in current else f"answer {digest[:8]}"


class QuickAgent(Agent):
    """An agent that sends one prompt of all that it was given, without CrewAI's executor: for thousands of examples."""

    def create_agent_executor(self, tools: Any = None, task: Any = None) -> None:
        """None is needed."""

    def execute_task(self, task: Task, context: str | None = None, tools: Any = None) -> str:
        """Ask once."""
        told = [[tool.name, tool.description] for tool in tools or []]
        prompt = f"{self.role} {self.goal} {told} Current Task: {task.prompt()} Context: {context}"
        self._last_messages = [{"role": "user", "content": prompt}]
        said: str = self.llm.call(self._last_messages, from_task=task)
        return said.rpartition("Final Answer: ")[2]

    async def aexecute_task(self, task: Task, context: str | None = None, tools: Any = None) -> str:
        """The same."""
        return self.execute_task(task, context, tools)


# A plain kickoff.


@dataclass(frozen=True)
class Scratch:
    """What a plain kickoff from scratch says: by position the output, the request (None if skipped), and the key."""

    outputs: tuple[dict[str, Any], ...]
    requests: tuple[str | None, ...]
    keys: tuple[Key | None, ...]


def outputs_of(result: Any) -> tuple[dict[str, Any], ...]:
    """All that CrewAI gives of each task."""
    return tuple(output.model_dump() for output in result.tasks_output)


@lru_cache(maxsize=256)
def scratch(shape: Shape, agent_class: type[Agent]) -> Scratch:
    """Kick a new crew off, without any repository."""
    noted = Noted()
    crew = build(shape, models(noted), agent_class)
    outputs = outputs_of(kickoff(crew, dict(shape.inputs)))
    requests = _by_position(crew, outputs, noted)
    return Scratch(outputs, requests, _keys(shape, crew, [output["raw"] for output in outputs], requests))


def _by_position(crew: Crew, outputs: tuple[dict[str, Any], ...], noted: Noted) -> tuple[str | None, ...]:
    waiting: dict[int, list[str]] = {}
    for task, prompt in zip(noted.tasks, noted, strict=True):
        waiting.setdefault(task, []).append(prompt)
    found = [waiting[id(task)].pop(0) if waiting.get(id(task)) else None for task in crew.tasks]
    assert not any(waiting.values())
    assert all((request is None) == (output["raw"] == "") for request, output in zip(found, outputs, strict=True))
    return tuple(found)


def _keys(shape: Shape, crew: Crew, raws: list[str], requests: tuple[str | None, ...]) -> tuple[Key | None, ...]:
    """What an answer is found by: what the task is, what it reads, and how many equal ones stand before it."""
    counted: Counter[Key] = Counter()
    keys: list[Key | None] = []
    for at, (step, task) in enumerate(zip(shape.steps, crew.tasks, strict=True)):
        if requests[at] is None:
            keys.append(None)
            continue
        told = (_definition(step, task, shape, crew), _context(at, shape.steps, raws, requests))
        keys.append((*told, counted[told]))
        counted[told] += 1
    return tuple(keys)


def _definition(step: Step, task: Task, shape: Shape, crew: Crew) -> Key:
    at = step.worker % len(shape.workers)
    worker, team = shape.workers[at], list(zip(shape.workers, crew.agents, strict=True))
    others = tuple(_told(*pair, own_tools=True) for pair in team[:at] + team[at + 1 :]) if worker.delegates else None
    tools = step.tools or worker.tools
    return (task.description, tools, step.guardrail, _told(worker, crew.agents[at], own_tools=False), others)


def _told(worker: Worker, agent: Any, *, own_tools: bool) -> Key:
    return (agent.role, agent.goal, worker.temperature, worker.delegates, worker.tools if own_tools else None)


def _context(at: int, steps: tuple[Step, ...], raws: list[str], requests: tuple[str | None, ...]) -> str:
    context = steps[at].context
    if context is None:
        return "" if steps[at].is_async else DIVIDER.join(raws[:at])
    latest = [_latest(c, at, steps) for c in context]
    return DIVIDER.join(raws[c] for c in latest if c is not None and requests[c] is not None)


def _latest(meant: int, at: int, steps: tuple[Step, ...]) -> int | None:
    """The last place before `at` of the object that stands at `meant`; None if there is none yet."""
    same = steps[meant].again if steps[meant].again is not None else meant
    return max((c for c in range(at) if c == same or steps[c].again == same), default=None)


# The books.


@dataclass(eq=False)
class Kept:
    """One record: under which name it was made, and whether a person has edited it."""

    name: str
    raw: str
    forged: bool = False


@dataclass
class Books:
    """What may be served, by key; what each run showed, by task name; and the run that each row shows."""

    live: dict[Key, Kept] = field(default_factory=dict)
    runs: list[dict[str, Kept | None]] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    cleared: dict[str, int] = field(default_factory=dict)

    def shown(self, name: str) -> Kept | None:
        """The record that the row of this task shows."""
        return self.runs[self.rows[name]][name]

    def serves(self, key: Key | None) -> bool:
        """Whether there is an answer for this key that may be served."""
        return key is not None and key in self.live and not self.live[key].forged

    def expected(self, found: Scratch, forced: set[int]) -> set[int]:
        """The positions that have to execute."""
        return {at for at, key in enumerate(found.keys) if key and (at in forced or not self.serves(key))}

    def note(self, found: Scratch, names: list[str], executed: set[int], settled: set[int], failed: set[int]) -> None:
        """A run has executed some of what it has settled, and failed at others."""
        for at in executed:
            self.live[found.keys[at]] = Kept(names[at], found.outputs[at]["raw"])
        answers = {names[at]: self.live[key] if (key := found.keys[at]) else None for at in settled}
        self.runs.append({**answers, **{names[at]: None for at in failed}})
        self.rows.update(dict.fromkeys(self.runs[-1], len(self.runs) - 1))

    def retire(self, name: str) -> None:
        """What was recorded, or served, under this name, unless another name was given it since."""
        notes = [
            (other, kept)
            for at, run in enumerate(self.runs)
            for other, kept in run.items()
            if kept is not None and at >= self.cleared.get(other, 0)
        ]
        last = {id(kept): other for other, kept in notes}
        given = {id(kept) for other, kept in notes if other == name}
        for key, kept in list(self.live.items()):
            if (kept.name == name or id(kept) in given) and last.get(id(kept), name) == name:
                del self.live[key]

    def clear(self, name: str) -> None:
        """The row is deleted: what it showed is retired, and what its task did before is not looked at again."""
        self.retire(name)
        del self.rows[name]
        self.cleared[name] = len(self.runs)
