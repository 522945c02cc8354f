"""Random crews: the first run executes all, the second nothing; after edits, only what the plan named runs.

Set HYPOTHESIS_PROFILE=search for many more, random examples.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crewai import Agent, Crew, Task
from crewai.tasks.conditional_task import ConditionalTask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crew_repo import StateRepository
from tests.models import PromptModel
from tests.plain import kickoff

_COMMON: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("crews", max_examples=30, derandomize=True, database=None, **_COMMON)
settings.register_profile(
    "search", max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "500")), print_blob=True, database=None, **_COMMON
)
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "crews"))

VARIABLES = ("claim", "adjuster", "line")


@dataclass(frozen=True)
class Step:
    """One task. `context` is None for unspecified, else positions of earlier tasks."""

    text: str
    name: str | None
    agent: int
    context: tuple[int, ...] | None
    is_async: bool
    condition: str | None


@dataclass(frozen=True)
class Shape:
    """One crew and its inputs."""

    steps: tuple[Step, ...]
    goals: tuple[str, ...]
    inputs: tuple[tuple[str, str], ...]


texts = st.builds(
    lambda kind, variables: " ".join([kind, *(f"{{{name}}}" for name in variables)]),
    st.sampled_from(["sum up", "judge", "say yes [constant]", "sort [coin]"]),
    st.lists(st.sampled_from(VARIABLES), max_size=3, unique=True),
)


@st.composite
def steps(draw: st.DrawFn, count: int, agents: int) -> tuple[Step, ...]:
    """Tasks that CrewAI accepts: at most the last is async, or conditional and not first."""
    made = []
    for at in range(count):
        context = draw(
            st.none() | st.lists(st.integers(0, at - 1), max_size=3).map(tuple) if at else st.none() | st.just(())
        )
        condition = draw(st.sampled_from([None, None, None, "1", "a"])) if at else None
        is_async = condition is None and at == count - 1 and draw(st.booleans())
        name = draw(st.none() | st.sampled_from([f"step-{at}", "same"]))
        made.append(Step(draw(texts), name, draw(st.integers(0, agents - 1)), context, is_async, condition))
    if draw(st.booleans()):
        made.append(replace(made[0], condition=None, is_async=False, context=draw(st.sampled_from([None, ()]))))
        made[-2] = replace(made[-2], is_async=False)
    return tuple(made)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """A crew of two to seven tasks and one to three agents."""
    goals = tuple(draw(st.lists(st.sampled_from(["be right", "be quick", "help {adjuster}"]), min_size=1, max_size=3)))
    made = draw(steps(draw(st.integers(2, 6)), len(goals)))
    return Shape(made, goals, tuple((name, draw(st.sampled_from("xy"))) for name in VARIABLES))


def edited(draw: st.DrawFn, shape: Shape) -> Shape:
    """One edit; contexts keep pointing to earlier tasks."""
    kind = draw(st.sampled_from(["input", "text", "goal", "rename", "swap", "insert", "remove"]))
    some, at = list(shape.steps), draw(st.integers(0, len(shape.steps) - 1))
    if kind == "input":
        changed = draw(st.sampled_from(VARIABLES))
        return replace(shape, inputs=tuple((n, "z" if n == changed else v) for n, v in shape.inputs))
    if kind == "goal":
        return replace(shape, goals=("be brief", *shape.goals[1:]))
    if kind == "text":
        some[at] = replace(some[at], text=draw(texts))
    elif kind == "rename":
        some[at] = replace(some[at], name=draw(st.sampled_from([None, "renamed", "same"])))
    elif kind == "swap":
        some[0], some[1] = some[1], some[0]
    elif kind == "insert":
        some.insert(at, Step("look again", None, 0, (), False, None))
    elif len(some) > 2:
        del some[at]
    return replace(shape, steps=tuple(_valid(some)))


def _valid(some: list[Step]) -> list[Step]:
    last = len(some) - 1
    return [
        replace(
            step,
            context=None if step.context is None else tuple(sorted({c for c in step.context if c < at})),
            condition=step.condition if at else None,
            is_async=step.is_async and at == last,
        )
        for at, step in enumerate(some)
    ]


def answer(prompt: str) -> str:
    """A digest of the prompt; a constant, or one of two, where the task says so: then downstream may stay fresh."""
    digest = hashlib.sha256(prompt.encode()).hexdigest()
    current = prompt.rpartition("Current Task:")[2].partition("expected criteria")[0]
    if "[constant]" in current:
        return "yes"
    return f"coin {int(digest, 16) % 2}" if "[coin]" in current else f"answer {digest[:8]}"


def new_model() -> PromptModel:
    """A model that answers so."""
    return PromptModel(model="m", script={"": answer})


def build(shape: Shape, model: PromptModel) -> Crew:
    """The crew."""
    agents = [Agent(role=f"R{n}", goal=goal, backstory="b", llm=model) for n, goal in enumerate(shape.goals)]
    tasks: list[Task] = []
    for step in shape.steps:
        members: dict[str, Any] = {"agent": agents[step.agent], "async_execution": step.is_async, "name": step.name}
        if step.context is not None:
            members["context"] = [tasks[at] for at in step.context]
        cls: type[Task] = Task
        if step.condition is not None:
            cls, wanted = ConditionalTask, step.condition
            members["condition"] = lambda output, wanted=wanted: wanted in output.raw
        tasks.append(cls(description=step.text, expected_output="a word", **members))
    return Crew(agents=agents, tasks=tasks)


def raws(result: Any) -> list[str]:
    """What the tasks said."""
    return [output.raw for output in result.tasks_output]


def from_scratch(shape: Shape) -> list[str]:
    """What a plain kickoff says."""
    return raws(kickoff(build(shape, new_model()), dict(shape.inputs)))


def check_planned(repo: StateRepository, shape: Shape, model: PromptModel) -> None:
    """Plan and run agree, and the outputs are those of a kickoff from scratch."""
    expected = from_scratch(shape)
    crew = build(shape, model)
    plan = repo.plan(crew, dict(shape.inputs))
    model.forget()
    result = repo.run(crew, dict(shape.inputs))
    assert raws(result) == expected
    assert not Counter(result.run.executed) - Counter([*plan.stale, *plan.missing, *plan.may_rerun])
    assert not set(result.run.executed) & set(plan.fresh)
    assert len(model.calls) == len(result.run.executed)


@PROFILE
@given(shape=shapes(), data=st.data())
def test_runs_keep_what_plans_promise(shape: Shape, data: st.DataObject):
    """First all, then nothing; after each edit, and after changing back, only what the plan named."""
    with tempfile.TemporaryDirectory() as folder, StateRepository(Path(folder) / "s.db") as repo:
        model, expected = new_model(), from_scratch(shape)
        first = repo.run(build(shape, model), dict(shape.inputs))
        skipped = sum(1 for output in first.tasks_output if output.raw == "")
        assert raws(first) == expected
        assert len(first.run.executed) == len(model.calls) == len(shape.steps) - skipped
        model.forget()
        again = repo.run(build(shape, model), dict(shape.inputs))
        assert (again.run.executed, model.calls, raws(again)) == ([], [], expected)
        current = shape
        for _ in range(data.draw(st.integers(1, 3))):
            current = edited(data.draw, current)
            check_planned(repo, current, model)
        model.forget()
        back = repo.run(build(shape, model), dict(shape.inputs))
        assert (back.run.executed, model.calls, raws(back)) == ([], [], expected)


@settings(PROFILE, max_examples=10)
@given(shape=shapes(), data=st.data())
def test_a_plan_is_inert(shape: Shape, data: st.DataObject):
    """A plan calls no model, and leaves crew and file as they were."""
    with tempfile.TemporaryDirectory() as folder:
        file, model = Path(folder) / "s.db", new_model()
        with StateRepository(file) as repo:
            repo.run(build(shape, model), dict(shape.inputs))
        with StateRepository(file) as repo:
            changed = edited(data.draw, shape)
            crew = build(changed, model)
            model.forget()
            before, dumped = file.read_bytes(), repr(crew.model_dump())
            print(repo.plan(crew, dict(changed.inputs)), file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
            assert (model.calls, repr(crew.model_dump()), file.read_bytes()) == ([], dumped, before)
