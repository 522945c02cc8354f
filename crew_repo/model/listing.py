"""Lists of runs, tasks and records that are shown as a table, printed or in a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, SupportsIndex, TypeVar, overload

from crew_repo.model.wording import notebook_html, text_table

__all__ = ["Listing", "rows_of"]


class Tabled(Protocol):
    """Something that can be a row of a table."""

    def as_row(self) -> dict[str, str]:
        """The cells by the names of their columns."""


T = TypeVar("T", bound=Tabled)


class Listing(list[T]):
    """A list that is shown as a table with a line for each item, printed or in a notebook. Else it is like any list."""

    def __str__(self) -> str:
        rows = rows_of(self)
        return "\n".join(text_table(rows)) if rows else "(none)"

    def _repr_html_(self) -> str:
        return notebook_html("list", [item.as_row() for item in self])

    @overload
    def __getitem__(self, at: SupportsIndex) -> T: ...

    @overload
    def __getitem__(self, at: slice) -> Listing[T]: ...

    def __getitem__(self, at: Any) -> Any:
        found: Any = super().__getitem__(at)
        return Listing(found) if isinstance(at, slice) else found


def rows_of(items: Iterable[Tabled]) -> list[list[str]]:
    """The header and a row for each item."""
    rows = [item.as_row() for item in items]
    return [list(rows[0]), *(list(row.values()) for row in rows)] if rows else []
