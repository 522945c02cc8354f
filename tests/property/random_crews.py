"""Random crews as plain data: what hypothesis draws and edits, and how a crew is built of it.

A Shape says everything of a crew; two equal shapes give two equal crews. `tidy` makes of any shape one that CrewAI
accepts, so that every edit of a valid shape is valid again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from crewai import Agent, Crew, Task
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tools import BaseTool, tool
from hypothesis import strategies as st

from tests.plain import JOINS_FORGET

VARIABLES = ("claim", "line")
VALUES = ("x", 1, "1", "{line}")
TOOLS = ((), ("look",), ("look", "count"), ("count", "look"), ("limit 1",), ("limit 2",))


@dataclass(frozen=True)
class Worker:
    """One agent; each has a model object of its own."""

    role: str
    goal: str
    temperature: float | None = None
    tools: tuple[str, ...] = ()
    delegates: bool = False


@dataclass(frozen=True)
class Step:
    """One task. `context`: None for unspecified, else positions before it. `again`: the very object at that position."""

    text: str
    name: str | None = None
    worker: int = 0
    context: tuple[int, ...] | None = None
    is_async: bool = False
    condition: str | None = None
    tools: tuple[str, ...] = ()
    guardrail: str | None = None
    again: int | None = None


@dataclass(frozen=True)
class Shape:
    """One crew and its inputs."""

    steps: tuple[Step, ...]
    workers: tuple[Worker, ...]
    inputs: tuple[tuple[str, Any], ...]


# Drawing.

texts = st.builds(
    lambda kind, variables: " ".join([kind, *(f"{{{name}}}" for name in variables)]),
    st.sampled_from(["judge", "judge", "say yes [constant]", "sort [coin]"]),
    st.sampled_from([(), (), *[(name,) for name in VARIABLES]]),
)
names = st.sampled_from([None, None, "one", "two", "task-02"])
conditions = st.sampled_from([None, None, None, "1", "a", "no such thing"])
guardrails = st.sampled_from([None, None, None, "", "!"])
workers = st.builds(
    Worker,
    st.sampled_from(["Clerk", "Clerk", "Judge", "Clerk of {claim}"]),
    st.sampled_from(["be right", "be quick", "help {claim}"]),
    st.sampled_from([None, 0.0, 0.5]),
    st.sampled_from([(), (), *TOOLS]),
    st.sampled_from([False, False, False, True]),
)


@st.composite
def steps(draw: st.DrawFn, at: int, before: Sequence[Step], count: int) -> Step:
    """A task at this place; now and then an equal one, or the same object again."""
    if before and draw(st.integers(0, 3)) == 0:
        twin = replace(draw(st.sampled_from(before)), again=None)
        return replace(twin, name=draw(names), condition=draw(conditions), is_async=draw(st.booleans()))
    return Step(
        text=draw(texts),
        name=draw(names),
        worker=draw(st.integers(0, count - 1)),
        context=draw(contexts(at)),
        is_async=draw(st.sampled_from([False, True])),
        condition=draw(conditions),
        tools=draw(st.sampled_from([(), (), (), *TOOLS])),
        guardrail=draw(guardrails),
        again=draw(st.integers(0, at - 1)) if at and draw(st.integers(0, 12)) == 0 else None,
    )


def contexts(at: int) -> st.SearchStrategy[tuple[int, ...] | None]:
    """Unspecified, empty, or a list of tasks before this place, in any order, some twice."""
    listed = st.lists(st.integers(0, at - 1), min_size=1, max_size=3).map(tuple) if at else st.just(())
    return st.none() | st.just(()) | listed


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """A crew of two to five tasks and one to three agents."""
    team = tuple(draw(st.lists(workers, min_size=1, max_size=3)))
    made: list[Step] = []
    for at in range(draw(st.integers(2, 5))):
        made.append(draw(steps(at, made, len(team))))
    inputs = tuple((name, draw(st.sampled_from(VALUES))) for name in VARIABLES)
    return tidy(Shape(tuple(made), team, inputs))


# Editing.


def edited(draw: st.DrawFn, shape: Shape) -> Shape:
    """The same with one thing changed."""
    edit = draw(st.sampled_from([_edit_input, _edit_worker, _edit_step, _edit_step, _edit_order, _edit_order]))
    return tidy(edit(draw, shape))


def _edit_input(draw: st.DrawFn, shape: Shape) -> Shape:
    changed, value = draw(st.sampled_from(VARIABLES)), draw(st.sampled_from(VALUES))
    return replace(shape, inputs=tuple((name, value if name == changed else old) for name, old in shape.inputs))


def _edit_worker(draw: st.DrawFn, shape: Shape) -> Shape:
    at = draw(st.integers(0, len(shape.workers)))
    if at == len(shape.workers):
        return replace(shape, workers=(*shape.workers, draw(workers)))
    other, field = draw(workers), draw(st.sampled_from(list(Worker.__dataclass_fields__)))
    changed = replace(shape.workers[at], **{field: getattr(other, field)})
    return replace(shape, workers=(*shape.workers[:at], changed, *shape.workers[at + 1 :]))


def _edit_step(draw: st.DrawFn, shape: Shape) -> Shape:
    at = draw(st.integers(0, len(shape.steps) - 1))
    other, field = draw(steps(at, (), len(shape.workers))), draw(st.sampled_from(list(Step.__dataclass_fields__)))
    changed = replace(shape.steps[at], **{field: getattr(other, field)})
    return replace(shape, steps=(*shape.steps[:at], changed, *shape.steps[at + 1 :]))


def _edit_order(draw: st.DrawFn, shape: Shape) -> Shape:
    """Swap, move, insert or remove: positions in contexts follow the tasks that they mean."""
    order: list[int] = list(range(len(shape.steps)))
    at, to = draw(st.integers(0, len(order) - 1)), draw(st.integers(0, len(order) - 1))
    kind = draw(st.sampled_from(["swap", "move", "insert", "remove"]))
    if kind == "insert" and len(order) < 6:
        added = draw(steps(at, shape.steps[:at], len(shape.workers)))
        shape = replace(shape, steps=(*shape.steps, replace(added, context=None if added.context is None else ())))
        order.insert(at, len(order))
    elif kind == "swap":
        order[at], order[to] = order[to], order[at]
    elif kind == "move":
        order.insert(to, order.pop(at))
    elif len(order) > 2:
        del order[at]
    return replace(shape, steps=tuple(_moved(shape.steps[old], order) for old in order))


def _moved(step: Step, order: list[int]) -> Step:
    """With its references at the new places of what they mean; what is gone is left out."""
    place = {old: new for new, old in enumerate(order)}
    context = None if step.context is None else tuple(place[old] for old in step.context if old in place)
    return replace(step, context=context, again=place.get(step.again) if step.again is not None else None)


# What CrewAI accepts.


def tidy(shape: Shape) -> Shape:
    """The nearest shape that CrewAI accepts, and in which no agent works on two tasks at the same time."""
    made: list[Step] = []
    for at, step in enumerate(shape.steps):
        made.append(_tidy_step(at, step, made))
    made = [_without_unreadable(at, step, made) for at, step in enumerate(made)]
    while len(made) > 1 and made[-1].is_async and made[-2].is_async:
        made[-2] = replace(made[-2], is_async=False)
    if JOINS_FORGET:
        made[-1] = replace(made[-1], is_async=False)
    return replace(shape, steps=tuple(made))


def _tidy_step(at: int, step: Step, before: Sequence[Step]) -> Step:
    if step.again is not None:
        meant = before[step.again] if step.again < at else None
        if meant is None or meant.again is not None or meant.is_async or meant.condition is not None:
            return _tidy_step(at, replace(step, again=None), before)
        return replace(meant, again=step.again)
    context = None if step.context is None else tuple(c for c in step.context if c < at)
    running = pending(before)
    condition = step.condition if at and not (JOINS_FORGET and running) else None
    is_async = step.is_async and condition is None and all(before[other].worker != step.worker for other in running)
    if JOINS_FORGET:  # then only async tasks at the beginning, joined by a task without a condition, lose nothing
        is_async = is_async and all(other.is_async for other in before)
    if is_async and context:
        context = tuple(c for c in context if c not in running)
    return replace(step, context=context, condition=condition, is_async=is_async)


def pending(before: Sequence[Step]) -> list[int]:
    """The async tasks that have not been joined after these."""
    last = next((at for at in reversed(range(len(before))) if not before[at].is_async), -1)
    return list(range(last + 1, len(before)))


def _without_unreadable(at: int, step: Step, made: Sequence[Step]) -> Step:
    """CrewAI takes a task that comes again later for one of the future."""
    if step.context is None:
        return step
    later = {other.again for other in made[at + 1 :]}
    own = step.again if step.again is not None else at
    keep = tuple(c for c in step.context if own == c or not ({c, made[c].again} - {None}) & later)
    return replace(step, context=keep)


# Building.


@tool("look")
def look(policy: str) -> str:
    """Look a policy up."""
    return f"found {policy}"


@tool("count")
def count(things: str) -> str:
    """Count things."""
    return str(len(things))


class Limit(BaseTool):
    """A tool with a setting that its definition does not show."""

    name: str = "limit"
    description: str = "Says up to how much."
    amount: int = 1

    def _run(self, policy: str) -> str:
        return str(self.amount)


def tools_of(given: tuple[str, ...]) -> list[Any]:
    """The tools of these names."""
    made = {"look": look, "count": count, "limit 1": Limit(amount=1), "limit 2": Limit(amount=2)}
    return [made[name] for name in given]


def guardrail_of(mark: str) -> Any:
    """A guardrail that lets everything pass, with a mark at its end."""

    def passes(output):
        return True, output.raw + mark

    return passes


def build(shape: Shape, new_model: Any, agent_class: type[Agent] = Agent) -> Crew:
    """The crew. `new_model(temperature)` gives the model of an agent."""
    team = [
        agent_class(
            role=worker.role, goal=worker.goal, backstory="b", llm=new_model(worker.temperature),
            tools=tools_of(worker.tools), allow_delegation=worker.delegates, max_retry_limit=0,
        )
        for worker in shape.workers
    ]  # fmt: skip
    tasks: list[Task] = []
    for step in shape.steps:
        tasks.append(tasks[step.again] if step.again is not None else _task(step, team, tasks))
    return Crew(agents=team, tasks=tasks)


def _task(step: Step, team: Sequence[Agent], before: Sequence[Task]) -> Task:
    members: dict[str, Any] = {"agent": team[step.worker % len(team)], "name": step.name, "expected_output": "a word"}
    if step.context is not None:
        members["context"] = [before[at] for at in step.context]
    if step.tools:
        members["tools"] = tools_of(step.tools)
    if step.guardrail is not None:
        members["guardrail"] = guardrail_of(step.guardrail)
    if step.condition is None:
        return Task(description=step.text, async_execution=step.is_async, **members)
    wanted = step.condition
    return ConditionalTask(description=step.text, condition=lambda output: wanted in output.raw, **members)
