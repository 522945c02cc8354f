"""The display of a run: one line per task, whether it was reused or executed, why, and what that saved.

Each line begins with `crew_repo`, since CrewAI prints beside it.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Sequence
from typing import TextIO

from crew_repo.model import Decision, Outcome, RunRecord, TaskRun
from crew_repo.model.wording import listed, plural

__all__ = ["MARK", "Display"]

log = logging.getLogger("crew_repo")

MARK = "crew_repo"
_COLORS = {Outcome.REUSED: "32", Outcome.EXECUTED: "36", Outcome.FAILED: "31", Outcome.INTERRUPTED: "31"}


class Display:
    """Prints to `stream` if there is one; `Display.for_terminal()` has one only where standard error is a terminal."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._terminal = stream is not None and stream.isatty()
        self._width = 4
        self._why: dict[str, str] = {}
        self._lock = threading.Lock()

    @classmethod
    def silent(cls) -> Display:
        """Shows nothing."""
        return cls(None)

    @classmethod
    def for_terminal(cls) -> Display:
        """Shows lines on standard error, if that is a terminal."""
        return cls(sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None)

    @classmethod
    def choose(cls, verbose: bool | None) -> Display:
        """Always, never, or where standard error is a terminal (None)."""
        if verbose is None:
            return cls.for_terminal()
        return cls(sys.stderr) if verbose else cls.silent()

    def started(self, run_id: str, workflow_id: str, names: Sequence[str]) -> None:
        """A run begins."""
        self._width = max((len(name) for name in names), default=4)
        self._line(f"run {run_id} of {workflow_id}")

    def executing(self, task_name: str, decision: Decision) -> None:
        """A model is about to be called: why, is said in the task's one line, when it is done with."""
        self._why[task_name] = listed(decision.causes, 3, between="; ")

    def settled(self, note: TaskRun) -> None:
        """A task is done with."""
        if self._stream is None:
            return
        why = self._why.pop(note.task_name, "")
        word = self._colored(f"{note.outcome!s:<9}", _COLORS.get(note.outcome, "0"))
        what = "; ".join(part for part in (_what_of(note), why) if part)
        self._line(f"  {note.task_name:<{self._width}}  {word}  {what}".rstrip())

    def finished(self, run: RunRecord) -> None:
        """The run is over."""
        cost = "" if run.cost is None else f" ({run.cost})"
        self._line(
            f"  {run.status}: {plural(len(run.executed), 'task')} executed, {len(run.reused)} reused; "
            f"{run.tokens_spent:,} tokens spent{cost}, {run.tokens_saved:,} tokens and {run.seconds_saved:.1f} s saved"
        )

    def _colored(self, word: str, color: str) -> str:
        return f"\x1b[{color}m{word}\x1b[0m" if self._terminal else word

    def _line(self, text: str) -> None:
        """A terminal that is gone must not stop what costs money: the run goes on without being shown."""
        with self._lock:
            if self._stream is not None:
                try:
                    print(f"{MARK}: {text}", file=self._stream, flush=True)
                except (OSError, ValueError) as error:  # a broken pipe, a closed file
                    self._stream = None
                    log.warning("the run goes on, but is no longer shown: standard error cannot be written: %s", error)


def _what_of(note: TaskRun) -> str:
    if note.outcome is Outcome.REUSED:
        return f"saved {note.tokens_saved:,} tokens, {note.seconds_saved:.1f} s"
    if note.outcome is Outcome.EXECUTED:
        return f"{note.usage.total_tokens:,} tokens, {note.duration_seconds or 0:.1f} s"
    return str(note.failure or "")
