"""Short words for the tests: a made-up task, and a run that executes it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any

from crew_repo.hashing import FORMAT, context_hash, definition_hash, input_hash, output_hash, text_hash
from crew_repo.model import (
    Component,
    Lease,
    NewRecord,
    NewRun,
    Outcome,
    Record,
    RunRecord,
    RunStatus,
    StoredResult,
    TaskRun,
    Usage,
)
from crew_repo.store import Store
from crew_repo.store.process_identity import this_owner

__all__ = ["DEAD", "ELSEWHERE", "Clock", "Kit", "new_record", "now", "task_run"]

ELSEWHERE = "another-host:77:1234:boot-of-another-host:4026531836:another-machine"
DEAD = ":".join([this_owner().split(":")[0], "4194304", "1", *this_owner().split(":")[3:]])  # above any pid there is


def now() -> datetime:
    """The present."""
    return datetime.now(timezone.utc)


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 10, 0, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        """Seconds pass."""
        self.time += timedelta(seconds=seconds)


def new_record(
    task_name: str = "extract",
    raw: str = "policy 42",
    *,
    run_id: str = "run-1",
    workflow_id: str = "claim-1",
    position: int = 0,
    template: str = "Read {notes}",
    context: str = "",
    **changes: Any,
) -> NewRecord:
    """A finished task whose hashes fit."""
    parts = (
        Component("task.description", text_hash(template), text=template),
        Component("agent.role", text_hash("analyst"), text="analyst"),
        Component("input:notes", text_hash("notes"), acts=False),
    )
    result = StoredResult(raw=raw, agent="analyst", name=task_name, pydantic_json='{"policy":42}', messages_json="[]")
    definition, read = definition_hash(parts), context_hash(context)
    moment = now()
    record = NewRecord(
        workflow_id=workflow_id,
        crew_name="claims",
        task_name=task_name,
        position=position,
        run_id=run_id,
        input_hash=input_hash(definition, read, 0),
        definition_hash=definition,
        context_hash=read,
        occurrence=0,
        components=parts,
        result=result,
        output_hash=output_hash(result),
        started_at=moment,
        completed_at=moment,
        duration_seconds=1.5,
        usage=Usage(30, 20, 10, 5, 1),
        hash_format=FORMAT,
    )
    return replace(record, **changes)


def task_run(record: NewRecord, outcome: Outcome = Outcome.EXECUTED, **changes: Any) -> TaskRun:
    """What a run did with the task of this record."""
    note = TaskRun(
        record.run_id,
        record.workflow_id,
        record.task_name,
        record.position,
        outcome,
        input_hash=record.input_hash,
        finished_at=record.completed_at,
        duration_seconds=record.duration_seconds,
        usage=record.usage,
    )
    return replace(note, **changes)


@dataclass
class Kit:
    """What a run does to a store, in one word each."""

    store: Store
    owner: str = field(default_factory=this_owner)
    _numbers: Any = field(default_factory=lambda: count(1))

    def start(self, workflow_id: str = "claim-1", *, owner: str | None = None, run_id: str | None = None) -> str:
        """Start a run; its ID."""
        name = run_id or f"run-{next(self._numbers)}"
        self.begin(name, workflow_id, owner=owner or self.owner, facts={"crewai": "1.14"})
        return name

    def begin(self, run_id: str, workflow_id: str = "claim-1", **more: Any) -> None:
        """Write a run down, with what a test wants to say of it."""
        known: dict[str, Any] = {"crew_name": "claims", "started_at": now(), "owner": self.owner}
        self.store.start_run(NewRun(run_id=run_id, workflow_id=workflow_id, **{**known, **more}))

    def lease(self, record: NewRecord, *, owner: str | None = None, take_finished: bool = True) -> Lease:
        """Claim the work of this record, which must be free."""
        claim = self.store.claim(
            record.workflow_id,
            record.input_hash,
            run_id=record.run_id,
            task_name=record.task_name,
            position=record.position,
            owner=owner or self.owner,
            take_finished=take_finished,
        )
        assert claim.lease is not None, claim
        return claim.lease

    def execute(self, record: NewRecord, *, take_finished: bool = True) -> Record:
        """Claim and save."""
        lease = self.lease(record, take_finished=take_finished)
        return self.store.save_finished(lease, record, task_run(record))

    def finish(self, run_id: str, status: RunStatus = RunStatus.COMPLETED, **more: Any) -> RunRecord:
        """End a run."""
        return self.store.finish_run(run_id, status, now(), **{"tokens_spent": 0, **more})

    def run(self, *records: NewRecord, workflow_id: str = "claim-1") -> list[Record]:
        """A whole run that executes these tasks."""
        run_id = self.start(workflow_id)
        kept = [self.execute(replace(record, run_id=run_id, workflow_id=workflow_id)) for record in records]
        self.finish(run_id, tokens_spent=sum(record.usage.total_tokens for record in records))
        return kept
