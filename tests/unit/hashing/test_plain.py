"""Plain data that was walked before in this process is known by its content."""

from __future__ import annotations

import datetime
import math
from collections import OrderedDict
from decimal import Decimal
from enum import IntEnum
from pathlib import Path

import pytest

from crew_repo import plain_data
from crew_repo.hashing import hash_value, register_hasher, unregister_hasher
from crew_repo.hashing.walker import Hashed
from crew_repo.secrets import finding, handing_over, secrets_in

KEY = "ghp_" + "a1B2" * 9


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """Each test starts in a process that has walked nothing."""
    monkeypatch.setattr(plain_data, "_known", {})
    monkeypatch.setattr(plain_data, "_FEWEST", 2)


def anew(value: object, *, ordered: bool = True) -> Hashed:
    """The hash of a value in a process that knows nothing."""
    known, plain_data._known = plain_data._known, {}
    try:
        return hash_value(value, "v", ordered=ordered)
    finally:
        plain_data._known = known


class Level(IntEnum):
    low = 1


class Text(str):
    pass


ALIKE = [
    *([1, 2], [1.0, 2], [True, 2], ["1", 2], (1, 2), {1: 2, 2: 1}, {2: 1, 1: 2}, {"a": 1, "b": 2}, {"b": 2, "a": 1}),
    *([0.0, 1], [-0.0, 1], [math.nan, 1], [None, 1], [b"a", 1], ["a", 1], [bytearray(b"a"), 1], [2**70, 1]),
    *([[1, 2], [1, 2]], [[1, 2], (1, 2)], {1, 2}, frozenset({1, 2}), [{1, 2}, 1], OrderedDict(a=1, b=2)),
    *([Level.low, 2], [Text("1"), 2], ["\ud800", 1], ["é", 1], ["e\u0301", 1], [memoryview(b"a"), 1]),
    *([datetime.date(2024, 1, 2), 1], [datetime.datetime(2024, 1, 2), 1], [datetime.datetime(2024, 1, 2, fold=1), 1]),
    *([datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc), 1], [datetime.time(1), 1], [Decimal("1.0"), 1]),
    *([Decimal("1.00"), 1], [datetime.timedelta(1), 1], [datetime.timezone(datetime.timedelta(hours=1)), 1]),
    *([datetime.timezone(datetime.timedelta(hours=1), "CET"), 1], [int, 2], [..., 1], [1j, 2]),
]


def test_what_is_known_has_the_hash_that_a_walk_gives():
    """Whatever was walked before, and however alike it is, each value has its own hash, in any order and twice."""
    for ordered in (True, False):
        expected = [anew(value, ordered=ordered) for value in ALIKE]
        for _ in range(2):
            assert [hash_value(value, "v", ordered=ordered) for value in ALIKE] == expected
            assert [hash_value(value, "v", ordered=ordered) for value in reversed(ALIKE)] == expected[::-1]


def test_plain_data_is_not_walked_again(monkeypatch):
    """Equal content made anew is known; what has changed is walked, and a part of its own that is known is not."""
    entered: list[object] = []
    enter = hash_value.__globals__["Walker"]._enter
    monkeypatch.setattr(
        hash_value.__globals__["Walker"], "_enter", lambda *some: entered.append(some[1]) or enter(*some)
    )

    def rows() -> list[dict[str, object]]:
        return [{"name": "a", "price": 1.5, "url": "https://a/?page=1", "on": datetime.date(2024, 1, 2)}, {}]

    hash_value(rows(), "v", ordered=True)
    entered.clear()
    hash_value(rows(), "v", ordered=True)
    assert entered == []
    hash_value([*rows(), 1], "v", ordered=True)
    assert [type(part) for part in entered] == [list, dict]


def test_a_place_in_the_project_is_looked_up_each_time(tmp_path, monkeypatch):
    """A path counts by the folder that code stands or works in, which may be another one the next time."""
    rows = [str(tmp_path / "data.csv"), [f"file://{tmp_path}/data.csv", 1]]
    before = hash_value(rows, "v", ordered=True)
    monkeypatch.chdir(tmp_path)
    inside = hash_value(rows, "v", ordered=True)
    assert inside == anew(rows) != before
    monkeypatch.chdir(Path("/"))
    assert hash_value(rows, "v", ordered=True) == before


@pytest.mark.parametrize(
    "rows",
    [
        [["hush-hush-1"], 1],
        [{"api_key": "hush-hush-1"}, 1],
        [KEY, 1],
        ["https://ada:hush-hush-1@host/x", 1],
        ["https://host/x?api_key=hush-hush-1", 1],
        {"headers": {"X-Auth": "hush-hush-1"}, "b": 1},
        {("a", 1): {"password": "hush-hush-1"}, "b": 1},
    ],
)
def test_secrets_are_handed_over_each_time(rows, monkeypatch):
    """Data with a secret in it is walked each time, since whoever masks texts has to be told; shared parts as well."""
    shared = rows[0] if isinstance(rows, list) else rows
    for value in (rows, [shared, [shared, 1]]):
        monkeypatch.setenv("DB_PASS", "hush-hush-1")
        for _ in range(3):
            told: set[str] = set()
            with handing_over(told):
                hashed = hash_value(value, "v", ordered=True)
            assert told & {"hush-hush-1", KEY}
            assert hashed == anew(value)
        monkeypatch.delenv("DB_PASS")
        assert hash_value(value, "v", ordered=True) == anew(value)


def test_a_text_that_becomes_a_key_is_left_out():
    """What stands in the environment under a secret's name is one from then on."""
    rows = ["some-words-1", 2]
    plain = hash_value(rows, "v")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DB_PASS", "some-words-1")
        masked = hash_value(rows, "v")
        assert masked == anew(rows, ordered=False) != plain
    assert hash_value(rows, "v") == plain


def test_what_is_opaque_is_named_each_time():
    """A value that cannot be hashed is never known, wherever it stands in plain data."""
    rows = [1, (n for n in range(2))]
    assert [hash_value(value, "v").opaque for value in (rows, rows, [rows, 2])] != [(), (), ()]
    assert all(hash_value(rows, "v").opaque for _ in range(2))


def test_a_cycle_counts_by_where_it_is_entered():
    """Lists that hold each other are walked each time."""
    one: list[object] = [1, 2]
    other: list[object] = [one, 3]
    one.append(other)
    for value in (one, other, [other, one], [one, other], one, other):
        assert hash_value(value, "v") == anew(value, ordered=False)


def test_a_hasher_that_is_registered_later_counts():
    """The user's hasher of one of Python's own types is asked for data that was walked before it was there."""
    rows = [(1, 2), Decimal("1.0")]
    before = hash_value(rows, "v")
    register_hasher(Decimal, lambda _: "any")
    try:
        assert hash_value(rows, "v") != before
    finally:
        unregister_hasher(Decimal)
    assert hash_value(rows, "v") == before


def test_data_that_changes_while_it_is_walked_is_not_remembered(monkeypatch):
    """Remembered is what was there before and after the walk."""
    rows: list[object] = [[1, 2], 3]
    walker = hash_value.__globals__["Walker"]
    leave = walker._leave

    def change(self, frame, encoded):
        if frame.value is rows:
            rows[1] = 4
        return leave(self, frame, encoded)

    with monkeypatch.context() as patch:
        patch.setattr(walker, "_leave", change)
        hash_value(rows, "v")
    assert hash_value([[1, 2], 3], "v") == anew([[1, 2], 3], ordered=False)
    assert hash_value([[1, 2], 4], "v") == anew([[1, 2], 4], ordered=False)


def test_secrets_are_not_looked_for_again_where_there_were_none(monkeypatch):
    """Plain data that was seen to hold no secret is not gone through again; what has changed in it is."""
    seen: list[object] = []
    look = finding._inside
    monkeypatch.setattr(finding, "_inside", lambda *some: seen.append(some[1]) or look(*some))

    def rows() -> list[dict[str, object]]:
        return [{"name": "a", "price": 1.5, "url": "https://a/?page=1", "on": datetime.date(2024, 1, 2)}, {}]

    assert secrets_in(rows(), "rows") == set()
    seen.clear()
    assert secrets_in(rows(), "rows") == set()
    assert seen == [rows()]
    assert secrets_in([{**rows()[0], "password": "hush-hush-1"}, {}], "rows") == {"hush-hush-1"}


def test_harmless_data_holds_secrets_under_another_name():
    """What a value holds depends on its name, on how deep it stands, and on what it stands under."""
    rows = ["hush-hush-1", ["hush-hush-2", "hush-hush-3"]]
    for _ in range(2):
        assert secrets_in(rows, "rows") == set()
        assert secrets_in(rows, "password") == {"hush-hush-1", "hush-hush-2", "hush-hush-3"}
        assert secrets_in({"password": {"rows": rows, "b": 1}, "c": 1}, "d") == secrets_in(rows, "password")
        assert secrets_in([[[[{"password": "hush-hush-4"}, 1], 1], 1], 1], "rows") == set()
        assert secrets_in([[{"password": "hush-hush-4"}, 1], 1], "rows") == {"hush-hush-4"}


def test_secrets_are_found_each_time():
    """Data with a secret in it is gone through each time, since nothing remembers secrets."""
    rows = [{"api_key": "hush-hush-1"}, ("https://ada:hush-hush-2@host/x", 1)]
    assert [secrets_in(rows, "rows") for _ in range(3)] == [{"hush-hush-1", "hush-hush-2"}] * 3
    assert not any("hush" in repr(found) for found in plain_data._known.values())


def test_data_that_changes_while_it_is_looked_through_is_not_taken_for_harmless(monkeypatch):
    """Remembered is what was there before and after the look."""
    rows: list[object] = [{"password": "hush-hush-1"}, 3]
    look = finding._of_items

    def change(name, value, kind):
        rows[0] = {}
        return look(name, value, kind)

    with monkeypatch.context() as patch:
        patch.setattr(finding, "_of_items", change)
        assert secrets_in(rows, "rows") == set()
    assert secrets_in([{"password": "hush-hush-1"}, 3], "rows") == {"hush-hush-1"}
