"""The format of an export: JSON lines. The first names it, the last says how many there are, the others are rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from sqlalchemy import Table

from crew_repo.errors import ImportFormatError
from crew_repo.model.wording import listed
from crew_repo.store.from_rows import record_of
from crew_repo.store.held import is_intact
from crew_repo.store.import_checks import read_members, shown
from crew_repo.store.tables import CHANGE, HELD_ANSWER, INVALIDATION, RECORD, RUN, TASK_RUN, TEXT
from crew_repo.store.verifying import altered_texts, what_is_wrong

__all__ = ["HEADER", "TABLES", "Export", "end_line", "label", "member_names"]

_NAME, _VERSION = "crew_repo_export", 1
_END = "end"
HEADER = json.dumps({_NAME: _VERSION})
TABLES = (TEXT, RUN, RECORD, TASK_RUN, INVALIDATION, CHANGE, HELD_ANSWER)
_SHOWN_NAMES = 10
_SHOWN_CHARACTERS = 80
_APART = (RUN.c.number, RUN.c.ordinal, RECORD.c.shared_hash)


class Export:
    """An export that was read and checked: the rows by table."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {label(table): [] for table in TABLES}
        self._refused: list[str] = []
        numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
        _check_header(_parsed(*numbered[0]) if numbered else None)
        _check_end(*numbered[-1])
        for number, line in numbered[1:-1]:
            self._take(number, _parsed(number, line))
        if self._refused:
            raise ImportFormatError(
                f"Nothing was imported: {'; '.join(self._refused[:_SHOWN_NAMES])}"
                f"{' ...' if len(self._refused) > _SHOWN_NAMES else ''}. Leave these lines empty, and import again"
            )

    def _take(self, number: int, parsed: Any) -> None:
        table, members = _table(number, parsed)
        row, faults = read_members(table, members)
        self._refused += [f"line {number}, {_name(table, row)}: {what}" for what in faults or _wrong(table, row)]
        self.rows[label(table)].append(row)


def end_line(lines: int) -> str:
    """The last line of an export that has so many lines, with it."""
    return json.dumps({_END: {"lines": lines}})


def label(table: Table) -> str:
    """The name of a table in an export: a run, as in its first version, whose table has another name since."""
    return "run" if table is RUN else str(table.name)


def member_names(table: Table) -> list[str]:
    """The columns that are exported; the order of runs is that of their lines, and records have all components."""
    return [column.name for column in table.columns if not any(column is each for each in _APART)]


def _check_header(parsed: Any) -> None:
    version = parsed.get(_NAME) if isinstance(parsed, dict) else None
    if type(version) is not int or version < _VERSION:
        raise ImportFormatError(f"This is no export of crew_repo: its first line should be {HEADER}")
    if version > _VERSION or len(parsed) > 1:
        _refuse_newer(f"its first line is {json.dumps(parsed)[:_SHOWN_CHARACTERS]}, and this version reads {HEADER}")


def _check_end(number: int, line: str) -> None:
    """Raise ImportFormatError unless this is the last line that was written, and as many are there, empty ones too."""
    parsed = _parsed(number, line)
    end = parsed.get(_END) if isinstance(parsed, dict) else None
    lines = end.get("lines") if isinstance(end, dict) else None
    if type(lines) is not int:
        raise ImportFormatError(
            f"The export ends too early: it has {number} lines, and the last should be like {end_line(number + 1)}; "
            "export it again"
        )
    if number < lines:
        raise ImportFormatError(f"The export lacks lines ({number} of {lines} are there); export it again")


def _table(number: int, parsed: Any) -> tuple[Table, Mapping[str, Any]]:
    """The table of a line, and the members of its row."""
    name = next(iter(parsed), None) if isinstance(parsed, dict) and len(parsed) == 1 else None
    table = next((table for table in TABLES if label(table) == name), None)
    if name == _END:
        raise ImportFormatError(f"Line {number} of the export is its end, and others come after it; export it again")
    if name is not None and table is None:
        _refuse_newer(f"line {number} is no {_KINDS}, but {shown(name)}")
    if table is None or not isinstance(parsed[name], dict):
        raise ImportFormatError(f"Line {number} of the export is no {_KINDS}")
    return table, _all_members(number, table, parsed[name])


_KINDS = "text, run, record or task_run, nor an invalidation, a change or a held_answer"


def _all_members(number: int, table: Table, members: Mapping[str, Any]) -> dict[str, Any]:
    known = member_names(table)
    if unknown := set(members) - set(known):
        _refuse_newer(f"line {number}, a {label(table)}, has these members, which this version does not know: "
                      f"{listed(sorted(unknown))}")  # fmt: skip
    later = {name: None for name in known if table.c[name].nullable}  # an older version had not all of them
    members = {**later, **members}
    if missing := sorted(set(known) - set(members)):
        raise ImportFormatError(f"Line {number} of the export, a {label(table)}, lacks members: {listed(missing)}")
    return members


def _refuse_newer(why: str) -> NoReturn:
    raise ImportFormatError(f"This export was written by a newer crew_repo: {why}; upgrade crew_repo, and import again")


def _wrong(table: Table, row: dict[str, Any]) -> Iterator[str]:
    """Say what does not give its hash, of a row whose members are right."""
    if table is RECORD:
        yield from what_is_wrong(record_of(row))
    altered = bool(altered_texts({row["sha256"]: row["body"]})) if table is TEXT else False
    if altered or (table is HELD_ANSWER and not is_intact(row)):
        yield "it does not give its hash"


def _name(table: Table, row: Mapping[str, Any]) -> str:
    """The row, for people: by its key, and a record by its task too."""
    key = next(iter(table.primary_key)).name
    names = [key, "workflow_id", "task_name"] if table is RECORD else [key]
    first, *others = (row[name] if isinstance(row[name], (str, int)) else shown(row[name]) for name in names)
    return f"{label(table)} {first}" + (f" ({'/'.join(map(str, others))})" if others else "")


def _parsed(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ImportFormatError(f"Line {number} of the export is no JSON ({error}); export again") from error
