"""The recorded state: what was done, and how to keep it in order. Nothing here needs a crew."""

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
    """The output of a task as a text. Its `record` has all that is stored with it."""

    __slots__ = ("record",)
    record: Record

    @property
    def raw(self) -> str:
        """The raw text."""
        return str(self)

    @property
    def json_dict(self) -> Any:
        """The JSON output of a task with `output_json`, else None. Dates and decimals are as JSON has them."""
        import json

        stored = json.loads(self.record.result.json_dict_json or "null")
        if isinstance(stored, list):  # what the task's own class has to read: see adapter.outputs
            return stored[1] if len(stored) > 1 else None
        return stored

    @property
    def pydantic_json(self) -> str | None:
        """The pydantic output as JSON text, or None. Only a run of the crew makes an object of your class from it."""
        return self.record.result.pydantic_json


class RecordedState:
    """The part of a StateRepository that reads and keeps what runs have recorded."""

    _engine: Engine
    _store: Store

    def get_output(self, task_name: str, workflow_id: str | None = None) -> StoredOutput | None:
        """The present output of a task, or None. Without a workflow_id: the newest of all workflows."""
        record = self._store.shown_record(checked_name(task_name), checked_workflow(workflow_id))
        if record is None:
            self._engine.hinting.about_names(task_name, workflow_id)
            return None
        output = StoredOutput(record.result.raw)
        output.record = record
        return output

    def history(self, task_name: str, workflow_id: str | None = None) -> list[Record]:
        """Every record of a task, newest first. Records that are no longer reused are among them."""
        found = self._store.history(checked_name(task_name), checked_workflow(workflow_id))
        if not found:
            self._engine.hinting.about_names(task_name, workflow_id)
        return Listing(found)

    def runs(self, workflow_id: str | None = None, *, limit: int | None = None) -> list[RunRecord]:
        """The runs, newest first. A run whose process was killed has the status "interrupted"."""
        found = self._store.list_runs(checked_workflow(workflow_id), limit)
        if not found:
            self._engine.hinting.about_names(None, workflow_id)
        return Listing(found)

    def show(self, run_id: str) -> RunRecord:
        """One run with all its tasks. Raises UnknownRunError if no run has that ID."""
        from crew_repo.runner.options import found_run

        return found_run(run_id, self._store)

    def tasks(self, workflow_id: str | None = None) -> list[TaskState]:
        """The present state of every task, as in the table `task_state`, without CrewAI's planner."""
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
        """Make the next run execute a task: its records are kept, but no longer reused. Returns how many these were.

        An answer that is held for it (see `mark_complete`) is held no longer.
        `downstream=True` does so also for the tasks that read its answer. Without a workflow_id it is done in every
        workflow. The task then executes even if another workflow shares a record that answers it. `by` and `reason` say
        who does it and why. Each task gets an entry in `changes()`, which can be undone.
        Raises UnknownTaskError, which lists the names that are stored.
        """
        from crew_repo.explain import with_downstream
        from crew_repo.runner.options import check_names, names_in
        from crew_repo.runner.overriding import author_of

        author = author_of(by, reason)
        names = names_in(task_name, "task_name")
        known = self._store.task_names(checked_workflow(workflow_id))
        check_names(names, dict.fromkeys([*known, *self._store.held_tasks(workflow_id)]), "invalidate")
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
        hold: bool = False,
    ) -> Change:
        """Give a person's answer to a task that failed or never ran; the entry in `changes()`.

        It is bound to what this crew will ask the task with these inputs, as `plan` finds it out, and served for
        nothing else. A typed output is read by the task's own class. No model is called.

        `hold`: where that is not known yet, keep the answer. The next run that asks the task adopts it, whatever the
        tasks above have said, unless a stored answer is served; an entry says so. If the task, its agent or its own
        inputs differ by then, it stays held, and a plan shows its text. It can be undone as long as it is held; later
        that undoes its adoption, after which the task runs, and nothing is held. Its age (`max_age`) counts from now.

        Raises InputError where that is not known yet, since a task above has no answer, without `hold`; for a task that
        has an answer (see `override`), or runs every time; and for an output that is none. UnknownTaskError for a name
        that the crew does not have, ConflictError if an answer to the same is held already.
        """
        from crew_repo.runner.completing import mark_complete
        from crew_repo.runner.overriding import author_of

        author = author_of(by, reason)
        request = self._engine.request(
            crew, inputs, input_files=input_files, workflow_id=workflow_id, policies=policies
        )
        return mark_complete(self._store, request, checked_name(task_name), output, author, hold=hold)

    def import_state(
        self,
        source: str | os.PathLike[str] | Mapping[str, Any],
        *,
        crew: Crew,
        inputs: Mapping[str, Any] | None = None,
        input_files: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        policies: Mapping[str, TaskPolicy] | None = None,
        by: str | None = None,
        reason: str | None = None,
        hold: bool = False,
        names: Mapping[str, str] | None = None,
    ) -> list[Change]:
        """Take over the JSON file in which a script has kept its answers, or the dict in it; the entries.

        `{"completed_tasks": {name: text, other: {"output": text, "completed_at": time}}, "run_count": n}`: each answer
        is that of `mark_complete`, in the order of the crew's tasks, all of them or none. You say by that that they
        answer this crew with these inputs, which no file says. `names` has the crew's name for a name of the file,
        such as `{"analyze_task": "task-01"}`. `hold` is for tasks above which one has no answer.

        A task that has an answer is left as it is, and the log says so. A `completed_at` is kept in the entry: the
        record dates from now. The run_count is not taken over.

        Raises ImportFormatError for a file that is none, UnknownTaskError for a name that the crew does not have, and
        the errors of `mark_complete`.
        """
        from crew_repo.runner.importing import import_state
        from crew_repo.runner.overriding import author_of

        author, engine = author_of(by, reason), self._engine
        request = engine.request(crew, inputs, input_files=input_files, workflow_id=workflow_id, policies=policies)
        return Listing(
            import_state(self._store, request, source, author, hold=hold, names=names, hinting=engine.hinting)
        )

    def undo(self, change: Change | int, *, by: str | None = None, reason: str | None = None) -> Change:
        """Take back an answer or an invalidation: what was in force or held before is again; the entry that says so.

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
        """Find damaged records: they are no longer what was written. An empty list says that all is well."""
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
        """Delete old records and free their space. Returns what was deleted, or would be.

        - `keep_last`: how many records to keep per task and workflow.
        - `older_than`: delete only records that were not used for so long. A task that has none left runs again.
        - `dry_run`: only say what would be deleted. Without any argument nothing is deleted either.
          `prune(dry_run=False)` deletes the records that are no longer reused.
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
                f"prune() without arguments {report}. These are no longer reused: prune(dry_run=False) deletes them. "
                "prune(keep_last=3) keeps three records of each task. prune(older_than=timedelta(days=90)) deletes "
                "records that were not used for 90 days."
            )
        return report

    def backup(self, file: str | os.PathLike[str]) -> Path:
        """Copy the state into a new file, also while runs go on. Returns its path.

        The copy opens like any state, and has everything that was recorded by now. It is complete, or it is not there.
        Only you may read it (mode 600). Raises StoreError if the file is there already, if it cannot be written, or if
        the state is on a server.
        """
        target = Path(file).expanduser().absolute()
        self._store.copy(target)
        return target

    def export_json(self, file: str | os.PathLike[str] | None = None) -> str:
        """Return all records and runs as JSON lines. If `file` is given, write them there too (mode 600)."""
        from crew_repo.export_files import write_private

        text = "".join(self._store.export_json())
        if file is not None:
            write_private(Path(file), text)
        return text

    def import_json(self, source: str | os.PathLike[str]) -> int:
        """Add what `export_json` gave: its text, or a file with it. Returns how many records were new here.

        Raises ImportFormatError if it is no export, or if a record in it is damaged. Nothing is added then.
        """
        from crew_repo.export_files import read_export

        return self._store.import_json(read_export(source))
