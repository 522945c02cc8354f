"""The store: everything that reads or writes the state. Each method is one transaction."""

from __future__ import annotations

from crew_repo.store.journaling import JournalStore
from crew_repo.store.many import FreshRuns
from crew_repo.store.reading import ReadingStore
from crew_repo.store.upkeep import KeptStore

__all__ = ["Store"]


class Store(FreshRuns, ReadingStore, JournalStore, KeptStore):
    """One state file or database.

    Safe to use from many threads; after a fork, parent and child open connections of their own; a copy that is
    pickled opens the same URL. Opening a file that does not exist creates nothing; the first write does.
    """
