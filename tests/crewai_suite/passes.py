"""One pass over CrewAI's tests, in a folder and processes of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import crew_repo
from tests.crewai_suite.comparing import Outcome, read_outcomes

__all__ = ["Pass"]

_HERE = Path(__file__).parent
_OPTIONS = (
    "-q", "--no-header", "--tb=short", "--disable-warnings", "--timeout=60", "--block-network",
    "-p", "no:cacheprovider", "--dist", "load",
)  # fmt: skip
_CONFIGURATION = """\
[pytest]
asyncio_mode = strict
asyncio_default_fixture_loop_scope = function
markers =
    telemetry: CrewAI's own mark
"""


class Pass:
    """CrewAI's tests in a copy of their own, plain or through a StateRepository."""

    def __init__(self, source: Path, folder: Path, *, through_repository: bool) -> None:
        self.folder = folder
        self._through = through_repository
        shutil.copytree(source / "tests", folder / "tests")
        shutil.copy(_HERE / "crewai_conftest.py", folder / "conftest.py")
        shutil.copy(_HERE / "through_repository.py", folder)
        (folder / "pytest.ini").write_text(_CONFIGURATION, encoding="utf-8")
        (folder / "home").mkdir()

    def run(self, tests: Iterable[str], *, processes: int) -> dict[str, Outcome]:
        """Run these files or tests; the outcome of each. What pytest prints goes to `pytest.log` in the folder."""
        tests = list(tests)
        if not tests:
            return {}
        notes, log = self.folder / "outcomes.jsonl", self.folder / "pytest.log"
        notes.write_text("", encoding="utf-8")
        plugin = ("-p", "through_repository") if self._through else ()
        command = [sys.executable, "-m", "pytest", *_OPTIONS, "-n", str(processes), *plugin, *tests]
        with log.open("a", encoding="utf-8") as output:
            subprocess.run(
                command, cwd=self.folder, env=self._environment(notes), stdout=output, stderr=output, check=False
            )
        return read_outcomes(notes)

    def _environment(self, notes: Path) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.folder / "home"),
            "PYTHONPATH": str(Path(crew_repo.__file__).parents[1]),
            "CREWAI_DISABLE_TELEMETRY": "true",
            "CREWAI_TRACING_ENABLED": "false",
            "OTEL_SDK_DISABLED": "true",
            "CREWAI_SUITE_OUTCOMES": str(notes),
        }
