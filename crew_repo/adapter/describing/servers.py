"""The components of MCP servers and remote agents: their configuration, and the tools that they offer.

No connection is made here. CrewAI connects before a task is executed; what its servers have answered by then is hashed
at the boundary, beside the context.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from crewai import Crew
from crewai.agents.agent_builder.base_agent import BaseAgent
from pydantic import BaseModel

from crew_repo.adapter.describing.components import Parts, numbered
from crew_repo.adapter.describing.server_files import MOST_FILES, server_files
from crew_repo.adapter.describing.tool import schema_of
from crew_repo.adapter.interpolation import TaskView
from crew_repo.hashing import acting_headers, digest, endpoint, left_out
from crew_repo.model import RESOLVED, Component
from crew_repo.secrets import is_secret_name

__all__ = ["add_remote", "connects", "resolved_tools"]

_URL = re.compile(r"(--?[\w-]+=)?(\w+://.*)", re.DOTALL)
# What a server gets of this process's environment whatever it is given (mcp.client.stdio).
_INHERITED = frozenset(
    {
        *("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"),
        *("APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATHEXT", "PROCESSOR_ARCHITECTURE", "SYSTEMDRIVE"),
        *("SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE"),
    }
)
_RESOLVED_KINDS = {"MCPNativeTool", "MCPToolWrapper", "CrewAIPlatformActionTool"}


def connects(crew: Crew, worker: BaseAgent | None) -> bool:
    """Whether CrewAI asks servers for tools before it executes a task of this agent."""
    agents = (worker, crew.manager_agent)
    return any(getattr(agent, name, None) for agent in agents for name in ("mcps", "apps"))


def resolved_tools(crew: Crew, view: TaskView, tools: Sequence[Any] | None) -> tuple[Component, ...] | None:
    """The tools that servers gave for this execution, by what the model is told of them; None where none are asked."""
    if not connects(crew, view.worker):
        return None
    found = [tool for tool in tools or [] if type(tool).__name__ in _RESOLVED_KINDS]
    named = [_resolved(tool) for tool in found]
    order = Component(f"{RESOLVED}tools", digest("json", [name for name, _ in named]), acts=False)
    paths = numbered(name for name, _ in named)  # two servers may have a tool of one name
    said = zip(paths, (sha256 for _, sha256 in named), strict=True)
    return (order, *(Component(f"{RESOLVED}tool:{path}", sha256, acts=False) for path, sha256 in said))


def _resolved(tool: Any) -> tuple[str, str]:
    """A tool by its name on the server: CrewAI's own name of it has the server's command in it, folders and all."""
    name = str(getattr(tool, "original_tool_name", tool.name))
    return name, digest("json", [tool.description.replace(tool.name, name), schema_of(tool.args_schema)])


def add_remote(parts: Parts, prefix: str, kind: str, remotes: Iterable[Any]) -> None:
    """MCP servers and remote agents by their configuration, without secrets; files among the arguments by content."""
    for number, remote in enumerate(remotes, start=1):
        path = f"{prefix}{kind}:{number}"
        if isinstance(remote, str):
            parts.json(path, _reference(remote))
            continue
        members = _members(remote)
        here = "{here}/" if members.get("cwd") else ""  # where the server works elsewhere, a relative path is another
        for name, value in sorted(members.items()):
            _add_member(parts, f"{path}.{name}", name, value, here)
        _add_files(parts, path, members)


def _reference(remote: str) -> str:
    """A server by its URL or name; `#tool` at its end picks one of its tools."""
    url, hash_sign, tool = remote.partition("#")
    return (endpoint(url, query=True) if "://" in url else url) + hash_sign + tool


def _members(remote: Any) -> dict[str, Any]:
    if isinstance(remote, BaseModel):
        return {"class": type(remote).__qualname__, **dict(remote)}
    return remote if isinstance(remote, dict) else {"value": remote}


def _add_member(parts: Parts, path: str, name: str, value: Any, here: str) -> None:
    if value is None or name in {"auth", "timeout", "cache_tools_list"} or is_secret_name(name):
        return
    if name == "headers":
        said = acting_headers(value)
        if said:
            parts.value(path, said)
    elif name == "env":
        parts.member(path, dict(sorted(_given_variables(value).items())))
    elif name == "cwd":
        parts.json(path, _relative(str(value)))
    elif name in {"url", "endpoint"}:
        parts.json(path, endpoint(str(value), query=True))
    elif name == "command":
        parts.json(path, Path(value).name if Path(value).is_absolute() else value)
    elif name == "args":
        parts.json(path, [_relative(_open_part(arg, before), here) for before, arg in pairwise(["", *value])])
    else:
        parts.value(path, value)


def _given_variables(env: dict[str, str]) -> dict[str, str]:
    """The variables that a server is given on purpose: of `{**os.environ, "MODE": "x"}`, `MODE`.

    Those that it gets anyway, as they are in this process, do not count.
    """
    everything = os.environ.items() <= env.items()
    passed_on = {name for name, value in env.items() if os.environ.get(name) == value}
    left = passed_on if everything else passed_on & _INHERITED
    return {name: value for name, value in env.items() if name not in left}


def _relative(arg: str, here: str = "") -> str:
    """An argument, with `here` for the folder that this process works in."""
    option, equals, value = arg.rpartition("=")
    path = Path(value)
    inside = path.is_absolute() and path.is_relative_to(Path.cwd())
    return f"{option}{equals}{here}{path.relative_to(Path.cwd()).as_posix()}" if inside else arg


def _add_files(parts: Parts, path: str, members: dict[str, Any]) -> None:
    """The content of each file that a server is started with, and of what these name."""
    if not isinstance(members.get("command"), str):
        return
    command = [members["command"], *(members.get("args") or [])]
    given = _given_variables(members.get("env") or {})
    variables = {name: text for name, text in given.items() if not left_out(name, text)}
    files = server_files(command, variables, Path.cwd() / (members.get("cwd") or ""))
    if len(files) > MOST_FILES:
        parts.opaque(f"{path}.files", f"its folders, and what it imports, have more than {MOST_FILES} files")
    counting = files[:MOST_FILES]
    for name, file in zip(numbered(file.name for file in counting), counting, strict=True):
        parts.file(f"{path}.file:{name}", file)


def _open_part(arg: str, before: str) -> str:
    """An argument without the secret in it: by the option before it or its own, in a URL, or as a header."""
    if before.startswith("-") and left_out(_option(before), arg):
        return ""
    url = _URL.fullmatch(arg)
    if url is not None:
        return f"{url[1] or ''}{endpoint(url[2], query=True)}"
    for sign in ("=", ":"):
        name, found, value = arg.partition(sign)
        if found and left_out(_option(name), value.strip()):
            return f"{name}{sign}"
    return arg


def _option(name: str) -> str:
    return name.strip("-").replace("-", "_")
