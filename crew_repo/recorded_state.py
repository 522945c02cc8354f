"""A recorded state: asking what was done, and keeping what is stored in order. No crew is needed for any of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crew_repo.model import PLANNER, Change, Listing, Problem, PruneReport, Record, RunRecord, TaskState
from crew_repo.settings import check_limits, checked_name, checked_workflow

if TYPE_CHECKING:
    from crewai import Crew

    from crew_repo.policy import TaskPolicy
    from crew_repo.runner.engine import Engine
    from crew_repo.store import Store

__all__ = ["RecordedState", "StoredOutput"]


class StoredOutput(str):
    """A stored output: the raw text itself, with `record` for everything that is kept of it."""

    __slots__ = ("record",)
    record: Record

    @property
    def raw(self) -> str:
        """The raw text."""
        return str(self)

    @property
    def json_dict(self) -> Any:
        """The JSON output of a task with `output_json`, with dates and decimals as JSON has them; else None."""
        import json

        stored = json.loads(self.record.result.json_dict_json or "null")
        if isinstance(stored, list):  # what the task's own class has to read: see adapter.outputs
            return stored[1] if len(stored) > 1 else None
        return stored

    @property
    def pydantic_json(self) -> str | None:
        """The pydantic output as JSON text; the class itself is the crew's, and is rebuilt only in a run."""
        return self.record.result.pydantic_json


class RecordedState:
    """The part of a StateRepository that reads and keeps what runs have recorded."""

    _engine: Engine
    _store: Store

    def get_output(self, task_name: str, workflow_id: str | None = None) -> StoredOutput | None:
        """The present output of a task, or None if there is none. Without a workflow: the newest of any."""
        record = self._store.shown_record(checked_name(task_name), checked_workflow(workflow_id))
        if record is None:
            self._engine.hinting.about_names(task_name, workflow_id)
            return None
        output = StoredOutput(record.result.raw)
        output.record = record
        return output

    def history(self, task_name: str, workflow_id: str | None = None) -> list[Record]:
        """Every record of a task, newest first, also those that are no longer served."""
        found = self._store.history(checked_name(task_name), checked_workflow(workflow_id))
        if not found:
            self._engine.hinting.about_names(task_name, workflow_id)
        return Listing(found)

    def runs(self, workflow_id: str | None = None, *, limit: int | None = None) -> list[RunRecord]:
        """The runs, newest first. A run whose process was killed is "interrupted"."""
        found = self._store.list_runs(checked_workflow(workflow_id), limit)
        if not found:
            self._engine.hinting.about_names(None, workflow_id)
        return Listing(found)

    def show(self, run_id: str) -> RunRecord:
        """One run with all its tasks. Raises UnknownRunError if there is none of that ID."""
        from crew_repo.runner.options import found_run

        return found_run(run_id, self._store)

    def tasks(self, workflow_id: str | None = None) -> list[TaskState]:
        """The present state of every task: the rows of `task_state`, but for the planner's, which is no task."""
        states = self._store.states(checked_workflow(workflow_id))
        return Listing(state for state in states if state.task_name != PLANNER)

    def invalidate(
        self,
        task_name: str | Iterable[str],
        workflow_id: str | None = None,
        *,
        downstream: bool = False,
        by: str | None = None,
        reason: str | None = None,
    ) -> int:
        """Retire the records of a task, so that it executes in the next run; how many were retired.

        `downstream` retires those of the tasks after it too, as far as they read it. Without a workflow: in all.
        Where workflows share their records, it executes here next even if others have an equal one. `by` and `reason`
        say who does it and why, in an entry of `changes()` for each task, which can be undone.
        Raises UnknownTaskError with the names that are stored.
        """
        from crew_repo.explain import with_downstream
        from crew_repo.runner.options import check_names, names_in
        from crew_repo.runner.overriding import author_of

        author = author_of(by, reason)
        names = names_in(task_name, "task_name")
        check_names(names, self._store.task_names(checked_workflow(workflow_id)), "invalidate")
        if not downstream:
            return self._store.invalidate({workflow_id: names}, author)
        workflows = [workflow_id] if workflow_id is not None else self._store.workflow_ids()
        reached: dict[str | None, list[str]] = {
            each: with_downstream(names, self._store.heads(each)) for each in workflows
        }
        return self._store.invalidate(reached, author)

    def override(
        self,
        task_name: str,
        output: Any,
        *,
        workflow_id: str | None = None,
        by: str | None = None,
        reason: str | None = None,
        instead_of: StoredOutput | Record | int | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Give a person's answer in place of the one that a task has; the entry in `changes()`, with what will run.

        It is served by the next run, and by every later one in which the task is asked exactly what it was asked now:
        its definition, inputs and context. When these change it stops to apply, and a plan shows its text beside. The
        tasks below run as far as they read a text that has changed.

        - `output`: the text; of a typed output its JSON, as a text or a dict, checked against the stored schema.
        - `by`, `reason`: who says so (by default who is logged in) and why.
        - `instead_of`: what was looked at (from `get_output`), so that no other answer is replaced unseen.
        - `dry_run`: only say what would run.

        Raises UnknownTaskError for a task that is not there, ConflictError if another answer came first, and InputError
        for a task without an answer, or an output that is none: empty, no text, of another type, with a key in it.
        """
        from crew_repo.runner.overriding import author_of, override

        name, workflow = checked_name(task_name), checked_workflow(workflow_id)
        author = author_of(by, reason)
        return override(self._store, name, output, workflow, author, instead_of=instead_of, dry_run=dry_run)

    def mark_complete(
        self,
        task_name: str,
        output: Any,
        *,
        crew: Crew,
        inputs: Mapping[str, Any] | None = None,
        input_files: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        policies: Mapping[str, TaskPolicy] | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> Change:
        """Give a person's answer to a task that failed or never ran; the entry in `changes()`.

        It is bound to what this crew will ask the task with these inputs, as `plan` finds it out, and served for
        nothing else. A typed output is read by the task's own class. No model is called.

        Raises InputError where that is not known yet, since a task above has no answer; for a task that has an answer
        (see `override`), or runs every time; and for an output that is none. UnknownTaskError for a name that the crew
        does not have.
        """
        from crew_repo.runner.completing import mark_complete
        from crew_repo.runner.overriding import author_of

        author = author_of(by, reason)
        request = self._engine.request(
            crew, inputs, input_files=input_files, workflow_id=workflow_id, policies=policies
        )
        return mark_complete(self._store, request, checked_name(task_name), output, author)

    def undo(self, change: Change | int, *, by: str | None = None, reason: str | None = None) -> Change:
        """Take back an override or an invalidation: what was in force before is again; the entry that says so.

        Raises UnknownChangeError if there is no such entry, ConflictError if it is no longer in force, and InputError
        for what cannot be taken back: a pruning, or a change whose records were deleted since.
        """
        from crew_repo.runner.overriding import author_of, undo

        return undo(self._store, change, author_of(by, reason))

    def redo(self, change: Change | int, *, by: str | None = None, reason: str | None = None) -> Change:
        """Make a change again that was undone; the entry that says so. Raises the errors of `undo`."""
        from crew_repo.runner.overriding import author_of, redo

        return redo(self._store, change, author_of(by, reason))

    def changes(
        self, task_name: str | None = None, workflow_id: str | None = None, *, limit: int | None = None
    ) -> list[Change]:
        """The changes that people made, newest first: who, when, why, before, after. Entries are only ever added."""
        name = None if task_name is None else checked_name(task_name)
        found = self._store.changes(name, checked_workflow(workflow_id), limit=limit)
        if not found:
            self._engine.hinting.about_names(task_name, workflow_id)
        return Listing(found)

    def run_count(self, workflow_id: str | None = None) -> int:
        """How many runs there were of a workflow, or of all, without loading them; pruned ones count too.

        It is the `ordinal` of the newest run: "run #3 of CLM-0117".
        """
        return self._store.run_count(checked_workflow(workflow_id))

    def verify(self) -> list[Problem]:
        """Every record whose stored parts do not give its hashes again. Empty: all is as it was written."""
        return self._store.verify()

    def prune(
        self,
        *,
        keep_last: int | None = None,
        older_than: timedelta | None = None,
        dry_run: bool | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> PruneReport:
        """Delete old records and what only they need, and give the space back; what was, or would be, deleted.

        - `keep_last`: how many records to keep per task and workflow.
        - `older_than`: delete only what is older.
        - `dry_run`: only say what would be deleted. Without any argument nothing is deleted either;
          `prune(dry_run=False)` deletes the records that may not be served any more.
        - `by`, `reason`: who does it and why, for the entry in `changes()`. It cannot be undone.

        Raises InputError for a negative number or age.
        """
        from crew_repo.runner.overriding import author_of

        check_limits(keep_last, older_than)
        unsaid = keep_last is None and older_than is None and dry_run is None
        only_said = unsaid or bool(dry_run)
        author = author_of(by, reason)
        report = self._store.prune(keep_last=keep_last, older_than=older_than, dry_run=only_said, author=author)
        if unsaid:
            self._engine.hinting.say(
                f"prune() without arguments {report}. These are what may not be served any more: prune(dry_run=False) "
                "deletes it. prune(keep_last=3) keeps three records of each task, prune(older_than=timedelta(days=90)) "
                "deletes what was not used since then."
            )
        return report

    def backup(self, file: str | os.PathLike[str]) -> Path:
        """Copy the state file into a new file, also while runs go on; the path of the copy, which opens like any state.

        The copy has everything that was recorded by now, of runs that go on too. Only this user may read it (mode
        600), and it is complete or not there. Raises StoreError if the file is there already, if it cannot be written,
        or if the state is not a file but on a server.
        """
        target = Path(file).expanduser().absolute()
        self._store.copy(target)
        return target

    def export_json(self, file: str | os.PathLike[str] | None = None) -> str:
        """All records and runs as JSON lines; also written to `file` (mode 600) if one is given."""
        from crew_repo.export_files import write_private

        text = "".join(self._store.export_json())
        if file is not None:
            write_private(Path(file), text)
        return text

    def import_json(self, source: str | os.PathLike[str]) -> int:
        """Take over what `export_json` gave (its text, or a file); how many records were new here.

        Raises ImportFormatError if it is not an export, or a record in it does not match its hashes.
        """
        from crew_repo.export_files import read_export

        return self._store.import_json(read_export(source))
