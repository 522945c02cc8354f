"""The hashes are the same in every process, under every hash seed and every supported Python; a file pins them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.hashing.golden_cases import hashes

ROOT = Path(__file__).parents[3]
GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
VERSIONS = ("3.10", "3.11", "3.12", "3.13")


def interpreters() -> list[str]:
    """This Python, and those of the supported versions that this machine has on its path or in pyenv."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser()) / "versions"
    found = {here: sys.executable}
    for version in VERSIONS:
        installed = sorted(pyenv.glob(f"{version}.*/bin/python3"))
        command = str(installed[-1]) if installed else shutil.which(f"python{version}")
        if version not in found and command and _works(command):
            found[version] = command
    return list(found.values())


def _works(command: str) -> bool:
    """A pyenv shim stands on the path for versions that are not chosen."""
    return subprocess.run([command, "-c", "import sqlite3"], capture_output=True, check=False).returncode == 0


def hashes_of(python: str, seed: str) -> dict[str, str]:
    """What another process says; it has neither this environment's packages nor its hash seed."""
    done = subprocess.run(
        [python, "-m", "tests.unit.hashing.golden_cases"],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_every_hash_is_the_pinned_one() -> None:
    """A change of what is hashed shows here, before a user's records are all found stale."""
    assert hashes() == GOLDEN


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_a_hash_is_the_same_in_every_process(seed: str) -> None:
    """Sets and dicts come in another order there."""
    assert hashes_of(sys.executable, seed) == GOLDEN


@pytest.mark.parametrize("python", interpreters(), ids=lambda command: Path(command).parents[1].name)
def test_a_hash_is_the_same_under_every_python(python: str) -> None:
    """A state file that a newer Python goes on with is as fresh as it was."""
    assert hashes_of(python, "random") == GOLDEN
