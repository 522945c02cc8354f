"""Servers by their command lines, and connections to them that tools hold."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from crewai.mcp import MCPServerHTTP, MCPServerStdio
from mcp import StdioServerParameters
from mcp.client.session import ClientSession
from pydantic import BaseModel

from crew_repo.adapter.describing import nested_objects as nested_objects
from crew_repo.adapter.describing.components import Parts
from crew_repo.adapter.describing.servers import add_remote, resolved_tools
from crew_repo.hashing import hash_value, sent_hash


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project: a server that imports a module and a package, a setting, a script, and what no server reads."""
    monkeypatch.chdir(tmp_path)
    files = {
        "server.py": "import helpers, json\nfrom shop.rates import RATE\n",
        "helpers.py": "import deeper\n",
        "deeper.py": "import server\n",
        "unused.py": "",
        "start.sh": "node index.js\n",
        "settings.json": "{}",
        "shop/__init__.py": "",
        "shop/rates.py": "RATE = 1\n",
        "shop/__main__.py": "import deep\n",
        "deep.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def described(*servers: Any) -> dict[str, str]:
    parts = Parts()
    add_remote(parts, "", "mcp", servers)
    assert parts.definition().opaque == ()
    return {component.path: component.sha256 for component in parts.definition().components}


def files_of(command: str, *args: str) -> set[str]:
    found = described(MCPServerStdio(command=command, args=list(args)))
    return {path.removeprefix("mcp:1.file:") for path in found if path.startswith("mcp:1.file:")}


SHOP = {"__init__.py", "rates.py", "__main__.py"}


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("python server.py", {"server.py", "helpers.py", "deeper.py", "deep.py", *SHOP}),
        ("python -m shop", SHOP | {"deep.py"}),
        ("python -m shop.rates", SHOP | {"deep.py"}),
        ("python -m deeper", {"deeper.py", "server.py", "helpers.py", "deep.py", *SHOP}),
        ("uv --directory shop run rates.py", {"rates.py"}),
        ("uvx some-server --config=settings.json", {"settings.json"}),
        ("./start.sh", {"start.sh"}),
        ("npx -y @scope/server /", set()),
        ("python -m no.such.module", set()),
    ],
)
def test_the_files_that_a_server_is_made_of(command: str, files: set[str]):
    """Files among the arguments, modules, what they import from beside them, and a command of one's own."""
    assert files_of(*command.split()) == files


def test_arguments_that_are_no_paths_do_no_harm():
    """A long text, one with a null in it, and a server in no file at all."""
    assert files_of("run", "x" * 5_000, '{"a": "b=c"}', "", "=") == set()


@pytest.mark.parametrize(
    ("secret", "changed"),
    [
        (["--token", "{}"], False),
        (["--api-key={}"], False),
        (["mcp-remote", "https://me:{}@a.example/mcp?api_key={}&mode=x"], False),
        (["--url=https://a.example?token={}"], False),
        (["--header", "Authorization: Bearer {}"], False),
        (["--header", "X-Tenant: {}"], True),
        (["https://a.example/{}"], True),
        (["--mode={}"], True),
    ],
)
def test_arguments_count_but_for_the_secrets_in_them(secret: list[str], changed: bool):
    """A key may stand in an option, a URL or a header; what stands beside it counts."""
    one, other = (described(MCPServerStdio(command="npx", args=[arg.replace("{}", key) for arg in secret])) for key in ("key-one", "key-two"))
    assert (one != other) == changed


WHERE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "argument": lambda folder: {"args": ["server.py", str(folder / "books")]},
    "option": lambda folder: {"args": ["server.py", f"--root={folder}/books"]},
    "variable": lambda folder: {"env": {"MODE": "all", "ROOT": f"{folder}/books"}},
    "folder": lambda folder: {"cwd": str(folder / "books")},
}


@pytest.mark.parametrize("where", WHERE.values(), ids=WHERE)
def test_paths_in_the_working_folder_count_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Callable[[Path], dict[str, Any]]
) -> None:
    """A project that was moved starts the server that it started before; another folder in it, or outside, is another."""
    found = []
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "books").mkdir(parents=True)
        monkeypatch.chdir(folder)
        for meant in (folder, folder / "other", tmp_path):
            members = where(meant)
            found.append(described({"command": "python", **members}))
    assert found[:2] == found[3:5]
    assert [found[0] == other for other in found[1:3]] == [False, False]


@pytest.mark.parametrize("written", ["books", "--root=books"])
def test_a_relative_path_is_where_the_server_works(folder: Path, written: str) -> None:
    """So it is not the folder of that name in which this process works."""
    there = written.replace("books", str(folder / "books"))
    one, other = (described({"command": "python", "args": [arg], "cwd": "shop"}) for arg in (written, there))
    assert one["mcp:1.args"] != other["mcp:1.args"]


def test_a_python_file_that_cannot_be_parsed_counts_by_its_content(folder: Path):
    """What it would import is not known; the file itself is."""
    (folder / "server.py").write_text("import helpers and\n")
    assert files_of("python", "server.py") == {"server.py"}


@pytest.mark.parametrize(
    ("one", "other", "changed"),
    [
        ({"X-Tenant": "a"}, {"X-Tenant": "b"}, {"mcp:1.headers"}),
        ({"Authorization": "Bearer a"}, {"Authorization": "Bearer b"}, set()),
        (None, {"X-Api-Key": "b"}, set()),
    ],
)
def test_headers_count_but_secrets(one: Any, other: Any, changed: set[str]):
    """A tenant chooses the data; a key only opens the door."""
    before, after = (described(MCPServerHTTP(url="https://a.example", headers=each)) for each in (one, other))
    assert {path for path, _ in before.items() ^ after.items()} == changed


class MCPAdapt:
    """The connection that `crewai_tools.MCPServerAdapter` makes; its package is an extra."""

    def __init__(self, *servers: Any) -> None:
        self.serverparams = list(servers)
        self.sessions = [ClientSession.__new__(ClientSession)]

    def call(self, session: Any) -> str:
        return str(session)


MCPAdapt.__module__ = "mcpadapt.core"


def tool_of(*servers: Any) -> Any:
    """What such a tool calls."""
    adapter = MCPAdapt(*servers)
    return functools.partial(adapter.call, adapter.sessions[0])


def test_tools_of_an_adapter_count_by_their_servers(folder: Path):
    """A connection that is open stands for the server that was started: its command, files and variables."""

    def stdio(mode: str) -> Any:
        return tool_of(StdioServerParameters(command="python", args=["server.py"], env={"MODE": mode}))

    first = hash_value(stdio("a"), "v")
    assert first.opaque == ()
    assert hash_value(stdio("a"), "v") == first != hash_value(stdio("b"), "v")
    (folder / "server.py").write_text("# another\n")
    assert hash_value(stdio("a"), "v") != first
    remote = {"url": "https://a.example", "headers": {"Authorization": "Bearer a"}}
    rotated = {**remote, "headers": {"Authorization": "Bearer b"}}
    assert hash_value(tool_of(remote), "v") == hash_value(tool_of(rotated), "v") != hash_value(tool_of({"url": "https://b"}), "v")


def test_a_session_that_nobody_describes_is_opaque():
    """Which server a bare session talks to cannot be seen."""
    assert "connected to a server" in hash_value(ClientSession.__new__(ClientSession), "v").opaque[0].why


class Asked(BaseModel):
    item: str


class MCPNativeTool(BaseModel):
    """What CrewAI makes of a tool of a server."""

    name: str
    description: str
    original_tool_name: str = "price"
    args_schema: type[BaseModel] = Asked


def test_tools_of_one_name_are_told_apart_by_their_servers():
    """Two servers that swap what they say of a tool, which both call `price`, have changed what the model is told."""
    view: Any = SimpleNamespace(worker=SimpleNamespace(mcps=["https://a.example", "https://b.example"]))
    crew: Any = SimpleNamespace(manager_agent=None)

    def told(one: str, other: str) -> str:
        tools = [MCPNativeTool(name="a_price", description=one), MCPNativeTool(name="b_price", description=other)]
        found = resolved_tools(crew, view, tools) or ()
        assert len({component.path for component in found}) == 3
        return sent_hash("", found)

    assert told("in euros", "in dollars") != told("in dollars", "in euros")
