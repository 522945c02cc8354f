"""The crews of the mode matrix: every way that CrewAI has to run one, each as a function of a model.

A mode gives a crew, its inputs, the same inputs with one changed, and the marks of the tasks that must then run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
from crewai import Agent, Crew, Process, Task
from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource
from crewai.rag.embeddings.providers.custom.custom_provider import CustomProvider
from crewai.rag.embeddings.providers.custom.embedding_callable import CustomEmbeddingFunction
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tools import BaseTool, tool
from pydantic import BaseModel, Field

from tests.models import PromptModel


@dataclass(frozen=True)
class Mode:
    """One way to run a crew."""

    build: Callable[[PromptModel], Crew]
    inputs: Mapping[str, Any] | None
    changed: Mapping[str, Any] | None
    rerun: tuple[str, ...]


MODES: dict[str, Mode] = {}


def mode(inputs: Any, changed: Any, *rerun: str) -> Callable[[Callable[[PromptModel], Crew]], Any]:
    """Register a mode under its function's name."""

    def register(build: Callable[[PromptModel], Crew]) -> Callable[[PromptModel], Crew]:
        MODES[build.__name__] = Mode(build, inputs, changed, rerun)
        return build

    return register


def agent(model: PromptModel, role: str = "Analyst", **members: Any) -> Agent:
    """An agent with the texts that nobody cares about."""
    return Agent(**{"role": role, "goal": "be right", "backstory": "long in the trade", "llm": model, **members})


def task(mark: str, text: str, worker: Agent | None, *, cls: type[Task] = Task, **members: Any) -> Task:
    """A task whose prompts carry `<<mark>>`."""
    members = {"name": mark, "expected_output": "a sentence", "agent": worker, **members}
    return cls(description=f"<<{mark}>> {text}", **members)


NOTES = {"notes": "hail on 3 May", "adjuster": "Ada"}
NEW_NOTES = {"notes": "hail on 4 May", "adjuster": "Ada"}
NEW_ADJUSTER = {"notes": "hail on 3 May", "adjuster": "Bo"}


@mode(NOTES, NEW_NOTES, "analyze", "draft")
def sequential_unspecified_context(model: PromptModel) -> Crew:
    worker = agent(model)
    return Crew(agents=[worker], tasks=[task("analyze", "{notes}", worker), task("draft", "for {adjuster}", worker)])


@mode(NOTES, NEW_ADJUSTER, "draft")
def sequential_last_input(model: PromptModel) -> Crew:
    return sequential_unspecified_context(model)


@mode(NOTES, NEW_NOTES, "analyze", "draft")
def context_list(model: PromptModel) -> Crew:
    worker = agent(model)
    one, two = task("analyze", "{notes}", worker), task("other", "for {adjuster}", worker, context=[])
    return Crew(agents=[worker], tasks=[one, two, task("draft", "write", worker, context=[one, one])])


@mode(NOTES, NEW_NOTES, "analyze")
def context_none_and_empty(model: PromptModel) -> Crew:
    worker = agent(model)
    none = task("none", "alone", worker, context=None)
    return Crew(agents=[worker], tasks=[task("analyze", "{notes}", worker), none, task("empty", "a", worker, context=[])])


@mode(NOTES, NEW_NOTES, "analyze", "draft")
def context_outside_the_crew(model: PromptModel) -> Crew:
    worker = agent(model)
    outside = task("outside", "elsewhere", worker)
    one = task("analyze", "{notes}", worker)
    return Crew(agents=[worker], tasks=[one, task("draft", "write", worker, context=[outside, one])])


@mode(NOTES, NEW_NOTES, "screen", "draft")
def async_tasks_and_join(model: PromptModel) -> Crew:
    a, b = agent(model, "A"), agent(model, "B")
    tasks = [
        task("screen", "{notes}", a, async_execution=True),
        task("check", "for {adjuster}", b, async_execution=True),
        task("draft", "write", a),
    ]
    return Crew(agents=[a, b], tasks=tasks)


@mode(NOTES, NEW_NOTES, "screen")
def async_last(model: PromptModel) -> Crew:
    a, b = agent(model, "A"), agent(model, "B")
    return Crew(
        agents=[a, b],
        tasks=[task("check", "for {adjuster}", b), task("screen", "{notes}", a, async_execution=True)],
    )


@mode(NOTES, NEW_NOTES, "analyze", "escalate", "draft")
def conditional_that_runs(model: PromptModel) -> Crew:
    worker = agent(model)
    escalate = task("escalate", "call", worker, cls=ConditionalTask, condition=lambda output: "answer" in output.raw)
    return Crew(agents=[worker], tasks=[task("analyze", "{notes}", worker), escalate, task("draft", "w", worker)])


@mode(NOTES, NEW_NOTES, "analyze", "draft")
def conditional_that_is_skipped(model: PromptModel) -> Crew:
    worker = agent(model)
    escalate = task("escalate", "call", worker, cls=ConditionalTask, condition=lambda output: "fire" in output.raw)
    return Crew(agents=[worker], tasks=[task("analyze", "{notes}", worker), escalate, task("draft", "w", worker)])


@mode(NOTES, NEW_NOTES, "analyze", "draft")
def hierarchical_with_manager_llm(model: PromptModel) -> Crew:
    worker = agent(model)
    return Crew(
        agents=[worker, agent(model, "Other")],
        tasks=[task("analyze", "{notes}", worker), task("draft", "for {adjuster}", worker)],
        process=Process.hierarchical,
        manager_llm=model,
    )


@mode(NOTES, NEW_ADJUSTER, "draft")
def hierarchical_with_manager_agent(model: PromptModel) -> Crew:
    worker = agent(model)
    return Crew(
        agents=[worker],
        tasks=[task("analyze", "{notes}", None), task("draft", "for {adjuster}", worker)],
        process=Process.hierarchical,
        manager_agent=agent(model, "Boss", allow_delegation=True),
    )


LOOKED_UP: list[str] = []


@tool("lookup")
def lookup(policy: str) -> str:
    """Look a policy up."""
    LOOKED_UP.append(policy)
    return f"policy {policy} is in force"


class Calculator(BaseTool):
    name: str = "calculator"
    description: str = "Adds one."
    step: int = 1
    uses: int = 0

    def _run(self, number: int) -> str:
        self.uses += 1
        return str(int(number) + self.step)


@mode(NOTES, NEW_NOTES, "analyze", "draft")
def tools_function_and_class(model: PromptModel) -> Crew:
    worker = agent(model, tools=[lookup, Calculator()])
    return Crew(agents=[worker], tasks=[task("analyze", "{notes}", worker), task("draft", "x", worker, tools=[lookup])])


class Party(BaseModel):
    name: str
    born: date | None = None


class Coverage(BaseModel):
    covered: bool
    amount: Decimal = Field(alias="sumInsured")
    parties: list[Party] = []
    note: str | None = None


COVERAGE = '{"covered": true, "sumInsured": "12.50", "parties": [{"name": "Ada", "born": "1970-01-02"}]}'


@mode(NOTES, NEW_NOTES, "check")
def output_pydantic(model: PromptModel) -> Crew:
    model.script = {"<<check>>": COVERAGE}
    worker = agent(model)
    check = task("check", "{notes}", worker, output_pydantic=Coverage)
    return Crew(agents=[worker], tasks=[check, task("draft", "write", worker)])


@mode(NOTES, NEW_NOTES, "check")
def output_json_in_the_middle(model: PromptModel) -> Crew:
    model.script = {"<<check>>": '{"name": "Ada", "born": "1970-01-02"}'}
    worker = agent(model)
    check = task("check", "{notes}", worker, output_json=Party)
    return Crew(agents=[worker], tasks=[check, task("draft", "write", worker)])


def not_empty(output: Any):
    """A guardrail that lets everything pass, changed."""
    return True, output.raw + " (checked)"


@mode(NOTES, NEW_NOTES, "analyze", "draft")
def guardrail_that_replaces(model: PromptModel) -> Crew:
    worker = agent(model)
    return Crew(
        agents=[worker],
        tasks=[task("analyze", "{notes}", worker, guardrail=not_empty), task("draft", "x", worker)],
    )


@mode(NOTES, NEW_NOTES, "analyze", "draft")
def guardrail_list(model: PromptModel) -> Crew:
    worker = agent(model)
    guardrails = [not_empty, lambda output: (True, output.raw)]
    return Crew(
        agents=[worker],
        tasks=[task("analyze", "{notes}", worker, guardrails=guardrails), task("draft", "x", worker)],
    )


@mode(NOTES, NEW_NOTES, "analyze")
def output_file_with_variables(model: PromptModel) -> Crew:
    worker = agent(model)
    return Crew(
        agents=[worker],
        tasks=[
            task("analyze", "{notes}", worker, output_file="out/{adjuster}/note.md", markdown=True),
            task("draft", "x", worker, context=[]),
        ],
    )


@mode(None, None)
def no_inputs(model: PromptModel) -> Crew:
    worker = agent(model)
    return Crew(agents=[worker], tasks=[task("analyze", 'give JSON like {"a": 1}', worker), task("draft", "x", worker)])


@mode(NOTES, NEW_NOTES, "#1", "#2")
def unnamed_tasks(model: PromptModel) -> Crew:
    worker = agent(model)
    tasks = [task("#1", "{notes}", worker, name=None), task("#2", "x", worker, name=None)]
    return Crew(agents=[worker], tasks=tasks)


@mode(NOTES, NEW_ADJUSTER, "analyze", "draft")
def input_only_in_an_agent(model: PromptModel) -> Crew:
    worker = agent(model, goal="help {adjuster}\n", backstory="{adjuster} taught me", role="Clerk\n")
    return Crew(agents=[worker], tasks=[task("analyze", "{notes}", worker), task("draft", "x", worker)])


@mode(NOTES, {**NOTES, "unused": "now"})
def an_input_that_nobody_reads(model: PromptModel) -> Crew:
    worker = agent(model)
    return Crew(agents=[worker], tasks=[task("analyze", "{notes}", worker), task("draft", "{adjuster}", worker)])


@mode(NOTES, NEW_NOTES, "analyze", "draft")
def delegation_between_coworkers(model: PromptModel) -> Crew:
    a, b = agent(model, "A", allow_delegation=True), agent(model, "B")
    return Crew(agents=[a, b], tasks=[task("analyze", "{notes}", a), task("draft", "x", b)])


@mode({"crewai_trigger_payload": "mail 1"}, {"crewai_trigger_payload": "mail 2"}, "analyze", "draft")
def trigger_payload(model: PromptModel) -> Crew:
    worker = agent(model)
    return Crew(agents=[worker], tasks=[task("analyze", "read", worker), task("draft", "x", worker)])


def rewrite(inputs: Any) -> Any:
    """A before-kickoff callback that adds what the templates need."""
    return {**inputs, "subject": f"claim: {inputs['notes']}"}


@mode(NOTES, NEW_NOTES, "analyze", "draft")
def before_kickoff_that_rewrites(model: PromptModel) -> Crew:
    worker = agent(model)
    return Crew(
        agents=[worker],
        tasks=[task("analyze", "{subject}", worker), task("draft", "x", worker)],
        before_kickoff_callbacks=[rewrite],
    )


class LengthEmbedding(CustomEmbeddingFunction):
    """An embedding that needs no network: texts of like length are alike."""

    def __init__(self) -> None: ...

    def __call__(self, input: list[str]) -> Any:
        return [np.array([len(text), 1.0], dtype=np.float32) for text in input]

    @staticmethod
    def name() -> str:
        return "length"

    def get_config(self) -> dict[str, Any]:
        return {}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> LengthEmbedding:
        return LengthEmbedding()


TERMS = "Hail is covered up to 5,000."


@mode(NOTES, NEW_NOTES, "analyze", "draft")
def knowledge(model: PromptModel) -> Crew:
    """A source of the crew and one of the agent, embedded and searched in CrewAI's own vector store."""
    embedder = CustomProvider(embedding_callable=LengthEmbedding)
    worker = agent(model, knowledge_sources=[StringKnowledgeSource(content="Ada decides alone.")], embedder=embedder)
    tasks = [task("analyze", "{notes}", worker), task("draft", "for {adjuster}", worker)]
    return Crew(agents=[worker], tasks=tasks, knowledge_sources=[StringKnowledgeSource(content=TERMS)], embedder=embedder)
