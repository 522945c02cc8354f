"""Marking a task complete that failed or never ran: a person's answer to what a crew and its inputs will ask it.

The answer is bound to the input hash that a plan computes. Where that is not known yet, since the tasks above have not
said what it reads, nothing is kept: an answer to an unknown question would be served unproven.
"""

from __future__ import annotations

from typing import Any

from crew_repo import adapter
from crew_repo.errors import InputError
from crew_repo.model import Author, Change, ChangeKind, Decision
from crew_repo.runner.effects import with_effect
from crew_repo.runner.options import check_names
from crew_repo.runner.person_record import person_record
from crew_repo.runner.planner import settled_walk
from crew_repo.runner.request import Request
from crew_repo.runner.typed_answers import checked_text
from crew_repo.staleness import Current
from crew_repo.store import Store

__all__ = ["mark_complete"]


def mark_complete(store: Store, request: Request, task_name: str, output: object, author: Author) -> Change:
    """Record a person's answer to what this task will be asked; the entry, with what that makes run."""
    inputs = adapter.planned_inputs(request.crew, request.inputs)
    view = adapter.planned_view(request.crew, inputs, request.files)
    check_names([task_name], view.names, "mark_complete")
    walk, decisions = settled_walk(store, view, request.options)
    task = view.tasks[view.names.index(task_name)]
    current, context = _question(task_name, walk.asked.get(task.position), decisions[task.position])
    if getattr(task.task, "response_model", None) is not None:
        raise InputError(f"Task {task_name!r} has a response_model, whose answers only its model gives; run it")
    text = checked_text(task_name, output, typed=adapter.is_typed(task.task))
    secrets = set(adapter.secrets_of(request.crew)) | set(adapter.secret_inputs(view.inputs))
    result = adapter.stored_answer(task, text, context, secrets)
    new = person_record(store, _asked(request, current), result, author)
    found = store.find_record(new.input_hash, new.workflow_id)
    there = None if found is None else found.record_id
    change = store.give(new, ChangeKind.MARK_COMPLETE, author, instead_of=there, shown=there)
    return with_effect(store, change)


def _question(name: str, asked: tuple[Current, str] | None, decision: Decision) -> tuple[Current, str]:
    """Give what the task will be asked. Raises InputError where that is not known, or nothing would be served."""
    if decision.fresh and decision.record is not None:
        raise InputError(f"Task {name!r} has an answer to this already; override corrects it")
    why = "; ".join(decision.causes)
    if asked is None:
        raise InputError(
            f"It is not known yet what task {name!r} will be asked ({why}): run the tasks above it, or mark them "
            "complete, first"
        )
    current, _ = asked
    opaque = [each for each in current.definition.opaque if not each.elsewhere]
    if opaque or current.policy.always or current.together is not None:
        raise InputError(f"Task {name!r} is executed in every run, so no answer would be served ({why})")
    return asked


def _asked(request: Request, current: Current) -> dict[str, Any]:
    return {
        "workflow_id": request.options.workflow_id,
        "crew_name": str(request.crew.name or "crew"),
        "task_name": current.task_name,
        "position": current.position,
        "input_hash": current.input_hash,
        "definition_hash": current.definition_hash,
        "context_hash": current.context_hash,
        "occurrence": current.occurrence,
        "components": current.definition.components,
    }
