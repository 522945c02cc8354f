"""The files that a server is made of, however its command line, its variables and its own code name them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from crewai.mcp import MCPServerHTTP, MCPServerStdio

from crew_repo.adapter.describing.components import Parts
from crew_repo.adapter.describing.server_files import MOST_FILES
from crew_repo.adapter.describing.servers import add_remote

FILES = {
    "server.py": "import helpers\n",
    "helpers.py": "UNIT = 1\n",
    "deep.py": "import lib.a\n",
    "lib/a.py": "",
    "lib/b.py": "",
    "src/inner.py": "",
    "loads.py": "import importlib\nimportlib.import_module('helpers')\n",
    "adds.py": "import sys, os\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'src'))\nimport inner\n",
    "pack/a.py": "from . import b\nfrom .c import d\n",
    "pack/b.py": "",
    "pack/c.py": "",
    "index.js": "const a = require('./js/a')\nimport b from \"./js/b.js\"\nrequire('express')\n",
    "js/a.js": "import c from './c/index.js'\n",
    "js/b.ts": "",
    "js/c/index.js": "import d from '../d.json'\n",
    "js/d.json": "{}",
    "js/unused.js": "",
    "start.sh": "#!/bin/sh\n. ./env.sh\necho > ./out.log\nexec python server.py\n",
    "env.sh": "A=1\n",
    "out.log": "",
    "settings.json": "{}",
    "creds.json": "{}",
    "data/one.txt": "1",
    "data/deeper/two.txt": "2",
    "data/server.log": "",
    "data/.hidden": "",
    "project/pyproject.toml": "[project]\n",
    "project/src/shop/main.py": "",
    "project/state.db": "",
    "project/node_modules/a.js": "",
    "broken.py": "import helpers and\n",
    "module.sh": "cd /tmp # it's\nexec python3 -um server --x\n",
    "text.sh": "python -c 'from server import main; main()' &\n",
    "uv.sh": "uv run prices\n",
    "tool": "#!/usr/bin/env -S uv run python\nimport helpers\n",
    "replaces.py": "import sys, os\nsys.path = [os.path.join(os.path.dirname(__file__), 'src')] + sys.path\nimport inner\n",
    "puts.py": "import sys\nsys.path[:0] = ['src']\nimport inner\n",
    "pyproject.toml": "[project]\n[project.scripts]\nprices = 'server:main'\n[tool.poetry.scripts]\nstock = 'inner:main'\n",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with servers in Python, JavaScript and a shell, with data and settings."""
    work = tmp_path / "work"
    for name, text in FILES.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    monkeypatch.chdir(work)
    return work


def described(*servers: Any) -> dict[str, str]:
    parts = Parts()
    add_remote(parts, "", "mcp", servers)
    assert parts.definition().opaque == ()
    return {component.path: component.sha256 for component in parts.definition().components}


def files_of(*command: str, **env: str) -> set[str]:
    found = described(MCPServerStdio(command=command[0], args=list(command[1:]), env=env or None))
    return {path.removeprefix("mcp:1.file:") for path in found if path.startswith("mcp:1.file:")}


SERVER = {"server.py", "helpers.py"}
SCRIPT = {"index.js", "a.js", "b.ts", "index.js#2", "d.json"}
PROJECT = {"pyproject.toml"} | SERVER
DATA = {"one.txt", "two.txt"}


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("python loads.py", {"loads.py", "helpers.py"}),
        ("python adds.py", {"adds.py", "inner.py"}),
        ("python pack/a.py", {"a.py", "b.py", "c.py"}),
        ("python broken.py", {"broken.py"}),
        ("python replaces.py", {"replaces.py", "inner.py"}),
        ("python puts.py", {"puts.py", "inner.py"}),
        ("python -mserver", SERVER),
        ("python -um server", SERVER),
        ("python -Imserver", SERVER),
        ("python -Im pack.a", {"a.py", "b.py", "c.py"}),
        ("bash module.sh", {"module.sh"} | SERVER),
        ("bash text.sh", {"text.sh"} | SERVER),
        ("bash uv.sh", {"uv.sh"} | PROJECT),
        ("./tool", {"tool", "helpers.py"}),
        ("uv run prices", PROJECT),
        ("uv run stock", {"pyproject.toml", "inner.py"}),
        ("uvx --from . prices", PROJECT),
        ("poetry run prices --x", PROJECT),
        ("prices", PROJECT),
        ("fastmcp run server.py:mcp", SERVER),
        ("uvicorn server:app", SERVER),
        ("node index.js", SCRIPT),
        ("./start.sh", {"start.sh", "env.sh"} | SERVER),
        ("bash start.sh", {"start.sh", "env.sh"} | SERVER),
        ("docker run -v ./settings.json:/etc/s.json image:1", {"settings.json"}),
        ("docker run -v ./data:/data image", DATA),
        ("npx -y @scope/server data", DATA),
        ("npx -y @scope/server --root=./data", DATA),
        ("npx -y @scope/server data/one.txt", {"one.txt"}),
        ("npx -y @scope/server .", set()),
        ("npx -y @scope/server ..", set()),
        ("server --log out.log", set()),
        ("uv --directory project run shop", {"pyproject.toml", "main.py"}),
        ("uv --directory project run src/shop/main.py", {"main.py"}),
    ],
)
def test_what_a_command_line_names(command: str, files: set[str]):
    """Files, what they name in turn, folders with data, and projects by their code; never logs or what is hidden."""
    assert files_of(*command.split()) == files


def test_a_command_of_a_shell_names_files():
    """It is one argument, with a command line in it."""
    assert files_of("bash", "-c", "cd lib && python a.py; python ../server.py --x 'y z'") == {"a.py"} | SERVER
    assert files_of("bash", "-c", "python server.py 'no end") == SERVER


@pytest.mark.parametrize("option", ["-c", "-uc", "-Ic"])
def test_a_program_on_the_command_line_imports_files(option: str):
    """Python's own text, whichever way it says where to look."""
    assert files_of("python", option, "from server import main; main()") == SERVER
    assert files_of("python", option, "import sys; sys.path.insert(0, 'src'); import inner") == {"inner.py"}
    assert files_of("bash", "-c", f"exec python {option} 'import server'") == SERVER


@pytest.mark.parametrize(
    ("env", "files"),
    [
        ({"CONFIG": "settings.json"}, {"settings.json"}),
        ({"PYTHONPATH": "src"}, {"inner.py"}),
        ({"API_TOKEN": "creds.json"}, set()),
        ({"DATA": "data", "LOG": "out.log", "TEXT": "x y: z"}, set()),
    ],
)
def test_what_variables_name(folder: Path, env: dict[str, str], files: set[str]):
    """Settings count, and so do modules on the path; no folder that a server may fill, and nothing that is secret."""
    (folder / "main.py").write_text("import inner\n")
    assert files_of("python", "main.py", **env) == {"main.py"} | files
    assert files_of("python", "-m", "main", **env) == {"main.py"} | files


@pytest.mark.parametrize("command", [("-m", "inner"), ("-c", "import inner")])
def test_a_module_on_the_path_of_a_server_counts(command: tuple[str, ...]):
    """Its command line names it, and a variable says where it is."""
    assert files_of("python", *command, PYTHONPATH="src") == {"inner.py"}
    assert files_of("python", *command) == set()


def test_a_command_that_is_no_installed_program_counts(tmp_path: Path):
    """A script outside the project counts by its content; a program by its name, wherever it is installed."""
    own, program = tmp_path / "servers" / "prices", tmp_path / "bin" / "prices"
    for file in (own, program):
        file.parent.mkdir()
        file.write_text("one")
    assert files_of(str(own)) == {"prices"}
    assert files_of(str(program)) == set()
    before = described(MCPServerStdio(command=str(own)))
    own.write_text("another")
    assert described(MCPServerStdio(command=str(own))) != before


def test_files_of_one_name_are_told_apart(folder: Path):
    """Three files of two contents: which of them has which counts."""
    for number in "123":
        (folder / "data" / number).mkdir()
    seen = []
    for contents in ("112", "122", "211"):
        for number, text in zip("123", contents, strict=True):
            (folder / "data" / number / "x.txt").write_text(text)
        seen.append(tuple(described(MCPServerStdio(command="serve", args=["data"])).items()))
    assert len(set(seen)) == len(seen)


def test_a_folder_with_too_many_files_is_not_hashed(folder: Path):
    """It is said that it cannot be, so that its tasks run every time."""
    for number in range(MOST_FILES + 1):
        (folder / "data" / f"{number}.txt").touch()
    parts = Parts()
    add_remote(parts, "", "mcp", [MCPServerStdio(command="serve", args=["data"])])
    assert [opaque.path for opaque in parts.definition().opaque] == ["mcp:1.files"]


def test_a_server_that_imports_too_many_files_is_not_hashed(folder: Path):
    """Where its path leads to all that is installed, say: that is found out without reading all of it."""
    for number in range(MOST_FILES):
        (folder / "pack" / f"m{number}.py").write_text(f"import a{number}\nfrom pack import b\n")
        (folder / f"a{number}.py").touch()
    (folder / "server.py").write_text("import pack")
    parts = Parts()
    add_remote(parts, "", "mcp", [MCPServerStdio(command="python", args=["server.py"])])
    assert [opaque.path for opaque in parts.definition().opaque] == ["mcp:1.files"]


def test_names_that_lead_in_a_circle_end(folder: Path):
    """Modules and scripts may name each other."""
    (folder / "helpers.py").write_text("import server\n")
    (folder / "js/d.json").write_text("./index.js")
    (folder / "js/a.js").write_text("require('../index')")
    assert files_of("python", "server.py") == SERVER
    assert files_of("node", "index.js") == {"index.js", "a.js", "b.ts"}


@pytest.mark.parametrize("url", ["https://a.example/mcp?key={}", "https://a.example/mcp/{}/sse", "https://{}@a.example/mcp"])
def test_keys_in_a_url_do_not_count(url: str):
    """They are known by their form, wherever they stand."""
    one, other = (described(MCPServerHTTP(url=url.format(f"sk-0123456789abcdef{end}"))) for end in "ab")
    assert one == other


def test_where_the_project_stands_does_not_count(folder: Path):
    """A file is the same one whether its path begins at the root or not."""
    here = described(MCPServerStdio(command="python", args=["server.py"], env={"CONFIG": "settings.json"}))
    named = {"CONFIG": os.fspath(folder / "settings.json")}
    there = described(MCPServerStdio(command="python", args=[os.fspath(folder / "server.py")], env=named))
    assert {path for path, _ in here.items() ^ there.items()} <= {"mcp:1.env"}
