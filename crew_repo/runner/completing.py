"""Marking a task complete that failed or never ran: a person's answer to what a crew and its inputs will ask it.

The answer is bound to the input hash that a plan computes. Where that is not known yet, since the tasks above have not
said what it reads, nothing is kept: an answer to an unknown question would be served unproven. Unless it is to be held:
then it is bound to the definition alone, and a run adopts it when it knows what the task is asked. To adopt is to give
an answer that a person gave before, when something else was asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from crew_repo import adapter
from crew_repo.errors import InputError
from crew_repo.export_files import Answer
from crew_repo.hashing import looking
from crew_repo.model import HELD, Author, Change, ChangeKind, Decision, Given, StoredResult, ToHold
from crew_repo.runner.effects import with_effect
from crew_repo.runner.hinting import Hinting
from crew_repo.runner.options import check_names, utc_now
from crew_repo.runner.person_record import asked_of, intended, person_record
from crew_repo.runner.planner import Walk, old_answer, settled_walk
from crew_repo.runner.request import Request
from crew_repo.runner.tied_tasks import handed_in
from crew_repo.runner.typed_answers import checked_text
from crew_repo.secrets import masked
from crew_repo.staleness import Current, demanded
from crew_repo.store import Store

__all__ = ["adopt", "import_answers", "mark_complete"]


def mark_complete(
    store: Store, request: Request, task_name: str, output: object, author: Author, *, hinting: Hinting,
    hold: bool = False, dry_run: bool = False,
) -> Change:  # fmt: skip
    """Record a person's answer to what this task will be asked, unless it is a dry run; what that makes run.

    `hold`: where that is not known yet, keep the answer until it is.
    """
    view = _view(request, hinting)
    check_names([task_name], view.names, "mark_complete")
    (given,), _ = _bound(store, request, view, {task_name: Answer(output)}, author, hold=hold)
    return _put(store, given, ChangeKind.MARK_COMPLETE, author, dry_run=dry_run)


@looking()
def adopt(
    store: Store, request: Request, task_name: str, author: Author, *, hinting: Hinting, dry_run: bool
) -> Change:
    """Give a person's answer that no longer applies to what this task will be asked now; what that makes run."""
    view = _view(request, hinting)
    check_names([task_name], view.names, "adopt")
    walk, decisions = settled_walk(store, view, request.options)
    at = view.names.index(task_name)
    asked = walk.asked.get(at)
    _served(walk, decisions[at], None if asked is None else asked[0], hold=False)
    old = old_answer(decisions[at])
    if old is None:
        raise InputError(
            f"A plan shows no answer of a person beside task {task_name!r} ({'; '.join(decisions[at].causes)}); "
            "mark_complete gives one"
        )
    (given,), _ = _bound(store, request, view, {task_name: Answer(old.old_text)}, author, hold=False)
    return _put(store, replace(given, detail=f"taken over ({old.detail})"), ChangeKind.ADOPT, author, dry_run=dry_run)


def _put(store: Store, given: Given | ToHold, kind: ChangeKind, author: Author, *, dry_run: bool) -> Change:
    """Put one answer in force, or hold it, unless it is a dry run; the entry with what that makes run."""
    if isinstance(given, ToHold):
        return _to_be_held(given, author) if dry_run else store.complete([given], author)[0]
    there = None if given.instead_of is None else store.record(given.instead_of)
    change = with_effect(store, intended(given.new, kind, author, there, given.detail))
    if dry_run:
        return change
    made = store.give(given.new, kind, author, instead_of=given.instead_of, shown=given.instead_of,
                      detail=given.detail)  # fmt: skip
    return replace(made, would_run=change.would_run, may_run=change.may_run, tokens=change.tokens)


def _to_be_held(given: ToHold, author: Author) -> Change:
    return Change(
        kind=ChangeKind.MARK_COMPLETE,
        changed_at=utc_now(),
        by=author.by,
        reason=author.reason,
        workflow_id=given.workflow_id,
        task_name=given.task_name,
        after=given.output,
        detail=HELD,
    )


def import_answers(
    store: Store, request: Request, answers: Mapping[str, Answer], author: Author, *, hinting: Hinting, hold: bool
) -> tuple[list[Change], list[str]]:
    """Record answers by the names of their tasks, all or none; the entries, and the tasks that have one already."""
    view = _view(request, hinting)
    ordered = {name: answers[name] for name in view.names if name in answers}
    given, answered = _bound(store, request, view, ordered, author, hold=hold, leave_answered=True)
    return store.complete(given, author), answered


def _view(request: Request, hinting: Hinting) -> adapter.CrewView:
    """The crew as it will be asked. What its author may not mean is said, as before a run: forgotten inputs."""
    inputs, files = request.planned()
    view = adapter.planned_view(request.crew, inputs, files)
    hinting.about_inputs(replace(request, inputs=inputs), view)
    return view


@looking()
def _bound(
    store: Store, request: Request, view: adapter.CrewView, answers: Mapping[str, Answer], author: Author,
    *, hold: bool, leave_answered: bool = False,
) -> tuple[list[Given | ToHold], list[str]]:  # fmt: skip
    """Check answers to tasks of this crew, in their order, and bind each to what its task is or will be asked."""
    adapter.take_up(view, adapter.Memo())  # before the classes of the answers read them
    results = {name: _checked(request, view, name, answer.output) for name, answer in answers.items()}
    walk, decisions = settled_walk(store, view, request.options, supposed=results)
    answered = [name for name in results if leave_answered and _is_answered(decisions[view.names.index(name)])]
    given: list[Given | ToHold] = []
    for name in (name for name in results if name not in answered):
        at, detail = view.names.index(name), _detail(answers[name])
        asked = walk.asked.get(at)
        untold = walk.untold.get(at) if hold and not _hands_on(request, view.names, at) else None
        current = _served(walk, decisions[at], untold if asked is None else asked[0], hold=hold)
        if asked is None:
            given.append(
                ToHold(request.options.workflow_id, name, current.definition_hash, results[name].raw, detail)
            )
            continue
        question = asked_of(current, request.options.workflow_id, request.crew)
        new = person_record(store, question, results[name], author)
        found = store.find_record(new.input_hash, new.workflow_id)
        given.append(Given(new, None if found is None else found.record_id, detail))
    return given, answered


def _detail(answer: Answer) -> str | None:
    if answer.completed_at is None:
        return None
    return f"imported, said to be completed at {masked(answer.completed_at)}"


def _is_answered(decision: Decision) -> bool:
    return decision.fresh and decision.record is not None


def _checked(request: Request, view: adapter.CrewView, name: str, output: object) -> StoredResult:
    """The stored form of an answer. Raises InputError for one that is none."""
    task = view.tasks[view.names.index(name)]
    if getattr(task.task, "response_model", None) is not None:
        raise InputError(f"Task {name!r} has a response_model, whose answers only its model gives; run it")
    text = checked_text(name, output, typed=adapter.is_typed(task.task))
    secrets = set(adapter.secrets_of(request.crew)) | set(adapter.secret_inputs(view.inputs))
    return adapter.stored_answer(task, text, "", secrets)


def _served(walk: Walk, decision: Decision, current: Current | None, *, hold: bool) -> Current:
    """Give what an answer is bound to. Raises InputError where that is not known, or it would not be served."""
    name, why = decision.task_name, "; ".join(decision.causes)
    if _is_answered(decision):
        raise InputError(f"Task {name!r} has an answer to this already; override corrects it")
    if current is None:
        raise InputError(_unknown(name, why, walk.planner, hold=hold))
    if demanded(current):
        raise InputError(f"Task {name!r} is executed in every run, so no answer would be served ({why})")
    return current


def _hands_on(request: Request, names: Sequence[str], position: int) -> bool:
    """Whether a task shares state in memory: then it is executed beside the tasks above it, whatever is held."""
    return any(position in (each.reader, each.writer) for each in handed_in(request.crew, names, request.options))


def _unknown(name: str, why: str, planner: Decision | None, *, hold: bool) -> str:
    if planner is not None and not planner.fresh:
        return (
            f"It is not known yet what task {name!r} will be asked, since the planner of the crew has to plan it "
            f"({'; '.join(planner.causes)}); run the crew, which plans before the first task"
        )
    said = f"It is not known yet what task {name!r} will be asked ({why})"
    if hold:
        return f"{said}, and its answer cannot be held: its condition says no, or it shares state in memory; run it"
    first = "run the tasks above it, or mark them complete, first"
    return f"{said}: {first}; or pass hold=True, which keeps the answer until a run knows"
