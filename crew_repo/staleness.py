"""The one rule: may this stored answer be reused? `plan()` and `run()` both use these pure functions.

`decide` returns a Decision with reasons, never a bare yes or no. A record is served only if all of this holds: it
was found by the very input hash that the task has now, it may be served (not invalidated, deleted, superseded), its
output still gives its output hash, it is not older than the policy allows, every part of the task could be hashed,
and its output can be restored. Names and older records serve only to explain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from crew_repo.explain import PLAN, SAID, by_person, changes, held_reason, no_longer
from crew_repo.hashing import FORMAT, definition_hash, digest, input_hash, output_hash, sent_hash
from crew_repo.hashing import context_hash as hash_context
from crew_repo.model import (
    PERSON,
    RESOLVED,
    Component,
    Decision,
    Definition,
    HeldAnswer,
    Opaque,
    Outcome,
    Reason,
    ReasonKind,
    Record,
    Status,
    StoredResult,
    TaskHead,
    Usage,
)
from crew_repo.policy import TaskPolicy

__all__ = [
    "Current",
    "NotRestorableError",
    "beside_held",
    "counts_resolved",
    "current_state",
    "decide",
    "decide_unknown",
    "demanded",
    "settle",
]

Output = TypeVar("Output")


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
        """Count so many equal tasks before this one in its crew: each has a record of its own."""
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
        said = Component(SAID, read, acts=False)
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
    demands = demanded(current)
    if record is None:
        why = _why_missing(current, head)
        status = Status.MISSING if _is_missing(why) else Status.STALE
        return _decision(current, status, demands + why + no_longer(head.person if head else None), head)
    unusable = tuple(reason for cue in _CUES if (reason := cue(current, record, now)))
    if not demands and not unusable:
        return Decision(
            current.task_name,
            Status.FRESH,
            by_person(record),
            position=current.position,
            record=record,
            usage=record.usage,
            seconds=record.duration_seconds,
        )
    altered = any(reason.kind is ReasonKind.ALTERED for reason in unusable)
    status = Status.MISSING if altered else Status.STALE
    return _decision(current, status, demands + unusable + no_longer(record), head)


class NotRestorableError(Exception):
    """A stored output that the task's present classes do not accept; the message says why."""


def settle(
    current: Current,
    record: Record | None,
    head: TaskHead | None,
    now: datetime,
    restore: Callable[[StoredResult], Output],
) -> tuple[Decision, Output | None]:
    """Decide, and make the stored output of a fresh task live; with the decision comes that output.

    A task whose output `restore` refuses with NotRestorableError is stale, and the reason says why. Plans and runs both
    come here, so that they cannot part over it.
    """
    decision = decide(current, record, head, now)
    if decision.record is None:
        return decision, None
    try:
        return decision, restore(decision.record.result)
    except NotRestorableError as error:
        reason = Reason(ReasonKind.NOT_RESTORABLE, detail=str(error))
        reasons = (reason, *no_longer(decision.record))
        return replace(decision, status=Status.STALE, reasons=reasons, record=None), None


def decide_unknown(current: Current, possible: bool, upstream: tuple[Reason, ...], head: TaskHead | None) -> Decision:
    """A task whose context is not known yet. `possible`: some record has its definition, so it may yet be fresh."""
    demands = demanded(current)
    if possible and not demands:
        return _decision(current, Status.MAY_RERUN, upstream, head)
    why = () if possible else _why_missing(_as_if_told(current, head), head)
    missing = _is_missing(why)
    beside = no_longer(head.person if head else None) if why else ()
    return _decision(current, Status.MISSING if missing else Status.STALE, demands + why + upstream + beside, head)


def beside_held(decision: Decision, current: Current, held: Sequence[HeldAnswer], now: datetime) -> Decision:
    """The decision about a task for which answers are held: one that fits will be adopted, others are named beside it.

    What makes the task run whatever is stored leaves them held.
    """
    if decision.fresh or demanded(current):
        return decision
    for each in held:
        if _not_adopted(each, current, now) is None:
            reasons = (*decision.reasons, held_reason(each))
            return replace(decision, status=Status.MAY_RERUN, reasons=reasons, usage=Usage(), seconds=0.0)
    why_not = (held_reason(each, _not_adopted(each, current, now)) for each in held)
    return replace(decision, reasons=(*decision.reasons, *why_not))


def _not_adopted(held: HeldAnswer, current: Current, now: datetime) -> str | None:
    """Why a held answer is not adopted; None if it is."""
    if held.definition_hash != current.definition_hash:
        return "what it answers has changed"
    if not held.intact:
        return "it was edited or damaged"
    limit = current.policy.max_age
    return f"it is older than max_age {limit}" if limit is not None and now - held.given_at > limit else None


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
    last = head.record if head is not None and head.record is not None and head.record.origin != PERSON else None
    return Decision(  # what a person's answer took says nothing about the next execution
        current.task_name,
        status,
        reasons,
        position=current.position,
        usage=last.usage if last else None,
        seconds=last.duration_seconds if last else None,
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


_DEMANDS: tuple[Callable[[Current], Reason | None], ...] = (_forced, _always, _memory, _human_input, _together)


def demanded(current: Current) -> tuple[Reason, ...]:
    """The reasons to run whatever is stored: what was asked for, and what cannot be hashed."""
    asked = tuple(reason for cue in _DEMANDS if (reason := cue(current)))
    return asked + tuple(_not_hashable(opaque) for opaque in current.definition.opaque if not opaque.elsewhere)


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
    return _altered_record(record)


def _altered_record(record: Record) -> Reason:
    """An edited answer is never served: who wants it back has to restore it."""
    remedy = "it was edited or damaged; to have it reused, put back what was there"
    return Reason(ReasonKind.ALTERED, detail=f"record {record.record_id} does not match its hash: {remedy}")


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
        return Reason(ReasonKind.INTERRUPTED, detail="its process ended")
    return Reason(ReasonKind.NEVER_RAN)


def _why_same(current: Current, head: TaskHead, record: Record) -> Reason:
    """Nothing has changed, and yet nothing may be served."""
    if record.retired:
        return Reason(ReasonKind.INVALIDATED, detail=record.retired)
    if head.outcome in (Outcome.FAILED, Outcome.INTERRUPTED):
        return _why_never(head)
    if record.occurrence != current.occurrence:
        return Reason(ReasonKind.NEVER_RAN, detail=f"as number {current.occurrence + 1} of equal tasks")
    return _altered_record(record)
