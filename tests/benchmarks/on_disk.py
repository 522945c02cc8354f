"""To be imported first: what is measured is written to a disk, since in memory, where the tests write, a sync is free."""

from __future__ import annotations

import tests.conftest  # noqa: F401 - a home folder of its own, no telemetry

# isort: split
import atexit
import os
import shutil
import tempfile

tempfile.tempdir = None  # the system's own again
os.environ["CREWAI_STORAGE_DIR"] = tempfile.mkdtemp(prefix="crew-repo-benchmarks-")
atexit.register(shutil.rmtree, os.environ["CREWAI_STORAGE_DIR"], ignore_errors=True)
