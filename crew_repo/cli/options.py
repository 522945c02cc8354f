"""The options that all commands have, or many, and the completion of names from the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from crew_repo.cli.reader import read
from crew_repo.errors import CrewRepoError

__all__ = [
    "Asked",
    "by_a_person",
    "common",
    "complete_changes",
    "complete_runs",
    "complete_tasks",
    "complete_workflows",
    "dry_run",
    "of_a_workflow",
    "with_prices",
]


class Asked:
    """The values of the options that all commands have."""

    def __init__(self) -> None:
        self.db: str | None = None
        self.workflow: str | None = None
        self.prices: str | None = None
        self.json = False
        self.debug = False


def _completed(select: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """The values that a SELECT finds and that begin so; none where the state cannot be read."""

    def complete(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
        asked = context.find_root().ensure_object(Asked)
        try:
            found = read(asked.db, lambda query: query(select))
        except CrewRepoError:
            return []
        return [row["name"] for row in found if row["name"].startswith(begun)]

    return complete


complete_tasks = _completed("SELECT DISTINCT task_name AS name FROM task_run WHERE position >= 0")
complete_runs = _completed("SELECT run_id AS name FROM run_entry ORDER BY number DESC")
complete_changes = _completed("SELECT CAST(change_id AS text) AS name FROM change ORDER BY change_id DESC")
complete_workflows = _completed("SELECT workflow_id AS name FROM run UNION SELECT workflow_id FROM record")


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Note an option, before or after the command's name; the later one counts."""
    asked = context.find_root().ensure_object(Asked)
    if value is not None and value is not False:
        setattr(asked, str(parameter.name), value)


_COMMON = (
    click.option("--debug", is_flag=True, expose_value=False, callback=_keep, help="Show the traceback of an error."),
    click.option("--json", is_flag=True, expose_value=False, callback=_keep,
                 help="Print one JSON value, also for errors."),
    click.option("--db", metavar="TARGET", expose_value=False, callback=_keep,
                 help="The state: a path or URL. Default: $CREW_REPO_URL, else crew_state.db here."),
)  # fmt: skip


def of_a_workflow(default: str = "all of them") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the option that names a workflow; `default` says which one is meant without it."""
    return click.option(
        "--workflow", metavar="ID", expose_value=False, callback=_keep, shell_complete=complete_workflows,
        help=f"The workflow, such as a claim number. Default: {default}.",
    )  # fmt: skip


dry_run = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
with_prices = click.option(
    "--prices", metavar="FILE", expose_value=False, callback=_keep,
    help="A JSON file of prices, for costs: {\"gpt-4o\": {\"input\": 2.5, \"output\": 10}}, for a million tokens. "
         "Default: $CREW_REPO_PRICES; without it there are no costs.",
)  # fmt: skip


def by_a_person(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add who does it, and why, for the entry that `changes` lists."""
    command = click.option("--reason", metavar="TEXT", help="Why, in a sentence.")(command)
    return click.option("--by", metavar="NAME", help="Who does it. Default: who is logged in.")(command)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that all commands have."""
    for option in _COMMON:
        command = option(command)
    return command
