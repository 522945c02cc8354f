"""CrewAI's log of outputs, which `crewai replay` and `crewai log-tasks-outputs` read, after a run through a repository."""

from __future__ import annotations

import logging
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew

from tests import crews
from tests.crews import MODES, NOTES, Mode
from tests.models import PromptModel
from tests.plain import kickoff

EVERY_MODE = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


def rows(crew: Crew) -> list[dict[str, Any]]:
    """The log as CrewAI reads it, but for what differs between two crews."""
    return [{**row, "task_id": "", "timestamp": ""} for row in crew._task_output_handler.load()]


@pytest.mark.siege
@EVERY_MODE
def test_the_log_is_what_a_kickoff_writes(repo, mode: Mode):
    """Every column of every task, of executed tasks and of reused ones."""
    plain, cold, warm = (mode.build(PromptModel(model="m")) for _ in range(3))
    kickoff(plain, mode.inputs)
    expected = rows(plain)
    repo.run(cold, mode.inputs)
    assert rows(cold) == expected
    repo.run(warm, mode.inputs)
    assert rows(warm) == expected


def test_a_replay_finds_what_it_needs(repo, model):
    """`crewai replay` of the second task starts from the logged output of the first."""
    crew = crews.sequential_last_input(model)
    repo.run(crew, NOTES)
    model.forget()
    crew.replay(str(crew.tasks[1].id))
    assert model.called_for() == ["draft"]


def test_what_finished_before_an_error_is_in_the_log(repo, model):
    """A run that fails leaves the outputs of the tasks before."""
    crew = crews.sequential_last_input(model)
    crew.tasks[1].guardrail = lambda output: (False, "never good")
    crew.tasks[1].guardrail_max_retries = 0
    with pytest.raises(Exception, match="never good"):
        repo.run(crew, NOTES)
    assert len(rows(crew)) == 1


def test_a_log_that_cannot_be_written_is_told_and_loses_nothing(repo, model, caplog):
    """The run ends well, its records are there, and a warning names the file."""
    crew = crews.sequential_last_input(model)
    path = Path(crew._task_output_handler.storage.db_path)
    kept = path.with_name("kept.db")

    def broken(output: Any) -> None:
        shutil.move(path, kept)
        path.mkdir()

    crew.tasks[0].callback = broken
    try:
        with caplog.at_level(logging.WARNING, "crew_repo"):
            result = repo.run(crew, NOTES)
    finally:
        path.rmdir()
        shutil.move(kept, path)
    assert result.run.executed == ["analyze", "draft"]
    assert str(path) in caplog.text
    assert sum(map(int, re.findall(r"lack (\d) of", caplog.text))) == 2  # told at once, or one after the other


@pytest.mark.siege
def test_a_killed_run_has_left_what_had_finished_in_the_log(tmp_path):
    """SIGKILL in the second task: the first one's output is there, as after a kickoff."""
    script = textwrap.dedent(
        """
        import os, signal, sys, time
        from pathlib import Path
        from crew_repo import StateRepository
        from tests import crews
        from tests.models import PromptModel

        crew = crews.sequential_last_input(PromptModel(model="m"))
        log = crew._task_output_handler

        def die(output):
            while [row["task_id"] for row in log.load() or ()] != [str(crew.tasks[0].id)]:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)

        crew.tasks[1].callback = die
        StateRepository(Path(sys.argv[1]), verbose=False).run(crew, crews.NOTES)
        """
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path / "state.db")], timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL
