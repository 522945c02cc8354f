"""The runs of an export and their notes: those that are not here yet, and how those went on that were imported before.

A run that goes on here is left alone. One that has not ended here takes over its end, if it has ended there, and later
notes on its tasks. Of one that has ended here, only notes that are lacking are added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from crew_repo.model import RunStatus
from crew_repo.store.from_rows import ERROR
from crew_repo.store.leases import SUMS, interrupt, run_is_gone
from crew_repo.store.tables import RUN, TASK_RUN
from crew_repo.store.transaction import Transaction, chunks

__all__ = ["Arrived", "add_notes", "add_runs"]

Row = Mapping[str, Any]
_RUNNING = str(RunStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class Arrived:
    """The runs of an export that may get notes; one that goes on here is not among them.

    `new` were not here, `known` were. `shown` are new ones after which none of ours is newer. `unended` are known ones
    that had not ended here. `open` are new and known ones that have no end here by now.
    """

    new: AbstractSet[str]
    known: AbstractSet[str]
    shown: AbstractSet[str]
    unended: AbstractSet[str]
    open: AbstractSet[str]


def add_runs(tx: Transaction, rows: Sequence[Row]) -> Arrived:
    """Add the runs that are not here, and the ends of those that had not ended here."""
    here = {row["run_id"]: row for row in tx.rows(_HERE)}
    theirs = {row["run_id"]: row for row in rows}
    new = {run_id: row for run_id, row in theirs.items() if run_id not in here}
    shown = _add_new(tx, list(new.values()))
    known = {run_id for run_id in theirs if run_id in here and not _goes_on(tx, here[run_id])}
    unended = {run_id for run_id in known if here[run_id]["finished_at"] is None}
    ended = {run_id for run_id in unended if _has_ended(theirs[run_id])}
    ends = [{"r": run_id, **{f"the_{name}": theirs[run_id][name] for name in _OF_END}} for run_id in sorted(ended)]
    for some in chunks(ends):
        tx.execute(_TAKE_END, some)
    running = {run_id for run_id, row in new.items() if row["status"] == _RUNNING}
    return Arrived(new.keys(), known, shown, unended, running | (unended - ended))


def add_notes(tx: Transaction, rows: Sequence[Row], arrived: Arrived, numbers: Mapping[int, int]) -> None:
    """Add what these runs did with their tasks, under the numbers that records have here.

    Of a run that had not ended here, what is later than the note here takes its place. Then a run without an end is
    interrupted, and sums up: it does not go on in another database.
    """
    here, is_newest = _notes_here(tx, arrived.known), _newest_by_task(tx)
    notes = []
    for row in rows:
        run_id, there = row["run_id"], here.get((row["run_id"], row["position"]))
        if run_id in arrived.new:
            notes.append(_note(tx, row, numbers, shown=run_id in arrived.shown))
        elif run_id in arrived.known and (there is None or (run_id in arrived.unended and _is_later(row, there))):
            shown = is_newest(row) and (there is None or there["cleared_at"] is None)
            notes.append(_note(tx, row, numbers, shown=shown))
    for some in chunks(notes):
        tx.run(tx.inserts.task_run, some)
    interrupt(tx, sorted(arrived.open & (arrived.new | {note["run_id"] for note in notes})))


def _goes_on(tx: Transaction, here: Row) -> bool:
    return bool(here["status"] == _RUNNING) and not run_is_gone(tx, here)


def _has_ended(there: Row) -> bool:
    return there["finished_at"] is not None and there["status"] != _RUNNING


def _is_later(row: Row, here: Row) -> bool:
    """Whether a note came after that of the same run on the same task; one on an interruption has no end."""
    return row["finished_at"] is not None and (here["finished_at"] is None or row["finished_at"] > here["finished_at"])


def _notes_here(tx: Transaction, run_ids: AbstractSet[str]) -> dict[tuple[str, int], Row]:
    """The notes on these runs that are here, by run and position."""
    found = (row for some in chunks(sorted(run_ids)) for row in tx.rows(_NOTES, {"runs": some}))
    return {(row["run_id"], row["position"]): row for row in found}


def _newest_by_task(tx: Transaction) -> Callable[[Row], bool]:
    """Whether no newer run than that of a note has one on the same task here."""
    places = {row["run_id"]: row["number"] for row in tx.rows(select(RUN.c.run_id, RUN.c.number))}
    newest = {(row["workflow_id"], row["task_name"]): row["newest"] for row in tx.rows(_NEWEST)}
    return lambda row: bool(places[row["run_id"]] >= newest.get((row["workflow_id"], row["task_name"]), 0))


def _note(tx: Transaction, row: Row, numbers: Mapping[int, int], *, shown: bool) -> dict[str, Any]:
    """A note under the record's number here; it is not shown if there is newer here."""
    new = {name: value for name, value in row.items() if name != "task_run_id"}
    new["record_id"] = numbers.get(row["record_id"])
    if not shown and new["cleared_at"] is None:
        new["cleared_at"] = tx.now
    return new


def _add_new(tx: Transaction, new: Sequence[Row]) -> set[str]:
    """Add runs, and number all anew, since theirs stand between ours; those after which none of ours is newer."""
    ours = [dict(row) for row in tx.rows(select(RUN.c.run_id, RUN.c.workflow_id, RUN.c.started_at).order_by(_NUMBER))]
    if not new:
        return set()
    order = _in_one_order(ours, new, tx.now)
    free = (tx.number(_HIGHEST, {}) or 0) + len(order) + 1  # no number is given twice, not even for a moment
    for runs in chunks([{**row, "number": free + at, "ordinal": 0} for at, row in enumerate(new)]):
        tx.execute(insert(RUN), runs)
    placed = {row["run_id"]: at for at, row in enumerate(order, 1)}
    for step in (free + len(new), 0):
        tx.execute(_PLACE, [{"r": run_id, "n": step + at} for run_id, at in placed.items()])
    for workflows in chunks(sorted({row["workflow_id"] for row in new})):
        tx.execute(_RANKED.where(RUN.c.workflow_id.in_(workflows)))
    newest = {row["workflow_id"]: placed[row["run_id"]] for row in sorted(ours, key=lambda row: placed[row["run_id"]])}
    return {row["run_id"] for row in new if placed[row["run_id"]] > newest.get(row["workflow_id"], 0)}


def _in_one_order(ours: Sequence[Row], theirs: Sequence[Row], now: datetime) -> Sequence[Row]:
    """Both lists as one, each in its own order: by time, where a run is no later than any after it, or than now."""
    timed = []
    for rows in (ours, theirs):
        latest = now
        for row in reversed(rows):
            latest = min(latest, row["started_at"])
            timed.append((latest, row))
    timed.reverse()
    return [row for _, row in sorted(timed, key=lambda each: each[0])]


_NUMBER = RUN.c.number
_EARLIER = RUN.alias("earlier")
_RANK = select(func.count()).where(_EARLIER.c.workflow_id == RUN.c.workflow_id, _EARLIER.c.number <= RUN.c.number)
_RANKED = update(RUN).values(ordinal=_RANK.correlate(RUN).scalar_subquery())
_HIGHEST = select(func.max(RUN.c.number))
_PLACE = update(RUN).where(RUN.c.run_id == bindparam("r")).values(number=bindparam("n"))
_HERE = select(
    *(RUN.c[name] for name in ("run_id", "status", "finished_at", "owner", "heartbeat_at", "lease_seconds"))
)
_OF_END = ("status", "finished_at", "heartbeat_at", "tokens_spent", *SUMS, "waits_for", *ERROR)
_TAKE_END = (
    update(RUN).where(RUN.c.run_id == bindparam("r")).values({name: bindparam(f"the_{name}") for name in _OF_END})
)
_NOTES = select(
    *(TASK_RUN.c[name] for name in ("run_id", "position", "finished_at", "cleared_at"))
).where(TASK_RUN.c.run_id.in_(bindparam("runs", expanding=True)))
_NEWEST = (
    select(TASK_RUN.c.workflow_id, TASK_RUN.c.task_name, func.max(RUN.c.number).label("newest"))
    .join(RUN, RUN.c.run_id == TASK_RUN.c.run_id)
    .where(TASK_RUN.c.cleared_at.is_(None))
    .group_by(TASK_RUN.c.workflow_id, TASK_RUN.c.task_name)
)
