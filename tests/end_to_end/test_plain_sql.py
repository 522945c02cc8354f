"""What Python's own sqlite3 module reads of a crew's runs, while they go on and afterwards."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew, Process, Task
from pydantic import BaseModel

from crew_repo import StateRepository
from tests import crews
from tests.models import PromptModel

pytestmark = pytest.mark.siege

SECRET = "sk-proj-0123456789abcdefghijklmnop"


def sql(repo: StateRepository, statement: str) -> list[dict[str, Any]]:
    """What a prompt without our package says."""
    with closing(sqlite3.connect(Path(repo.url.removeprefix("sqlite:///")))) as connection, connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(statement)]


class Claim(BaseModel):
    """A typed answer."""

    policy: int


def crew_of(model: PromptModel, *names: str, text: str = "Read {notes}.", **members: Any) -> Crew:
    """A chain of tasks with these names; their prompts say nothing of the names."""
    worker = crews.agent(model)
    tasks = [Task(name=name, description=f"Step {n}. {text}", expected_output="x", agent=worker, **members)
             for n, name in enumerate(names)]  # fmt: skip
    return Crew(agents=[worker], tasks=tasks)


def test_a_task_is_running_while_its_model_works(repo: StateRepository) -> None:
    """From the first call on, and again with its last answer beside it when it is executed anew."""
    seen: list[Any] = []
    asked = "SELECT task_name, status, output, run_id = (SELECT run_id FROM run WHERE status = 'running') AS by FROM task_state"

    def look(prompt: str) -> str:
        seen.append([tuple(row.values()) for row in sql(repo, asked)])
        return f"answer {len(seen)}"

    model = PromptModel(model="m", script={"Step": look})
    for notes in ("hail", "storm"):
        repo.run(crew_of(model, "extract"), {"notes": notes})
    assert [rows[0] for rows in seen] == [
        ("extract", "running", None, 1), ("extract", "running", seen[-1][0][2], 1)
    ]  # fmt: skip
    assert "answer" in seen[-1][0][2]
    assert sql(repo, asked)[0]["status"] == "completed"


def test_a_typed_answer_in_prose_and_what_was_asked_are_read_as_json(repo: StateRepository) -> None:
    """The inputs by their names, and no secret: neither among the inputs nor in what the task was asked."""
    model = PromptModel(model="m", script={"Step": 'Sure!\n```json\n{"policy": 42}\n```\nAnything else?'})
    crew = crew_of(model, "extract", text="Read {notes} with {api_key}.", output_pydantic=Claim)
    repo.run(crew, {"notes": "hail", "api_key": SECRET})
    (row,) = sql(repo, "SELECT output, json_extract(output_json, '$.policy') AS policy, inputs, description FROM task_state")
    assert (row["output"][:5], row["policy"]) == ("Sure!", 42)
    assert json.loads(row["inputs"]) == {"notes": "hail", "api_key": None}
    assert "hail" in row["description"]
    assert SECRET not in str(row)


def test_rows_of_old_names_are_told_apart_and_can_be_deleted(repo: StateRepository, model: PromptModel) -> None:
    """All tasks are renamed, and one is taken out: deleting what is no longer in the crew makes nothing run again."""
    notes = {"notes": "hail"}
    repo.run(crew_of(model, "one", "two", "three"), notes)
    renamed = crew_of(model, "first", "second")
    assert repo.run(renamed, notes).run.reused == ["first", "second"]
    asked = "SELECT task_name FROM task_state WHERE in_crew = 0 ORDER BY position"
    assert [row["task_name"] for row in sql(repo, asked)] == ["one", "two", "three"]
    sql(repo, "DELETE FROM task_state WHERE in_crew = 0")
    assert repo.plan(renamed, notes).fresh == ["first", "second"]
    assert [(state.task_name, state.in_crew) for state in repo.tasks()] == [("first", True), ("second", True)]


def test_a_batch_of_fresh_claims_says_which_tasks_there_are(repo: StateRepository, model: PromptModel) -> None:
    """A run in which nothing is executed has no kickoff, and tells the names all the same."""
    inputs = [{"notes": "hail"}]
    repo.run_for_each(crew_of(model, "old"), inputs, workflow_ids=["claim"])
    repo.run_for_each(crew_of(model, "new"), inputs, workflow_ids=["claim"])
    assert {row["task_name"]: row["in_crew"] for row in sql(repo, "SELECT * FROM task_state")} == {"old": 0, "new": 1}


def test_a_failed_task_was_completed_at_no_time_and_its_tokens_count(repo: StateRepository, model: PromptModel) -> None:
    """In its own row and in the run's."""

    def refuse(output):  # type: ignore[no-untyped-def] # CrewAI reads what it returns
        raise RuntimeError("no luck")

    crew = crew_of(model, "extract", guardrail=refuse)
    with pytest.raises(Exception, match="no luck"):
        repo.run(crew, {"notes": "hail"})
    (row,) = sql(repo, "SELECT status, completed_at, total_tokens, output, error FROM task_state")
    assert (row["status"], row["completed_at"], row["output"]) == ("failed", None, None)
    assert row["total_tokens"] > 0
    assert "no luck" in row["error"]
    assert sql(repo, "SELECT status, failed, tokens_spent FROM run") == [
        {"status": "failed", "failed": 1, "tokens_spent": row["total_tokens"]}
    ]


def test_each_answer_names_its_model(repo: StateRepository) -> None:
    """What the old model said, and what each cost, is one query."""
    for name in ("gpt-4o", "gpt-5.5"):
        repo.run(crew_of(PromptModel(model=name, script={"Step": f"said by {name}"}), "extract"), {"notes": "hail"})
    rows = sql(repo, "SELECT model, output, total_tokens > 0 AS cost FROM record WHERE task_name = 'extract'")
    assert rows == [{"model": name, "output": f"said by {name}", "cost": 1} for name in ("gpt-4o", "gpt-5.5")]
    assert [(state.model, state.output) for state in repo.tasks()] == [("gpt-5.5", "said by gpt-5.5")]
    assert [record.model for record in repo.history("extract")] == ["gpt-5.5", "gpt-4o"]


def test_a_task_that_a_manager_hands_out_names_the_managers_model(repo: StateRepository) -> None:
    """That is the one which is asked."""
    worker = crews.agent(PromptModel(model="worker"))
    task = Task(name="extract", description="Read it.", expected_output="x")
    crew = Crew(agents=[worker], tasks=[task], process=Process.hierarchical, manager_llm=PromptModel(model="boss"))
    repo.run(crew)
    assert sql(repo, "SELECT model FROM record") == [{"model": "boss"}]


def test_a_model_whose_name_is_a_secret_is_not_named(repo: StateRepository) -> None:
    """The column has no more than what may be shown."""
    repo.run(crew_of(PromptModel(model=SECRET), "extract"), {"notes": "hail"})
    assert SECRET not in str(sql(repo, "SELECT * FROM record"))
