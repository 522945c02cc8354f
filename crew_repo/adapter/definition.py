"""What a task is: every part that can change its answer, by a readable path (the table is crewai-facts, section 4).

`describe` reads a CrewView and changes nothing. What upstream tasks say is not in it: that is the context, which
is hashed at the boundary.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from crewai import Agent, Crew, Task
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.llms.base_llm import BaseLLM
from crewai.tasks.conditional_task import ConditionalTask
from crewai.utilities.i18n import get_i18n
from pydantic import BaseModel

from crew_repo.adapter import fields, graph, private
from crew_repo.adapter.files import add_declared, add_input_file
from crew_repo.adapter.knowledge import add_embedder, add_knowledge, given_sources
from crew_repo.adapter.llms import add_llm
from crew_repo.adapter.parts import Memo, Parts, is_crewais
from crew_repo.adapter.planning import add_planner
from crew_repo.adapter.remotes import add_remote
from crew_repo.adapter.secrets import private_inputs, secret_inputs
from crew_repo.adapter.skills import add_skills
from crew_repo.adapter.tools import add_tools
from crew_repo.adapter.view import CrewView, TaskView
from crew_repo.adapter.work import marks_of
from crew_repo.hashing import handing_over, is_secret_name, marked
from crew_repo.hashing.state import weakly_cached
from crew_repo.model import Definition
from crew_repo.policy import TaskPolicy

__all__ = ["Describer", "take_up"]



class Describer:
    """Describes the tasks of one view; agents and tools are described once and shared between their tasks.

    With one `memo`, also between the describers of a run, until it is told to look again.
    """

    def __init__(self, view: CrewView, memo: Memo | None = None) -> None:
        self._view = view
        self._memo = memo or Memo()
        self._memo.hidden |= secret_inputs(view.inputs)
        self._memo.private |= private_inputs(view.inputs)
        if self._memo.marks is None:
            self._memo.marks = marks_of(view.crew)

    def describe(
        self, view: TaskView, policy: TaskPolicy, *, written: Mapping[Path, str] | None = None
    ) -> Definition:
        """The definition of one task under its policy; what the policy ignores is left out, and so are secrets.

        `written`: the text that will stand in a file by the time that the task is executed, where that is known.
        """
        with handing_over(self._memo.hidden), marked(self._memo.marks or marks_of(self._view.crew)):
            return _without_ignored(self._describe(view, policy, written or {}).storable(), policy)

    def describe_planner(self, tasks: Sequence[TaskView], policy: TaskPolicy) -> Definition:
        """The definition of what CrewAI's planner is asked about these tasks, which are all of the crew's."""
        with handing_over(self._memo.hidden), marked(self._memo.marks or marks_of(self._view.crew)):
            parts = Parts(self._memo)
            add_planner(parts, self._view.crew, tasks)
            for view in tasks:
                self._explain_planned(parts, f"task#{view.position + 1}", view)
            self._add_policy(parts, policy, {})
            return _without_ignored(parts.storable(), policy)

    def _explain_planned(self, parts: Parts, path: str, view: TaskView) -> None:
        templates: list[tuple[Any, str, str]] = [(view.original, path, "description")]
        templates.append((view.original, path, "expected_output"))
        if view.worker is not None:
            templates += [(view.worker, f"{path}.agent", name) for name in ("role", "goal")]
        self._add_templates(parts, templates)

    def _describe(self, view: TaskView, policy: TaskPolicy, written: Mapping[Path, str]) -> Parts:
        parts = Parts(self._memo)
        self._add_task(parts, view)
        self._add_explanations(parts, view)
        self._add_policy(parts, policy, written)
        parts.extend(self._crew_parts())
        if graph.is_hierarchical(self._view.crew):
            self._add_hierarchy(parts, view, policy)
        elif view.worker is not None:
            parts.extend(self._agent(view.worker, "agent", policy, own_tools=not view.task.tools))
        coworkers = self._coworkers(view)
        if coworkers is not None:
            self._add_coworkers(parts, coworkers, policy)
        return parts

    def _add_task(self, parts: Parts, view: TaskView) -> None:
        task = view.task
        parts.fields("task", task, fields.TASK, skip=_own_names(task, ConditionalTask))
        _add_own_texts(parts, "task", task)
        self._add_schemas(parts, task)
        self._add_guardrails(parts, task, view.worker)
        tools = task.tools or (view.worker.tools if view.worker is not None else None)
        parts.extend(self._tools_of(tools))
        self._add_files(parts, task)
        self._add_trigger(parts, view)
        if type(task) not in (Task, ConditionalTask):
            parts.cls("task.source", type(task))
            parts.own("task", task, _own_names(task, ConditionalTask))

    def _tools_of(self, tools: Sequence[Any] | None) -> Definition:
        """A list of tools is described once, however many tasks have it."""
        listed = list(tools or ())
        return self._memo.once(("tools", *map(id, listed)), listed, lambda parts: add_tools(parts, "", listed))

    @staticmethod
    def _add_schemas(parts: Parts, task: Task) -> None:
        for name in ("output_json", "output_pydantic", "response_model"):
            model = getattr(task, name, None)
            if isinstance(model, type) and issubclass(model, BaseModel):
                parts.schema(name, model)
        if getattr(task, "converter_cls", None) is not None:
            parts.cls("converter_cls.source", task.converter_cls)  # type: ignore[arg-type]

    def _add_guardrails(self, parts: Parts, task: Task, worker: BaseAgent | None) -> None:
        many = task.guardrails if isinstance(task.guardrails, (list, tuple)) else [task.guardrails]
        found = [(g, f"guardrail#{n}" if len(many) > 1 else "guardrail") for n, g in enumerate(many, 1)]
        found = [pair for pair in [*found, (task.guardrail, "guardrail")] if pair[0] is not None]
        for guardrail, path in found:
            _add_guardrail(parts, path, guardrail, worker)
        if found and task.guardrail_max_retries != 3:
            parts.value("guardrail.max_retries", task.guardrail_max_retries)

    def _add_files(self, parts: Parts, task: Task) -> None:
        own = getattr(task, "input_files", None) or {}
        for name, file in {**self._view.files, **own}.items():
            add_input_file(parts, f"file:{name}", file)

    def _add_trigger(self, parts: Parts, view: TaskView) -> None:
        payload = self._view.trigger_payload
        first = view.position == 0 and not graph.is_hierarchical(self._view.crew)
        wants = view.original.allow_crewai_trigger_context
        if payload is not None and (wants or (first and wants is None and payload)):
            parts.text("input:crewai_trigger_payload", str(payload))

    def _add_explanations(self, parts: Parts, view: TaskView) -> None:
        """Templates and the inputs that they name: they say what changed; the effective text is what counts."""
        templates: list[tuple[Any, str, str]] = [(view.original, "task", "description")]
        templates.append((view.original, "task", "expected_output"))
        if isinstance(view.worker, BaseAgent):
            templates += [(view.worker, "agent", name) for name in graph.AGENT_TEXTS]
        self._add_templates(parts, templates)
        for coworker in self._coworkers(view) or []:
            for name in graph.AGENT_TEXTS:
                self._add_inputs(parts, private.original_text(coworker, name))
        reads = graph.reads(self._view.crew, self._view.names, view.position)
        parts.text("task.reads", json.dumps(reads), acts=False)
        if view.plan:
            parts.text("task.plan", view.plan, acts=False)

    def _add_templates(self, parts: Parts, templates: Sequence[tuple[Any, str, str]]) -> None:
        """The templates that name inputs, and those inputs, by item, prefix and name."""
        for item, prefix, name in templates:
            template = private.original_text(item, name) or ""
            if self._add_inputs(parts, template):
                parts.text(f"{prefix}.{name}.template", template, acts=False)

    def _add_inputs(self, parts: Parts, template: str | None) -> bool:
        """The inputs that a template names, and whether it names any."""
        variables = graph.variables(template) & set(self._view.inputs)
        for variable in variables:
            value = str(self._view.inputs[variable])
            parts.text(f"input:{variable}", value, acts=False, keep=not is_secret_name(variable))
        return bool(variables)

    @staticmethod
    def _add_policy(parts: Parts, policy: TaskPolicy, written: Mapping[Path, str]) -> None:
        if policy.salt is not None:
            parts.text("policy.salt", policy.salt)
        add_declared(parts, policy.paths, written)

    def _crew_parts(self) -> Definition:
        return self._memo.once(("crew", id(self._view.crew)), self._view.crew, self._add_crew)

    def _add_crew(self, parts: Parts) -> None:
        crew = self._view.crew
        own = _own_names(crew, Crew)
        parts.fields("crew", crew, fields.CREW, skip=own)
        if not is_crewais(type(crew)):
            parts.cls("crew.source", type(crew))
        _add_own_of_crew(parts, crew)
        sources = getattr(crew.knowledge, "sources", None) or crew.knowledge_sources  # made when the crew is made
        add_knowledge(parts, "crew.", sources)
        if sources:
            add_embedder(parts, "crew.embedder", crew.embedder)
        add_memory(parts, "crew.memory", crew.memory)
        add_skills(parts, "crew.", crew.skills)

    def _add_hierarchy(self, parts: Parts, view: TaskView, policy: TaskPolicy) -> None:
        crew = self._view.crew
        parts.json("crew.process", "hierarchical")
        if self._view.manager is not None:
            parts.extend(self._agent(self._view.manager, "manager", policy, own_tools=True))
        else:
            add_llm(parts, "manager.llm", crew.manager_llm)
            _add_prompt_file(parts, "manager.prompt_file", crew.prompt_file)
        if view.worker is not None:
            parts.extend(self._agent(view.worker, "agent", policy, own_tools=True))

    def _coworkers(self, view: TaskView) -> list[BaseAgent] | None:
        """The agents that the task may be handed to, or that its own may ask; None where it has no way to."""
        if graph.is_hierarchical(self._view.crew):
            return list(self._view.agents) if view.worker is None else None
        if not getattr(view.worker, "allow_delegation", False):
            return None
        return [agent for agent in self._view.agents if agent is not view.worker]

    def _add_coworkers(self, parts: Parts, agents: Sequence[BaseAgent], policy: TaskPolicy) -> None:
        counted: Counter[str] = Counter()
        for agent in agents:
            counted[role := agent.role.strip()] += 1
            path = f"coworker:{role}" + (f"#{counted[role]}" if counted[role] > 1 else "")
            parts.extend(self._agent(agent, path, policy, own_tools=True))
        parts.json("coworkers.order", [agent.role for agent in agents])

    def _agent(self, agent: BaseAgent, prefix: str, policy: TaskPolicy, *, own_tools: bool) -> Definition:
        def add(parts: Parts) -> None:
            add_agent(parts, prefix, agent, self._view, policy)
            if own_tools and prefix != "agent":
                add_tools(parts, f"{prefix}.", agent.tools)
            elif own_tools and graph.is_hierarchical(self._view.crew):
                add_tools(parts, "agent.", agent.tools)

        return self._memo.once(("agent", id(agent), prefix, policy.dates, own_tools), agent, add)


def add_agent(parts: Parts, prefix: str, agent: BaseAgent, view: CrewView, policy: TaskPolicy) -> None:
    """Everything of an agent but its tools."""
    parts.fields(prefix, agent, fields.AGENT, skip=() if is_crewais(type(agent)) else _own_names(agent, Agent))
    add_llm(parts, f"{prefix}.llm", getattr(agent, "llm", None))
    calling = graph.deprecated(agent, "function_calling_llm") or graph.deprecated(view.crew, "function_calling_llm")
    add_llm(parts, f"{prefix}.function_calling_llm", calling)
    _add_agent_extras(parts, prefix, agent, view)
    _add_own_texts(parts, prefix, agent)
    if getattr(agent, "inject_date", False):
        date_format: str = getattr(agent, "date_format", "%Y-%m-%d")
        parts.value(f"{prefix}.inject_date", date_format)
        if policy.dates == "daily":
            parts.text(f"{prefix}.date", datetime.now().strftime(date_format))
    if not is_crewais(type(agent)):
        parts.cls(f"{prefix}.source", type(agent))
        parts.own(prefix, agent, _own_names(agent, Agent))


def _own_names(item: BaseModel, base: type[BaseModel]) -> frozenset[str]:
    """The fields and private attributes that the user's subclass of a crew, an agent or a task adds."""
    return _added(type(item), base)


@weakly_cached
def _added(cls: type[BaseModel], base: type[BaseModel]) -> frozenset[str]:
    declared = {*cls.model_fields, *cls.__private_attributes__}
    return frozenset(declared - {*base.model_fields, *base.__private_attributes__})


def _add_own_of_crew(parts: Parts, crew: Crew) -> None:
    if not is_crewais(type(crew)):
        parts.own("crew", crew, _own_names(crew, Crew))


def take_up(view: CrewView, memo: Memo) -> None:
    """Hash what the tasks of a crew work with, before the first is executed: what changes then is the run's work."""
    describer = Describer(view, memo)
    for task in view.tasks:
        describer.describe(task, TaskPolicy())


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
        _add_guardrail(parts, f"{prefix}.guardrail", guardrail, agent)
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


def _add_own_texts(parts: Parts, prefix: str, item: Task | BaseAgent) -> None:
    """The texts around its own, where they are not CrewAI's; no prompt is made of them where a task has no `i18n`."""
    given = graph.deprecated(item, "i18n") if "i18n" in Task.model_fields else None
    texts = private.prompt_texts(given)
    if texts is not None and texts != private.prompt_texts(get_i18n()):
        parts.value(f"{prefix}.i18n", texts)


def _add_prompt_file(parts: Parts, path: str, file: str | None) -> None:
    """The texts that CrewAI has of a prompt file, which it reads once in a process, where they are not its own."""
    try:
        texts = private.prompt_texts(get_i18n(prompt_file=file))
    except Exception as error:  # noqa: BLE001 - what CrewAI raises for a file that is missing or no JSON
        parts.opaque(path, f"{file} cannot be read: {error}")
    else:
        if texts != private.prompt_texts(get_i18n()):
            parts.value(path, texts)


def _add_guardrail(parts: Parts, path: str, guardrail: Any, worker: BaseAgent | None) -> None:
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


def add_memory(parts: Parts, path: str, memory: Any) -> None:
    """That there is a memory, and how it is configured; what it recalls is state (TaskPolicy.memory)."""
    if not memory:
        return
    parts.json(path, True if memory is True else type(memory).__name__)
    if isinstance(memory, BaseModel):
        for name in ("scope", "scopes", "root_scope", "read_only", "recency_weight", "semantic_weight",
                     "importance_weight", "recency_half_life_days"):  # fmt: skip
            value = memory.__dict__.get(name)
            if value is not None and isinstance(value, (str, int, float, bool, list)):
                parts.value(f"{path}.{name}", value)
        llm = memory.__dict__.get("llm")
        if isinstance(llm, (str, BaseLLM)):
            add_llm(parts, f"{path}.llm", llm)


def _without_ignored(definition: Definition, policy: TaskPolicy) -> Definition:
    if not policy.ignore:
        return definition
    return Definition(
        tuple(component for component in definition.components if not policy.ignores(component.path)),
        tuple(opaque for opaque in definition.opaque if not policy.ignores(opaque.path)),
        tuple(file for file in definition.files if not policy.ignores(file.path)),
    )
