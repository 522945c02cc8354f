"""The tokens of each model are kept with records and with what runs did, on both databases."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from crew_repo.model import ModelTokens, Usage
from crew_repo.pricing import Price, Prices, priced_run
from crew_repo.store import Store
from tests.conformance.kit import Kit, new_record

SPENT = Usage(35, 25, 10, 5, 2, (ModelTokens("a/b ü", 10, 5, 0, 6), ModelTokens("m", 0, 0, 10, 4)))


def test_they_come_back_as_they_were_given(kit: Kit) -> None:
    """With the record, with what the run did, and by an export in another state."""
    (record,) = kit.run(new_record(usage=SPENT))
    assert record.usage == SPENT
    assert kit.store.history("extract")[0].usage == SPENT
    assert kit.store.list_runs()[0].tasks[0].usage == SPENT
    assert kit.store.costs_elsewhere("another", "claims") == {"extract": (SPENT, 1.5)}


def test_sql_shows_them_as_json(kit: Kit, sql: Any) -> None:
    """Each token once, by model and kind; NULL where they are not known."""
    kit.run(new_record(usage=SPENT), new_record("draft", position=1, template="D"))
    told = {"a/b ü": {"input": 10, "cached_input": 5, "output": 6}, "m": {"cache_write": 10, "output": 4}}
    for table in ("record", "task_run"):
        one, other = sql(f"SELECT usage_by_model FROM {table} ORDER BY position")
        assert json.loads(one["usage_by_model"]) == told
        assert other["usage_by_model"] is None


def test_they_go_along_with_an_export(kit: Kit, tmp_path: Path) -> None:
    """Into another state."""
    kit.run(new_record(usage=SPENT))
    with Store(f"sqlite:///{tmp_path / 'other.db'}") as other:
        other.import_json("".join(kit.store.export_json()))
        assert other.history("extract")[0].usage == other.list_runs()[0].tasks[0].usage == SPENT


@pytest.mark.parametrize("damage", ["{", "[]", '{"m": 1}', '{"m": {"input": "1"}}', '{"m": {"odd": 1}}', '{"m": {"input": true}}'])
def test_damaged_ones_are_not_known(kit: Kit, sql: Any, damage: str) -> None:
    """The answer is served as ever: its tokens have no price, and that is all."""
    kit.run(new_record(usage=SPENT))
    for table in ("record", "task_run"):
        sql(f"UPDATE {table} SET usage_by_model = :damage", damage=damage)
    unknown = replace(SPENT, by_model=())
    assert [record.usage for record in kit.store.history("extract")] == [unknown]
    assert [task.usage for task in kit.store.list_runs()[0].tasks] == [unknown]
    assert kit.store.verify() == []


def test_tokens_of_a_file_of_version_4_have_no_price(tmp_path: Path) -> None:
    """It has one model for each record, and does not say whether all tokens are that one's."""
    file = tmp_path / "state.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((Path(__file__).parent / "version_4.sql").read_text(encoding="utf-8"))
    with Store(f"sqlite:///{file}") as store:
        (run,) = store.list_runs()
        cost = priced_run(run, Prices({"m": Price(input=1, output=1)})).cost
        assert cost is not None
        assert (cost.amount, cost.unpriced_tokens) == (Decimal(0), run.tokens_spent)
