"""Comparing two runs: what they were given, what their tasks were made from, and what these said. Reads no database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from crew_repo.explain import change_of, changes, name_upstreams, read_by
from crew_repo.model import (
    Component,
    Decision,
    Diff,
    InputKind,
    Reason,
    ReasonKind,
    Record,
    RunInput,
    RunRecord,
    RunStatus,
    Status,
    TaskDiff,
    TaskHead,
    TaskInRun,
    TaskRun,
    TextChange,
)
from crew_repo.model.record import values_in
from crew_repo.model.text_changes import json_of, text_change, value_changes

__all__ = ["compare", "compared_records", "output_change", "typed_output"]


def compared_records(*runs: RunRecord) -> set[int]:
    """The numbers of the records that `compare` needs of these runs."""
    return {did.record_id for run in runs for did in _done(run) if did.record_id is not None}


def compare(before: RunRecord, after: RunRecord, records: Mapping[int, Record]) -> Diff:
    """Tell how two runs differ, the first of which is taken for the earlier one.

    `records`: those that `compared_records` names, with the texts of their components; one that was deleted is missing.
    """
    one, other = _sides(before, records), _sides(after, records)
    positions = {name: side.did.position for name, side in [*one.items(), *other.items()]}
    names = sorted(positions, key=lambda name: positions[name])
    tasks = tuple(_task(name, one, other, before, after) for name in names)
    return Diff(before, after, tuple(_inputs(before, after)), tasks, tuple(_notes(before, after)))


def _done(run: RunRecord) -> list[TaskRun]:
    return [*([] if run.planner is None else [run.planner]), *run.tasks]


def _sides(run: RunRecord, records: Mapping[int, Record]) -> dict[str, TaskInRun]:
    """Each task of a run with its record, by name."""
    return {did.task_name: TaskInRun(did, records.get(did.record_id or 0)) for did in _done(run)}


def _task(
    name: str, one: Mapping[str, TaskInRun], other: Mapping[str, TaskInRun], before: RunRecord, after: RunRecord
) -> TaskDiff:
    was, is_now = one.get(name), other.get(name)
    if was is None or is_now is None:
        return TaskDiff(name, was, is_now, absent=_absent(before if was is None else after))
    old, new = was.record, is_now.record
    if old is None or new is None or old.damage or new.damage or old.record_id == new.record_id:
        return TaskDiff(name, was, is_now)
    return TaskDiff(name, was, is_now, parts=_parts(name, old, new, one, other), output=output_change(old, new))


def _absent(run: RunRecord) -> str:
    why = "its crew has no such task" if run.status is RunStatus.COMPLETED else f"not reached ({run.status})"
    return f"{why} in run {run.run_id}"


def _parts(
    name: str, old: Record, new: Record, one: Mapping[str, TaskInRun], other: Mapping[str, TaskInRun]
) -> tuple[Reason, ...]:
    """Find what differs of all that two answers were made from; answers that were read are named by their tasks."""
    if old.hash_format != new.hash_format:
        return (Reason(ReasonKind.HASH_FORMAT, detail=f"recorded with {old.hash_format}, then {new.hash_format}"),)
    read = Component("context", new.context_hash)
    found = tuple(changes(old.components, (*new.components, read), old.context_hash))
    there = {each: side.record for each, side in other.items() if side.record is not None}
    said = {each: there[each].result.raw for each in read_by(new, there) if not there[each].damage}
    heads = {each: TaskHead(each, one[each].record) for each in said if each in one and one[each].lost is None}
    return name_upstreams(Decision(name, Status.STALE, found), said, heads).reasons


def output_change(old: Record, new: Record) -> TextChange | None:
    """The change of the answer, by its values if it is typed in both; None if it is the same."""
    was, is_now = old.result.raw, new.result.raw
    values = value_changes(typed_output(old), typed_output(new))
    if values:
        return TextChange(was, is_now, values=values)
    return None if was == is_now else text_change(was, is_now)


def typed_output(record: Record) -> object:
    """The object or list of a typed output; None for a text."""
    if record.result.pydantic_json:
        return json_of(record.result.pydantic_json)
    return values_in(json_of(record.result.json_dict_json or ""))


def _inputs(before: RunRecord, after: RunRecord) -> Iterator[Reason]:
    if before.inputs is None or after.inputs is None:
        return
    one, other = ({given.name: given for given in run.inputs or ()} for run in (before, after))
    for name in dict.fromkeys([*one, *other]):
        was, is_now = one.get(name), other.get(name)
        if was is None or is_now is None or (was.kind, was.sha256) != (is_now.kind, is_now.sha256):
            reason = change_of(_component(was, is_now), _component(is_now, was))
            yield replace(reason, old=reason.old or None, new=reason.new or None)


def _component(given: RunInput | None, beside: RunInput | None) -> Component | None:
    """An input as a part of a task. A text beside a value of another kind is shown as JSON has it."""
    if given is None:
        return None
    text = given.text
    if text is not None and given.kind is InputKind.TEXT and beside is not None and beside.kind is InputKind.JSON:
        text = json.dumps(text, ensure_ascii=False)
    how = None if given.kind in (InputKind.TEXT, InputKind.JSON) else str(given.kind)
    return Component(f"input:{given.name}", given.sha256 or "", text=text, code=how)


def _notes(before: RunRecord, after: RunRecord) -> Iterator[str]:
    """Sentences about what is not known."""
    unknown = [run.run_id for run in (before, after) if run.inputs is None]
    if unknown:
        yield (
            f"it is not stored what run {' and run '.join(unknown)} was given (an older crew_repo recorded that); what "
            "each task was asked is compared all the same"
        )
    withheld = [{each.name for each in run.inputs or () if each.kind is InputKind.WITHHELD} for run in (before, after)]
    if hidden := sorted(withheld[0] & withheld[1]):
        yield f"whether {', '.join(f'input:{name}' for name in hidden)} changed is not known: the value is never stored"
    for run in (before, after):
        if run.status is RunStatus.RUNNING:
            yield f"run {run.run_id} is still running"
