"""Leases: they make sure that of several processes only one executes a task, and that a dead one holds up nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crew_repo.model.change import HeldAnswer
from crew_repo.model.record import Record

__all__ = ["Claim", "Holder", "Lease", "Scope"]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one process to execute one task, until a time that it keeps extending.

    If its owner dies, the lease runs out, and another process takes it over. `fence` is a number that grows each time.
    By it, a former owner that wakes up again is recognised.
    """

    workflow_id: str
    input_hash: str
    owner: str
    fence: int
    acquired_at: datetime


@dataclass(frozen=True, slots=True)
class Scope:
    """The workflow whose records may be reused; with `shared_as`, also records of other workflows for this task."""

    workflow_id: str
    shared_as: str | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """The process and run that execute a task for which another run waits. `late`: it lives, and did not say so."""

    owner: str
    run_id: str
    task_name: str
    position: int
    since: datetime
    late: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a process that wants to execute a task.

    A lease: execute it, unless a person's answer is `held` for it. A record: another process has finished it, so reuse
    that. A holder: wait for it. `has_calls`: whether anything may be kept inside the task.
    """

    lease: Lease | None = None
    record: Record | None = None
    held_by: Holder | None = None
    held: HeldAnswer | None = None
    has_calls: bool = True
