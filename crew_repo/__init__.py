"""Make for crews: runs a CrewAI crew so that only tasks that a change affects are executed, and no answer is lost.

    from crew_repo import StateRepository

    repo = StateRepository("crew_state.db")
    result = repo.run(crew, {"case_notes": notes})   # in place of crew.kickoff(inputs)
    print(result.run.executed, result.run.reused)
    print(repo.plan(crew, {"case_notes": new_notes}))

Importing this package imports neither crewai nor a database driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crew_repo.errors import (
    AttachError,
    BadInputValueError,
    CheckpointError,
    CrewRepoError,
    ForkedConnectionError,
    ImportFormatError,
    InputError,
    MissingInputError,
    NewerSchemaError,
    NotACrewError,
    PolicyError,
    RunGoneError,
    RunningLoopError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreOpenError,
    UnhashableError,
    UnknownRunError,
    UnknownTaskError,
    UnsupportedCrewAIError,
)
from crew_repo.model import (
    Decision,
    Outcome,
    Plan,
    Problem,
    Reason,
    ReasonKind,
    Record,
    RunRecord,
    RunStatus,
    Status,
    TaskRun,
    TaskState,
    Usage,
)
from crew_repo.policy import TaskPolicy
from crew_repo.recorded_state import StoredOutput
from crew_repo.repository import StateRepository
from crew_repo.settings import package_version

if TYPE_CHECKING:
    from crew_repo.hashing import register_hasher

__all__ = [
    "AttachError",
    "BadInputValueError",
    "CheckpointError",
    "CrewRepoError",
    "Decision",
    "ForkedConnectionError",
    "ImportFormatError",
    "InputError",
    "MissingInputError",
    "NewerSchemaError",
    "NotACrewError",
    "Outcome",
    "Plan",
    "PolicyError",
    "Problem",
    "Reason",
    "ReasonKind",
    "Record",
    "RunGoneError",
    "RunRecord",
    "RunStatus",
    "RunningLoopError",
    "StateRepository",
    "Status",
    "StoreBusyError",
    "StoreError",
    "StoreFullError",
    "StoreOpenError",
    "StoredOutput",
    "TaskPolicy",
    "TaskRun",
    "TaskState",
    "UnhashableError",
    "UnknownRunError",
    "UnknownTaskError",
    "UnsupportedCrewAIError",
    "Usage",
    "register_hasher",
]

__version__ = package_version()


def __getattr__(name: str) -> Any:
    if name == "register_hasher":
        from crew_repo.hashing import register_hasher

        return register_hasher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
