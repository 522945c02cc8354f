"""Make for crews: runs a CrewAI crew so that only tasks that a change affects are executed, and no answer is lost.

    from crew_repo import StateRepository

    repo = StateRepository("crew_state.db")
    result = repo.run(crew, {"case_notes": notes})   # in place of crew.kickoff(inputs)
    print(result.run.executed, result.run.reused)
    print(repo.plan(crew, {"case_notes": new_notes}))

Importing this package imports none of its modules: each name brings its own when it is first asked for.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself takes a third of the time that a command line may take
if TYPE_CHECKING:
    from typing import Any

    from crew_repo.adapter import tool_call_key
    from crew_repo.errors import (
        AttachError,
        BadInputValueError,
        CheckpointError,
        ConflictError,
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
        UnknownChangeError,
        UnknownRunError,
        UnknownTaskError,
        UnsupportedCrewAIError,
    )
    from crew_repo.hashing import register_hasher
    from crew_repo.model import (
        Change,
        ChangeKind,
        Cost,
        Decision,
        Diff,
        Edit,
        InputKind,
        ModelTokens,
        Outcome,
        Plan,
        Problem,
        Reason,
        ReasonKind,
        Record,
        RunInput,
        RunRecord,
        RunStatus,
        Status,
        TaskDiff,
        TaskInRun,
        TaskRun,
        TaskState,
        TextChange,
        Usage,
        ValueChange,
    )
    from crew_repo.policy import TaskPolicy
    from crew_repo.pricing import Price
    from crew_repo.recorded_state import StoredOutput
    from crew_repo.repository import StateRepository

__all__ = [
    "AttachError",
    "BadInputValueError",
    "Change",
    "ChangeKind",
    "CheckpointError",
    "ConflictError",
    "Cost",
    "CrewRepoError",
    "Decision",
    "Diff",
    "Edit",
    "ForkedConnectionError",
    "ImportFormatError",
    "InputError",
    "InputKind",
    "MissingInputError",
    "ModelTokens",
    "NewerSchemaError",
    "NotACrewError",
    "Outcome",
    "Plan",
    "PolicyError",
    "Price",
    "Problem",
    "Reason",
    "ReasonKind",
    "Record",
    "RunGoneError",
    "RunInput",
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
    "TaskDiff",
    "TaskInRun",
    "TaskPolicy",
    "TaskRun",
    "TaskState",
    "TextChange",
    "UnhashableError",
    "UnknownChangeError",
    "UnknownRunError",
    "UnknownTaskError",
    "UnsupportedCrewAIError",
    "Usage",
    "ValueChange",
    "register_hasher",
    "tool_call_key",
]

_ELSEWHERE = {
    "Price": "pricing",
    "StateRepository": "repository",
    "StoredOutput": "recorded_state",
    "TaskPolicy": "policy",
    "register_hasher": "hashing",
    "tool_call_key": "adapter",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for."""
    if name == "__version__":
        from crew_repo.settings import package_version

        found: Any = package_version()
    elif name in __all__:
        from importlib import import_module

        home = _ELSEWHERE.get(name) or ("errors" if name.endswith("Error") else "model")
        found = getattr(import_module(f"crew_repo.{home}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
