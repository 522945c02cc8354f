"""StateRepository: run crews so that only what changed is executed, and ask what was done.

This module imports neither crewai nor a database driver until they are needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Executor
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from crew_repo.model import PLANNER, Listing, Plan, Problem, PruneReport, Record, RunRecord, TaskState
from crew_repo.policy import TaskPolicy, merge_policies
from crew_repo.settings import check_limits, check_seconds, checked_name, checked_workflow, resolve_url

if TYPE_CHECKING:
    from crewai import Crew
    from crewai.crews.crew_output import CrewOutput

    from crew_repo.runner.batches.batch import OnError

    class RecordedOutput(CrewOutput):
        """A CrewOutput whose `run` says what happened."""

        run: RunRecord


__all__ = ["StateRepository", "StoredOutput"]


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


class StateRepository:
    """Remembers what the tasks of crews said, and executes only those that are stale or missing.

    `target` is a path, a SQLAlchemy URL, or None for `CREW_REPO_URL`, else `crew_state.db` here. A context manager;
    usable from many threads; picklable to other processes by its URL.

    - `policies`: a TaskPolicy by task name, for every run of this repository (`"*"` for all tasks).
    - `share_across_workflows`: serve a record of any workflow, not only of the one that runs.
    - `lease_seconds`: how long a process that was killed on another machine holds up others, at least 1; it is
      renewed four times in that time.
    - `busy_timeout_seconds`: how long a write waits for another process's write.
    - `verbose`: show each task on standard error; None shows it if that is a terminal.

    Opening an older state brings it up to date (a copy of the file is kept); opening one that is not there creates a
    file with the first run, and on PostgreSQL the tables at once.

    Raises StoreOpenError if the target cannot be opened, NewerSchemaError if a newer version wrote it, InputError for
    a setting that makes no sense.
    """

    def __init__(
        self,
        target: str | os.PathLike[str] | None = None,
        *,
        policies: Mapping[str, TaskPolicy] | None = None,
        share_across_workflows: bool = False,
        lease_seconds: float = 60.0,
        busy_timeout_seconds: float = 30.0,
        verbose: bool | None = None,
    ) -> None:
        from crew_repo.runner.engine import Engine, EngineSettings

        check_seconds("lease_seconds", lease_seconds, least=1.0)
        check_seconds("busy_timeout_seconds", busy_timeout_seconds, least=0.0)
        settings = EngineSettings(
            url=resolve_url(target),
            policies=dict(merge_policies(policies).by_name),
            share=share_across_workflows,
            lease_seconds=lease_seconds,
            busy_timeout_seconds=busy_timeout_seconds,
            verbose=verbose,
        )
        self._engine = Engine(settings)
        self._store = self._engine.store

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the state; a path in it is absolute."""
        return self._engine.settings.url

    def __repr__(self) -> str:
        return f"StateRepository({self._store.display_url!r})"

    def __reduce__(self) -> Any:
        settings = self._engine.settings
        path = settings.url.removeprefix("sqlite:///")  # a path may have a ? in it, and a URL given by a user may not
        target = settings.url if path == settings.url else Path(path)
        return _reopen, (
            target, settings.policies, settings.share, settings.lease_seconds, settings.busy_timeout_seconds
        )  # fmt: skip

    def __enter__(self) -> StateRepository:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Write what could not be written before, and close the connections.

        What is running goes on and is recorded; the connections are closed after it.
        """
        self._engine.close()

    # Running.

    def run(
        self,
        crew: Crew,
        inputs: Mapping[str, Any] | None = None,
        *,
        input_files: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        force: bool | str | Iterable[str] = (),
        policies: Mapping[str, TaskPolicy] | None = None,
        fire_callbacks: bool = False,
        **arguments: Any,
    ) -> RecordedOutput:
        """Run a crew as `crew.kickoff(inputs)` would, executing only the tasks that are stale or missing.

        Returns what kickoff returns; a CrewOutput carries the RunRecord as `.run`. With `crew.stream` it is the
        stream, and the run happens when that is read. Exceptions of the crew are recorded and raised as they are.

        - `input_files`: files that go with the prompts, by name, as in kickoff; their content counts.
        - `workflow_id`: the business key (a claim number); records are served within it. Default: the crew's name.
        - `force`: names of tasks to execute whatever is stored, or True for all.
        - `policies`: a TaskPolicy by task name, for this run; those of the repository hold for the other tasks.
        - `fire_callbacks`: call the callbacks of reused tasks too.

        Raises InputError before any model is called: NotACrewError, UnknownTaskError, MissingInputError,
        BadInputValueError, CheckpointError, PolicyError, RunningLoopError where an event loop runs (a notebook: type
        `await repo.arun(...)` there), and AttachError if the crew is being run already. Raises StoreError if the state
        cannot be written: what was paid for is then written later, see `close`.
        """
        self._refuse(arguments)
        return self._engine.run(  # type: ignore[no-any-return]
            self._engine.request(
                crew,
                inputs,
                input_files=input_files,
                workflow_id=workflow_id,
                force=force,
                policies=policies,
                fire_callbacks=fire_callbacks,
            )
        )

    async def arun(
        self,
        crew: Crew,
        inputs: Mapping[str, Any] | None = None,
        *,
        input_files: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        force: bool | str | Iterable[str] = (),
        policies: Mapping[str, TaskPolicy] | None = None,
        fire_callbacks: bool = False,
        **arguments: Any,
    ) -> RecordedOutput:
        """`run` on CrewAI's native async kickoff.

        While it waits for another process's work, the event loop goes on. Its own writes are made on it: each takes
        about a millisecond, and waits for other writers of the same file up to `busy_timeout_seconds`.
        """
        self._refuse(arguments)
        return await self._engine.arun(  # type: ignore[no-any-return]
            self._engine.request(
                crew,
                inputs,
                input_files=input_files,
                workflow_id=workflow_id,
                force=force,
                policies=policies,
                fire_callbacks=fire_callbacks,
            )
        )

    @staticmethod
    def _refuse(arguments: Mapping[str, Any]) -> None:
        """Raise for an argument of kickoff's that makes no sense here, and for a misspelt one."""
        from crew_repo import adapter

        adapter.refuse_checkpoint(arguments)
        if arguments:
            raise TypeError(f"run() got an unexpected keyword argument {next(iter(arguments))!r}")

    def run_for_each(
        self,
        crew: Crew | Callable[[], Crew] | str,
        inputs_list: Iterable[Mapping[str, Any] | None],
        *,
        workflow_ids: Iterable[str] | None = None,
        executor: Executor | None = None,
        max_workers: int | None = None,
        on_error: OnError = "raise",
        force: bool | str | Iterable[str] = (),
        policies: Mapping[str, TaskPolicy] | None = None,
        input_files: Mapping[str, Any] | None = None,
    ) -> list[Any]:
        """Run a crew for each of many inputs; the results in their order.

        `crew` is a crew (copied for each concurrent run), a function that builds one, or `package.module:attribute`.
        An item whose tasks are all fresh costs no kickoff. A batch that was killed is started again as it was.

        - `workflow_ids`: one per item. Default: the crew's name for all; their records do not mix, since each is
          found by the hash of its inputs.
        - `executor`: any `concurrent.futures.Executor`; then the crew is built in the worker, from a function of a
          module or a name. Default: `max_workers` threads (4).
        - `on_error`: "raise" the first exception after what runs has finished, or "keep" each in its place.
        - `force`, `policies` and `input_files`: as in `run`, for every item.
        """
        return list(
            self.iter_for_each(
                crew,
                inputs_list,
                workflow_ids=workflow_ids,
                executor=executor,
                max_workers=max_workers,
                on_error=on_error,
                force=force,
                policies=policies,
                input_files=input_files,
            )
        )

    def iter_for_each(
        self,
        crew: Crew | Callable[[], Crew] | str,
        inputs_list: Iterable[Mapping[str, Any] | None],
        *,
        workflow_ids: Iterable[str] | None = None,
        executor: Executor | None = None,
        max_workers: int | None = None,
        on_error: OnError = "raise",
        force: bool | str | Iterable[str] = (),
        policies: Mapping[str, TaskPolicy] | None = None,
        input_files: Mapping[str, Any] | None = None,
    ) -> Iterator[Any]:
        """`run_for_each`, one result at a time: inputs may be a generator, memory does not grow with their number."""
        from crew_repo.runner.batches.batch import (
            Worker,
            check_on_error,
            item_options,
            items_of,
            run_items,
            worker_count,
        )
        from crew_repo.runner.batches.crew_source import CrewSource
        from crew_repo.runner.batches.progress import Progress
        from crew_repo.runner.engine import refuse_running_loop

        refuse_running_loop("results = await repo.arun_for_each(crew, inputs_list)")
        check_on_error(on_error)
        workers = worker_count(max_workers)
        source = CrewSource(crew)
        if executor is not None:
            source.check_portable()
        total = len(inputs_list) if isinstance(inputs_list, Sized) else None
        return run_items(
            items_of(inputs_list, workflow_ids),
            Worker(self._engine, source, item_options(force, policies, input_files)),
            executor=executor,
            max_workers=workers,
            on_error=on_error,
            progress=Progress(total, visible=self._engine.settings.verbose),
        )

    async def arun_for_each(
        self,
        crew: Crew | Callable[[], Crew] | str,
        inputs_list: Iterable[Mapping[str, Any] | None],
        *,
        workflow_ids: Iterable[str] | None = None,
        max_workers: int | None = None,
        on_error: OnError = "raise",
        force: bool | str | Iterable[str] = (),
        policies: Mapping[str, TaskPolicy] | None = None,
        input_files: Mapping[str, Any] | None = None,
    ) -> list[Any]:
        """`run_for_each` on CrewAI's native async kickoff, at most `max_workers` (4) at a time on this event loop."""
        from crew_repo.runner.batches.async_batch import arun_items
        from crew_repo.runner.batches.batch import check_on_error, item_options, items_of, worker_count
        from crew_repo.runner.batches.crew_source import CrewSource
        from crew_repo.runner.batches.progress import Progress

        check_on_error(on_error)
        total = len(inputs_list) if isinstance(inputs_list, Sized) else None
        return await arun_items(
            self._engine,
            CrewSource(crew),
            items_of(inputs_list, workflow_ids),
            item_options(force, policies, input_files),
            max_workers=worker_count(max_workers),
            on_error=on_error,
            progress=Progress(total, visible=self._engine.settings.verbose),
        )

    def plan(
        self,
        crew: Crew,
        inputs: Mapping[str, Any] | None = None,
        *,
        input_files: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        force: bool | str | Iterable[str] = (),
        policies: Mapping[str, TaskPolicy] | None = None,
    ) -> Plan:
        """Say what `run` would do with the same arguments, and why.

        Calls no model, writes nothing, asks no server (but PostgreSQL for the state) and leaves the crew as it is. Of
        the user's own code it calls the before-kickoff callbacks, on a copy of the inputs, and the conditions of
        conditional tasks, since both decide what the prompts say. Global hooks are not called.
        """
        return self._engine.plan(
            self._engine.request(
                crew, inputs, input_files=input_files, workflow_id=workflow_id, force=force, policies=policies
            )
        )

    def attach(
        self,
        crew: Crew,
        *,
        workflow_id: str | None = None,
        policies: Mapping[str, TaskPolicy] | None = None,
        fire_callbacks: bool = False,
    ) -> Crew:
        """Send a crew's own kickoff methods, and those of its copies, through this repository; the crew is returned.

        For `@CrewBase` projects, Flows, and code that cannot be changed. `train` and `test` stay CrewAI's own, which
        asks the models each time. Raises AttachError if the crew is attached to another repository.
        """
        from crew_repo import adapter
        from crew_repo.runner import attaching

        adapter.check_crew(crew)
        merge_policies(policies)
        options = {"workflow_id": workflow_id, "policies": policies, "fire_callbacks": fire_callbacks}
        attaching.attach(crew, self._engine, options)
        return crew

    def detach(self, crew: Crew) -> Crew:
        """Give a crew CrewAI's own kickoff methods again; the crew is returned."""
        from crew_repo.runner import attaching

        attaching.detach(crew, self._engine)
        return crew

    # Asking.

    def get_output(self, task_name: str, workflow_id: str | None = None) -> StoredOutput | None:
        """The present output of a task, or None if there is none. Without a workflow: the newest of any."""
        record = self._store.shown_record(checked_name(task_name), checked_workflow(workflow_id))
        if record is None:
            self._engine.warn_if_unknown(task_name, workflow_id)
            return None
        output = StoredOutput(record.result.raw)
        output.record = record
        return output

    def history(self, task_name: str, workflow_id: str | None = None) -> list[Record]:
        """Every record of a task, newest first, also those that are no longer served."""
        found = self._store.history(checked_name(task_name), checked_workflow(workflow_id))
        if not found:
            self._engine.warn_if_unknown(task_name, workflow_id)
        return Listing(found)

    def runs(self, workflow_id: str | None = None, *, limit: int | None = None) -> list[RunRecord]:
        """The runs, newest first. A run whose process was killed is "interrupted"."""
        found = self._store.list_runs(checked_workflow(workflow_id), limit)
        if not found:
            self._engine.warn_if_unknown(None, workflow_id)
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
        self, task_name: str | Iterable[str], workflow_id: str | None = None, *, downstream: bool = False
    ) -> int:
        """Retire the records of a task, so that it executes in the next run; how many were retired.

        `downstream` retires those of the tasks after it too, as far as they read it. Without a workflow: in all.
        Where workflows share their records, it executes here next even if others have an equal one.
        Raises UnknownTaskError with the names that are stored.
        """
        from crew_repo.explain import with_downstream
        from crew_repo.runner.options import check_names, names_in

        names = names_in(task_name, "task_name")
        check_names(names, self._store.task_names(checked_workflow(workflow_id)), "invalidate")
        if not downstream:
            return self._store.invalidate({workflow_id: names})
        workflows = [workflow_id] if workflow_id is not None else self._store.workflow_ids()
        return self._store.invalidate({each: with_downstream(names, self._store.heads(each)) for each in workflows})

    def verify(self) -> list[Problem]:
        """Every record whose stored parts do not give its hashes again. Empty: all is as it was written."""
        return self._store.verify()

    def prune(
        self, *, keep_last: int | None = None, older_than: timedelta | None = None, dry_run: bool | None = None
    ) -> PruneReport:
        """Delete old records and what only they need, and give the space back; what was, or would be, deleted.

        - `keep_last`: how many records to keep per task and workflow.
        - `older_than`: delete only what is older.
        - `dry_run`: only say what would be deleted. Without any argument nothing is deleted either;
          `prune(dry_run=False)` deletes the records that may not be served any more.

        Raises InputError for a negative number or age.
        """
        check_limits(keep_last, older_than)
        unsaid = keep_last is None and older_than is None and dry_run is None
        report = self._store.prune(keep_last=keep_last, older_than=older_than, dry_run=unsaid or bool(dry_run))
        if unsaid:
            self._engine.say(
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


def _reopen(
    target: str | Path,
    policies: Mapping[str, TaskPolicy],
    share: bool,
    lease_seconds: float,
    busy_timeout_seconds: float,
) -> StateRepository:
    return StateRepository(
        target,
        policies=policies,
        share_across_workflows=share,
        lease_seconds=lease_seconds,
        busy_timeout_seconds=busy_timeout_seconds,
    )
