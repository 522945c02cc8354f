"""Modules that are written, imported, edited and imported again."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from crew_repo.hashing import Hashed, hash_value

REPOSITORY = Path(__file__).parents[3]


class Project:
    """A folder of the user's modules. `load` imports one anew, as the next process would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, **modules: str) -> None:
        for name, text in modules.items():
            path = self.folder / f"{name}.py"
            path.write_text(textwrap.dedent(text))
            self.forget(name)

    def install(self, **modules: str) -> None:
        """Write modules of a library; it is installed, so `load` does not forget it."""
        folder = self.folder / "site-packages"
        folder.mkdir(exist_ok=True)
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text))
            self.forget(name)

    def forget(self, name: str) -> None:
        sys.modules.pop(name, None)
        importlib.invalidate_caches()

    def load(self, name: str) -> ModuleType:
        for path in self.folder.glob("*.py"):
            self.forget(path.stem)
        return importlib.import_module(name)

    def hash_of_made(self, program: str, *, code: str = "a", token: str = "secret-one") -> Hashed:
        """The hash of what a module calls `made`, with these in the place of CODE and TOKEN in its program."""
        self.write(makingmodule=program.replace("CODE", code).replace("TOKEN", token))
        return hash_value(self.load("makingmodule").made, "v")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """An empty project on the import path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loaded = Project(tmp_path)
    yield loaded
    for path in tmp_path.rglob("*.py"):
        loaded.forget(path.stem)


@pytest.fixture
def python() -> Callable[..., str]:
    """Run a program in a process of its own, and return what it prints."""

    def run(program: str, *, executable: str = sys.executable, hash_seed: str = "0") -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(REPOSITORY)}
        command = [executable, "-c", textwrap.dedent(program)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run
