"""Core statements on the driver's own cursor: compiled once, their parameters converted by their own column types.

SQLAlchemy makes a context and a result for each execution. Where a statement runs for each task that costs more than
SQLite does, and makes PostgreSQL wait for each answer. The statements stay those of SQLAlchemy Core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect

from crew_repo.store.columns import KeptText

__all__ = ["Prepared", "Row"]

Row = Mapping[str, Any]
Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """The text of a statement, and per place the name of its parameter and a conversion. `own` values are its own."""

    sql: str
    names: tuple[str, ...]
    conversions: tuple[Convert | None, ...]
    own: Row

    def values(self, row: Row) -> list[Any]:
        """Values for the places."""
        given = {**row, **self.own} if self.own else row
        return _converted(map(given.__getitem__, self.names), self.conversions)


def _converted(values: Iterable[Any], conversions: Iterable[Convert | None]) -> list[Any]:
    """Values as the other side has them; None is None."""
    return [value if value is None or convert is None else convert(value)
            for value, convert in zip(values, conversions, strict=True)]  # fmt: skip


class Prepared:
    """The statements of one dialect, each compiled when it is first run. Safe to use from many threads."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._compiled: dict[tuple[Any, ...], _Compiled] = {}
        self._columns: dict[Any, tuple[list[str], list[Convert | None]]] = {}

    def run(self, driver: Any, statement: Any, rows: Row | Sequence[Row]) -> Any:
        """The cursor of a statement with one set of parameters, or of an insert, update or delete with many."""
        cursor = driver.cursor()
        if isinstance(rows, Mapping):
            compiled = self._of(statement, rows)
            cursor.execute(compiled.sql, compiled.values(rows))
        else:
            compiled = self._of(statement, rows[0])
            cursor.executemany(compiled.sql, [compiled.values(row) for row in rows])
        return cursor

    def rows(self, cursor: Any, statement: Any) -> list[Row]:
        """The rows that a select has found, with the values that the types of its columns give."""
        names, conversions = self._columns_of(statement)
        return [dict(zip(names, _converted(found, conversions), strict=True)) for found in cursor.fetchall()]

    def _columns_of(self, statement: Any) -> tuple[list[str], list[Convert | None]]:
        """Names, and what undoes what a type of ours does; what the driver gives for the others is right."""
        if statement not in self._columns:
            columns = list(statement.selected_columns)
            conversions = [column.type.reads if isinstance(column.type, KeptText) else None for column in columns]
            self._columns[statement] = [column.key for column in columns], conversions
        return self._columns[statement]

    def _of(self, statement: Any, row: Row) -> _Compiled:
        key = (statement, *row)
        found = self._compiled.get(key)
        if found is None:
            found = self._compiled[key] = self._compile(statement, list(row))
        return found

    def _compile(self, statement: Any, names: list[str]) -> _Compiled:
        columns = names if statement.is_insert and statement.select is None else None
        made = statement.compile(dialect=self._dialect, column_keys=columns)
        if made.insert_prefetch:
            missing = ", ".join(column.name for column in made.insert_prefetch)
            raise ValueError(f"A row for {statement.table.name} lacks {missing}, and defaults are SQLAlchemy's to give")
        binds = [made.binds[name] for name in made.positiontup]
        conversions = tuple(self._write(bind.type) for bind in binds)
        own = {name: bind.value for name, bind in made.binds.items() if not bind.required}
        return _Compiled(str(made), tuple(made.positiontup), conversions, own)

    def _write(self, kind: Any) -> Convert | None:
        if isinstance(kind, KeptText):
            return kind.writes
        conversion: Convert | None = kind.dialect_impl(self._dialect).bind_processor(self._dialect)
        return conversion
