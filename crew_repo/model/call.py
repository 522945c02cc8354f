"""Calls inside a task: what a model answered and a tool gave before the task was finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime

from crew_repo.model.decision import Reason, ReasonKind
from crew_repo.model.text import TextEnum
from crew_repo.model.usage import Usage
from crew_repo.model.wording import plural

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
    JSON. `run_id` and `input_hash` say which run made it, and of which work. The `usage` of a tool is what models cost
    inside it.
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

    model_calls: int
    tool_calls: int
    total_tokens: int
    last_at: datetime

    def __str__(self) -> str:
        calls = f"{plural(self.model_calls, 'model call')} and {plural(self.tool_calls, 'tool call')}"
        return f"{calls} of {self.last_at:%Y-%m-%d %H:%M} are kept, about {self.total_tokens:,} tokens"

    @property
    def reason(self) -> Reason:
        """The note that a task goes on from them."""
        return Reason(ReasonKind.RESUMES, detail=str(self))

    @classmethod
    def of(cls, calls: Sequence[KeptCall]) -> KeptCalls | None:
        """Sum calls up; None if there are none."""
        if not calls:
            return None
        models = [call for call in calls if call.kind is CallKind.MODEL]
        tokens = sum(call.usage.total_tokens for call in models)
        return cls(len(models), len(calls) - len(models), tokens, max(call.called_at for call in calls))

