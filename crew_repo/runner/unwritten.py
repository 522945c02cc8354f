"""A finished task on its way into the store, which nothing that is raised meanwhile can lose."""

from __future__ import annotations

from collections.abc import Callable

from crew_repo.model import NewRecord, Record

__all__ = ["Finished"]


class Finished:
    """Writes down a finished task. It may be called again after whatever was raised: the store keeps it once.

    `make` gives the record; with False, one of the answer's text alone. `save` writes it.
    """

    def __init__(self, make: Callable[[bool], NewRecord], save: Callable[[NewRecord], Record]) -> None:
        self._make, self._save = make, save
        self._new: NewRecord | None = None
        self._raised = False

    def __call__(self) -> tuple[NewRecord, Record]:
        """Make the record once, and save it; also what the store goes on with."""
        if self._new is None:
            self._new = self._made()
        return self._new, self._save(self._new)

    def _made(self) -> NewRecord:
        """What raises once may come out of a signal handler, a time limit; what raises again, does so every time."""
        try:
            return self._make(True)
        except Exception:
            if self._raised:
                return self._make(False)
            self._raised = True
            raise
