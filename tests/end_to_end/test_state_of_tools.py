"""What a tool writes on itself, by who writes it: its work, somebody else, or both."""

from __future__ import annotations

import functools
import random
import threading
from typing import Any

import pytest
from crewai import Crew
from crewai.tools import BaseTool, tool
from pydantic import PrivateAttr

from crew_repo import TaskPolicy
from tests import crews
from tests.models import PromptModel

pytestmark = pytest.mark.siege


class Lookup(BaseTool):
    """Counts, logs, caches, draws, connects when it is first called, and is told a table by a method."""

    name: str = "lookup"
    description: str = "Looks up."
    calls: int = 0
    log: list[str] = []
    rng: Any = None
    _client: Any = PrivateAttr(None)
    _cache: dict[str, str] = PrivateAttr(default_factory=dict)
    _table: str = PrivateAttr("the usual")

    def load(self, table: str) -> BaseTool:
        self._table = table
        return self

    @functools.cached_property
    def index(self) -> dict[str, int]:
        return {"a": 1}

    def _run(self) -> str:
        self.calls += 1
        self.log.append(self._table)
        if self._client is None:
            self._client = {"connected": threading.Lock()}
        self._cache[self._table] = str(self.index)
        self.rng = self.rng or random.Random(1)
        return f"{self._table} {self.rng.random()}"


class Shelf(BaseTool):
    """Its rows are set from outside, and grow as it works."""

    name: str = "lookup"
    description: str = "Looks up."
    rows: list[str] = []

    def load(self, rows: list[str]) -> BaseTool:
        self.rows = rows
        return self

    def _run(self) -> str:
        self.rows.append("asked")
        return str(self.rows)


def crew_with(tool: Any) -> Crew:
    """A crew of one task that calls the tool."""
    script = {f"Observation: {said}": "Thought: I know.\nFinal Answer: ok" for said in ("the usual", "the other", "[")}
    model = PromptModel(model="m", script={**script, "<<check>>": "Thought: I look.\nAction: lookup\nAction Input: {}"})
    worker = crews.agent(model, tools=[tool])
    return Crew(agents=[worker], tasks=[crews.task("check", "is it covered?", worker)])


def executes(repo: Any, crew: Crew, **options: Any) -> bool:
    """Whether a run executes the task, as its plan says."""
    planned = repo.plan(crew, **options)
    executed = repo.run(crew, **options).run.executed == ["check"]
    assert planned.all_fresh is not executed
    return executed


def test_what_a_tools_work_writes_counts_as_first_seen(repo):
    """In a second run, on a new crew, and on a tool that is made anew as the next process makes it."""
    crew = crew_with(tool := Lookup())
    assert executes(repo, crew)
    assert tool.calls == 1
    assert not executes(repo, crew)
    assert not executes(repo, crew_with(tool))
    assert not executes(repo, crew_with(Lookup()))
    assert executes(repo, crew_with(Lookup(calls=7)))


def test_what_only_others_write_on_a_tool_counts_as_it_is(repo):
    """A table that a method is told is an ingredient, at once and for as long as it is that table."""
    tool = Lookup()
    assert executes(repo, crew_with(tool))
    assert executes(repo, crew_with(tool.load("the other")))
    assert not executes(repo, crew_with(tool))
    assert not executes(repo, crew_with(Lookup().load("the other")))
    assert not executes(repo, crew_with(tool.load("the usual")))


def test_a_table_that_is_loaded_while_a_run_goes_on_counts_in_the_next(repo):
    """A server's thread that loads another table is heard, though the tool was at work then."""
    tool = Lookup()
    crew = crew_with(tool)
    crew.tasks[0].callback = lambda output: tool.load("the other") and None
    assert executes(repo, crew)
    assert tool._table == "the other"
    assert executes(repo, crew_with(tool))
    assert not executes(repo, crew_with(Lookup().load("the other")))


@pytest.mark.parametrize("loaded", [False, True])
def test_what_a_tools_work_and_others_write_runs_every_time_unless_it_is_ignored(repo, loaded: bool):
    """The reason names the attribute, who writes it, and how it can be left out."""
    tool = Shelf(rows=["a"]).load(["b"]) if loaded else Shelf(rows=["a"])
    crew = crew_with(tool)
    assert executes(repo, crew)
    assert executes(repo, crew)
    assert executes(repo, crew_with(Shelf(rows=["a"])))
    [reason] = repo.plan(crew)["check"].reasons
    assert reason.component == "tool:lookup.rows"
    assert "is written at work, and set by Shelf.load from outside" in str(reason)
    ignoring = {"policies": {"check": TaskPolicy(ignore=("tool:lookup.rows",))}}
    assert executes(repo, crew, **ignoring)
    assert not executes(repo, crew, **ignoring)
    assert not executes(repo, crew_with(Shelf()), **ignoring)


RATES = {"a": 1}


@tool("lookup")
def reads_rates() -> str:
    """Looks up."""
    return f"the usual {RATES['a']}"


def test_the_reason_names_the_global_that_has_changed(repo, monkeypatch):
    """Not only the tool that reads it; while nothing that acts has changed, it is no reason."""
    assert executes(repo, crew_with(reads_rates))
    monkeypatch.setitem(RATES, "a", 2)
    reasons = repo.plan(crew_with(reads_rates))["check"].reasons
    assert [reason.component for reason in reasons] == ["global:RATES", "tool:lookup.source"]
