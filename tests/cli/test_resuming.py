"""`crew-repo resume`: what failed goes on, with nothing typed again."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import answered, refused

CREW = """
import os
from tests import crews
from tests.models import PromptModel

calls = []

class Line(PromptModel):
    down: str = ""

    def answer(self, prompt):
        calls.append(prompt)
        if self.down and self.down in prompt:
            raise ConnectionError("the line is down")
        return super().answer(prompt)

def build():
    return crews.sequential_unspecified_context(Line(model="m", down=os.environ.get("DOWN", "")))

def streamed():
    crew = build()
    crew.stream = True
    return crew
"""
NOTES = ("-i", "notes=hail", "-i", "adjuster=Ada")


@pytest.fixture
def failed(tmp_path, command, monkeypatch) -> Path:
    """A folder in which CLM-1 failed in its second task, CLM-2 in its first, and CLM-3 did not."""
    monkeypatch.delitem(sys.modules, "line_crew", raising=False)
    (tmp_path / "line_crew.py").write_text(CREW)
    for workflow, down in (("CLM-1", "<<draft>>"), ("CLM-2", "<<analyze>>"), ("CLM-3", "")):
        monkeypatch.setenv("DOWN", down)
        done = command("run", "line_crew:build", *NOTES, "--workflow", workflow)
        assert done.exit_code == (3 if down else 0), done.output
    monkeypatch.setenv("DOWN", "")
    sys.modules["line_crew"].calls.clear()
    return tmp_path


def calls() -> int:
    return len(sys.modules["line_crew"].calls)


@pytest.mark.usefixtures("failed")
def test_a_workflow_goes_on(command):
    """What had finished is reused; a second time there is nothing to execute."""
    assert answered(command("resume", "CLM-1", "--dry-run", "--json"), 1)["plan"]["workflow_id"] == "CLM-1"
    assert calls() == 0
    done = answered(command("resume", "CLM-1", "--json"))
    assert (done["run"]["executed"], done["run"]["reused"]) == (["draft"], ["analyze"])
    assert command("resume", "CLM-1").stdout == f"{done['output']}\n"
    assert command("resume", "CLM-1", "--dry-run").exit_code == 0
    assert calls() == 1


@pytest.mark.usefixtures("failed")
def test_all_that_failed_go_on(command):
    """Each is a row; those that did not fail are left alone, and once all is well there is none."""
    planned = answered(command("resume", "--failed", "--dry-run", "--json"), 1)["runs"]
    assert [(row["workflow_id"], row["executed"]) for row in planned] == [("CLM-1", 1), ("CLM-2", 2)]
    done = answered(command("resume", "--failed", "--json"))["runs"]
    assert [(row["workflow_id"], row["status"], row["executed"], row["reused"], row["error"]) for row in done] == [
        ("CLM-1", "completed", 1, 1, None), ("CLM-2", "completed", 2, 0, None)
    ]  # fmt: skip
    assert command("resume", "--failed").stdout == "No workflow's last run failed or was interrupted.\n"


@pytest.mark.usefixtures("failed")
def test_one_that_fails_again_does_not_keep_the_others(command, monkeypatch):
    """Its row has the error, the others go on, and the exit code says that there was trouble."""
    monkeypatch.setenv("DOWN", "<<analyze>>")
    rows = answered(command("resume", "--failed", "--json"), 3)["runs"]
    assert [(row["workflow_id"], row["status"]) for row in rows] == [("CLM-1", "completed"), ("CLM-2", "failed")]
    assert "ConnectionError: the line is down" in rows[1]["error"]


@pytest.mark.usefixtures("failed")
def test_inputs_and_project_that_are_given_go_before(command):
    """An input is replaced; a crew that streams is read to its end."""
    done = answered(command("resume", "CLM-3", "-i", "adjuster=Bo", "--project", "line_crew:streamed", "--json"))
    assert (done["run"]["executed"], done["run"]["reused"]) == (["draft"], ["analyze"])


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (["CLM-9"], 2, "There is no workflow 'CLM-9'. Did you mean"),
        (["CLM-1", "--failed"], 2, "Give a WORKFLOW, or --failed"),
        (["CLM-1", "--project", "no_crew:build"], 2, "there is no module 'no_crew'"),
        (["CLM-1", "--db", "no.db"], 3, "no.db is not there"),
        (["CLM-1", "--inputs", "no.json"], 2, "no.json cannot be read"),
    ],
)
def test_bad_input(command, failed, typed, code, said):
    """It is one line that names the thing and the remedy; nothing is run."""
    assert said in refused(command("resume", *typed), code)
    assert calls() == 0


def test_a_run_whose_crew_is_not_known(command, failed):
    """It says so, and with --project it goes on."""
    with closing(sqlite3.connect(failed / "crew_state.db")) as connection, connection:
        connection.execute("UPDATE run_entry SET source = NULL")
    assert "pass crew=" in refused(command("resume", "CLM-1"), 2)
    assert answered(command("resume", "CLM-1", "--project", "line_crew:build", "--json"))["run"]["executed"] == ["draft"]


def test_a_folder_is_found_again_from_another_one(command, failed, monkeypatch):
    """A project that was found in its folder is kept by the folder's path."""
    (failed / "crew.py").write_text(
        "from crewai.project import CrewBase, crew\nimport line_crew\n\n@CrewBase\nclass Desk:\n"
        "    agents, tasks = [], []\n\n    @crew\n    def crew(self):\n        return line_crew.build()\n"
    )
    assert command("run", *NOTES, "--workflow", "CLM-4").exit_code == 0
    (failed / "elsewhere").mkdir()
    monkeypatch.chdir(failed / "elsewhere")
    done = answered(command("resume", "CLM-4", "--db", failed / "crew_state.db", "--json"))
    assert done["run"]["reused"] == ["analyze", "draft"]
