"""Calls inside a task: what a model answered and a tool gave before the task was finished."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime

from crew_repo.model.text import TextEnum
from crew_repo.model.usage import Usage

__all__ = ["CallKind", "KeptCall", "KeptCalls"]


class CallKind(TextEnum):
    """The kind of a call. ERROR: a tool raised an exception."""

    MODEL = "model"
    TOOL = "tool"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class KeptCall:
    """One answer of a model, or result of a tool, that is kept until its task is recorded.

    `key` is the hash of the request, which is not kept itself. `occurrence` counts equal requests from 1 on. `value` is
    JSON. `run_id` and `input_hash` say which run made it, and of which work.
    """

    kind: CallKind
    key: str
    occurrence: int
    value: str
    _: KW_ONLY
    run_id: str
    input_hash: str
    called_at: datetime
    usage: Usage = field(default_factory=Usage)
    call_id: int | None = None


@dataclass(frozen=True, slots=True)
class KeptCalls:
    """How much is kept of a task that has not finished. `last_at` is the time of the last call."""

    task_name: str
    model_calls: int
    tool_calls: int
    total_tokens: int
    last_at: datetime

    def __str__(self) -> str:
        calls = f"{_counted(self.model_calls, 'model call')} and {_counted(self.tool_calls, 'tool call')}"
        return f"resumes: {calls} of {self.last_at:%Y-%m-%d %H:%M} are kept, about {self.total_tokens:,} tokens"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
