"""The command that writes a report: its file, its choices, its exit codes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import answered, contents, refused


def test_the_page_is_its_owners_alone(command, state):
    """It is written with mode 600, again over an older report, and the folder of the state stays as it was."""
    before = contents(state.parent)
    for _ in range(2):
        done = command("report", "page.html", "--db", state)
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("wrote page.html: 3 runs of 2 workflows, ")
    assert os.stat("page.html").st_mode & 0o777 == 0o600  # noqa: PTH116
    assert contents(state.parent) == before
    assert f"crew_repo report of <bdi>{state.name}</bdi>" in Path("page.html").read_text(encoding="utf-8")


def test_without_a_name_it_has_one(command, state):
    """The default is crew_report.html here; a dry run writes nothing."""
    assert command("report", "--dry-run", "--db", state).stdout.startswith("would write crew_report.html")
    assert not Path("crew_report.html").exists()
    assert command("report", "--db", state).exit_code == 0
    assert Path("crew_report.html").exists()


def test_choices(command, state):
    """A workflow, a run by the beginning of its ID, a time; without the texts."""

    def made(*arguments):
        result = answered(command("report", "page.html", "--db", state, "--json", *arguments))
        return result["workflows"], result["runs"]

    run_id = answered(command("show", "--db", state, "--json"))["run"]["run_id"]
    assert made("--workflow", "CLM-2025-0117") == (1, 2)
    assert made("--run", run_id[:-1]) == (1, 1)
    assert made("--since", "2020-01-01") == (2, 3)
    assert made("--until", "2020-01-01T09:30") == (0, 0)
    assert made() == (2, 3)
    assert "hail on 4 May" in Path("page.html").read_text(encoding="utf-8")
    made("--without-outputs")
    assert "hail on" not in Path("page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (["--workflow", "CLM"], 2, "There is no workflow 'CLM'"),
    (["--run", "none"], 2, "There is no run 'none'"),
    (["--since", "soon"], 2, "--since is 'soon'; give a time in UTC, such as 2025-03-14"),
    (["--prices", "none.json"], 2, "none.json"),
    (["notes.txt"], 2, "notes.txt is there already, and is no report; name another file, or delete it first"),
    (["."], 2, ". is a folder; name a file for the report"),
    (["none/page.html"], 3, "none/page.html cannot be written: No such file or directory"),
])  # fmt: skip
def test_what_cannot_be_done_is_said(command, state, arguments, code, said):
    """One line names the thing and the remedy, and nothing is written."""
    Path("notes.txt").write_text("mine")
    assert said in refused(command("report", *arguments, "--db", state), code)
    assert Path("notes.txt").read_text() == "mine"
    assert not Path("crew_report.html").exists()


def test_the_state_is_no_report(command, state):
    """The file of the state is not written over, also by another of its names."""
    before = state.read_bytes()
    Path("link.html").symlink_to(state)
    for name in (state, "link.html"):
        assert "is the state itself" in refused(command("report", name, "--db", state), 2)
    assert state.read_bytes() == before
