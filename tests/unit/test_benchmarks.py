"""The benchmarks are no tests, and say nothing here of how fast anything is; but they must not rot."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.processes import ROOT

COMMAND = [sys.executable, "-m", "tests.benchmarks"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([*COMMAND, *arguments], env=environment, cwd=ROOT, capture_output=True, check=False, text=True)


@pytest.mark.siege
@pytest.mark.timeout(900)
def test_each_benchmark_gives_its_rows():
    """`--quick` runs every benchmark to its end, and each module of the folder that has rows is among them."""
    ended = run("--quick")
    assert ended.returncode == 0, ended.stderr
    tables = set(re.findall(r"^(\w+) +median +cpu", ended.stdout, re.MULTILINE))
    assert tables == {file.stem for file in (ROOT / "tests" / "benchmarks").glob("*.py") if "\ndef rows(" in file.read_text()}
    assert "nan" not in ended.stdout


@pytest.mark.siege
def test_a_benchmark_that_is_not_there_is_named():
    """A wrong name is an error that lists those that there are."""
    ended = run("overheads")
    assert ended.returncode == 2
    assert "no benchmark 'overheads'; there are imports, store" in ended.stderr
