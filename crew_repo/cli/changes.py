"""The changes that people made, read without a database library, and the JSON of one."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from crew_repo.cli.current import check_workflow
from crew_repo.cli.options import Asked, common, complete_tasks, of_a_workflow
from crew_repo.cli.printing import Answer, Table, printable
from crew_repo.cli.reader import read
from crew_repo.cli.selecting import select
from crew_repo.model import Change, ChangeKind

if TYPE_CHECKING:
    from crew_repo.cli.reader import Query

__all__ = ["changes_command", "entry_of"]

_ENTRIES = """
SELECT change.change_id, change.kind, change.changed_at, change.changed_by AS person, change.reason, change.workflow_id,
       change.task_name, change.input_hash, change.record_before, change.record_after, replaced.output AS said_before,
       given.output AS said_after, change.undoes, change.detail,
       (SELECT deed.kind FROM change AS deed WHERE deed.undoes = change.change_id
         ORDER BY deed.change_id DESC LIMIT 1) AS last_deed
  FROM change
  LEFT JOIN record AS replaced ON replaced.record_id = change.record_before
  LEFT JOIN record AS given ON given.record_id = change.record_after"""
_PLAIN = ("change_id", "reason", "workflow_id", "task_name", "input_hash", "record_before", "record_after", "undoes",
          "detail")  # fmt: skip
_EFFECT = ("would_run", "may_run", "tokens")


@click.command("changes")
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...", shell_complete=complete_tasks)
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many; 0 for all.")
@click.option("--full", is_flag=True, help="Print the texts whole, before and after.")
@of_a_workflow
@common
@click.pass_obj
def changes_command(asked: Asked, selectors: tuple[str, ...], limit: int, full: bool) -> Answer:
    """List what people changed, newest first: who, when, why, before and after.

    SELECTOR: a task by name or pattern, workflow:CLM-2025-*, status:undone, status:made.
    """

    def ask(query: Query) -> list[Change]:
        check_workflow(query, asked.workflow)
        only = "" if asked.workflow is None else " WHERE change.workflow_id = :workflow"
        given = {} if asked.workflow is None else {"workflow": asked.workflow}
        most = limit if limit and not selectors else 2**31 - 1
        rows = query(f"{_ENTRIES}{only} ORDER BY change.change_id DESC LIMIT :most", most=most, **given)
        return [_change(row) for row in rows]

    selected = select(selectors, [_selectable(change) for change in read(asked.db, ask)])
    found: list[Change] = [row["change"] for row in selected][: limit or None]
    rows = [list(change.as_row().values()) for change in found]
    shown = Table(list(found[0].as_row()), rows, ("change",)) if found else "No change was made yet."
    texts = [text for change in found for text in _texts(change)] if full else []
    entries = [{name: value for name, value in entry_of(change).items() if name not in _EFFECT} for change in found]
    return Answer({"changes": entries}, shown, *texts)


def entry_of(change: Change) -> dict[str, Any]:
    """A change as JSON has it, its time as in the file."""
    return {**change.to_dict(), "changed_at": f"{change.changed_at:%Y-%m-%dT%H:%M:%S.%fZ}"}


def _change(row: dict[str, Any]) -> Change:
    return Change(
        **{name: row[name] for name in _PLAIN},
        kind=ChangeKind(row["kind"]),
        changed_at=datetime.fromisoformat(row["changed_at"].replace("Z", "+00:00")),
        by=row["person"],
        before=row["said_before"],
        after=row["said_after"],
        undone=row["last_deed"] == ChangeKind.UNDO,
    )


def _selectable(change: Change) -> dict[str, Any]:
    status = "undone" if change.undone else "made"
    names = {"task_name": change.task_name or "", "workflow_id": change.workflow_id or ""}
    return {**names, "status": status, "change": change}


def _texts(change: Change) -> list[str]:
    said = (("before", change.before), ("after", change.after))
    return [f"\nchange {change.change_id}, {when}:\n{printable(text)}" for when, text in said if text is not None]
