"""The nouns of crew_repo: frozen dataclasses and enums, which do no I/O.

Rows stay in the storage layer and CrewAI's objects in the adapter; everything in between speaks these.
Times are aware `datetime` objects in UTC, durations are seconds, hashes are 64 lowercase hex digits of SHA-256.
"""

from __future__ import annotations

from crew_repo.model.change import PERSON, Author, Change, ChangeKind
from crew_repo.model.decision import Decision, Reason, ReasonKind, Status
from crew_repo.model.definition import PLANNER, PLANNER_POSITION, RESOLVED, Component, Definition, Opaque, ReadFile
from crew_repo.model.lease import Claim, Holder, Lease, Scope
from crew_repo.model.listing import Listing
from crew_repo.model.plan import Plan
from crew_repo.model.record import Failure, NewRecord, Record, StoredResult, Usage
from crew_repo.model.run import Outcome, RunRecord, RunStatus, TaskHead, TaskRun, TaskState
from crew_repo.model.upkeep import Problem, PruneReport, counted

__all__ = [
    "PERSON",
    "PLANNER",
    "PLANNER_POSITION",
    "RESOLVED",
    "Author",
    "Change",
    "ChangeKind",
    "Claim",
    "Component",
    "Decision",
    "Definition",
    "Failure",
    "Holder",
    "Lease",
    "Listing",
    "NewRecord",
    "Opaque",
    "Outcome",
    "Plan",
    "Problem",
    "PruneReport",
    "ReadFile",
    "Reason",
    "ReasonKind",
    "Record",
    "RunRecord",
    "RunStatus",
    "Scope",
    "Status",
    "StoredResult",
    "TaskHead",
    "TaskRun",
    "TaskState",
    "Usage",
    "counted",
]
