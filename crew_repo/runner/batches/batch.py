"""Running one crew for many inputs, in order, a few at a time. A killed batch is simply started again.

Each item is a run of its own in its own workflow, so what had finished when a batch died is reused by the next.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from crew_repo.errors import InputError
from crew_repo.policy import TaskPolicy, merge_policies
from crew_repo.runner.batches.ahead import Ahead
from crew_repo.runner.batches.crew_source import CrewSource
from crew_repo.runner.batches.failures import named_item
from crew_repo.runner.batches.item import Item
from crew_repo.runner.batches.progress import Progress
from crew_repo.runner.engine import Engine

__all__ = ["Batch", "OnError", "Worker", "checked_batch", "run_items"]

log = logging.getLogger("crew_repo")

OnError: TypeAlias = Literal["raise", "keep"]
_WORKERS = 4
_AHEAD = 2  # items submitted per worker, so that none waits for the next


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch whose arguments were found to make sense: its items in order, who runs them, and who is told of each."""

    ahead: Ahead
    worker: Worker
    executor: Executor | None
    max_workers: int
    on_error: OnError
    progress: Progress


def checked_batch(
    engine: Engine,
    crew: Any,
    inputs_list: Iterable[Any],
    *,
    workflow_ids: Iterable[str] | None,
    executor: Executor | None = None,
    max_workers: int | None,
    on_error: OnError,
    force: bool | str | Iterable[str],
    policies: Mapping[str, TaskPolicy] | None,
    input_files: Mapping[str, Any] | None,
) -> Batch:
    """Check what `StateRepository.run_for_each` was given; whether the names fit, each item's crew says.

    An `executor` may run the items elsewhere. Raises InputError for the first thing that is wrong.
    """
    if on_error not in ("raise", "keep"):
        raise InputError(f"on_error is {on_error!r}; it can be 'raise' or 'keep'")
    if max_workers is not None and (not isinstance(max_workers, int) or max_workers < 1):
        raise InputError(f"max_workers is {max_workers!r}; give a whole number from 1")
    source = CrewSource(crew)
    if executor is not None:
        source.check_portable(executor)
    items = _items_of(inputs_list, workflow_ids)
    merge_policies(policies)
    names = force if isinstance(force, (bool, str)) else tuple(force)  # each item reads them
    worker = Worker(engine, source, {"force": names, "policies": policies, "input_files": input_files})
    total = len(inputs_list) if isinstance(inputs_list, Sized) else None
    return Batch(
        ahead=Ahead(items, worker.look if executor is None else None, at_hand=_are_at_hand(inputs_list, workflow_ids)),
        worker=worker,
        executor=executor,
        max_workers=max_workers or _WORKERS,
        on_error=on_error,
        progress=Progress(total, visible=engine.settings.verbose),
    )


def _items_of(inputs_list: Iterable[Any], workflow_ids: Iterable[str] | None) -> Iterator[Item]:
    """The items one by one; as many workflow IDs as inputs, or an InputError: at once if both have a length."""
    if isinstance(inputs_list, (str, bytes, Mapping)) or not isinstance(inputs_list, Iterable):
        raise InputError("inputs_list is one set of inputs; give a list (or a generator) of them")
    if isinstance(workflow_ids, (str, bytes)):
        raise InputError("workflow_ids is one text; give a list (or a generator) with one for each item")
    if isinstance(inputs_list, Sized) and isinstance(workflow_ids, Sized) and len(inputs_list) != len(workflow_ids):
        raise InputError(f"There are {len(inputs_list)} inputs and {len(workflow_ids)} workflow_ids; give one for each")
    return _numbered(inputs_list, None if workflow_ids is None else iter(workflow_ids))


def _are_at_hand(inputs_list: Iterable[Any], workflow_ids: Iterable[str] | None) -> bool:
    """Whether to draw an item makes nobody wait: a generator, and a class of the user's, may do so."""
    return all(type(given) in (list, tuple, range, type(None)) for given in (inputs_list, workflow_ids))


def _numbered(inputs_list: Iterable[Any], ids: Iterator[str] | None) -> Iterator[Item]:
    for number, inputs in enumerate(inputs_list):
        try:
            workflow_id = next(ids) if ids is not None else None
        except StopIteration:
            raise InputError(f"There are only {number} workflow_ids; item {number} has none") from None
        yield Item(number, inputs, workflow_id)
    if ids is not None and next(ids, None) is not None:
        raise InputError("There are more workflow_ids than inputs")


def run_items(batch: Batch) -> Iterator[Any]:
    """The results in the order of the items; an exception is raised, or kept in its place.

    Only a window of items is in memory, and those that are looked at together. On an error or Ctrl-C what has not begun
    is cancelled; what runs is left to finish and to be recorded.
    """
    pool = batch.executor or ThreadPoolExecutor(batch.max_workers, thread_name_prefix="crew_repo")
    window: deque[tuple[Item, Future[Any]]] = deque()
    try:
        with batch.progress:
            yield from _in_order(batch, pool, window)
    except KeyboardInterrupt:
        batch.progress.interrupted()
        raise
    finally:
        wait([future for _, future in window if not future.cancel()])
        if batch.executor is None:
            pool.shutdown(wait=True, cancel_futures=True)
        batch.progress.summary()


def _in_order(batch: Batch, pool: Executor, window: deque[tuple[Item, Future[Any]]]) -> Iterator[Any]:
    ahead, size, more = batch.ahead, batch.max_workers * _AHEAD, True
    while more or window:
        while more and len(window) < size:
            if ahead.waits([future for _, future in window], one_by_one=batch.max_workers == 1):
                break
            taken = ahead.take(size - len(window))
            more = taken is not None
            if taken is not None:
                item, result = taken
                window.append((item, _submitted(pool, batch.worker, item) if result is None else _done(result)))
        if window:
            item, future = window.popleft()
            result = _settled(item, future, batch)
            ahead.told(result)
            yield result


def _submitted(pool: Executor, work: Callable[[Item], Any], item: Item) -> Future[Any]:
    """Hand an item over; one that an executor without its processes does not take has failed."""
    try:
        return pool.submit(work, item)
    except BrokenExecutor as error:
        refused: Future[Any] = Future()
        refused.set_exception(error)
        return refused


def _done(result: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(result)
    return future


def _settled(item: Item, future: Future[Any], batch: Batch) -> Any:
    try:
        result = _result_of(future)
    except Exception as error:
        batch.progress.failed(error, item.number, item.workflow_id)
        if batch.on_error == "raise":
            raise
        return error
    batch.progress.done(getattr(result, "run", None))
    return result


def _result_of(future: Future[Any]) -> Any:
    """The result of an item. That a process died is one exception for all that were under way: each gets its own."""
    try:
        return future.result()
    except BrokenExecutor as error:
        remedy = (
            "It died in this item or in one beside it: crew-repo runs shows which runs were interrupted. "
            "What had finished is recorded: start the same batch again, with a new executor."
        )
        raise type(error)(f"{error} {remedy}") from error


class Worker:
    """Runs items of a batch in whatever process it finds itself; one engine and one pool of crews per process."""

    def __init__(self, engine: Engine, source: CrewSource, options: Mapping[str, Any]) -> None:
        self._engine, self._source, self._options = engine, source, dict(options)
        self._batch = uuid.uuid4().hex

    def __reduce__(self) -> Any:
        """The engine travels as its settings: its store is opened once per process, not once per item."""
        return _worker_here, (self._batch, self._engine.__reduce__(), self._source, self._options)

    def __call__(self, item: Item) -> Any:
        """Run one item on a crew that nobody else uses; a crew whose run failed is not used again."""
        with named_item(item.number, item.workflow_id):
            crew = self._source.borrow()
            request = item.request(self._engine, crew, self._source, self._options)
            with named_item(item.number, request.options.workflow_id):
                result = self._engine.item(request)
        self._source.give_back(crew)
        return result

    async def arun(self, item: Item) -> Any:
        """Run one item on this event loop, as a call does."""
        with named_item(item.number, item.workflow_id):
            crew = self._source.borrow()
            request = item.request(self._engine, crew, self._source, self._options)
            with named_item(item.number, request.options.workflow_id):
                result = await self._engine.aitem(request)
        self._source.give_back(crew)
        return result

    def look(self, items: Sequence[Item]) -> list[Any]:
        """The results of the first of these items, as many as are all fresh, so that they need no kickoff.

        None at all, if anything is wrong with one of them: whoever runs that one alone raises it.
        """
        try:
            crew = self._source.borrow()
            first = items[0].request(self._engine, crew, self._source, self._options)
            others = [first.alike(item.inputs, item.workflow_id) for item in items[1:]]
            results = self._engine.items_in_a_row([first, *others])
        except Exception as error:  # noqa: BLE001 - see above
            log.debug("items %s to %s are run one by one: %s", items[0].number, items[-1].number, error)
            return []
        self._source.give_back(crew)
        return results


_here: dict[tuple[int, str], Worker] = {}
_KEPT = 4  # workers per process, for batches that run beside each other


def _worker_here(batch: str, engine: Any, source: CrewSource, options: Mapping[str, Any]) -> Worker:
    """The worker that this process has already for the same batch, or a new one."""
    key = (os.getpid(), batch)
    found = _here.get(key)
    if found is None:
        reopen, arguments = engine
        found = _here.setdefault(key, Worker(reopen(*arguments), source, options))
        for old in list(_here)[:-_KEPT]:
            _here.pop(old, None)
    return found
