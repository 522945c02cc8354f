"""Decisions: whether a task's stored answer may be reused, and the reasons why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

from crew_repo.model.cost import Cost, cost_members
from crew_repo.model.record import Record
from crew_repo.model.text import TextEnum
from crew_repo.model.usage import Usage
from crew_repo.model.wording import change_in_full, change_on_one_line, on_one_line, shortened

__all__ = ["Decision", "Reason", "ReasonKind", "Status"]


class Status(TextEnum):
    """The status of a task before a run.

    FRESH: its stored answer may be reused. STALE: something changed, so it runs. MISSING: nothing usable is stored, so
    it runs. MAY_RERUN: it reads a task that runs again; it runs only if the new answer differs from the old one. Or a
    person's answer is held for it, and adopted.
    """

    FRESH = "fresh"
    STALE = "stale"
    MISSING = "missing"
    MAY_RERUN = "may rerun"


class ReasonKind(TextEnum):
    """The kind of a reason why a task is not fresh.

    - NEVER_RAN, FAILED, INTERRUPTED: it never ran to its end.
    - CHANGED, ADDED, REMOVED: a part of it, such as `agent.llm.model`, is not what it was.
    - UPSTREAM: a task whose answer it reads is not fresh itself.
    - INVALIDATED: you said so, or deleted the answer. ALTERED: the stored answer was edited, or is damaged.
    - FORCED: `force=` names it. ALWAYS, EXPIRED: its policy says so.
    - NOT_HASHABLE: a part of it cannot be compared with what it was. AT_RUN_TIME: only a run can know it.
    - NOT_RESTORABLE: the stored answer no longer fits the output class of the task.
    - HASH_FORMAT: another version of crew_repo stored it, and compared in another way.
    - CONDITION: the condition of a conditional task says no, so CrewAI skips it.
    - HANDED_ON: it shares values in memory with a task that runs, so both run.
    - HELD: a person's answer is held, and adopted when this is asked. NOT_HELD: it is held for something else.
    - RESUMES: what it was answered before it was killed, or failed, is kept; it goes on from there.
    - BY_PERSON: it is fresh, and a person gave the answer. NOT_BY_PERSON: such an answer no longer applies.
    """

    NEVER_RAN = "never ran"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    INVALIDATED = "invalidated"
    ALTERED = "altered"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    UPSTREAM = "upstream"
    FORCED = "forced"
    ALWAYS = "always"
    EXPIRED = "expired"
    NOT_HASHABLE = "not hashable"
    NOT_RESTORABLE = "not restorable"
    HASH_FORMAT = "hash format"
    CONDITION = "condition"
    AT_RUN_TIME = "known at run time"
    HANDED_ON = "handed on"
    HELD = "a held answer is adopted"
    NOT_HELD = "a held answer does not fit"
    BY_PERSON = "a person's answer"
    NOT_BY_PERSON = "a person's answer no longer applies"
    RESUMES = "resumes"


_ANEW = {ReasonKind.FORCED, ReasonKind.ALWAYS, ReasonKind.HANDED_ON}
_ANYWAY = {ReasonKind.FORCED, ReasonKind.ALWAYS, ReasonKind.NOT_HASHABLE, ReasonKind.HANDED_ON}
_SAID_BY_PEOPLE = (ReasonKind.HELD, ReasonKind.NOT_HELD, ReasonKind.NOT_BY_PERSON)


@dataclass(frozen=True, slots=True, repr=False)
class Reason:
    """One reason why a task is not fresh.

    Printed, it is one line with the old and the new text: `agent.llm.model: gpt-4o -> gpt-5.5`. `what` says it without
    these texts. `in_full` has them at full length.

    - `component`: the part of the task that changed, such as `agent.llm.model`.
    - `old`, `new`: its hashes; `old_text`, `new_text`: its texts. They are None where they are not known.
    - `root`: the change that led to this one, if another did. A changed input changes the description that names it.
    """

    kind: ReasonKind
    component: str | None = None
    detail: str | None = None
    _: KW_ONLY
    old: str | None = None
    new: str | None = None
    old_text: str | None = None
    new_text: str | None = None
    root: str | None = None

    def __str__(self) -> str:
        if self.component and self.kind is ReasonKind.CHANGED and None not in (self.old_text, self.new_text):
            return f"{self.component}: {change_on_one_line(self.component, self.old_text or '', self.new_text or '')}"
        said = self._one_text()
        return f"{self.what}{said}" if said else self.what

    def __repr__(self) -> str:
        return f"<Reason {shortened(str(self), 200)}>"

    @property
    def what(self) -> str:
        """The change alone, without its texts: `agent.llm.model changed`."""
        if self.kind is ReasonKind.UPSTREAM and self.component:
            text = f"{self.component} {'' if self.detail == Status.MAY_RERUN else 'is '}{self.detail}"
            return f"{text} ({self.root})" if self.root else text
        if self.kind is ReasonKind.RESUMES:
            return f"{self.kind}: {self.detail}"
        text = f"{self.component} {self.kind}" if self.component else str(self.kind)
        return f"{text} ({self.detail})" if self.detail and self.detail != str(self.kind) else text

    @property
    def in_full(self) -> list[str]:
        """Lines with the texts at full length: `-` marks removed lines, `+` added ones."""
        if self.old_text is None and self.new_text is None:
            return [self.what]
        lines = change_in_full(self.component or "", self.old_text or "", self.new_text or "")
        return [self.what, *(f"  {line}" for line in lines)]

    def _one_text(self) -> str:
        """The old or the new text, if only one of them is known."""
        text = self.new_text if self.new_text is not None else self.old_text
        if text is None or not (self.component or self.kind in _SAID_BY_PEOPLE):
            return ""
        line = on_one_line(self.component or "", text)
        if self.kind is ReasonKind.CHANGED:
            return f" ({'now' if self.new_text is not None else 'it was'} {line})"
        return f": {line}"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict without the members that are None."""
        members = {name: getattr(self, name) for name in self.__slots__}
        members["kind"] = str(self.kind)
        return {name: value for name, value in members.items() if value is not None}

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> Reason:
        """The inverse of `to_dict`."""
        return cls(**{**members, "kind": ReasonKind(members["kind"])})


@dataclass(frozen=True, slots=True)
class Decision:
    """The status of one task, and the reasons for it.

    `record` is the stored answer that is reused. `usage` and `seconds` are what the task took when it last ran, or None
    if that is not known. `cost` is that in money, None as long as no prices are given. `cost_from` says where they come
    from, if not from this workflow. `reads` are the tasks whose answers it reads, in order.
    """

    task_name: str
    status: Status
    reasons: tuple[Reason, ...] = ()
    _: KW_ONLY
    position: int = 0
    record: Record | None = field(default=None, repr=False)
    usage: Usage | None = field(default=None, repr=False)
    seconds: float | None = None
    cost_from: str | None = None
    cost: Cost | None = None
    reads: tuple[str, ...] = ()

    @property
    def fresh(self) -> bool:
        """Whether the stored answer may be reused."""
        return self.status is Status.FRESH

    @property
    def runs_anyway(self) -> bool:
        """Whether it runs whatever is stored: it is forced, or runs in every run."""
        return any(reason.kind in _ANYWAY for reason in self.reasons)

    @property
    def begins_anew(self) -> bool:
        """Whether not even what is kept of an attempt that did not finish is used."""
        return any(reason.kind in _ANEW for reason in self.reasons)

    @property
    def tokens(self) -> int | None:
        """How many tokens the task took when it last ran, or None if that is not known."""
        return None if self.usage is None else self.usage.total_tokens

    @property
    def cost_text(self) -> str:
        """The cost for people, empty where it is not known."""
        return "" if self.cost is None else str(self.cost)

    @property
    def causes(self) -> list[str]:
        """The reasons in words, each cause once.

        If an input changed a text, only the input is named. If several upstream tasks wait for one change, they share a
        line. `reasons` has all of them.
        """
        found: list[str] = []
        waiting: dict[str, list[Reason]] = {}
        for reason in self.reasons:
            if reason.root is None:
                found.append(str(reason))
            elif reason.kind is ReasonKind.UPSTREAM:
                waiting.setdefault(reason.root, []).append(reason)
        for root, upstreams in waiting.items():
            names = ", ".join(str(reason.component) for reason in upstreams)
            found.append(f"{names} ({root})" if len(upstreams) > 1 else str(upstreams[0]))
        return found

    def noting(self, reason: Reason) -> Decision:
        """The decision with one more reason."""
        return replace(self, reasons=(*self.reasons, reason))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "task_name": self.task_name,
            "status": str(self.status),
            "reasons": [reason.to_dict() for reason in self.reasons],
            "position": self.position,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "cost_from": self.cost_from,
            "person": None if self.record is None else self.record.person,
            "reads": list(self.reads),
            **cost_members(cost=self.cost),
        }
