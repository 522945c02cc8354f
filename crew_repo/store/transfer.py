"""Export and import: JSON lines, each one row, so that a state can move between SQLite and PostgreSQL.

Texts come first, then runs, records, what runs did with tasks, what was invalidated, what people changed, and which of
their answers are held; see `export_format`.
An import takes over all or nothing, and each thing once: importing the same export again changes nothing. A record that
does not give its hashes is refused by name. Where both sides have a record that may be served for the same input, the
one here stays, but a person's takes the place of a model's. Runs are brought up to date: see `import_runs`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Table, insert, select, tuple_

from crew_repo.model import PERSON
from crew_repo.store.columns import utc_text
from crew_repo.store.export_format import HEADER, TABLES, Export, end_line, label, member_names
from crew_repo.store.from_rows import whole_components
from crew_repo.store.import_runs import add_notes, add_runs
from crew_repo.store.records import supersede
from crew_repo.store.rows import SHARED
from crew_repo.store.tables import CHANGE, HELD_ANSWER, INVALIDATION, RECORD, RUN
from crew_repo.store.transaction import Transaction, chunks

__all__ = ["export_lines", "import_export"]

_PAGE = 200
_IDENTITY = ("workflow_id", "run_id", "task_name", "input_hash", "completed_at", "output_hash")


def export_lines(tx: Transaction) -> Iterator[str]:
    """The whole state, each line with its newline."""
    yield HEADER + "\n"
    lines = 2  # with the first and the last
    for table in TABLES:
        for line in _lines_of(tx, table):
            lines += 1
            yield line
    yield end_line(lines) + "\n"


def _lines_of(tx: Transaction, table: Table) -> Iterator[str]:
    """A table, one line per row, read page by page."""
    keys = [RUN.c.number] if table is RUN else list(table.primary_key)
    columns = [*table.columns, SHARED] if table is RECORD else list(table.columns)
    wanted = select(*columns).order_by(*keys).limit(_PAGE)
    rows = tx.rows(wanted).all()
    while rows:
        for row in rows:
            members = {name: row[name] for name in member_names(table)}
            members.update(whole_components(row) if table is RECORD else {})
            yield json.dumps({label(table): members}, default=_utc, ensure_ascii=True) + "\n"
        last = tuple_(*(rows[-1][key.name] for key in keys), types=[key.type for key in keys])
        rows = tx.rows(wanted.where(tuple_(*keys) > last)).all()


def import_export(tx: Transaction, export: Export) -> int:
    """Take over what is not here yet; the number of records."""
    tx.dialect.lock_writers(tx.connection)
    for texts in chunks(export.rows["text"]):
        tx.execute(tx.inserts.text, texts)
    arrived = add_runs(tx, export.rows["run"])
    numbers, added = _add_records(tx, export.rows["record"])
    add_notes(tx, export.rows["task_run"], arrived, numbers)
    _add_invalidations(tx, export.rows["invalidation"], numbers)
    entries = _add_changes(tx, export.rows["change"], numbers)
    _add_held(tx, export.rows["held_answer"], entries)
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
        here.add(given)
        live.update({place} if retired is None else ())


_HELD_AT = ("workflow_id", "task_name", "definition_hash")
_HELD = select(*(HELD_ANSWER.c[name] for name in _HELD_AT)).where(HELD_ANSWER.c.retired.is_(None))


def _insert(tx: Transaction, row: dict[str, Any], retired: str | None) -> int:
    """Its fence means nothing in another database."""
    new = {name: value for name, value in row.items() if name != "record_id"}
    retired_at = None if retired is None else row["retired_at"] or tx.now
    new.update(fence=None, retired=retired, retired_at=retired_at)
    return int(tx.execute(insert(RECORD), new).inserted_primary_key[0])


def _utc(value: Any) -> str:
    return utc_text(value)
