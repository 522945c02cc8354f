"""The engine below the face: one store, its heartbeat, and every way to run one crew against them.

`request` checks what was asked for, before any model is called. `run` and `arun` take a request to its result; `item`
and `aitem` do so for an entry of a batch. This module imports crewai only when a crew is at hand.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from crew_repo.declared_files import leave_out_state
from crew_repo.errors import InputError, RunningLoopError
from crew_repo.policy import Policies, TaskPolicy, merge_policies
from crew_repo.runner.options import RunOptions, check_policies, check_workflow_id, forced_names, nearest
from crew_repo.runner.request import Request
from crew_repo.store import Store

if TYPE_CHECKING:
    from crew_repo.adapter import CrewView
    from crew_repo.model import Plan
    from crew_repo.runner.heartbeat import Keeper
    from crew_repo.runner.session import Session

__all__ = ["Engine", "EngineSettings", "refuse_running_loop"]

log = logging.getLogger("crew_repo")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The settings of a repository; `StateRepository` says what each is for."""

    url: str
    policies: Mapping[str, TaskPolicy]
    share: bool
    lease_seconds: float
    busy_timeout_seconds: float
    verbose: bool | None = None


class Engine:
    """Runs crews against one store. Usable from many threads; a pickled copy opens the store anew."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.store = Store(
            settings.url,
            busy_timeout_seconds=settings.busy_timeout_seconds,
            lease_seconds=settings.lease_seconds,
        )
        leave_out_state(self.store.display_url)
        self._lock = threading.RLock()
        self._keeper: Keeper | None = None
        self._said: set[str] = set()
        self._looked_at: set[object] = set()

    def __reduce__(self) -> Any:
        return Engine, (replace(self.settings, verbose=None),)

    def close(self) -> None:
        """Write what could not be written before, and close the connections."""
        if self._keeper is not None:
            self._keeper.settle()
        self.store.close()

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
    ) -> Request:
        """Check a crew, its inputs, and how they are to be run. Raises InputError for the first thing that is wrong."""
        from crew_repo import adapter

        adapter.check_crew(crew)
        adapter.check_inputs(inputs)
        names = adapter.task_names(crew)
        merged = merge_policies(self.settings.policies, policies)
        check_policies(policies, names)
        self._warn_of_policies(names)
        options = RunOptions(
            workflow_id=check_workflow_id(workflow_id, crew.name),
            force=forced_names(force, names),
            policies=merged,
            fire_callbacks=fire_callbacks,
            share=self.settings.share,
        )
        return Request(crew=crew, inputs=inputs, input_files=input_files, options=options)

    def _warn_of_policies(self, names: Sequence[str]) -> None:
        """Log once which policies of the repository are for a name that neither this crew nor the state has."""
        unknown = set(self.settings.policies) - {"*"} - set(names)
        unknown -= set(self.store.task_names()) if unknown else set()
        for name in sorted(unknown):
            self.say(f"The policy for {name!r} applies to no task. The nearest names are: {nearest(name, names)}.")

    def say(self, sentence: str) -> None:
        """Log a warning the first time that it is to be said."""
        if sentence not in self._said:
            self._said.add(sentence)
            log.warning("%s", sentence)

    def _unmatched(self, view: CrewView, policies: Policies) -> Iterator[str]:
        """A sentence about each pattern of `ignore` that leaves nothing out."""
        from crew_repo import adapter

        for found in adapter.unmatched_patterns(view, policies):
            whose = "any task" if found.task_name == "*" else "that task"
            yield (
                f"ignore={found.pattern!r} in the policy for {found.task_name!r} matches no part of {whose}, so it "
                f"leaves nothing out. The nearest are: {nearest(found.pattern, found.paths)}."
            )

    def _warn_of_patterns(self, view: CrewView, policies: Policies) -> None:
        """Log once which patterns match nothing; to look at them, the tasks are described, so it is done once too."""
        given = {(name, pattern) for name, policy in policies.by_name.items() for pattern in policy.ignore}
        if not given <= self._looked_at:
            self._looked_at |= given
            for sentence in self._unmatched(view, policies):
                self.say(sentence)

    def _taken(self, request: Request) -> Iterator[str]:
        """A sentence if the workflow holds the records of a crew that has nothing in common with this one."""
        from crew_repo import adapter
        from crew_repo.runner.taken_workflow import taken_by_another

        workflow_id, looks = request.options.workflow_id, adapter.looks_of(request.crew)
        theirs = taken_by_another(looks, self.store.heads(workflow_id))
        if theirs:
            yield (
                f"Workflow {workflow_id!r} has the tasks {_few(theirs)} of another crew already, and none of them is "
                f"like one of this crew's ({_few([look.name for look in looks])}): task_state and history show both "
                "crews as one. Give each crew a name, Crew(name=...), or pass a workflow_id."
            )

    def _warn_if_taken(self, request: Request) -> None:
        """Log it once for each workflow and crew; each costs a read of what is recorded."""
        from crew_repo import adapter

        key = hash((request.options.workflow_id, *adapter.looks_of(request.crew)))  # the texts are not kept
        if key not in self._looked_at:
            self._looked_at.add(key)
            for sentence in self._taken(request):
                self.say(sentence)

    def warn_if_unknown(self, task_name: str | None, workflow_id: str | None) -> None:
        """Log which task and workflow there are, where one was asked for that the state does not know."""
        if workflow_id is not None and workflow_id not in self.store.workflow_ids():
            there = nearest(workflow_id, self.store.workflow_ids())
            self.say(f"There is no workflow {workflow_id!r} in {self.store.display_url}. There are: {there}.")
        elif task_name is not None and task_name not in self.store.task_names(workflow_id):
            there = nearest(task_name, self.store.task_names(workflow_id))
            where = f" of workflow {workflow_id!r}" if workflow_id is not None else ""
            self.say(f"There is no task {task_name!r}{where} in {self.store.display_url}. There are: {there}.")

    def plan(self, request: Request) -> Plan:
        """Say what `run` would do with this request; nothing is executed and nothing written."""
        from crew_repo import adapter
        from crew_repo.runner.planner import make_plan

        crew, options = request.crew, request.options
        plan = make_plan(self.store, crew, request.inputs, request.files, options)
        inputs = adapter.planned_inputs(crew, request.inputs)
        hints = [*self._taken(request), *adapter.hints_about(crew, inputs, options.policies)]
        if any(policy.ignore for policy in options.policies.by_name.values()):
            hints += self._unmatched(adapter.planned_view(crew, inputs), options.policies)
        return replace(plan, notes=tuple(hints))

    def run(self, request: Request) -> Any:
        """Run a crew; with `crew.stream` return the stream, in whose reading the run happens."""
        from crew_repo import adapter
        from crew_repo.runner.attaching import run_when_read

        self._check(request)
        self._warn_if_taken(request)
        if not request.crew.stream:
            refuse_running_loop("result = await repo.arun(crew, inputs)")
            return self.run_now(request)
        with run_when_read(self, request) as (reading, let_go_with):
            return let_go_with(adapter.kickoff(request.crew, reading, request.input_files))

    async def arun(self, request: Request) -> Any:
        """`run` with CrewAI's native async kickoff."""
        from crew_repo import adapter
        from crew_repo.runner.attaching import run_when_read

        self._check(request)
        self._warn_if_taken(request)
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
        from crew_repo.runner.all_fresh import serve_all

        self._check(request)
        if request.options.workflow_id == check_workflow_id(None, request.crew.name):  # others are read one by one
            self._warn_if_taken(request)
        if request.crew.stream:
            raise InputError("A batch has no use for a stream: set stream=False on the crew, or run it alone.")
        return serve_all(self.store, request.crew, request.inputs, request.files, request.options)

    def _check(self, request: Request) -> None:
        """Raise for an input that a template lacks and a file that is not there; log each hint about the inputs once.

        Where callbacks may change the inputs, the kickoff itself finds what they lack.
        """
        from crew_repo import adapter
        from crew_repo.runner.required_files import check_files

        crew = request.crew
        if crew.before_kickoff_callbacks:
            return
        inputs = adapter.planned_inputs(crew, request.inputs)
        view = adapter.planned_view(crew, inputs)
        check_files(((task.name, task.task) for task in view.tasks), request.options.policies)
        for hint in adapter.hints_about(crew, inputs, request.options.policies):
            self.say(hint)
        self._warn_of_patterns(view, request.options.policies)

    def _session(self, request: Request) -> Session:
        from crew_repo.runner.display import Display
        from crew_repo.runner.session import Session

        display = Display.silent() if request.quiet else Display.choose(self.settings.verbose)
        keeper = self._kept()
        return Session(self.store, keeper, request.crew, request.options, files=request.files, display=display)

    def _kept(self) -> Keeper:
        from crew_repo.runner.heartbeat import Keeper

        with self._lock:
            if self._keeper is None:
                self._keeper = Keeper(self.store, self.settings.lease_seconds / 4)
            return self._keeper


def _few(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    more = len(names) - 3
    return ", ".join(map(repr, names[:3])) + (f" and {more} more" if more > 0 else "")


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
        f"Type instead: {instead}\nAn attached crew has CrewAI's own: result = await crew.kickoff_async(inputs)"
    )
