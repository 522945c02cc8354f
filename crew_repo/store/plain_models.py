"""Runs, records and changes as the model has them, read without a database library: see `store.current`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crew_repo.model import Change, ChangeKind, Record, RunRecord, RunStatus
from crew_repo.store.current import among
from crew_repo.store.from_rows import (
    hashes_in,
    interrupted_task,
    plain_row,
    record_or_damaged,
    run_of,
    task_run_of,
    texts_of_run,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from crew_repo.store.current import Query, Row

__all__ = ["RECORDS", "changes_of", "records_by_number", "records_in", "run_with_tasks"]

_ENTRIES = """
SELECT change.change_id, change.kind, change.changed_at, change.changed_by AS person, change.reason, change.workflow_id,
       change.task_name, change.input_hash, change.record_before, change.record_after, replaced.output AS said_before,
       COALESCE(given.output, held_answer.output) AS said_after, change.undoes, change.detail,
       (SELECT deed.kind FROM change AS deed WHERE deed.undoes = change.change_id
         ORDER BY deed.change_id DESC LIMIT 1) AS last_deed
  FROM change
  LEFT JOIN record AS replaced ON replaced.record_id = change.record_before
  LEFT JOIN record AS given ON given.record_id = change.record_after
  LEFT JOIN held_answer ON held_answer.change_id = change.change_id"""
RECORDS = """
SELECT record.*, (SELECT body FROM "text" WHERE sha256 = record.shared_hash) AS shared FROM record"""
"""All of records, with the components that they have in common with others."""
_PLAIN = ("change_id", "reason", "workflow_id", "task_name", "input_hash", "record_before", "record_after", "undoes",
          "detail")  # fmt: skip


def run_with_tasks(query: Query, current: Row) -> RunRecord:
    """A run with its tasks; one whose process is gone is interrupted, and so is what that was at."""
    run_id = current["run_id"]
    (row,) = _rows(query, "SELECT * FROM run_entry WHERE run_id = :run", run=run_id)
    tasks = [task_run_of(note) for note in _rows(query, "SELECT * FROM task_run WHERE run_id = :run", run=run_id)]
    gone = row["status"] == "running" and current["status"] == "interrupted"
    for lease in _rows(query, "SELECT * FROM lease WHERE run_id = :run", run=run_id) if gone else ():
        if all(task.position != lease["position"] for task in tasks):
            tasks.append(interrupted_task(lease))
    return run_of(row, tasks, RunStatus.INTERRUPTED if gone else None, _texts(query, texts_of_run(row)))


def records_by_number(query: Query, numbers: Collection[int]) -> dict[int, Record]:
    """The records that are there, with the texts of their components; a damaged one has its `damage`."""
    return records_in(query, among(query, f"{RECORDS} WHERE record_id IN", sorted(numbers)))


def records_in(query: Query, found: Collection[Row]) -> dict[int, Record]:
    """The records in these rows of the table, by number."""
    rows = [plain_row(row) for row in found]
    texts = _texts(query, {sha256 for row in rows for sha256 in hashes_in(row)})
    return {row["record_id"]: record_or_damaged(row, texts=texts) for row in rows}


def _texts(query: Query, hashes: Collection[str]) -> dict[str, str]:
    found = among(query, 'SELECT sha256, body FROM "text" WHERE sha256 IN', sorted(hashes))
    return {row["sha256"]: row["body"] for row in map(plain_row, found)}


def _rows(query: Query, statement: str, **values: Any) -> list[Row]:
    return [plain_row(row) for row in query(statement, **values)]


def changes_of(query: Query, workflow_id: str | None, limit: int) -> list[Change]:
    """The entries of what people changed, the newest first; of all workflows without one."""
    only = "" if workflow_id is None else " WHERE change.workflow_id = :workflow"
    given = {} if workflow_id is None else {"workflow": workflow_id}
    found = _rows(query, f"{_ENTRIES}{only} ORDER BY change.change_id DESC LIMIT :most", most=limit, **given)
    return [_change(row) for row in found]


def _change(row: dict[str, Any]) -> Change:
    return Change(
        **{name: row[name] for name in _PLAIN},
        kind=ChangeKind(row["kind"]),
        changed_at=row["changed_at"],
        by=row["person"],
        before=row["said_before"],
        after=row["said_after"],
        undone=row["last_deed"] == ChangeKind.UNDO,
    )
