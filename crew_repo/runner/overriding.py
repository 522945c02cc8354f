"""A person's answer in place of the model's, and taking such changes back.

The answer is recorded under the input hash of the one that it corrects, and so is served for exactly that: when the
inputs of the task change, another record is looked for. The tasks that read its text are stale by what they read.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable
from functools import partial

from crew_repo.errors import ConflictError, InputError
from crew_repo.hashing import FORMAT, definition_hash, input_hash
from crew_repo.model import Author, Change, ChangeKind, NewRecord, Record, TaskState
from crew_repo.model.wording import listed
from crew_repo.runner.effects import with_effect
from crew_repo.runner.options import unknown_name
from crew_repo.runner.person_record import intended, person_record
from crew_repo.runner.typed_answers import answered
from crew_repo.secrets import masked
from crew_repo.store import Store

__all__ = ["author_of", "override", "redo", "undo"]

_LONGEST_NAME, _LONGEST_REASON = 200, 10_000


def author_of(by: object, reason: object) -> Author:
    """Who makes a change, by default who is logged in, and why. What looks like a key is masked in both."""
    named = _login() if by is None else _said("by", by, "who makes this change", _LONGEST_NAME)
    why = None if reason is None else _said("reason", reason, "why, in a sentence", _LONGEST_REASON)
    return Author(named, why)


def override(
    store: Store, task_name: str, output: object, workflow_id: str | None, author: Author, *, instead_of: object,
    dry_run: bool,
) -> Change:  # fmt: skip
    """Record a person's answer to what a task was asked last, unless it is a dry run; what that changes."""
    state = _shown_state(store, task_name, workflow_id)
    looked_at = _number_of(instead_of)
    if looked_at not in (None, state.record_id):
        raise ConflictError(
            f"Task {task_name!r} of workflow {state.workflow_id!r} has another answer than record {looked_at} by now: "
            f"record {state.record_id}. Look at it (history, changes), and decide anew"
        )
    before = _usable(store, state)
    asked = {name: getattr(before, name) for name in NewRecord.__slots__}
    asked.update(workflow_id=state.workflow_id, task_name=state.task_name, position=state.position)
    new = person_record(store, asked, answered(before, output), author)
    if dry_run:
        return with_effect(store, intended(new, ChangeKind.OVERRIDE, author, before))
    in_force = store.find_record(new.input_hash, new.workflow_id)
    live = in_force.record_id if in_force is not None else None
    return with_effect(
        store, store.give(new, ChangeKind.OVERRIDE, author, instead_of=live, shown=before.record_id)
    )


def undo(store: Store, change: object, author: Author, *, dry_run: bool = False) -> Change:
    """Take a change back, unless it is a dry run; what that changes."""
    return _swapped(store, partial(store.undo, dry_run=dry_run), change, author)


def redo(store: Store, change: object, author: Author, *, dry_run: bool = False) -> Change:
    """Make a change again, unless it is a dry run; what that changes."""
    return _swapped(store, partial(store.redo, dry_run=dry_run), change, author)


def _swapped(store: Store, swap: Callable[[int, Author], Change], change: object, author: Author) -> Change:
    number = change.change_id if isinstance(change, Change) else change
    if type(number) is not int:
        raise InputError(f"change is {change!r}; give an entry that was made, as changes() lists them, or its number")
    return with_effect(store, swap(number, author))


def _shown_state(store: Store, task_name: str, workflow_id: str | None) -> TaskState:
    """The state of the one task that is meant, which has an answer."""
    found = store.states(workflow_id, task_name=task_name)
    if not found:
        deleted = f"The row of task {task_name!r} was deleted from task_state, and its answer with it; run it again"
        raise unknown_name(store, task_name, workflow_id) or InputError(deleted)
    if len(found) > 1:
        several = listed([repr(state.workflow_id) for state in found], 5)
        raise InputError(f"Task {task_name!r} is in {len(found)} workflows; pass workflow_id, one of: {several}")
    (state,) = found
    if state.status == "running":
        raise InputError(
            f"Task {task_name!r} of workflow {state.workflow_id!r} is being executed by run {state.run_id}; "
            "correct its answer when that has ended"
        )
    if state.record_id is None:
        raise InputError(
            f"Task {task_name!r} of workflow {state.workflow_id!r} has no answer that could be corrected: "
            f"it is {state.status}. Run it first, or give one: mark_complete (crew-repo mark-complete)"
        )
    return state


def _usable(store: Store, state: TaskState) -> Record:
    """The record that is shown, if a person's answer could be found by what it was asked."""
    record = store.record(state.record_id or 0)
    if record is None:
        raise InputError(f"The answer of task {state.task_name!r} was deleted just now; run it again")
    if record.hash_format != FORMAT:
        raise InputError(
            f"The answer of task {record.task_name!r} has hash format {record.hash_format}, and this version looks for "
            f"{FORMAT}: run it once, and correct what it says then"
        )
    defined = definition_hash(record.components)
    if (defined, input_hash(defined, record.context_hash, record.occurrence)) != (
        record.definition_hash, record.input_hash
    ):  # fmt: skip
        raise InputError(
            f"Record {record.record_id} of task {record.task_name!r} was damaged, so nobody knows what it answers; "
            "verify says how. Run the task again"
        )
    return record


def _number_of(looked_at: object) -> int | None:
    """The number of a record, given as such, or as what has one."""
    found = getattr(looked_at, "record", looked_at)
    number = found.record_id if isinstance(found, Record) else found
    if number is not None and type(number) is not int:
        raise InputError(f"instead_of is {looked_at!r}; give what get_output returned, a record, or its number")
    return number


def _said(name: str, given: object, wanted: str, longest: int) -> str:
    if not isinstance(given, str) or not given.strip():
        raise InputError(f"{name} is {given!r}; give a text: {wanted}")
    if len(given) > longest:
        raise InputError(f"{name} has {len(given):,} characters; give at most {longest:,}")
    return masked(given.strip())


def _login() -> str:
    """The name of who is logged in; "unknown" in a container that has no name for its user, and where none is told."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError, AttributeError):  # each of them on some system
        return "unknown"
