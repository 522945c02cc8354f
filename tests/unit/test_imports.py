"""What importing and reading cost: neither needs crewai."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests import crews
from tests.crews import NOTES

READ = """
import sys
import crew_repo
assert not {"crewai", "sqlalchemy", "sqlmodel"} & set(sys.modules), sorted(sys.modules)
from crew_repo import StateRepository
with StateRepository(sys.argv[1]) as repo:
    run = repo.runs()[0]
    assert repo.show(run.run_id).executed == ["analyze", "draft"]
    assert repo.get_output("draft").raw == repo.history("draft")[0].result.raw
    assert [state.task_name for state in repo.tasks()] == ["analyze", "draft"]
    assert "draft" in repo.report(sys.argv[1] + ".html").read_text(encoding="utf-8")
    assert repo.invalidate("draft") == 1 and repo.verify() == []
assert "crewai" not in sys.modules
"""


def test_reading_a_state_file_never_imports_crewai(repo, model):
    """`import crew_repo` imports neither crewai nor a database driver; asking a file imports no crewai."""
    repo.run(crews.sequential_unspecified_context(model), NOTES)
    path = repo.url.removeprefix("sqlite:///")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", READ, path], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
