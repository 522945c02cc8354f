"""The components of tools: what the model is told of each, and what each does when it is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from crewai.tools.base_tool import BaseTool, Tool
from crewai.tools.structured_tool import CrewStructuredTool
from pydantic import BaseModel

from crew_repo.adapter import fields
from crew_repo.adapter.parts import Parts, endpoint, is_crewais
from crew_repo.hashing import is_secret_name, left_out, model_state

__all__ = ["add_remote", "add_tools"]

_WRAPPERS = (Tool, CrewStructuredTool)  # CrewAI's own, which do nothing but call their `func`


def add_tools(parts: Parts, prefix: str, tools: Sequence[BaseTool] | None) -> None:
    """Each tool's definition, source and fields, under `{prefix}tool:{name}`; their order is part of the prompt."""
    names: list[str] = []
    counted: Counter[str] = Counter()
    for tool in tools or []:
        counted[tool.name] += 1
        names.append(tool.name if counted[tool.name] == 1 else f"{tool.name}#{counted[tool.name]}")
        _add_tool(parts, f"{prefix}tool:{names[-1]}", tool)
    if len(names) > 1:
        parts.json(f"{prefix}tools.order", names)


def _add_tool(parts: Parts, path: str, tool: BaseTool) -> None:
    parts.fields(path, tool, fields.TOOL, skip=_own_fields(tool))
    parts.json(f"{path}.args", _schema(tool.args_schema))
    _add_schema_source(parts, f"{path}.args_schema", tool.args_schema)
    if getattr(tool, "result_schema", None) is not None:
        parts.json(f"{path}.result", _schema(tool.result_schema))
        _add_schema_source(parts, f"{path}.result_schema", tool.result_schema)
    if isinstance(tool, _WRAPPERS):
        parts.callable(f"{path}.source", tool.func)
    if not isinstance(tool, _WRAPPERS) or not is_crewais(type(tool)):
        parts.cls(f"{path}.source", type(tool))
    _add_fields(parts, path, tool)


def _schema(model: Any) -> Any:
    if isinstance(model, type) and issubclass(model, BaseModel):
        return model.model_json_schema()
    return None


def _add_schema_source(parts: Parts, path: str, model: Any) -> None:
    """The user's own class, since a validator leaves the schema equal; what CrewAI makes of a signature has none."""
    if isinstance(model, type) and not is_crewais(model):
        parts.cls(path, model)


def _own_fields(tool: BaseTool) -> set[str]:
    return set(type(tool).model_fields) - set(BaseTool.model_fields)


def _add_fields(parts: Parts, path: str, tool: BaseTool) -> None:
    """The tool's own fields, but not secrets; what its work changes counts as it was given."""
    known = {*BaseTool.model_fields, *BaseTool.__private_attributes__}
    if isinstance(tool, _WRAPPERS):
        known.add("func")
    parts.own(path, tool, model_state(tool).keys() - known)


def add_remote(parts: Parts, prefix: str, kind: str, remotes: Iterable[Any]) -> None:
    """MCP servers and remote agents by their configuration: no headers, no values of variables, no connection."""
    for number, remote in enumerate(remotes, start=1):
        path = f"{prefix}{kind}:{number}"
        if isinstance(remote, str):
            parts.json(path, _reference(remote))
            continue
        for name, value in sorted(_members(remote).items()):
            _add_remote_member(parts, f"{path}.{name}", name, value)


def _reference(remote: str) -> str:
    """A server by its URL or name; `#tool` at its end picks one of its tools."""
    url, hash_sign, tool = remote.partition("#")
    return (endpoint(url, query=True) if "://" in url else url) + hash_sign + tool


def _members(remote: Any) -> dict[str, Any]:
    return {"class": type(remote).__qualname__, **dict(remote)} if isinstance(remote, BaseModel) else {"value": remote}


def _add_remote_member(parts: Parts, path: str, name: str, value: Any) -> None:
    if value is None or name in {"headers", "auth", "timeout", "cache_tools_list"} or is_secret_name(name):
        return
    if name == "env":
        parts.json(path, sorted(value))
    elif name in {"url", "endpoint"}:
        parts.json(path, endpoint(str(value), query=True))
    elif name == "args":
        parts.json(path, _without_secrets(value))
    else:
        parts.value(path, value)


def _without_secrets(args: Sequence[str]) -> list[str]:
    """Command line arguments with the values of secret options taken out."""
    kept: list[str] = []
    for arg in args:
        option, equals, value = arg.partition("=")
        if kept and kept[-1].startswith("-") and left_out(kept[-1].strip("-").replace("-", "_"), arg):
            kept.append("")
        else:
            secret = equals and left_out(option.strip("-").replace("-", "_"), value)
            kept.append(f"{option}=" if secret else arg)
    return kept
