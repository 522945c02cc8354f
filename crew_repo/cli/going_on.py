"""Runs that go on, in any process or on any host: the tasks that they execute, and how long that may still take.

A run that waits for what another executes writes down which run that is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from crew_repo.cli.printing import error_of, moment, whole
from crew_repo.store.current import current_runs, is_alive

if TYPE_CHECKING:
    from crew_repo.store.current import Query

__all__ = ["GoingOn", "began", "ended", "executing", "going_on", "named", "run_so_far", "waiting"]

Row = dict[str, Any]
Costs = Mapping[tuple[str, str], float]

_LEASES = """SELECT lease.fence, lease.workflow_id, lease.run_id, lease.task_name, lease.position, lease.owner,
                    lease.acquired_at AS started_at, lease_over.fence AS is_over
               FROM lease LEFT JOIN lease_over ON lease_over.fence = lease.fence
              ORDER BY lease.fence"""
_NAMES = "SELECT run_id, task_names FROM run_entry WHERE status = 'running'"
_COSTS = """SELECT task_name, duration_seconds FROM record
             WHERE origin = 'model' AND record_id IN
                   (SELECT MAX(record_id) FROM record WHERE workflow_id = :workflow GROUP BY task_name)"""
_RECENT = 5000  # records, as a plan looks at
_COSTS_ELSEWHERE = f"""SELECT crew_name, task_name, duration_seconds FROM record
             WHERE origin = 'model' AND record_id > (SELECT MAX(record_id) FROM record) - {_RECENT}
             ORDER BY record_id"""  # noqa: S608 - a number of ours


class GoingOn(NamedTuple):
    """Runs that go on, oldest first; the tasks that are being executed; the tasks that wait for those of other runs."""

    runs: list[Row]
    executing: list[Row]
    waiting: list[Row]


def going_on(query: Query, workflow_id: str | None = None) -> GoingOn:
    """Runs and tasks that go on, of one workflow or of all, with the seconds that the tasks took before."""
    found = reversed(current_runs(query, workflow_id=workflow_id, going_on=True))
    runs = [run for run in found if run["status"] == "running"]
    held = [lease for lease in query(_LEASES) if _is_held(lease)]
    leases = [lease for lease in held if workflow_id in (None, lease["workflow_id"])]
    names = {row["run_id"]: _listed(row["task_names"]) for row in query(_NAMES)} if runs else {}
    costs = _costs(query, runs, leases) if leases else {}
    for lease in leases:
        lease["seconds_before"] = costs.get((lease["workflow_id"], lease["task_name"]))
    for run in runs:
        doing = [lease["task_name"] for lease in leases if lease["run_id"] == run["run_id"]]
        run["ahead"] = [costs.get((run["workflow_id"], name)) for name in _after(names.get(run["run_id"], []), doing)]
    return GoingOn(runs, leases, [task for run in runs for task in _waiting(run, held)])


def _is_held(lease: Row) -> bool:
    """Whether its process executes the task: known on its host, by time elsewhere."""
    alive = is_alive(lease["owner"])
    return lease["is_over"] is None if alive is None else alive


def _listed(names: str | None) -> list[str]:
    try:
        found = json.loads(names or "[]")
    except ValueError:
        return []
    return [str(name) for name in found] if isinstance(found, list) else []


def _after(names: Sequence[str], doing: Sequence[str]) -> Sequence[str]:
    """The tasks of a crew after the last one that is being executed."""
    return names[1 + max((names.index(name) for name in doing if name in names), default=len(names)) :]


def _costs(query: Query, runs: Sequence[Row], leases: Sequence[Row]) -> Costs:
    """The seconds that each task took when it was executed last, in its workflow, else of that crew's in others."""
    workflows = {row["workflow_id"] for row in (*runs, *leases)}
    crews = {run["workflow_id"]: run["crew_name"] for run in runs}
    costs: dict[tuple[str, str], float] = {}
    for row in query(_COSTS_ELSEWHERE):
        costs |= {(workflow, row["task_name"]): row["duration_seconds"]
                  for workflow, crew in crews.items() if crew == row["crew_name"]}  # fmt: skip
    for workflow in workflows:
        costs |= {(workflow, row["task_name"]): row["duration_seconds"] for row in query(_COSTS, workflow=workflow)}
    return costs


def _waiting(run: Row, leases: Sequence[Row]) -> list[Row]:
    """The tasks of a run that wait for others, with the lease that these hold."""
    executing = {lease["run_id"]: lease for lease in leases}
    return [{"run_id": run["run_id"], "workflow_id": run["workflow_id"], "task_name": name, "held_by": str(other),
             "lease": executing.get(other)} for name, other in run["waits_for"].items()]  # fmt: skip


# Sentences; whoever prints them takes out what a terminal would obey.


def began(run: Row) -> str:
    """The sentence that a run began: when, and in which process of which host."""
    process = f"process {run['pid']} on {run['host']}"
    return f"{_named(run)} began at {moment(run['started_at'])} in {process}"


def ended(run: Row) -> str:
    """The sentence that a run ended: how, when, what it did, and what that cost."""
    when = f" at {moment(run['finished_at'])}" if run["finished_at"] else ""
    error = f"; {error_of(run)}" if run["error_type"] else ""
    status = "was interrupted" if run["status"] == "interrupted" else run["status"]
    failed = f", {run['failed']} failed" if run["failed"] else ""
    done = f"{run['executed']} executed, {run['reused']} reused{failed}"
    tokens = f"{whole(run['tokens_spent'])} tokens spent, {whole(run['tokens_saved'])} saved"
    return f"{_named(run)} {status}{when}: {done}; {tokens}{error}"


def run_so_far(run: Row, doing: Sequence[Row]) -> str:
    """The sentence on a run that goes on: since when, where, what it has spent, and how long it may still take."""
    tasks = [_seconds_left(task) for task in doing if task["run_id"] == run["run_id"]]
    all_known = [each for each in (*tasks, *run["ahead"]) if each is not None]
    known = bool(tasks) and len(all_known) == len(tasks) + len(run["ahead"])
    left = f"; {'up to' if run['ahead'] else 'about'} {whole(round(sum(all_known)))} s left" if known else ""
    return f"{began(run)}; {whole(run['tokens_spent'])} tokens spent on finished tasks{left}"


def executing(task: Row, *, elapsed: bool) -> str:
    """The sentence on a task that is being executed: since when, by whom, and how long it may still take."""
    since = f"since {moment(task['started_at'])}"
    so_far = _seconds_since(task["started_at"])
    for_seconds = f", for {whole(round(so_far))} s" if elapsed and so_far is not None else ""
    left = _seconds_left(task)
    about = "" if left is None else f"; about {whole(round(left))} s left"
    by = f"by run {task['run_id']} {_process_of(task)}"
    return f"{named(task)} is being executed {since}{for_seconds} {by}{about}"


def waiting(row: Row) -> str:
    """The sentence on a task that waits for the run that executes it."""
    lease = row["lease"]
    where = "" if lease is None else f" {_process_of(lease)}, since {moment(lease['started_at'])}"
    return f"{named(row)} of run {row['run_id']} waits for run {row['held_by']}{where}"


def _process_of(lease: Row) -> str:
    return "in process " + " on ".join(reversed(lease["owner"].split(":")[:2]))


def named(task: Row) -> str:
    """The words for a task, with its workflow."""
    return f"{task['workflow_id']}: {task['task_name']}"


def _named(run: Row) -> str:
    return f"run {run['run_id']} of {run['workflow_id']}"


def _seconds_left(task: Row) -> float | None:
    """Seconds, by how long it took before; None if that is unknown, or it takes longer this time."""
    so_far = _seconds_since(task["started_at"])
    if so_far is None or task["seconds_before"] is None or so_far > task["seconds_before"]:
        return None
    return float(task["seconds_before"] - so_far)


def _seconds_since(text: str) -> float | None:
    """Seconds by the clock of this host; None for a damaged time."""
    try:
        since = datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=timezone.utc)
    except (AttributeError, ValueError):
        return None
    return max(0.0, (datetime.now(timezone.utc) - since).total_seconds())
