"""The commands that only read: they import neither crewai nor, for a SQLite file, a database library."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from crew_repo.cli.costs import by_model, prices_of, run_costs, task_cost
from crew_repo.cli.current import beginning, by_person, resumes, status_of
from crew_repo.cli.options import Asked, common, complete_runs, complete_tasks, of_a_workflow, with_prices
from crew_repo.cli.printing import Answer, Table, error_of, moment, printable, seconds, whole
from crew_repo.cli.reader import read
from crew_repo.cli.selecting import Reads, select
from crew_repo.errors import InputError, UnknownRunError, UnknownTaskError, did_you_mean
from crew_repo.store.current import check_workflow, current_runs, current_tasks

if TYPE_CHECKING:
    from crew_repo.model import Cost
    from crew_repo.pricing import Prices
    from crew_repo.store.current import Query

__all__ = [
    "check_task",
    "history_command",
    "runs_command",
    "selected_tasks",
    "show_command",
    "status_command",
    "stored_reads",
    "the_run",
]

Row = dict[str, Any]
_interval = click.option("--interval", type=click.FloatRange(0.05, 3600), default=1.0, show_default=True,
                         metavar="SECONDS", help="How often to look for changes.")  # fmt: skip


@click.command("status")
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...", shell_complete=complete_tasks)
@click.option("--watch", is_flag=True, help="Show what goes on, as it changes, until nothing does any more.")
@_interval
@of_a_workflow()
@common
@click.pass_obj
def status_command(asked: Asked, selectors: tuple[str, ...], watch: bool, interval: float) -> Answer:
    """Show where each task stands, and what it said.

    SELECTOR: a name or pattern, a+ (and what reads it), +a (and what it reads), status:failed, workflow:CLM-2025-*;
    a,b selects what both do.

    Exit code 1 if a selected task failed, was interrupted, or is invalidated: the next run executes it.

    --watch: of runs in any process or on any host; a line for each change where there is no terminal. With --json only
    the last state is printed.
    """
    if watch:
        from crew_repo.cli.watching import watch_status

        return watch_status(asked, partial(_selected, selectors) if selectors else None, interval)
    return status_of(selected_tasks(asked, selectors))


def selected_tasks(asked: Asked, selectors: tuple[str, ...]) -> list[Row]:
    """The tasks of the state that the selectors select."""

    def ask(query: Query) -> list[Row]:
        check_workflow(query, asked.workflow)
        return _selected(selectors, query, current_tasks(query, asked.workflow))

    return read(asked.db, ask)


def _selected(selectors: tuple[str, ...], query: Query, tasks: list[Row]) -> list[Row]:
    reads = stored_reads(query) if any("+" in selector for selector in selectors) else {}
    return [dict(row) for row in select(selectors, tasks, reads)]


def stored_reads(query: Query) -> Reads:
    """The tasks that each task read when it was recorded last, by workflow and name."""
    records = query("""SELECT workflow_id, task_name, components, explanations FROM record
                        WHERE record_id IN (SELECT MAX(record_id) FROM record GROUP BY workflow_id, task_name)""")
    wanted = {(row["workflow_id"], row["task_name"]): _hash_of_reads(row) for row in records}
    lists = query("SELECT sha256, body FROM \"text\" WHERE body LIKE '[%' OR body = '\"*\"'")
    texts = {row["sha256"]: row["body"] for row in lists}
    return {task: json.loads(texts[sha256]) for task, sha256 in wanted.items() if sha256 in texts}


def _hash_of_reads(record: Row) -> str | None:
    for column in ("explanations", "components"):
        try:
            found = json.loads(record[column]).get("task.reads")
        except (AttributeError, TypeError, ValueError):  # damaged: verify says so
            continue
        if found:
            return str(found)
    return None


@click.command("runs")
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...")
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many; 0 for all.")
@click.option("--follow", is_flag=True, help="Print a line when a run begins, and when it ends, until Ctrl-C.")
@_interval
@with_prices
@of_a_workflow()
@common
@click.pass_obj
def runs_command(
    asked: Asked, selectors: tuple[str, ...], limit: int, follow: bool, interval: float
) -> Answer | None:
    """List the runs, newest first.

    SELECTOR: status:failed, workflow:CLM-2025-*, the ID of a run or a pattern.
    """
    if follow:
        _follow(asked, selectors, interval)
        return None

    prices = prices_of(asked)

    def ask(query: Query) -> tuple[list[Row], dict[str, Cost]]:
        check_workflow(query, asked.workflow)
        runs = current_runs(query, workflow_id=asked.workflow, limit=None if selectors or not limit else limit)
        chosen = [dict(row) for row in select(selectors, runs, noun="run")][: limit or None]
        return chosen, run_costs(query, chosen, prices)

    found, costs = read(asked.db, ask)
    cost = [] if prices is None else ["cost"]
    columns = ("run", "workflow", "status", "started (UTC)", "executed", "reused", "tokens", "saved", *cost, "error")
    rows = [(
        run["run_id"], run["workflow_id"], run["status"], moment(run["started_at"]), str(run["executed"]),
        str(run["reused"]), whole(run["tokens_spent"]), whole(run["tokens_saved"]),
        *_cell(prices, costs.get(run["run_id"])), beginning(error_of(run)),
    ) for run in found]  # fmt: skip
    numbers = ("executed", "reused", "tokens", "saved", *cost)
    shown = Table(columns, rows, numbers) if found else "No run is recorded yet."
    return Answer({"runs": [_told(run, costs.get(run["run_id"])) for run in found]}, shown)


def _cell(prices: Prices | None, cost: Cost | None) -> list[str]:
    """The cell of the column of costs, which is there if there are prices."""
    return [] if prices is None else [str(cost or "")]


def _told(row: Row, cost: Cost | None) -> Row:
    """The row with its cost, if that is known."""
    return row if cost is None else {**row, "cost": cost.to_dict()}


def _follow(asked: Asked, selectors: tuple[str, ...], interval: float) -> None:
    from crew_repo.cli.watching import follow_runs

    if asked.json:
        raise InputError("With --json standard output is one JSON value, and --follow never ends; leave one out")
    if selectors:
        raise InputError("--follow takes no SELECTOR, since it shows runs to come; --workflow ID follows one workflow")
    follow_runs(asked, interval)


@click.command("show", short_help="Show one run: what it did with each task, and why.")
@click.argument("run", required=False, shell_complete=complete_runs)
@click.option("--select", "selectors", multiple=True, metavar="SELECTOR",
              help="Only these tasks; also reason:input:notes.")
@click.option("--full", is_flag=True, help="Print outputs, and tracebacks, whole.")
@with_prices
@of_a_workflow()
@common
@click.pass_obj
def show_command(asked: Asked, run: str | None, selectors: tuple[str, ...], full: bool) -> Answer:
    """Show one run: what it did with each task, why, and what that cost.

    RUN: the ID of a run, or its beginning. Default: the newest one, of --workflow if that is given.
    """

    prices = prices_of(asked)

    def ask(query: Query) -> tuple[Row, list[Row], Cost | None]:
        found = the_run(query, run, asked.workflow)
        cost = run_costs(query, [found], prices).get(found["run_id"])
        return found, _tasks_of(query, found["run_id"], found["workflow_id"]), cost

    found, tasks, cost = read(asked.db, ask)
    chosen = [dict(row) for row in select(selectors, [{**task, "workflow_id": found["workflow_id"]} for task in tasks])]
    head = (
        f"run {found['run_id']} of {found['workflow_id']}: {found['status']}; {whole(found['tokens_spent'])} tokens "
        f"spent{'' if cost is None else f' ({cost})'}, {whole(found['tokens_saved'])} saved"
    )
    costs = [task_cost(task, prices) for task in chosen]
    rows = [(
        task["task_name"], task["status"], whole(task["total_tokens"]), whole(task["tokens_saved"]),
        *_cell(prices, its_cost), seconds(task["duration_seconds"]),
        beginning(error_of(task)) or "; ".join(task["causes"]),
    ) for task, its_cost in zip(chosen, costs, strict=True)]  # fmt: skip
    numbers = ("tokens", "saved", *([] if prices is None else ["cost"]), "seconds")
    table = Table(("task", "outcome", *numbers, "why"), rows, numbers)
    told = [_told({**task, "usage_by_model": by_model(task["usage_by_model"])}, its_cost)
            for task, its_cost in zip(chosen, costs, strict=True)]  # fmt: skip
    texts = [_in_full(task["task_name"], task["error_traceback"] or task["output"]) for task in chosen] if full else []
    return Answer({"run": {**_told(found, cost), "tasks": told}}, head, *([table] if rows else []), *texts)


def _in_full(title: str, text: str | None) -> str:
    return f"\n{title}:\n{printable(text or '(nothing)')}"


def the_run(query: Query, given: str | None, workflow_id: str | None) -> Row:
    """The run of that ID, or the only one that begins so; the newest without any."""
    check_workflow(query, workflow_id)
    if given is None:
        newest = current_runs(query, workflow_id=workflow_id, limit=1)
        if not newest:
            raise UnknownRunError("No run is recorded yet; crew-repo run makes one")
        return newest[0]
    exactly = current_runs(query, workflow_id=workflow_id, run_id=given)
    if exactly:
        return exactly[0]
    runs = query("SELECT run_id, workflow_id FROM run_entry ORDER BY number DESC")
    known = [each["run_id"] for each in runs if workflow_id in (None, each["workflow_id"])]
    found = [each for each in known if each.startswith(given)]
    if len(found) > 1:
        raise UnknownRunError(f"{len(found)} runs begin with {given!r}, {found[0]} among them; give more of the ID")
    if not found:
        raise UnknownRunError(
            f"There is no run {given!r}{_named_otherwise(query, given) or '. ' + did_you_mean(given, known, 'runs')}"
        )
    return current_runs(query, run_id=found[0])[0]


def _named_otherwise(query: Query, name: str) -> str | None:
    """The end of the sentence where a workflow or a task has the name that was given for a run; None if neither has."""
    from shlex import quote

    if query("SELECT 1 FROM run_entry WHERE workflow_id = :name LIMIT 1", name=name):
        return f": that is a workflow, so give --workflow {quote(name)}."
    if query("SELECT 1 FROM task_run WHERE task_name = :name LIMIT 1", name=name):
        return f": that is a task, and crew-repo history {quote(name)} shows its answers."
    return None


_NOTE = (
    "task_name", "position", "status", "input_hash", "record_id", "started_at", "finished_at", "duration_seconds",
    "total_tokens", "prompt_tokens", "completion_tokens", "cached_prompt_tokens", "tokens_saved", "seconds_saved",
    "error_type", "error_message", "error_traceback", "reasons", "model", "usage_by_model",
)  # fmt: skip
_OF_ANSWER = ("output", "origin", "person")


def _tasks_of(query: Query, run_id: str, workflow_id: str) -> list[Row]:
    """Notes of what a run did with its tasks, and those that it is at, or was when its process died."""
    columns = [*(f"task_run.{name}" for name in _NOTE), *(f"record.{name}" for name in _OF_ANSWER)]
    select_notes = f"""SELECT {', '.join(columns)}
                         FROM task_run LEFT JOIN record ON record.record_id = task_run.record_id
                        WHERE task_run.run_id = :run AND task_run.position >= 0"""  # noqa: S608 - names of ours
    noted = query(select_notes, run=run_id)
    for task in noted:
        task["reasons"] = _parsed(task["reasons"])
        task["causes"] = _causes(task)
    going_on = [
        {**dict.fromkeys((*_NOTE, *_OF_ANSWER)), "reasons": [], "causes": [said] if (said := resumes(task)) else [],
         **{name: task[name] for name in ("task_name", "position", "status", "started_at", "input_hash")}}
        for task in current_tasks(query, workflow_id)
        if task["run_id"] == run_id and task["status"] in ("running", "interrupted")
        and all(task["position"] != other["position"] for other in noted)
    ]  # fmt: skip
    return sorted([*noted, *going_on], key=lambda task: int(task["position"]))


def _parsed(reasons: str) -> list[Row]:
    try:
        found = json.loads(reasons)
    except (TypeError, ValueError):
        return []
    return [reason for reason in found if isinstance(reason, dict)] if isinstance(found, list) else []


def _causes(task: Row) -> list[str]:
    """The reasons for people, each cause once."""
    from crew_repo.model import Decision, Reason, Status

    try:
        reasons = tuple(Reason.from_dict(reason) for reason in task["reasons"])
    except (KeyError, TypeError, ValueError):
        return ["reasons that cannot be read"]
    return Decision(task["task_name"], Status.STALE, reasons).causes


_RECORD = (
    "record_id", "workflow_id", "task_name", "run_id", "origin", "retired", "retired_at", "started_at", "completed_at",
    "duration_seconds", "total_tokens", "prompt_tokens", "completion_tokens", "cached_prompt_tokens", "model",
    "usage_by_model", "agent", "input_hash", "output_hash", "output", "pydantic_json", "json_dict", "person",
)  # fmt: skip


@click.command("history", short_help="Show every answer of a task, newest first.")
@click.argument("task", shell_complete=complete_tasks)
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many; 0 for all.")
@click.option("--full", is_flag=True, help="Print the outputs whole.")
@of_a_workflow()
@common
@click.pass_obj
def history_command(asked: Asked, task: str, limit: int, full: bool) -> Answer:
    """Show every answer of a task, newest first, also those that are no longer served."""

    def ask(query: Query) -> list[Row]:
        check_workflow(query, asked.workflow)
        check_task(query, task, asked.workflow)
        only = "" if asked.workflow is None else " AND workflow_id = :workflow"
        found = f"""SELECT {', '.join(_RECORD)} FROM record WHERE task_name = :task{only}
                     ORDER BY record_id DESC LIMIT :most"""  # noqa: S608 - names of ours
        given = {} if asked.workflow is None else {"workflow": asked.workflow}
        return query(found, task=task, most=limit or 2**31 - 1, **given)

    found = read(asked.db, ask)
    for row in found:
        row["usage_by_model"] = by_model(row["usage_by_model"])
    columns = ("record", "workflow", "finished (UTC)", "state", "by", "tokens", "seconds", "said")
    rows = [(
        str(row["record_id"]), row["workflow_id"], moment(row["completed_at"]), row["retired"] or "may be served",
        by_person(row) or row["model"] or row["origin"], whole(row["total_tokens"]), seconds(row["duration_seconds"]),
        beginning(row["output"]),
    ) for row in found]  # fmt: skip
    shown = Table(columns, rows, ("record", "tokens", "seconds")) if rows else f"Nothing is recorded of {task!r} yet."
    texts = [_in_full(f"record {row['record_id']}", row["output"]) for row in found] if full else []
    return Answer({"records": found}, shown, *texts)


def check_task(query: Query, name: str, workflow_id: str | None) -> None:
    """Raise UnknownTaskError for a task that the state does not know."""
    only = "" if workflow_id is None else " WHERE workflow_id = :workflow"
    given = {} if workflow_id is None else {"workflow": workflow_id}
    this = f"{only} AND" if only else " WHERE"
    if any(query(f"SELECT 1 FROM {table}{this} task_name = :task LIMIT 1", task=name, **given)  # noqa: S608
           for table in ("record", "task_run")):  # fmt: skip
        return
    select_names = f"SELECT task_name FROM record{only} UNION SELECT task_name FROM task_run{only}"  # noqa: S608
    known = [row["task_name"] for row in query(select_names, **given)]
    raise UnknownTaskError(f"There is no task {name!r}. {did_you_mean(name, known, 'tasks')}")


