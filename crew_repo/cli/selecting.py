"""Selectors: which tasks a command is about. Pure functions on rows.

| selector                | selects                                                                  |
| ----------------------- | ------------------------------------------------------------------------ |
| `draft`, `draft_*`      | tasks by name or pattern                                                 |
| `a+`, `+a`, `+a+`       | a task and all that read it, directly or not; all that it reads; both    |
| `status:failed`         | tasks, or runs, in that state                                            |
| `workflow:CLM-2025-*`   | tasks, or runs, of these workflows                                       |
| `reason:input:notes`    | tasks of a plan, or of a run, with such a reason                         |
| `a,status:failed`       | what all of these select; several selectors select what any of them does |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from crew_repo.errors import InputError, did_you_mean

__all__ = ["Reads", "select"]

Row = Mapping[str, Any]
Reads = Mapping[tuple[str, str], Sequence[str] | str]
"""The tasks that each task reads, by workflow and name: names of tasks, or `*` for all before it."""
_FIELDS = {"status": "status", "workflow": "workflow_id"}
_PLURALS = {"status": "states", "workflow": "workflows"}


def select(
    selectors: Sequence[str], rows: Sequence[Row], reads: Reads | None = None, *, noun: str = "task"
) -> list[Row]:
    """The rows that any selector selects, in their order; all without a selector.

    `noun`: what the rows are. Raises InputError for a selector that selects nothing, with what there is.
    """
    if not selectors:
        return list(rows)
    chosen: set[int] = set()
    for selector in selectors:
        found = _found(selector, rows, reads or {})
        if not found:
            raise InputError(_nothing(selector, rows, noun))
        chosen |= found
    return [row for at, row in enumerate(rows) if at in chosen]


def _found(selector: str, rows: Sequence[Row], reads: Reads) -> set[int]:
    """Places of the rows. A name is taken to the letter where there is one like that."""
    if any(row.get("task_name") == selector for row in rows):
        return {at for at, row in enumerate(rows) if row["task_name"] == selector}
    parts = [_one(part.strip(), rows, reads) for part in selector.split(",")]
    return set.intersection(*parts)


def _one(part: str, rows: Sequence[Row], reads: Reads) -> set[int]:
    field, colon, pattern = part.partition(":")
    if colon and field in _FIELDS:
        return {at for at, row in enumerate(rows) if fnmatchcase(str(row[_FIELDS[field]]), pattern)}
    if colon and field == "reason":
        return {at for at, row in enumerate(rows) if any(_matches(said, pattern) for said in _reasons(row))}
    name = part.removeprefix("+").removesuffix("+")
    if not any(_is_named(row, part) for row in rows) and any(_is_named(row, name) for row in rows):
        named = {at for at, row in enumerate(rows) if _is_named(row, name)}
        above = _reached(named, rows, reads, upwards=True) if part.startswith("+") else set()
        return named | above | (_reached(named, rows, reads, upwards=False) if part.endswith("+") else set())
    return {at for at, row in enumerate(rows) if _is_named(row, part)}


def _is_named(row: Row, pattern: str) -> bool:
    name = str(row.get("task_name", row.get("run_id")))
    return name == pattern or fnmatchcase(name, pattern)


def _reasons(row: Row) -> Iterable[str]:
    return [str(reason.get("component") or reason.get("kind")) for reason in row.get("reasons") or ()]


def _matches(said: str, pattern: str) -> bool:
    return said == pattern or fnmatchcase(said, pattern)


def _reached(start: set[int], rows: Sequence[Row], reads: Reads, *, upwards: bool) -> set[int]:
    """Places that are reached from these, along what tasks read or against it."""
    reached, added = set(start), set(start)
    while added:
        added = {
            at
            for at in range(len(rows))
            for other in added
            if at not in reached and _does_read(rows, *((other, at) if upwards else (at, other)), reads)
        }
        reached |= added
    return reached


def _does_read(rows: Sequence[Row], reader: int, above: int, reads: Reads) -> bool:
    one, other = rows[reader], rows[above]
    if one["workflow_id"] != other["workflow_id"]:
        return False
    names = reads.get((one["workflow_id"], one["task_name"]), ())
    return bool(one["position"] > other["position"]) if names == "*" else other["task_name"] in names


def _nothing(selector: str, rows: Sequence[Row], noun: str) -> str:
    """The sentence for a selector that selects nothing."""
    field, colon, pattern = selector.partition(":")
    if colon and field in _FIELDS:
        there = [str(row[_FIELDS[field]]) for row in rows]
        return f"{selector!r} selects nothing. {did_you_mean(pattern, there, _PLURALS[field])}"
    if colon and field == "reason":
        there = [said for row in rows for said in _reasons(row)]
        return f"{selector!r} selects nothing. {did_you_mean(pattern, there, 'reasons')}"
    there = [str(row.get("task_name", row.get("run_id"))) for row in rows]
    name = selector.strip("+")
    return f"There is no {noun} {name!r}. {did_you_mean(name, there, f'{noun}s')}"
