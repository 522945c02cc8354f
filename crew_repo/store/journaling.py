"""Keeping what was answered inside tasks that have not finished: each method is one transaction."""

from __future__ import annotations

from crew_repo.model import KeptCall, KeptCalls, Lease
from crew_repo.store import calls
from crew_repo.store.opened import OpenedState

__all__ = ["JournalStore"]


class JournalStore(OpenedState):
    """Keeps calls inside tasks, finds them, and forgets them."""

    def keep_call(self, lease: Lease, task_name: str, call: KeptCall) -> bool:
        """Keep an answer inside a task, as long as its lease is held; whether it is kept.

        A power cut may cost it, which costs the same call again; a kill does not.
        """
        with self._database.adding() as tx:
            kept = calls.keep_call(tx, lease, task_name, call)
        return kept() is not None

    def take_over_calls(self, lease: Lease, task_name: str, work: str) -> None:
        """Go on with what is kept of another work of this task: it is dropped with this one's."""
        with self._writing() as tx:
            calls.take_over_calls(tx, lease, task_name, work)

    def drop_calls(self, lease: Lease, task_name: str, *, first: int | None = None) -> None:
        """Forget what is kept of a task; with `first`, of this work alone, the call with that number and all after."""
        with self._writing() as tx:
            if first is None:
                calls.forget_calls(tx, lease.workflow_id, task_name, lease.input_hash)
            else:
                calls.drop_calls_from(tx, lease, task_name, first)

    def wipe(self) -> None:
        """Leave nothing behind of what was dropped, beside the file too."""
        self._database.wipe()

    def kept_calls(self, workflow_id: str, task_name: str, work: str) -> list[KeptCall]:
        """Find the answers inside a task that has not finished, but for those of what others are executing."""
        with self._reading() as tx:
            return calls.kept_calls(tx, workflow_id, task_name, work)

    def resumable(self, workflow_id: str) -> dict[tuple[str, str], KeptCalls]:
        """How much is kept of each task of a workflow that nobody is executing, by name and hash of the work."""
        with self._reading() as tx:
            return calls.summed_up(tx, workflow_id)
