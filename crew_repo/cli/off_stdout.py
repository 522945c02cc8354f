"""Standard output, which is for the answer of a command, whatever a crew prints meanwhile."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

__all__ = ["off_stdout"]


@contextmanager
def off_stdout() -> Iterator[None]:
    """Send what a crew, its tools and their processes print to standard error: standard output is for the answer."""
    stdout = sys.stdout
    stdout.flush()
    kept = os.dup(1) if _is_real(stdout) else None
    if kept is not None:
        os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if kept is not None:
            stdout.flush()  # whoever kept the stream has written there
            os.dup2(kept, 1)
            os.close(kept)


def _is_real(stream: Any) -> bool:
    """Whether a stream writes to the standard output of this process, and not to a test's."""
    try:
        return bool(stream.fileno() == 1)
    except (AttributeError, OSError, ValueError):
        return False
