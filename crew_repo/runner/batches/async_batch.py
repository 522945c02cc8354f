"""A batch on one event loop, with CrewAI's native async kickoff."""

from __future__ import annotations

import asyncio
from typing import Any

from crew_repo.runner.batches.batch import Batch

__all__ = ["arun_items"]


async def arun_items(batch: Batch) -> list[Any]:
    """The results in the order of the items; on an error what has begun is left to finish before it is raised."""
    ahead, progress = batch.ahead, batch.progress
    results: dict[int, Any] = {}
    raised: list[BaseException] = []

    async def worker() -> None:
        while not raised:
            try:
                taken = ahead.take(1)
            except Exception as error:  # noqa: BLE001 - of the caller's own generator; raised below
                raised.append(error)
                return
            if taken is None:
                return
            item, served = taken
            try:
                results[item.number] = await batch.worker.arun(item) if served is None else served
                ahead.told(results[item.number])
                progress.done(getattr(results[item.number], "run", None))
            except Exception as error:  # noqa: BLE001 - kept in its place, or raised below
                progress.failed(error, item.number, item.workflow_id)
                results[item.number] = error
                if batch.on_error == "raise":
                    raised.append(error)

    try:
        with progress:
            await asyncio.gather(*(worker() for _ in range(batch.max_workers)))
    except (asyncio.CancelledError, KeyboardInterrupt):
        progress.interrupted()
        raise
    finally:
        progress.summary()
    if raised:
        raise raised[0]
    return [results[number] for number in sorted(results)]
