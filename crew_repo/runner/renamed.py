"""Whether a workflow that has no records goes on, under a new name, with the work of another one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from shlex import quote

from crew_repo.model import Decision, ReasonKind
from crew_repo.model.wording import listed
from crew_repo.runner.options import RunOptions
from crew_repo.staleness import Current
from crew_repo.store import Store
from crew_repo.store.current import workflow_with_all

__all__ = ["answered_elsewhere"]

_MOST = 100  # questions
_FIRST_TIME = {ReasonKind.NEVER_RAN, ReasonKind.CONDITION}


def answered_elsewhere(
    store: Store, options: RunOptions, decisions: Sequence[Decision], asked: Collection[Current]
) -> Iterator[str]:
    """A sentence if no task ever ran here, and another workflow has answers to all that is known to be asked."""
    first_time = all(_FIRST_TIME & {reason.kind for reason in decision.reasons} for decision in decisions)
    if options.share or not asked or not first_time:
        return
    hashes = [current.input_hash for current in asked][:_MOST]
    elsewhere = store.asked(lambda query: workflow_with_all(query, hashes))
    if elsewhere is not None:
        names = listed([repr(current.task_name) for current in asked], 3)
        yield (
            f"Workflow {options.workflow_id!r} has no record yet, and workflow {elsewhere!r} has the answer to exactly "
            f"what is asked of {names}. If it was renamed, pass workflow_id={elsewhere!r} (crew-repo: --workflow "
            f"{quote(elsewhere)}). To reuse answers of all workflows, pass share_across_workflows=True to "
            "StateRepository."
        )

