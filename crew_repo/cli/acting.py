"""The commands about a crew: what would run, and running it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from crew_repo.cli.options import Asked, common, of_a_workflow, with_prices
from crew_repo.cli.printing import Answer, Table, printable, seconds, whole
from crew_repo.cli.reader import path_of, read
from crew_repo.cli.selecting import Reads, select
from crew_repo.errors import CrewRepoError
from crew_repo.settings import resolve_url

if TYPE_CHECKING:
    from crew_repo import Plan, RunRecord, StateRepository

__all__ = [
    "CrewFailed",
    "answer_of_plan",
    "answer_of_run",
    "crew_and_inputs",
    "of_a_crew",
    "plan_command",
    "run_command",
    "run_crew",
]


class CrewFailed(CrewRepoError):
    """An exception of the crew, and the run that it ended."""


def of_a_crew(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what names a crew and its inputs."""
    for add in (
        click.option("--inputs", "file", metavar="FILE", help="A JSON object of inputs; - for standard input."),
        click.option("-i", "--input", "pairs", multiple=True, metavar="KEY=VALUE",
                     help="An input; KEY=@FILE for the text of a file. It goes before --inputs and the project's own."),
        click.argument("project", required=False),
    ):  # fmt: skip
        command = add(command)
    return command


_forces = click.option(
    "--force", multiple=True, metavar="SELECTOR", help="Tasks to execute whatever is stored; '*' for all."
)


@click.command("plan")
@of_a_crew
@_forces
@click.option("--select", "selectors", multiple=True, metavar="SELECTOR",
              help="Show only these tasks: a name or pattern, a+, +a, status:stale, reason:input:notes.")
@click.option("--full", is_flag=True, help="Print all reasons, with what was and what is.")
@click.option("--markdown", is_flag=True, help="Print a table and a graph (Mermaid) for a pull request.")
@with_prices
@of_a_workflow("the crew's name")
@common
@click.pass_obj
def plan_command(
    asked: Asked, project: str | None, pairs: tuple[str, ...], file: str | None, force: tuple[str, ...],
    selectors: tuple[str, ...], full: bool, markdown: bool,
) -> Answer:  # fmt: skip
    """Say what a run would execute, and why. Calls no model and writes nothing.

    PROJECT: a folder, a crew.jsonc, or package.module:attribute. Default: the project in this folder, as `crewai run`
    finds it.

    Exit code 1 if anything would run, or may.
    """
    from crew_repo.cli.off_stdout import off_stdout

    if markdown and (asked.json or full or selectors):
        raise click.UsageError("--markdown prints the whole plan; leave --json, --full and --select away.")
    with off_stdout():
        crew, inputs = crew_and_inputs(project, pairs, file)
        with _repository(asked) as repo:
            plan, notes = _planned(asked, repo, crew, inputs, force), _about_the_state(asked)
            if markdown:
                return Answer({}, plan.to_markdown().rstrip(), exit_code=_exit_code(plan), notes=notes)
            return answer_of_plan(plan, selectors, full, _stored_reads(asked, selectors), notes)


@click.command("run", short_help="Run a crew: execute only what is stale or missing.")
@of_a_crew
@_forces
@click.option("--dry-run", is_flag=True, help="Only plan.")
@with_prices
@of_a_workflow("the crew's name")
@common
@click.pass_obj
def run_command(
    asked: Asked, project: str | None, pairs: tuple[str, ...], file: str | None, force: tuple[str, ...], dry_run: bool
) -> Answer:
    """Run a crew: execute the tasks that are stale or missing, and reuse the others.

    PROJECT: a folder, a crew.jsonc, or package.module:attribute. Default: the project in this folder, as `crewai run`
    finds it. Its answer is printed on standard output, all else on standard error.
    """
    from crew_repo.cli.off_stdout import off_stdout
    from crew_repo.runner.projects import source_of

    with off_stdout():
        crew, inputs = crew_and_inputs(project, pairs, file)
        with _repository(asked) as repo:
            if dry_run:
                return answer_of_plan(_planned(asked, repo, crew, inputs, force), notes=_about_the_state(asked))
            forced, source = _forced(asked, repo, crew, inputs, force), source_of(project)
            return answer_of_run(*run_crew(
                repo, lambda: repo.run(crew, inputs, workflow_id=asked.workflow, force=forced, source=source)
            ))  # fmt: skip


def run_crew(repo: StateRepository, run: Callable[[], Any]) -> tuple[Any, RunRecord]:
    """Run a crew, and read its stream; what it gives, and its record. Raises CrewFailed for an error of the crew's."""
    from crew_repo.adapter.projects import read_whole

    try:
        result = read_whole(run())
    except CrewRepoError:
        raise
    except Exception as error:
        newest = repo.runs(limit=1)
        which = f"run {newest[0].run_id} kept what had finished, and the same command goes on from there"
        raise CrewFailed(f"{type(error).__name__}: {error}. {which if newest else ''}") from error
    return result, getattr(result, "run", None) or repo.runs(limit=1)[0]


def answer_of_run(result: Any, run: RunRecord) -> Answer:
    """The answer of a crew, and what its run did."""
    from crew_repo.adapter.projects import raw_text
    from crew_repo.model import cost_members

    names = {kind: list(getattr(run, kind)) for kind in ("executed", "reused", "skipped", "failed")}
    figures = {"tokens_spent": run.tokens_spent, "tokens_saved": run.tokens_saved, "seconds_saved": run.seconds_saved}
    told = {"run_id": run.run_id, "workflow_id": run.workflow_id, "status": str(run.status), **names, **figures,
            **cost_members(cost=run.cost)}  # fmt: skip
    output = raw_text(result)
    return Answer({"run": told, "output": output}, printable(output), notes=[str(run)])


def crew_and_inputs(project: str | None, pairs: tuple[str, ...], file: str | None) -> tuple[Any, dict[str, Any]]:
    """The crew, and its inputs: the project's own, those of the file, those of the pairs."""
    from crew_repo.cli.inputs import check_names, given_inputs
    from crew_repo.runner.projects import load_project

    given = given_inputs(pairs, file)
    crew, defaults = load_project(project)
    from crew_repo.adapter.projects import wanted_inputs

    check_names(given, wanted_inputs(crew), defaults)
    return crew, {**defaults, **given}


def _repository(asked: Asked) -> StateRepository:
    from crew_repo import StateRepository

    return StateRepository(asked.db, prices=asked.prices)


def _planned(asked: Asked, repo: StateRepository, crew: Any, inputs: dict[str, Any], force: tuple[str, ...]) -> Plan:
    return repo.plan(crew, inputs, workflow_id=asked.workflow, force=_forced(asked, repo, crew, inputs, force))


def _forced(
    asked: Asked, repo: StateRepository, crew: Any, inputs: dict[str, Any], force: tuple[str, ...]
) -> list[str]:
    """The names of the tasks that are to be executed anyway."""
    if not force:
        return []
    rows = _rows(repo.plan(crew, inputs, workflow_id=asked.workflow))
    return [row["task_name"] for row in select(force, rows, _stored_reads(asked, force))]


def _stored_reads(asked: Asked, selectors: tuple[str, ...]) -> Reads:
    """Edges that are stored; none without a state, or where no selector follows them."""
    from crew_repo.cli.reading import stored_reads

    path = path_of(resolve_url(asked.db))
    if not any("+" in selector for selector in selectors) or (path is not None and not path.exists()):
        return {}
    return read(asked.db, stored_reads)


def _about_the_state(asked: Asked) -> list[str]:
    """A note if nothing was ever recorded where it is looked for: the path may be misspelt."""
    path = path_of(resolve_url(asked.db))
    return [] if path is None or path.exists() else [f"{path} is not there yet; the first run makes it"]


def _rows(plan: Plan) -> list[dict[str, Any]]:
    return [{**decision.to_dict(), "workflow_id": plan.workflow_id, "causes": decision.causes} for decision in plan]


def answer_of_plan(
    plan: Plan, selectors: tuple[str, ...] = (), full: bool = False, reads: Reads | None = None,
    notes: Sequence[str] = (),
) -> Answer:  # fmt: skip
    """The decisions of a plan, with exit code 1 if anything would run, or may."""
    rows = [dict(row) for row in select(selectors, _rows(plan), reads)]
    priced = plan.currency is not None
    table = Table(("task", "status", "tokens", "seconds", *["cost"] * priced, "why"), [
        (row["task_name"], row["status"], whole(row["tokens"]), seconds(row["seconds"]),
         *[plan[row["task_name"]].cost_text] * priced, "; ".join(row["causes"]))
        for row in rows
    ], ("tokens", "seconds", "cost"))  # fmt: skip
    result = {**plan.to_dict(), "decisions": rows, "all_fresh": plan.all_fresh}
    exit_code = int(any(row["status"] != "fresh" for row in rows)) if selectors else _exit_code(plan)
    blocks = (printable(plan.details()),) if full else (table, plan.estimate)
    return Answer({"plan": result}, *blocks, exit_code=exit_code, notes=[*notes, *plan.notes])


def _exit_code(plan: Plan) -> int:
    return 0 if plan.all_fresh else 1
