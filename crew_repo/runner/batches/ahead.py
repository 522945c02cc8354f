"""Looking ahead of the pool: items that are all fresh are served in a row, with one look at their crew."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from crew_repo.runner.batches.item import Item

__all__ = ["Ahead"]

_MOST = 128  # items looked at together; their results are alive until they are read


class Ahead:
    """The items of a batch in order, each with its result if it is served already, else None: the pool is to run it.

    `look` gives the results of the first of some items, as many as are all fresh. As long as they are, twice as many
    are looked at next; where one is not, nothing is looked at until the pool comes to an item that was fresh after all.
    `at_hand`: to draw an item makes nobody wait, so that as many may be drawn.
    """

    def __init__(
        self, items: Iterator[Item], look: Callable[[Sequence[Item]], list[Any]] | None, *, at_hand: bool
    ) -> None:
        self._items, self._look, self._at_hand = items, look, at_hand
        self._together = 1
        self._ready: deque[tuple[Item, Any]] = deque()
        self._drawn: deque[Item] = deque()
        self._error: Exception | None = None

    def take(self, room: int) -> tuple[Item, Any] | None:
        """The next item; None after the last. `room`: how many may be drawn, if they are not at hand.

        Raises what drawing an item raises, once those before it have been taken.
        """
        together = self._together if self._at_hand else min(self._together, room)
        if not self._ready and together > 1:
            self._look_at(together)
        if self._ready:
            return self._ready.popleft()
        self._draw(1)
        if self._drawn:
            return self._drawn.popleft(), None
        if self._error is not None:
            raise self._error
        return None

    def told(self, result: Any) -> None:
        """Take notice of what the pool has made of an item."""
        run = getattr(result, "run", None)
        if self._together == 1 and run is not None and not run.executed:
            self._together = 2

    def waits(self, window: Sequence[Future[Any]], *, one_by_one: bool) -> bool:
        """Whether to take no more until these are read: so that several items can be drawn and looked at together.

        `one_by_one`: no item is looked at before those before it are done with.
        """
        if self._together == 1 or self._ready or not window:
            return False
        return one_by_one or (not self._at_hand and all(future.done() for future in window))

    def _look_at(self, count: int) -> None:
        self._draw(count)
        items = list(self._drawn)[:count]
        results = self._look(items) if self._look is not None and len(items) > 1 else []
        self._together = min(_MOST, 2 * len(results)) or 1
        self._ready.extend(zip(items, results, strict=False))
        if len(results) < len(items):
            self._ready.append((items[len(results)], None))
        for _ in self._ready:
            self._drawn.popleft()

    def _draw(self, count: int) -> None:
        """Have so many items drawn, as far as there are."""
        while len(self._drawn) < count and self._error is None:
            try:
                self._drawn.append(next(self._items))
            except StopIteration:
                break
            except Exception as error:  # noqa: BLE001 - of the caller's own generator; raised in its place
                self._error = error
