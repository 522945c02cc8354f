"""Queries on a state by whoever has its rows: from the standard library's sqlite3, or from the store.

A query takes a SELECT, and `:name` for each value; it takes and gives texts as they were said (see `as_said`). Where
each task and run stands is told by the views, corrected by what is known on this host of their processes.
"""

from __future__ import annotations

from crew_repo.errors import InputError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Query = Callable[..., list[dict[str, Any]]]
    Row = dict[str, Any]

__all__ = [
    "among",
    "as_said",
    "check_workflow",
    "current_runs",
    "current_tasks",
    "is_alive",
    "workflow_with_all",
]

_AT_ONCE = 500  # values in one statement; older SQLite versions take 999
_TASK = (
    "workflow_id", "crew_name", "task_name", "position", "status", "in_crew", "output", "input_hash", "output_hash",
    "started_at", "completed_at", "duration_seconds", "total_tokens", "model", "error", "run_id", "record_id", "origin",
    "person",
)  # fmt: skip
_OF_ITS_RECORD = (
    "output", "output_hash", "completed_at", "duration_seconds", "total_tokens", "record_id", "model", "origin",
    "person",
)  # fmt: skip
_RUN = (
    "run_id", "workflow_id", "crew_name", "status", "started_at", "finished_at", "host", "pid", "executed", "reused",
    "failed", "tokens_spent", "tokens_saved", "seconds_saved", "error_type", "error_message", "error_traceback",
    "number", "waits_for",
)  # fmt: skip
_TASKS = f"SELECT {', '.join(_TASK)} FROM task_state WHERE position >= 0"  # noqa: S608 - -1 is the planner
_RUNS = f"""SELECT {', '.join(f'run.{name}' for name in _RUN)}, run.owner, run_entry.status AS written
              FROM run JOIN run_entry ON run_entry.run_id = run.run_id"""  # noqa: S608
_KEPT = """SELECT workflow_id, task_name, CAST(SUM(CASE kind WHEN 'model' THEN 1 ELSE 0 END) AS BIGINT) AS model_calls,
                  CAST(SUM(CASE kind WHEN 'model' THEN 0 ELSE 1 END) AS BIGINT) AS tool_calls,
                  CAST(SUM(CASE kind WHEN 'model' THEN total_tokens ELSE 0 END) AS BIGINT) AS total_tokens,
                  MAX(called_at) AS last_at
             FROM kept_call GROUP BY workflow_id, task_name"""
_WHICH_RUNS = {"workflow": "run.workflow_id = :workflow", "run": "run.run_id = :run", "after": "run.number > :after"}
_GOING_ON = "run_entry.status = 'running'"
_IN_WORKFLOW = [f"SELECT 1 FROM {table} WHERE workflow_id = :workflow LIMIT 1" for table in ("run_entry", "record")]  # noqa: S608


def as_said(query: Query) -> Query:
    """The query of a database, with texts as they were before they were written, both ways."""
    from crew_repo.store.stored_values import storable, text_read

    def asked(select: str, **values: Any) -> list[Row]:
        given = {name: storable(value) if isinstance(value, str) else value for name, value in values.items()}
        return [
            {name: text_read(value) if isinstance(value, (str, bytes)) else value for name, value in row.items()}
            for row in query(select, **given)
        ]

    return asked


def current_tasks(query: Query, workflow_id: str | None = None) -> list[Row]:
    """The rows of `task_state`, in order, but for the planner's."""
    only = "" if workflow_id is None else " AND workflow_id = :workflow"
    found = query(f"{_TASKS}{only} ORDER BY workflow_id, position, task_name", **_if(workflow=workflow_id))
    for task in found:
        task["in_crew"] = None if task["in_crew"] is None else bool(task["in_crew"])
    if any(task["status"] in ("running", "interrupted") for task in found):
        alive = {(lease["run_id"], lease["position"]): is_alive(lease["owner"])
                 for lease in query("SELECT run_id, position, owner FROM lease")}  # fmt: skip
        for task in found:
            _correct(task, alive.get((task["run_id"], task["position"])))
    _add_kept(query, [task for task in found if task["status"] in ("failed", "interrupted")])
    return found


def _add_kept(query: Query, unfinished: Sequence[Row]) -> None:
    """Add how much is kept inside of these tasks, as `resumes`, to those that would go on from it."""
    kept = query(_KEPT) if unfinished else []
    by_task = {(row.pop("workflow_id"), row.pop("task_name")): row for row in kept}
    for task in unfinished:
        if (found := by_task.get((task["workflow_id"], task["task_name"]))) is not None:
            task["resumes"] = found


def _correct(task: Row, alive: bool | None) -> None:
    """The view goes by time alone; on the host of the process it is known whether that is there."""
    if alive is True:
        task["status"] = "running"
    elif alive is False:
        task.update(dict.fromkeys(_OF_ITS_RECORD), status="interrupted")


def current_runs(
    query: Query, *, workflow_id: str | None = None, run_id: str | None = None, after: int | None = None,
    going_on: bool = False, limit: int | None = None,
) -> list[Row]:  # fmt: skip
    """The runs, newest first, without their tasks.

    `after`: only those with a greater number. `going_on`: only those that have not written how they ended.
    """
    given = _if(workflow=workflow_id, run=run_id, after=after, most=limit)
    where = [text for name, text in _WHICH_RUNS.items() if name in given] + [_GOING_ON] * going_on
    select = _RUNS + (f" WHERE {' AND '.join(where)}" if where else "") + " ORDER BY run.number DESC"
    found = query(select + (" LIMIT :most" if limit is not None else ""), **given)
    for run in found:
        owner, running = run.pop("owner"), run.pop("written") == "running"
        run["waits_for"] = _mapping(run["waits_for"])
        alive = is_alive(owner) if running else None
        if alive is not None:
            run["status"] = "running" if alive else "interrupted"
    return found


def _mapping(text: str | None) -> dict[str, str]:
    """The runs that a run waits for, by the names of its tasks; none where that cannot be read."""
    import json

    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return {str(name): str(run_id) for name, run_id in found.items()} if isinstance(found, dict) else {}


def among(query: Query, select_in: str, values: Sequence[Any]) -> list[Row]:
    """The rows of a SELECT that ends in IN, for these values."""
    found: list[Row] = []
    for start in range(0, len(values), _AT_ONCE):
        given = {f"v{at}": value for at, value in enumerate(values[start : start + _AT_ONCE])}
        found += query(f"{select_in} ({', '.join(f':{name}' for name in given)})", **given)
    return found


def check_workflow(query: Query, workflow_id: str | None) -> None:
    """Raise InputError for a workflow that the state does not know."""
    if workflow_id is None or any(query(select, workflow=workflow_id) for select in _IN_WORKFLOW):
        return
    known = [row["workflow_id"] for row in query("SELECT workflow_id FROM record UNION SELECT workflow_id FROM run")]
    raise InputError(f"There is no workflow {workflow_id!r}. {did_you_mean(workflow_id, known, 'workflows')}")


def workflow_with_all(query: Query, input_hashes: Sequence[str]) -> str | None:
    """The workflow with a record to serve for each of these, and of several the one with the newest."""
    given = {f"v{at}": value for at, value in enumerate(dict.fromkeys(input_hashes))}
    found = query(
        f"""SELECT workflow_id FROM record
             WHERE retired IS NULL AND input_hash IN ({', '.join(f':{name}' for name in given)})
             GROUP BY workflow_id HAVING COUNT(*) = :all_of_them ORDER BY MAX(record_id) DESC LIMIT 1""",  # noqa: S608
        all_of_them=len(given), **given,
    )  # fmt: skip
    return str(found[0]["workflow_id"]) if found else None


def is_alive(owner: str) -> bool | None:
    """Whether that process is there; None where it cannot be known from here."""
    from crew_repo.store.process_identity import is_alive

    return is_alive(owner)


def _if(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
