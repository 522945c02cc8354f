"""Marking a task complete that failed or never ran: a person's answer to what a crew and its inputs will ask it.

The answer is bound to the input hash that a plan computes. Where that is not known yet, since the tasks above have not
said what it reads, nothing is kept: an answer to an unknown question would be served unproven. Unless it is to be held:
then it is bound to the definition alone, and a run adopts it when it knows what the task is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from crew_repo import adapter
from crew_repo.errors import InputError
from crew_repo.model import Author, Change, ChangeKind, Decision
from crew_repo.runner.effects import with_effect
from crew_repo.runner.options import check_names
from crew_repo.runner.person_record import asked_of, person_record
from crew_repo.runner.planner import settled_walk
from crew_repo.runner.request import Request
from crew_repo.runner.tied_tasks import handed_in
from crew_repo.runner.typed_answers import checked_text
from crew_repo.staleness import Current, demanded
from crew_repo.store import Store

__all__ = ["mark_complete"]


def mark_complete(
    store: Store, request: Request, task_name: str, output: object, author: Author, *, hold: bool = False
) -> Change:
    """Record a person's answer to what this task will be asked; the entry, with what that makes run.

    `hold`: where that is not known yet, keep the answer until it is.
    """
    inputs = adapter.planned_inputs(request.crew, request.inputs)
    view = adapter.planned_view(request.crew, inputs, request.files)
    check_names([task_name], view.names, "mark_complete")
    walk, decisions = settled_walk(store, view, request.options)
    task = view.tasks[view.names.index(task_name)]
    decision, asked = decisions[task.position], walk.asked.get(task.position)
    _refuse_answered(decision)
    untold = walk.untold.get(task.position) if hold and not _hands_on(request, view.names, task.position) else None
    current, context = asked or (untold, "")
    if current is None:
        raise InputError(_unknown(decision, hold=hold))
    _refuse_unserved(current, decision)
    if getattr(task.task, "response_model", None) is not None:
        raise InputError(f"Task {task_name!r} has a response_model, whose answers only its model gives; run it")
    text = checked_text(task_name, output, typed=adapter.is_typed(task.task))
    secrets = set(adapter.secrets_of(request.crew)) | set(adapter.secret_inputs(view.inputs))
    result = adapter.stored_answer(task, text, context, secrets)
    workflow_id = request.options.workflow_id
    if asked is None:
        return store.hold(workflow_id, task_name, current.definition_hash, text, author)
    new = person_record(store, asked_of(current, workflow_id, request.crew), result, author)
    found = store.find_record(new.input_hash, new.workflow_id)
    there = None if found is None else found.record_id
    change = store.give(new, ChangeKind.MARK_COMPLETE, author, instead_of=there, shown=there)
    return with_effect(store, change)


def _refuse_answered(decision: Decision) -> None:
    if decision.fresh and decision.record is not None:
        raise InputError(f"Task {decision.task_name!r} has an answer to this already; override corrects it")


def _refuse_unserved(current: Current, decision: Decision) -> None:
    if demanded(current):
        why = "; ".join(decision.causes)
        raise InputError(
            f"Task {current.task_name!r} is executed in every run, so no answer would be served ({why})"
        )


def _hands_on(request: Request, names: Sequence[str], position: int) -> bool:
    """Whether a task shares state in memory: then it is executed beside the tasks above it, whatever is held."""
    return any(position in (each.reader, each.writer) for each in handed_in(request.crew, names, request.options))


def _unknown(decision: Decision, *, hold: bool) -> str:
    said = f"It is not known yet what task {decision.task_name!r} will be asked ({'; '.join(decision.causes)})"
    if hold:
        return f"{said}, and its answer cannot be held: its condition says no, or it shares state in memory; run it"
    first = "run the tasks above it, or mark them complete, first"
    return f"{said}: {first}; or pass hold=True, which keeps the answer until a run knows"
