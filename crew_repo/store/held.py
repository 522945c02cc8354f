"""The rows of answers that people gave to tasks whose context was not known yet; their entries are in `changes`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, exists, select, update

from crew_repo.hashing import held_hash
from crew_repo.model import Author, HeldAnswer, Problem
from crew_repo.store.tables import CHANGE, HELD_ANSWER
from crew_repo.store.transaction import Transaction

__all__ = [
    "end_held",
    "held_answers",
    "held_at",
    "held_problems",
    "held_tasks",
    "is_intact",
    "old_held",
    "revive_held",
    "row_of_change",
]

_LIVE = HELD_ANSWER.c.retired.is_(None)
_AT = select(HELD_ANSWER.c.held_id).where(
    _LIVE, HELD_ANSWER.c.workflow_id == bindparam("w"), HELD_ANSWER.c.task_name == bindparam("t"),
    HELD_ANSWER.c.definition_hash == bindparam("d"),
)  # fmt: skip
_GIVEN = select(HELD_ANSWER, CHANGE.c.changed_at, CHANGE.c.changed_by, CHANGE.c.reason, CHANGE.c.hash_after).join(
    CHANGE, CHANGE.c.change_id == HELD_ANSWER.c.change_id, isouter=True
)


def held_at(tx: Transaction, workflow_id: str, task_name: str, definition_hash: str) -> HeldAnswer | None:
    """The answer that is held for a task of this definition."""
    found = tx.number(_AT, {"w": workflow_id, "t": task_name, "d": definition_hash})
    return None if found is None else _answer(tx.rows(_GIVEN.where(HELD_ANSWER.c.held_id == found)).one())


def held_answers(tx: Transaction, workflow_id: str) -> list[HeldAnswer]:
    """All answers that are held in a workflow, the oldest first."""
    here = HELD_ANSWER.c.workflow_id == workflow_id
    return [_answer(row) for row in tx.rows(_GIVEN.where(_LIVE, here).order_by(HELD_ANSWER.c.held_id))]


def held_tasks(tx: Transaction, workflow_id: str | None, task_name: str | None = None) -> list[tuple[str, str]]:
    """Workflow and name of each task for which an answer is held."""
    wanted = select(HELD_ANSWER.c.workflow_id, HELD_ANSWER.c.task_name).where(_LIVE).distinct()
    for column, value in ((HELD_ANSWER.c.workflow_id, workflow_id), (HELD_ANSWER.c.task_name, task_name)):
        wanted = wanted if value is None else wanted.where(column == value)
    return sorted((row[0], row[1]) for row in tx.execute(wanted))


def row_of_change(tx: Transaction, change_id: int) -> Mapping[str, Any] | None:
    """The row of the answer that this entry gave; None if it was deleted."""
    found: Mapping[str, Any] | None = tx.rows(select(HELD_ANSWER).where(HELD_ANSWER.c.change_id == change_id)).first()
    return found


def end_held(tx: Transaction, why: str, by: int | None, *where: Any) -> int:
    """Hold these answers no longer, by this entry; how many."""
    return int(tx.execute(update(HELD_ANSWER).where(_LIVE, *where).values(retired=why, retired_by=by)).rowcount)


def revive_held(tx: Transaction, why: str, *where: Any) -> int:
    """Hold those of these answers again that are held no longer for this reason, where no other is; how many."""
    other = HELD_ANSWER.alias("other")
    same = [other.c[name] == HELD_ANSWER.c[name] for name in ("workflow_id", "task_name", "definition_hash")]
    taken = exists().where(*same, other.c.retired.is_(None))
    wanted = update(HELD_ANSWER).where(HELD_ANSWER.c.retired == why, ~taken, *where)
    return int(tx.execute(wanted.values(retired=None, retired_by=None)).rowcount)


def old_held(tx: Transaction, before: datetime | None, *, live_too: bool) -> list[int]:
    """The numbers of answers given before then; without `live_too` of those alone that are held no longer."""
    rows = tx.rows(_GIVEN if live_too else _GIVEN.where(HELD_ANSWER.c.retired.is_not(None)))
    return [row["held_id"] for row in rows if before is None or row["changed_at"] is None or row["changed_at"] < before]


def held_problems(tx: Transaction) -> Iterator[Problem]:
    """Answers that are held, and are no longer what their entries say."""
    for row in tx.rows(_GIVEN.where(_LIVE).order_by(HELD_ANSWER.c.held_id)):
        if row["hash_after"] is None:
            what = "no entry of the table change says that a person gave its held answer"
        elif is_intact(row) and row["output_hash"] == row["hash_after"]:
            continue
        else:
            what = f"its held answer is not the one that change {row['change_id']} says was given"
        yield Problem(None, row["workflow_id"], row["task_name"], what)


def is_intact(row: Mapping[str, Any]) -> bool:
    """Whether the answer in a row gives its hash."""
    return bool(held_hash(row["definition_hash"], row["output"]) == row["output_hash"])


def _answer(row: Mapping[str, Any]) -> HeldAnswer:
    return HeldAnswer(
        held_id=row["held_id"],
        task_name=row["task_name"],
        definition_hash=row["definition_hash"],
        output=row["output"],
        author=Author(row["changed_by"] or "unknown", row["reason"]),
        given_at=row["changed_at"],
        intact=is_intact(row) and row["output_hash"] == row["hash_after"],
    )
