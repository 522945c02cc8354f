"""Marking a task complete that failed or never ran: a person's answer to what a crew and its inputs will ask it.

The answer is bound to the input hash that a plan computes. Where that is not known yet, since the tasks above have not
said what it reads, nothing is kept: an answer to an unknown question would be served unproven. To adopt is to give an
answer that a person gave before, when something else was asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from crew_repo import adapter
from crew_repo.errors import InputError
from crew_repo.model import Author, Change, ChangeKind, Decision
from crew_repo.runner.effects import with_effect
from crew_repo.runner.options import check_names
from crew_repo.runner.person_record import intended, person_record
from crew_repo.runner.planner import old_answer, settled_walk
from crew_repo.runner.request import Request
from crew_repo.runner.typed_answers import checked_text
from crew_repo.staleness import Current
from crew_repo.store import Store

__all__ = ["adopt", "mark_complete"]


def mark_complete(
    store: Store, request: Request, task_name: str, output: object, author: Author, *, dry_run: bool
) -> Change:
    """Record a person's answer to what this task will be asked, unless it is a dry run; what that makes run."""
    asked = _ask(store, request, task_name, "mark_complete")
    return _given(store, request, asked, output, ChangeKind.MARK_COMPLETE, author, dry_run=dry_run)


def adopt(store: Store, request: Request, task_name: str, author: Author, *, dry_run: bool) -> Change:
    """Give a person's answer that no longer applies to what this task will be asked now; what that makes run."""
    asked = _ask(store, request, task_name, "adopt")
    old = old_answer(asked.decision)
    if old is None:
        raise InputError(
            f"A plan shows no answer of a person beside task {task_name!r} ({'; '.join(asked.decision.causes)}); "
            "mark_complete gives one"
        )
    from_whom = f"taken over ({old.detail})"
    return _given(store, request, asked, old.old_text, ChangeKind.ADOPT, author, dry_run=dry_run, detail=from_whom)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A task and what it will be asked, by a plan."""

    view: adapter.TaskView
    current: Current
    context: str
    decision: Decision
    secrets: frozenset[str]


def _ask(store: Store, request: Request, task_name: str, what: str) -> _Asked:
    """Give what the task will be asked. Raises InputError where that is not known, or nothing would be served."""
    inputs = adapter.planned_inputs(request.crew, request.inputs)
    view = adapter.planned_view(request.crew, inputs, request.files)
    check_names([task_name], view.names, what)
    walk, decisions = settled_walk(store, view, request.options)
    task = view.tasks[view.names.index(task_name)]
    if walk.planner is not None and not walk.planner.fresh:
        raise InputError(
            f"It is not known yet what task {task_name!r} will be asked, since the planner of the crew has to plan it "
            f"({'; '.join(walk.planner.causes)}); run the crew, which plans before the first task"
        )
    current, context = _question(task_name, walk.asked.get(task.position), decisions[task.position])
    if getattr(task.task, "response_model", None) is not None:
        raise InputError(f"Task {task_name!r} has a response_model, whose answers only its model gives; run it")
    secrets = {*adapter.secrets_of(request.crew), *adapter.secret_inputs(view.inputs)}
    return _Asked(task, current, context, decisions[task.position], frozenset(secrets))


def _question(name: str, asked: tuple[Current, str] | None, decision: Decision) -> tuple[Current, str]:
    if decision.fresh and decision.record is not None:
        raise InputError(f"Task {name!r} has an answer to this already; override corrects it")
    why = "; ".join(decision.causes)
    if asked is None:
        raise InputError(
            f"It is not known yet what task {name!r} will be asked ({why}): run the tasks above it, or mark them "
            "complete, first"
        )
    if decision.runs_anyway:
        raise InputError(f"Task {name!r} is executed in every run, so no answer would be served ({why})")
    return asked


def _given(
    store: Store, request: Request, asked: _Asked, output: object, kind: ChangeKind, author: Author, *, dry_run: bool,
    detail: str | None = None,
) -> Change:  # fmt: skip
    text = checked_text(asked.current.task_name, output, typed=adapter.is_typed(asked.view.task))
    result = adapter.stored_answer(asked.view, text, asked.context, asked.secrets)
    new = person_record(store, _asked(request, asked.current), result, author)
    there = store.find_record(new.input_hash, new.workflow_id)
    change = with_effect(store, intended(new, kind, author, there, detail))
    if dry_run:
        return change
    number = None if there is None else there.record_id
    made = store.give(new, kind, author, instead_of=number, shown=number, detail=detail)
    return replace(made, would_run=change.would_run, may_run=change.may_run, tokens=change.tokens)


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
