"""Reports of what keeps a state in order."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Problem", "PruneReport"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A record whose stored parts do not give its hash again."""

    record_id: int
    workflow_id: str
    task_name: str
    what: str

    def __str__(self) -> str:
        return f"record {self.record_id} ({self.workflow_id}/{self.task_name}): {self.what}"


@dataclass(frozen=True, slots=True)
class PruneReport:
    """The report of `prune`: deleted records, runs, stored texts; the file's size before and after."""

    records: int
    runs: int
    texts: int
    bytes_before: int
    bytes_after: int
