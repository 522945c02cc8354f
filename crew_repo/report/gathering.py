"""Reading what a report shows, all of one moment: of every run its sums, of the newest workflows everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crew_repo.errors import UnknownRunError, did_you_mean
from crew_repo.model import Change, Record, RunRecord
from crew_repo.pricing import Prices, priced_run
from crew_repo.report.selection import Selection
from crew_repo.store.current import check_workflow, current_runs, current_tasks
from crew_repo.store.from_rows import plain_row
from crew_repo.store.plain_models import RECORDS, changes_of, records_by_number, records_in, run_with_tasks

if TYPE_CHECKING:
    from crew_repo.store.current import Query, Row

__all__ = ["Gathered", "Kept", "gathered"]

IN_FULL = 24
"""The newest workflows, of which everything is read."""
_RUNS_IN_FULL = 8  # of each
_ANSWERS = 6  # of each task
_CHANGES = 60
_DONE = (
    "run_id", "task_name", "status", "record_id", "total_tokens", "tokens_saved", "duration_seconds", "seconds_saved",
    "model", "usage_by_model",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """One workflow. `tasks` are rows of `task_state`. What follows is empty unless it is shown in full.

    `older_runs`: how many runs there are that `runs` leaves out. `history`: the answers of each task, the newest first.
    `elsewhere`: the newest answers to the same tasks of the same crew, for what they read.
    """

    workflow_id: str
    run_rows: list[Row]
    tasks: list[Row]
    runs: list[RunRecord] = field(default_factory=list)
    records: dict[int, Record] = field(default_factory=dict)
    history: dict[str, list[Record]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    elsewhere: dict[str, Record] = field(default_factory=dict)

    @property
    def older_runs(self) -> int:
        """How many runs `runs` leaves out."""
        shown = {run.run_id for run in self.runs}
        return sum(row["run_id"] not in shown for row in self.run_rows)


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that a report is made from. `done`: a row for each task of each run; `spent`: the usage of records."""

    workflows: list[Kept]
    runs: list[Row]
    done: list[Row]
    spent: dict[int, Row]


def gathered(query: Query, selection: Selection, prices: Prices | None) -> Gathered:
    """Read what is selected, the newest workflow first.

    Raises InputError for an unknown workflow, UnknownRunError for an unknown run.
    """
    check_workflow(query, selection.workflow_id)
    runs = _runs(query, selection)
    tasks: dict[str, list[Row]] = {}
    for row in map(plain_row, current_tasks(query, selection.workflow_id)):
        tasks.setdefault(row["workflow_id"], []).append(row)
    by_workflow: dict[str, list[Row]] = {}
    for run in runs:
        by_workflow.setdefault(run["workflow_id"], []).append(run)
    names = list(by_workflow) + ([name for name in tasks if name not in by_workflow] if selection.is_all else [])
    kept = [Kept(name, by_workflow.get(name, []), tasks.get(name, [])) for name in names]
    whole = [_in_full(query, each, selection, prices) for each in kept[:IN_FULL]]
    done = _done(query, {run["run_id"] for run in runs})
    return Gathered([*whole, *kept[IN_FULL:]], runs, done, _spent(query, done) if prices else {})


def _runs(query: Query, selection: Selection) -> list[Row]:
    found = [plain_row(row) for row in current_runs(query, workflow_id=selection.workflow_id)]
    chosen = [row for row in found if selection.has(row["run_id"], row["started_at"])]
    if selection.run_id is not None and not any(row["run_id"] == selection.run_id for row in found):
        known = [row["run_id"] for row in found]
        raise UnknownRunError(f"There is no run {selection.run_id!r}. {did_you_mean(selection.run_id, known, 'runs')}")
    return chosen


def _done(query: Query, run_ids: set[str]) -> list[Row]:
    found = query(f"SELECT {', '.join(_DONE)} FROM task_run ORDER BY task_run_id")  # noqa: S608 - names of ours
    return [plain_row(row) for row in found if row["run_id"] in run_ids]


def _spent(query: Query, done: Sequence[Row]) -> dict[int, Row]:
    """The usage of the answers that were reused, by record."""
    wanted = {row["record_id"] for row in done if row["status"] == "reused"}
    found = query("SELECT record_id, total_tokens, usage_by_model FROM record")
    return {row["record_id"]: row for row in found if row["record_id"] in wanted}


def _in_full(query: Query, kept: Kept, selection: Selection, prices: Prices | None) -> Kept:
    """The workflow with everything: its newest runs, and those that its tasks were last done in."""
    shown = kept.run_rows[:_RUNS_IN_FULL]
    runs = [priced_run(run_with_tasks(query, row), prices) for row in shown]
    there = {run.run_id for run in runs}
    others = {task["run_id"] for task in kept.tasks if selection.is_all} - there
    for run_id in sorted(others, reverse=True):
        runs += [priced_run(run_with_tasks(query, row), prices) for row in current_runs(query, run_id=run_id)]
    history = _history(query, kept.workflow_id)
    records = {record.record_id: record for answers in history.values() for record in answers}
    wanted = {did.record_id for run in runs for did in run.tasks} | {task["record_id"] for task in kept.tasks}
    records.update(records_by_number(query, {number for number in wanted if number is not None} - set(records)))
    return Kept(kept.workflow_id, kept.run_rows, kept.tasks, runs, records, history,
                changes_of(query, kept.workflow_id, _CHANGES), _elsewhere(query, kept, history))  # fmt: skip


def _history(query: Query, workflow_id: str) -> dict[str, list[Record]]:
    """The newest answers of each task of a workflow."""
    numbers: dict[str, list[int]] = {}
    for row in query("SELECT record_id, task_name FROM record WHERE workflow_id = :workflow ORDER BY record_id DESC",
                     workflow=workflow_id):  # fmt: skip
        numbers.setdefault(row["task_name"], []).append(row["record_id"])
    wanted = {number for found in numbers.values() for number in found[:_ANSWERS]}
    records = records_by_number(query, wanted)
    return {name: [records[number] for number in found[:_ANSWERS] if number in records]
            for name, found in numbers.items()}  # fmt: skip


def _elsewhere(query: Query, kept: Kept, history: dict[str, list[Record]]) -> dict[str, Record]:
    """Answers of other workflows to those tasks of the crew that have none here."""
    lacking = [task for task in kept.tasks if task["task_name"] not in history]
    return {task["task_name"]: record for task in lacking for record in _newest_of(query, task)}


def _newest_of(query: Query, task: Row) -> Iterator[Record]:
    rows: list[dict[str, Any]] = query(
        f"{RECORDS} WHERE crew_name = :crew AND task_name = :task ORDER BY record_id DESC LIMIT 1",
        crew=task["crew_name"], task=task["task_name"],
    )  # fmt: skip
    yield from records_in(query, rows).values()
