"""CrewAI's own objects where the user's code holds them: a tool that asks another agent or kicks off a crew, or a
guardrail that is a method of a `@CrewBase` project. They are hashed by what acts, like those of the crew itself; not by
their random ids, and not as a kickoff leaves them.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from crewai import Crew, Task
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.llms.base_llm import BaseLLM
from crewai.mcp import MCPServerHTTP, MCPServerSSE, MCPServerStdio
from crewai.tools.base_tool import BaseTool
from pydantic import BaseModel

from crew_repo.adapter import interpolation, private
from crew_repo.adapter.describing import field_table
from crew_repo.adapter.describing.components import Memo, Parts, crewais_names, is_crewais, is_default
from crew_repo.adapter.describing.field_table import Kind, kind_of
from crew_repo.adapter.describing.llm import add_llm
from crew_repo.adapter.describing.servers import add_remote
from crew_repo.adapter.describing.tool import add_tools
from crew_repo.code import first_argument, function_of, live_tree_of, names_used
from crew_repo.hashing import attributes_of, handles, handles_marked, handles_named, model_state
from crew_repo.introspection import instance_state

if TYPE_CHECKING:
    from crew_repo.hashing import Steps, Walker

__all__: list[str] = []

# What a kickoff makes of other fields, or fills.
_MADE = {"knowledge", "memory", "tasks_output"}
_LLM_FIELDS = {"manager_llm", "planning_llm", "function_calling_llm"}
# What `@CrewBase` keeps on a project; its decorated methods make crews, agents and tasks of it.
_PROJECT = {
    *("agents", "tasks", "agents_config", "tasks_config", "_all_methods", "__crew_metadata__", "_mcp_server_adapter"),
    *("_kickoff", "_before_kickoff", "_after_kickoff", "_original_functions", "_original_tasks", "_original_agents"),
}
_ALL_BY_NAME = {"getattr", "vars", "__dict__", "__getattribute__"}


_adapters: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


class _Described(threading.local):
    """The tools and LLMs that this thread describes, since one may lead back to itself."""

    def __init__(self) -> None:
        self.ids: set[int] = set()


_described = _Described()


@handles(BaseLLM)
def _llm(walker: Walker, value: BaseLLM, path: str) -> Steps:
    return _described_as(walker, "llm", value, path, lambda parts: add_llm(parts, path, value))


@handles(BaseTool)
def _tool(walker: Walker, value: BaseTool, path: str) -> Steps:
    return _described_as(walker, "tool", value, path, lambda parts: add_tools(parts, f"{path}.", [value]))


@handles(MCPServerStdio, MCPServerHTTP, MCPServerSSE)
def _server(walker: Walker, value: Any, path: str) -> Steps:
    return _described_as(walker, "mcp", value, path, lambda parts: add_remote(parts, f"{path}.", "mcp", [value]))


@handles_named("mcpadapt.core.MCPAdapt")
def _adapted_servers(walker: Walker, value: Any, path: str) -> Steps:
    """The connection that tools of `crewai_tools.MCPServerAdapter` share, by what its servers are started with."""
    _adapters.update(dict.fromkeys(getattr(value, "sessions", None) or (), value))
    servers = value.serverparams
    return _described_as(walker, "mcp", value, path, lambda parts: add_remote(parts, f"{path}.", "mcp", servers))


@handles_named("mcp.client.session.ClientSession")
def _session(walker: Walker, value: Any, path: str) -> Steps:
    """One of its sessions stands for the same servers: a tool leads to the adapter first, and then to the session."""
    adapter = _adapters.get(value)
    if adapter is None:
        return walker.hidden(value, path, "is connected to a server")
    return ["mcp session", (yield adapter, path)]


def _described_as(walker: Walker, kind: str, value: Any, path: str, describe: Any) -> Steps:
    """By the components that it has where it is a crew's own."""
    if id(value) in _described.ids:
        return [kind, "itself"]
    parts = Parts(Memo())
    with _entered(value):
        describe(parts)
    definition = parts.definition()
    walker.opaque.update(map(astuple, definition.opaque))
    named = [[component.path.removeprefix(path), component.sha256] for component in definition.components]
    return [kind, *named]


@contextmanager
def _entered(value: object) -> Iterator[None]:
    _described.ids.add(id(value))
    try:
        yield
    finally:
        _described.ids.discard(id(value))


@handles(BaseAgent)
def _agent(walker: Walker, value: BaseAgent, path: str) -> Steps:
    return _item(walker, "agent", value, field_table.AGENT, path)


@handles(Task)
def _task(walker: Walker, value: Task, path: str) -> Steps:
    return _item(walker, "task", value, field_table.TASK, path)


@handles(Crew)
def _crew(walker: Walker, value: Crew, path: str) -> Steps:
    left = {"manager_agent"} if interpolation.generated_manager(value) else set()
    return _item(walker, "crew", value, field_table.CREW, path, left)


def _item(
    walker: Walker, kind: str, item: Any, table: Mapping[str, Kind], path: str, left: set[str] | None = None
) -> Steps:
    """Fields that act and differ from their defaults, texts by their templates; what a subclass of the user's adds.

    What work changes of it counts as it was given, as in a tool.
    """
    cls = (yield type(item), path) if not is_crewais(type(item)) else type(item).__qualname__
    own = {name: value for name, value in model_state(item).items() if name in _own_names(type(item))}
    held = list(_acting(item, table, left or set()))
    held += [member for member in attributes_of(item, own, model_state, path) if member[0] in own]
    return [kind, cls, *(yield from walker.members(held, path))]


def _acting(item: BaseModel, table: Mapping[str, Kind], left: set[str]) -> Iterator[tuple[str, object]]:
    for name, field in type(item).model_fields.items():
        what, value = kind_of(table, name), item.__dict__.get(name)
        if what is Kind.PLUMBING or name in left or (name not in table and not is_crewais(type(item))):
            continue
        if name in _MADE:
            value = value if isinstance(value, bool) else value is not None and type(value).__qualname__
        elif what is Kind.TEXT:
            value = private.original_text(item, name)  # type: ignore[arg-type]
        elif name in _LLM_FIELDS:
            value = _AnLLM(value) if isinstance(value, str) else value
        if not is_default(value, field.get_default(call_default_factory=True, validated_data={})):
            yield name, value


def _own_names(cls: type[BaseModel]) -> set[str]:
    """Names that a subclass of the user's declares."""
    return {*cls.model_fields, *cls.__private_attributes__} - crewais_names(cls)


class _AnLLM:
    """The name of a model, of which CrewAI makes an LLM when it needs it."""

    def __init__(self, name: str) -> None:
        self.name = name


@handles(_AnLLM)
def _named_llm(walker: Walker, value: _AnLLM, path: str) -> Steps:
    return _described_as(walker, "llm", value, path, lambda parts: add_llm(parts, path, value.name))


@handles_marked("is_crew_class")
def _project(walker: Walker, value: Any, path: str) -> Steps:
    """A `@CrewBase` project: its own methods and attributes; its agents, tasks and files if those name them."""
    methods = {
        name: member
        for base in reversed(type(value).__mro__)
        for name, member in vars(base).items()
        if name[:2] != "__" and not _is_machinery(member)
    }
    named = _named(methods.values())
    held = {name: member for name, member in methods.items() if name not in _PROJECT}
    for name, member in instance_state(value).items():
        if name not in _PROJECT or named is None or name in named:
            held[name] = member
    made = {name: member for name, member in _made_by_project(type(value)).items() if named is None or name in named}
    held = {**made, **held}
    members = [member for member in attributes_of(value, held, instance_state, path) if member[0] in held]
    return ["project", type(value).__qualname__, *(yield from walker.members(members, path))]


def _is_machinery(member: Any) -> bool:
    """Whether CrewAI's decorators have put it there."""
    found = getattr(member, "__func__", member)
    home = getattr(found, "__globals__", {}).get("__name__", "") or type(found).__module__
    return f"{home}.".startswith("crewai.")


def _made_by_project(cls: type) -> dict[str, Any]:
    """The methods that CrewAI's decorators have wrapped: of an agent, a task, a crew."""
    members = {name: member for base in reversed(cls.__mro__) for name, member in vars(base).items()}
    return {
        name: function_of(member) for name, member in members.items() if name[:2] != "__" and _is_machinery(member)
    }


def _named(members: Any) -> set[str] | None:
    """The names that these functions mention, in code or as a text; None if any may read what it does not name."""
    found: set[str] = set()
    for function in filter(None, map(function_of, members)):
        if isinstance(function, FunctionType):
            if _hands_itself_on(function):
                return None
            found |= names_used(function) | _texts_in(function.__code__)
    return None if found & _ALL_BY_NAME else found


def _hands_itself_on(function: FunctionType) -> bool:
    """Whether a method lets others read all of its object, as far as its source says."""
    tree = live_tree_of(function)
    if tree is None:
        return True
    me = first_argument(tree)
    loads = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == me]
    bases = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return any(id(node) not in bases for node in loads)


def _texts_in(code: CodeType) -> set[str]:
    inner = (_texts_in(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return {constant for constant in code.co_consts if isinstance(constant, str)}.union(*inner)
