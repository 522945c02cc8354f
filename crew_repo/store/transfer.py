"""Export and import: JSON lines, each one row, so that a state can move between SQLite and PostgreSQL.

The first line names the format; then come texts, runs, records, what runs did with tasks, what was invalidated,
what people changed, and which of their answers are held.
An import takes over all or nothing, and each thing once: importing the same export again changes nothing. A record that
does not give its hashes is refused by name. Where both sides have a record that may be served for the same input, the
one here stays, but a person's takes the place of a model's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Table, bindparam, func, insert, select, tuple_, update

from crew_repo.errors import CrewRepoError, ImportFormatError
from crew_repo.model import PERSON, ChangeKind, RunStatus
from crew_repo.store.columns import UtcText, utc_text, utc_time
from crew_repo.store.from_rows import inputs_of, record_of, whole_components
from crew_repo.store.held import is_intact
from crew_repo.store.leases import interrupt
from crew_repo.store.records import supersede
from crew_repo.store.rows import SHARED
from crew_repo.store.tables import CHANGE, HELD_ANSWER, INVALIDATION, RECORD, RUN, TASK_RUN, TEXT
from crew_repo.store.transaction import Transaction, chunks
from crew_repo.store.verifying import altered_texts, what_is_wrong

__all__ = ["HEADER", "TABLES", "Export", "export_lines", "import_export"]

HEADER = json.dumps({"crew_repo_export": 1})
TABLES = (TEXT, RUN, RECORD, TASK_RUN, INVALIDATION, CHANGE, HELD_ANSWER)
_PAGE = 200
_SHOWN_NAMES = 10
_IDENTITY = ("workflow_id", "run_id", "task_name", "input_hash", "completed_at", "output_hash")


class Export:
    """An export that was read and checked: the rows by table."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {_label(table): [] for table in TABLES}
        self._refused: list[str] = []
        numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
        if not numbered or _parsed(*numbered[0]) != json.loads(HEADER):
            raise ImportFormatError(f"This is no export of crew_repo: its first line should be {HEADER}")
        for number, line in numbered[1:]:
            self._take(number, line)
        if self._refused:
            raise ImportFormatError(
                f"Nothing was imported: {'; '.join(self._refused[:_SHOWN_NAMES])}"
                f"{' ...' if len(self._refused) > _SHOWN_NAMES else ''}. Remove these lines, and import again"
            )

    def _take(self, number: int, line: str) -> None:
        parsed = _parsed(number, line)
        name = next(iter(parsed), None) if isinstance(parsed, dict) else None
        table = next((table for table in TABLES if _label(table) == name), None)
        if table is None or not isinstance(parsed[name], dict):
            what = "is no text, run, record or task_run, nor an invalidation, a change or a held_answer"
            raise ImportFormatError(f"Line {number} of the export {what}")
        row = _row(number, table, parsed[name])
        self._refused += [f"line {number}, {_name(table, row)}: {what}" for what in _wrong(table, row)]
        self.rows[_label(table)].append(row)


def export_lines(tx: Transaction, table: Table) -> Iterator[str]:
    """A table, one line per row, read page by page."""
    keys = [RUN.c.number] if table is RUN else list(table.primary_key)
    columns = [*table.columns, SHARED] if table is RECORD else list(table.columns)
    wanted = select(*columns).order_by(*keys).limit(_PAGE)
    rows = tx.rows(wanted).all()
    while rows:
        for row in rows:
            members = {name: row[name] for name in _members(table)}
            members.update(whole_components(row) if table is RECORD else {})
            yield json.dumps({_label(table): members}, default=_utc, ensure_ascii=True) + "\n"
        last = tuple_(*(rows[-1][key.name] for key in keys), types=[key.type for key in keys])
        rows = tx.rows(wanted.where(tuple_(*keys) > last)).all()


def import_export(tx: Transaction, export: Export) -> int:
    """Take over what is not here yet; the number of records."""
    tx.dialect.lock_writers(tx.connection)
    for texts in chunks(export.rows["text"]):
        tx.execute(tx.inserts.text, texts)
    here = set(tx.connection.scalars(select(RUN.c.run_id)))
    new_runs = {row["run_id"]: row for row in export.rows["run"] if row["run_id"] not in here}
    newer = _add_runs(tx, list(new_runs.values()))
    numbers, added = _add_records(tx, export.rows["record"])
    notes = [
        _note(row, numbers, tx.now, shown=row["run_id"] in newer)
        for row in export.rows["task_run"]
        if row["run_id"] in new_runs
    ]
    for some in chunks(notes):
        tx.execute(tx.inserts.task_run_if_new, some)
    _add_invalidations(tx, export.rows["invalidation"], numbers)
    entries = _add_changes(tx, export.rows["change"], numbers)
    _add_held(tx, export.rows["held_answer"], entries)
    running = [run_id for run_id, row in new_runs.items() if row["status"] == str(RunStatus.RUNNING)]
    interrupt(tx, running)  # a run does not go on in another database
    return added


def _add_records(tx: Transaction, rows: list[dict[str, Any]]) -> tuple[dict[int, int], int]:
    """The number here of each record there, and how many are new."""
    identity = [RECORD.c[name] for name in _IDENTITY]
    known = {tuple(row[:-1]): row[-1] for row in tx.execute(select(*identity, RECORD.c.record_id))}
    live = {tuple(row[:2]): row[2] for row in tx.execute(_LIVE)}
    numbers, added = {}, 0
    for row in rows:
        key, work = tuple(row[name] for name in _IDENTITY), (row["workflow_id"], row["input_hash"])
        if key not in known:
            if row["retired"] is None and row["origin"] == PERSON and live.get(work, PERSON) != PERSON:
                supersede(tx, *work)
                del live[work]
            retired = row["retired"] or ("superseded" if work in live else None)
            known[key] = _insert(tx, row, retired)
            added += 1
            if retired is None:
                live[work] = row["origin"]
        numbers[row["record_id"]] = known[key]
    return numbers, added


def _add_invalidations(tx: Transaction, rows: list[dict[str, Any]], numbers: Mapping[int, int]) -> None:
    """With the numbers that records have here; the later one counts where both sides have one."""
    here = {tuple(row[:-1]): row[-1] for row in tx.execute(_INVALIDATIONS)}
    for row in rows:
        number = max((number for there, number in numbers.items() if there <= row["record_id"]), default=0)
        if number > here.get((row["workflow_id"], row["task_name"]), -1):
            tx.run(tx.inserts.invalidation, {**row, "record_id": number})


_INVALIDATIONS = select(INVALIDATION.c.workflow_id, INVALIDATION.c.task_name, INVALIDATION.c.record_id)
_LIVE = select(RECORD.c.workflow_id, RECORD.c.input_hash, RECORD.c.origin).where(RECORD.c.retired.is_(None))
_DEED = ("changed_at", "changed_by", "kind", "workflow_id", "task_name", "hash_before", "hash_after")
_DEEDS = select(*(CHANGE.c[name] for name in _DEED), CHANGE.c.change_id)


def _add_changes(tx: Transaction, rows: list[dict[str, Any]], numbers: Mapping[int, int]) -> dict[int | None, int]:
    """Entries under the numbers that their records and other entries have here; these, by their numbers there."""
    here = {tuple(row[:-1]): row[-1] for row in tx.execute(_DEEDS)}
    entries: dict[int | None, int] = {}
    for row in rows:
        key = tuple(row[name] for name in _DEED)
        if key not in here:
            new = {name: value for name, value in row.items() if name != "change_id"}
            new.update({name: numbers.get(row[name]) for name in ("record_before", "record_after")})
            new["records"] = json.dumps([numbers[each] for each in json.loads(row["records"]) if each in numbers])
            new["undoes"] = entries.get(row["undoes"])
            here[key] = int(tx.execute(insert(CHANGE), new).inserted_primary_key[0])
        entries[row["change_id"]] = here[key]
    return entries


def _add_held(tx: Transaction, rows: list[dict[str, Any]], entries: Mapping[int | None, int]) -> None:
    """Held answers that are not here yet; where both sides hold one, that here stays."""
    here = set(tx.connection.scalars(select(HELD_ANSWER.c.change_id)))
    live = {tuple(row) for row in tx.execute(_HELD)}
    for row in rows:
        given, place = entries.get(row["change_id"]), tuple(row[name] for name in _HELD_AT)
        if given is None or given in here:
            continue
        retired = row["retired"] or ("superseded" if place in live else None)
        new = {name: value for name, value in row.items() if name != "held_id"}
        new.update(change_id=given, retired=retired, retired_by=entries.get(row["retired_by"]))
        tx.execute(insert(HELD_ANSWER), new)


_HELD_AT = ("workflow_id", "task_name", "definition_hash")
_HELD = select(*(HELD_ANSWER.c[name] for name in _HELD_AT)).where(HELD_ANSWER.c.retired.is_(None))


def _insert(tx: Transaction, row: dict[str, Any], retired: str | None) -> int:
    """Its fence means nothing in another database."""
    new = {name: value for name, value in row.items() if name != "record_id"}
    retired_at = None if retired is None else row["retired_at"] or tx.now
    new.update(fence=None, retired=retired, retired_at=retired_at)
    return int(tx.execute(insert(RECORD), new).inserted_primary_key[0])


def _note(row: dict[str, Any], numbers: Mapping[int, int], now: datetime, *, shown: bool) -> dict[str, Any]:
    """Import a note on a task, under the record's number here; it is not shown if there is a newer run here."""
    new = {name: value for name, value in row.items() if name != "task_run_id"}
    new["record_id"] = numbers.get(row["record_id"])
    if not shown and new["cleared_at"] is None:
        new["cleared_at"] = now
    return new


def _add_runs(tx: Transaction, new: list[dict[str, Any]]) -> set[str]:
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


def _in_one_order(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
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
_APART = (RUN.c.number, RUN.c.ordinal, RECORD.c.shared_hash)
_EARLIER = RUN.alias("earlier")
_RANK = select(func.count()).where(_EARLIER.c.workflow_id == RUN.c.workflow_id, _EARLIER.c.number <= RUN.c.number)
_RANKED = update(RUN).values(ordinal=_RANK.correlate(RUN).scalar_subquery())
_HIGHEST = select(func.max(RUN.c.number))
_PLACE = update(RUN).where(RUN.c.run_id == bindparam("r")).values(number=bindparam("n"))


def _label(table: Table) -> str:
    """The name of a table in an export: a run, as in its first version, whose table has another name since."""
    return "run" if table is RUN else str(table.name)


def _members(table: Table) -> list[str]:
    """The columns that are exported; the order of runs is that of their lines, and records have all components."""
    return [column.name for column in table.columns if not any(column is each for each in _APART)]


def _row(number: int, table: Table, members: Mapping[str, Any]) -> dict[str, Any]:
    later = {name: None for name in _members(table) if table.c[name].nullable}  # an older version had not all of them
    members = {**later, **members}
    odd = ", ".join(sorted(set(members) ^ set(_members(table))))
    if odd:
        raise ImportFormatError(f"Line {number} of the export lacks these members, or has them in excess: {odd}")
    times = [column.name for column in table.columns if isinstance(column.type, UtcText)]
    try:
        return {**members, **{name: utc_time(members[name]) for name in times if members[name] is not None}}
    except CrewRepoError as error:
        raise ImportFormatError(f"Line {number} of the export: {error}") from error


def _wrong(table: Table, row: dict[str, Any]) -> Iterator[str]:
    try:
        if table is RECORD:
            yield from what_is_wrong(record_of(row))
        elif table is TEXT and altered_texts({row["sha256"]: row["body"]}):
            yield "it does not give its hash"
        elif table is CHANGE:
            _check_change(row)
        elif table is HELD_ANSWER and not is_intact(row):
            yield "it does not give its hash"
        elif table is RUN:
            inputs_of(row, {})
    except (CrewRepoError, TypeError, ValueError, AttributeError) as error:
        yield f"it cannot be read ({error})"


def _check_change(row: Mapping[str, Any]) -> None:
    """Raise ValueError or TypeError for an entry that no version has written."""
    ChangeKind(row["kind"])
    if any(type(each) is not int for each in json.loads(row["records"])):
        raise TypeError("its records are no numbers")


def _name(table: Table, row: Mapping[str, Any]) -> str:
    if table is RECORD:
        return f"record {row['record_id']} ({row['workflow_id']}/{row['task_name']})"
    return f"{_label(table)} {row[next(iter(table.primary_key)).name]}"


def _parsed(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise ImportFormatError(f"Line {number} of the export is no JSON ({error}); export again") from error


def _utc(value: Any) -> str:
    return utc_text(value)
