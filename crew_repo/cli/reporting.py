"""The command that writes a report: it reads as the other commands do, and imports neither crewai nor sqlmodel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crew_repo.cli.costs import prices_of
from crew_repo.cli.options import Asked, common, complete_runs, dry_run, of_a_workflow, with_prices
from crew_repo.cli.printing import Answer, counted
from crew_repo.cli.reader import path_of, read
from crew_repo.cli.reading import the_run
from crew_repo.export_files import write_private
from crew_repo.report import Page, Selection, check_file, moment_of, page_of
from crew_repo.settings import resolve_url

if TYPE_CHECKING:
    from crew_repo.store.current import Query

__all__ = ["report_command"]


@click.command("report", short_help="Write one HTML page for people.")
@click.argument("page", required=False, default="crew_report.html", metavar="[FILE]")
@click.option("--run", metavar="RUN", shell_complete=complete_runs, help="Only that run: its ID, or its beginning.")
@click.option("--since", metavar="TIME", help="Only runs that began then or later: 2025-03-14, 2025-03-14T09:30 (UTC).")
@click.option("--until", metavar="TIME", help="Only runs that began before.")
@click.option("--without-outputs", is_flag=True,
              help="Leave out what was asked and answered, and all that may quote it.")
@with_prices
@dry_run
@of_a_workflow()
@common
@click.pass_obj
def report_command(
    asked: Asked, page: str, run: str | None, since: str | None, until: str | None, without_outputs: bool, dry_run: bool
) -> Answer:  # fmt: skip
    """Write one HTML page for people: what was saved, where each task stands, what was asked and answered.

    FILE: only you can read it; an older report is written over. Default: crew_report.html. It runs no script and asks
    no network. Of many workflows the newest are shown in full.
    """
    url, prices, file = resolve_url(asked.db), prices_of(asked), Path(page).expanduser()
    state = path_of(url)
    title = url.partition("?")[0].rpartition("/")[2] if state is None else state.name
    times = moment_of("--since", since), moment_of("--until", until)

    def ask(query: Query) -> Page:
        run_id = None if run is None else the_run(query, run, asked.workflow)["run_id"]
        selection = Selection(workflow_id=asked.workflow, run_id=run_id, since=times[0], until=times[1],
                              texts=not without_outputs)  # fmt: skip
        return page_of(query, selection, prices, title)

    made = read(asked.db, ask)
    check_file(file, state)
    if not dry_run:
        write_private(file, made.html)
    size = len(made.html.encode())
    result = {"file": page, "bytes": size, "workflows": made.workflows, "in_full": made.in_full, "runs": made.runs,
              "dry_run": dry_run}  # fmt: skip
    newest = f" (the newest {made.in_full} in full)" if made.in_full < made.workflows else ""
    runs, workflows = counted(made.runs, "run"), counted(made.workflows, "workflow")
    what = f"{runs} of {workflows}{newest}, {max(1, size // 1000):,} KB"
    return Answer(result, f"{'would write' if dry_run else 'wrote'} {page}: {what}")
