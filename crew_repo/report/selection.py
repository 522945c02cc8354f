"""The choice of what a report is about: a workflow, a run, a time; with the texts or without them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from crew_repo.errors import InputError

__all__ = ["Selection", "moment_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The runs that a report is about: those to which all of this applies.

    `since` and `until`: when they began. `texts`: show what was asked and answered, and whatever may quote it.
    """

    workflow_id: str | None = None
    run_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    texts: bool = True

    @property
    def is_all(self) -> bool:
        """Whether no run is left out."""
        return not self.words

    @property
    def words(self) -> list[str]:
        """The choice in words."""
        found = [] if self.workflow_id is None else [f"workflow {self.workflow_id}"]
        found += [] if self.run_id is None else [f"run {self.run_id}"]
        found += [] if self.since is None else [f"from {self.since:%Y-%m-%d %H:%M:%S} UTC on"]
        return found + ([] if self.until is None else [f"before {self.until:%Y-%m-%d %H:%M:%S} UTC"])

    def has(self, run_id: str, started_at: datetime) -> bool:
        """Whether a run of the workflow is chosen."""
        return (
            self.run_id in (None, run_id)
            and (self.since is None or self.since <= started_at)
            and (self.until is None or started_at < self.until)
        )


def moment_of(name: str, given: object) -> datetime | None:
    """A time in UTC, from a datetime or a text such as 2025-03-14 or 2025-03-14T09:30; without a zone it is in UTC.

    Raises InputError for anything else.
    """
    if given is None:
        return None
    found = given
    if isinstance(given, str):
        try:
            found = datetime.fromisoformat(given.strip().replace("Z", "+00:00"))
        except ValueError:
            found = None
    if not isinstance(found, datetime):
        raise InputError(f"{name} is {given!r}; give a time in UTC, such as 2025-03-14 or 2025-03-14T09:30")
    return found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found.astimezone(timezone.utc)
