"""A person's answer as a record, and its entry: of what was asked, by a model's record or a plan, and who answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from crew_repo.hashing import FORMAT, output_hash
from crew_repo.model import PERSON, Author, Change, ChangeKind, NewRecord, Record, StoredResult, Usage
from crew_repo.runner.options import crew_name, utc_now
from crew_repo.staleness import Current
from crew_repo.store import Store

__all__ = ["asked_of", "intended", "person_record"]


def asked_of(current: Current, workflow_id: str, crew: Any) -> dict[str, Any]:
    """The members of a NewRecord that say what a task is asked."""
    return {
        "workflow_id": workflow_id,
        "crew_name": crew_name(crew),
        "task_name": current.task_name,
        "position": current.position,
        "input_hash": current.input_hash,
        "definition_hash": current.definition_hash,
        "context_hash": current.context_hash,
        "occurrence": current.occurrence,
        "components": current.definition.components,
    }


def person_record(
    store: Store, asked: Mapping[str, Any], result: StoredResult, author: Author, *, given_at: datetime | None = None
) -> NewRecord:
    """The record of a person's answer, given now or at `given_at`; it belongs to the newest run there is.

    `asked`: the members of a NewRecord that say what was asked; those of an answer are left out.
    """
    runs, moment = store.list_runs(asked["workflow_id"], 1), given_at or utc_now()
    newest = {"run_id": runs[0].run_id} if runs else {}
    given = {
        "result": result,
        "output_hash": output_hash(result),
        "started_at": moment,
        "completed_at": moment,
        "duration_seconds": 0.0,
        "usage": Usage(),
        "hash_format": FORMAT,
        "not_restorable": None,
        "origin": PERSON,
        "model": None,
        "person": author.by,
    }
    return NewRecord(**{"run_id": "", **asked, **newest, **given})


def intended(
    new: NewRecord, kind: ChangeKind, author: Author, before: Record | None, detail: str | None = None
) -> Change:
    """The entry that giving this answer would make, without a number."""
    return Change(
        kind=kind,
        changed_at=new.completed_at,
        by=author.by,
        reason=author.reason,
        workflow_id=new.workflow_id,
        task_name=new.task_name,
        input_hash=new.input_hash,
        record_before=None if before is None else before.record_id,
        before=None if before is None else before.result.raw,
        after=new.result.raw,
        detail=detail,
    )
