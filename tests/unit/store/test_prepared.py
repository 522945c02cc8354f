"""Core statements on the driver's own cursor do what SQLAlchemy's execution of them does."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timezone
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, StaticPool, Table, bindparam, create_engine, select, update
from sqlalchemy.dialects.sqlite import insert, pysqlite

from crew_repo.store.columns import PlainText, UtcText
from crew_repo.store.prepared import Prepared

_THING = Table(
    "thing", MetaData(),
    Column("key", Integer, primary_key=True), Column("said", PlainText), Column("at", UtcText),
    Column("count", Integer, default=7),
)  # fmt: skip
_INSERT = insert(_THING).on_conflict_do_nothing()
_AT = datetime(2026, 11, 25, 10, 0, tzinfo=timezone.utc)
_ROW = {"key": 1, "said": "a\x00b \ud800", "at": _AT, "count": 3}


@pytest.fixture
def driver():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE thing (key INTEGER PRIMARY KEY, said TEXT, at TEXT, count INTEGER NOT NULL)")
    yield connection
    connection.close()


@pytest.fixture
def prepared() -> Prepared:
    return Prepared(pysqlite.dialect())


def _stored(driver: sqlite3.Connection) -> list[dict[str, Any]]:
    """What SQLAlchemy itself reads."""
    with create_engine("sqlite+pysqlite://", creator=lambda: driver, poolclass=StaticPool).connect() as connection:
        return [dict(row) for row in connection.execute(select(_THING).order_by(_THING.c.key)).mappings()]


def test_what_it_writes_is_what_sqlalchemy_reads(driver: sqlite3.Connection, prepared: Prepared) -> None:
    """Texts that no database takes and times go through their column types, one row or many."""
    assert prepared.run(driver, _INSERT, _ROW).lastrowid == 1
    others = [{**_ROW, "key": key, "said": None} for key in (2, 3)]
    assert prepared.run(driver, _INSERT, others).rowcount == 2
    assert _stored(driver) == [_ROW, *others]


def test_a_row_that_is_there_is_passed_over(driver: sqlite3.Connection, prepared: Prepared) -> None:
    """And counted as none."""
    prepared.run(driver, _INSERT, _ROW)
    assert prepared.run(driver, _INSERT, {**_ROW, "said": "another"}).rowcount == 0
    assert _stored(driver) == [_ROW]


def test_values_in_the_statement_and_parameters_find_their_places(
    driver: sqlite3.Connection, prepared: Prepared
) -> None:
    """Whatever their order in the statement."""
    prepared.run(driver, _INSERT, [{**_ROW, "key": key} for key in (1, 2)])
    change = update(_THING).where(_THING.c.key == bindparam("k")).values(said="fixed", count=bindparam("c"))
    assert prepared.run(driver, change, {"c": 9, "k": 2}).rowcount == 1
    assert _stored(driver) == [_ROW, {**_ROW, "key": 2, "said": "fixed", "count": 9}]


def test_a_missing_parameter_is_an_error(driver: sqlite3.Connection, prepared: Prepared) -> None:
    """It is never taken for NULL."""
    with pytest.raises(KeyError, match="k"):
        prepared.run(driver, select(_THING.c.key).where(_THING.c.key == bindparam("k")), {})
    prepared.run(driver, _INSERT, _ROW)
    with pytest.raises(KeyError, match="said"):
        prepared.run(driver, _INSERT, [{**_ROW, "key": 2}, {"key": 3, "at": _AT, "count": 3}])


def test_a_default_of_sqlalchemys_is_asked_for(driver: sqlite3.Connection, prepared: Prepared) -> None:
    """Only SQLAlchemy's own execution would give it."""
    with pytest.raises(ValueError, match="thing lacks count"):
        prepared.run(driver, _INSERT, {"key": 1, "said": "x", "at": _AT})


def test_each_set_of_columns_is_a_statement_of_its_own(driver: sqlite3.Connection, prepared: Prepared) -> None:
    """A column that an earlier row had, or had not, is neither kept nor lost."""
    prepared.run(driver, _INSERT, {"key": 1, "count": 1})
    prepared.run(driver, _INSERT, {"key": 2, "said": "x", "count": 1})
    prepared.run(driver, _INSERT, {"key": 3, "count": 1})
    assert [row["said"] for row in _stored(driver)] == [None, "x", None]
