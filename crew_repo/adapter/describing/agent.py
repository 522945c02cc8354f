"""The components of agents: role, goal, knowledge, limits. Tools have a module of their own."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from crewai import Agent, Task
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.utilities.i18n import get_i18n
from pydantic import BaseModel

from crew_repo.adapter import crew_shape, private
from crew_repo.adapter.describing import field_table
from crew_repo.adapter.describing.components import Parts, is_crewais, own_names
from crew_repo.adapter.describing.knowledge import add_embedder, add_knowledge, add_memory, given_sources
from crew_repo.adapter.describing.llm import add_llm
from crew_repo.adapter.describing.servers import add_remote
from crew_repo.adapter.describing.skills import add_skills
from crew_repo.adapter.interpolation import CrewView
from crew_repo.policy import TaskPolicy
from crew_repo.time_limits import let_through

__all__ = ["add_agent", "add_guardrail", "add_own_texts", "add_prompt_file"]


def add_agent(parts: Parts, prefix: str, agent: BaseAgent, view: CrewView, policy: TaskPolicy) -> None:
    """Everything of an agent but its tools."""
    parts.fields(prefix, agent, field_table.AGENT, skip=() if is_crewais(type(agent)) else own_names(agent, Agent))
    add_llm(parts, f"{prefix}.llm", getattr(agent, "llm", None))
    named = (crew_shape.deprecated(each, "function_calling_llm") for each in (agent, view.crew))
    calling = next(filter(None, named), None)
    add_llm(parts, f"{prefix}.function_calling_llm", calling)
    _add_agent_extras(parts, prefix, agent, view)
    add_own_texts(parts, prefix, agent)
    if getattr(agent, "inject_date", False):
        date_format: str = getattr(agent, "date_format", "%Y-%m-%d")
        parts.value(f"{prefix}.inject_date", date_format, keep=True)
        if policy.dates == "daily":
            parts.text(f"{prefix}.date", datetime.now().strftime(date_format))
    if not is_crewais(type(agent)):
        parts.cls(f"{prefix}.source", type(agent))
        parts.own(prefix, agent, own_names(agent, Agent))


def _add_agent_extras(parts: Parts, prefix: str, agent: BaseAgent, view: CrewView) -> None:
    if getattr(agent, "apps", None):
        parts.json(f"{prefix}.apps", sorted(map(str, agent.apps or [])))
    if getattr(agent, "mcps", None):
        add_remote(parts, f"{prefix}.", "mcp", agent.mcps or [])
    remotes = getattr(agent, "a2a", None)
    if remotes:
        add_remote(parts, f"{prefix}.", "a2a", remotes if isinstance(remotes, list) else [remotes])
    guardrail = getattr(agent, "guardrail", None)
    if guardrail is not None:
        add_guardrail(parts, f"{prefix}.guardrail", guardrail, agent)
    executor = getattr(agent, "executor_class", None)
    if isinstance(executor, type) and executor is not Agent.model_fields["executor_class"].default:
        parts.cls(f"{prefix}.executor_class", executor)
    _add_planning(parts, f"{prefix}.planning_config", getattr(agent, "planning_config", None))
    sources = given_sources(agent)
    add_knowledge(parts, f"{prefix}.", sources)
    if sources:
        add_embedder(parts, f"{prefix}.embedder", getattr(agent, "embedder", None) or view.crew.embedder)
    add_memory(parts, f"{prefix}.memory", agent.memory)
    add_skills(parts, f"{prefix}.", getattr(agent, "skills", None), besides=view.crew.skills)
    _add_training(parts, prefix, view)


def add_own_texts(parts: Parts, prefix: str, item: Task | BaseAgent) -> None:
    """The texts around its own, where they are not CrewAI's; no prompt is made of them where a task has no `i18n`."""
    given = crew_shape.deprecated(item, "i18n") if "i18n" in Task.model_fields else None
    texts = private.prompt_texts(given)
    if texts is not None and texts != private.prompt_texts(get_i18n()):
        parts.value(f"{prefix}.i18n", texts)


def add_prompt_file(parts: Parts, path: str, file: str | None) -> None:
    """The texts that CrewAI has of a prompt file, which it reads once in a process, where they are not its own."""
    try:
        texts = private.prompt_texts(get_i18n(prompt_file=file))
    except Exception as error:  # noqa: BLE001 - what CrewAI raises for a file that is missing or no JSON
        let_through(error)
        parts.opaque(path, f"{file} cannot be read: {error}")
    else:
        if texts != private.prompt_texts(get_i18n()):
            parts.value(path, texts)


def add_guardrail(parts: Parts, path: str, guardrail: Any, worker: BaseAgent | None) -> None:
    """Add a guardrail: its text and the LLM that judges by it, or its code."""
    if isinstance(guardrail, str):
        parts.text(f"{path}.text", guardrail)
        add_llm(parts, f"{path}.llm", getattr(worker, "llm", None))
    elif is_crewais(type(guardrail)):
        parts.text(f"{path}.text", str(getattr(guardrail, "description", type(guardrail).__name__)))
        add_llm(parts, f"{path}.llm", getattr(guardrail, "llm", None))
        for name in ("context", "threshold"):
            if getattr(guardrail, name, None) is not None:
                parts.value(f"{path}.{name}", getattr(guardrail, name))
    else:
        parts.callable(f"{path}.source", guardrail)


def _add_planning(parts: Parts, path: str, config: Any) -> None:
    """How an agent plans; the LLM that it plans with counts its tokens, so it is described as LLMs are."""
    if isinstance(config, BaseModel):
        members = {name: value for name, value in config if name != "llm"}
        parts.value(path, [type(config), members])
        add_llm(parts, f"{path}.llm", getattr(config, "llm", None))


def _add_training(parts: Parts, prefix: str, view: CrewView) -> None:
    """The suggestions of `crew.train()` for this agent's role: the file is a pickle of CrewAI's, which it loads."""
    given = getattr(view.crew, "trained_agents_file", None)
    file = given or os.environ.get("CREWAI_TRAINED_AGENTS_FILE") or "trained_agents_data.pkl"
    if os.path.isfile(file):  # noqa: PTH113 - a quarter of what Path costs, for each agent of each task
        parts.file(f"{prefix}.training", Path(file))
