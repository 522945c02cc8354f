"""Describing a task: every part that can change its answer, by a readable path.

`describe` reads a CrewView and changes nothing. What upstream tasks say is not in it: that is the context, which
is hashed at the boundary.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crewai import Crew, Task
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.tasks.conditional_task import ConditionalTask
from pydantic import BaseModel

from crew_repo.adapter import crew_shape, private
from crew_repo.adapter.crew_secrets import private_inputs, secret_inputs
from crew_repo.adapter.describing import field_table
from crew_repo.adapter.describing.agent import add_agent, add_guardrail, add_own_texts, add_prompt_file
from crew_repo.adapter.describing.beside import add_callbacks, add_hooks
from crew_repo.adapter.describing.components import Memo, Parts, is_crewais, numbered, own_names
from crew_repo.adapter.describing.files import add_declared, add_input_file
from crew_repo.adapter.describing.knowledge import add_embedder, add_knowledge, add_memory
from crew_repo.adapter.describing.llm import add_llm
from crew_repo.adapter.describing.planner import add_planner
from crew_repo.adapter.describing.skills import add_skills
from crew_repo.adapter.describing.tool import add_tools
from crew_repo.adapter.describing.working_objects import marks_of
from crew_repo.adapter.interpolation import CrewView, TaskView
from crew_repo.code import marked
from crew_repo.model import Definition
from crew_repo.policy import TaskPolicy
from crew_repo.secrets import handing_over, is_secret_name

__all__ = ["Describer", "take_up"]


class Describer:
    """Describes the tasks of one view; agents and tools are described once and shared between their tasks.

    With one `memo`, also between the describers of a run, until it is told to look again. Without `explains`, the
    definitions lack what only explains, and are not to be stored: they have the same hash.
    """

    explains = True

    def __init__(self, view: CrewView, memo: Memo | None = None) -> None:
        self._view = view
        self._memo = memo or Memo()
        self._given: dict[str, Definition] = {}
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
            parts = self._describe(view, policy, written or {})
            return _without_ignored(parts.storable() if self.explains else parts.definition(), policy)

    def look_at(self, view: TaskView) -> None:
        """Hash the objects that a task works with, each once; its own texts are left for when they are known."""
        with handing_over(self._memo.hidden), marked(self._memo.marks or marks_of(self._view.crew)):
            self._add_objects(parts := Parts(self._memo), view)
            self._add_workers(parts, view, TaskPolicy())

    def describe_planner(self, tasks: Sequence[TaskView], policy: TaskPolicy) -> Definition:
        """The definition of what CrewAI's planner is asked about these tasks, which are all of the crew's."""
        with handing_over(self._memo.hidden), marked(self._memo.marks or marks_of(self._view.crew)):
            parts = Parts(self._memo)
            add_planner(parts, self._view.crew, tasks)
            for view in tasks:
                self._explain_planned(parts, f"task#{view.position + 1}", view)
            _add_policy(parts, policy, {})
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
        if self.explains:
            self._add_explanations(parts, view)
        _add_policy(parts, policy, written)
        self._add_workers(parts, view, policy)
        return parts

    def _add_workers(self, parts: Parts, view: TaskView, policy: TaskPolicy) -> None:
        """Add who may work at a task, and what the crew gives them."""
        parts.extend(self._crew_parts())
        if crew_shape.is_hierarchical(self._view.crew):
            self._add_hierarchy(parts, view, policy)
        elif view.worker is not None:
            parts.extend(self._agent(view.worker, "agent", policy, own_tools=not view.task.tools))
        coworkers = self._coworkers(view)
        if coworkers is not None:
            self._add_coworkers(parts, coworkers, policy)

    def _add_task(self, parts: Parts, view: TaskView) -> None:
        parts.fields("task", view.task, field_table.TASK, skip=own_names(view.task, ConditionalTask))
        add_own_texts(parts, "task", view.task)
        self._add_objects(parts, view)
        self._add_trigger(parts, view)

    def _add_objects(self, parts: Parts, view: TaskView) -> None:
        """Add a task's tools, files and classes, and what a class of the user's adds to it."""
        task = view.task
        _add_schemas(parts, task)
        _add_guardrails(parts, task, view.worker)
        add_callbacks(parts, self._view.crew, task)
        tools = task.tools or (view.worker.tools if view.worker is not None else None)
        parts.extend(self._tools_of(tools))
        _add_files(parts, self._view.files, task, self._given)
        if type(task) not in (Task, ConditionalTask):
            parts.cls("task.source", type(task))
            parts.own("task", task, own_names(task, ConditionalTask))

    def _tools_of(self, tools: Sequence[Any] | None) -> Definition:
        """A list of tools is described once, however many tasks have it."""
        listed = list(tools or ())
        return self._memo.once(("tools", *map(id, listed)), listed, lambda parts: add_tools(parts, "", listed))

    def _add_trigger(self, parts: Parts, view: TaskView) -> None:
        payload = self._view.trigger_payload
        first = view.position == 0 and not crew_shape.is_hierarchical(self._view.crew)
        wants = view.original.allow_crewai_trigger_context
        if payload is not None and (wants or (first and wants is None and payload)):
            parts.text("input:crewai_trigger_payload", str(payload))

    def _add_explanations(self, parts: Parts, view: TaskView) -> None:
        """Templates and the inputs that they name: they say what changed; the effective text is what counts."""
        templates: list[tuple[Any, str, str]] = [(view.original, "task", "description")]
        templates.append((view.original, "task", "expected_output"))
        if isinstance(view.worker, BaseAgent):
            templates += [(view.worker, "agent", name) for name in crew_shape.AGENT_TEXTS]
        self._add_templates(parts, templates)
        for coworker in self._coworkers(view) or []:
            for name in crew_shape.AGENT_TEXTS:
                self._add_inputs(parts, private.original_text(coworker, name))
        reads = crew_shape.reads(self._view.crew, self._view.names, view.position)
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
        variables = crew_shape.variables(template) & set(self._view.inputs)
        for variable in variables:
            value = str(self._view.inputs[variable])
            parts.text(f"input:{variable}", value, acts=False, keep=not is_secret_name(variable))
        return bool(variables)

    def _crew_parts(self) -> Definition:
        return self._memo.once(("crew", id(self._view.crew)), self._view.crew, self._add_crew)

    def _add_crew(self, parts: Parts) -> None:
        crew = self._view.crew
        own = own_names(crew, Crew)
        parts.fields("crew", crew, field_table.CREW, skip=own)
        if not is_crewais(type(crew)):
            parts.cls("crew.source", type(crew))
            parts.own("crew", crew, own)
        sources = getattr(crew.knowledge, "sources", None) or crew.knowledge_sources  # made when the crew is made
        add_knowledge(parts, "crew.", sources)
        if sources:
            add_embedder(parts, "crew.embedder", crew.embedder)
        add_memory(parts, "crew.memory", crew.memory)
        add_skills(parts, "crew.", crew.skills)
        add_hooks(parts, crew)

    def _add_hierarchy(self, parts: Parts, view: TaskView, policy: TaskPolicy) -> None:
        crew = self._view.crew
        parts.json("crew.process", "hierarchical", keep=True)
        if self._view.manager is not None:
            parts.extend(self._agent(self._view.manager, "manager", policy, own_tools=True))
        else:
            add_llm(parts, "manager.llm", crew.manager_llm)
            add_prompt_file(parts, "manager.prompt_file", crew.prompt_file)
        if view.worker is not None:
            parts.extend(self._agent(view.worker, "agent", policy, own_tools=True))

    def _coworkers(self, view: TaskView) -> list[BaseAgent] | None:
        """The agents that the task may be handed to, or that its own may ask; None where it has no way to."""
        if crew_shape.is_hierarchical(self._view.crew):
            return list(self._view.agents) if view.worker is None else None
        if not getattr(view.worker, "allow_delegation", False):
            return None
        return [agent for agent in self._view.agents if agent is not view.worker]

    def _add_coworkers(self, parts: Parts, agents: Sequence[BaseAgent], policy: TaskPolicy) -> None:
        """Each under the template of its role, so that no input is in a name."""
        roles = [(private.original_text(agent, "role") or "").strip() for agent in agents]
        for role, agent in zip(numbered(roles), agents, strict=True):
            parts.extend(self._agent(agent, f"coworker:{role}", policy, own_tools=True))
        parts.json("coworkers.order", [agent.role for agent in agents], keep=True)

    def _agent(self, agent: BaseAgent, prefix: str, policy: TaskPolicy, *, own_tools: bool) -> Definition:
        def add(parts: Parts) -> None:
            add_agent(parts, prefix, agent, self._view, policy)
            if own_tools and prefix != "agent":
                add_tools(parts, f"{prefix}.", agent.tools)
            elif own_tools and crew_shape.is_hierarchical(self._view.crew):
                add_tools(parts, "agent.", agent.tools)

        return self._memo.once(("agent", id(agent), prefix, policy.dates, own_tools), agent, add)


def _add_files(parts: Parts, given: Mapping[str, Any], task: Task, known: dict[str, Definition]) -> None:
    """A file of the kickoff is read once for all tasks of a view (`known`): it may be large, or on a server."""
    own = getattr(task, "input_files", None) or {}
    for name in given.keys() - own.keys() - known.keys():
        add_input_file(read := Parts(parts.memo), f"file:{name}", given[name])
        known[name] = read.definition()
    for name, file in {**given, **own}.items():
        if name in own:
            add_input_file(parts, f"file:{name}", file)
        else:
            parts.extend(known[name])


def _add_schemas(parts: Parts, task: Task) -> None:
    for name in ("output_json", "output_pydantic", "response_model"):
        model = getattr(task, name, None)
        if isinstance(model, type) and issubclass(model, BaseModel):
            parts.schema(name, model)
    if getattr(task, "converter_cls", None) is not None:
        parts.cls("converter_cls.source", task.converter_cls)  # type: ignore[arg-type]


def _add_guardrails(parts: Parts, task: Task, worker: BaseAgent | None) -> None:
    many = task.guardrails if isinstance(task.guardrails, (list, tuple)) else [task.guardrails]
    found = [(g, f"guardrail#{n}" if len(many) > 1 else "guardrail") for n, g in enumerate(many, 1)]
    found = [pair for pair in [*found, (task.guardrail, "guardrail")] if pair[0] is not None]
    for guardrail, path in found:
        add_guardrail(parts, path, guardrail, worker)
    if found and task.guardrail_max_retries != 3:
        parts.value("guardrail.max_retries", task.guardrail_max_retries, keep=True)


def _add_policy(parts: Parts, policy: TaskPolicy, written: Mapping[Path, str]) -> None:
    if policy.salt is not None:
        parts.text("policy.salt", policy.salt)
    add_declared(parts, policy.paths, written)


def take_up(view: CrewView, memo: Memo) -> None:
    """Hash what the tasks of a crew work with, before the first is executed: what changes then is the run's work."""
    describer = Describer(view, memo)
    for task in view.tasks:
        describer.look_at(task)


def _without_ignored(definition: Definition, policy: TaskPolicy) -> Definition:
    if not policy.ignore:
        return definition
    return Definition(
        tuple(component for component in definition.components if not policy.ignores(component.path)),
        tuple(opaque for opaque in definition.opaque if not policy.ignores(opaque.path)),
        tuple(file for file in definition.files if not policy.ignores(file.path)),
    )
