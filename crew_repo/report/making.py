"""The page of a report: its sections one after the other, until it is large enough; and its file."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from crew_repo.export_files import check_target
from crew_repo.model import RunRecord
from crew_repo.model.timeline import chains
from crew_repo.page import rendered
from crew_repo.page.graph import drawn
from crew_repo.pricing import Prices
from crew_repo.report.cards import Card, cards
from crew_repo.report.gathering import Gathered, Kept, gathered
from crew_repo.report.selection import Selection
from crew_repo.report.summary import summed

if TYPE_CHECKING:
    from crew_repo.store.current import Query, Row

__all__ = ["Page", "check_file", "page_of"]

_ENOUGH = 1_200_000  # bytes of sections, after which workflows are only in the index
_INDEX = 4_000  # workflows that it lists
_TASKS = 150  # of a workflow
_STANDS = ("failed", "interrupted", "running", "invalidated")  # the first that any task is in
_BEGINNING = b"<!DOCTYPE html>\n<!-- a report of crew_repo -->"


@dataclass(frozen=True, slots=True)
class Page:
    """The HTML of a report, and what is in it. `in_full`: how many of the workflows it shows with everything."""

    html: str
    workflows: int
    runs: int
    in_full: int


@dataclass(frozen=True, slots=True)
class _Line:
    """A workflow in the index."""

    number: int
    workflow_id: str
    state: str
    answered: int
    tasks: int
    runs: int
    latest: datetime | None
    tokens: int
    tokens_saved: int
    seconds_saved: float
    by_person: int


def page_of(query: Query, selection: Selection, prices: Prices | None, title: str) -> Page:
    """Make the page about what is selected. `title` names the state.

    Raises InputError for an unknown workflow or run, StoreError for rows that a person or a disk has damaged.
    """
    now = datetime.now(timezone.utc)
    found = gathered(query, selection, prices)
    sections = _sections(found, selection, now)
    lines = [_line(number, kept) for number, kept in enumerate(found.workflows[:_INDEX], 1)]
    html = rendered(
        "report.html", title=title, made_at=now, selection=selection, summary=summed(found, prices), lines=lines,
        sections=[Markup(section) for section in sections], more=len(found.workflows) - len(lines),  # noqa: S704
        runs=len(found.runs), workflows=len(found.workflows), first=_first(found.runs), priced=prices is not None,
    )  # fmt: skip
    return Page(html, len(found.workflows), len(found.runs), len(sections))


def _first(runs: Sequence[Row]) -> tuple[datetime, datetime] | None:
    times = [run["started_at"] for run in runs]
    return (min(times), max(times)) if times else None


def _sections(found: Gathered, selection: Selection, now: datetime) -> list[str]:
    """The newest workflows with everything; the first of them however long it is."""
    sections: list[str] = []
    size = 0
    for number, kept in enumerate(found.workflows, 1):
        if not kept.history and not kept.runs:
            break
        section = rendered("workflow.html", **_values(number, kept, selection, now))
        size += len(section.encode())
        if sections and size > _ENOUGH:
            break
        sections.append(section)
    return sections


def _values(number: int, kept: Kept, selection: Selection, now: datetime) -> dict[str, Any]:
    """The values that the template of a workflow shows."""
    found = cards(kept, selection)
    shown = found[:_TASKS]
    runs = {row["run_id"] for row in kept.run_rows}
    return {
        "number": number, "line": _line(number, kept), "cards": shown, "more_tasks": len(found) - len(shown),
        "graph": _graph(shown), "kept": kept,
        "cards_by_name": {card.task_name: card for card in shown}, "texts": selection.texts,
        "chains": chains([run for run in kept.runs if run.run_id in runs], now),
        "given_before": _given_before(kept.runs),
        "waits": {row["run_id"]: row["waits_for"] for row in kept.run_rows if row["waits_for"]},
        "changes": [change for change in kept.changes if change.task_name not in {card.task_name for card in shown}],
    }  # fmt: skip


def _given_before(runs: Sequence[RunRecord]) -> dict[str, int | None]:
    """The number of the run just before each that was given the same, by the IDs of those."""
    pairs = itertools.pairwise(runs)
    return {run.run_id: older.ordinal for run, older in pairs if run.inputs and run.inputs == older.inputs}


def _graph(shown: Sequence[Card]) -> Any:
    """The drawing; None where it would say nothing."""
    return drawn({card.task_name: card.reads or () for card in shown}) if len(shown) > 1 else None


def _line(number: int, kept: Kept) -> _Line:
    tasks = [task for task in kept.tasks if task["in_crew"] is not False]
    states = [task["status"] for task in tasks]
    rows = kept.run_rows
    state = next((each for each in _STANDS if each in states), "completed" if states else "")
    if rows and rows[0]["status"] in _STANDS:
        state = rows[0]["status"]
    return _Line(
        number, kept.workflow_id, state or "unknown", sum(each in ("completed", "skipped") for each in states),
        len(states), len(rows), rows[0]["started_at"] if rows else None,
        sum(row["tokens_spent"] for row in rows), sum(row["tokens_saved"] for row in rows),
        sum(row["seconds_saved"] for row in rows), sum(task["origin"] == "person" for task in tasks),
    )  # fmt: skip


def check_file(file: Path, state: Path | None) -> None:
    """Raise InputError for a file that is there and is no report, above all for that of the state."""
    check_target(file, state, "report", _BEGINNING)
