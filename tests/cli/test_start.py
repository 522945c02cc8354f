"""Starting: what a command imports, and that the short way of `status` says what the long one says."""

from __future__ import annotations

import os
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


def process(arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options}
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)


def imported(state, *arguments):
    done = process([sys.executable, "-c", IMPORTED, *arguments, "--db", str(state)])
    assert done.returncode == 0, done.stderr
    assert done.stdout
    return set(eval(done.stderr.splitlines()[-1]))


def test_a_plain_status_imports_next_to_nothing(state):
    """It answers without click, and without any module that takes longer to import than the file to read."""
    assert imported(state, "status") == set()
    assert imported(state, "status", "--json", "--workflow", "crew") == set()


@pytest.mark.parametrize("arguments", [("status", "draft"), ("runs",), ("show",), ("history", "draft")])
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
