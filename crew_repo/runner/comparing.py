"""Comparing two runs of a state: which two, and their records."""

from __future__ import annotations

from crew_repo.compare import compare, compared_records
from crew_repo.errors import InputError, UnknownRunError
from crew_repo.model import Diff, RunRecord
from crew_repo.pricing import Prices, priced_run
from crew_repo.runner.options import found_run, unknown_name
from crew_repo.store import Store

__all__ = ["diff"]


def diff(
    store: Store, run_a: str | RunRecord | None, run_b: str | RunRecord | None, workflow_id: str | None,
    prices: Prices | None = None,
) -> Diff:  # fmt: skip
    """The difference between two runs; for a missing one see `StateRepository.diff`."""
    found = _two_runs(store, [each for each in (run_a, run_b) if each is not None], workflow_id)
    before, after = (priced_run(run, prices) for run in found)
    return compare(before, after, store.records(compared_records(before, after)))


def _two_runs(store: Store, given: list[str | RunRecord], workflow_id: str | None) -> tuple[RunRecord, RunRecord]:
    runs = [found_run(each.run_id if isinstance(each, RunRecord) else each, store) for each in given]
    wrong = next((run for run in runs if workflow_id not in (None, run.workflow_id)), None)
    if wrong is not None:
        raise InputError(f"Run {wrong.run_id} is one of workflow {wrong.workflow_id!r}, not of {workflow_id!r}")
    return (runs[0], runs[1]) if len(runs) == 2 else _last_two(store, runs[0] if runs else None, workflow_id)


def _last_two(store: Store, until: RunRecord | None, workflow_id: str | None) -> tuple[RunRecord, RunRecord]:
    unknown = unknown_name(store, None, workflow_id)
    if unknown is not None:
        raise unknown
    newest = until or next(iter(store.list_runs(workflow_id, 1)), None)
    if newest is None:
        raise UnknownRunError(f"There is no run in {store.display_url} yet, and a difference needs two")
    found = store.list_runs(newest.workflow_id, 2, until=newest.run_id)
    if len(found) < 2:
        before = "before it" if until is not None else "but this one"
        raise UnknownRunError(
            f"Workflow {newest.workflow_id!r} has no run {before} ({newest.run_id}) in {store.display_url}; name two "
            "runs, as runs() lists them"
        )
    return found[1], found[0]
