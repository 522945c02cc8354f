"""What a process of these tests does, until it is done or killed: one run, and a note of what came of it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crew_repo import StateRepository
from tests.crash.journal.cases import CASES
from tests.crash.journal.model_server import Server
from tests.processes import begin

__all__ = ["Life", "live", "live_plainly", "lived"]


@dataclass(frozen=True)
class Life:
    """A run that came to its end."""

    raw: str
    executed: list[str]
    reused: list[str]
    spent: int
    saved: int


def live(url: str, name: str, address: str, note: Path) -> None:
    """A run of a case."""
    _say_nothing()
    case = CASES[name]
    with StateRepository(url, verbose=False) as repo:
        result = case.run(repo, case.build(address))
        run = repo.runs()[0]
    told = Life(str(result.raw), run.executed, run.reused, run.tokens_spent, run.tokens_saved)
    note.write_text(json.dumps(vars(told)))


def live_plainly(_: str, name: str, address: str, note: Path) -> None:
    """CrewAI's own kickoff of a case."""
    _say_nothing()
    crew = CASES[name].build(address)
    crew.stream = False
    note.write_text(json.dumps(vars(Life(str(crew.kickoff().raw), [], [], 0, 0))))


def _say_nothing() -> None:
    """CrewAI tells its users of traces."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def lived(server: Server, folder: Path, work: Any, *arguments: Any) -> Life | None:
    """Begin a life and wait for its end; None if it was killed. What it raises is raised here."""
    report, note = folder / "report.txt", folder / "note.json"
    report.unlink(missing_ok=True)
    server.model.begin_life()
    process = begin(report, work, *arguments, note)
    process.join()
    if report.exists():
        raise AssertionError(report.read_text())
    return Life(**json.loads(note.read_text())) if process.exitcode == 0 else None
