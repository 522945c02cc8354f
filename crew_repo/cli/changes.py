"""The changes that people made, read without a database library, and the JSON of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from crew_repo.cli.options import Asked, common, complete_tasks, of_a_workflow
from crew_repo.cli.printing import Answer, Table, printable
from crew_repo.cli.reader import read
from crew_repo.cli.selecting import select
from crew_repo.store.current import check_workflow
from crew_repo.store.plain_models import changes_of

if TYPE_CHECKING:
    from crew_repo.model import Change
    from crew_repo.store.current import Query

__all__ = ["changes_command", "entry_of"]

_EFFECT = ("would_run", "may_run", "tokens")


@click.command("changes", short_help="List what people changed, newest first.")
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...", shell_complete=complete_tasks)
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many; 0 for all.")
@click.option("--full", is_flag=True, help="Print the texts whole, before and after.")
@of_a_workflow()
@common
@click.pass_obj
def changes_command(asked: Asked, selectors: tuple[str, ...], limit: int, full: bool) -> Answer:
    """List what people changed, newest first: who, when, why, before and after.

    SELECTOR: a task by name or pattern, workflow:CLM-2025-*, status:undone, status:made.
    """

    def ask(query: Query) -> list[Change]:
        check_workflow(query, asked.workflow)
        most = limit if limit and not selectors else 2**31 - 1
        return changes_of(query, asked.workflow, most)

    selected = select(selectors, [_selectable(change) for change in read(asked.db, ask)], noun="changed task")
    found: list[Change] = [row["change"] for row in selected][: limit or None]
    rows = [list(change.as_row().values()) for change in found]
    shown = Table(list(found[0].as_row()), rows, ("change",)) if found else "No change was made yet."
    texts = [text for change in found for text in _texts(change)] if full else []
    entries = [{name: value for name, value in entry_of(change).items() if name not in _EFFECT} for change in found]
    return Answer({"changes": entries}, shown, *texts)


def entry_of(change: Change) -> dict[str, Any]:
    """A change as JSON has it, its time as in the file."""
    return {**change.to_dict(), "changed_at": f"{change.changed_at:%Y-%m-%dT%H:%M:%S.%fZ}"}


def _selectable(change: Change) -> dict[str, Any]:
    status = "undone" if change.undone else "made"
    names = {"task_name": change.task_name or "", "workflow_id": change.workflow_id or ""}
    return {**names, "status": status, "change": change}


def _texts(change: Change) -> list[str]:
    said = (("before", change.before), ("after", change.after))
    return [f"\nchange {change.change_id}, {when}:\n{printable(text)}" for when, text in said if text is not None]
