"""The one rule: is this record still the answer? Pure functions, used by `plan()` and at every boundary of a run.

`decide` returns a Decision with reasons, never a bare yes or no. A record is served only if all of this holds: it
was found by the very input hash that the task has now, it may be served (not invalidated, deleted, superseded), its
output still gives its output hash, it is not older than the policy allows, every part of the task could be hashed,
and its output can be restored. Names and older records serve only to explain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from crew_repo.hashing import FORMAT, definition_hash, digest, input_hash, output_hash, sent_hash, text_hash
from crew_repo.hashing import context_hash as hash_context
from crew_repo.model import (
    PLANNER,
    RESOLVED,
    Component,
    Decision,
    Definition,
    Opaque,
    Outcome,
    Reason,
    ReasonKind,
    Record,
    Status,
    TaskHead,
)
from crew_repo.policy import TaskPolicy

__all__ = [
    "PLAN",
    "Current",
    "changes",
    "counts_resolved",
    "current_state",
    "decide",
    "decide_unknown",
    "name_upstreams",
    "with_downstream",
]


_SAID = f"{RESOLVED}context"  # the context alone, where the context's hash stands for more
PLAN = "task.plan"
"""The component that has the planner's text for a task; it explains, since the hash of the context has it."""


@dataclass(frozen=True, slots=True)
class Current:
    """A task as it is about to run: its definition, its context, and what they hash to."""

    task_name: str
    position: int
    definition: Definition
    definition_hash: str
    context_hash: str
    occurrence: int
    input_hash: str
    policy: TaskPolicy
    forced: bool = False
    human_input: bool = False
    has_memory: bool = False
    together: Reason | None = None

    @property
    def components(self) -> tuple[Component, ...]:
        """The definition's components and the context."""
        return (*self.definition.components, Component("context", self.context_hash))

    def at_occurrence(self, occurrence: int) -> Current:
        """The same with so many equal tasks before it in its crew: each has a record of its own."""
        if occurrence == self.occurrence:
            return self
        found_by = input_hash(self.definition_hash, self.context_hash, occurrence)
        return replace(self, occurrence=occurrence, input_hash=found_by)


    def with_state(self, handed: Iterable[tuple[str, str]]) -> Current:
        """Add what earlier tasks leave in memory: its name, and the input hash of the task that leaves it."""
        sources: dict[str, list[str]] = {}
        for what, source in handed:
            sources.setdefault(what, []).append(source)
        if not sources:
            return self
        added = (Component(f"state:{what}", digest("state", found)) for what, found in sources.items())
        definition = replace(self.definition, components=(*self.definition.components, *added))
        defined = definition_hash(definition.components)
        found_by = input_hash(defined, self.context_hash, self.occurrence)
        return replace(self, definition=definition, definition_hash=defined, input_hash=found_by)


def current_state(
    task_name: str,
    position: int,
    definition: Definition,
    context: str,
    policy: TaskPolicy,
    *,
    plan: str = "",
    forced: bool = False,
    human_input: bool = False,
    has_memory: bool = False,
    resolved: tuple[Component, ...] | None = None,
    together: Reason | None = None,
) -> Current:
    """Hash a definition and what others say, its context and its plan, as the first of equal tasks.

    `resolved`: what servers gave for this execution. As the context it is known only then, so it counts with it.
    """
    told = "" if policy.ignores(PLAN) else plan
    defined, read = definition_hash(definition.components), hash_context(context, told)
    if resolved is not None and counts_resolved(policy):
        resolved = tuple(component for component in resolved if not policy.ignores(component.path))
        said = Component(_SAID, read, acts=False)
        definition = replace(definition, components=(*definition.components, *resolved, said))
        read = sent_hash(read, resolved)
    return Current(
        task_name,
        position,
        definition,
        defined,
        read,
        0,
        input_hash(defined, read, 0),
        policy,
        forced,
        human_input,
        has_memory,
        together,
    )


def counts_resolved(policy: TaskPolicy) -> bool:
    """Whether what servers give for an execution counts: then no plan knows what a task will be told."""
    return not policy.ignores(f"{RESOLVED}tools")


def decide(current: Current, record: Record | None, head: TaskHead | None, now: datetime) -> Decision:
    """Whether `record`, found by `current.input_hash`, may be served; if not, why. `head` only explains."""
    demanded = tuple(reason for cue in _DEMANDS if (reason := cue(current)))
    demanded += tuple(_not_hashable(opaque) for opaque in current.definition.opaque if not opaque.elsewhere)
    if record is None:
        why = _why_missing(current, head)
        status = Status.MISSING if _is_missing(why) else Status.STALE
        return _decision(current, status, demanded + why, head)
    unusable = tuple(reason for cue in _CUES if (reason := cue(current, record, now)))
    if not demanded and not unusable:
        return Decision(
            current.task_name,
            Status.FRESH,
            (),
            current.position,
            record,
            record.usage.total_tokens,
            record.duration_seconds,
        )
    altered = any(reason.kind is ReasonKind.ALTERED for reason in unusable)
    return _decision(current, Status.MISSING if altered else Status.STALE, demanded + unusable, head)


def decide_unknown(current: Current, possible: bool, upstream: tuple[Reason, ...], head: TaskHead | None) -> Decision:
    """A task whose context is not known yet. `possible`: some record has its definition, so it may yet be fresh."""
    demanded = tuple(reason for cue in _DEMANDS if (reason := cue(current)))
    demanded += tuple(_not_hashable(opaque) for opaque in current.definition.opaque if not opaque.elsewhere)
    if possible and not demanded:
        return _decision(current, Status.MAY_RERUN, upstream, head)
    why = () if possible else _why_missing(_as_if_told(current, head), head)
    missing = _is_missing(why)
    return _decision(current, Status.MISSING if missing else Status.STALE, demanded + why + upstream, head)


def _as_if_told(current: Current, head: TaskHead | None) -> Current:
    """The task with what it was told when it last ran, its plan too: what it will be told is not known."""
    if head is None or head.record is None:
        return current
    known = {component.path for component in current.definition.components}
    said = (c for c in head.record.components if c.path.startswith(RESOLVED) or c.path == PLAN)
    told = tuple(component for component in said if component.path not in known)
    definition = replace(current.definition, components=(*current.definition.components, *told))
    return replace(current, definition=definition, context_hash=head.record.context_hash)


def _decision(current: Current, status: Status, reasons: tuple[Reason, ...], head: TaskHead | None) -> Decision:
    last = head.record if head else None
    return Decision(
        current.task_name,
        status,
        reasons,
        current.position,
        None,
        last.usage.total_tokens if last else None,
        last.duration_seconds if last else None,
    )


# What makes a task run whatever is stored.


def _forced(current: Current) -> Reason | None:
    return Reason(ReasonKind.FORCED) if current.forced else None


def _always(current: Current) -> Reason | None:
    return Reason(ReasonKind.ALWAYS, detail="by policy") if current.policy.always else None


def _memory(current: Current) -> Reason | None:
    wanted = current.has_memory and current.policy.memory == "always"
    return Reason(ReasonKind.ALWAYS, "memory", "by policy") if wanted else None


def _human_input(current: Current) -> Reason | None:
    wanted = current.human_input and current.policy.human_input == "always"
    return Reason(ReasonKind.ALWAYS, "task.human_input", "by policy") if wanted else None


def _together(current: Current) -> Reason | None:
    return current.together


_DEMANDS: tuple[Callable[[Current], Reason | None], ...] = (
    _forced,
    _always,
    _memory,
    _human_input,
    _together,
)


def _not_hashable(opaque: Opaque) -> Reason:
    return Reason(ReasonKind.NOT_HASHABLE, opaque.path, opaque.why)


# What makes a record of the right input hash unusable.

_CLOCKS_DIFFER = timedelta(minutes=1)  # between hosts that keep their time


def _retired(_: Current, record: Record, __: datetime) -> Reason | None:
    return Reason(ReasonKind.INVALIDATED, detail=record.retired) if record.retired else None


def _altered(current: Current, record: Record, _: datetime) -> Reason | None:
    if record.damage:
        return Reason(ReasonKind.ALTERED, detail=record.damage)
    if output_hash(record.result) == record.output_hash and record.input_hash == current.input_hash:
        return None
    return Reason(ReasonKind.ALTERED, detail=f"record {record.record_id} does not match its hash")


def _expired(current: Current, record: Record, now: datetime) -> Reason | None:
    age = now - record.completed_at
    limit = current.policy.max_age
    if limit is None or record.damage:
        return None
    if age < -min(limit, _CLOCKS_DIFFER):
        detail = f"it says that it was completed at {record.completed_at:%Y-%m-%d %H:%M:%S} UTC, which is yet to come: "
        return Reason(ReasonKind.EXPIRED, detail=f"{detail}a clock was wrong, so its age is not known")
    if age <= limit:
        return None
    return Reason(ReasonKind.EXPIRED, detail=f"{age.total_seconds():.0f} s old, max_age {limit.total_seconds():.0f} s")


def _not_restorable(_: Current, record: Record, __: datetime) -> Reason | None:
    return Reason(ReasonKind.NOT_RESTORABLE, detail=record.not_restorable) if record.not_restorable else None


_CUES: tuple[Callable[[Current, Record, datetime], Reason | None], ...] = (
    _retired,
    _altered,
    _expired,
    _not_restorable,
)


# Why nothing was found under the input hash.

_MISSING_KINDS = {
    ReasonKind.NEVER_RAN,
    ReasonKind.FAILED,
    ReasonKind.INTERRUPTED,
    ReasonKind.INVALIDATED,
    ReasonKind.ALTERED,
}


def _is_missing(reasons: tuple[Reason, ...]) -> bool:
    return any(reason.kind in _MISSING_KINDS for reason in reasons)


def _why_missing(current: Current, head: TaskHead | None) -> tuple[Reason, ...]:
    if head is None or head.record is None:
        return (_why_never(head),)
    if head.record.damage:
        return (Reason(ReasonKind.ALTERED, detail=head.record.damage),)
    if head.record.hash_format != FORMAT:
        detail = f"recorded with hash format {head.record.hash_format}, this version has {FORMAT}"
        return (Reason(ReasonKind.HASH_FORMAT, detail=detail),)
    found = tuple(changes(head.record.components, current.components, head.record.context_hash))
    if found:
        return found
    return (_why_same(current, head, head.record),)


def _why_never(head: TaskHead | None) -> Reason:
    outcome = head.outcome if head else None
    if outcome is Outcome.FAILED and head is not None and head.failure is not None:
        return Reason(ReasonKind.FAILED, detail=str(head.failure))
    if outcome is Outcome.INTERRUPTED:
        return Reason(ReasonKind.INTERRUPTED, detail="its process went away")
    return Reason(ReasonKind.NEVER_RAN)


def _why_same(current: Current, head: TaskHead, record: Record) -> Reason:
    """Nothing has changed, and yet nothing may be served."""
    if record.retired:
        return Reason(ReasonKind.INVALIDATED, detail=record.retired)
    if head.outcome in (Outcome.FAILED, Outcome.INTERRUPTED):
        return _why_never(head)
    if record.occurrence != current.occurrence:
        return Reason(ReasonKind.NEVER_RAN, detail=f"as number {current.occurrence + 1} of equal tasks")
    return Reason(ReasonKind.ALTERED, detail=f"record {record.record_id} does not match its hash")


_NAMED = ("input:", "global:")  # what is no ingredient by itself, and says why one has changed


def changes(
    old: tuple[Component, ...], new: tuple[Component, ...], old_context_hash: str | None = None
) -> Iterator[Reason]:
    """What differs between two sets of components: what went into a text or a part, then the parts that act.

    The root of a text whose template is the same is the input that changed it.
    """
    before = {component.path: component for component in old}
    if old_context_hash is not None:
        before["context"] = Component("context", old_context_hash)
    after = {component.path: component for component in new}
    differing = [path for path in sorted({**before, **after}) if _differ(before, after, path)]
    acting = [path for path in differing if _acts(before, after, path)]
    if _SAID in before and _SAID in after:  # then the context's hash is of all that follows
        acting = [path for path in acting if path != "context"] + [p for p in differing if p.startswith(RESOLVED)]
    explaining = [path for path in differing if path not in acting] if acting else []
    named = [path for path in explaining if path.startswith(_NAMED) or path == PLAN]
    inputs = [_change(before.get(path), after.get(path)) for path in named]
    yield from inputs
    for path in acting:
        root = _input_behind(f"{path}.template", before, after, inputs)
        change = _change(before.get(path), after.get(path))
        yield replace(change, root=root, component="context" if path == _SAID else path)


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
        Reason(ReasonKind.CHANGED, f"upstream:{name}", None, text_hash(old), text_hash(raw), old, raw)
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


def _change(old: Component | None, new: Component | None) -> Reason:
    component = new or old
    assert component is not None  # noqa: S101 - one of the two is there
    kind = ReasonKind.CHANGED if old and new else ReasonKind.ADDED if new else ReasonKind.REMOVED
    return Reason(
        kind,
        component.path,
        component.code,
        old.sha256 if old else None,
        new.sha256 if new else None,
        old.text if old else None,
        new.text if new else None,
    )


def with_downstream(names: Sequence[str], heads: Mapping[str, TaskHead]) -> list[str]:
    """These tasks and all that read them, directly or through others, by what was recorded when they last ran.

    A task that was renamed since is known by both names: its own record, and those that read it, may have either.
    """
    records = {name: head.record for name, head in heads.items() if head.record is not None}
    reached = [name for name in records if name in names]
    for name in sorted(records, key=lambda name: records[name].position):
        if name not in reached and any(_reads(records[name], above, records[above]) for above in reached):
            reached.append(name)
    return list(dict.fromkeys([*names, *reached]))


def _reads(record: Record, name: str, above: Record) -> bool:
    if PLANNER in (name, record.task_name):
        return name == PLANNER and any(component.path == PLAN for component in record.components)
    texts = [component.text for component in record.components if component.path == "task.reads"]
    reads = json.loads(texts[0]) if texts and texts[0] else []
    return record.position > above.position if reads == "*" else not {name, above.task_name}.isdisjoint(reads)
