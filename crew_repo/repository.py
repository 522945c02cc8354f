"""StateRepository: run crews so that only what changed is executed, and ask what was done.

This module imports neither crewai nor a database driver until they are needed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Executor
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from crew_repo.declared import leave_out_state
from crew_repo.errors import AttachError, InputError
from crew_repo.model import Plan, Problem, PruneReport, Record, RunRecord, TaskState
from crew_repo.policy import TaskPolicy, merge_policies
from crew_repo.settings import check_limits, check_seconds, checked_name, checked_workflow, resolve_url

if TYPE_CHECKING:
    from crewai import Crew
    from crewai.crews.crew_output import CrewOutput

    from crew_repo.runner.attaching import Reading
    from crew_repo.runner.batch import OnError
    from crew_repo.runner.keeper import Keeper
    from crew_repo.runner.options import RunOptions
    from crew_repo.runner.session import Session
    from crew_repo.store import Store

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
        self.url = resolve_url(target)
        self._policies = dict(merge_policies(policies).by_name)
        self._share = share_across_workflows
        check_seconds("lease_seconds", lease_seconds, least=1.0)
        check_seconds("busy_timeout_seconds", busy_timeout_seconds, least=0.0)
        self._lease_seconds = lease_seconds
        self._busy_timeout_seconds = busy_timeout_seconds
        self._verbose = verbose
        self._lock = threading.RLock()
        self._kept: Keeper | None = None
        self._store = self._open()

    def _open(self) -> Store:
        from crew_repo.store import Store

        store = Store(self.url, busy_timeout_seconds=self._busy_timeout_seconds, lease_seconds=self._lease_seconds)
        leave_out_state(store.display_url)
        return store

    def __repr__(self) -> str:
        return f"StateRepository({self._store.display_url!r})"

    def __reduce__(self) -> Any:
        return _reopen, (self.url, self._policies, self._share, self._lease_seconds, self._busy_timeout_seconds)

    def __enter__(self) -> StateRepository:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Write what could not be written before, and close the connections.

        What is running goes on and fails at its next record; close after the runs.
        """
        if self._kept is not None:
            self._kept.settle()
        self._store.close()

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
        BadInputValueError, CheckpointError, PolicyError, and AttachError if the crew is being run already. Raises
        StoreError if the state cannot be written: what was paid for is then written later, see `close`.
        """
        crew, options = self._prepare(crew, inputs, workflow_id, force, policies, fire_callbacks, arguments)
        if crew.stream:
            return self._stream(crew, inputs, input_files, options)  # type: ignore[no-any-return]
        return self._run(crew, inputs, input_files, options)  # type: ignore[no-any-return]

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
        crew, options = self._prepare(crew, inputs, workflow_id, force, policies, fire_callbacks, arguments)
        if crew.stream:
            return await self._astream(crew, inputs, input_files, options)  # type: ignore[no-any-return]
        return await self._arun(crew, inputs, input_files, options)  # type: ignore[no-any-return]

    def _prepare(
        self,
        crew: Crew,
        inputs: Mapping[str, Any] | None,
        workflow_id: str | None,
        force: bool | str | Iterable[str],
        policies: Mapping[str, TaskPolicy] | None,
        fire_callbacks: bool,
        arguments: Mapping[str, Any],
    ) -> tuple[Any, RunOptions]:
        """Everything that can be wrong is found here, before any model is called."""
        from crew_repo import adapter
        from crew_repo.runner.declared_files import check_files

        adapter.refuse_checkpoint(arguments)
        if arguments:
            raise TypeError(f"run() got an unexpected keyword argument {next(iter(arguments))!r}")
        adapter.check_crew(crew)
        adapter.check_inputs(inputs)
        options = self._options(crew, workflow_id, force, policies, fire_callbacks)
        if not crew.before_kickoff_callbacks:
            view = adapter.planned_view(crew, adapter.planned_inputs(crew, inputs))
            check_files(((task.name, task.task) for task in view.tasks), options.policies)
        return crew, options

    def _options(
        self,
        crew: Crew,
        workflow_id: str | None,
        force: bool | str | Iterable[str],
        policies: Mapping[str, TaskPolicy] | None,
        fire_callbacks: bool = False,
    ) -> RunOptions:
        from crew_repo.adapter import task_names
        from crew_repo.runner.options import RunOptions, check_policies, check_workflow_id, forced_names

        names = task_names(crew)
        merged = merge_policies(self._policies, policies)
        check_policies(policies, names)
        return RunOptions(
            workflow_id=check_workflow_id(workflow_id, crew.name),
            force=forced_names(force, names),
            policies=merged,
            fire_callbacks=fire_callbacks,
            share=self._share,
        )

    def _session(self, crew: Any, options: RunOptions, files: Mapping[str, Any], quiet: bool) -> Session:
        from crew_repo.runner.display import Display
        from crew_repo.runner.session import Session

        display = Display.silent() if quiet else Display.choose(self._verbose)
        return Session(self._store, self._keeper(), crew, options, files=files, display=display)

    def _keeper(self) -> Keeper:
        from crew_repo.runner.keeper import Keeper

        with self._lock:
            if self._kept is None:
                self._kept = Keeper(self._store, self._lease_seconds / 4)
            return self._kept

    def _run(self, crew: Any, inputs: Any, input_files: Any, options: RunOptions, *, quiet: bool = False) -> Any:
        from crew_repo.adapter import files_in
        from crew_repo.runner.running import run_session

        session = self._session(crew, options, files_in(inputs, input_files), quiet)
        return run_session(session, crew, inputs, input_files)

    async def _arun(self, crew: Any, inputs: Any, input_files: Any, options: RunOptions, *, quiet: bool = False) -> Any:
        from crew_repo.adapter import files_in
        from crew_repo.runner.running import arun_session

        session = self._session(crew, options, files_in(inputs, input_files), quiet)
        return await arun_session(session, crew, inputs, input_files)

    def _reading(self, inputs: Any, options: RunOptions) -> Reading:
        """These inputs, which say how the run is to be recorded that CrewAI starts when the stream is read."""
        from crew_repo.runner.attaching import Reading

        def run(crew: Any, inputs: Any, *, input_files: Any) -> Any:
            return self._run(crew, inputs, input_files, options)

        async def arun(crew: Any, inputs: Any, *, input_files: Any) -> Any:
            return await self._arun(crew, inputs, input_files, options)

        return Reading(inputs, run, arun)

    def _stream(self, crew: Any, inputs: Any, input_files: Any, options: RunOptions) -> Any:
        from crew_repo import adapter
        from crew_repo.runner.attaching import run_when_read

        reading = self._reading(inputs, options)
        let_go_with = run_when_read(crew, reading)
        stream = adapter.kickoff(crew, reading, input_files)
        let_go_with(stream)
        return stream

    async def _astream(self, crew: Any, inputs: Any, input_files: Any, options: RunOptions) -> Any:
        from crew_repo import adapter
        from crew_repo.runner.attaching import run_when_read

        reading = self._reading(inputs, options)
        let_go_with = run_when_read(crew, reading)
        stream = await adapter.akickoff(crew, reading, input_files)
        let_go_with(stream)
        return stream

    def run_item(
        self,
        crew: Crew,
        inputs: Mapping[str, Any] | None = None,
        *,
        input_files: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        force: bool | str | Iterable[str] = (),
        policies: Mapping[str, TaskPolicy] | None = None,
    ) -> RecordedOutput:
        """`run` for one item of a batch: where every task is fresh there is no kickoff, and so no events."""
        crew, options = self._prepare(crew, inputs, workflow_id, force, policies, False, {})
        served = self._served(crew, inputs, input_files, options)
        if served is None:
            served = self._run(crew, inputs, input_files, options, quiet=True)
        return served  # type: ignore[no-any-return]

    async def arun_item(
        self,
        crew: Crew,
        inputs: Mapping[str, Any] | None = None,
        *,
        input_files: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        force: bool | str | Iterable[str] = (),
        policies: Mapping[str, TaskPolicy] | None = None,
    ) -> RecordedOutput:
        """`run_item` on CrewAI's native async kickoff."""
        crew, options = self._prepare(crew, inputs, workflow_id, force, policies, False, {})
        served = self._served(crew, inputs, input_files, options)
        if served is None:
            served = await self._arun(crew, inputs, input_files, options, quiet=True)
        return served  # type: ignore[no-any-return]

    def _served(self, crew: Any, inputs: Any, input_files: Any, options: RunOptions) -> Any | None:
        from crew_repo.adapter import files_in
        from crew_repo.runner.shortcut import serve_all

        if crew.stream:
            raise InputError("A batch has no use for a stream: set stream=False on the crew, or run it alone.")
        return serve_all(self._store, crew, inputs, files_in(inputs, input_files), options)

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
        from crew_repo.runner.batch import Worker, check_on_error, item_options, items_of, run_items, worker_count
        from crew_repo.runner.progress import Progress
        from crew_repo.runner.sources import CrewSource

        check_on_error(on_error)
        workers = worker_count(max_workers)
        source = CrewSource(crew)
        if executor is not None:
            source.check_portable()
        total = len(inputs_list) if isinstance(inputs_list, Sized) else None
        return run_items(
            items_of(inputs_list, workflow_ids),
            Worker(self, source, item_options(force, policies, input_files)),
            executor=executor,
            max_workers=workers,
            on_error=on_error,
            progress=Progress(total, visible=self._verbose),
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
        from crew_repo.runner.abatch import arun_items
        from crew_repo.runner.batch import check_on_error, item_options, items_of, worker_count
        from crew_repo.runner.progress import Progress
        from crew_repo.runner.sources import CrewSource

        check_on_error(on_error)
        total = len(inputs_list) if isinstance(inputs_list, Sized) else None
        return await arun_items(
            self,
            CrewSource(crew),
            items_of(inputs_list, workflow_ids),
            item_options(force, policies, input_files),
            max_workers=worker_count(max_workers),
            on_error=on_error,
            progress=Progress(total, visible=self._verbose),
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
        """What `run` would do with the same arguments, and why.

        Calls no model, writes nothing, asks no server (but PostgreSQL for the state) and leaves the crew as it is. Of
        the user's own code it calls the before-kickoff callbacks, on a copy of the inputs, and the conditions of
        conditional tasks, since both decide what the prompts say. Global hooks are not called.
        """
        from crew_repo import adapter
        from crew_repo.runner.planner import make_plan

        adapter.check_crew(crew)
        adapter.check_inputs(inputs)
        options = self._options(crew, workflow_id, force, policies)
        return make_plan(self._store, crew, inputs, adapter.files_in(inputs, input_files), options)

    def attach(
        self,
        crew: Crew,
        *,
        workflow_id: str | None = None,
        policies: Mapping[str, TaskPolicy] | None = None,
        fire_callbacks: bool = False,
    ) -> Crew:
        """The same crew; its own kickoff methods, and those of its copies, go through this repository from now on.

        For `@CrewBase` projects, Flows, and code that cannot be changed. `train` and `test` stay CrewAI's own, which
        asks the models each time. Raises AttachError if the crew is attached to another repository.
        """
        from crew_repo import adapter
        from crew_repo.runner import attaching

        adapter.check_crew(crew)
        merge_policies(policies)
        owner = attaching.attached_to(crew)
        if owner is not None and owner is not self:
            raise AttachError(f"This crew is attached to {owner!r} already. Call detach(crew) there, or attach a copy.")
        keep: dict[str, Any] = {"workflow_id": workflow_id, "policies": policies, "fire_callbacks": fire_callbacks}

        def run(crew: Any, inputs: Any, *, input_files: Any) -> Any:
            return self.run(crew, inputs, input_files=input_files, **keep)

        async def arun(crew: Any, inputs: Any, *, input_files: Any) -> Any:
            return await self.arun(crew, inputs, input_files=input_files, **keep)

        attaching.attach(crew, self, run, arun, lambda copy: self.attach(copy, **keep))
        return crew

    def detach(self, crew: Crew) -> Crew:
        """The same crew, with CrewAI's own kickoff methods again."""
        from crew_repo.runner import attaching

        if attaching.attached_to(crew) is self:
            attaching.detach(crew)
        return crew

    # Asking.

    def get_output(self, task_name: str, workflow_id: str | None = None) -> StoredOutput | None:
        """The present output of a task, or None if there is none. Without a workflow: the newest of any."""
        record = self._store.shown_record(checked_name(task_name), checked_workflow(workflow_id))
        if record is None:
            return None
        output = StoredOutput(record.result.raw)
        output.record = record
        return output

    def history(self, task_name: str, workflow_id: str | None = None) -> list[Record]:
        """Every record of a task, newest first, also those that are no longer served."""
        return self._store.history(checked_name(task_name), checked_workflow(workflow_id))

    def runs(self, workflow_id: str | None = None, *, limit: int | None = None) -> list[RunRecord]:
        """The runs, newest first. A run whose process was killed is "interrupted"."""
        return self._store.list_runs(checked_workflow(workflow_id), limit)

    def show(self, run_id: str) -> RunRecord:
        """One run with all its tasks. Raises UnknownRunError if there is none of that ID."""
        from crew_repo.runner.options import found_run

        return found_run(run_id, self._store)

    def tasks(self, workflow_id: str | None = None) -> list[TaskState]:
        """The present state of every task: the rows of `task_state`."""
        return self._store.states(checked_workflow(workflow_id))

    def invalidate(
        self, task_name: str | Iterable[str], workflow_id: str | None = None, *, downstream: bool = False
    ) -> int:
        """Retire the records of a task, so that it executes in the next run; how many were retired.

        `downstream` retires those of the tasks after it too, as far as they read it. Without a workflow: in all.
        Raises UnknownTaskError with the names that are stored.
        """
        from crew_repo.runner.options import check_names, names_in
        from crew_repo.staleness import with_downstream

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
        self, *, keep_last: int | None = None, older_than: timedelta | None = None, dry_run: bool = False
    ) -> PruneReport:
        """Delete old records and what only they need, and give the space back; what was, or would be, deleted.

        `keep_last`: how many records to keep per task and workflow. `older_than`: delete only what is older.
        Raises InputError for a negative number or age.
        """
        check_limits(keep_last, older_than)
        return self._store.prune(keep_last=keep_last, older_than=older_than, dry_run=dry_run)

    def export_json(self, file: str | os.PathLike[str] | None = None) -> str:
        """All records and runs as JSON lines; also written to `file` (mode 600) if one is given."""
        from crew_repo.runner.exporting import write_private

        text = "".join(self._store.export_json())
        if file is not None:
            write_private(Path(file), text)
        return text

    def import_json(self, source: str | os.PathLike[str]) -> int:
        """Take over what `export_json` gave (its text, or a file); how many records were new here.

        Raises ImportFormatError if it is not an export, or a record in it does not match its hashes.
        """
        from crew_repo.runner.exporting import read_export

        return self._store.import_json(read_export(source))


def _reopen(
    url: str, policies: Mapping[str, TaskPolicy], share: bool, lease_seconds: float, busy_timeout_seconds: float
) -> StateRepository:
    return StateRepository(
        url,
        policies=policies,
        share_across_workflows=share,
        lease_seconds=lease_seconds,
        busy_timeout_seconds=busy_timeout_seconds,
    )
