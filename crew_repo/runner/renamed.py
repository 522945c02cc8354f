"""Whether a workflow that has no records goes on, under a new name, with the work of another one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from shlex import quote
from typing import TYPE_CHECKING

from crew_repo.model import Decision, ReasonKind
from crew_repo.model.wording import listed
from crew_repo.runner.options import RunOptions
from crew_repo.staleness import Current
from crew_repo.store import Store

if TYPE_CHECKING:
    from crew_repo.store.current import Query

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
    elsewhere = store.asked(partial(_with_all, hashes=[current.input_hash for current in asked][:_MOST]))
    if elsewhere is not None:
        names = listed([repr(current.task_name) for current in asked], 3)
        yield (
            f"Workflow {options.workflow_id!r} has no record yet, and workflow {elsewhere!r} has the answer to exactly "
            f"what is asked of {names}. If it was renamed, pass workflow_id={elsewhere!r} (crew-repo: --workflow "
            f"{quote(elsewhere)}). To reuse answers of all workflows, pass share_across_workflows=True to "
            "StateRepository."
        )


def _with_all(query: Query, hashes: Sequence[str]) -> str | None:
    """The workflow with a record for each of these input hashes, the newest of several."""
    given = {f"v{at}": value for at, value in enumerate(dict.fromkeys(hashes))}
    these = ", ".join(f":{name}" for name in given)
    found = query(
        f"""SELECT workflow_id FROM record WHERE retired IS NULL AND input_hash IN ({these})
            GROUP BY workflow_id HAVING COUNT(*) = :all_of_them ORDER BY MAX(record_id) DESC LIMIT 1""",  # noqa: S608
        all_of_them=len(given), **given,
    )  # fmt: skip
    return found[0]["workflow_id"] if found else None
