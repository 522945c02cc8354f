"""Printing above a progress bar, whoever prints."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

__all__ = ["above_bar"]


class _Above(io.TextIOBase):
    """Stands in for a stream: whole lines go to the console that has the bar.

    Rich has one like it, which every other console of Rich looks through: CrewAI's panels would be written over the
    bar. It is no terminal, so that nobody moves the cursor in it. Each thread has a line of its own, since `print`
    writes a text and the end of its line one after the other.
    """

    def __init__(self, console: Any, file: TextIO) -> None:
        from rich.ansi import AnsiDecoder

        self._console, self._file, self._decoder = console, file, AnsiDecoder()
        self._rests: dict[int, str] = {}
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Show what is whole lines by now."""
        here = threading.get_ident()
        with self._lock:
            *lines, rest = (self._rests.pop(here, "") + text).split("\n")
            if rest:
                self._rests[here] = rest
            if lines:
                self._show(lines)
        return len(text)

    def flush(self) -> None:
        """Show the rest: the prompt of somebody who waits for an answer."""
        with self._lock:
            rest = self._rests.pop(threading.get_ident(), "")
            if rest:
                self._show([rest])

    def end(self) -> None:
        """Show what no thread has ended its line of."""
        with self._lock:
            rests, self._rests = list(self._rests.values()), {}
            if rests:
                self._show(rests)

    def _show(self, lines: list[str]) -> None:
        from rich.text import Text

        shown = Text("\n").join(self._decoder.decode_line(line) for line in lines)
        self._console.print(shown, soft_wrap=True, highlight=False)

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def above_bar(console: Any) -> Iterator[None]:
    """Put what is printed meanwhile above the bar of `console`; what goes to a file or a pipe goes there as before."""
    streams = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    mine = {
        name: _Above(console, file)
        for name, file in streams.items()
        if console.is_terminal and file is not None and file.isatty() and not isinstance(file, _Above)
    }
    for name, above in mine.items():
        setattr(sys, name, cast("TextIO", above))
    try:
        yield
    finally:
        for name, above in mine.items():
            above.end()
            if getattr(sys, name) is above:
                setattr(sys, name, streams[name])
