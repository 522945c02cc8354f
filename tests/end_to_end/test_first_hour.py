"""The first hour of a newcomer: paste the README's program, walk the first steps, open the notebook."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from textwrap import indent
from typing import Any

import nbformat
import pytest

import crew_repo
from tests.notebooks import run_notebook, texts_of
from tests.offline_endpoint import offline_endpoint
from tests.playing import EXAMPLES, LABEL, ROOT, run_example

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)
NOTEBOOK = EXAMPLES / "notebook.ipynb"


def test_the_program_of_the_readme_runs_as_pasted(tmp_path: Path) -> None:
    """It needs nothing but a key; started again it executes nothing."""
    program = tmp_path / "claims.py"
    program.write_text(next(block for block in BLOCKS if block.startswith("from crewai import")))
    with offline_endpoint() as url:
        once, again = (
            run_example(program, tmp_path, OPENAI_API_KEY="sk-any", OPENAI_BASE_URL=url, OPENAI_API_BASE=url)
            for _ in range(2)
        )
    assert "Policy HO-4471-208: water damage" in once
    assert "executed: ['facts', 'note'] reused: []" in once
    assert "executed: [] reused: ['facts', 'note']" in again
    assert (tmp_path / "crew_state.db").exists()


@pytest.mark.parametrize("block", BLOCKS)
def test_the_readme_calls_only_what_is_there(block: str) -> None:
    """Each Python block can be read; what it imports from us, calls of a repository and passes by name exists."""
    tree = ast.parse("async def block():\n" + indent(block, "    "))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "crew_repo":
            assert {name.name for name in node.names} <= set(crew_repo.__all__)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "repo":
            assert hasattr(crew_repo.StateRepository, node.attr), node.attr


@pytest.mark.siege
def test_the_first_steps_go_from_a_json_file_to_a_state(tmp_path: Path) -> None:
    """Twice the same executes nothing; a deleted entry and a stopped run execute what is missing; new notes are noticed.

    An answer of an old file is served.
    """
    text = run_example("first_steps.py", tmp_path)
    assert text.startswith(LABEL)
    runs = re.findall(r"Run (\d), \S+: .*\n   executed (.*)\n   reused   (.*)", text)
    assert runs == [
        ("1", "analyze_task, draft_task", "-"),
        ("2", "-", "analyze_task, draft_task"),
        ("3", "draft_task", "analyze_task"),
        ("5", "draft_task", "analyze_task"),
        ("6", "analyze_task, draft_task", "-"),
        ("7", "draft_task", "analyze_task"),
    ]
    assert "Run 4, CLM-2025-0122: stopped after analyze_task\n" in text
    assert "analyze_task  stale      input:case_notes: …date of loss is 14 March 2025." in text
    assert "Policy HO-4471-208: water damage on 2025-03-12." in text


@pytest.mark.siege
def test_the_notebook_gives_what_it_shows_and_remembers(tmp_path: Path) -> None:
    """Executed, it shows the outputs that it is kept with; a new kernel executes only what uses the cell that changed."""
    shown = nbformat.read(NOTEBOOK, as_version=4)
    first = run_notebook(NOTEBOOK, tmp_path)
    assert _shown(first) == _shown(shown)
    changed = tmp_path / "changed.ipynb"
    changed.write_text(NOTEBOOK.read_text(encoding="utf-8").replace("500.00", "750.00"), encoding="utf-8")
    assert "executed ['coverage']\nreused   ['facts', 'letter']" in texts_of(run_notebook(changed, tmp_path))[3]


def _shown(notebook: Any) -> list[str]:
    """The texts that a reader sees, but for the figures of time and tokens, and the IDs of runs."""
    return [re.sub(r"[\d.]+ (?=s\b|tokens)|\d+T\d+-[0-9a-f]{8}|\d+\.\d+", "", text) for text in texts_of(notebook)]
