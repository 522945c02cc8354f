"""The commands by which people correct answers: each is one entry, which `changes` lists and `undo` takes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from crew_repo.cli.acting import crew_and_inputs, of_a_crew
from crew_repo.cli.changes import entry_of
from crew_repo.cli.inputs import given_text
from crew_repo.cli.options import (
    Asked,
    by_a_person,
    common,
    complete_changes,
    complete_tasks,
    dry_run,
    of_a_workflow,
)
from crew_repo.cli.printing import Answer, on_a_line
from crew_repo.cli.reader import read
from crew_repo.cli.reading import check_task
from crew_repo.cli.upkeep import repository
from crew_repo.errors import InputError
from crew_repo.store.current import check_workflow

if TYPE_CHECKING:
    from crew_repo.model import Change
    from crew_repo.repository import StateRepository
    from crew_repo.store.current import Query

__all__ = ["adopt_command", "mark_complete_command", "override_command", "redo_command", "undo_command"]

_STDIN = ("-", "@-")
_task = click.argument("task", shell_complete=complete_tasks)
_change = click.argument("change", type=int, metavar="CHANGE", shell_complete=complete_changes)
_output = click.option(
    "--output", required=True, metavar="TEXT",
    help="The answer; @FILE for the text of a file, - for standard input. A typed one as JSON.",
)  # fmt: skip


def _correcting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what all of these commands have."""
    return by_a_person(dry_run(command))


@click.command("override")
@_task
@_output
@click.option("--instead-of", type=int, metavar="RECORD",
              help="The record that you looked at: another answer that came since is not replaced.")
@_correcting
@of_a_workflow("the only one that has the task")
@common
@click.pass_obj
def override_command(
    asked: Asked, task: str, output: str, instead_of: int | None, by: str | None, reason: str | None, dry_run: bool
) -> Answer:  # fmt: skip
    """Give a person's answer in place of the one that a task has.

    It is served as long as the task is asked exactly the same. The tasks that read it run if its text has changed.
    """
    workflow_id, text = _workflow_of(asked, task), given_text(output)
    with repository(asked) as repo:
        change = repo.override(task, text, workflow_id=workflow_id, by=by, reason=reason, instead_of=instead_of,
                               dry_run=dry_run)  # fmt: skip
    return _told(change, dry_run)


def _workflow_of(asked: Asked, task: str) -> str | None:
    """The workflow of the one task that is meant; None where no answer of it is shown."""

    def ask(query: Query) -> list[str]:
        check_workflow(query, asked.workflow)
        check_task(query, task, asked.workflow)
        rows = query("SELECT workflow_id FROM task_state WHERE task_name = :task", task=task)
        return [row["workflow_id"] for row in rows if asked.workflow in (None, row["workflow_id"])]

    found = sorted(read(asked.db, ask))
    if len(found) > 1:
        listed = ", ".join(map(repr, found[:5])) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        raise InputError(f"Task {task!r} is in {len(found)} workflows; name one with --workflow: {listed}")
    return found[0] if found else asked.workflow


@click.command("mark-complete")
@_task
@of_a_crew
@_output
@_correcting
@of_a_workflow("the crew's name")
@common
@click.pass_obj
def mark_complete_command(
    asked: Asked, task: str, project: str | None, pairs: tuple[str, ...], file: str | None, output: str,
    by: str | None, reason: str | None, dry_run: bool,
) -> Answer:  # fmt: skip
    """Give a person's answer to a task that failed or never ran.

    It is bound to what this crew asks the task with these inputs, and served for nothing else. PROJECT: as in plan.
    """
    if output in _STDIN and file == "-":
        raise InputError("--output and --inputs cannot both be standard input; name a file for one of them")
    text = given_text(output)
    return _of_a_crew(
        asked, project, pairs, file, dry_run,
        lambda repo, options: repo.mark_complete(task, text, by=by, reason=reason, **options),
    )  # fmt: skip


@click.command("adopt", short_help="Take over a person's answer that no longer applies.")
@_task
@of_a_crew
@_correcting
@of_a_workflow("the crew's name")
@common
@click.pass_obj
def adopt_command(
    asked: Asked, task: str, project: str | None, pairs: tuple[str, ...], file: str | None, by: str | None,
    reason: str | None, dry_run: bool,
) -> Answer:  # fmt: skip
    """Take over a person's answer that no longer applies, and that plan shows beside a task.

    It is given to what this crew asks the task with these inputs. PROJECT: as in plan.
    """
    return _of_a_crew(
        asked, project, pairs, file, dry_run,
        lambda repo, options: repo.adopt(task, by=by, reason=reason, **options),
    )  # fmt: skip


def _of_a_crew(
    asked: Asked, project: str | None, pairs: tuple[str, ...], file: str | None, dry_run: bool,
    give: Callable[[StateRepository, dict[str, Any]], Change],
) -> Answer:  # fmt: skip
    from crew_repo.cli.off_stdout import off_stdout

    with off_stdout():
        crew, inputs = crew_and_inputs(project, pairs, file)
        options = {"crew": crew, "inputs": inputs, "workflow_id": asked.workflow, "dry_run": dry_run}
        with repository(asked, new=True) as repo:
            return _told(give(repo, options), dry_run)


@click.command("undo")
@_change
@_correcting
@common
@click.pass_obj
def undo_command(asked: Asked, change: int, by: str | None, reason: str | None, dry_run: bool) -> Answer:
    """Take a change back: what was in force before is again.

    CHANGE: its number, as changes lists it.
    """
    with repository(asked) as repo:
        return _told(repo.undo(change, by=by, reason=reason, dry_run=dry_run), dry_run)


@click.command("redo")
@_change
@_correcting
@common
@click.pass_obj
def redo_command(asked: Asked, change: int, by: str | None, reason: str | None, dry_run: bool) -> Answer:
    """Make a change again that was undone.

    CHANGE: its number, as changes lists it.
    """
    with repository(asked) as repo:
        return _told(repo.redo(change, by=by, reason=reason, dry_run=dry_run), dry_run)


def _told(change: Change, dry_run: bool) -> Answer:
    """The entry, and below it why, what was and is said, and what runs by it."""
    head, *rest = change.lines()
    if not (change.would_run or change.may_run):
        rest.append("no task runs by it")
    said = "\n".join([on_a_line(head), *(f"  {on_a_line(line)}" for line in rest)])
    return Answer({"change": entry_of(change), "dry_run": dry_run}, said)
