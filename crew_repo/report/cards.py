"""The cards of a workflow: of each task its state and the reason, what it said, and all that this was made from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from crew_repo.compare import output_change, typed_output
from crew_repo.explain import read_by
from crew_repo.model import (
    PERSON,
    Change,
    Component,
    Cost,
    Failure,
    Outcome,
    Reason,
    ReasonKind,
    Record,
    RunRecord,
    TaskRun,
    TextChange,
)
from crew_repo.model.text_changes import text_change
from crew_repo.report.gathering import Kept
from crew_repo.report.selection import Selection

if TYPE_CHECKING:
    from crew_repo.store.current import Row

__all__ = ["Card", "cards"]

_MOST_VALUES = 80
_COMPARED = 12_000  # characters of an answer
_INPUT = "input:"
_FIRST = "it had no answer yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One task as a report shows it.

    `state` decides its look, `word` says it. `values`: the members of a typed answer by their paths; `change`: what is
    not as in the last other answer, that of `before`. `reads` is None where it is not known what the task reads.
    """

    task_name: str
    state: str
    word: str
    reasons: tuple[str, ...] = ()
    did: TaskRun | None = None
    record: Record | None = None
    failure: Failure | None = None
    values: tuple[tuple[str, str], ...] = ()
    more_values: int = 0
    change: TextChange | None = None
    before: Record | None = None
    inputs: tuple[Component, ...] = ()
    parts: tuple[Component, ...] = ()
    history: tuple[Record, ...] = ()
    changes: tuple[Change, ...] = ()
    reads: tuple[str, ...] | None = None
    in_crew: bool = True
    texts: bool = True

    @property
    def tokens(self) -> int | None:
        """The tokens that its answer took; of a task without one, those that were spent on it."""
        if self.record is not None and self.record.origin != PERSON:
            return self.record.usage.total_tokens
        return None if self.did is None or self.record is not None else self.did.usage.total_tokens

    @property
    def seconds(self) -> float | None:
        """The seconds that its answer took."""
        if self.record is not None and self.record.origin != PERSON:
            return self.record.duration_seconds
        return None if self.did is None else self.did.duration_seconds

    @property
    def cost(self) -> Cost | None:
        """The cost of what was spent on it in the run that is shown."""
        return None if self.did is None else self.did.cost


def cards(kept: Kept, selection: Selection) -> list[Card]:
    """The tasks of a workflow as they stand; of one run, as that has left them."""
    found: list[tuple[Row, TaskRun | None]]
    if selection.run_id is not None:
        found = [(_row_of(did), did) for run in kept.runs for did in run.tasks]
    else:
        found = [(task, _did(kept.runs, task)) for task in kept.tasks]
    return [_card(task, did, kept, selection) for task, did in found]


def _row_of(did: TaskRun) -> Row:
    return {"task_name": did.task_name, "status": str(did.outcome), "record_id": did.record_id, "error": None,
            "in_crew": True, "run_id": did.run_id}  # fmt: skip


def _did(runs: Sequence[RunRecord], task: Row) -> TaskRun | None:
    """Find what the run that touched a task last did with it."""
    return next((did for run in runs if run.run_id == task["run_id"] for did in run.tasks
                 if did.task_name == task["task_name"]), None)  # fmt: skip


def _card(task: Row, did: TaskRun | None, kept: Kept, selection: Selection) -> Card:
    name = task["task_name"]
    record = kept.records.get(task["record_id"])
    record = None if record is None or record.damage else record
    state, word = _state(task, did, record)
    history = tuple(kept.history.get(name, ()))
    plain = Card(
        task_name=name, state=state, word=word, did=did, record=record, history=history,
        reasons=tuple(_reasons(state, did, record, texts=selection.texts)),
        changes=tuple(change for change in kept.changes if change.task_name == name),
        parts=() if record is None else tuple(part for part in record.components if not part.path.startswith(_INPUT)),
        reads=_reads(name, record or next(iter(history), kept.elsewhere.get(name)), kept),
        in_crew=task["in_crew"] is not False, texts=selection.texts,
        failure=did.failure if did is not None and state in ("failed", "interrupted") else None,
    )  # fmt: skip
    return _with_texts(plain, record) if selection.texts and record is not None else plain


def _with_texts(card: Card, record: Record) -> Card:
    """The card with what was asked and answered."""
    values = list(_values("", typed_output(record)))
    older = [each for each in card.history if each.record_id < record.record_id and not each.damage]
    before = next((each for each in older if each.output_hash != record.output_hash), None)
    return replace(
        card,
        values=tuple(values[:_MOST_VALUES]),
        more_values=max(0, len(values) - _MOST_VALUES),
        before=before,
        change=None if before is None else _change(before, record),
        inputs=tuple(part for part in record.components if part.path.startswith(_INPUT)),
    )


def _state(task: Row, did: TaskRun | None, record: Record | None) -> tuple[str, str]:
    """Find what decides its look, and how that is said."""
    if record is not None and record.origin == PERSON and task["status"] in ("completed", "executed", "reused"):
        return "person", f"by {record.person or 'unknown'}"
    if task["status"] == "completed":
        reused = did is not None and did.outcome is Outcome.REUSED and did.record_id == task["record_id"]
        return ("reused", "reused") if reused else ("executed", "executed")
    return task["status"], task["status"]


def _reasons(state: str, did: TaskRun | None, record: Record | None, *, texts: bool) -> Iterator[str]:
    """Why the task stands as it does, each cause once; without texts only which parts changed."""
    if did is not None and did.failure is not None and state in ("failed", "interrupted"):
        yield str(did.failure) if texts else did.failure.type
    elif did is not None and did.reasons and state not in ("reused", "person"):
        said = did.causes if texts else dict.fromkeys(map(_plainly, did.reasons))
        yield from (_FIRST if cause == str(ReasonKind.NEVER_RAN) else cause for cause in said)
    elif state == "reused" and record is not None:
        yield "nothing changed"
        yield f"answered on {record.completed_at:%Y-%m-%d %H:%M:%S}"
    elif state == "person" and record is not None:
        yield f"given on {record.completed_at:%Y-%m-%d %H:%M:%S}"
    elif state == "skipped":
        yield "its condition said no"
    elif state == "invalidated":
        yield "the next run executes it"


def _plainly(reason: Reason) -> str:
    """The change alone: neither its texts nor its detail, which may be the message of an error."""
    return f"{reason.component} {reason.kind}" if reason.component else str(reason.kind)


def _reads(name: str, record: Record | None, kept: Kept) -> tuple[str, ...] | None:
    """The tasks whose answers it reads, by the answer that it gave last, here or elsewhere."""
    if record is None or record.damage:
        return None
    there: dict[str, Record] = {**kept.elsewhere, **{each: found[0] for each, found in kept.history.items() if found}}
    try:
        return tuple(read for read in read_by(record, there) if read != name and read in there)
    except (TypeError, ValueError):
        return None


def _values(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """The members of a typed answer by their paths, such as `limits[2].amount`."""
    if isinstance(value, Mapping) and value:
        for key, member in value.items():
            yield from _values(f"{path}.{key}" if path else str(key), member)
    elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        for at, item in enumerate(value):
            yield from _values(f"{path}[{at}]", item)
    elif isinstance(value, list):
        yield path, ", ".join(item if isinstance(item, str) else json.dumps(item) for item in value) or "(none)"
    elif path:
        yield path, value if isinstance(value, str) else json.dumps(value)


def _change(before: Record, record: Record) -> TextChange | None:
    """The change of the answer; of a very long one, that of its beginning."""
    one, other = before.result.raw, record.result.raw
    if max(len(one), len(other)) <= _COMPARED:
        return output_change(before, record)
    return text_change(one[:_COMPARED], other[:_COMPARED])
