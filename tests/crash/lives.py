"""What the processes of these tests do, until they are done or killed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from crewai import LLM, Agent, Crew, Task

from crew_repo import StateRepository
from tests.crash.server import answer_to

__all__ = ["TASKS", "build", "expected", "inputs_of", "live_batch", "live_one_by_one", "live_opening"]

TASKS = ("extract", "check", "draft")


def build(base_url: str) -> Crew:
    """Three tasks in a chain, on CrewAI's own OpenAI client."""
    llm = LLM(model="openai/gpt-4o-mini", base_url=base_url, api_key="x")
    worker = Agent(role="Adjuster", goal="be right", backstory="long in the trade", llm=llm)
    tasks = [
        Task(name=name, description=f"<<{name}>> claim {{claim}}", expected_output="a sentence", agent=worker)
        for name in TASKS
    ]
    return Crew(name="claims", agents=[worker], tasks=tasks)


def inputs_of(claims: Sequence[str]) -> list[dict[str, str]]:
    """One set of inputs per claim."""
    return [{"claim": claim} for claim in claims]


def expected(claims: Sequence[str]) -> list[str]:
    """What a batch of these claims must give."""
    return [answer_to(claim, TASKS[-1]) for claim in claims]


def live_batch(url: str, base_url: str, claims: Sequence[str], workers: int = 2) -> None:
    """One batch with threads."""
    with StateRepository(url) as repo:
        results = repo.run_for_each(
            partial(build, base_url), inputs_of(claims), workflow_ids=list(claims), max_workers=workers
        )
    assert [result.raw for result in results] == expected(claims)


def live_one_by_one(url: str, base_url: str, claims: Sequence[str]) -> None:
    """A run for each claim, one after the other, each with its kickoff."""
    crew = build(base_url)
    with StateRepository(url, verbose=False) as repo:
        raws = [repo.run(crew, inputs, workflow_id=inputs["claim"]).raw for inputs in inputs_of(claims)]
    assert raws == expected(claims)


def live_opening(url: str, *_: Any) -> None:
    """Only opens the state, and so migrates it."""
    StateRepository(url).close()
