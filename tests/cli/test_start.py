"""Starting: what a command imports, and that the short way of `status` says what the long one says."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from crew_repo.cli import start
from crew_repo.cli.start import plain_status

ROOT = Path(__file__).parents[2]
HEAVY = {"crewai", "sqlmodel", "sqlalchemy", "alembic", "pydantic", "rich"}
IMPORTED = f"""
import sys
sys.argv = ["crew-repo", *sys.argv[1:]]
from crew_repo.cli.start import start
try:
    start()
finally:
    print(sorted({HEAVY | {"click", "typing", "logging", "dotenv"}} & set(sys.modules)), file=sys.stderr)
"""


def process(arguments, cwd=None, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options}
    return subprocess.run(arguments, env=environment, cwd=cwd, capture_output=True, text=True, check=False)


def imported(state, *arguments):
    done = process([sys.executable, "-c", IMPORTED, *arguments, "--db", str(state)])
    assert done.returncode == 0, done.stderr
    assert done.stdout
    return set(eval(done.stderr.splitlines()[-1]))


def test_a_plain_status_imports_next_to_nothing(state):
    """It answers without click, and without any module that takes longer to import than the file to read."""
    assert imported(state, "status") == set()
    assert imported(state, "status", "--json", "--workflow", "crew") == set()


@pytest.mark.parametrize(
    "arguments",
    [("status", "draft"), ("status", "--watch"), ("runs",), ("show",), ("history", "draft"),
     ("diff", "--select", "other"), ("changes",), ("report", "--dry-run")],
)  # fmt: skip
def test_a_command_that_reads_imports_no_crewai_and_no_database_library(state, arguments):
    """Asking a SQLite file imports neither crewai nor sqlmodel, nor rich where there is no terminal."""
    assert imported(state, *arguments) & HEAVY == set()


@pytest.mark.parametrize("arguments, understood", [
    (["status"], True),
    (["status", "--db", "x.db", "--json"], True),
    (["--db=x.db", "status", "--workflow=a=b"], True),
    ([], False),
    (["--json"], False),
    (["runs"], False),
    (["status", "draft"], False),
    (["status", "status"], False),
    (["status", "--db"], False),
    (["status", "--db", "--json"], False),
    (["status", "--db", "a", "--db", "b"], False),
    (["status", "--help"], False),
    (["status", "--debug"], False),
])  # fmt: skip
def test_the_short_way_is_for_what_it_understands(arguments, understood):
    """Anything but a plain status is left to click."""
    assert (plain_status(arguments) is not None) == understood


@pytest.mark.parametrize("arguments", [
    ["status"],
    ["status", "--json"],
    ["status", "--workflow", "crew"],
    ["status", "--workflow=nobody"],
    ["status", "--workflow", "nobody", "--json"],
    ["status", "--db", "missing.db"],
])  # fmt: skip
def test_both_ways_say_the_same(state, monkeypatch, capfd, tmp_path, arguments):
    """Status prints the same, and exits with the same code, by the short way and by click's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CREW_REPO_URL", str(state))

    def said(way):
        monkeypatch.setattr(sys, "argv", ["crew-repo", *arguments])
        monkeypatch.setattr(start, "plain_status", way)
        with pytest.raises(SystemExit) as ended:
            start.start()
        return ended.value.code, capfd.readouterr()

    assert said(plain_status) == said(lambda _arguments: None)


def test_the_module_is_the_command(state, tmp_path):
    """`python -m crew_repo.cli` works as a process, with a state that a variable names; a closed pipe is no error."""
    done = process([sys.executable, "-m", "crew_repo.cli", "status"], CREW_REPO_URL=str(state))
    assert (done.returncode, done.stderr) == (0, "")
    assert "CLM-2025-0117" in done.stdout
    piped = f"{sys.executable} -m crew_repo.cli runs --json | true; echo ${{PIPESTATUS[0]}}"
    assert process(["bash", "-c", piped], CREW_REPO_URL=str(state)).stdout == "0\n"


LOUD = """
import subprocess, sys
from tests import crews
from tests.models import PromptModel

class Loud(PromptModel):
    def answer(self, prompt):
        subprocess.run(["echo", "a tool's program prints"], check=True)
        sys.__stdout__.write("so does a library\\n")
        return super().answer(prompt)

def build():
    return crews.sequential_unspecified_context(Loud(model="m"))
"""


@pytest.mark.siege
def test_standard_output_is_json_alone(tmp_path):
    """Whatever programs that a tool starts print, and whoever keeps the stream, standard output is one JSON value."""
    (tmp_path / "loud_crew.py").write_text(LOUD)
    inputs = ("-i", "notes=hail", "-i", "adjuster=Ada")
    run = [sys.executable, "-m", "crew_repo.cli", "run", "loud_crew:build", *inputs, "--json"]
    done = process(run, cwd=tmp_path)
    assert json.loads(done.stdout)["result"]["run"]["executed"] == ["analyze", "draft"], done.stderr
    assert "a tool's program prints" in done.stderr
    assert "so does a library" in done.stderr


@pytest.mark.parametrize("settings, colored", [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colors_are_for_terminals(state, settings, colored):
    """A terminal gets colors, unless NO_COLOR is set or it understands none."""
    shown, terminal = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "200", **settings}
    command = [sys.executable, "-m", "crew_repo.cli", "status", "draft", "--db", str(state)]
    subprocess.run(command, env=environment, stdout=terminal, check=True)
    os.close(terminal)
    text = os.read(shown, 10_000).decode()
    os.close(shown)
    assert "CLM-2025-0117" in text
    assert ("\x1b[32mcompleted" in text) == colored


def test_completion_knows_names(state, tmp_path):
    """Shell completion offers commands, and tasks, runs and workflows of the state; none if there is no state."""

    def offered(words, **more):
        environment = {"_CREW_REPO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        done = process([sys.executable, "-m", "crew_repo.cli"], **environment, **more)
        assert done.stderr == ""
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line]

    assert offered("crew-repo st", CREW_REPO_URL=str(state)) == ["status"]
    assert offered("crew-repo history dr", CREW_REPO_URL=str(state)) == ["draft"]
    assert offered("crew-repo status --workflow CLM", CREW_REPO_URL=str(state)) == ["CLM-2025-0117"]
    assert len(offered("crew-repo show 2", CREW_REPO_URL=str(state))) == 3
    assert offered("crew-repo history dr", CREW_REPO_URL=str(tmp_path / "none.db")) == []
