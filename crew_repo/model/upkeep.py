"""Reports of `verify` and `prune`."""

from __future__ import annotations

from dataclasses import dataclass

from crew_repo.model.wording import plural

__all__ = ["Problem", "PruneReport", "counted"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A damaged record, run or held answer: `what` says which part is no longer what was written.

    `record_id` is None if it is no record, and `run_id` if it is no run.
    """

    record_id: int | None
    workflow_id: str
    task_name: str | None
    what: str
    run_id: str | None = None

    def __str__(self) -> str:
        if self.run_id is not None:
            return f"run {self.run_id} ({self.workflow_id}): {self.what}"
        if self.record_id is None:
            return f"task {self.task_name} ({self.workflow_id}): {self.what}"
        return f"record {self.record_id} ({self.workflow_id}/{self.task_name}): {self.what}"


@dataclass(frozen=True, slots=True, repr=False)
class PruneReport:
    """The report of `prune`: how many records, runs, texts and held answers were deleted; the size before and after.

    `calls`: answers inside tasks that were killed, which nobody goes on from.
    With `dry_run` nothing was deleted: these are the numbers that would be.
    """

    records: int
    runs: int
    texts: int
    bytes_before: int
    bytes_after: int
    dry_run: bool = False
    held: int = 0
    calls: int = 0

    def __str__(self) -> str:
        what = counted(self.records, self.runs, self.texts, self.held, self.calls)
        if self.dry_run:
            return f"would delete {what}; nothing was deleted"
        return f"deleted {what}; {max(0, self.bytes_before - self.bytes_after):,} bytes were given back"

    def __repr__(self) -> str:
        return f"<PruneReport {self}>"


def counted(records: int, runs: int, texts: int, held: int = 0, calls: int = 0) -> str:
    """Numbers of what goes together, in words."""
    also = f", and {plural(held, 'held answer')}" if held else ""
    also += f", and {plural(calls, 'kept call')}" if calls else ""
    return f"{plural(records, 'record')}, {plural(runs, 'run')} and {plural(texts, 'text')}{also}"
