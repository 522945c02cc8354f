"""Paths that code holds count by where they are in its project, or in the working folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from crew_repo.hashing import hash_callable, hash_class, hash_value
from tests.unit.hashing.conftest import Project

HELD = """
import functools, os, pathlib
BASE = pathlib.Path(__file__).parent
TEXT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "a.txt")
AROUND = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "..", "data")
URL = f"sqlite:///{BASE}/data.db"
URI = (BASE / "a.txt").as_uri()
TABLE = {str(BASE / "a.txt"): [BASE / "b.txt", (str(BASE) + "/",)]}

def global_path(): return BASE.exists()
def global_text(): return open(TEXT)
def around(): return open(AROUND)
def url(): return URL, URI
def table(): return TABLE
def default(path=BASE / "a.txt", *, other=TEXT): return path
def make(path):
    def closure(): return path
    return closure
closure = make(TEXT)
part = functools.partial(global_path, BASE)
class Kept:
    folder = str(BASE)
    def __init__(self): self.path = BASE / "a.txt"
    def read(self):
        self.path = self.path or BASE
        return self.path
kept = Kept()
def method(): return kept.read()
STATE = {"file": TEXT}
def writes(): STATE["file"] = STATE["file"] + "x"; return STATE
"""
NAMES = ("global_path", "global_text", "around", "url", "table", "default", "closure", "part", "method", "writes")


def hashes(module: ModuleType) -> dict[str, str]:
    """The hash of everything in the module that holds a path."""
    found = {name: hash_callable(getattr(module, name), name).sha256 for name in NAMES}
    found["class"] = hash_class(module.Kept, "Kept").sha256
    found["member"] = hash_value(module.TABLE, "t", ordered=True, holder=module.kept).sha256
    return found


def checkout(folder: Path, monkeypatch: pytest.MonkeyPatch, **more: str) -> dict[str, str]:
    """The hashes of the module in a folder of its own."""
    folder.mkdir(parents=True)
    for name, text in more.items():
        (folder / name.replace("_toml", ".toml")).write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    project = Project(folder)
    project.write(held=HELD)
    try:
        return hashes(project.load("held"))
    finally:
        project.forget("held")


@pytest.mark.parametrize("here", [True, False], ids=["working folder", "elsewhere"])
def test_two_checkouts_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: bool) -> None:
    """Wherever the project is, and wherever it is started from."""
    monkeypatch.chdir(tmp_path)
    one = checkout(tmp_path / "one", monkeypatch)
    if here:
        (tmp_path / "x/another").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / "x/another")
    assert checkout(tmp_path / "x/another/checkout", monkeypatch) == one


def test_a_link_to_the_project_is_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As /tmp is to /private/tmp: whoever resolves a path and whoever does not mean the same place."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    direct = checkout(tmp_path / "real/one", monkeypatch)
    shutil.rmtree(tmp_path / "real/one")
    assert checkout(tmp_path / "link/one", monkeypatch) == direct


def test_a_source_folder_belongs_to_its_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data beside the code, in the folder of pyproject.toml, moves with it."""
    found = []
    for name in ("one", "two"):
        root = tmp_path / name
        package = root / "src/pkg"
        package.mkdir(parents=True)
        (root / "pyproject.toml").write_text("")
        (package / "__init__.py").write_text("")
        (package / "tools.py").write_text(
            "import pathlib\nDATA = pathlib.Path(__file__).parents[2] / 'data'\ndef f(): return DATA\n"
        )
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(root / "src"))
            project = Project(root)
            for module in ("pkg.tools", "pkg"):
                project.forget(module)
            found.append(hash_callable(project.load("pkg.tools").f, "f").sha256)
            for module in ("pkg.tools", "pkg"):
                project.forget(module)
    assert found[0] == found[1]


def member(value: Any) -> str:
    """The hash of what code holds."""
    return hash_value(value, "v", ordered=True).sha256


def test_the_working_folder_is_where_installed_classes_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path in a field of a library's tool has no code of the user's around it."""
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        found.append([member(make(tmp_path / name / "a.txt")) for make in (str, Path, os.fspath)])
    assert found[0] == found[1]


def test_other_places_are_other_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that is somewhere else, or leads there, becomes equal; nor does a path become a name."""
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path)
    paths = [
        *(here, f"{here}/", f"{here}/a", f"{here}/a/", f"{here}/b", f"{here}x/a", f"{here}/../a", f"{here}/b/../a"),
        *("a", "/a", "./a", "~/a", f"file://{here}/a", f"sqlite:///{here}/a", f"sqlite://{here}/a"),
        *(f"a {here}/a", f" {here}/a", f"{here}/../{tmp_path.name}x/a", "https://host/a", f"https://host{here}/a"),
    ]
    assert len({member(path) for path in paths}) == len(paths)
    assert member(tmp_path / "a") != member(f"{here}/a") != member(["in working folder", "", "/a"])
    monkeypatch.chdir("/")
    assert member("/a") != member("a")


def test_the_working_folder_and_the_project_are_two_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that is pointed from the one to the other reads another file."""
    (tmp_path / "project").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.syspath_prepend(str(tmp_path / "project"))
    project = Project(tmp_path / "project")
    found = set()
    for folder in ("project", "work", "elsewhere"):
        project.write(pointed=f"FILE = {str(tmp_path / folder / 'a.txt')!r}\ndef f(): return FILE\n")
        found.add(hash_callable(project.load("pointed").f, "f").sha256)
    assert len(found) == 3


def test_a_variable_that_names_a_path_counts_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What code reads of the environment is as if it held it: `DATA=/app/data` in a container is the project's `data`."""
    monkeypatch.chdir(tmp_path)
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        project = Project(tmp_path / name)
        project.write(asking="import os\ndef f(): return os.environ['DATA']\n")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(tmp_path / name))
            function = project.load("asking").f
            for data in (f"{tmp_path}/{name}/data", f"{tmp_path}/{name}/else", f"{tmp_path}/data", "/elsewhere/data"):
                patch.setenv("DATA", data)
                found.append(dict(hash_callable(function, "f").environment)["DATA"])
            project.forget("asking")
    assert found[:4] == found[4:]
    assert len(set(found)) == 4


def test_what_goes_into_a_prompt_counts_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that no code holds are sent."""
    monkeypatch.chdir(tmp_path)
    inside = hash_value(f"{tmp_path}/a", "v").sha256
    monkeypatch.chdir("/")
    assert hash_value(f"{tmp_path}/a", "v").sha256 == inside
