"""Changes that people make: an answer given in place of the model's, or taken back; records put out of force."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crew_repo.model.record import NewRecord
from crew_repo.model.text import TextEnum
from crew_repo.model.wording import change_on_one_line, listed, notebook_html, shortened

__all__ = ["HELD", "PERSON", "Author", "Change", "ChangeKind", "Given", "HeldAnswer", "ToHold"]

PERSON = "person"
"""The origin of a record that a person gave."""
HELD = "held until the task is asked"
"""The detail of an entry whose answer is no record yet."""


class ChangeKind(TextEnum):
    """The deed of a person. ADOPT: an old answer was taken over for what is asked now, by a person, or by the run that
    the answer was held for (see `mark_complete`).
    """

    OVERRIDE = "override"
    MARK_COMPLETE = "mark complete"
    ADOPT = "adopt"
    INVALIDATE = "invalidate"
    PRUNE = "prune"
    UNDO = "undo"
    REDO = "redo"


@dataclass(frozen=True, slots=True)
class Author:
    """The person who makes a change, and why."""

    by: str = "unknown"
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAnswer:
    """A person's answer to a task of this definition, adopted when it is next asked. `intact`: as it was given."""

    held_id: int
    task_name: str
    definition_hash: str
    output: str
    author: Author
    given_at: datetime
    intact: bool = True


@dataclass(frozen=True, slots=True)
class Given:
    """A person's answer to a task that has none. `instead_of`: a record that is in force, and does not serve."""

    new: NewRecord
    instead_of: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class ToHold:
    """A person's answer that is to be held for a task of this definition."""

    workflow_id: str
    task_name: str
    definition_hash: str
    output: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Change:
    """One entry of what people changed: who, when, why, before, after. Printed it is one line.

    `before` and `after` are texts; None where there is none, or where its record was pruned since. `undoes`: the entry
    that this one takes back, or does again. `undone`: it was taken back, and not done again since. `change_id` is None
    for a dry run: nothing was changed.

    `would_run`: the tasks that read a text which this change alters, and have no answer to it yet; `may_run`: those of
    which that is not known, as they read what is still to come; `tokens`: what all of these took when they last ran.
    They are known where the change was just made, or tried.
    """

    kind: ChangeKind
    changed_at: datetime
    by: str
    reason: str | None = None
    change_id: int | None = None
    workflow_id: str | None = None
    task_name: str | None = None
    input_hash: str | None = None
    record_before: int | None = None
    record_after: int | None = None
    before: str | None = None
    after: str | None = None
    undoes: int | None = None
    undone: bool = False
    detail: str | None = None
    would_run: tuple[str, ...] = ()
    may_run: tuple[str, ...] = ()
    tokens: int | None = None

    def __str__(self) -> str:
        return "; ".join(self.lines())

    def lines(self) -> list[str]:
        """Lines of what was done and by whom, why, what it changed, and what runs by it."""
        head = f"{self._head}, {self.changed_at:%Y-%m-%d %H:%M:%S} UTC"
        return [part for part in (head, self.reason, self._what, *self._effect()) if part]

    def __repr__(self) -> str:
        return f"<Change {shortened(str(self), 200)}>"

    @property
    def _head(self) -> str:
        number = "not made (dry run)" if self.change_id is None else f"change {self.change_id}"
        of = f" of change {self.undoes}" if self.undoes is not None else ""
        task = f" of task {self.task_name!r} in {self.workflow_id!r}" if self.task_name is not None else ""
        return f"{number}: {self.kind}{of}{task} by {self.by}"

    @property
    def _what(self) -> str:
        """The change of the text on one line, and what else there is to say."""
        return "; ".join(part for part in (self._text, self.detail) if part)

    @property
    def _text(self) -> str:
        if self.before is not None and self.after is not None:
            return change_on_one_line("", self.before, self.after)
        said = self.after if self.after is not None else self.before
        return "" if said is None else f"{'now' if self.after is not None else 'it was'} {shortened(said)}"

    def _effect(self) -> list[str]:
        found = [f"would run: {listed(self.would_run)}"] if self.would_run else []
        found += [f"may run: {listed(self.may_run)}"] if self.may_run else []
        return found + ([f"they took {self.tokens:,} tokens"] if self.tokens else [])

    def as_row(self) -> dict[str, str]:
        """The cells of a table of changes."""
        return {
            "change": str(self.change_id or ""),
            "when (UTC)": f"{self.changed_at:%Y-%m-%d %H:%M:%S}",
            "who": self.by,
            "did": str(self.kind) if self.undoes is None else f"{self.kind} of {self.undoes}",
            "workflow": self.workflow_id or "",
            "task": self.task_name or "",
            "state": "undone" if self.undone else "",
            "why": self.reason or "",
            "what": self._what,
        }

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        members = {name: getattr(self, name) for name in self.__slots__}
        return {**members, "kind": str(self.kind), "changed_at": self.changed_at.isoformat(),
                "would_run": list(self.would_run), "may_run": list(self.may_run)}  # fmt: skip

    def _repr_html_(self) -> str:
        return notebook_html("list", [self.as_row()])
