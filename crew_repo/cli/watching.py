"""Watching a state: what goes on is redrawn on a terminal, and elsewhere each change is a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from crew_repo.cli.current import beginning, status_of
from crew_repo.cli.going_on import GoingOn, began, ended, executing, going_on, named, run_so_far, waiting
from crew_repo.cli.printing import Answer, live, moment, on_a_line, say, seconds, whole
from crew_repo.cli.reader import read_again
from crew_repo.errors import InputError
from crew_repo.store.current import check_workflow, current_runs, current_tasks

if TYPE_CHECKING:
    from crew_repo.cli.options import Asked
    from crew_repo.store.current import Query

__all__ = ["follow_runs", "watch_status"]

Row = dict[str, Any]
Choose = Callable[["Query", list[Row]], list[Row]]


def follow_runs(asked: Asked, interval_seconds: float) -> None:
    """Print a line when a run begins, and when it ends, until whoever reads has had enough."""
    followed = _Followed(asked.workflow)
    for found in read_again(asked.db, followed.look, interval_seconds):
        if found is not None:
            begun, over = followed.told(*found)
            _say(line for _, line in sorted([*begun, *over]))


def watch_status(asked: Asked, choose: Choose | None, interval_seconds: float) -> Answer:
    """Show what goes on until nothing does any more; then the answer is that of `status`.

    `choose` selects tasks, of which each is shown to the end, whatever becomes of it; then only their workflows count.
    """
    watch = _Watch(asked.workflow, choose)
    with nullcontext(None) if asked.json else live() as draw:
        for found in read_again(asked.db, watch.look, interval_seconds):
            lines = watch.told(*found) if found is not None else []
            if draw is None and not asked.json:
                _say(lines)
            if not watch.goes_on:
                break
            if draw is not None:
                draw(watch.picture())
    return status_of(watch.tasks)


def _say(lines: Iterable[str]) -> None:
    if not all(say(on_a_line(line)) for line in lines):
        raise click.exceptions.Exit(0)


class _Followed:
    """The runs of one workflow or of all, as far as they have been told."""

    def __init__(self, workflow_id: str | None) -> None:
        self._workflow_id = workflow_id
        self._newest: int | None = None
        self._going: set[str] = set()

    def look(self, query: Query) -> tuple[int, list[Row]]:
        """The number of the newest run of all, and the runs that go on, are new, or went on before."""
        check_workflow(query, self._workflow_id)
        newest = next((row["number"] for row in query("SELECT MAX(number) AS number FROM run_entry")), None) or 0
        found = current_runs(query, workflow_id=self._workflow_id, going_on=True)
        if self._newest is not None and newest > self._newest:
            found += current_runs(query, workflow_id=self._workflow_id, after=self._newest)
        for run_id in sorted(self._going - {run["run_id"] for run in found}):
            found += current_runs(query, run_id=run_id)
        return newest, list({run["run_id"]: run for run in found}.values())

    def told(self, newest: int, runs: Sequence[Row]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Sentences, with their times, on the runs that have begun, and on those that have ended."""
        running = {run["run_id"] for run in runs if run["status"] == "running"}
        since = newest if self._newest is None else self._newest
        new = [run for run in runs if run["run_id"] not in self._going
               and (run["run_id"] in running or run["number"] > since)]  # fmt: skip
        known = self._going | {run["run_id"] for run in new}
        over = [run for run in runs if run["run_id"] in known - running]
        self._newest, self._going = newest, running
        begun = [(run["started_at"], began(run)) for run in new]
        return begun, [(run["finished_at"] or "~", ended(run)) for run in over]


class _Watch:
    """The tasks that were chosen, and what goes on with them."""

    def __init__(self, workflow_id: str | None, choose: Choose | None) -> None:
        self._workflow_id, self._choose = workflow_id, choose
        self._followed = _Followed(workflow_id)
        self._chosen: set[tuple[str, str]] = set()
        self._marks: Mapping[tuple[str, str], object] | None = None
        self._told: set[object] = set()
        self.tasks: list[Row] = []
        self._now = GoingOn([], [], [])

    @property
    def goes_on(self) -> bool:
        """Whether any run goes on, or any task is being executed."""
        return bool(self._now.runs or self._now.executing)

    def look(self, query: Query) -> tuple[list[Row], GoingOn, tuple[int, list[Row]]]:
        """The tasks that are or were chosen, what goes on, and the runs."""
        runs = self._followed.look(query)
        tasks, now = current_tasks(query, self._workflow_id), going_on(query, self._workflow_id)
        if self._choose is None:
            return tasks, now, runs
        chosen = self._chosen | self._chosen_of(self._choose, query, tasks)
        workflows = {workflow_id for workflow_id, _ in chosen}
        kept = [[row for row in rows if row["workflow_id"] in workflows] for rows in (*now, runs[1])]
        return [task for task in tasks if _key(task) in chosen], GoingOn(*kept[:3]), (runs[0], kept[3])

    def _chosen_of(self, choose: Choose, query: Query, tasks: list[Row]) -> set[tuple[str, str]]:
        """The tasks that are selected now; only at first it is an error if there is none."""
        try:
            return {_key(task) for task in choose(query, tasks)}
        except InputError:
            if not self._chosen:
                raise
            return set()

    def told(self, tasks: list[Row], now: GoingOn, runs: tuple[int, list[Row]]) -> list[str]:
        """Sentences on what has changed since the last time."""
        begun, over = self._followed.told(*runs)
        before, self._marks = self._marks, {_key(task): _mark(task) for task in tasks}
        changed = [] if before is None else [task for task in tasks if before.get(_key(task)) != _mark(task)]
        self.tasks, self._now = tasks, now
        self._chosen |= set(self._marks)
        return [
            *(line for _, line in sorted(begun)),
            *(_became(task) for task in changed if task["status"] != "running"),
            *(executing(task, elapsed=False) for task in self._new(now.executing, "fence")),
            *(waiting(row) for row in self._new(now.waiting, "run_id", "held_by", "task_name")),
            *(line for _, line in sorted(over)),
        ]

    def _new(self, rows: Sequence[Row], *members: str) -> list[Row]:
        """The rows that were not there before."""
        keys = [tuple(row[member] for member in members) for row in rows]
        new = [row for row, key in zip(rows, keys, strict=True) if key not in self._told]
        self._told |= set(keys)
        return new

    def picture(self) -> list[Any]:
        """The blocks to draw: runs with what they execute, then the tasks."""
        lines = [
            *(run_so_far(run, self._now.executing) for run in self._now.runs),
            *(executing(task, elapsed=True) for task in self._now.executing),
            *map(waiting, self._now.waiting),
        ]
        return ["\n".join(map(on_a_line, lines)), *status_of(self.tasks).blocks]


def _key(task: Row) -> tuple[str, str]:
    return task["workflow_id"], task["task_name"]


def _mark(task: Row) -> object:
    """A value that differs when the state of a task does: not when a run has served the same answer again."""
    return task["status"], task["record_id"], None if task["status"] == "completed" else task["run_id"]


def _became(task: Row) -> str:
    """The sentence on what has become of a task."""
    if task["status"] == "completed":
        cost = f"{whole(task['total_tokens'])} tokens, {seconds(task['duration_seconds'])} s"
        return f"{named(task)} completed at {moment(task['completed_at'])}; {cost}: {beginning(task['output'])}"
    error = f": {beginning(task['error'])}" if task["error"] else ""
    return f"{named(task)} {task['status']}{error}"
