"""The decisions about all tasks of a crew, and what they will cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from crew_repo.model.decision import Decision, ReasonKind, Status
from crew_repo.model.wording import html_table, listed, shortened, text_table

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """The decisions of a run that has not begun, in the order of the tasks.

    Printing it gives a table; `details()` has the texts whole.


    `notes` are sentences about what is right and looks wrong: an input that no task reads, a text that was edited in
    vain. `planner` is the decision about CrewAI's planner, which is no task, where the crew has `planning=True`.
    """

    workflow_id: str
    decisions: tuple[Decision, ...]
    notes: tuple[str, ...] = ()
    planner: Decision | None = None

    def __iter__(self) -> Iterator[Decision]:
        return iter(self.decisions)

    def __len__(self) -> int:
        return len(self.decisions)

    def __getitem__(self, task_name: str) -> Decision:
        for decision in self.decisions:
            if decision.task_name == task_name:
                return decision
        raise KeyError(task_name)

    def _names(self, status: Status) -> list[str]:
        return [d.task_name for d in self.decisions if d.status is status]

    @property
    def fresh(self) -> list[str]:
        """The tasks whose records would be served."""
        return self._names(Status.FRESH)

    @property
    def stale(self) -> list[str]:
        """The tasks that would run because something changed."""
        return self._names(Status.STALE)

    @property
    def missing(self) -> list[str]:
        """The tasks that would run because nothing usable is stored."""
        return self._names(Status.MISSING)

    @property
    def may_rerun(self) -> list[str]:
        """The tasks below those: they run unless what they read comes out the same (early cutoff)."""
        return self._names(Status.MAY_RERUN)

    def __str__(self) -> str:
        return "\n".join([*text_table(self._rows()), self.estimate, *self._marked_notes()])

    def __repr__(self) -> str:
        counts = [f"{len(self.fresh)} fresh"]
        for status in (Status.STALE, Status.MISSING, Status.MAY_RERUN):
            names = self._names(status)
            counts += [f"{len(names)} {status} ({shortened(listed(names), 90)})"] if names else []
        return f"<Plan of workflow {shortened(self.workflow_id)!r}: {', '.join(counts)}>"

    def details(self) -> str:
        """Each task with all its reasons, and of each text that changed the old and the new, whole."""
        lines = []
        for decision in self._all:
            lines.append(f"{decision.task_name}  {decision.status}")
            lines += [f"  {line}" for reason in decision.reasons for line in reason.in_full]
        return "\n".join([*lines, self.estimate, *self._marked_notes()])

    def _marked_notes(self) -> list[str]:
        return [f"note: {note}" for note in self.notes]

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        table = Table("task", "status", "why")
        for name, status, why in self._rows()[1:]:
            table.add_row(name, status, why)
        return Group(table, self.estimate, *self._marked_notes())

    def _repr_html_(self) -> str:
        header, *rows = self._rows()
        under = [self.estimate, *self._marked_notes()]
        return html_table(header, rows) + "".join(f"<p>{escape(line)}</p>" for line in under)

    def _rows(self) -> list[tuple[str, str, str]]:
        rows = [(d.task_name, str(d.status), "; ".join(d.causes)) for d in self.decisions]
        return [("task", "status", "why"), *rows]

    @property
    def estimate(self) -> str:
        """One line: what a run would do, and by what those tasks took before, what it would spend and save.

        The cost of a task that has no record is unknown; where the same task ran in other workflows, it is estimated
        from those.
        """
        running = [d for d in self.decisions if not d.fresh]
        never = sum(any(reason.kind is ReasonKind.NEVER_RAN for reason in d.reasons) for d in running)
        to_run = f"{len(running)} to run{f', {never} of them never ran' if never else ''}"
        save = f"{self.tokens_to_save:,} tokens and {self.seconds_to_save:.1f} s saved"
        return f"{len(self.fresh)} fresh, {to_run}; {self._spending(running)}, {save}"

    def _spending(self, running: list[Decision]) -> str:
        unknown = sum(d.tokens is None for d in running)
        if running and unknown == len(running):
            return "what that costs is unknown"
        spend = f"about {self.tokens_to_spend:,} tokens and {self.seconds_to_spend:.1f} s to spend"
        if any(d.cost_from is not None for d in running):
            spend += " (by runs of other workflows)"
        more = f", and what {unknown} more {'costs' if unknown == 1 else 'cost'} is unknown" if unknown else ""
        return spend + more

    @property
    def all_fresh(self) -> bool:
        """Whether a run would call no model."""
        return all(decision.fresh for decision in self._all)

    @property
    def _all(self) -> tuple[Decision, ...]:
        return self.decisions if self.planner is None else (self.planner, *self.decisions)

    @property
    def tokens_to_spend(self) -> int:
        """Tokens that the tasks that may run, and the planner, took when they last ran; the unknown adds nothing."""
        return sum(d.tokens or 0 for d in self._all if not d.fresh)

    @property
    def tokens_to_save(self) -> int:
        """Tokens that the fresh tasks took when they ran."""
        return sum(d.tokens or 0 for d in self._all if d.fresh)

    @property
    def seconds_to_spend(self) -> float:
        """Seconds that the tasks that may run took when they last ran."""
        return sum(d.seconds or 0.0 for d in self._all if not d.fresh)

    @property
    def seconds_to_save(self) -> float:
        """Seconds that the fresh tasks took when they ran."""
        return sum(d.seconds or 0.0 for d in self._all if d.fresh)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "workflow_id": self.workflow_id,
            "planner": None if self.planner is None else self.planner.to_dict(),
            "decisions": [decision.to_dict() for decision in self.decisions],
            "notes": list(self.notes),
            "tokens_to_spend": self.tokens_to_spend,
            "tokens_to_save": self.tokens_to_save,
            "seconds_to_spend": self.seconds_to_spend,
            "seconds_to_save": self.seconds_to_save,
        }

