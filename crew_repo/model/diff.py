"""The difference between two runs: what they were given, what became of each task, what it said, and what that cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

from crew_repo.errors import UnknownTaskError, did_you_mean
from crew_repo.model.change import PERSON
from crew_repo.model.cost import cost_members
from crew_repo.model.decision import Decision, Reason, Status
from crew_repo.model.listing import rows_of
from crew_repo.model.record import Record
from crew_repo.model.run import Outcome, RunRecord, RunStatus, TaskRun
from crew_repo.model.text_changes import TextChange
from crew_repo.model.usage import Usage
from crew_repo.model.wording import change_between, marked, notebook_html, plural, shortened, text_table

__all__ = ["Diff", "TaskDiff", "TaskInRun"]

_ANSWERED = (Outcome.EXECUTED, Outcome.REUSED)


@dataclass(frozen=True, slots=True, repr=False)
class TaskInRun:
    """One task in one run: what was done with it, and the record that it left or reused.

    `record` is None where the task has no answer, and where the answer was deleted from the state since.
    """

    did: TaskRun
    record: Record | None = None

    def __repr__(self) -> str:
        return f"<TaskInRun {self.did!r}>"

    @property
    def output(self) -> str | None:
        """The answer; None if there is none, or if it was deleted or damaged since: see `lost`."""
        return None if self.record is None or self.record.damage else self.record.result.raw

    @property
    def lost(self) -> str | None:
        """A word for an answer that can no longer be read: deleted, or damaged."""
        if self.record is not None:
            return "damaged" if self.record.damage else None
        return "deleted" if self.did.outcome in _ANSWERED else None

    @property
    def person(self) -> str | None:
        """Who gave the answer, if a person did."""
        if self.record is None or self.record.origin != PERSON:
            return None
        return self.record.person or "unknown"

    @property
    def model(self) -> str | None:
        """The name of the model that answered, in this run or when the record was made."""
        return self.did.model or (None if self.record is None else self.record.model)

    @property
    def spent(self) -> Usage:
        """Tokens that were billed in this run."""
        return self.did.usage

    @property
    def saved(self) -> Usage | None:
        """Tokens that the answer took when it was made, if it was reused; None if that is not known."""
        if self.did.outcome is not Outcome.REUSED:
            return Usage()
        return None if self.record is None else self.record.usage

    @property
    def ended(self) -> str:
        """How the task ended. Executed and reused are one: it was answered."""
        return "answered" if self.did.outcome in _ANSWERED else f"{self.did.outcome}: {self.did.failure}"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        did = self.did
        return {
            "outcome": str(did.outcome),
            "reasons": [reason.to_dict() for reason in did.reasons],
            "error": None if did.failure is None else str(did.failure),
            "output": self.output,
            "lost": self.lost,
            "record_id": did.record_id,
            "model": self.model,
            "person": self.person,
            "spent": self.spent.to_dict(),
            "saved": None if self.saved is None else self.saved.to_dict(),
            "tokens_saved": did.tokens_saved,
            "seconds": did.duration_seconds,
            "seconds_saved": did.seconds_saved,
            **cost_members(cost=did.cost),
        }


@dataclass(frozen=True, slots=True, repr=False)
class TaskDiff:
    """One task in two runs. `before` or `after` is None if that run has nothing of a task of this name.

    - `parts`: what of its definition, inputs and context differs between the two answers, each with what was and what
      is. Empty where one of the runs has no answer. Why the later run executed it is in `after.did.reasons`.
    - `output`: the change of the answer; None if it is the same, or if one of the two cannot be read.
    - `absent`: why a run has nothing of it, if one has not.
    """

    task_name: str
    before: TaskInRun | None
    after: TaskInRun | None
    _: KW_ONLY
    parts: tuple[Reason, ...] = ()
    output: TextChange | None = None
    absent: str | None = None

    def __repr__(self) -> str:
        return f"<TaskDiff {shortened(self.task_name)!r}: {'changed' if self.changed else 'the same'}>"

    @property
    def changed(self) -> bool:
        """Whether it differs: a part, the answer, or how it ended. An answer that cannot be read differs from others.

        That it was reused in place of executed, and what it cost, is no difference.
        """
        one, other = self.before, self.after
        if one is None or other is None:
            return True
        if self.parts or self.output is not None or one.ended != other.ended:
            return True
        return bool(one.lost or other.lost) and not self._one_record

    @property
    def _one_record(self) -> bool:
        """Whether both have the very same record. A note of a record that was deleted no longer has its number."""
        if self.before is None or self.after is None:
            return False
        one, other = self.before.did, self.after.did
        return one == other or (one.record_id == other.record_id and one.record_id is not None)

    @property
    def answer(self) -> str:
        """One word about the answers: same, changed, deleted, damaged, new, gone, or nothing where there is none."""
        one, other = self.before, self.after
        lost = (other and other.lost) or (one and one.lost)
        if lost:
            return lost
        was, is_now = (each is not None and each.output is not None for each in (one, other))
        if was and is_now:
            return "same" if self.output is None else "changed"
        return "new" if is_now else "gone" if was else ""

    @property
    def causes(self) -> list[str]:
        """Differences of what it is made from, each cause once; else why the later run did not reuse it."""
        if self.absent is not None:
            return [self.absent]
        if self._one_record:
            return []
        if self.parts or self.after is None:
            return Decision(self.task_name, Status.STALE, self.parts).causes
        failure = self.after.did.failure
        return self.after.did.causes if failure is None else [str(failure)]

    def as_row(self) -> dict[str, str]:
        """The cells of a table of tasks."""
        sides = self.before, self.after
        return {
            "task": self.task_name,
            "before": _outcome(self.before),
            "after": _outcome(self.after),
            "answer": self.answer,
            "tokens": _step(*("-" if side is None else f"{side.spent.total_tokens:,}" for side in sides)),
            "saved": _step(*("-" if side is None else f"{side.did.tokens_saved:,}" for side in sides)),
            "seconds": " -> ".join(_seconds(side) for side in sides),
            "why": "; ".join(self.causes),
        }

    def in_full(self) -> Iterator[str]:
        """Lines with the parts that differ and the answers at full length."""
        yield f"{self.task_name}  {_step(_outcome(self.before), _outcome(self.after))}"
        for line in [line for part in self.parts for line in part.in_full] or self.causes:
            yield f"  {line}"
        if self.answer:
            yield f"  answer: {self.answer}"
        if self.output is not None:
            yield from (f"    {line}" for line in marked(self.output, full=True))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "task_name": self.task_name,
            "changed": self.changed,
            "answer": self.answer,
            "absent": self.absent,
            "causes": self.causes,
            "parts": [_with_change(part) for part in self.parts],
            "output": None if self.output is None else self.output.to_dict(),
            "before": None if self.before is None else self.before.to_dict(),
            "after": None if self.after is None else self.after.to_dict(),
        }


@dataclass(frozen=True, slots=True, repr=False)
class Diff:
    """The difference between two runs. Print it for a table with what differs; `details()` has all texts in full.

    - `before`, `after`: the two runs, with their totals.
    - `inputs`: what they were given that differs, with the values where these are kept; of a file its hash.
    - `tasks`: each task of either run, in order. If the crew has a planner, it comes first.
    - `notes`: sentences about what is not known.
    """

    before: RunRecord
    after: RunRecord
    inputs: tuple[Reason, ...] = ()
    tasks: tuple[TaskDiff, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the runs differ: in an input, in a task (see `TaskDiff.changed`), or in how they ended."""
        return bool(self.inputs) or self.before.status is not self.after.status or any(t.changed for t in self.tasks)

    def __getitem__(self, task_name: str) -> TaskDiff:
        for task in self.tasks:
            if task.task_name == task_name:
                return task
        near = did_you_mean(str(task_name), (task.task_name for task in self.tasks), "tasks")
        raise UnknownTaskError(f"There is no task {task_name!r} in this diff. {near}")

    def __repr__(self) -> str:
        return f"<Diff of {self.head}: {self.summary}>"

    def __str__(self) -> str:
        table = text_table(rows_of(self.tasks))
        return "\n".join([self.head, *map(str, self.inputs), *table, *self.answers, *self._under()])

    def details(self) -> str:
        """Inputs, the parts of tasks that differ, and answers, at full length."""
        given = [line for reason in self.inputs for line in reason.in_full]
        return "\n".join([self.head, *given, *(line for task in self.tasks for line in task.in_full()), *self._under()])

    @property
    def head(self) -> str:
        """One line: which two runs these are, and how they ended."""
        return f"{_run(self.before)} -> {_run(self.after)}"

    @property
    def answers(self) -> list[str]:
        """A line for each answer that changed: `[-removed-]` and `{+added+}` words, or members with old and new."""
        return [f"{task.task_name}: {' '.join(marked(task.output))}" for task in self.tasks if task.output is not None]

    @property
    def summary(self) -> str:
        """One line: how many tasks differ, and what the runs spent and saved."""
        one, other = self.before, self.after
        differ = sum(task.changed for task in self.tasks)
        return (
            f"{differ} of {plural(len(self.tasks), 'task')} {'differs' if differ == 1 else 'differ'}; "
            f"tokens spent {_step(f'{one.tokens_spent:,}', f'{other.tokens_spent:,}')}, "
            f"saved {_step(f'{one.tokens_saved:,}', f'{other.tokens_saved:,}')}{self._cost}"
        )

    @property
    def _cost(self) -> str:
        """The costs of the runs, where prices are given."""
        one, other = self.before.cost, self.after.cost
        return "" if one is None or other is None else f"; cost {_step(str(one), str(other))}"

    def _under(self) -> list[str]:
        return [self.summary, *(f"note: {note}" for note in self.notes)]

    def _repr_html_(self) -> str:
        return notebook_html(
            "diff", [task.as_row() for task in self.tasks], above=[self.head, *map(str, self.inputs)],
            changes=[(task.task_name, task.output) for task in self.tasks if task.output], under=self._under(),
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "changed": self.changed,
            "before": self._totals(self.before, "before"),
            "after": self._totals(self.after, "after"),
            "inputs": [_with_change(reason) for reason in self.inputs],
            "tasks": [task.to_dict() for task in self.tasks],
            "notes": list(self.notes),
        }

    def _totals(self, run: RunRecord, side: str) -> dict[str, Any]:
        done: list[TaskInRun] = [each for task in self.tasks if (each := getattr(task, side)) is not None]
        return {
            "run_id": run.run_id,
            "workflow_id": run.workflow_id,
            "crew_name": run.crew_name,
            "ordinal": run.ordinal,
            "status": str(run.status),
            "started_at": run.started_at.isoformat(),
            "finished_at": None if run.finished_at is None else run.finished_at.isoformat(),
            "error": None if run.failure is None else str(run.failure),
            "tokens_spent": run.tokens_spent,
            "tokens_saved": run.tokens_saved,
            "spent": sum((each.spent for each in done), Usage()).to_dict(),
            "seconds": run.duration_seconds,
            "seconds_saved": run.seconds_saved,
            **cost_members(cost=run.cost),
        }


def _run(run: RunRecord) -> str:
    number = "" if run.ordinal is None else f" #{run.ordinal}"
    ended = "" if run.status is RunStatus.COMPLETED else f", {run.status}"
    return f"run{number} of {run.workflow_id} ({run.run_id}{ended})"


def _outcome(side: TaskInRun | None) -> str:
    if side is None:
        return "-"
    return f"{side.did.outcome} ({side.person})" if side.person is not None else str(side.did.outcome)


def _seconds(side: TaskInRun | None) -> str:
    return "-" if side is None or side.did.duration_seconds is None else f"{side.did.duration_seconds:.1f}"


def _step(one: str, other: str) -> str:
    return one if one == other else f"{one} -> {other}"


def _with_change(reason: Reason) -> dict[str, Any]:
    """A reason as a dict, with the change between its texts if both are known."""
    known = reason.old_text is not None and reason.new_text is not None
    change = change_between(reason.component or "", reason.old_text or "", reason.new_text or "") if known else None
    return {**reason.to_dict(), "change": None if change is None else change.to_dict()}
