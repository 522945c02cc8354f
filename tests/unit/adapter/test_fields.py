"""Every field of CrewAI's models is decided about in `adapter/field_table.py`; a new one fails here by name."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import crewai.llms.providers
import pytest
from crewai import LLM, Agent, Crew, Task
from crewai.knowledge.source import base_file_knowledge_source, base_knowledge_source
from crewai.llms.base_llm import BaseLLM
from crewai.mcp import MCPServerHTTP, MCPServerSSE, MCPServerStdio
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tools.base_tool import BaseTool, Tool
from pydantic import BaseModel

from crew_repo.adapter.describing import field_table
from crew_repo.adapter.describing.components import Parts
from crew_repo.adapter.describing.servers import add_remote


def providers() -> list[type[BaseModel]]:
    """CrewAI's native clients, as far as their packages are installed."""
    package = crewai.llms.providers
    found: dict[str, type[BaseModel]] = {}
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        try:
            members = vars(importlib.import_module(module.name))
        except ImportError:
            continue
        found.update((n, m) for n, m in members.items() if isinstance(m, type) and issubclass(m, BaseLLM))
    return list(found.values())


TABLES: list[tuple[str, dict[str, field_table.Kind], list[type[BaseModel]]]] = [
    ("TASK", field_table.TASK, [Task, ConditionalTask]),
    ("AGENT", field_table.AGENT, [Agent]),
    ("CREW", field_table.CREW, [Crew]),
    ("LLM", field_table.LLM, [BaseLLM, LLM, *providers()]),
    ("TOOL", field_table.TOOL, [BaseTool, Tool]),
]
DECIDED = [(name, table, model) for name, table, models in TABLES for model in models]
# These have no table: every member counts but what `knowledge` and `tools` name.
KNOWN = [
    (base_knowledge_source.BaseKnowledgeSource, "chunk_size chunk_overlap chunks chunk_embeddings storage metadata collection_name"),
    (base_file_knowledge_source.BaseFileKnowledgeSource, "chunk_size chunk_overlap chunks chunk_embeddings storage metadata collection_name file_path file_paths content safe_file_paths"),
    (MCPServerStdio, "command args env tool_filter cache_tools_list"),
    (MCPServerHTTP, "url headers streamable tool_filter cache_tools_list"),
    (MCPServerSSE, "url headers tool_filter cache_tools_list"),
]  # fmt: skip


def undecided(table: dict[str, field_table.Kind], model: type[BaseModel]) -> list[str]:
    return sorted(set(model.model_fields) - set(table))


@pytest.mark.parametrize(("name", "table", "model"), DECIDED, ids=[f"{n}-{m.__name__}" for n, _, m in DECIDED])
def test_every_field_is_decided_about(name: str, table: dict[str, field_table.Kind], model: type[BaseModel]):
    """CrewAI's fields are all in the table of their class."""
    new = undecided(table, model)
    assert not new, (
        f"CrewAI's {model.__name__} has fields that nobody has decided about: {', '.join(new)}. Put each into "
        f"fields.{name} of crew_repo/adapter/field_table.py: TEXT or VALUE if it can change an answer, OWN with code in "
        "the adapter, PLUMBING if it reaches no model; and a mutation into tests/property/mutations.py."
    )


@pytest.mark.parametrize(("model", "known"), KNOWN, ids=[model.__name__ for model, _ in KNOWN])
def test_sources_and_servers_have_the_known_fields(model: type[BaseModel], known: str):
    """What `knowledge` and `tools` leave out by name was chosen among exactly these."""
    new = sorted(set(model.model_fields) - set(known.split()))
    assert not new, (
        f"CrewAI's {model.__name__} has the new fields {', '.join(new)}: they count by default. Decide in "
        "crew_repo/adapter/knowledge.py or tools.py whether they do, and name them here."
    )


def test_an_unknown_field_is_found_and_counts():
    """The check itself works: a new field is named, and counts until somebody decides."""

    class NewerTask(Task):
        mood: str = "calm"

    assert undecided(field_table.TASK, NewerTask) == ["mood"]
    assert field_table.kind_of(field_table.TASK, "mood") is field_table.Kind.VALUE


class RemoteAgent(BaseModel):
    """As CrewAI's A2AClientConfig, whose package is an extra."""

    endpoint: str = "https://agents.example.com/a"
    auth: Any = None
    timeout: int = 120
    max_turns: int = 10


@pytest.mark.parametrize(
    ("change", "component"),
    [
        ({"endpoint": "https://agents.example.com/b"}, "agent.a2a:1.endpoint"),
        ({"max_turns": 3}, "agent.a2a:1.max_turns"),
        ({"auth": {"token": "t-2"}}, None),
        ({"timeout": 5}, None),
    ],
)
def test_a_remote_agent_counts_by_its_configuration(change: dict[str, Any], component: str | None):
    """Where it is and how it is asked, not with which credentials."""
    before, after = Parts(), Parts()
    add_remote(before, "agent.", "a2a", [RemoteAgent()])
    add_remote(after, "agent.", "a2a", [RemoteAgent(**change)])
    changed = set(after.definition().components) - set(before.definition().components)
    assert [each.path for each in changed] == ([component] if component else [])


def test_parts_of_one_name_do_not_hide_each_other():
    """Two different parts of one path are both kept, whichever comes first; equal ones are one."""
    parts = Parts()
    for text in ("a", "b", "a"):
        parts.text("file:terms.pdf", text)
    assert [each.path for each in parts.definition().components] == ["file:terms.pdf", "file:terms.pdf#2"]
