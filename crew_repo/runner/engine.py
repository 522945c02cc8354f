"""The engine below StateRepository: one store, and every way to run one crew with it.

`request` checks what was asked for, before any model is called. `run` and `arun` take a request to its result; `item`
and `aitem` do so for an entry of a batch. This module imports crewai only when a crew is at hand.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from crew_repo.declared_files import leave_out_state
from crew_repo.errors import InputError, RunningLoopError
from crew_repo.policy import TaskPolicy, merge_policies
from crew_repo.pricing import Prices, priced_plan
from crew_repo.runner.hinting import Hinting
from crew_repo.runner.loading import refuse_while_loading
from crew_repo.runner.options import (
    RunOptions,
    check_policies,
    check_storable,
    check_tasks,
    check_workflow_id,
    forced_names,
)
from crew_repo.runner.request import Request
from crew_repo.runner.unwritten import Unwritten
from crew_repo.settings import checked_flag, checked_source
from crew_repo.store import Store

if TYPE_CHECKING:
    from crew_repo.adapter import CrewView, Moment
    from crew_repo.model import Plan, RunRecord
    from crew_repo.runner.heartbeat import Heartbeat
    from crew_repo.runner.session import Session

__all__ = ["Engine", "EngineSettings", "refuse_running_loop"]

@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The settings of a repository; `StateRepository` says what each is for."""

    url: str
    policies: Mapping[str, TaskPolicy]
    share: bool
    lease_seconds: float
    busy_timeout_seconds: float
    synchronous: str = "FULL"
    verbose: bool | None = None
    prices: Prices | None = None


class Engine:
    """Runs crews against one store. Usable from many threads; a pickled copy opens the store anew."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.store = Store(
            settings.url,
            busy_timeout_seconds=settings.busy_timeout_seconds,
            lease_seconds=settings.lease_seconds,
            synchronous=settings.synchronous,
        )
        leave_out_state(self.store.display_url)
        self._lock = threading.RLock()
        self._heartbeat: Heartbeat | None = None
        self._last_here: dict[str, tuple[str, ref[Any]]] = {}  # the last run of each workflow, and its crew if it lives
        self._unwritten = Unwritten(self.store, self._is_running)
        self.hinting = Hinting(self.store, settings.policies)

    def __reduce__(self) -> Any:
        return Engine, (replace(self.settings, verbose=None),)

    def close(self) -> None:
        """Write what could not be written before, and close the connections: as soon as all of it is written."""
        self._unwritten.close()

    def request(
        self,
        crew: Any,
        inputs: Mapping[str, Any] | None,
        *,
        input_files: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        force: bool | str | Iterable[str] = (),
        policies: Mapping[str, TaskPolicy] | None = None,
        fire_callbacks: bool = False,
        source: str | None = None,
    ) -> Request:
        """Check a crew, its inputs, and how they are to be run. Raises InputError for the first thing that is wrong."""
        from crew_repo import adapter
        from crew_repo.hashing import forget_interrupted

        forget_interrupted()
        adapter.check_crew(crew)
        check_tasks(crew)
        adapter.check_inputs(inputs)
        adapter.check_input_files(input_files)
        names = adapter.recorded_names(crew)
        check_storable(names, "the task name")
        merged = merge_policies(self.settings.policies, policies)
        check_policies(policies, names)
        self.hinting.about_policies(names)
        options = RunOptions(
            workflow_id=check_workflow_id(workflow_id, crew),
            force=forced_names(force, names),
            policies=merged,
            fire_callbacks=checked_flag("fire_callbacks", fire_callbacks),
            share=self.settings.share,
            prices=self.settings.prices,
        )
        return Request(
            crew=crew, inputs=inputs, input_files=input_files, options=options, source=checked_source(source)
        )

    def plan(self, request: Request) -> Plan:
        """Say what `run` would do with this request; nothing is executed and nothing written."""
        from crew_repo import adapter
        from crew_repo.hashing import looking
        from crew_repo.runner.planner import make_plan

        inputs, files = request.planned()
        view = adapter.planned_view(request.crew, inputs, files)
        with looking():
            plan = make_plan(self.store, view, request.options)
        plan = priced_plan(plan, self.settings.prices)
        hints = self.hinting.notes(replace(request, inputs=inputs), view)
        return replace(plan, notes=(*plan.notes, *hints))

    def run(self, request: Request, *, instead: str = "result = await repo.arun(crew, inputs)") -> Any:
        """Run a crew; with `crew.stream` return the stream, in whose reading the run happens.

        `instead`: the line to type where an event loop runs.
        """
        from crew_repo import adapter
        from crew_repo.runner.attaching import run_when_read

        self._check(request)
        self.hinting.about_workflow(request)
        if not request.crew.stream:
            refuse_running_loop(instead)
            return self.run_now(request)
        with run_when_read(self, request) as (reading, let_go_with):
            return let_go_with(adapter.kickoff(request.crew, reading, request.input_files))

    async def arun(self, request: Request) -> Any:
        """`run` with CrewAI's native async kickoff."""
        from crew_repo import adapter
        from crew_repo.runner.attaching import run_when_read

        self._check(request)
        self.hinting.about_workflow(request)
        if not request.crew.stream:
            return await self.arun_now(request)
        with run_when_read(self, request) as (reading, let_go_with):
            return let_go_with(await adapter.akickoff(request.crew, reading, request.input_files))

    def run_now(self, request: Request) -> Any:
        """Run a crew whose request was checked, in a session of its own."""
        from crew_repo.runner.running import run_session

        return run_session(self._session(request), request.crew, request.inputs, request.input_files)

    async def arun_now(self, request: Request) -> Any:
        """`run_now` with CrewAI's native async kickoff."""
        from crew_repo.runner.running import arun_session

        return await arun_session(self._session(request), request.crew, request.inputs, request.input_files)

    def item(self, request: Request) -> Any:
        """Run one entry of a batch, of which nothing is shown; where every task is fresh there is no kickoff."""
        served = self._served(request)
        return self.run_now(replace(request, quiet=True)) if served is None else served

    async def aitem(self, request: Request) -> Any:
        """`item` with CrewAI's native async kickoff."""
        served = self._served(request)
        return await self.arun_now(replace(request, quiet=True)) if served is None else served

    def _served(self, request: Request) -> Any | None:
        return next(iter(self.items_in_a_row([request])), None)

    def items_in_a_row(self, requests: Sequence[Request]) -> list[Any]:
        """The results of the first of these entries of a batch, as many as are all fresh: they need no kickoff.

        All are for one crew, which is looked at once. Raises for whatever is wrong with one of them, and then nothing
        is written of any.
        """
        from crew_repo import adapter
        from crew_repo.runner.all_fresh import serve_in_a_row

        crew = requests[0].crew
        default = check_workflow_id(None, crew)
        in_default = (request for request in requests if request.options.workflow_id == default)
        if (request := next(in_default, None)) is not None:  # others would be read one by one
            self.hinting.about_workflow(request)
        if crew.stream:
            raise InputError("A batch cannot stream. Set stream=False on the crew, or call run() for each input.")
        if crew.before_kickoff_callbacks:
            return []
        moment = adapter.Moment(crew)
        served = serve_in_a_row(self.store, moment, requests, partial(self._view, moment=moment))
        for request, result in zip(requests, served, strict=False):
            self._remember(request, result.run.run_id)
        return served

    def _check(self, request: Request) -> None:
        """Refuse a run that the loading of a program starts; then check as `_view` does.

        Callbacks may change the inputs; then the kickoff finds what is lacking.
        """
        from crew_repo import adapter

        refuse_while_loading()
        if not request.crew.before_kickoff_callbacks:
            self._view(request, adapter.Moment(request.crew))

    def _view(self, request: Request, moment: Moment) -> CrewView:
        """The crew with its inputs. Each hint about these is logged once.

        Raises for an input that a template lacks, and for a file that is not there.
        """
        from crew_repo.runner.required_files import check_files

        inputs, files = request.planned()
        view = moment.view(inputs, files)
        check_files(request.crew, ((task.name, task.task) for task in view.tasks), request.options.policies)
        if moment.is_first(inputs):  # the hints go by the names of the inputs
            self.hinting.about_inputs(replace(request, inputs=inputs), view)
        return view

    def _session(self, request: Request) -> Session:
        from crew_repo.runner.display import Display
        from crew_repo.runner.session import Session

        display = Display.silent() if request.quiet else Display.choose(self.settings.verbose)
        session = Session(
            self.store,
            self._started_heartbeat(),
            self._unwritten,
            request,
            display=display,
        )
        self._remember(request, session.run_id)
        return session

    def _remember(self, request: Request, run_id: str) -> None:
        """Note the crew of a run for `crew_of`, for as long as it lives."""
        workflow_id = request.options.workflow_id

        def forget(dead: ref[Any]) -> None:
            if self._last_here.get(workflow_id, ("", None))[1] is dead:
                self._last_here.pop(workflow_id, None)

        self._last_here[workflow_id] = (run_id, ref(request.crew, forget))

    def crew_of(self, run: RunRecord) -> Any | None:
        """Give the crew of a run, if that is the last of its workflow in this process, and the crew is still there."""
        run_id, crew = self._last_here.get(run.workflow_id, ("", None))
        return crew() if crew is not None and run_id == run.run_id else None

    def _is_running(self) -> bool:
        return self._heartbeat is not None and self._heartbeat.is_busy

    def _started_heartbeat(self) -> Heartbeat:
        from crew_repo.runner.heartbeat import Heartbeat

        with self._lock:
            if self._heartbeat is None:
                self._heartbeat = Heartbeat(self.store, self.settings.lease_seconds / 4)
            return self._heartbeat


def refuse_running_loop(instead: str) -> None:
    """Raise RunningLoopError where this thread's event loop is running; `instead` is the line to type there.

    CrewAI's present executor refuses it too, but in the middle of the first task.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RunningLoopError(
        "An event loop is running here, as in a notebook or in FastAPI, and would be blocked. "
        f"Type instead: {instead}\nFor an attached crew: result = await crew.kickoff_async(inputs)"
    )
