"""The drawing of a graph of tasks: in layers from top to bottom, with few crossings. Crews are small: so is it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

__all__ = ["HEIGHT", "WIDTH", "Arrow", "Drawing", "Node", "drawn"]

WIDTH, HEIGHT = 196, 62
"""The size of a node, in pixels."""
_GAP, _FALL, _BEND = 20, 40, 14  # between nodes of a row; between rows; the width of an arrow that passes a row
_IN_A_ROW = 4
_ALL_ARROWS = 40  # of more, those that others imply are left out
_SWEEPS = 8

Spot = tuple[int, int]
"""A place that is to be arranged: a node by its number and -1, or an arrow in the row that it passes."""
Rows = list[list[Spot]]


@dataclass(frozen=True, slots=True)
class Node:
    """A task: the upper left corner, and the number of its row."""

    name: str
    x: float
    y: float
    row: int


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow from a task to one that reads its answer, as an SVG path."""

    source: str
    target: str
    path: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """The nodes and arrows, and the size of the whole. `reduced`: arrows that others imply were left out."""

    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
    width: float
    height: float
    reduced: bool


def drawn(reads: Mapping[str, Collection[str]]) -> Drawing:
    """Draw tasks, given in their order, with the tasks that each of them reads.

    Only what comes before a task is taken for something that it reads, so there are no circles.
    """
    names = list(reads)
    places = {name: at for at, name in enumerate(names)}
    above = [sorted({places[read] for read in reads[name] if places.get(read, at) < at})
             for at, name in enumerate(names)]  # fmt: skip
    reduced = sum(map(len, above)) > _ALL_ARROWS
    above = _without_implied(above) if reduced else above
    row_of = _rows_of(above)
    rows, links = _spots(above, row_of)
    rows = _arranged(rows, links)
    middle = _middles(rows, links)
    nodes = tuple(Node(name, round(middle[(at, -1)] - WIDTH / 2, 1), row_of[at] * (HEIGHT + _FALL), row_of[at])
                  for at, name in enumerate(names))  # fmt: skip
    arrows = tuple(Arrow(names[source], names[at], _path(source, at, row_of, middle))
                   for at, sources in enumerate(above) for source in sources)  # fmt: skip
    width = max((node.x + WIDTH for node in nodes), default=0.0)
    return Drawing(nodes, arrows, width, max(1, len(rows)) * (HEIGHT + _FALL) - _FALL, reduced)


def _without_implied(above: Sequence[Sequence[int]]) -> list[list[int]]:
    """Leave out what a task reads that another of its sources reads already, directly or not."""
    reached: list[set[int]] = []
    for sources in above:
        reached.append(set(sources).union(*(reached[source] for source in sources)))
    return [[source for source in sources if not any(source in reached[other] for other in sources)]
            for sources in above]  # fmt: skip


def _rows_of(above: Sequence[Sequence[int]]) -> list[int]:
    """The row of each task: below all that it reads; a layer of many tasks takes several rows."""
    layer: list[int] = []
    for sources in above:
        layer.append(1 + max((layer[source] for source in sources), default=-1))
    for at in range(len(above)):  # what reads nothing stands just above its first reader
        readers = [layer[reader] for reader, sources in enumerate(above) if at in sources]
        if readers and not above[at]:
            layer[at] = min(readers) - 1
    row_of, first = [0] * len(above), 0
    for each in range(max(layer, default=-1) + 1):
        members = [at for at, found in enumerate(layer) if found == each]
        for place, at in enumerate(members):
            row_of[at] = first + place // _IN_A_ROW
        first += -(-len(members) // _IN_A_ROW)
    return row_of


def _spots(above: Sequence[Sequence[int]], row_of: Sequence[int]) -> tuple[Rows, list[tuple[Spot, Spot]]]:
    """The spots of each row, and what is linked to what in the row below; arrows of one source pass together."""
    rows: Rows = [[] for _ in range(max(row_of, default=-1) + 1)]
    links: dict[tuple[Spot, Spot], None] = {}
    passing: set[Spot] = set()
    for at in range(len(above)):
        rows[row_of[at]].append((at, -1))
    for at, sources in enumerate(above):
        for source in sources:
            way = _way(source, at, row_of)
            links.update(dict.fromkeys(pairwise(way)))
            passing.update(spot for spot in way if spot[1] >= 0)
    for spot in sorted(passing):
        row = rows[spot[1]]
        row.insert(len(row) // 2, spot)
    return rows, list(links)


def _way(source: int, target: int, row_of: Sequence[int]) -> list[Spot]:
    """The spots from one task to another, one in each row."""
    between = range(row_of[source] + 1, row_of[target])
    return [(source, -1), *((source, row) for row in between), (target, -1)]


def _arranged(rows: Rows, links: Sequence[tuple[Spot, Spot]]) -> Rows:
    """Put each row in the order of the middle of what it is linked to, down and up; the best that was found."""
    best, fewest = rows, _crossings(rows, links)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        beside = _linked(links, down)
        rows = [list(row) for row in rows]
        for at in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            place = {spot: number for number, spot in enumerate(rows[at - 1 if down else at + 1])}
            own = {spot: number for number, spot in enumerate(rows[at])}
            wanted = {spot: _mean([float(place[other]) for other in beside.get(spot, ()) if other in place], number)
                      for spot, number in own.items()}  # fmt: skip
            rows[at].sort(key=lambda spot, wanted=wanted, own=own: (wanted[spot], own[spot]))  # type: ignore[misc]
        crossings = _crossings(rows, links)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _linked(links: Sequence[tuple[Spot, Spot]], down: bool) -> dict[Spot, list[Spot]]:
    """Find what each spot is linked to in the row above it, or below it."""
    found: dict[Spot, list[Spot]] = {}
    for one, other in links:
        found.setdefault(other if down else one, []).append(one if down else other)
    return found


def _mean(numbers: Sequence[float], default: float) -> float:
    return sum(numbers) / len(numbers) if numbers else default


def _crossings(rows: Rows, links: Sequence[tuple[Spot, Spot]]) -> int:
    place = {spot: (at, number) for at, row in enumerate(rows) for number, spot in enumerate(row)}
    by_row: dict[int, list[tuple[int, int]]] = {}
    for one, other in links:
        by_row.setdefault(place[one][0], []).append((place[one][1], place[other][1]))
    return sum((a - c) * (b - d) < 0 for found in by_row.values()
               for at, (a, b) in enumerate(found) for c, d in found[at + 1 :])  # fmt: skip


def _middles(rows: Rows, links: Sequence[tuple[Spot, Spot]]) -> dict[Spot, float]:
    """The middle of each spot, near to the middle of what it is linked to, without touching its neighbours."""
    middle = {spot: x for row in rows for spot, x in zip(row, _packed(row, [0.0] * len(row)), strict=True)}
    most = max((abs(x) for x in middle.values()), default=0.0)  # all rows have their middle at 0 by now
    for sweep in range(_SWEEPS):
        beside = _linked(links, sweep % 2 == 0)
        for row in rows if sweep % 2 == 0 else reversed(rows):
            means = [_mean([middle[other] for other in beside.get(spot, ())], middle[spot]) for spot in row]
            wanted = [min(max(mean, -most), most) for mean in means]
            middle.update(zip(row, _packed(row, wanted), strict=True))
    return _in_line(rows, middle)


def _in_line(rows: Rows, middle: Mapping[Spot, float]) -> dict[Spot, float]:
    """Shift each row as far as it takes to stand above or below the widest one, which begins at 0."""
    spans = [(middle[row[0]] - _size(row[0]) / 2, middle[row[-1]] + _size(row[-1]) / 2) for row in rows]
    first, last = max(spans, key=lambda span: span[1] - span[0], default=(0.0, 0.0))
    shifts = [max(first - left, 0) + min(last - right, 0) - first for left, right in spans]
    return {spot: round(middle[spot] + shift, 1) for row, shift in zip(rows, shifts, strict=True) for spot in row}


def _size(spot: Spot) -> int:
    return WIDTH if spot[1] < 0 else _BEND


def _packed(row: Sequence[Spot], wanted: Sequence[float]) -> list[float]:
    """Places with enough room between them: the mean of pushing to the right and pushing to the left has it too."""
    room = [(_size(one) + _size(other)) / 2 + _GAP for one, other in pairwise(row)]
    right = list(_pushed(wanted, room))
    left = [-x for x in _pushed([-x for x in reversed(wanted)], room[::-1])][::-1]
    return [(one + other) / 2 for one, other in zip(right, left, strict=True)]


def _pushed(wanted: Sequence[float], room: Sequence[float]) -> Iterator[float]:
    place = -inf
    for x, between in zip(wanted, [0.0, *room], strict=False):
        place = max(x, place + between)
        yield place


def _path(
    source: int, target: int, row_of: Sequence[int], middle: Mapping[Spot, float]
) -> str:
    """A curve that leaves and enters upright, goes straight down where it passes a row, and ends in a tip."""
    x, y = middle[(source, -1)], row_of[source] * (HEIGHT + _FALL) + HEIGHT
    parts = [f"M{x:g} {y:g}"]
    for spot in _way(source, target, row_of)[1:]:
        end, half = y + _FALL, y + _FALL / 2
        parts.append(f"C{x:g} {half:g} {middle[spot]:g} {half:g} {middle[spot]:g} {end:g}")
        x, y = middle[spot], end
        if spot[1] >= 0:
            y += HEIGHT
            parts.append(f"V{y:g}")
    return "".join([*parts, f"M{x - 4:g} {y - 6:g}L{x:g} {y:g}L{x + 4:g} {y - 6:g}"])
