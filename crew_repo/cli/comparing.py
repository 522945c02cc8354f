"""The command that compares two runs. It reads plain rows, from which it makes what the store would make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from crew_repo.cli.costs import prices_of
from crew_repo.cli.options import Asked, common, complete_runs, of_a_workflow, with_prices
from crew_repo.cli.printing import Answer, Table, printable
from crew_repo.cli.reader import read
from crew_repo.cli.reading import stored_reads, the_run
from crew_repo.cli.selecting import Reads, select
from crew_repo.compare import compare, compared_records
from crew_repo.errors import UnknownRunError
from crew_repo.model import Diff, RunRecord, TaskDiff
from crew_repo.pricing import priced_run
from crew_repo.store.current import current_runs
from crew_repo.store.plain_models import records_by_number, run_with_tasks

if TYPE_CHECKING:
    from crew_repo.pricing import Prices
    from crew_repo.store.current import Query

__all__ = ["diff_command"]

Row = dict[str, Any]
_NUMBERS = ("tokens", "saved", "seconds")


@click.command("diff")
@click.argument("run_a", required=False, shell_complete=complete_runs)
@click.argument("run_b", required=False, shell_complete=complete_runs)
@click.option("--select", "selectors", multiple=True, metavar="SELECTOR",
              help="Only these tasks: a name or pattern, a+, +a, status:executed, reason:input:notes.")
@click.option("--full", is_flag=True, help="Print inputs, parts of tasks and answers whole.")
@with_prices
@of_a_workflow()
@common
@click.pass_obj
def diff_command(
    asked: Asked, run_a: str | None, run_b: str | None, selectors: tuple[str, ...], full: bool
) -> Answer:
    """Show how two runs differ: inputs, tasks, answers, tokens.

    RUN_A, RUN_B: IDs of runs, or their beginnings. With one run: that one and the one before it in its workflow.
    Default: the last two, of --workflow if that is given.

    Exit code 1 if they differ. That an answer was reused, and what it cost, is no difference.
    """

    prices = prices_of(asked)

    def ask(query: Query) -> tuple[Diff, Reads]:
        before, after = _two_runs(query, [run for run in (run_a, run_b) if run is not None], asked.workflow, prices)
        reads = stored_reads(query) if any("+" in selector for selector in selectors) else {}
        return compare(before, after, records_by_number(query, compared_records(before, after))), reads

    found, reads = read(asked.db, ask)
    tasks = [row["task"] for row in select(selectors, [_row(found, task) for task in found.tasks], reads)]
    differ = any(task.changed for task in tasks) if selectors else found.changed
    result = {**found.to_dict(), "tasks": [task.to_dict() for task in tasks]}
    shown = Diff(found.before, found.after, found.inputs, tuple(tasks))
    blocks = (printable(shown.details()),) if full else _blocks(shown)
    return Answer({"diff": result}, *blocks, exit_code=int(differ), notes=found.notes)


def _row(diff: Diff, task: TaskDiff) -> Row:
    """A task as selectors know it: by what the later run did with it, and by all reasons."""
    side = task.after or task.before
    reasons = [*task.parts, *(() if task.after is None else task.after.did.reasons)]
    return {
        "task": task,
        "task_name": task.task_name,
        "workflow_id": diff.after.workflow_id,
        "position": 0 if side is None else side.did.position,
        "status": "" if task.after is None else str(task.after.did.outcome),
        "reasons": [reason.to_dict() for reason in reasons],
    }


def _blocks(diff: Diff) -> list[str | Table]:
    rows = [task.as_row() for task in diff.tasks]
    table = [Table(list(rows[0]), [list(row.values()) for row in rows], _NUMBERS)] if rows else []
    return [printable("\n".join([diff.head, *map(str, diff.inputs)])), *table,
            printable("\n".join([*diff.answers, diff.summary]))]  # fmt: skip


def _two_runs(
    query: Query, given: list[str], workflow_id: str | None, prices: Prices | None
) -> tuple[RunRecord, RunRecord]:
    """The runs of these IDs; the one before it for one; the last two without any."""
    rows = [the_run(query, each, workflow_id) for each in given] or [the_run(query, None, workflow_id)]
    if len(rows) < 2:
        rows = [_run_before(query, rows[0]), *rows]
    before, after = (priced_run(run_with_tasks(query, row), prices) for row in rows)
    return before, after


def _run_before(query: Query, run: Row) -> Row:
    earlier = query(
        "SELECT run_id FROM run_entry WHERE workflow_id = :workflow AND number < :number ORDER BY number DESC LIMIT 1",
        workflow=run["workflow_id"], number=run["number"],
    )  # fmt: skip
    if not earlier:
        raise UnknownRunError(
            f"Workflow {run['workflow_id']!r} has no run before {run['run_id']}; name two runs, as `crew-repo runs` "
            "lists them"
        )
    return current_runs(query, run_id=earlier[0]["run_id"])[0]
