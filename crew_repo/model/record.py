"""The record of a finished task: its output, what it cost, and hashes of what it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crew_repo.model.definition import Component
from crew_repo.model.usage import Usage
from crew_repo.model.wording import notebook_html, shortened

__all__ = ["OF_CLASS", "Failure", "NewRecord", "Record", "StoredResult", "json_of_class", "values_in"]

OF_CLASS = "typed"


@dataclass(frozen=True, slots=True, repr=False)
class Failure:
    """An exception, as text: type, message, traceback."""

    type: str
    message: str
    traceback: str

    def __str__(self) -> str:
        """The type and the first line of the message, cut to 120 characters."""
        lines = self.message.strip().splitlines()
        text = f"{self.type}: {lines[0]}" if lines else self.type
        return text if len(text) <= 120 else text[:117] + "..."

    def __repr__(self) -> str:
        return f"<Failure {self}>"


@dataclass(frozen=True, slots=True, repr=False)
class StoredResult:
    """CrewAI's TaskOutput as it is stored: texts only, never a pickled object.

    `raw` is the answer, and what later tasks read. The members that end in `_json` are JSON texts or None.
    `messages_json` leaves out the answers of earlier tasks, which have records of their own, to keep the file small.
    `reading_json` says how a typed output is made again. None makes it from `pydantic_json` or `json_dict_json`.
    """

    raw: str
    agent: str = ""
    name: str | None = None
    description: str = ""
    expected_output: str | None = None
    output_format: str = "raw"
    pydantic_json: str | None = None
    json_dict_json: str | None = None
    messages_json: str | None = None
    tool_failures_json: str | None = None
    reading_json: str | None = None

    def __repr__(self) -> str:
        return f"<StoredResult {shortened(self.raw, 80)!r}>"


def json_of_class(values_json: str) -> str:
    """A `json_dict_json` whose values only the task's own class can read, as dates: they are the second of two."""
    return f'["{OF_CLASS}", {values_json}]'


def values_in(read: Any) -> Any:
    """The values of a `json_dict_json` that was read, as JSON has them; None for those that JSON cannot hold."""
    if not isinstance(read, list):
        return read
    return read[1] if len(read) == 2 and read[0] == OF_CLASS else None


@dataclass(frozen=True, slots=True, repr=False)
class NewRecord:
    """A finished task that is about to be stored.

    `model` is the name of the model that answered, if it has one. `origin` is "model", or "person" if `person` gave the
    answer in its place.
    """

    workflow_id: str
    crew_name: str
    task_name: str
    position: int
    run_id: str
    input_hash: str
    definition_hash: str
    context_hash: str
    occurrence: int
    components: tuple[Component, ...]
    result: StoredResult
    output_hash: str
    started_at: datetime
    completed_at: datetime
    duration_seconds: float
    usage: Usage
    hash_format: int
    not_restorable: str | None = None
    origin: str = "model"
    model: str | None = None
    person: str | None = None

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} of task {shortened(self.task_name)!r} in {shortened(self.workflow_id)!r}, "
            f"{self.completed_at:%Y-%m-%d %H:%M} UTC: {shortened(self.result.raw, 80)!r}>"
        )


@dataclass(frozen=True, slots=True, repr=False)
class Record(NewRecord):
    """The stored answer of a finished task, with all that is kept beside it.

    `retired` is None if the record may be reused. Else it says why not: "invalidated", "deleted", "superseded" or
    "undone". `damage` says what of it could not be read, or is None. A damaged record is never reused.
    """

    record_id: int = 0
    retired: str | None = None
    damage: str | None = None

    def as_row(self) -> dict[str, str]:
        """The cells of a table of records."""
        return {
            "record": str(self.record_id),
            "workflow": self.workflow_id,
            "task": self.task_name,
            "completed (UTC)": f"{self.completed_at:%Y-%m-%d %H:%M:%S}",
            "tokens": f"{self.usage.total_tokens:,}",
            "seconds": f"{self.duration_seconds:.1f}",
            "state": "damaged" if self.damage else self.retired or "may be served",
            "by": self.person or self.model or "",
            "run": self.run_id,
            "output": shortened(self.result.raw, 80),
        }

    def _repr_html_(self) -> str:
        return notebook_html("list", [self.as_row()])
