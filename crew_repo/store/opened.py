"""An opened state: its database, and the transactions on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from crew_repo.store.database import Database, dialect_of

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["OpenedState"]


class OpenedState:
    """One state file or database, and what its transactions go by."""

    def __init__(
        self,
        url: str,
        *,
        busy_timeout_seconds: float = 30.0,
        lease_seconds: float = 60.0,
        synchronous: str = "FULL",
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.url = url
        self._options: dict[str, Any] = {
            "busy_timeout_seconds": busy_timeout_seconds, "lease_seconds": lease_seconds, "synchronous": synchronous,
            "clock": clock,
        }  # fmt: skip
        self._database = Database(dialect_of(url, busy_timeout_seconds, synchronous), lease_seconds, clock)
        self._reading, self._writing = self._database.reading, self._database.writing

    @property
    def display_url(self) -> str:
        """The path or URL, without a password."""
        return self._database.dialect.place

    def __reduce__(self) -> Any:
        return partial(type(self), **self._options), (self.url,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.display_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; calling it again does nothing."""
        self._database.close()
