"""Plain data that crew_repo gives you and works with: plans, runs, records, reasons. It reads and writes no files.

All are frozen dataclasses and enums. Database rows stay in `store`, and CrewAI's objects in `adapter`.
Times are `datetime` objects in UTC. Durations are seconds. Hashes are 64 lowercase hex digits of SHA-256.
"""

from __future__ import annotations

from crew_repo.model.asked import InputKind, NewRun, RunInput
from crew_repo.model.call import CallKind, KeptCall, KeptCalls
from crew_repo.model.change import HELD, PERSON, Author, Change, ChangeKind, Given, HeldAnswer, ToHold
from crew_repo.model.cost import Cost, cost_members
from crew_repo.model.decision import Decision, Reason, ReasonKind, Status
from crew_repo.model.definition import PLANNER, PLANNER_POSITION, RESOLVED, Component, Definition, Opaque, ReadFile
from crew_repo.model.diff import Diff, TaskDiff, TaskInRun
from crew_repo.model.lease import Claim, Holder, Lease, Scope
from crew_repo.model.listing import Listing
from crew_repo.model.plan import Plan
from crew_repo.model.record import Failure, NewRecord, Record, StoredResult
from crew_repo.model.run import AtStart, Outcome, RunRecord, RunStatus, TaskHead, TaskRun, TaskState
from crew_repo.model.text_changes import Edit, Grain, Piece, TextChange, ValueChange
from crew_repo.model.upkeep import Problem, PruneReport, counted
from crew_repo.model.usage import KINDS_OF_TOKENS, ModelTokens, Usage

__all__ = [
    "HELD",
    "KINDS_OF_TOKENS",
    "PERSON",
    "PLANNER",
    "PLANNER_POSITION",
    "RESOLVED",
    "AtStart",
    "Author",
    "CallKind",
    "Change",
    "ChangeKind",
    "Claim",
    "Component",
    "Cost",
    "Decision",
    "Definition",
    "Diff",
    "Edit",
    "Failure",
    "Given",
    "Grain",
    "HeldAnswer",
    "Holder",
    "InputKind",
    "KeptCall",
    "KeptCalls",
    "Lease",
    "Listing",
    "ModelTokens",
    "NewRecord",
    "NewRun",
    "Opaque",
    "Outcome",
    "Piece",
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
    "TaskDiff",
    "TaskHead",
    "TaskInRun",
    "TaskRun",
    "TaskState",
    "TextChange",
    "ToHold",
    "Usage",
    "ValueChange",
    "cost_members",
    "counted",
]
