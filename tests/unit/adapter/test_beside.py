"""Code that CrewAI calls beside the work: what alters an answer counts, what only looks does not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from crewai import Agent, Crew, Task, hooks

from crew_repo.adapter.describing.beside import add_callbacks, add_hooks
from crew_repo.adapter.describing.components import Parts
from crew_repo.code import alters
from tests.models import PromptModel

SEEN: list[str] = []


def edit(output: Any) -> None:
    output.raw = output.raw.strip()


def edit_otherwise(output: Any) -> None:
    output.raw = output.raw.upper()


def hand_on(output: Any) -> None:
    edit(output)


def fill(context: Any) -> None:
    context.messages.append({"role": "user", "content": "be brief"})


def look(output: Any) -> None:
    SEEN.append(output.raw)
    len(output.raw.strip())


class Counting:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, output: Any) -> None:
        self.count += 1

    def see(self, output: Any) -> None:
        self.count += len(output.raw)

    def change(self, output: Any) -> None:
        output.raw = str(self.count)


@pytest.mark.parametrize(
    "function", [edit, hand_on, fill, Counting().change, partial(edit), lambda output: setattr(output, "raw", "")]
)
def test_code_that_changes_what_it_is_given_alters_it(function: Any) -> None:
    """By itself, or through a function that it hands it to."""
    assert alters(function)


@pytest.mark.parametrize("function", [look, Counting(), Counting().see, print, SEEN.append])
def test_code_that_only_looks_alters_nothing(function: Any) -> None:
    """It may count, log or keep what it has seen."""
    assert not alters(function)


def test_an_answer_alters_if_answers_count() -> None:
    """A hook that gives None or True lets all be as it is."""
    assert not alters(agree, by_answer=True)
    assert alters(give, by_answer=True)
    assert not alters(give)


def agree(context: Any) -> Any:
    if context is None:
        return None
    return True


def give(context: Any) -> str:
    return "better"


@pytest.fixture
def no_hooks() -> Iterator[None]:
    hooks.clear_all_global_hooks()
    yield
    hooks.clear_all_global_hooks()


def crew_of(**task: Any) -> Crew:
    agent = Agent(role="Clerk", goal="Answer", backstory="Long", llm=PromptModel(model="prompt"))
    return Crew(agents=[agent], tasks=[Task(description="d", expected_output="e", agent=agent, **task)])


def described(crew: Crew) -> dict[str, str]:
    parts = Parts()
    add_hooks(parts, crew)
    add_callbacks(parts, crew, crew.tasks[0])
    assert not parts.definition().opaque
    return {component.path: component.sha256 for component in parts.definition().components}


def test_a_callback_that_edits_the_output_counts(no_hooks) -> None:
    """The tasks that read it are sent what it has made of it. The crew's is set on the task, too, by a kickoff."""
    one, two = described(crew_of(callback=edit)), described(crew_of(callback=edit_otherwise))
    assert list(one) == list(two) == ["callback"]
    assert one != two
    assert described(crew_of(callback=look)) == {}
    crew = crew_of()
    crew.task_callback = edit
    assert described(crew) == one
    crew.tasks[0].callback = edit
    assert described(crew) == one


def test_a_hook_that_alters_calls_counts(no_hooks) -> None:
    """Whether it changes the messages or answers with others; one that only looks does not, nor does its removal."""
    hooks.register_before_llm_call_hook(look)
    assert described(crew_of()) == {}
    hooks.register_before_llm_call_hook(fill)
    hooks.register_after_tool_call_hook(give)
    assert list(described(crew_of())) == ["hook:before_llm_call", "hook:after_tool_call"]


def test_a_hook_for_some_agents_counts(no_hooks) -> None:
    """CrewAI wraps it."""
    hooks.before_llm_call(agents=["Clerk"])(fill)
    assert list(described(crew_of())) == ["hook:before_llm_call"]


def test_a_function_in_the_place_of_a_method_of_crewais_counts(no_hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever replaces `Task.prompt` sends other prompts."""
    monkeypatch.setattr(Task, "prompt", lambda self: "one")
    one = described(crew_of())
    monkeypatch.setattr(Task, "prompt", lambda self: "two")
    assert list(one) == ["replaced:Task.prompt"]
    assert described(crew_of()) != one
    monkeypatch.undo()
    assert described(crew_of()) == {}
