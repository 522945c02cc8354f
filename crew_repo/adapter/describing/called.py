"""Whom a call inside a task is made to: the hashes of a model and of a tool, as they are in the hash of a task.

None where not all of it can be hashed: then nobody can tell whether a kept answer is still its answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from crewai.llms.base_llm import BaseLLM
from crewai.tools.agent_tools.base_agent_tools import BaseAgentTool
from crewai.tools.base_tool import BaseTool
from pydantic import BaseModel

from crew_repo.adapter.describing.components import Memo, Parts, crewais_names, is_crewais
from crew_repo.adapter.describing.llm import add_llm
from crew_repo.adapter.describing.tool import add_tools
from crew_repo.adapter.describing.working_objects import goes_on_from_itself
from crew_repo.code import weakly_cached, written_at_work
from crew_repo.hashing import definition_hash, exchange

__all__ = ["hash_of_model", "hash_of_schema", "hash_of_tool", "look_of"]

_SCALARS = frozenset({bool, int, float, str, bytes, type(None)})


def hash_of_model(memo: Memo, llm: BaseLLM) -> str | None:
    """The hash of a model with its parameters, without keys and time-outs.

    None also for a class of the user's whose answers hang on what earlier calls have left in it, such as a script.
    """
    if not is_crewais(type(llm)) and memo.goes_on(llm, lambda: goes_on_from_itself(llm, exchange(llm))):
        return None
    parts = Parts(replace(memo, described={}))  # a parameter may have been changed since it was described
    add_llm(parts, "llm", llm)
    return _hash(parts)


def hash_of_tool(memo: Memo, tool: BaseTool, definition: str) -> str | None:
    """The hash of a tool's description, code and fields; of one that asks coworkers that of the whole task."""
    if isinstance(tool, BaseAgentTool):
        return definition
    parts = Parts(memo)
    add_tools(parts, "", [tool])
    return _hash(parts)


def hash_of_schema(memo: Memo, model: type[BaseModel]) -> str | None:
    """The hash of a class that an answer is read as."""
    parts = Parts(memo)
    parts.schema("schema", model)
    return _hash(parts)


def look_of(llm: BaseLLM) -> Any:
    """A value that differs when a plain parameter of a model has been changed, without hashing it."""
    noted = _noted(type(llm))
    return type(llm), tuple([(name, _look(value)) for name, value in list(vars(llm).items()) if name not in noted])


@weakly_cached
def _noted(cls: type) -> frozenset[str]:
    """The attributes in which a class of the user's notes what it has done."""
    return frozenset() if is_crewais(cls) else written_at_work(cls) - crewais_names(cls)


def _look(value: object) -> Any:
    if type(value) in _SCALARS:
        return type(value), value
    if isinstance(value, (list, tuple)):
        return tuple(map(_look, value))
    if isinstance(value, dict):
        return tuple((str(name), _look(item)) for name, item in value.items())
    return id(value)


def _hash(parts: Parts) -> str | None:
    found = parts.definition()
    return None if found.opaque else definition_hash(found.components)
