"""StateRepository: runs crews so that only changed tasks are executed, and tells what was done.

This module imports neither crewai nor a database driver until they are needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, overload

from crew_repo.batch_runs import BatchRuns
from crew_repo.corrections import Corrections
from crew_repo.errors import did_you_mean
from crew_repo.model import Plan, RunRecord
from crew_repo.policy import TaskPolicy, merge_policies
from crew_repo.pricing import Price, Prices, given_prices
from crew_repo.recorded_state import RecordedState
from crew_repo.settings import check_seconds, checked_flag, checked_synchronous, resolve_url

if TYPE_CHECKING:
    from crewai import Crew
    from crewai.crews.crew_output import CrewOutput

    class RecordedOutput(CrewOutput):
        """A CrewOutput whose `run` says what happened."""

        run: RunRecord


__all__ = ["StateRepository"]

_ARGUMENTS = ("inputs", "input_files", "workflow_id", "force", "policies", "fire_callbacks", "source")


class StateRepository(RecordedState, Corrections, BatchRuns):
    """Remembers the answers of the tasks of crews, and executes only tasks that are stale or missing.

    A stored answer is called a record. A task is fresh if a record answers it, stale if something that the record was
    made from has changed, and missing if there is no usable record. Records belong to a workflow: see `run`.

    `target` is a path or a SQLAlchemy URL. None takes the variable `CREW_REPO_URL`, or else `crew_state.db` in the
    current folder. A repository is a context manager. Threads may share it; other processes may get it by pickling.

    - `policies`: a TaskPolicy by task name, for every run of this repository (`"*"` for all tasks).
    - `share_across_workflows`: reuse records of any workflow, not only of the one that runs.
    - `lease_seconds`: how long a task is kept for the process that executes it where nobody can tell whether it lives,
      as on another machine, at least 1. A living process extends this in time. After a kill there, others wait that
      long before they take the task over; here they know at once, and take nothing from a process that lives.
    - `busy_timeout_seconds`: how long a write waits for another process's write, or for a connection to PostgreSQL.
    - `synchronous`: FULL, with which a finished task survives a power cut, or NORMAL, with which the last ones may be
      lost then, and nothing is damaged; a killed process loses none either way. None reads the variable
      `CREW_REPO_SYNCHRONOUS`, or else is FULL. It is for SQLite; PostgreSQL goes by its own `synchronous_commit`.
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
        synchronous: str | None = None,
        verbose: bool | None = None,
        prices: Mapping[str, Price | str] | str | os.PathLike[str] | Prices | None = None,
    ) -> None:
        from crew_repo.runner.engine import Engine, EngineSettings

        check_seconds("lease_seconds", lease_seconds, least=1.0)
        check_seconds("busy_timeout_seconds", busy_timeout_seconds, least=0.0)
        settings = EngineSettings(
            url=resolve_url(target),
            policies=dict(merge_policies(policies).by_name),
            share=checked_flag("share_across_workflows", share_across_workflows),
            lease_seconds=lease_seconds,
            busy_timeout_seconds=busy_timeout_seconds,
            synchronous=checked_synchronous(synchronous),
            verbose=None if verbose is None else checked_flag("verbose", verbose),
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
        return partial(
            StateRepository,
            target,
            policies=settings.policies,
            share_across_workflows=settings.share,
            lease_seconds=settings.lease_seconds,
            busy_timeout_seconds=settings.busy_timeout_seconds,
            synchronous=settings.synchronous,
            prices=settings.prices,
        ), ()

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
        source: str | None = None,
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
        - `source`: where this crew can be loaded from, as `package.module:attribute` or a project's path: see `resume`.

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
                source=source,
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
        source: str | None = None,
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
                source=source,
            )
        )

    @staticmethod
    def _refuse(arguments: Mapping[str, Any]) -> None:
        """Raise for an argument of kickoff that cannot be used here, and for a misspelt one."""
        from crew_repo import adapter

        adapter.refuse_checkpoint(arguments)
        if arguments:
            given = next(iter(arguments))
            raise TypeError(
                f"run() got an unexpected keyword argument {given!r}. {did_you_mean(given, _ARGUMENTS, 'arguments')}"
            )

    @overload
    def resume(
        self, workflow_id: str | None = None, *, dry_run: Literal[False] = False, **options: Any
    ) -> RecordedOutput: ...

    @overload
    def resume(self, workflow_id: str | None = None, *, dry_run: Literal[True], **options: Any) -> Plan: ...

    def resume(self, workflow_id: str | None = None, *, dry_run: bool = False, **options: Any) -> RecordedOutput | Plan:
        """Go on with the newest run of a workflow, by default of all: with its inputs, and with its crew.

        What had finished is reused, as by `run`; so is all of a run that was complete. Nothing has to be given again,
        but what is not stored: an input that is a secret, a file, `force` and policies of the run. What is given goes
        before. So after a run with `force` that was stopped, name in `force` the tasks that it had not come to.

        - `crew`: the crew to run. Default: that of the run, if this process has it still, else the one at the
          `source` of the run. Crews of the command line, and of a batch that was given a name, have one.
        - `inputs`, `input_files`, `force`, `policies`, `fire_callbacks`: as in `run`.
        - `dry_run`: only plan, and return the Plan.

        Raises InputError for a workflow without a run, an input that is not stored, and a crew that nobody knows here;
        and the errors of `run`.
        """
        from crew_repo.runner.resuming import resumed

        request = resumed(self._engine, workflow_id, **options)
        if dry_run:
            return self._engine.plan(request)
        return self._engine.run(  # type: ignore[no-any-return]
            request, instead="result = await repo.aresume(workflow_id)"
        )

    async def aresume(self, workflow_id: str | None = None, **options: Any) -> RecordedOutput:
        """Go on as `resume` does, with CrewAI's native async kickoff."""
        from crew_repo.runner.resuming import resumed

        return await self._engine.arun(resumed(self._engine, workflow_id, **options))  # type: ignore[no-any-return]

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
        source: str | None = None,
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
        options = {"workflow_id": workflow_id, "policies": policies, "fire_callbacks": fire_callbacks, "source": source}
        attaching.attach(crew, self._engine, options)
        return crew

    def detach(self, crew: Crew) -> Crew:
        """Give a crew the kickoff methods of CrewAI again. Returns the crew."""
        from crew_repo.runner import attaching

        attaching.detach(crew, self._engine)
        return crew
