"""Looking at items ahead of the pool: how many, when, and in which order they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from crew_repo.runner.batches.ahead import Ahead
from crew_repo.runner.batches.item import Item

FRESH, STALE = SimpleNamespace(run=SimpleNamespace(executed=[])), SimpleNamespace(run=SimpleNamespace(executed=["a"]))


class Looks:
    """A look that finds all items fresh but some; how many were looked at each time."""

    def __init__(self, stale: set[int]) -> None:
        self.stale = stale
        self.sizes: list[int] = []

    def __call__(self, items: Sequence[Item]) -> list[Any]:
        self.sizes.append(len(items))
        fresh = [item.number not in self.stale for item in items]
        return [f"served {item.number}" for item in items[: fresh.index(False) if False in fresh else None]]


def items(count: int) -> Iterator[Item]:
    return (Item(number, None, None) for number in range(count))


def taken(ahead: Ahead, looks: Looks, *, room: int = 8) -> list[tuple[int, bool]]:
    """The numbers of all items, and whether each was served; the pool finds those fresh that are."""
    found = []
    while (each := ahead.take(room)) is not None:
        item, result = each
        found.append((item.number, result is not None))
        assert result in (None, f"served {item.number}")
        ahead.told(result or (STALE if item.number in looks.stale else FRESH))
    return found


def test_as_long_as_items_are_fresh_twice_as_many_are_looked_at() -> None:
    """The first goes to the pool, and then 2, 4 and so on are looked at together, in order, 128 at most."""
    looks = Looks(set())
    found = taken(Ahead(items(400), looks, at_hand=True), looks)
    assert found == [(0, False), *((number, True) for number in range(1, 400))]
    assert looks.sizes == [2, 4, 8, 16, 32, 64, 128, 128, 17]


def test_items_that_are_not_fresh_are_not_looked_at() -> None:
    """A batch of stale items is all the pool's."""
    looks = Looks(set(range(100)))
    found = taken(Ahead(items(100), looks, at_hand=True), looks)
    assert (found, looks.sizes) == ([(number, False) for number in range(100)], [])


def test_an_item_that_is_not_fresh_goes_to_the_pool_in_its_place() -> None:
    """Those behind it are looked at anew, fewer at a time; none is lost, or served twice."""
    looks = Looks({20, 21, 50})
    found = taken(Ahead(items(60), looks, at_hand=True), looks)
    assert [number for number, _ in found] == list(range(60))
    assert {number for number, served in found if not served} >= {0, 20, 21, 50}
    assert max(looks.sizes) <= 32
    assert sum(served for _, served in found) > 50


def test_of_a_generator_no_more_is_drawn_than_there_is_room_for() -> None:
    """Whoever draws an item may wait for the outer world."""
    looks = Looks(set())
    drawn: list[int] = []

    def generated() -> Iterator[Item]:
        for item in items(30):
            drawn.append(item.number)
            yield item

    ahead = Ahead(generated(), looks, at_hand=False)
    for number in range(30):
        each = ahead.take(3)
        assert each is not None
        assert len(drawn) <= number + 3
        ahead.told(each[1] or FRESH)
    assert ahead.take(3) is None
    assert max(looks.sizes) == 3


def test_what_drawing_raises_comes_after_the_items_before_it() -> None:
    """None of those is lost."""
    looks = Looks(set())

    def broken() -> Iterator[Item]:
        yield from items(4)
        raise ValueError("the inputs end here")

    ahead, found = Ahead(broken(), looks, at_hand=True), []
    with pytest.raises(ValueError, match="the inputs end here"):
        while (each := ahead.take(8)) is not None:
            found.append(each[0].number)
            ahead.told(each[1] or FRESH)
    assert found == [0, 1, 2, 3]


def test_without_a_look_all_goes_to_the_pool() -> None:
    """As with an executor, whose workers are elsewhere."""
    looks = Looks(set())
    found = taken(Ahead(items(10), None, at_hand=True), looks)
    assert [served for _, served in found] == [False] * 10


def done() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(None)
    return future


@pytest.mark.parametrize(
    ("at_hand", "one_by_one", "window", "waits"),
    [
        (True, False, [done()], False),
        (True, True, [Future()], True),
        (False, False, [done()], True),
        (False, False, [done(), Future()], False),
        (False, False, [], False),
        (True, True, [], False),
    ],
)
def test_it_waits_only_where_that_keeps_nobody_waiting(
    at_hand: bool, one_by_one: bool, window: list[Future[Any]], waits: bool
) -> None:
    """Until results are read, so that several items of a generator can be drawn, or until the one before is done."""
    looks = Looks(set())
    ahead = Ahead(items(10), looks, at_hand=at_hand)
    assert not ahead.waits(window, one_by_one=one_by_one)
    ahead.told(FRESH)
    assert ahead.waits(window, one_by_one=one_by_one) is waits
