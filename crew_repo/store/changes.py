"""Changes by people, each with its entry in the same transaction.

A person's answer is a record like any other: it has the input hash of the one that it takes the place of, and is served
by it alone. Undoing puts back what was in force before. Entries are only added.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, insert, select, update

from crew_repo.errors import ConflictError, InputError, UnknownChangeError
from crew_repo.hashing import held_hash
from crew_repo.model import HELD, PERSON, Author, Change, ChangeKind, Given, HeldAnswer, NewRecord, Record, ToHold
from crew_repo.store.calls import forget_calls
from crew_repo.store.held import end_held, held_at, held_tasks, revive_held, row_of_change
from crew_repo.store.records import add_record, invalidate_again, records_by_id, retire, take_out_of_force
from crew_repo.store.tables import CHANGE, HELD_ANSWER, INVALIDATION, RECORD
from crew_repo.store.transaction import Transaction, chunks

__all__ = ["add_entry", "adopt", "complete", "give", "invalidate", "later_answer", "list_changes", "redo", "undo"]

_LIVE = RECORD.c.retired.is_(None)
_IN_FORCE = select(RECORD.c.record_id).where(
    RECORD.c.workflow_id == bindparam("w"), RECORD.c.input_hash == bindparam("i"), _LIVE
)
_GIVEN_SINCE = _IN_FORCE.where(RECORD.c.origin == PERSON, RECORD.c.completed_at > bindparam("since"))
_HASHES = select(RECORD.c.record_id, RECORD.c.input_hash, RECORD.c.output_hash)
_STATES = select(RECORD.c.record_id, RECORD.c.retired, RECORD.c.person, RECORD.c.workflow_id, RECORD.c.input_hash)
_BACK = "undone"
_ADOPTED = "adopted"
_OUT_OF_FORCE = {  # why records are retired that a change of this kind takes out of force
    ChangeKind.OVERRIDE: "superseded",
    ChangeKind.MARK_COMPLETE: "superseded",
    ChangeKind.ADOPT: "superseded",
    ChangeKind.INVALIDATE: "invalidated",
}


def give(tx: Transaction, new: NewRecord, kind: ChangeKind, author: Author, *, instead_of: int | None,
         shown: int | None, detail: str | None = None) -> int:  # fmt: skip
    """Put a person's answer in force, and give the number of its entry.

    `instead_of`: the record of this workflow that was in force when the person looked; `shown`: the one that was shown.
    Raises ConflictError if another is in force by now.
    """
    tx.dialect.lock_work(tx.connection, new.input_hash)
    found = tx.number(_IN_FORCE, {"w": new.workflow_id, "i": new.input_hash})
    if found != instead_of:
        raise ConflictError(_overtaken(tx, new.workflow_id, new.task_name, found))
    record = add_record(tx, new)
    forget_calls(tx, new.workflow_id, new.task_name, new.input_hash)
    records = [] if found is None else [found]
    return add_entry(tx, kind, author, new.workflow_id, new.task_name, before=shown, after=record.record_id,
                     records=records, detail=detail)  # fmt: skip


def complete(tx: Transaction, answers: Sequence[Given | ToHold], author: Author) -> list[int]:
    """Put answers in force to tasks that had none, or hold them, and give the numbers of their entries.

    Raises ConflictError, and leaves all as it was, if another is in force by now, or held already.
    """
    for work in sorted(each.new.input_hash for each in answers if isinstance(each, Given)):
        tx.dialect.lock_work(tx.connection, work)
    if any(isinstance(each, ToHold) for each in answers):
        tx.dialect.lock_writers(tx.connection)
    return [_hold(tx, each, author) if isinstance(each, ToHold) else _mark(tx, each, author) for each in answers]


def _mark(tx: Transaction, given: Given, author: Author) -> int:
    return give(tx, given.new, ChangeKind.MARK_COMPLETE, author, instead_of=given.instead_of, shown=given.instead_of,
                detail=given.detail)  # fmt: skip


def _hold(tx: Transaction, kept: ToHold, author: Author) -> int:
    workflow_id, task_name, definition_hash = kept.workflow_id, kept.task_name, kept.definition_hash
    there = held_at(tx, workflow_id, task_name, definition_hash)
    if there is not None:
        raise ConflictError(
            f"Task {task_name!r} of workflow {workflow_id!r} has a held answer already, which {there.author.by} gave "
            f"at {there.given_at:%Y-%m-%d %H:%M:%S} UTC; look at it (changes), and undo that, or leave it"
        )
    sealed = held_hash(definition_hash, kept.output)
    detail = "; ".join(part for part in (HELD, kept.detail) if part)
    entry = add_entry(tx, ChangeKind.MARK_COMPLETE, author, workflow_id, task_name, hash_after=sealed, detail=detail)
    row = {"workflow_id": workflow_id, "task_name": task_name, "definition_hash": definition_hash,
           "output": kept.output, "output_hash": sealed, "change_id": entry}  # fmt: skip
    tx.execute(insert(HELD_ANSWER), row)
    return entry


def adopt(tx: Transaction, held: HeldAnswer, new: NewRecord) -> Record:
    """Put an answer in force that was held, with its entry. Raises ConflictError if it is held no longer."""
    tx.dialect.lock_work(tx.connection, new.input_hash)
    found = tx.number(_IN_FORCE, {"w": new.workflow_id, "i": new.input_hash})
    record = add_record(tx, new)
    forget_calls(tx, new.workflow_id, new.task_name, new.input_hash)
    entry = add_entry(tx, ChangeKind.ADOPT, held.author, new.workflow_id, new.task_name, before=found,
                      after=record.record_id, records=[] if found is None else [found])  # fmt: skip
    if not end_held(tx, _ADOPTED, entry, HELD_ANSWER.c.held_id == held.held_id):
        raise ConflictError(f"The held answer to task {new.task_name!r} is held no longer; changes() says why")
    return record


def later_answer(tx: Transaction, new: NewRecord) -> Record | None:
    """A person's answer to the same that was given while this was being executed: it stays in force."""
    asked = {"w": new.workflow_id, "i": new.input_hash, "since": new.started_at}
    found = tx.number(_GIVEN_SINCE, asked)
    return None if found is None else records_by_id(tx, [found], texts=False, damaged=True)[found]


def invalidate(tx: Transaction, task_names: Sequence[str], workflow_id: str | None, author: Author) -> int:
    """Retire what may be served of these tasks, or is held; how many records. An entry for each task and workflow."""
    total = 0
    for name in task_names:
        retired: dict[str, list[int]] = {here: [] for here, _ in held_tasks(tx, workflow_id, name)}
        retired |= retire(tx, name, workflow_id)
        for here, ids in sorted(retired.items()):
            entry = add_entry(tx, ChangeKind.INVALIDATE, author, here, name, before=max(ids, default=None), records=ids)
            end_held(tx, _OUT_OF_FORCE[ChangeKind.INVALIDATE], entry, *_held_for(here, name))
            forget_calls(tx, here, name)
            total += len(ids)
    return total


def undo(tx: Transaction, change_id: int, author: Author) -> int:
    """Take a change back: what it put in force is retired, what it took out of force is revived."""
    entry, kind = _original(tx, change_id)
    _lock(tx, entry)
    if _is_held(entry):
        return _undo_held(tx, entry, author)
    states = _states(tx, entry)
    given, taken = entry["record_after"], json.loads(entry["records"])
    if given is not None and states.get(given, {}).get("retired", "pruned") is not None:
        raise ConflictError(_no_longer(tx, entry, "is no longer in force", states.get(given)))
    _check_there(entry, taken, states)
    take_out_of_force(tx, [] if given is None else [given], _BACK)
    revived = _revive(tx, taken, _OUT_OF_FORCE[kind])
    revived += revive_held(tx, _OUT_OF_FORCE[kind], HELD_ANSWER.c.retired_by == entry["change_id"])
    if given is None and not revived and not _forget_invalidation(tx, entry):
        raise ConflictError(_no_longer(tx, entry, "has nothing left to take back", None))
    _forget_invalidation(tx, entry)
    return add_entry(tx, ChangeKind.UNDO, author, entry["workflow_id"], entry["task_name"], before=given,
                     after=max(taken, default=None), undoes=entry["change_id"])  # fmt: skip


def redo(tx: Transaction, change_id: int, author: Author) -> int:
    """Make a change again that was taken back; raises ConflictError if another answer is in force by now."""
    entry, kind = _original(tx, change_id)
    _lock(tx, entry)
    if _is_held(entry):
        return _redo_held(tx, entry, author)
    states = _states(tx, entry)
    given, taken = entry["record_after"], json.loads(entry["records"])
    _check_there(entry, [*taken, *([] if given is None else [given])], states)
    if not _undone(tx, [entry["change_id"]]):
        raise ConflictError(f"Change {entry['change_id']} was not undone, so there is nothing to do again")
    if given is not None:
        found = tx.number(_IN_FORCE, {"w": entry["workflow_id"], "i": entry["input_hash"]})
        if found is not None and found not in taken:
            raise ConflictError(_overtaken(tx, entry["workflow_id"], entry["task_name"], found))
    take_out_of_force(tx, taken, _OUT_OF_FORCE[kind])
    if given is not None and not _revive(tx, [given], _BACK):
        raise ConflictError(_no_longer(tx, entry, "cannot be done again", states.get(given)))
    if kind is ChangeKind.INVALIDATE:
        invalidate_again(tx, entry["workflow_id"], entry["task_name"])
        here = _held_for(entry["workflow_id"], entry["task_name"])
        end_held(tx, _OUT_OF_FORCE[kind], entry["change_id"], *here)
    return add_entry(tx, ChangeKind.REDO, author, entry["workflow_id"], entry["task_name"],
                     before=max(taken, default=None), after=given, undoes=entry["change_id"])  # fmt: skip


def add_entry(
    tx: Transaction, kind: ChangeKind, author: Author, workflow_id: str | None = None, task_name: str | None = None,
    *, before: int | None = None, after: int | None = None, records: Sequence[int] = (), undoes: int | None = None,
    detail: str | None = None, hash_after: str | None = None,
) -> int:  # fmt: skip
    """Write an entry; its number. `hash_after`: of an answer that is no record."""
    wanted = _HASHES.where(RECORD.c.record_id.in_([each for each in (before, after) if each is not None]))
    known = {row["record_id"]: row for row in tx.rows(wanted)}
    row = {
        "workflow_id": workflow_id,
        "task_name": task_name,
        "kind": str(kind),
        "changed_at": tx.now,
        "changed_by": author.by,
        "reason": author.reason,
        "input_hash": next((row["input_hash"] for row in known.values()), None),
        "record_before": before,
        "record_after": after,
        "hash_before": known[before]["output_hash"] if before in known else None,
        "hash_after": known[after]["output_hash"] if after in known else hash_after,
        "records": json.dumps(sorted(records)),
        "undoes": undoes,
        "detail": detail,
    }
    return int(tx.execute(insert(CHANGE), row).inserted_primary_key[0])


def list_changes(
    tx: Transaction, *, change_id: int | None = None, task_name: str | None = None, workflow_id: str | None = None,
    limit: int | None = None,
) -> list[Change]:  # fmt: skip
    """The entries, the newest first, with the texts of those records that are still there."""
    wanted = select(CHANGE).order_by(CHANGE.c.change_id.desc()).limit(limit)
    asked = {"change_id": change_id, "task_name": task_name, "workflow_id": workflow_id}
    for name, value in asked.items():
        wanted = wanted if value is None else wanted.where(CHANGE.c[name] == value)
    rows = tx.rows(wanted).all()
    ids = {row[name] for row in rows for name in ("record_before", "record_after") if row[name] is not None}
    texts = {number: raw for some in chunks(sorted(ids)) for number, raw in tx.execute(_RAWS, {"ids": some})}
    entries = [row["change_id"] for row in rows]
    undone = _undone(tx, entries)
    held = {number: raw for some in chunks(entries) for number, raw in tx.execute(_HELD_RAWS, {"ids": some})}
    return [_change(row, texts, held, undone=row["change_id"] in undone) for row in rows]


_HELD_RAWS = select(HELD_ANSWER.c.change_id, HELD_ANSWER.c.output).where(
    HELD_ANSWER.c.change_id.in_(bindparam("ids", expanding=True))
)
_RAWS = select(RECORD.c.record_id, RECORD.c.output).where(RECORD.c.record_id.in_(bindparam("ids", expanding=True)))
_DEEDS = (
    select(CHANGE.c.undoes, CHANGE.c.kind)
    .where(CHANGE.c.undoes.in_(bindparam("ids", expanding=True)))
    .order_by(CHANGE.c.change_id)
)


def _undone(tx: Transaction, change_ids: Sequence[int]) -> set[int]:
    """Find which of these changes were undone, and not made again since."""
    last = dict(tuple(row) for some in chunks(change_ids) for row in tx.execute(_DEEDS, {"ids": some}))
    return {change_id for change_id, kind in last.items() if kind == str(ChangeKind.UNDO)}


def _change(row: Mapping[str, Any], texts: Mapping[int, str], held: Mapping[int, str], *, undone: bool) -> Change:
    plain = ("change_id", "changed_at", "reason", "workflow_id", "task_name", "input_hash", "record_before",
             "record_after", "undoes", "detail")  # fmt: skip
    return Change(
        **{name: row[name] for name in plain},
        kind=ChangeKind(row["kind"]),
        by=row["changed_by"],
        before=texts.get(row["record_before"]),
        after=texts.get(row["record_after"], held.get(row["change_id"])),
        undone=undone,
    )


def _original(tx: Transaction, change_id: int) -> tuple[Mapping[str, Any], ChangeKind]:
    """The entry of this number; of an undoing, or doing again, the one that it is about.

    Of an answer that was held and is adopted by now, the entry that says so.
    """
    entry = tx.rows(select(CHANGE).where(CHANGE.c.change_id == change_id)).first()
    if entry is None:
        newest = tx.connection.scalar(select(func.max(CHANGE.c.change_id)))
        there = "none was made yet" if newest is None else f"the newest is {newest}"
        raise UnknownChangeError(f"There is no change {change_id}; changes() or crew-repo changes lists them: {there}")
    if entry["undoes"] is not None:
        return _original(tx, entry["undoes"])
    held = row_of_change(tx, change_id) if _is_held(entry) else None
    if held is not None and held["retired"] == _ADOPTED and held["retired_by"] is not None:
        return _original(tx, held["retired_by"])
    kind = ChangeKind(entry["kind"])
    if kind not in _OUT_OF_FORCE:
        raise InputError(f"Change {change_id} cannot be undone: {kind} deletes for good; importing an export, or a "
                         "backup, brings it back")  # fmt: skip
    return entry, kind


def _is_held(entry: Mapping[str, Any]) -> bool:
    return bool(entry["kind"] == str(ChangeKind.MARK_COMPLETE) and entry["record_after"] is None)


def _held_for(workflow_id: str, task_name: str) -> list[Any]:
    return [HELD_ANSWER.c.workflow_id == workflow_id, HELD_ANSWER.c.task_name == task_name]


def _undo_held(tx: Transaction, entry: Mapping[str, Any], author: Author) -> int:
    """Drop an answer that is held."""
    number = entry["change_id"]
    if not end_held(tx, _BACK, number, HELD_ANSWER.c.change_id == number):
        raise ConflictError(_no_longer(tx, entry, "is no longer held", row_of_change(tx, number)))
    return add_entry(tx, ChangeKind.UNDO, author, entry["workflow_id"], entry["task_name"], undoes=number,
                     detail="it is held no longer")  # fmt: skip


def _redo_held(tx: Transaction, entry: Mapping[str, Any], author: Author) -> int:
    """Hold an answer again that was dropped."""
    number = entry["change_id"]
    if not _undone(tx, [number]):
        raise ConflictError(f"Change {number} was not undone, so there is nothing to do again")
    if not revive_held(tx, _BACK, HELD_ANSWER.c.change_id == number):
        raise ConflictError(f"Change {number} cannot be done again: its answer was deleted, or another one is held by "
                            "now; look at changes(), and give it anew")  # fmt: skip
    return add_entry(tx, ChangeKind.REDO, author, entry["workflow_id"], entry["task_name"], undoes=number, detail=HELD)


def _lock(tx: Transaction, entry: Mapping[str, Any]) -> None:
    if entry["record_after"] is None:
        tx.dialect.lock_writers(tx.connection)
    else:
        tx.dialect.lock_work(tx.connection, entry["input_hash"])


def _states(tx: Transaction, entry: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    ids = [*json.loads(entry["records"]), *([] if entry["record_after"] is None else [entry["record_after"]])]
    found = [row for some in chunks(ids) for row in tx.rows(_STATES.where(RECORD.c.record_id.in_(some)))]
    return {row["record_id"]: row for row in found}


def _check_there(entry: Mapping[str, Any], ids: Sequence[int], states: Mapping[int, object]) -> None:
    gone = [str(each) for each in ids if each not in states]
    if gone:
        raise InputError(
            f"Change {entry['change_id']} cannot be undone or done again: record {', '.join(gone)} was deleted since; "
            "a backup, or importing an export, brings it back"
        )


def _revive(tx: Transaction, ids: Sequence[int], retired: str) -> int:
    """Put records in force again that were retired like this, where nothing else is; how many."""
    other = RECORD.alias("other")
    work = (other.c.workflow_id == RECORD.c.workflow_id, other.c.input_hash == RECORD.c.input_hash)
    taken = exists().where(*work, other.c.retired.is_(None))
    values = {"retired": None, "retired_at": None}
    return sum(
        tx.execute(
            update(RECORD).where(RECORD.c.record_id.in_(some), RECORD.c.retired == retired, ~taken).values(values)
        ).rowcount
        for some in chunks(ids)
    )


def _forget_invalidation(tx: Transaction, entry: Mapping[str, Any]) -> int:
    """Take back that others' records do not count here, if nobody has said so again since."""
    if entry["kind"] != str(ChangeKind.INVALIDATE):
        return 0
    here = (INVALIDATION.c.workflow_id == entry["workflow_id"], INVALIDATION.c.task_name == entry["task_name"])
    said = INVALIDATION.c.invalidated_at == entry["changed_at"]
    return int(tx.execute(delete(INVALIDATION).where(*here, said)).rowcount)


def _overtaken(tx: Transaction, workflow_id: str, task_name: str, record_id: int | None) -> str:
    what = f"Task {task_name!r} of workflow {workflow_id!r} has another answer by now"
    look = "look at it (history, changes), and decide anew"
    if record_id is None:
        return f"What task {task_name!r} of workflow {workflow_id!r} said is no longer in force; {look}"
    row = tx.rows(select(RECORD.c.person, RECORD.c.completed_at).where(RECORD.c.record_id == record_id)).one()
    who = f"{row['person']} gave it" if row["person"] is not None else "a run gave it"
    return f"{what}: {who} at {row['completed_at']:%Y-%m-%d %H:%M:%S} UTC (record {record_id}); {look}"


def _no_longer(tx: Transaction, entry: Mapping[str, Any], what: str, state: Mapping[str, Any] | None) -> str:
    number = entry["change_id"]
    if _undone(tx, [number]):
        return f"Change {number} was undone already; redo({number}) or crew-repo redo {number} makes it again"
    why = "" if state is None or state["retired"] is None else f": its record is {state['retired']}"
    return f"Change {number} {what}{why}; look at its changes and history, and change what is in force now"
