"""The plan of a run: what it would do with each task of a crew, why, and what that would cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from crew_repo.errors import UnknownTaskError, did_you_mean
from crew_repo.model.cost import cost_members
from crew_repo.model.decision import Decision, Status
from crew_repo.model.estimate import Estimated
from crew_repo.model.wording import listed, notebook_html, shortened, text_table

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True, repr=False)
class Plan(Estimated):
    """The plan of a run: a Decision about each task, in their order. Nothing has run yet.

    Print it for a table. `details()` shows old and new texts at full length. `plan["name"]` is the Decision about that
    task.

    `notes` are sentences about things that may surprise you, such as an input that no task reads. `planner` is the
    decision about CrewAI's planner, if the crew has `planning=True`. `currency` is that of the prices, if any.
    """

    workflow_id: str
    decisions: tuple[Decision, ...]
    notes: tuple[str, ...] = ()
    planner: Decision | None = None
    currency: str | None = None

    def __iter__(self) -> Iterator[Decision]:
        return iter(self.decisions)

    def __len__(self) -> int:
        return len(self.decisions)

    def __getitem__(self, task_name: str) -> Decision:
        for decision in self.decisions:
            if decision.task_name == task_name:
                return decision
        near = did_you_mean(str(task_name), (decision.task_name for decision in self.decisions), "tasks")
        raise UnknownTaskError(f"There is no task {task_name!r} in this plan. {near}")

    def _names(self, status: Status) -> list[str]:
        return [d.task_name for d in self.decisions if d.status is status]

    @property
    def fresh(self) -> list[str]:
        """The tasks whose stored answers would be reused."""
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
        """The tasks that read a task which runs again. They run only if its new answer differs from the old one."""
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
        """Each task with all its reasons. Texts that changed are shown at full length, old and new."""
        lines = []
        for decision in self.all_decisions:
            lines.append(f"{decision.task_name}  {decision.status}")
            lines += [f"  {line}" for reason in decision.reasons for line in reason.in_full]
        return "\n".join([*lines, self.estimate, *self._marked_notes()])

    def _marked_notes(self) -> list[str]:
        return [f"note: {note}" for note in self.notes]

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        header, *rows = self._rows()
        table = Table(*header)
        for row in rows:
            table.add_row(*row)
        return Group(table, self.estimate, *self._marked_notes())

    def _repr_html_(self) -> str:
        from crew_repo.page.graph import drawn

        header, *rows = self._rows()
        nodes = {each.task_name: {"state": str(each.status), "word": str(each.status), "reasons": each.causes}
                 for each in self.decisions}  # fmt: skip
        graph = drawn({each.task_name: each.reads for each in self.decisions}) if len(self.decisions) > 1 else None
        return notebook_html(
            "plan", [dict(zip(header, row, strict=True)) for row in rows], graph=graph, nodes=nodes,
            under=[self.estimate, *self._marked_notes()],
        )  # fmt: skip

    def _rows(self) -> list[list[str]]:
        priced = self.currency is not None
        rows = ([d.task_name, str(d.status), *[d.cost_text] * priced, "; ".join(d.causes)] for d in self.decisions)
        return [["task", "status", *["cost"] * priced, "why"], *rows]

    def to_markdown(self) -> str:
        """A table and a graph (Mermaid) in GitHub's Markdown, for a pull request.

        An arrow leads from a task to one that reads its answer. Texts are escaped: whatever a name holds, it is shown.
        """
        from crew_repo.model.markdown import markdown_of

        return markdown_of(self)

    @property
    def all_fresh(self) -> bool:
        """Whether a run would call no model."""
        return all(decision.fresh for decision in self.all_decisions)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict. Costs are in it if prices are given."""
        return {
            "workflow_id": self.workflow_id,
            "planner": None if self.planner is None else self.planner.to_dict(),
            "decisions": [decision.to_dict() for decision in self.decisions],
            "notes": list(self.notes),
            "tokens_to_spend": self.tokens_to_spend,
            "tokens_to_save": self.tokens_to_save,
            "seconds_to_spend": self.seconds_to_spend,
            "seconds_to_save": self.seconds_to_save,
            **cost_members(cost_to_spend=self.cost_to_spend, cost_to_save=self.cost_to_save),
        }

