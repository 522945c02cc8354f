"""The boundary: the moment when CrewAI is about to execute a task. Here crew_repo decides to execute or to reuse it.

They are overridden on the objects for the length of a run, and removed on exit; CrewAI keeps its own loop, context
building, joins of async tasks, conditions, callbacks, events and streaming.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from crewai import Crew, Task
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.crews.crew_output import CrewOutput
from crewai.tasks.task_output import TaskOutput

from crew_repo.adapter import crew_shape, private
from crew_repo.adapter.running.output_log import logged
from crew_repo.adapter.running.planner import Planner
from crew_repo.adapter.running.with_methods import with_methods
from crew_repo.adapter.supported import joins_forget

__all__ = ["Handler", "overridden"]

Execute = Callable[..., Any]


_EXECUTE_ASYNC = Task.execute_async


class Handler(Protocol):
    """The part of a run that is met at a boundary. A ticket is the handler's own note of one arrival."""

    def plan(self, planner: Planner) -> None:
        """Append the planner's plan to the descriptions: the stored one, or ask for it."""

    def serve_all(self) -> list[TaskOutput] | None:
        """Serve all tasks, if each is fresh, and give their outputs; None, and nothing is done, if not."""

    def arrive(self, task: Task, agent: BaseAgent | None, context: str, tools: Any) -> Any:
        """Hash what is about to be sent, look the record up, decide. `tools`: what CrewAI has prepared, if it has."""

    def served(self, ticket: Any) -> TaskOutput | None:
        """The restored output, if the decision was fresh."""

    async def aserved(self, ticket: Any) -> TaskOutput | None:
        """`served`, where an event loop runs."""

    def claim(self, ticket: Any) -> TaskOutput | None:
        """Wait for the lease; the output, if somebody else finished the work meanwhile."""

    async def aclaim(self, ticket: Any) -> TaskOutput | None:
        """`claim`; while it waits, the event loop goes on."""

    def execution(self, ticket: Any) -> Any:
        """A context manager around the execution.

        It gives a function that records the output and returns it, and the agent to execute the task with.
        """

    def started(self, future: Future[TaskOutput]) -> None:
        """An execution goes on in a thread of its own."""

    def astarted(self) -> None:
        """The asyncio task that runs now has come to an execution."""


@contextmanager
def overridden(crew: Crew, handler: Handler) -> Iterator[None]:
    """Meet every task of the crew at its boundary, and its planner before them."""
    with logged(crew), _planned(crew, handler), _looped(crew, handler), _executed(crew, handler):
        yield


@contextmanager
def _planned(crew: Crew, handler: Handler) -> Iterator[None]:
    """CrewAI calls the method if the crew is to plan, once its texts are interpolated."""
    name = private.planning_method(crew)
    planner = Planner(crew)
    methods = {} if name is None else {name: lambda: handler.plan(planner)}
    try:
        with with_methods(crew, methods):
            yield
    finally:
        planner.take_back()


@contextmanager
def _looped(crew: Crew, handler: Handler) -> Iterator[None]:
    """Spare CrewAI the loop over tasks that are all fresh: the crew is ready by then, and its end is to come."""
    names = private.loops(crew)
    if names is None or _needs_crewais(crew):
        yield
        return
    execute, aexecute = (getattr(crew, name) for name in names)

    def served() -> CrewOutput | None:
        outputs = handler.serve_all()
        if outputs is None:
            make_ready()
            return None
        for position, (task, output) in enumerate(zip(crew.tasks, outputs, strict=True)):
            private.log_output(crew, task, output, position)
        return private.crew_output(crew, outputs)

    def sync(*arguments: Any, **options: Any) -> CrewOutput:
        output = served()
        return execute(*arguments, **options) if output is None else output

    async def native(*arguments: Any, **options: Any) -> CrewOutput:
        output = served()
        return await aexecute(*arguments, **options) if output is None else output

    loops = dict(zip(names, (sync, native), strict=True))
    with private.agents_made_ready_later(crew) as make_ready, with_methods(crew, loops):
        if crew.planning:  # its planner is told what the agents know
            make_ready()
        yield


def _needs_crewais(crew: Crew) -> bool:
    """Whether only CrewAI's own loop does all that it does: asks conditions, notes each step in a file of the crew's.

    And forgets what async tasks said, where it does.
    """
    conditions = any(map(crew_shape.is_conditional, crew.tasks))
    forgets = joins_forget() and any(task.async_execution for task in crew.tasks)
    return conditions or forgets or bool(crew.output_log_file)


@contextmanager
def _executed(crew: Crew, handler: Handler) -> Iterator[None]:
    with ExitStack() as stack:
        for task in {id(task): task for task in crew.tasks}.values():
            stack.enter_context(with_methods(task, _overrides(task, handler)))
        yield


def _overrides(task: Task, handler: Handler) -> dict[str, Execute]:
    execute_sync, execute_async, aexecute_sync = task.execute_sync, task.execute_async, task.aexecute_sync

    def execute_joined(**arguments: Any) -> TaskOutput:
        return execute_async(**arguments).result()

    # In CrewAI's own thread a KeyboardInterrupt would settle nothing, and the crew would hang.
    execute_in_thread = execute_sync if _is_crewais(execute_async) else execute_joined

    def sync(agent: BaseAgent | None = None, context: str | None = None, tools: Any = None) -> TaskOutput:
        ticket = handler.arrive(task, agent, context or "", tools)
        served = handler.served(ticket)
        return served if served is not None else _execute(execute_sync, ticket, context, tools)

    def _execute(execute: Execute, ticket: Any, context: str | None, tools: Any) -> TaskOutput:
        claimed = handler.claim(ticket)
        if claimed is not None:
            return claimed
        with handler.execution(ticket) as (record, worker):
            output: TaskOutput = record(execute(agent=worker, context=context, tools=tools))
        return output

    async def native(agent: BaseAgent | None = None, context: str | None = None, tools: Any = None) -> TaskOutput:
        handler.astarted()
        ticket = handler.arrive(task, agent, context or "", tools)
        served = await handler.aserved(ticket)
        if served is None:
            served = await handler.aclaim(ticket)
        if served is not None:
            return served
        with handler.execution(ticket) as (record, worker):
            output: TaskOutput = record(await aexecute_sync(agent=worker, context=context, tools=tools))
        return output

    def threaded(
        agent: BaseAgent | None = None, context: str | None = None, tools: Any = None
    ) -> Future[TaskOutput]:
        future: Future[TaskOutput] = Future()
        ticket = handler.arrive(task, agent, context or "", tools)
        served = handler.served(ticket)
        if served is not None:
            future.set_result(served)
            return future
        handler.started(future)
        _in_thread(future, lambda: _execute(execute_in_thread, ticket, context, tools))
        return future

    return {"execute_sync": sync, "aexecute_sync": native, "execute_async": threaded}


def _is_crewais(execute_async: Execute) -> bool:
    """Whether nobody has overridden it, in a subclass or by a patch: then it is `execute_sync` in a thread."""
    return getattr(execute_async, "__func__", None) is _EXECUTE_ASYNC


def _in_thread(future: Future[TaskOutput], work: Callable[[], TaskOutput]) -> None:
    """Work in a daemon thread with a copy of this context, as CrewAI does; whatever it raises reaches the future.

    A thread that cannot be started settles the future too: else whoever waits for it would wait for ever.
    """
    context = contextvars.copy_context()

    def settle() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = context.run(work)
        except BaseException as error:  # noqa: BLE001 - a future that is never settled would hang the crew
            future.set_exception(error)
        else:
            future.set_result(result)

    try:
        threading.Thread(target=settle, daemon=True).start()
    except BaseException:
        if future.cancel():
            future.set_running_or_notify_cancel()
        raise
