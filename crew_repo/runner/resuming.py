"""Going on with the newest run of a workflow: its crew, and what it was given, without anything being given again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from crew_repo.errors import InputError, did_you_mean
from crew_repo.hashing import gives
from crew_repo.model import InputKind, Outcome, ReasonKind, RunInput, RunRecord, RunStatus
from crew_repo.model.wording import listed
from crew_repo.policy import TaskPolicy
from crew_repo.runner.engine import Engine
from crew_repo.runner.projects import load_project
from crew_repo.runner.request import Request
from crew_repo.settings import checked_workflow

__all__ = ["resumed"]

_ARGUMENTS = ("workflow_id", "crew", "inputs", "input_files", "force", "policies", "fire_callbacks", "dry_run")


def resumed(
    engine: Engine,
    workflow_id: str | None,
    *,
    crew: Any = None,
    inputs: Mapping[str, Any] | None = None,
    input_files: Mapping[str, Any] | None = None,
    force: bool | str | Iterable[str] = (),
    policies: Mapping[str, TaskPolicy] | None = None,
    fire_callbacks: bool = False,
    **misspelt: Any,
) -> Request:
    """The request that the newest run of a workflow was, or that of all; what is given here goes before.

    Raises InputError for a workflow without a run, a crew that is not known here, and an input that is not kept.
    """
    for name in misspelt:
        meant = did_you_mean(name, _ARGUMENTS, "arguments")
        raise TypeError(f"resume() got an unexpected keyword argument {name!r}. {meant}")
    run = _newest(engine, checked_workflow(workflow_id))
    given = dict(inputs or {})
    kept = {} if run.inputs is None and given else _kept(run, {*given, *(input_files or {})})
    found = engine.crew_of(run) if crew is None else crew
    request = engine.request(
        _loaded(run) if found is None else found,
        {**kept, **given} or None,
        input_files=input_files,
        workflow_id=run.workflow_id,
        force=force,
        policies=policies,
        fire_callbacks=fire_callbacks,
        source=run.source,
    )
    if not force:
        _say_what_was_forced(engine, run, request)
    return request


def _say_what_was_forced(engine: Engine, run: RunRecord, request: Request) -> None:
    """Warn of a forced run that was stopped: which tasks it was to execute, it has not written down."""
    from crew_repo import adapter

    forced = any(reason.kind is ReasonKind.FORCED for task in run.tasks for reason in task.reasons)
    if run.status is RunStatus.COMPLETED or not forced:
        return
    done = {task.task_name for task in run.tasks if task.outcome is Outcome.EXECUTED}
    left = [name for name in adapter.task_names(request.crew) if name not in done]
    if left:
        engine.hinting.say(
            f"Run {run.run_id} was forced, and stopped before {listed(left)}. What is stored of these is reused if it "
            "is fresh; to have them executed all the same, pass force=[...] with their names (or crew-repo run --force)"
        )


def _newest(engine: Engine, workflow_id: str | None) -> RunRecord:
    found = engine.store.list_runs(workflow_id, limit=1)
    if found:
        return found[0]
    if workflow_id is None:
        raise InputError("No run is recorded yet, so there is none to go on with; call run(crew, inputs)")
    there = did_you_mean(workflow_id, engine.store.workflow_ids(), "workflows")
    raise InputError(f"Workflow {workflow_id!r} has no run to go on with. {there}")


def _kept(run: RunRecord, given: Collection[str]) -> dict[str, Any]:
    """The inputs that are not given anew. Raises InputError, naming those that cannot be had from the state."""
    if run.inputs is None:
        raise InputError(
            f"Run {run.run_id} of workflow {run.workflow_id!r} is of an older version, which did not keep what a run "
            "was given; pass inputs=... (crew-repo: -i or --inputs)"
        )
    wanted = [each for each in run.inputs if each.name not in given]
    lacking = [f"{each.name!r} ({why})" for each in wanted if (why := _lacks(each)) is not None]
    if lacking:
        raise InputError(
            f"Run {run.run_id} of workflow {run.workflow_id!r} was given what is not stored: {', '.join(lacking)}. "
            "Give it again, in inputs= or input_files= (crew-repo: -i)"
        )
    return {each.name: each.value for each in wanted}


def _lacks(each: RunInput) -> str | None:
    """Why a value is not known; None if it is."""
    if each.kind is InputKind.FILE:
        return "a file"
    if each.kind is InputKind.WITHHELD:
        return each.why
    if each.text is None:
        return "deleted from the state"
    return None if gives(each.text, str(each.sha256)) else "changed in the state since"


def _loaded(run: RunRecord) -> Any:
    if run.source is None:
        raise InputError(
            f"Run {run.run_id} of workflow {run.workflow_id!r} was given its crew as an object, so nobody knows here "
            "where to load it from; pass crew=... (crew-repo: --project). To have it known, pass "
            "source='package.module:attribute' to run"
        )
    try:
        return load_project(run.source)[0]
    except (InputError, ImportError) as error:
        raise InputError(
            f"The crew of run {run.run_id}, from {run.source!r}, cannot be loaded here: {error}; pass crew=... "
            "(crew-repo: --project), or go on where it can"
        ) from error
