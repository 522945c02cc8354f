"""The components of tools: the description that the model gets, and the code that is called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from crewai.tools.base_tool import BaseTool, Tool
from crewai.tools.structured_tool import CrewStructuredTool
from pydantic import BaseModel

from crew_repo.adapter import private
from crew_repo.adapter.describing import field_table
from crew_repo.adapter.describing.components import Parts, is_crewais, numbered
from crew_repo.hashing import model_state
from crew_repo.introspection import code_name, own_dict
from crew_repo.model import Definition

__all__ = ["add_tools", "schema_of", "uses_tools"]

_OF_TOOL = re.compile(r"(^|\.)(tool:|mcp:\d|apps$)")
_PRINTING = ("__format__", "__repr__", "__repr_args__", "__repr_name__", "__repr_str__", "__str__")
_WRAPPERS = (Tool, CrewStructuredTool)  # CrewAI's own, which do nothing but call their `func`


def add_tools(parts: Parts, prefix: str, tools: Sequence[BaseTool] | None, *, printed: bool = False) -> None:
    """Each tool's definition, source and fields, under `{prefix}tool:{name}`; their order is part of the prompt.

    If `printed`: what a prompt can show of a tool that is printed in it, which is not what its functions do.
    """
    given = tools or []
    names = numbered(tool.name for tool in given)
    for name, tool in zip(names, given, strict=True):
        _add_tool(parts, f"{prefix}tool:{name}", tool, printed=printed)
    if len(names) > 1:
        parts.json(f"{prefix}tools.order", names, keep=True)


def uses_tools(definition: Definition) -> bool:
    """Whether a task, or an agent that it may be handed to, has tools: its own, of a server, of an app."""
    return any(_OF_TOOL.search(component.path) for component in definition.components)


def _add_tool(parts: Parts, path: str, tool: BaseTool, *, printed: bool) -> None:
    parts.fields(path, tool, field_table.TOOL, skip={*_own_fields(tool), "description"})
    _add_description(parts, f"{path}.description", tool, printed=printed)
    parts.json(f"{path}.args", schema_of(tool.args_schema), keep=True)
    if getattr(tool, "result_schema", None) is not None:
        parts.json(f"{path}.result", schema_of(tool.result_schema), keep=True)
    if printed:
        _add_print(parts, path, tool)
    if not printed or _prints_itself(tool):
        _add_code(parts, path, tool)
    _add_fields(parts, path, tool, printed=printed)


def _add_description(parts: Parts, path: str, tool: BaseTool, *, printed: bool) -> None:
    """The author's text: what CrewAI puts before it, in the field or not, follows from name and arguments."""
    authored = tool.description if printed else private.authored_description(tool)
    if authored is None:
        parts.text(f"{path}.alone", tool.description)
    else:
        parts.text(path, authored)


def _add_code(parts: Parts, path: str, tool: BaseTool) -> None:
    _add_schema_source(parts, f"{path}.args_schema", tool.args_schema)
    if getattr(tool, "result_schema", None) is not None:
        _add_schema_source(parts, f"{path}.result_schema", tool.result_schema)
    if isinstance(tool, _WRAPPERS):
        parts.callable(f"{path}.source", own_dict(tool)["func"])
    if not isinstance(tool, _WRAPPERS) or not is_crewais(type(tool)):
        parts.cls(f"{path}.source", type(tool))


def _add_print(parts: Parts, path: str, tool: BaseTool) -> None:
    """Add the rest that a printed tool shows: the names of its code, and what it says of environment variables."""
    shown = (tool.args_schema, getattr(tool, "result_schema", None), tool.cache_function, own_dict(tool).get("func"))
    parts.json(f"{path}.names", [code_name(each) for each in (type(tool), *shown) if each is not None], keep=True)
    if variables := getattr(tool, "env_vars", None):
        parts.member(f"{path}.env_vars", variables, tool, printed=True)


def _prints_itself(tool: BaseTool) -> bool:
    """Whether the user's own code says how the tool is printed."""
    return any(getattr(type(tool), name, None) is not getattr(BaseTool, name, None) for name in _PRINTING)


def schema_of(model: Any) -> Any:
    """The JSON schema of a class of pydantic's; None for anything else."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        return model.model_json_schema()
    return None


def _add_schema_source(parts: Parts, path: str, model: Any) -> None:
    """The user's own class, since a validator leaves the schema equal; what CrewAI makes of a signature has none."""
    if isinstance(model, type) and not is_crewais(model):
        parts.cls(path, model)


def _own_fields(tool: BaseTool) -> set[str]:
    return set(type(tool).model_fields) - set(BaseTool.model_fields)


def _add_fields(parts: Parts, path: str, tool: BaseTool, *, printed: bool) -> None:
    """The tool's own fields, but not secrets; what its work changes counts as it was given."""
    known = {*BaseTool.model_fields, *BaseTool.__private_attributes__}
    if isinstance(tool, _WRAPPERS):
        known.add("func")
    parts.own(path, tool, model_state(tool).keys() - known, printed=printed)
