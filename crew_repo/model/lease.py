"""Claims on a piece of work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crew_repo.model.record import Record

__all__ = ["Claim", "Holder", "Lease", "Scope"]


@dataclass(frozen=True, slots=True)
class Lease:
    """A timed claim on one piece of work. `fence` grows each time that the lease changes hands."""

    workflow_id: str
    input_hash: str
    owner: str
    fence: int
    acquired_at: datetime


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose records may be served: those of a workflow, and where they are shared, those of others for this task."""

    workflow_id: str
    shared_as: str | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who executes a piece of work that somebody else waits for."""

    owner: str
    run_id: str
    task_name: str
    position: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim: a lease (execute), or a record (somebody finished it), or who holds it (wait)."""

    lease: Lease | None = None
    record: Record | None = None
    held_by: Holder | None = None
