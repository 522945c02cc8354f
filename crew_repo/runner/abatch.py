"""A batch on one event loop, with CrewAI's native async kickoff."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from crew_repo.runner.batch import Item, OnError
from crew_repo.runner.progress import Progress
from crew_repo.runner.sources import CrewSource

__all__ = ["arun_items"]


async def arun_items(
    repository: Any,
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
    first_error: list[BaseException] = []

    async def worker() -> None:
        for item in items:
            if first_error:
                return
            try:
                results[item.number] = await _run(repository, source, item, options)
                progress.done(getattr(results[item.number], "run", None))
            except Exception as error:  # noqa: BLE001 - kept in its place, or raised below
                progress.failed(error)
                results[item.number] = error
                if on_error == "raise":
                    first_error.append(error)

    with progress:
        await asyncio.gather(*(worker() for _ in range(max_workers)))
    progress.summary()
    if first_error:
        raise first_error[0]
    return [results[number] for number in sorted(results)]


async def _run(repository: Any, source: CrewSource, item: Item, options: Mapping[str, Any]) -> Any:
    crew = source.borrow()
    try:
        return await repository.arun_item(crew, item.inputs, workflow_id=item.workflow_id, **options)
    finally:
        source.give_back(crew)
