"""Shared by all tests: no telemetry, no home folder, a model that answers from its prompt and counts its calls."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

_MEMORY = "/dev/shm"
if os.path.isdir(_MEMORY) and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > 1 << 30:  # noqa: PTH112
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)
    tempfile.tempdir = _MEMORY

_HOME = tempfile.mkdtemp(prefix="crew-repo-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ.update(
    HOME=_HOME,
    CREWAI_STORAGE_DIR=os.path.join(_HOME, "storage"),  # noqa: PTH118 - before anything is imported
    CREWAI_DISABLE_TELEMETRY="true",
    CREWAI_TRACING_ENABLED="false",
    OTEL_SDK_DISABLED="true",
    LITELLM_LOCAL_MODEL_COST_MAP="True",  # else it asks the internet when it is imported
)
for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "CREW_REPO_URL", "MODEL"):
    os.environ.pop(name, None)

import threading  # noqa: E402
from collections import Counter  # noqa: E402
from collections.abc import Iterator, Mapping  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

import pytest  # noqa: E402

if TYPE_CHECKING:
    from tests.models import PromptModel

# What imports CrewAI is imported where it is used: the process that hands out the tests needs none of it.


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Modules in which all takes long are not imported where that is not asked for: that alone takes seconds."""
    wanted = config.option.markexpr != "not siege" or collection_path.suffix != ".py"
    return None if wanted or b"\npytestmark = pytest.mark.siege\n" not in collection_path.read_bytes() else True


@pytest.fixture
def model() -> PromptModel:
    """A model that answers from its prompt and counts its calls."""
    from tests.models import PromptModel

    return PromptModel(model="m")


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """A repository on a file of its own; the current folder is temporary too."""
    from crew_repo import StateRepository

    monkeypatch.chdir(tmp_path)
    with StateRepository(tmp_path / "state.db") as repository:
        yield repository


@pytest.fixture
def refused(monkeypatch) -> threading.Event:
    """An event: a run has asked for work that another one holds, and waits for it from here on."""
    from crew_repo.store import Store

    waits, note_waiting = threading.Event(), Store.note_waiting

    def told(store: Store, run_id: str, waits_for: Mapping[str, str]) -> None:
        note_waiting(store, run_id, waits_for)
        if waits_for:
            waits.set()

    monkeypatch.setattr(Store, "note_waiting", told)
    return waits


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """One PostgreSQL for the session."""
    from tests import postgres

    with postgres.running() as server:
        yield server


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The oracle's matrix, whichever processes its cells ran in: how many of each verdict, and each that runs needlessly."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    cells = [cell for report in reports for name, cell in report.user_properties if name == "oracle"]
    if cells:
        verdicts = dict(Counter(verdict for verdict, *_ in cells))
        fields = {field for _, field, *_ in cells}
        terminalreporter.write_line(f"oracle: {len(fields)} fields, {len(cells)} mutations: {verdicts}")
    for verdict, _, mutation, needless in cells:
        if verdict not in ("right fresh", "right stale"):
            terminalreporter.write_line(f"  {verdict}: {mutation}: {needless}")
