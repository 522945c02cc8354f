"""What a SQL prompt says of a task: what it was asked, what the model answered and spent, and which model it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crew_repo.hashing import text_hash
from crew_repo.model import Component, NewRecord, Outcome, Usage
from tests.conformance.kit import Kit, new_record, task_run


def _asked(**inputs: str | None) -> Callable[[NewRecord], NewRecord]:
    def with_inputs(record: NewRecord) -> NewRecord:
        parts = [Component(f"input:{name}", text_hash(str(value)), acts=name == "payload", text=value)
                 for name, value in inputs.items()]  # fmt: skip
        return replace(record, components=(*record.components[:2], *parts))

    return with_inputs


def test_what_a_task_was_asked_is_read_by_name(kit: Kit, sql: Any) -> None:
    """As JSON, without a hash; a secret, whose text is not stored, is named without it."""
    record = _asked(notes='hail, "3 May"\nä', api_key=None, payload="p")(new_record())
    kit.run(record, new_record("draft", template="D", position=1, components=record.components[:2]))
    rows = sql("SELECT inputs, description FROM task_state ORDER BY position")
    assert [json.loads(row["inputs"]) for row in rows] == [
        {"notes": 'hail, "3 May"\nä', "api_key": None, "payload": "p"}, {}
    ]  # fmt: skip


def test_a_task_without_an_answer_says_of_no_input(kit: Kit, sql: Any) -> None:
    """What a failed task was asked is not stored."""
    kit.store.save_failed(None, task_run(new_record(run_id=kit.start()), Outcome.FAILED))
    assert sql("SELECT inputs, output_json, model FROM task_state") == [
        {"inputs": None, "output_json": None, "model": None}
    ]


@pytest.mark.parametrize("damage", ["{", "[]", "7", "null", ""])
@pytest.mark.parametrize("column", ["components", "explanations"])
def test_a_damaged_record_hides_no_other(kit: Kit, sql: Any, column: str, damage: str) -> None:
    """Components that are no JSON make its inputs unknown, and the whole view can be read."""
    kit.run(_asked(notes="n")(new_record()), _asked(notes="m")(new_record("draft", template="D", position=1)))
    sql(f"UPDATE record SET {column} = :damage WHERE task_name = 'extract'", damage=damage)
    rows = sql("SELECT * FROM task_state ORDER BY position")
    assert json.loads(rows[1]["inputs"]) == {"notes": "m"}
    assert "m" not in str(rows[0]["inputs"])


@pytest.mark.parametrize("member", ["pydantic_json", "json_dict_json"])
def test_a_typed_output_is_read_as_json(kit: Kit, sql: Any, member: str) -> None:
    """Also where the model answered in prose around it; a plain text has none."""
    record = new_record(raw='Here it is: {"policy": 42}. Anything else?')
    both = {"pydantic_json": None, "json_dict_json": None, member: '{"policy":42}'}
    plain = replace(record.result, raw="text", pydantic_json=None)
    kit.run(replace(record, result=replace(record.result, **both)),
            new_record("draft", template="D", position=1, result=plain))  # fmt: skip
    rows = sql("SELECT output, output_json FROM task_state ORDER BY position")
    assert rows[0]["output"].startswith("Here it is")
    assert [row["output_json"] for row in rows] == ['{"policy":42}', None]


def test_what_each_model_said_and_cost_is_one_query(kit: Kit, sql: Any) -> None:
    """Of the present answer and of those before it."""
    kit.run(new_record(raw="old", model="gpt-4o"))
    kit.run(new_record(raw="new", template="T", model="gpt-5.5", usage=Usage(70, 50, 20)))
    assert sql("SELECT model, output, total_tokens FROM record WHERE task_name = 'extract' ORDER BY record_id") == [
        {"model": "gpt-4o", "output": "old", "total_tokens": 30},
        {"model": "gpt-5.5", "output": "new", "total_tokens": 70},
    ]
    assert sql("SELECT model, output FROM task_state") == [{"model": "gpt-5.5", "output": "new"}]
    assert [record.model for record in kit.store.history("extract")] == ["gpt-5.5", "gpt-4o"]


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INTERRUPTED, Outcome.SKIPPED])
def test_a_task_without_an_answer_is_not_completed_at_any_time(kit: Kit, sql: Any, outcome: Outcome) -> None:
    """When it began, how long it took and what it spent are there all the same."""
    record = new_record(run_id=kit.start())
    note = task_run(record, outcome, started_at=record.started_at)
    kit.store.save_failed(None, note)
    (row,) = sql("SELECT status, completed_at, started_at, duration_seconds, total_tokens FROM task_state")
    assert row == {
        "status": str(outcome), "completed_at": None, "duration_seconds": 1.5, "total_tokens": 30,
        "started_at": record.started_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }  # fmt: skip
    assert kit.store.states()[0].completed_at is None
