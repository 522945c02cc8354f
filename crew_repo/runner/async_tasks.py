"""The async tasks of one run: those in threads, and those on an event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, wait
from typing import Any

__all__ = ["AsyncTasks"]


class AsyncTasks:
    """Knows the executions that go on beside the kickoff."""

    def __init__(self) -> None:
        self._futures: list[Future[Any]] = []
        self._natives: set[asyncio.Task[Any]] = set()

    def add(self, future: Future[Any]) -> None:
        """Take in an execution that goes on in a thread of its own."""
        self._futures.append(future)

    def add_native(self) -> None:
        """Take in the asyncio task that runs now."""
        task = asyncio.current_task()
        if task is not None:
            self._natives.add(task)

    def wait(self) -> None:
        """Let those in threads finish: they are paid for, whatever failed beside them."""
        wait(self._futures)

    async def wait_native(self) -> None:
        """Let those on this event loop finish; if the wait is cancelled, cancel them."""
        try:
            await self._natives_done()
        except BaseException:
            await self.cancel_native()
            raise

    async def cancel_native(self) -> None:
        """Cancel those on this event loop, so that a cancelled run leaves nothing behind that goes on spending."""
        for task in self._natives:
            if task is not asyncio.current_task():
                task.cancel()
        await self._natives_done()

    async def _natives_done(self) -> None:
        others = self._natives - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)
