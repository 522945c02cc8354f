"""A batch on one event loop, with CrewAI's native async kickoff."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from crew_repo.runner.batches.batch import Item, OnError
from crew_repo.runner.batches.crew_source import CrewSource
from crew_repo.runner.batches.failures import named_item
from crew_repo.runner.batches.progress import Progress
from crew_repo.runner.engine import Engine

__all__ = ["arun_items"]


async def arun_items(
    engine: Engine,
    source: CrewSource,
    items: Iterator[Item],
    options: Mapping[str, Any],
    *,
    max_workers: int,
    on_error: OnError,
    progress: Progress,
) -> list[Any]:
    """The results in the order of the items; on an error what has begun is left to finish before it is raised."""
    results: dict[int, Any] = {}
    raised: list[BaseException] = []

    async def worker() -> None:
        while not raised:
            try:
                item = next(items, None)
            except Exception as error:  # noqa: BLE001 - of the caller's own generator; raised below
                raised.append(error)
                return
            if item is None:
                return
            try:
                results[item.number] = await _run(engine, source, item, options)
                progress.done(getattr(results[item.number], "run", None))
            except Exception as error:  # noqa: BLE001 - kept in its place, or raised below
                progress.failed(error, item.number, item.workflow_id)
                results[item.number] = error
                if on_error == "raise":
                    raised.append(error)

    try:
        with progress:
            await asyncio.gather(*(worker() for _ in range(max_workers)))
    except (asyncio.CancelledError, KeyboardInterrupt):
        progress.interrupted()
        raise
    finally:
        progress.summary()
    if raised:
        raise raised[0]
    return [results[number] for number in sorted(results)]


async def _run(engine: Engine, source: CrewSource, item: Item, options: Mapping[str, Any]) -> Any:
    """Run one item on a crew that nobody else uses; a crew whose run failed is not used again."""
    with named_item(item.number, item.workflow_id):
        crew = source.borrow()
        request = item.request(engine, crew, source, options)
        with named_item(item.number, request.options.workflow_id):
            result = await engine.aitem(request)
    source.give_back(crew)
    return result
