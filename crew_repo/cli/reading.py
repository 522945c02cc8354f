"""The commands that only read: they import neither crewai nor, for a SQLite file, a database library."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from crew_repo.cli.current import (
    beginning,
    check_workflow,
    current_runs,
    current_tasks,
    did_you_mean,
    status_of,
)
from crew_repo.cli.options import Asked, common, complete_runs, complete_tasks, of_a_workflow
from crew_repo.cli.printing import Answer, Table, moment, printable, seconds, whole
from crew_repo.cli.reader import read
from crew_repo.cli.selecting import Reads, select
from crew_repo.errors import UnknownRunError, UnknownTaskError

if TYPE_CHECKING:
    from crew_repo.cli.reader import Query

__all__ = ["history_command", "runs_command", "selected_tasks", "show_command", "status_command", "stored_reads",
           "the_run"]  # fmt: skip

Row = dict[str, Any]


@click.command("status")
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...", shell_complete=complete_tasks)
@of_a_workflow
@common
@click.pass_obj
def status_command(asked: Asked, selectors: tuple[str, ...]) -> Answer:
    """Show where each task stands, and what it said.

    SELECTOR: a name or pattern, a+ (and what reads it), +a (and what it reads), status:failed, workflow:CLM-2025-*;
    a,b selects what both do.

    Exit code 1 if a selected task failed, was interrupted, or is invalidated: the next run executes it.
    """
    return status_of(selected_tasks(asked, selectors))


def selected_tasks(asked: Asked, selectors: tuple[str, ...]) -> list[Row]:
    """The tasks of the state that the selectors select."""

    def ask(query: Query) -> list[Row]:
        check_workflow(query, asked.workflow)
        tasks = current_tasks(query, asked.workflow)
        reads = stored_reads(query) if any("+" in selector for selector in selectors) else {}
        return [dict(row) for row in select(selectors, tasks, reads)]

    return read(asked.db, ask)


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
@of_a_workflow
@common
@click.pass_obj
def runs_command(asked: Asked, selectors: tuple[str, ...], limit: int) -> Answer:
    """List the runs, newest first.

    SELECTOR: status:failed, workflow:CLM-2025-*, the ID of a run or a pattern.
    """

    def ask(query: Query) -> list[Row]:
        check_workflow(query, asked.workflow)
        return current_runs(query, workflow_id=asked.workflow, limit=None if selectors or not limit else limit)

    found = [dict(row) for row in select(selectors, read(asked.db, ask))][: limit or None]
    columns = ("run", "workflow", "status", "started (UTC)", "executed", "reused", "tokens", "saved", "error")
    rows = [(
        run["run_id"], run["workflow_id"], run["status"], moment(run["started_at"]), str(run["executed"]),
        str(run["reused"]), whole(run["tokens_spent"]), whole(run["tokens_saved"]), beginning(_error(run)),
    ) for run in found]  # fmt: skip
    shown = Table(columns, rows, ("executed", "reused", "tokens", "saved")) if found else "No run is recorded yet."
    return Answer({"runs": found}, shown)


def _error(row: Row) -> str:
    return f"{row['error_type']}: {row['error_message'] or ''}" if row["error_type"] else ""


@click.command("show")
@click.argument("run", required=False, shell_complete=complete_runs)
@click.option("--select", "selectors", multiple=True, metavar="SELECTOR",
              help="Only these tasks; also reason:input:notes.")
@click.option("--full", is_flag=True, help="Print outputs, and tracebacks, whole.")
@of_a_workflow
@common
@click.pass_obj
def show_command(asked: Asked, run: str | None, selectors: tuple[str, ...], full: bool) -> Answer:
    """Show one run: what it did with each task, why, and what that cost.

    RUN: the ID of a run, or its beginning. Default: the newest one, of --workflow if that is given.
    """

    def ask(query: Query) -> tuple[Row, list[Row]]:
        found = the_run(query, run, asked.workflow)
        return found, _tasks_of(query, found["run_id"], found["workflow_id"])

    found, tasks = read(asked.db, ask)
    chosen = [dict(row) for row in select(selectors, [{**task, "workflow_id": found["workflow_id"]} for task in tasks])]
    head = (
        f"run {found['run_id']} of {found['workflow_id']}: {found['status']}; {whole(found['tokens_spent'])} tokens "
        f"spent, {whole(found['tokens_saved'])} saved"
    )
    rows = [(
        task["task_name"], task["status"], whole(task["total_tokens"]), whole(task["tokens_saved"]),
        seconds(task["duration_seconds"]), beginning(_error(task)) or "; ".join(task["causes"]),
    ) for task in chosen]  # fmt: skip
    table = Table(("task", "outcome", "tokens", "saved", "seconds", "why"), rows, ("tokens", "saved", "seconds"))
    texts = [_in_full(task["task_name"], task["error_traceback"] or task["output"]) for task in chosen] if full else []
    return Answer({"run": {**found, "tasks": chosen}}, head, *([table] if rows else []), *texts)


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
    runs = query("SELECT run_id, workflow_id FROM run_entry ORDER BY number DESC")
    known = [each["run_id"] for each in runs if workflow_id in (None, each["workflow_id"])]
    found = [each for each in known if each == given] or [each for each in known if each.startswith(given)]
    if len(found) > 1:
        raise UnknownRunError(f"{len(found)} runs begin with {given!r}, {found[0]} among them; give more of the ID")
    if not found:
        raise UnknownRunError(f"There is no run {given!r}. {did_you_mean(given, known, 'runs')}")
    return current_runs(query, run_id=found[0])[0]


_NOTE = (
    "task_name", "position", "status", "input_hash", "record_id", "started_at", "finished_at", "duration_seconds",
    "total_tokens", "prompt_tokens", "completion_tokens", "cached_prompt_tokens", "tokens_saved", "seconds_saved",
    "error_type", "error_message", "error_traceback", "reasons",
)  # fmt: skip


def _tasks_of(query: Query, run_id: str, workflow_id: str) -> list[Row]:
    """Notes of what a run did with its tasks, and those that it is at, or was when its process died."""
    select_notes = f"""SELECT {', '.join(f'task_run.{name}' for name in _NOTE)}, record.output
                         FROM task_run LEFT JOIN record ON record.record_id = task_run.record_id
                        WHERE task_run.run_id = :run AND task_run.position >= 0"""  # noqa: S608 - names of ours
    noted = query(select_notes, run=run_id)
    for task in noted:
        task["reasons"] = _parsed(task["reasons"])
        task["causes"] = _causes(task)
    going_on = [
        {**dict.fromkeys((*_NOTE, "output")), "reasons": [], "causes": [], **{name: task[name] for name in
         ("task_name", "position", "status", "started_at", "input_hash")}}
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
    "duration_seconds", "total_tokens", "prompt_tokens", "completion_tokens", "cached_prompt_tokens", "model", "agent",
    "input_hash", "output_hash", "output", "pydantic_json", "json_dict",
)  # fmt: skip


@click.command("history")
@click.argument("task", shell_complete=complete_tasks)
@click.option("--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many; 0 for all.")
@click.option("--full", is_flag=True, help="Print the outputs whole.")
@of_a_workflow
@common
@click.pass_obj
def history_command(asked: Asked, task: str, limit: int, full: bool) -> Answer:
    """Show every answer of a task, newest first, also those that are no longer served."""

    def ask(query: Query) -> list[Row]:
        check_workflow(query, asked.workflow)
        _check_task(query, task, asked.workflow)
        only = "" if asked.workflow is None else " AND workflow_id = :workflow"
        found = f"""SELECT {', '.join(_RECORD)} FROM record WHERE task_name = :task{only}
                     ORDER BY record_id DESC LIMIT :most"""  # noqa: S608 - names of ours
        given = {} if asked.workflow is None else {"workflow": asked.workflow}
        return query(found, task=task, most=limit or 2**31 - 1, **given)

    found = read(asked.db, ask)
    columns = ("record", "workflow", "finished (UTC)", "state", "by", "tokens", "seconds", "said")
    rows = [(
        str(row["record_id"]), row["workflow_id"], moment(row["completed_at"]), row["retired"] or "may be served",
        row["model"] or row["origin"], whole(row["total_tokens"]), seconds(row["duration_seconds"]),
        beginning(row["output"]),
    ) for row in found]  # fmt: skip
    shown = Table(columns, rows, ("record", "tokens", "seconds")) if rows else f"Nothing is recorded of {task!r} yet."
    texts = [_in_full(f"record {row['record_id']}", row["output"]) for row in found] if full else []
    return Answer({"records": found}, shown, *texts)


def _check_task(query: Query, name: str, workflow_id: str | None) -> None:
    """Raise UnknownTaskError for a task that the state does not know."""
    only = "" if workflow_id is None else " WHERE workflow_id = :workflow"
    given = {} if workflow_id is None else {"workflow": workflow_id}
    select_names = f"SELECT task_name FROM record{only} UNION SELECT task_name FROM task_run{only}"  # noqa: S608
    known = [row["task_name"] for row in query(select_names, **given)]
    if name not in known:
        raise UnknownTaskError(f"There is no task {name!r}. {did_you_mean(name, known, 'tasks')}")


