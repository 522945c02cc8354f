"""Explaining why a task runs: the difference between its parts now and before; also, which tasks read its answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from crew_repo.hashing import text_hash
from crew_repo.model import (
    PERSON,
    PLANNER,
    RESOLVED,
    Component,
    Decision,
    HeldAnswer,
    Reason,
    ReasonKind,
    Record,
    TaskHead,
)

__all__ = [
    "PLAN",
    "SAID",
    "by_person",
    "change_of",
    "changes",
    "held_reason",
    "name_upstreams",
    "no_longer",
    "read_by",
    "with_downstream",
]

SAID = f"{RESOLVED}context"
"""The component that has the context alone, where the context's hash stands for more."""
PLAN = "task.plan"
"""The component that has the planner's text for a task; it explains, since the hash of the context has it."""

_NAMED = ("input:", "global:")  # what is no ingredient by itself, and says why one has changed
_PLACE = "place:"  # of data elsewhere: it says how the part after it has changed


def changes(
    old: tuple[Component, ...], new: tuple[Component, ...], old_context_hash: str | None = None
) -> Iterator[Reason]:
    """Yield what differs between two sets of components: what went into a text or a part, then the parts that act.

    The root of a text whose template is the same is the input that changed it.
    """
    before = {component.path: component for component in old}
    if old_context_hash is not None:
        before["context"] = Component("context", old_context_hash)
    after = {component.path: component for component in new}
    differing = [path for path in sorted({**before, **after}) if _differ(before, after, path)]
    acting = [path for path in differing if _acts(before, after, path)]
    if SAID in before and SAID in after:  # then the context's hash is of all that follows
        acting = [path for path in acting if path != "context"] + [p for p in differing if p.startswith(RESOLVED)]
    explaining = [path for path in differing if path not in acting] if acting else []
    named = [path for path in explaining if path.startswith(_NAMED) or path == PLAN or _is_place_of(path, acting)]
    inputs = [change_of(before.get(path), after.get(path)) for path in named]
    yield from inputs
    for path in acting:
        root = _input_behind(f"{path}.template", before, after, inputs)
        change = change_of(before.get(path), after.get(path))
        yield replace(change, root=root, component="context" if path == SAID else path)


def _is_place_of(path: str, acting: Sequence[str]) -> bool:
    """Whether it is the place of something in one of these parts."""
    return path.startswith(_PLACE) and path.removeprefix(_PLACE).startswith(tuple(acting))


def _input_behind(
    template: str, before: Mapping[str, Component], after: Mapping[str, Component], inputs: Sequence[Reason]
) -> str | None:
    """The first of the changed inputs that a template names, if the template is the same as before."""
    if template not in after or _differ(before, after, template):
        return None
    text = after[template].text or ""
    found = (reason.what for reason in inputs if f"{{{str(reason.component).removeprefix('input:')}}}" in text)
    return next(found, None)


def name_upstreams(decision: Decision, said: Mapping[str, str], heads: Mapping[str, TaskHead]) -> Decision:
    """Say which upstream said something else, where a reason only says that the context changed.

    `said`: what the upstream tasks say now, by task name; `heads`: what they said when they last ran. A plan that
    changed is named already.
    """
    if not any(reason.component == "context" for reason in decision.reasons):
        return decision
    changed = tuple(
        Reason(
            ReasonKind.CHANGED, f"upstream:{name}", old=text_hash(old), new=text_hash(raw), old_text=old, new_text=raw
        )
        for name, raw in said.items()
        if (old := _said_before(heads.get(name))) is not None and old != raw
    )
    others = tuple(reason for reason in decision.reasons if reason.component != "context")
    planned = any(reason.component == PLAN for reason in others)
    return replace(decision, reasons=others + changed) if changed or planned else decision


def _said_before(head: TaskHead | None) -> str | None:
    return head.record.result.raw if head is not None and head.record is not None else None


def _acts(before: Mapping[str, Component], after: Mapping[str, Component], path: str) -> bool:
    component = after.get(path) or before[path]
    return component.acts


def _differ(before: Mapping[str, Component], after: Mapping[str, Component], path: str) -> bool:
    old, new = before.get(path), after.get(path)
    return (old.sha256 if old else None) != (new.sha256 if new else None)


def change_of(old: Component | None, new: Component | None) -> Reason:
    """The reason that says how a part differs from what it was; one of the two is None if it was added or removed."""
    component = new or old
    assert component is not None  # noqa: S101 - one of the two is there
    kind = ReasonKind.CHANGED if old and new else ReasonKind.ADDED if new else ReasonKind.REMOVED
    return Reason(
        kind,
        component.path,
        component.code,
        old=old.sha256 if old else None,
        new=new.sha256 if new else None,
        old_text=old.text if old else None,
        new_text=new.text if new else None,
    )


def by_person(record: Record) -> tuple[Reason, ...]:
    """The mark of an answer that a person gave; nothing for a model's."""
    return (Reason(ReasonKind.BY_PERSON, detail=_given(record)),) if record.origin == PERSON else ()


def no_longer(record: Record | None) -> tuple[Reason, ...]:
    """A person's answer that is not served, with its text, so that it can be taken over; nothing for a model's."""
    if record is None or record.origin != PERSON:
        return ()
    return (Reason(ReasonKind.NOT_BY_PERSON, detail=_given(record), old_text=record.result.raw),)


def held_reason(held: HeldAnswer, why_not: str | None = None) -> Reason:
    """An answer that is held, with its text: it will be adopted, or `why_not`."""
    given = f"{held.author.by}, {held.given_at:%Y-%m-%d %H:%M} UTC"
    if why_not is None:
        return Reason(ReasonKind.HELD, detail=given, new_text=held.output)
    return Reason(ReasonKind.NOT_HELD, detail=f"{given}: {why_not}", old_text=held.output)


def _given(record: Record) -> str:
    return f"{record.person or 'unknown'}, {record.completed_at:%Y-%m-%d %H:%M} UTC"


def with_downstream(names: Sequence[str], heads: Mapping[str, TaskHead]) -> list[str]:
    """List these tasks and all that read them, directly or through others, by what was recorded when they last ran.

    A task that was renamed since is known by both names: its own record, and those that read it, may have either.
    """
    records = {name: head.record for name, head in heads.items() if head.record is not None}
    reached = [name for name in records if name in names]
    for name in sorted(records, key=lambda name: records[name].position):
        if name not in reached and not set(reached).isdisjoint(read_by(records[name], records)):
            reached.append(name)
    return list(dict.fromkeys([*names, *reached]))


def read_by(record: Record, records: Mapping[str, Record]) -> list[str]:
    """List the tasks that this one read when it was recorded, in order; the planner first, if it had a plan.

    `records`: of all tasks, by the names that they have now. One that was renamed since is found by both of its names.
    """
    if record.task_name == PLANNER:
        return []
    texts = {component.path: component.text for component in record.components}
    planned = [PLANNER] if PLAN in texts and PLANNER in records else []
    reads = json.loads(texts.get("task.reads") or "[]")
    if reads == "*":
        above = [name for name, each in records.items() if 0 <= each.position < record.position]
        return [*planned, *sorted(above, key=lambda name: records[name].position)]
    return planned + [name for read in reads for name, each in records.items() if read in (name, each.task_name)]
