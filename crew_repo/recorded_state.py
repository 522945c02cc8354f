"""The recorded state: what was done, and how to keep it in order. Nothing here needs a crew."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crew_repo.model import PLANNER, Diff, Listing, Problem, PruneReport, Record, RunRecord, TaskState
from crew_repo.model.record import values_in
from crew_repo.pricing import priced_run
from crew_repo.settings import check_limits, checked_limit, checked_name, checked_path, checked_workflow

if TYPE_CHECKING:

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

        return values_in(json.loads(self.record.result.json_dict_json or "null"))

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
        found = self._store.list_runs(checked_workflow(workflow_id), checked_limit(limit))
        if not found:
            self._engine.hinting.about_names(None, workflow_id)
        return Listing(priced_run(run, self._engine.settings.prices) for run in found)

    def show(self, run_id: str | RunRecord) -> RunRecord:
        """One run with all its tasks. Raises UnknownRunError if no run has that ID."""
        from crew_repo.runner.options import found_run

        wanted = run_id.run_id if isinstance(run_id, RunRecord) else run_id
        return priced_run(found_run(wanted, self._store), self._engine.settings.prices)

    def diff(
        self,
        run_a: str | RunRecord | None = None,
        run_b: str | RunRecord | None = None,
        *,
        workflow_id: str | None = None,
    ) -> Diff:
        """Tell how two runs differ: what they were given, what their tasks were made from and said, and what it cost.

        Without runs: the last two of the workflow, which is that of the newest run if none is named. With one run: that
        one and the one before it in its workflow. Runs of different workflows can be compared too. Print the Diff, or
        look at its `inputs` and `tasks`.

        Raises UnknownRunError for a run that is not there, and where there are no two to compare.
        """
        from crew_repo.runner.comparing import diff

        return diff(self._store, run_a, run_b, checked_workflow(workflow_id), self._engine.settings.prices)

    def tasks(self, workflow_id: str | None = None) -> list[TaskState]:
        """The present state of every task, as in the table `task_state`, without CrewAI's planner."""
        states = self._store.states(checked_workflow(workflow_id))
        if not states:
            self._engine.hinting.about_names(None, workflow_id)
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
        from crew_repo.runner.options import check_names, names_in, unknown_name
        from crew_repo.runner.overriding import author_of

        author = author_of(by, reason)
        names = names_in(task_name, "task_name")
        known = [*self._store.task_names(checked_workflow(workflow_id)), *self._store.held_tasks(workflow_id)]
        if not known and (unknown := unknown_name(self._store, None, workflow_id)) is not None:
            raise unknown
        check_names(names, known, "invalidate")
        if not downstream:
            return self._store.invalidate({workflow_id: names}, author)
        workflows = [workflow_id] if workflow_id is not None else self._store.workflow_ids()
        reached: dict[str | None, list[str]] = {
            each: with_downstream(names, self._store.heads(each)) for each in workflows
        }
        return self._store.invalidate(reached, author)

    def run_count(self, workflow_id: str | None = None) -> int:
        """How many runs there were of a workflow, or of all, without loading them; pruned ones count too.

        It is the `ordinal` of the newest run: "run #3 of CLM-0117".
        """
        return self._store.run_count(checked_workflow(workflow_id))

    def report(
        self,
        path: str | os.PathLike[str] = "crew_report.html",
        *,
        workflow_id: str | None = None,
        run: str | RunRecord | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        outputs: bool = True,
    ) -> Path:
        """Write one HTML page for people: what was saved, where each task stands and why, what was asked and answered.

        It runs no script and asks no network, prints, and is made from the state alone. Only you may read it (mode
        600); an older report of that name is written over. Returns its path. Of many workflows the newest are shown in
        full. With `prices` it has costs too.

        - `workflow_id`, `run`: only that workflow; only that run, with its tasks as it has left them.
        - `since`, `until`: only runs that began then, as a datetime or a text, in UTC. Tasks are shown as they stand.
        - `outputs=False` leaves out what was asked and answered, and all that may quote it.

        Raises InputError for an unknown workflow or run, and for a file that is there and is no report; StoreError if
        it cannot be written.
        """
        from crew_repo.export_files import write_private
        from crew_repo.report import Selection, check_file, moment_of, page_of

        selection = Selection(
            workflow_id=checked_workflow(workflow_id),
            run_id=run.run_id if isinstance(run, RunRecord) else run,
            since=moment_of("since", since),
            until=moment_of("until", until),
            texts=outputs,
        )
        target = checked_path("path", path).expanduser().absolute()
        state = self._state_file
        title = self._store.display_url.rpartition("/")[2] if state is None else state.name
        page = self._store.asked(lambda query: page_of(query, selection, self._engine.settings.prices, title))
        check_file(target, state)
        write_private(target, page.html)
        return target

    @property
    def _state_file(self) -> Path | None:
        """The file of the state; None for a server."""
        place = self._store.display_url
        return None if "://" in place else Path(place)

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
        target = checked_path("file", file).expanduser().absolute()
        self._store.copy(target)
        return target

    def export_json(self, file: str | os.PathLike[str] | None = None) -> str:
        """Return all records and runs as JSON lines. If `file` is given, write them there too (mode 600).

        What is kept inside tasks that have not finished stays here; `backup` copies that too. An older export is
        written over. Raises InputError for another file that is there, above all the state itself.
        """
        from crew_repo.export_files import EXPORT, check_target, write_private

        if file is not None:
            check_target(checked_path("file", file), self._state_file, "export", EXPORT)
        text = "".join(self._store.export_json())
        if file is not None:
            write_private(Path(file), text)
        return text

    def import_json(self, source: str | os.PathLike[str]) -> int:
        """Add what `export_json` gave: its text, or a file with it. Returns how many records were new here.

        A run that was imported while it went on takes over what a later export says of it; one that goes on here is
        left alone. Raises ImportFormatError if it is no export, or is cut, or if a row in it is damaged, or if a newer
        version wrote it. Nothing is added then.
        """
        from crew_repo.export_files import read_export

        checked_path("source", source)  # or a text, which `read_export` tells apart
        return self._store.import_json(read_export(source))
