"""The oracle: whatever reaches a model, or acts otherwise, makes a task stale and is named; nothing else does.

Each field of CrewAI's models is mutated (see `mutations`). A plain kickoff of the base and of the mutant shows whether
the bytes that a model is sent differ; a plan of the mutant, after the base was run, must agree.
What no field shows is changed in `kinds`, and judged by a run: what it sends and gives.
Every cell asserts itself, in whatever process it runs; `tests/conftest.py` counts them at the end of the session.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from crewai import LLM, Agent, Crew, Task
from crewai.knowledge import knowledge
from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource
from crewai.knowledge.source.text_file_knowledge_source import TextFileKnowledgeSource
from crewai.llms.base_llm import BaseLLM
from crewai.llms.providers.openai.completion import OpenAICompletion
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tools.base_tool import BaseTool, Tool
from pydantic import BaseModel

from tests.property import kinds
from tests.property.judging import Oracle, ShelfOfTexts
from tests.property.mutations import MUTATIONS, UNCHANGEABLE, Mutation
from tests.property.recording import endpoint

MODELS: dict[str, tuple[type[BaseModel], ...]] = {
    "task": (Task, ConditionalTask),
    "agent": (Agent,),
    "crew": (Crew,),
    "llm": (BaseLLM, OpenAICompletion, LLM),
    "tool": (BaseTool, Tool),
    "knowledge": (StringKnowledgeSource, TextFileKnowledgeSource),
}
FIELDS = sorted({(owner, name) for owner, models in MODELS.items() for model in models for name in model.model_fields})
# What another CrewAI lacks cannot be changed there.
NOT_EVERYWHERE = {
    ("task", "i18n"),  # until 1.13
    *((owner, "tool_failure_policy") for owner in ("task", "agent", "crew", "tool")),
    ("agent", "use_better_compaction"),
    ("tool", "result_schema"),
}
assert kinds  # adds its rows
HERE = [m for m in MUTATIONS if (m.owner, m.field) in FIELDS or (m.owner, m.field) not in NOT_EVERYWHERE]
# A plan of one change of each field is tried by default; the others, and what only runs can judge, take far longer.
FIRST = {(m.owner, m.field): m for m in reversed(HERE) if not m.runs}.values()
ROWS = [pytest.param(m, id=m.id, marks=[] if m in FIRST else [pytest.mark.siege]) for m in HERE]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """One file and one endpoint for all mutations; knowledge without an embedder; nobody at the keyboard."""
    folder = tmp_path_factory.mktemp("oracle")
    with pytest.MonkeyPatch.context() as patched, endpoint() as served:
        patched.chdir(folder)
        patched.setattr("builtins.input", lambda *_: "")
        patched.setattr(knowledge, "KnowledgeStorage", lambda **_: ShelfOfTexts())
        oracle = Oracle(folder, served)
        yield oracle
        oracle.close()


@pytest.mark.parametrize("mutation", ROWS)
def test_what_acts_is_stale_and_named_and_nothing_else_is(
    oracle: Oracle, mutation: Mutation, record_property: Any
) -> None:
    """The plan agrees with the bytes that the models are sent."""
    cell = oracle.judge(mutation)
    record_property("oracle", [cell.verdict, f"{mutation.owner}.{mutation.field}", mutation.id, str(mutation.needless)])
    assert cell.verdict in ("right stale", "right fresh", "justified stale"), cell


@pytest.mark.parametrize(("owner", "name"), FIELDS, ids=[".".join(field) for field in FIELDS])
def test_somebody_has_decided_about_every_field(owner: str, name: str):
    """A field that a new CrewAI adds needs a mutation here, and a place in `adapter/fields.py`."""
    mutated = {(mutation.owner, mutation.field) for mutation in MUTATIONS}
    assert (owner, name) in mutated or (owner, name) in UNCHANGEABLE, (
        f"CrewAI has a field {owner}.{name} that no mutation changes. Add one to tests/property/mutations.py "
        "that says whether it reaches a model, and decide about it in crew_repo/adapter/fields.py."
    )
