"""Examples, played as a person starts them: a process of their own in a folder of their own, and what it prints."""

from __future__ import annotations

import fcntl
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.processes import ROOT, begin

__all__ = ["EXAMPLES", "LABEL", "ROOT", "run_example", "run_once"]

EXAMPLES = ROOT / "examples"
LABEL = "Model: offline model (no API key): answers are extracted by rules"
SECONDS = 300


def run_example(script: str | Path, folder: Path, *arguments: str, **environment: str | None) -> str:
    """The text that a script prints when it is started in `folder`. A variable that is None is not set.

    `script` is the name of an example, or the path of another one.
    """
    settings = {
        "HOME": str(folder / "home"),
        "CREWAI_STORAGE_DIR": str(folder / "crewai"),
        "CREWAI_TRACING_ENABLED": "false",  # else an older CrewAI prints a panel of its own
        "OPENAI_API_KEY": "",
        "CREW_REPO_URL": "",
        "OFFLINE_SECONDS": "0.01",
        "PYTHONPATH": str(ROOT),
        **environment,
    }
    (folder / "home").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as notes:
        printed, report = Path(notes, "printed"), Path(notes, "report")
        printed.touch()
        process = begin(report, _play, EXAMPLES / script, folder, arguments, settings, printed)
        process.join(SECONDS)
        process.kill()
        process.join()
        told = report.read_text() if report.exists() else ""
        assert process.exitcode == 0, f"{process.exitcode}: {printed.read_text()}{told}"
        return printed.read_text()


def run_once(script: str, folders: pytest.TempPathFactory, **environment: str) -> tuple[Path, str]:
    """One run of an example for the whole session, also of several workers: the folder it ran in, and what it printed."""
    base = folders.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / Path(script).stem
    folder.mkdir(exist_ok=True)
    printed = folder / "printed.txt"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed: the first worker runs it, the others wait
        if not printed.exists():
            printed.write_text(run_example(script, folder, **environment))
    return folder, printed.read_text()


def _play(
    script: Path, folder: Path, arguments: Sequence[str], settings: Mapping[str, str | None], printed: Path
) -> None:
    """The work of the process. All that it and its children print goes to a file."""
    for name, value in settings.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    os.chdir(folder)
    sys.argv = [str(script), *arguments]
    sys.path[:0] = [str(script.parent), *os.environ["PYTHONPATH"].split(os.pathsep)]
    with printed.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            print(ended.code)  # noqa: T201 - a test reads it
            raise
    finally:
        sys.stdout.flush()
