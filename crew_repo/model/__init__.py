"""Plain data that crew_repo gives you and works with: plans, runs, records, reasons. It reads and writes no files.

All are frozen dataclasses and enums. Database rows stay in `store`, and CrewAI's objects in `adapter`.
Times are `datetime` objects in UTC. Durations are seconds. Hashes are 64 lowercase hex digits of SHA-256.
"""

from __future__ import annotations

from crew_repo.model.asked import InputKind, NewRun, RunInput
from crew_repo.model.change import PERSON, Author, Change, ChangeKind, Given, HeldAnswer, ToHold
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
    "Given",
    "HeldAnswer",
    "Holder",
    "InputKind",
    "Lease",
    "Listing",
    "NewRecord",
    "NewRun",
    "Opaque",
    "Outcome",
    "Plan",
    "Problem",
    "PruneReport",
    "ReadFile",
    "Reason",
    "ReasonKind",
    "Record",
    "RunInput",
    "RunRecord",
    "RunStatus",
    "Scope",
    "Status",
    "StoredResult",
    "TaskHead",
    "TaskRun",
    "TaskState",
    "ToHold",
    "Usage",
    "counted",
]
