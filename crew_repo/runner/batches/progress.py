"""The display of a batch: a bar on a terminal, a summary line at the end, how to go on after Ctrl-C."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any

from crew_repo.model import RunRecord
from crew_repo.model.wording import plural
from crew_repo.runner.batches.above_bar import above_bar
from crew_repo.runner.batches.failures import item_in_words, name_item
from crew_repo.runner.display import MARK

__all__ = ["Progress"]

log = logging.getLogger("crew_repo")


class Progress:
    """Counts what the items of a batch did. `total` is None for a generator; the bar then has no end."""

    def __init__(self, total: int | None, *, visible: bool | None = None) -> None:
        self._total = total
        self._visible = sys.stderr.isatty() if visible is None and sys.stderr is not None else bool(visible)
        self._bar: Any = None
        self._above: AbstractContextManager[None] = nullcontext()
        self._task: Any = None
        self._began = time.monotonic()
        self.items = self.errors = self.executed = self.reused = self.tokens_spent = self.tokens_saved = 0

    def __enter__(self) -> Progress:
        if self._visible:
            self._bar = _bar()
            self._task = self._bar.add_task("", total=self._total, counts=self._counts())
            self._above = above_bar(self._bar.console)
            self._above.__enter__()
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._above.__exit__(None, None, None)
            self._bar.stop()

    def done(self, run: RunRecord | None) -> None:
        """An item is finished."""
        if run is not None:
            self.executed += len(run.executed)
            self.reused += len(run.reused)
            self.tokens_spent += run.tokens_spent
            self.tokens_saved += run.tokens_saved
        self._advance()

    def failed(self, error: BaseException, number: int, workflow_id: str | None) -> None:
        """An item raised: name it, in the log and on the exception."""
        self.errors += 1
        known = name_item(error, number, workflow_id)
        log.warning("%s, failed: %s: %s", item_in_words(number, known), type(error).__name__, error)
        self._advance()

    def interrupted(self) -> None:
        """Ctrl-C: say how to go on."""
        of = "" if self._total is None else f" of {self._total}"
        self._say(
            f"Interrupted after {self.items}{of} items. What has begun is left to finish; what has finished is "
            "recorded: start the same batch again to go on from there."
        )

    def summary(self) -> None:
        """One line at the end."""
        seconds = time.monotonic() - self._began
        text = f"{plural(self.items, 'item')} in {seconds:.1f} s: {self._counts()}, {self.tokens_spent:,} tokens spent"
        log.info("batch: %s", text)
        if self._visible:
            self._say(text)

    def _advance(self) -> None:
        self.items += 1
        if self._bar is not None:
            self._bar.update(self._task, advance=1, counts=self._counts())

    def _counts(self) -> str:
        return (
            f"{self.reused} reused, {self.executed} executed, {self.errors} failed, {self.tokens_saved:,} tokens saved"
        )

    @staticmethod
    def _say(text: str) -> None:
        print(f"{MARK}: {text}", file=sys.stderr, flush=True)  # noqa: T201 - this is the terminal


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        redirect_stdout=False,  # `above_bar` does it for all
        redirect_stderr=False,
    )
