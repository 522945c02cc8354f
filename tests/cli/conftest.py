"""A recorded state, and `crew-repo` in this process."""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crew_repo import StateRepository
from crew_repo.cli.commands import crew_repo
from tests import crews
from tests.models import PromptModel

Command = Callable[..., Result]


def runner() -> CliRunner:
    """One that keeps standard output and standard error apart, which click before 8.2 has to be told."""
    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
    return CliRunner(**apart)


@pytest.fixture
def command(tmp_path, monkeypatch) -> Command:
    """Run `crew-repo` with these arguments; the folder is a temporary one, and no variable names a state."""
    monkeypatch.chdir(tmp_path)
    for name in ("CREW_REPO_URL", "CREW_REPO_PRICES", "CREW_REPO_SYNCHRONOUS"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object, **options: Any) -> Result:
        return runner().invoke(crew_repo, [str(argument) for argument in arguments], **options)

    return run


@pytest.fixture(scope="session")
def recorded(tmp_path_factory) -> Path:
    """A closed state: workflow `crew` with two tasks; CLM-2025-0117 with three, run twice, the notes changed."""
    path = tmp_path_factory.mktemp("recorded") / "state.db"
    model = PromptModel(model="m")
    with StateRepository(path, verbose=False) as repo:
        repo.run(crews.sequential_unspecified_context(model), crews.NOTES)
        repo.run(crews.context_list(model), crews.NOTES, workflow_id="CLM-2025-0117")
        repo.run(crews.context_list(model), crews.NEW_NOTES, workflow_id="CLM-2025-0117")
    return path


@pytest.fixture
def state(recorded, tmp_path) -> Path:
    """A copy of the recorded state, alone in a folder."""
    folder = tmp_path / "its folder"
    folder.mkdir()
    return Path(shutil.copy(recorded, folder / "state #1.db"))


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """Each file of a folder: the hash of its bytes, and when it was written."""
    return {file.name: (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
            for file in folder.iterdir()}  # fmt: skip


def answered(done: Result, exit_code: int = 0) -> Any:
    """The result in the JSON of a command that ended so."""
    value = json.loads(done.stdout)
    assert (done.exit_code, value["exit_code"]) == (exit_code, exit_code), done.output
    return value["result"]


def refused(done: Result, exit_code: int) -> str:
    """The only line on standard error of a command that was refused."""
    assert done.exit_code == exit_code, done.output
    assert done.stdout == ""
    line, *rest = done.stderr.splitlines()
    assert rest == []
    assert line.startswith("crew-repo: ")
    return line.removeprefix("crew-repo: ")
