"""Events between tests and the work that they watch, in this process or another: no test goes by how long a thing takes."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["Gate"]


class Gate:
    """A gate that stops the first who comes, says so, and stays shut until it is opened.

    Two named pipes in a folder: opening one waits until somebody opens its other end, in whatever process.
    """

    def __init__(self, folder: Path) -> None:
        self._shut, self._reached, self._go = (folder / name for name in ("shut", "reached", "go"))

    def shut(self) -> Gate:
        """Make the gate, and shut it."""
        self._shut.parent.mkdir()
        for pipe in (self._reached, self._go):
            os.mkfifo(pipe)
        self._shut.touch()
        return self

    def pass_through(self) -> None:
        """Wait until the gate is opened. Only the first who comes is stopped; without a gate, nobody is."""
        try:
            self._shut.unlink()
        except FileNotFoundError:
            return
        self._reached.open("w").close()
        self._go.open().close()

    def wait_until_reached(self) -> None:
        """Return once somebody stands before the gate."""
        self._reached.open().close()

    def open(self) -> None:
        """Let whoever stands before it go on."""
        self._go.open("w").close()
