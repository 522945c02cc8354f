"""The numbering of equal tasks: the second that is asked the same has a record of its own, in plans and in runs."""

from __future__ import annotations

from dataclasses import dataclass

from crew_repo.staleness import Current

__all__ = ["Arrivals"]


@dataclass(frozen=True, slots=True)
class _Arrival:
    """One task as it is numbered among equal ones. `context_hash`: None while it is not known what is read."""

    definition_hash: str
    context_hash: str | None
    certain: bool

    def precedes(self, other: _Arrival) -> bool | None:
        """Whether the other is one more of the same; None while that is not known."""
        if self.definition_hash != other.definition_hash:
            return False
        if self.context_hash is None or other.context_hash is None:
            return None
        return self.context_hash == other.context_hash and (self.certain or None)


class Arrivals:
    """The tasks of one plan or run, as they arrive.

    A run knows what each task reads, and that it is executed; a plan may not.
    """

    def __init__(self) -> None:
        self._at: dict[int, _Arrival] = {}
        self._alike: dict[str, set[int]] = {}  # the positions of each definition

    def equal_before(
        self, current: Current, *, known: bool = True, certain: bool = True
    ) -> dict[int, bool | None]:
        """Take a task in, and give the positions before it that are equal to it; None where only a run will tell.

        `known`: its context is. `certain`: it will not be skipped.
        """
        here = _Arrival(current.definition_hash, current.context_hash if known else None, certain)
        self._at[current.position] = here
        alike = self._alike.setdefault(here.definition_hash, set())
        alike.add(current.position)
        found = {at: self._at[at].precedes(here) for at in sorted(alike) if at < current.position}
        return {at: same for at, same in found.items() if same is not False}

    @property
    def furthest(self) -> int:
        """The position of the last task that was taken in; -1 before the first."""
        return max(self._at, default=-1)
