"""The drawing of a graph: whatever tasks read, it can be looked at."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crew_repo.page.graph import HEIGHT, WIDTH, drawn

NAMES = st.lists(st.text("abcdef", min_size=1, max_size=3), unique=True, max_size=14)
GRAPHS = NAMES.flatmap(
    lambda names: st.fixed_dictionaries({name: st.sets(st.sampled_from([*names, "gone"])) for name in names})
)


@settings(max_examples=50, deadline=None)
@given(GRAPHS)
def test_no_two_nodes_overlap(reads):
    """Each task has a place of its own, inside the drawing."""
    found = drawn(reads)
    assert [node.name for node in found.nodes] == list(reads)
    for one, other in combinations(found.nodes, 2):
        assert abs(one.x - other.x) >= WIDTH or abs(one.y - other.y) >= HEIGHT
    assert all(node.x >= 0 <= node.y and node.x + WIDTH <= found.width and node.y + HEIGHT <= found.height for node in found.nodes)


@settings(max_examples=50, deadline=None)
@given(GRAPHS)
def test_every_arrow_goes_down(reads):
    """An arrow leads to a lower row, and to what really reads the task that it comes from."""
    found = drawn(reads)
    rows = {node.name: node.row for node in found.nodes}
    assert all(rows[arrow.source] < rows[arrow.target] for arrow in found.arrows)
    assert all(arrow.source in reads[arrow.target] for arrow in found.arrows)


@settings(max_examples=50, deadline=None)
@given(GRAPHS)
def test_what_is_read_is_connected(reads):
    """A way of arrows leads from each task to each that reads it and comes after it, also where some are left out."""
    names = list(reads)
    reached = {name: {name} for name in names}
    arrows = drawn(reads).arrows
    for name in names:
        for arrow in arrows:
            if arrow.target == name:
                reached[name] |= reached[arrow.source]
    for at, name in enumerate(names):
        assert set(names[:at]) & reads[name] <= reached[name]


def test_a_crew_of_forty_tasks_that_read_all_before_them():
    """Arrows that others imply are left out, and what is left is a chain."""
    names = [f"task-{at:02}" for at in range(40)]
    found = drawn({name: names[:at] for at, name in enumerate(names)})
    assert found.reduced
    assert [(arrow.source, arrow.target) for arrow in found.arrows] == list(pairwise(names))
    assert found.width == WIDTH


@pytest.mark.parametrize("number", [1, 30])
def test_many_that_read_one(number):
    """A layer of many tasks takes several rows, so that the drawing stays as wide as a page."""
    found = drawn({"first": [], **{f"reader-{at}": ["first"] for at in range(number)}})
    assert len(found.arrows) == number
    assert found.width <= 1200


def test_crossings_are_avoided():
    """Two chains that were given crosswise are drawn beside each other."""
    found = drawn({"a": [], "b": [], "of b": ["b"], "of a": ["a"], "more of a": ["of a"], "more of b": ["of b"]})
    x = {node.name: node.x for node in found.nodes}
    assert (x["a"] < x["b"]) == (x["of a"] < x["of b"]) == (x["more of a"] < x["more of b"])


def test_nothing():
    """No task is no drawing, and no error."""
    assert drawn({}).nodes == ()
