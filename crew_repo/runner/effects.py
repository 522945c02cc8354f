"""The tasks that a change by a person makes run, found out from what is stored: no crew is at hand.

The tasks below the changed one are walked in order. One whose recorded context hash is that of the texts which it reads
can be asked about new texts: it is served if an answer to them is stored, else it would run. Of all others, as of those
that read what is not known yet, it is only said that they may run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from crew_repo.explain import read_by
from crew_repo.hashing import context_hash, input_hash
from crew_repo.model import Change, Record
from crew_repo.store import Store

__all__ = ["with_effect"]

_BETWEEN = "\n\n----------\n\n"  # as CrewAI joins texts; one that joins them otherwise gives other hashes, so "may run"


@dataclass(slots=True)
class _Walk:
    """The texts before and after, by task name; None for one that is not known yet."""

    store: Store
    records: Mapping[str, Record]
    before: dict[str, str]
    after: dict[str, str | None]
    would_run: list[str] = field(default_factory=list)
    may_run: list[str] = field(default_factory=list)

    def step(self, name: str) -> None:
        """Settle one task that may read something else by now."""
        record = self.records[name]
        read = read_by(record, self.records)
        if all(self.after.get(each) == self.before.get(each) for each in read):
            return None
        texts = [self.after.get(each) for each in read]
        known = [text for text in texts if text is not None]
        if len(known) < len(texts):
            return self._settle(name, self.may_run)
        told = context_hash(_BETWEEN.join(known))
        if told == record.context_hash:
            return None  # it has read that already
        if context_hash(_BETWEEN.join(self.before[each] for each in read)) != record.context_hash:
            return self._settle(name, self.may_run)
        found = self.store.find_record(
            input_hash(record.definition_hash, told, record.occurrence), record.workflow_id
        )
        if found is None:
            return self._settle(name, self.would_run)
        self.after[name] = found.result.raw
        return None

    def _settle(self, name: str, runs: list[str]) -> None:
        runs.append(name)
        self.after[name] = None


def with_effect(store: Store, change: Change) -> Change:
    """The change with the tasks that will run by it, and what those took when they last ran."""
    name, workflow_id = change.task_name, change.workflow_id
    if name is None or workflow_id is None:
        return change
    left = {state.task_name for state in store.states(workflow_id) if state.in_crew is False}
    heads = store.heads(workflow_id)
    records = {each: head.record for each, head in heads.items() if head.record is not None and each not in left}
    texts = {each: record.result.raw for each, record in records.items()}
    before = _said_before(change, records.get(name))
    walk = _Walk(store, records, {**texts, name: before}, {**texts, name: change.after})
    if change.after is None:
        walk.would_run.append(name)
    for each in sorted(records, key=lambda each: records[each].position):
        if each != name:
            walk.step(each)
    runs = [records[each] for each in (*walk.would_run, *walk.may_run) if each in records]
    tokens = sum(record.usage.total_tokens for record in runs)
    return replace(change, would_run=tuple(walk.would_run), may_run=tuple(walk.may_run), tokens=tokens)


def _said_before(change: Change, last: Record | None) -> str:
    """The text that the tasks below have read; where nothing was in force for what is asked now, the last one."""
    if change.before is not None:
        return change.before
    return last.result.raw if last is not None and last.record_id != change.record_after else ""
