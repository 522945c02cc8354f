"""Data that a tool holds: hashed once in a run that serves its tasks, and again after whatever may have changed it."""

from __future__ import annotations

import re
import sqlite3
from datetime import timedelta
from typing import Any

import chromadb
import pytest
import sqlalchemy
from crewai import Crew
from crewai.tools import BaseTool

from crew_repo import TaskPolicy
from crew_repo.hashing import register_hasher, unregister_hasher, walker
from tests import crews

pytestmark = pytest.mark.siege


class Table:
    """Data whose reading is counted."""

    def __init__(self) -> None:
        self.rows = ["a"]


class Look(BaseTool):
    name: str = "look"
    description: str = "Look a row up."
    table: Any = None

    def _run(self) -> str:
        return str(self.table.rows)


@pytest.fixture
def read():
    """The tables that were hashed."""
    found: list[Table] = []
    register_hasher(Table, lambda table: found.append(table) or table.rows)
    yield found
    unregister_hasher(Table)


def five_tasks(model: Any, **members: Any) -> Crew:
    clerk = crews.agent(model, tools=[Look(table=Table())])
    tasks = [crews.task(f"t{n}", f"task {n}", clerk, context=[], **members) for n in range(5)]
    return Crew(agents=[clerk], tasks=tasks)


def test_data_is_not_hashed_for_each_task_of_a_run_that_serves(repo, model, read):
    """Five reused tasks read the data of their tool once, not five times."""
    repo.run(five_tasks(model))
    read.clear()
    assert repo.run(five_tasks(model)).run.executed == []
    assert len(read) == 1


def test_plain_data_is_walked_once_however_many_tasks_are_executed(repo, model, monkeypatch):
    """A table of Python's own types is known by its content: five executed tasks and a second crew walk it once."""
    walked: list[object] = []
    remember = walker.remember
    monkeypatch.setattr(walker, "remember", lambda mark, encoded: walked.append(mark) or remember(mark, encoded))

    def crew() -> Crew:
        clerk = crews.agent(model, tools=[Look(table=[["walked once", n] for n in range(2000)])])
        return Crew(agents=[clerk], tasks=[crews.task(f"t{n}", f"task {n}", clerk, context=[]) for n in range(5)])

    assert len(repo.run(crew()).run.executed) == 5
    assert repo.run(crew()).run.executed == []
    assert len(walked) == 1


def test_what_a_callback_changes_between_two_tasks_is_seen(repo, model):
    """Code of the user's that runs between two tasks may change a tool: the next task is executed with the new one."""

    def crew(said: str) -> Crew:
        made = five_tasks(model)
        table = made.agents[0].tools[0].table
        made.tasks[0].callback = lambda output: table.rows.append(said)
        return made

    repo.run(crew("b"))
    changed = crew("c")
    assert repo.run(changed, force=["t0"]).run.executed == ["t0", "t1", "t2", "t3", "t4"]


def test_data_that_lives_elsewhere_is_told_once_and_served(repo, model, tmp_path, caplog):
    """A tool that holds a connection is reused; a warning says once what is not seen, unless a policy answers it."""

    def crew() -> Crew:
        clerk = crews.agent(model, tools=[Look(table=sqlite3.connect(tmp_path / "claims.db", check_same_thread=False))])
        return Crew(agents=[clerk], tasks=[crews.task(f"t{n}", f"task {n}", clerk, context=[]) for n in range(3)])

    repo.run(crew())
    assert not any("claims.db" in record and "t0 is reused" in record for record in caplog.messages)
    caplog.clear()
    assert repo.run(crew()).run.executed == []
    assert [record for record in caplog.messages if "claims.db" in record and "TaskPolicy(files=" in record] != []
    assert sum("claims.db" in record for record in caplog.messages) == 1
    caplog.clear()
    repo.run(crew(), policies={"*": TaskPolicy(max_age=timedelta(days=1))})
    assert not any("claims.db" in record for record in caplog.messages)


def test_a_long_address_is_told_in_short(repo, model, tmp_path, caplog):
    """Of Chroma's dozen settings the warning names the folder, two more and how many there are; the log has them all."""
    folder = str(tmp_path / "chroma")
    clerk = crews.agent(model, tools=[Look(table=chromadb.PersistentClient(folder))])
    with caplog.at_level("DEBUG", "crew_repo"):
        repo.run(Crew(agents=[clerk], tasks=[crews.task("find", "find it", clerk)]))
    (warning,) = [record.getMessage() for record in caplog.records if "cannot see" in record.getMessage()]
    assert f"(Client (a chromadb.api.client.Client): persist_directory {folder}, " in warning
    assert re.search(r" and \d+ more; the log has all of them at DEBUG\)\. If that data changes", warning)
    assert "topic_namespace" not in warning
    assert any("topic_namespace" in message for message in caplog.messages)


def test_a_reason_says_where_data_was_and_where_it_is(repo, model, tmp_path):
    """A folder or a file in the words of a plan; the address of a server is not stored."""

    def crew(data: Any) -> Crew:
        clerk = crews.agent(model, tools=[Look(table=data)])
        return Crew(agents=[clerk], tasks=[crews.task("find", "find it", clerk)])

    one, two = tmp_path / "one.db", tmp_path / "two.db"
    repo.run(crew(sqlite3.connect(one, check_same_thread=False)))
    decision = repo.plan(crew(sqlite3.connect(two, check_same_thread=False)))["find"]
    place, changed = decision.reasons
    assert (place.component, place.old_text, place.new_text) == ("place:tool:look.table", str(one), str(two))
    assert str(changed) == "tool:look.table changed"
    assert repo.verify() == []
    repo.run(crew(sqlalchemy.create_engine("postgresql+psycopg://ada@db.example/claims")))
    assert "db.example" not in repo.export_json()
