"""MCP servers: what they are started with counts, and what they answer once CrewAI has connected."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew
from crewai.mcp import MCPServerStdio

from crew_repo import Status, TaskPolicy
from tests import crews
from tests.models import PromptModel

pytestmark = pytest.mark.siege

# A server by hand, which starts faster than one with a framework: it speaks JSON, a line for each message.
SERVER = '''
import json, os, sys
from helpers import UNIT
text = open("said.txt").read() if os.path.exists("said.txt") else "Prices in " + UNIT
schema = {"type": "object", "properties": {"item": {"type": "string"}}}
ANSWERS = {
    "initialize": {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}, "serverInfo": {"name": "p", "version": "1"}},
    "tools/list": {"tools": [{"name": "price", "description": text, "inputSchema": schema}]},
}
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": ANSWERS.get(asked["method"], {})}
        print(json.dumps(answer), flush=True)
'''


@pytest.fixture
def server(repo: Any) -> Path:
    """The server's files, in the folder that the process works in."""
    Path("helpers.py").write_text("UNIT = 'dollars'\n")
    Path("server.py").write_text(SERVER)
    return Path.cwd()


def crew(model: PromptModel, **members: Any) -> Crew:
    """Two tasks; the first one's agent has the server."""
    given = {"command": sys.executable, "args": ["server.py"], **members}
    buyer, clerk = crews.agent(model, "Buyer", mcps=[MCPServerStdio(**given)]), crews.agent(model, "Clerk")
    tasks = [crews.task("buy", "{notes}", buyer), crews.task("note", "write it down", clerk)]
    return Crew(agents=[buyer, clerk], tasks=tasks)


def reasons(repo: Any, built: Crew, **options: Any) -> list[str]:
    """What a plan says of the first task, after its status."""
    decision = repo.plan(built, {"notes": "n"}, **options)["buy"]
    return [str(decision.status), *map(str, decision.reasons)]


AT_RUN_TIME = ["may rerun", "agent.mcp known at run time (the tools that its servers give)"]


def test_a_server_that_says_the_same_is_reused(repo, model, server):
    """Nothing runs, and the plan, which does not connect, says that it may; so it does of what reads the task."""
    assert repo.run(crew(model), {"notes": "n"}).run.executed == ["buy", "note"]
    plan = repo.plan(crew(model), {"notes": "n"})
    assert plan.may_rerun == ["buy", "note"]
    assert reasons(repo, crew(model)) == AT_RUN_TIME
    assert repo.run(crew(model), {"notes": "n"}).run.reused == ["buy", "note"]


def test_tools_that_a_server_gives_now_count(repo, model, server):
    """Another description is another prompt, whatever it comes from; the earlier one finds its record again."""
    first = repo.run(crew(model), {"notes": "n"})
    Path("said.txt").write_text("Prices of yesterday")
    assert reasons(repo, crew(model)) == AT_RUN_TIME
    second = repo.run(crew(model), {"notes": "n"})
    assert second.run.executed[:1] == ["buy"]
    assert [str(reason) for reason in second.run.tasks[0].reasons] == ["resolved:tool:price changed"]
    Path("said.txt").unlink()
    assert reasons(repo, crew(model)) == AT_RUN_TIME
    third = repo.run(crew(model), {"notes": "n"})
    assert third.run.reused == ["buy", "note"]
    assert third.raw == first.raw
    assert not repo.verify()


def test_equal_tasks_with_servers_are_told_apart(repo, model, server):
    """Two tasks that are alike have a record each, though a plan cannot know yet that they are."""

    def twins() -> Crew:
        built = crew(model)
        built.tasks[1] = crews.task("buy", "{notes}", built.agents[0], context=[])
        built.tasks[0].context = []
        return built

    assert len(repo.run(twins(), {"notes": "n"}).run.executed) == 2
    assert len(repo.plan(twins(), {"notes": "n"}).may_rerun) == 2
    assert len(repo.run(twins(), {"notes": "n"}).run.reused) == 2


@pytest.mark.parametrize(("file", "text"), [("server.py", SERVER + "# another\n"), ("helpers.py", "UNIT = 'euros'\n")])
def test_the_servers_files_count(repo, model, server, file, text):
    """The file among the arguments counts by its content, and so does what it imports from beside it."""
    repo.run(crew(model), {"notes": "n"})
    (server / file).write_text(text)
    assert reasons(repo, crew(model)) == ["stale", f"agent.mcp:1.file:{file} changed"]
    assert repo.run(crew(model), {"notes": "n"}).run.executed[:1] == ["buy"]


def test_of_what_a_server_is_given_all_counts_but_secrets(repo, model, server, monkeypatch):
    """A mode is a change; a key, and variables that the whole environment brings, are none."""
    repo.run(crew(model, env={**os.environ, "MODE": "a", "API_KEY": "one"}), {"notes": "n"})
    monkeypatch.setenv("TERM_SESSION", "another")
    assert reasons(repo, crew(model, env={**os.environ, "MODE": "a", "API_KEY": "two"})) == AT_RUN_TIME
    stale = ["stale", "agent.mcp:1.env changed"]
    assert reasons(repo, crew(model, env={**os.environ, "MODE": "b", "API_KEY": "two"})) == stale
    assert reasons(repo, crew(model, env={"MODE": "b"})) == stale
    anyway = {"PATH": os.environ["PATH"], "MODE": "a", "API_KEY": "one"}
    assert reasons(repo, crew(model, env=anyway)) == AT_RUN_TIME
    assert reasons(repo, crew(model, env={**anyway, "PATH": "/elsewhere"})) == stale


def test_where_the_folder_stands_does_not_count(repo, model, server):
    """A path into the working folder is that file, however it is written; the interpreter counts by its name."""
    repo.run(crew(model, command=sys.executable), {"notes": "n"})
    moved = crew(model, command=f"/elsewhere/{Path(sys.executable).name}", args=[str(server / "server.py")])
    assert reasons(repo, moved) == AT_RUN_TIME


def test_modules_and_projects_count_by_their_files(repo, model, server):
    """`-m package` and `--directory folder run file` name files too."""
    package = server / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "main.py").write_text("from shop import rates\n")
    (package / "rates.py").write_text("RATE = 1\n")
    (package / "run.py").write_text("RATE = 1\n")
    for args, file in ((["-m", "shop.main"], "rates.py"), (["--directory", "shop", "run", "run.py"], "run.py")):
        built = crew(model, args=args, command="uv")
        repo.run(crew(model), {"notes": "n"}, workflow_id=file)
        before = reasons(repo, built, workflow_id=file)
        assert f"agent.mcp:1.file:{file} added" in before


def test_a_record_that_was_invalidated_is_missing(repo, model, server):
    """A plan that cannot know what the server will say knows what may not be served, and why."""
    repo.run(crew(model), {"notes": "n"})
    repo.invalidate("buy")
    decision = repo.plan(crew(model), {"notes": "n"})["buy"]
    assert decision.status is Status.MISSING
    assert [str(reason) for reason in decision.reasons] == ["invalidated"]
    assert repo.run(crew(model), {"notes": "n"}).run.executed[:1] == ["buy"]


def test_what_the_policy_ignores_does_not_count(repo, model, server):
    """A file that the server writes, and tools whose texts differ each time, can be left out."""
    policies = {"buy": TaskPolicy(ignore=("agent.mcp:1.file:server.py", "resolved:*"))}
    repo.run(crew(model), {"notes": "n"}, policies=policies)
    (server / "server.py").write_text(SERVER + "# another\n")
    Path("said.txt").write_text("Prices of today")
    assert repo.plan(crew(model), {"notes": "n"}, policies=policies).fresh == ["buy", "note"]
    assert repo.run(crew(model), {"notes": "n"}, policies=policies).run.reused == ["buy", "note"]


@pytest.mark.asyncio
async def test_servers_of_native_async_runs_count(repo, model, server):
    """The boundary of `arun` sees the tools as well."""
    await repo.arun(crew(model), {"notes": "n"})
    Path("said.txt").write_text("Prices of yesterday")
    second = await repo.arun(crew(model), {"notes": "n"})
    assert second.run.executed[:1] == ["buy"]
    assert (await repo.arun(crew(model), {"notes": "n"})).run.reused == ["buy", "note"]


def test_the_context_and_the_tools_are_told_apart(repo, model, server):
    """A task that is told something else, and whose server gives other tools, names both."""

    def behind(notes: str) -> Crew:
        built = crew(model)
        built.tasks.reverse()
        built.tasks[0].description = f"<<note>> {notes}"
        return built

    repo.run(behind("a"))
    assert repo.plan(behind("b")).may_rerun == ["buy"]
    Path("said.txt").write_text("Prices of yesterday")
    second = repo.run(behind("b"))
    said = [str(reason) for reason in second.run.tasks[1].reasons]
    assert [reason for reason in said if "upstream:note" in reason]
    assert "resolved:tool:price changed" in said
    assert len(said) == 2
