"""StateRepository: runs crews so that only changed tasks are executed, and tells what was done.

This module imports neither crewai nor a database driver until they are needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Executor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from crew_repo.model import Plan, RunRecord
from crew_repo.policy import TaskPolicy, merge_policies
from crew_repo.pricing import Price, Prices, given_prices
from crew_repo.recorded_state import RecordedState
from crew_repo.settings import check_seconds, resolve_url

if TYPE_CHECKING:
    from crewai import Crew
    from crewai.crews.crew_output import CrewOutput

    from crew_repo.runner.batches.batch import OnError

    class RecordedOutput(CrewOutput):
        """A CrewOutput whose `run` says what happened."""

        run: RunRecord


__all__ = ["StateRepository"]


class StateRepository(RecordedState):
    """Remembers the answers of the tasks of crews, and executes only tasks that are stale or missing.

    A stored answer is called a record. A task is fresh if a record answers it, stale if something that the record was
    made from has changed, and missing if there is no usable record. Records belong to a workflow: see `run`.

    `target` is a path or a SQLAlchemy URL. None takes the variable `CREW_REPO_URL`, or else `crew_state.db` in the
    current folder. A repository is a context manager. Threads may share it; other processes may get it by pickling.

    - `policies`: a TaskPolicy by task name, for every run of this repository (`"*"` for all tasks).
    - `share_across_workflows`: reuse records of any workflow, not only of the one that runs.
    - `lease_seconds`: how long a task is kept for the process that executes it, at least 1. A living process extends
      this in time. After a kill on another machine, others wait that long before they take the task over.
    - `busy_timeout_seconds`: how long a write waits for another process's write.
    - `verbose`: show each task on standard error. None shows it if that is a terminal.
    - `prices`: a Price by the name of the model, or the path of a JSON file (see `crew_repo.pricing`), for the costs of
      runs and plans. None reads the variable `CREW_REPO_PRICES`. Without prices there are tokens, and no costs.

    An older state is brought up to date when it is opened, and a copy of the file is kept. A file that is not there is
    created by the first run; on PostgreSQL the tables are created at once.

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
        prices: Mapping[str, Price | str] | str | os.PathLike[str] | Prices | None = None,
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
            prices=given_prices(prices),
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
            target, settings.policies, settings.share, settings.lease_seconds, settings.busy_timeout_seconds,
            settings.prices,
        )  # fmt: skip

    def __enter__(self) -> StateRepository:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Write what could not be written before, and close the connections.

        A run that is under way goes on and is recorded. The connections are closed after it.
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

        Returns what kickoff returns. A CrewOutput has the RunRecord as `.run`: what was executed and what was reused.
        With `crew.stream` the stream is returned, and the run happens while you read it. Exceptions of the crew are
        recorded and raised as they are.

        - `input_files`: files that go with the prompts, by name, as in kickoff. A task that gets one runs again if its
          content changes.
        - `workflow_id`: your own key for what is worked on, such as a claim number. A run reuses only records with its
          own workflow_id, unless they are shared. Default: the crew's name.
        - `force`: names of tasks to execute even if they are fresh, or True for all.
        - `policies`: a TaskPolicy by task name, for this run. For all other tasks, those of the repository hold.
        - `fire_callbacks`: call the callbacks of reused tasks too.

        Raises InputError before any model is called: NotACrewError, UnknownTaskError, MissingInputError,
        BadInputValueError, CheckpointError or PolicyError; AttachError if the crew is being run already; and
        RunningLoopError where an event loop runs. In a notebook, type `await repo.arun(...)` instead. Raises StoreError
        if the state cannot be written. A finished task is then written later: see `close`.
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
        """Run a crew as `run` does, with CrewAI's native async kickoff: for notebooks and event loops.

        While a task waits for another process's work, the event loop goes on. Writes to the state block the loop: each
        takes about a millisecond, or up to `busy_timeout_seconds` if other processes write to the same file.
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
        """Raise for an argument of kickoff that cannot be used here, and for a misspelt one."""
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
        """Run a crew for each of many inputs. Returns the results in the order of the inputs.

        `crew` is a crew (copied for each concurrent run), a function that builds one, or `package.module:attribute`.
        An item whose tasks are all fresh needs no kickoff. If a batch was killed, call this again: what had finished is
        reused.

        - `workflow_ids`: one per item. Default: the crew's name for all. Even then no item gets the answer of another
          one: a record is found by all that its task was asked.
        - `executor`: any `concurrent.futures.Executor`. The worker then builds the crew, so pass a function of a module
          or a name. Default: `max_workers` threads (4).
        - `on_error`: "raise" raises the first exception, after the running items have finished. "keep" puts each
          exception in the place of its result.
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
        """Give the results of `run_for_each` one at a time.

        `inputs_list` may be a generator. Memory does not grow with the number of items.
        """
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
        """Do what `run_for_each` does on this event loop, with CrewAI's native async kickoff.

        At most `max_workers` (4) items run at a time.
        """
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

        A plan calls no model, writes nothing and leaves the crew as it is. It asks no server, except PostgreSQL for the
        state. Some of your own code is called, since it decides what the prompts say: the before-kickoff callbacks, on
        a copy of the inputs, and the conditions of conditional tasks. Global hooks are not called.
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
        """Let a crew's own kickoff methods run through this repository. Returns the crew.

        Its copies do so too. Use it for `@CrewBase` projects, Flows, and code that you cannot change. CrewAI's `train`
        and `test` stay as they are, and ask the models each time. Raises AttachError if the crew is attached to another
        repository.
        """
        from crew_repo import adapter
        from crew_repo.runner import attaching

        adapter.check_crew(crew)
        merge_policies(policies)
        options = {"workflow_id": workflow_id, "policies": policies, "fire_callbacks": fire_callbacks}
        attaching.attach(crew, self._engine, options)
        return crew

    def detach(self, crew: Crew) -> Crew:
        """Give a crew the kickoff methods of CrewAI again. Returns the crew."""
        from crew_repo.runner import attaching

        attaching.detach(crew, self._engine)
        return crew


def _reopen(
    target: str | Path,
    policies: Mapping[str, TaskPolicy],
    share: bool,
    lease_seconds: float,
    busy_timeout_seconds: float,
    prices: Prices | None,
) -> StateRepository:
    return StateRepository(
        target,
        policies=policies,
        share_across_workflows=share,
        lease_seconds=lease_seconds,
        busy_timeout_seconds=busy_timeout_seconds,
        prices=prices,
    )
