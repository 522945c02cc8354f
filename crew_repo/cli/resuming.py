"""The command that goes on with what has failed, or was interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from crew_repo.cli.acting import CrewFailed, answer_of_plan, answer_of_run, run_crew
from crew_repo.cli.inputs import given_inputs
from crew_repo.cli.options import Asked, common, complete_workflows, with_prices
from crew_repo.cli.printing import Answer, Table, whole
from crew_repo.cli.reader import read
from crew_repo.cli.upkeep import repository
from crew_repo.errors import CrewRepoError, InputError
from crew_repo.store.current import check_workflow, current_runs

if TYPE_CHECKING:
    from crew_repo import StateRepository
    from crew_repo.store.current import Query

__all__ = ["resume_command"]


@click.command("resume", short_help="Go on with the last run of a workflow.")
@click.argument("workflow", required=False, shell_complete=complete_workflows)
@click.option("--failed", is_flag=True, help="Go on with every workflow whose last run failed or was interrupted.")
@click.option("--project", metavar="PROJECT", help="The project of the crew. Default: as the run itself tells.")
@click.option("-i", "--input", "pairs", multiple=True, metavar="KEY=VALUE",
              help="An input to be given anew: one that is no longer the same, or is a secret; KEY=@FILE for a text.")
@click.option("--inputs", "file", metavar="FILE", help="A JSON object of such inputs; - for standard input.")
@click.option("--dry-run", is_flag=True, help="Only plan.")
@with_prices
@common
@click.pass_obj
def resume_command(
    asked: Asked, workflow: str | None, failed: bool, project: str | None, pairs: tuple[str, ...], file: str | None,
    dry_run: bool,
) -> Answer:  # fmt: skip
    """Go on with the last run of a workflow: with its crew and its inputs; what had finished is reused.

    WORKFLOW: such as a claim number. Default: that of the last run.
    """
    from crew_repo.cli.off_stdout import off_stdout

    if failed and workflow is not None:
        raise InputError("Give a WORKFLOW, or --failed for all that failed or were interrupted")
    workflows = _workflows(asked, workflow, failed)
    if failed and not workflows:
        return Answer({"runs": []}, "No workflow's last run failed or was interrupted.")
    with off_stdout():
        options: dict[str, Any] = {"inputs": given_inputs(pairs, file)}
        if project is not None:
            from crew_repo.runner.projects import load_project

            options["crew"] = load_project(project)[0]
        with repository(asked) as repo:
            if failed:
                return _all(repo, workflows, options, dry_run)
            (which,) = workflows
            if dry_run:
                return answer_of_plan(repo.resume(which, dry_run=True, **options))
            return answer_of_run(*run_crew(repo, lambda: repo.resume(which, **options)))


def _workflows(asked: Asked, workflow: str | None, failed: bool) -> list[str]:
    """The workflows to go on with: all whose last run failed, or the one, by default that of the last run."""

    def ask(query: Query) -> list[str]:
        check_workflow(query, workflow)
        runs = current_runs(query, workflow_id=workflow, limit=None if failed else 1)
        last = {run["workflow_id"]: run["status"] for run in reversed(runs)}
        return [name for name, status in last.items() if not failed or status in ("failed", "interrupted")]

    found = read(asked.db, ask)
    if not found and not failed:
        raise InputError("No run is recorded yet, so there is none to go on with; crew-repo run makes one")
    return found


def _all(repo: StateRepository, workflows: list[str], options: dict[str, Any], dry_run: bool) -> Answer:
    """One row for each workflow. An error of one is told in its row, and the others go on."""
    rows = [_one(repo, workflow, options, dry_run) for workflow in workflows]
    columns = ("workflow", "status", "executed", "reused", "tokens", "error")
    table = Table(columns, [(
        row["workflow_id"], row["status"], whole(row["executed"]), whole(row["reused"]), whole(row["tokens"]),
        row["error"] or "",
    ) for row in rows], ("executed", "reused", "tokens"))  # fmt: skip
    would_run = dry_run and any(row["executed"] for row in rows)
    code = 3 if any(row["error"] for row in rows) else int(would_run)
    return Answer({"runs": rows, "dry_run": dry_run}, table, exit_code=code)


def _one(repo: StateRepository, workflow: str, options: dict[str, Any], dry_run: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"workflow_id": workflow, "run_id": None, "executed": None, "reused": None, "tokens": None}
    try:
        if dry_run:
            plan = repo.resume(workflow, dry_run=True, **options)
            return {**told, "status": "planned", "executed": len(plan) - len(plan.fresh), "reused": len(plan.fresh),
                    "tokens": plan.tokens_to_spend, "error": None}  # fmt: skip
        _, run = run_crew(repo, lambda: repo.resume(workflow, **options))
    except CrewFailed as error:
        return {**told, "status": "failed", "error": str(error)}
    except CrewRepoError as error:
        return {**told, "status": "not run", "error": str(error)}
    return {**told, "run_id": run.run_id, "status": str(run.status), "executed": len(run.executed),
            "reused": len(run.reused), "tokens": run.tokens_spent, "error": None}  # fmt: skip
