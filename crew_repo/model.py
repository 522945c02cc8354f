"""The nouns of crew_repo: frozen dataclasses and enums, which do no I/O.

Rows stay in the storage layer and CrewAI's objects in the adapter; everything in between speaks these.
Times are aware `datetime` objects in UTC, durations are seconds, hashes are 64 lowercase hex digits of SHA-256.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from html import escape
from typing import Any

__all__ = [
    "PLANNER",
    "PLANNER_POSITION",
    "RESOLVED",
    "Claim",
    "Component",
    "Decision",
    "Definition",
    "Failure",
    "Holder",
    "Lease",
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
]


RESOLVED = "resolved:"  # how the paths of components begin that only a connection gives; they act through the context
PLANNER = "(planner)"
"""The name under which CrewAI's planner (`planning=True`) has its record; no task of a crew gets it."""
PLANNER_POSITION = -1
"""The planner is asked before the first task."""


class _Text(str, Enum):
    """An enum whose members are, and print as, their text (Python 3.10 has no StrEnum)."""

    def __str__(self) -> str:
        return str(self.value)


class Status(_Text):
    """What is known of a task before it runs."""

    FRESH = "fresh"
    STALE = "stale"
    MISSING = "missing"
    MAY_RERUN = "may rerun"


class Outcome(_Text):
    """What a run did with a task. Skipped is CrewAI's word: a condition said no."""

    EXECUTED = "executed"
    REUSED = "reused"
    SKIPPED = "skipped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class RunStatus(_Text):
    """The state of one run. Interrupted: its process is gone, and it had not finished."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class ReasonKind(_Text):
    """Why a task is not fresh."""

    NEVER_RAN = "never ran"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    INVALIDATED = "invalidated"
    ALTERED = "altered"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    UPSTREAM = "upstream"
    FORCED = "forced"
    ALWAYS = "always"
    EXPIRED = "expired"
    NOT_HASHABLE = "not hashable"
    NOT_RESTORABLE = "not restorable"
    HASH_FORMAT = "hash format"
    CONDITION = "condition"
    AT_RUN_TIME = "known at run time"
    HANDED_ON = "handed on"


@dataclass(frozen=True, slots=True)
class Opaque:
    """A part of a task's definition that cannot be hashed: where it stands, and what it is.

    `elsewhere`: where it is could be hashed, what is kept there not; the task may be served, and a warning says so.
    """

    path: str
    why: str
    elsewhere: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


@dataclass(frozen=True, slots=True)
class Component:
    """One named part of a task's definition.

    `acts` is False for a part that only explains (a template, an input's name): it is kept so that a reason
    can say what changed, and is not in the input hash. `text` is what a diff shows, where it may be stored.
    """

    path: str
    sha256: str
    acts: bool = True
    text: str | None = None


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file that the component at `path` was hashed from.

    `found` is its content's SHA-256, or a word for what is no file; `mark` changes with every write.
    """

    path: str
    file: str
    found: str
    mark: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """What a task is, without what its upstreams said: its components, and what of it cannot be hashed.

    `files`: what of it was read from files, which may change while the task is executed.
    """

    components: tuple[Component, ...]
    opaque: tuple[Opaque, ...] = ()
    files: tuple[ReadFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and requests, as the model's provider counted them."""

    total_tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_prompt_tokens: int = 0
    successful_requests: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.total_tokens + other.total_tokens,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_prompt_tokens + other.cached_prompt_tokens,
            self.successful_requests + other.successful_requests,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.total_tokens - other.total_tokens,
            self.prompt_tokens - other.prompt_tokens,
            self.completion_tokens - other.completion_tokens,
            self.cached_prompt_tokens - other.cached_prompt_tokens,
            self.successful_requests - other.successful_requests,
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception, as text: type, message, traceback."""

    type: str
    message: str
    traceback: str

    def __str__(self) -> str:
        """Type and first line of the message, shortened to fit a line."""
        lines = self.message.strip().splitlines()
        text = f"{self.type}: {lines[0]}" if lines else self.type
        return text if len(text) <= 120 else text[:117] + "..."


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A TaskOutput as it is stored: text and JSON texts, never a pickled object.

    `raw` is what downstream tasks read. The `_json` members are JSON texts or None. `messages_json` has the
    task's context taken out (see adapter.outputs), so that a state file stays linear in the number of tasks.
    `reading_json` says how a typed output is read again: None for its dump as it is.
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


@dataclass(frozen=True, slots=True)
class NewRecord:
    """What is to be kept of one finished task. `model`: the name of the model that answered, where it has one."""

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


@dataclass(frozen=True, slots=True)
class Record(NewRecord):
    """A finished task as the store keeps it.

    `retired` is None for a record that may be served, else why it may not: "invalidated", "deleted",
    "superseded". Components of a stored record carry their text where it was stored. `damage`: what of the row could
    not be read; such a record is never served.
    """

    record_id: int = 0
    retired: str | None = None
    damage: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a task is not fresh: a kind, the component, and the old and new hash and text where they are known.

    `root` names the change that this one comes from: of a stale upstream, or of a text that an input was put into.
    """

    kind: ReasonKind
    component: str | None = None
    detail: str | None = None
    old: str | None = None
    new: str | None = None
    old_text: str | None = None
    new_text: str | None = None
    root: str | None = None

    def __str__(self) -> str:
        if self.kind is ReasonKind.UPSTREAM and self.component:
            text = f"{self.component} {'' if self.detail == Status.MAY_RERUN else 'is '}{self.detail}"
            return f"{text} ({self.root})" if self.root else text
        text = f"{self.component} {self.kind}" if self.component else str(self.kind)
        return f"{text} ({self.detail})" if self.detail and self.detail != str(self.kind) else text

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict without the members that are None."""
        members = {name: getattr(self, name) for name in self.__slots__}
        members["kind"] = str(self.kind)
        return {name: value for name, value in members.items() if value is not None}

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> Reason:
        """The inverse of `to_dict`."""
        return cls(**{**members, "kind": ReasonKind(members["kind"])})


@dataclass(frozen=True, slots=True)
class Decision:
    """One task's status and the reasons for it; `record` is what would be, or was, served.

    `tokens` and `seconds` are what the task took when it last ran, None where that is not known; `cost_from` says
    where they come from, if not from this workflow.
    """

    task_name: str
    status: Status
    reasons: tuple[Reason, ...] = ()
    position: int = 0
    record: Record | None = field(default=None, repr=False)
    tokens: int | None = None
    seconds: float | None = None
    cost_from: str | None = None

    @property
    def fresh(self) -> bool:
        """Whether the stored record may be served."""
        return self.status is Status.FRESH

    @property
    def causes(self) -> list[str]:
        """The reasons for people, each cause once.

        A text that changed because an input did is not named beside that input, and upstreams that wait for the
        same change share a line; `reasons` has them all.
        """
        found: list[str] = []
        waiting: dict[str, list[Reason]] = {}
        for reason in self.reasons:
            if reason.root is None:
                found.append(str(reason))
            elif reason.kind is ReasonKind.UPSTREAM:
                waiting.setdefault(reason.root, []).append(reason)
        for root, upstreams in waiting.items():
            names = ", ".join(str(reason.component) for reason in upstreams)
            found.append(f"{names} ({root})" if len(upstreams) > 1 else str(upstreams[0]))
        return found

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "task_name": self.task_name,
            "status": str(self.status),
            "reasons": [reason.to_dict() for reason in self.reasons],
            "position": self.position,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "cost_from": self.cost_from,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do, in the order of the tasks. Printing it gives a table.

    `notes` are sentences about what is right and looks wrong: an input that no task reads, a text that was edited in
    vain. `planner` is the decision about CrewAI's planner, which is no task, where the crew has `planning=True`.
    """

    workflow_id: str
    decisions: tuple[Decision, ...]
    notes: tuple[str, ...] = ()
    planner: Decision | None = None

    def __iter__(self) -> Iterator[Decision]:
        return iter(self.decisions)

    def __len__(self) -> int:
        return len(self.decisions)

    def __getitem__(self, task_name: str) -> Decision:
        for decision in self.decisions:
            if decision.task_name == task_name:
                return decision
        raise KeyError(task_name)

    def _names(self, status: Status) -> list[str]:
        return [d.task_name for d in self.decisions if d.status is status]

    @property
    def fresh(self) -> list[str]:
        """The tasks whose records would be served."""
        return self._names(Status.FRESH)

    @property
    def stale(self) -> list[str]:
        """The tasks that would run because something changed."""
        return self._names(Status.STALE)

    @property
    def missing(self) -> list[str]:
        """The tasks that would run because nothing usable is stored."""
        return self._names(Status.MISSING)

    @property
    def may_rerun(self) -> list[str]:
        """The tasks below those: they run unless what they read comes out the same (early cutoff)."""
        return self._names(Status.MAY_RERUN)

    def __str__(self) -> str:
        return "\n".join([*_table(self._rows()), self.estimate, *self._marked_notes()])

    def _marked_notes(self) -> list[str]:
        return [f"note: {note}" for note in self.notes]

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        table = Table("task", "status", "why")
        for name, status, why in self._rows()[1:]:
            table.add_row(name, status, why)
        return Group(table, self.estimate, *self._marked_notes())

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self._rows()[1:]
        )
        return (
            f"<table><tr><th>task</th><th>status</th><th>why</th></tr>{rows}</table><p>{escape(self.estimate)}</p>"
            + "".join(f"<p>{escape(note)}</p>" for note in self._marked_notes())
        )

    def _rows(self) -> list[tuple[str, str, str]]:
        rows = [(d.task_name, str(d.status), "; ".join(d.causes)) for d in self.decisions]
        return [("task", "status", "why"), *rows]

    @property
    def estimate(self) -> str:
        """One line: what a run would do, and by what those tasks took before, what it would spend and save.

        The cost of a task that has no record is unknown; where the same task ran in other workflows, it is estimated
        from those.
        """
        running = [d for d in self.decisions if not d.fresh]
        never = sum(any(reason.kind is ReasonKind.NEVER_RAN for reason in d.reasons) for d in running)
        to_run = f"{len(running)} to run{f', {never} of them never ran' if never else ''}"
        save = f"{self.tokens_to_save:,} tokens and {self.seconds_to_save:.1f} s saved"
        return f"{len(self.fresh)} fresh, {to_run}; {self._spending(running)}, {save}"

    def _spending(self, running: list[Decision]) -> str:
        unknown = sum(d.tokens is None for d in running)
        if running and unknown == len(running):
            return "what that costs is unknown"
        spend = f"about {self.tokens_to_spend:,} tokens and {self.seconds_to_spend:.1f} s to spend"
        if any(d.cost_from is not None for d in running):
            spend += " (by runs of other workflows)"
        more = f", and what {unknown} more {'costs' if unknown == 1 else 'cost'} is unknown" if unknown else ""
        return spend + more

    @property
    def all_fresh(self) -> bool:
        """Whether a run would call no model."""
        return all(decision.fresh for decision in self._all)

    @property
    def _all(self) -> tuple[Decision, ...]:
        return self.decisions if self.planner is None else (self.planner, *self.decisions)

    @property
    def tokens_to_spend(self) -> int:
        """Tokens that the tasks that may run, and the planner, took when they last ran; the unknown adds nothing."""
        return sum(d.tokens or 0 for d in self._all if not d.fresh)

    @property
    def tokens_to_save(self) -> int:
        """Tokens that the fresh tasks took when they ran."""
        return sum(d.tokens or 0 for d in self._all if d.fresh)

    @property
    def seconds_to_spend(self) -> float:
        """Seconds that the tasks that may run took when they last ran."""
        return sum(d.seconds or 0.0 for d in self._all if not d.fresh)

    @property
    def seconds_to_save(self) -> float:
        """Seconds that the fresh tasks took when they ran."""
        return sum(d.seconds or 0.0 for d in self._all if d.fresh)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "workflow_id": self.workflow_id,
            "planner": None if self.planner is None else self.planner.to_dict(),
            "decisions": [decision.to_dict() for decision in self.decisions],
            "notes": list(self.notes),
            "tokens_to_spend": self.tokens_to_spend,
            "tokens_to_save": self.tokens_to_save,
            "seconds_to_spend": self.seconds_to_spend,
            "seconds_to_save": self.seconds_to_save,
        }


def _table(rows: list[tuple[str, str, str]]) -> list[str]:
    """Left-aligned columns of text."""
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [f"{name:<{widths[0]}}  {status:<{widths[1]}}  {why}".rstrip() for name, status, why in rows]


@dataclass(frozen=True, slots=True)
class TaskRun:
    """What one run did with one task, or with CrewAI's planner (position -1), and why."""

    run_id: str
    workflow_id: str
    task_name: str
    position: int
    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    input_hash: str | None = None
    record_id: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_seconds: float | None = None
    usage: Usage = Usage()
    tokens_saved: int = 0
    seconds_saved: float = 0.0
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run: what it executed and what it reused, in order, and what that cost and saved.

    `planner`: what it did with CrewAI's planner, which is none of the tasks; the tokens have its share.
    """

    run_id: str
    workflow_id: str
    crew_name: str
    status: RunStatus
    started_at: datetime
    finished_at: datetime | None = None
    tasks: tuple[TaskRun, ...] = ()
    tokens_spent: int = 0
    tokens_saved: int = 0
    seconds_saved: float = 0.0
    failure: Failure | None = None
    planner: TaskRun | None = None

    def __str__(self) -> str:
        done = [f"{outcome} {', '.join(names)}" for outcome in Outcome if (names := self._names(outcome))]
        spent = f"{self.tokens_spent:,} tokens spent, {self.tokens_saved:,} saved"
        return f"run {self.run_id} of {self.workflow_id} {self.status}: {'; '.join([*done, spent])}"

    def _names(self, outcome: Outcome) -> list[str]:
        return [t.task_name for t in sorted(self.tasks, key=lambda t: t.position) if t.outcome is outcome]

    @property
    def executed(self) -> list[str]:
        """The tasks that a model worked on, in order."""
        return self._names(Outcome.EXECUTED)

    @property
    def reused(self) -> list[str]:
        """The tasks that were served from their records, in order."""
        return self._names(Outcome.REUSED)

    @property
    def skipped(self) -> list[str]:
        """The conditional tasks whose condition said no, in order."""
        return self._names(Outcome.SKIPPED)

    @property
    def failed(self) -> list[str]:
        """The tasks that raised, in order."""
        return self._names(Outcome.FAILED)

    @property
    def interrupted(self) -> list[str]:
        """The tasks that were being executed when the process went away, in order."""
        return self._names(Outcome.INTERRUPTED)

    @property
    def duration_seconds(self) -> float | None:
        """How long the run took, or None while it runs or if it was killed."""
        if self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class TaskState:
    """The current state of one task of one workflow: a row of `task_state`.

    `started_at`: since when it is executed, or was. `in_crew`: whether the crew of the newest run has a task of this
    name, None where that is not known.
    """

    workflow_id: str
    crew_name: str
    task_name: str
    position: int
    status: str
    output: str | None
    input_hash: str | None
    output_hash: str | None
    completed_at: datetime | None
    duration_seconds: float | None
    total_tokens: int | None
    error: str | None
    run_id: str
    record_id: int | None = None
    started_at: datetime | None = None
    model: str | None = None
    in_crew: bool | None = None


@dataclass(frozen=True, slots=True)
class TaskHead:
    """What the store knows of a task by its name: for explaining, never for serving.

    `record` is the one that the last run executed or reused, else the newest of that name, retired or not. `outcome`
    is what that run did with it.
    """

    task_name: str
    record: Record | None = None
    outcome: Outcome | None = None
    failure: Failure | None = None


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


@dataclass(frozen=True, slots=True)
class Problem:
    """A record whose stored parts do not give its hash again."""

    record_id: int
    workflow_id: str
    task_name: str
    what: str

    def __str__(self) -> str:
        return f"record {self.record_id} ({self.workflow_id}/{self.task_name}): {self.what}"


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What `prune` deleted, or would delete: records, runs, stored texts; the file's size before and after."""

    records: int
    runs: int
    texts: int
    bytes_before: int
    bytes_after: int
