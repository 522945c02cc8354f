"""Crews in JSON, as `crewai create crew` makes them since CrewAI 1.15, and tools that are loaded from a file as theirs are."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew

from tests import crews
from tests.playing import EXAMPLES, LABEL, ROOT, run_example

pytestmark = pytest.mark.siege

PROJECT = EXAMPLES / "json_project"
HAS_JSON = find_spec("crewai.project.crew_loader") is not None
TOOL = """
from functools import lru_cache
from crewai.tools import BaseTool
from pydantic import BaseModel, Field

LIMIT = 10

class Arguments(BaseModel):
    order: str = Field(description="its number")

class Words:
    def said(self): return "the order"

class OrderTool(BaseTool):
    name: str = "order"
    description: str = "Say where an order is."
    args_schema: type[BaseModel] = Arguments
    def _run(self, order: str) -> str:
        return Words().said() + kept(order)[:LIMIT]

@lru_cache
def kept(order): return "at " + order
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder for projects whose files may change twice in a second."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def test_the_json_project_remembers(folder: Path) -> None:
    """The example runs, is warm in the next process, and executes what a changed input or a changed tool concerns."""
    project = folder / "project"
    shutil.copytree(PROJECT, project)
    if not HAS_JSON:
        with pytest.raises(AssertionError, match=r"Crews in JSON need CrewAI 1\.15 or newer"):
            play(project, folder)
        return
    first = play(project, folder)
    assert first.startswith(LABEL)
    assert "executed ['look_up', 'reply'], reused []\n\nDear Noor Haddad,\nOrder K-2207 left" in first
    warm = play(project, folder, "customer=Noor Haddad")
    assert "executed [], reused ['look_up', 'reply']" in warm
    tool = project / "tools" / "order_status.py"
    tool.write_text(tool.read_text().replace('f"Order {order} {status}."', 'f"Your order {order} {status}."'))
    changed = play(project, folder, "customer=Ivo Lind")
    assert "look_up  stale   tool:order_status.source changed" in changed
    assert "executed ['look_up', 'reply'], reused []\n\nDear Ivo Lind,\nYour order K-2207 left" in changed


def play(project: Path, folder: Path, *arguments: str) -> str:
    return run_example(project / "main.py", folder, *arguments, PYTHONPATH=f"{ROOT}{os.pathsep}{EXAMPLES}")


def load(folder: Path, text: str = TOOL) -> Any:
    """The tool of a project, loaded as CrewAI loads it: its module is found under no name."""
    file = folder / "order_tool.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    spec = importlib.util.spec_from_file_location("custom_tools.order_tool", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.OrderTool()


def crew_with(model: Any, tool: Any) -> Crew:
    """The second task reads the first, which has the tool."""
    clerk, writer = crews.agent(model, tools=[tool]), crews.agent(model, "Writer")
    tasks = [crews.task("look_up", "{order}", clerk), crews.task("reply", "to {customer}", writer)]
    return Crew(name="orders", agents=[clerk, writer], tasks=tasks)


INPUTS = {"order": "K-2207", "customer": "Noor"}


@pytest.mark.parametrize(
    "old, new",
    [
        ("LIMIT = 10", "LIMIT = 20"),
        ('"at " +', '"by " +'),
        ('"the order"', '"your order"'),
        ('description="its number"', 'description="the number"'),
        ("Words().said() + ", "Words().said().title() + "),
        ("Say where", "Tell where"),
    ],
)
def test_a_tool_that_is_loaded_from_a_file_counts_with_all_that_its_file_has(repo, model, folder, old, new):
    """A changed constant, cached helper, class, schema, body or description makes its task stale, and changed back it is fresh."""
    repo.run(crew_with(model, load(folder)), INPUTS)
    run = repo.run(crew_with(model, load(folder, TOOL.replace(old, new))), INPUTS).run
    assert run.executed[0] == "look_up"
    assert repo.run(crew_with(model, load(folder)), INPUTS).run.executed == []


def test_comments_other_projects_and_another_place_change_nothing(repo, model, folder):
    """Two projects whose tools have one module name do not mix; a comment, an unused name and a move are no change."""
    one, two, moved = folder / "one", folder / "two", folder / "moved"
    repo.run(crew_with(model, load(one)), INPUTS)
    assert repo.run(crew_with(model, load(two, TOOL.replace("10", "20"))), INPUTS).run.executed[0] == "look_up"
    assert repo.run(crew_with(model, load(one, "# why\n" + TOOL + "\nUNUSED = 1\n")), INPUTS).run.executed == []
    assert repo.run(crew_with(model, load(moved)), INPUTS).run.executed == []


def test_a_run_with_such_a_tool_goes_on_where_it_failed(repo, model, folder):
    """What had finished before a failure is reused by a crew that is loaded anew."""
    failing = crew_with(model, load(folder))
    failing.tasks[0].callback = _fail
    with pytest.raises(RuntimeError, match="out of paper"):
        repo.run(failing, INPUTS)
    run = repo.run(crew_with(model, load(folder)), INPUTS).run
    assert (run.executed, run.reused) == (["reply"], ["look_up"])


def _fail(_: object) -> None:
    raise RuntimeError("out of paper")
