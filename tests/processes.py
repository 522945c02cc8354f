"""Processes of their own that begin at once: forked from one that has imported all, and that knows nothing of a test."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tests.conftest  # noqa: F401 - first: it sets the environment

# isort: split
import crew_repo.store.migrations  # noqa: F401 - alembic, so that a migration begins at once
from crew_repo.store import schema
from crew_repo.store.schema import Schema

__all__ = ["ROOT", "begin", "forkserver"]

ROOT = Path(__file__).parents[1]

os.environ["PYTHONPATH"] = str(ROOT)
forkserver = multiprocessing.get_context("forkserver")
forkserver.set_forkserver_preload([__name__, "crewai", "tests.preloaded"])


def begin(report: Path, work: Callable[..., Any], *arguments: Any, installed: Schema = schema.CURRENT) -> Any:
    """A process that does this work here; what it raises is in `report`, and its exit code is then 1.

    `installed` is the schema of the crew_repo that is installed there.
    """
    process = forkserver.Process(target=_live, args=(report, work, arguments, installed))
    process.start()
    return process


def _live(report: Path, work: Callable[..., Any], arguments: Sequence[Any], installed: Schema) -> None:
    logging.disable(logging.WARNING)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, and so these, ignore it
    schema.CURRENT = installed
    try:
        work(*arguments)
    except BaseException as error:  # noqa: BLE001 - told to the test
        report.write_text(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
        os._exit(1)
    os._exit(0)
