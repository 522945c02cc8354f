"""Terminals that work in a process of its own shows something on."""

from __future__ import annotations

import os
import pty
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.gates import Gate
from tests.processes import begin

__all__ = ["shown_on_terminal"]


def shown_on_terminal(gate: Gate, work: Callable[..., Any], *arguments: Any) -> str:
    """Everything that this work shows on the terminal whose name it is given first; it must end well.

    It passes the gate once it has opened the terminal, so that this process can close its own end.
    """
    ours, theirs = pty.openpty()
    gate.shut()
    process = begin(Path("report.txt"), work, os.ttyname(theirs), *arguments)
    gate.wait_until_reached()
    os.close(theirs)
    gate.open()
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    process.join()
    assert process.exitcode == 0
    return shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux: the other side is closed
        return b""
