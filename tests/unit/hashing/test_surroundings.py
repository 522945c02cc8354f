"""The same code, in a process that has imported more of it or less, and from where it is not a file of its own."""

from __future__ import annotations

import builtins
import copyreg
import importlib
import json
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from weakref import WeakKeyDictionary

import markupsafe._speedups
import pytest

from crew_repo.hashing import dispatch, hash_value

Written = Callable[[dict[str, str]], str]


@pytest.fixture
def written(project) -> Iterator[Written]:
    """Writes a package `parts` and imports it as a new process would; the hash of its `tool`."""

    def write(files: dict[str, str]) -> str:
        for name, text in files.items():
            file = project.folder / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        return _hash_of_tool()

    yield write
    _forget()


def _forget(package: str = "parts") -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
    importlib.invalidate_caches()


def _hash_of_tool() -> str:
    _forget()
    hashed = hash_value(importlib.import_module("parts.main").tool, "v")
    assert not hashed.opaque
    return hashed.sha256


def test_a_module_that_is_blocked_is_no_trouble(monkeypatch):
    """Who puts None in the place of a module, so that nobody can import it, changes no hash."""
    before = hash_value(json.JSONDecoder, "v")
    monkeypatch.setitem(sys.modules, "httpx2", None)
    monkeypatch.setattr(dispatch, "_found", WeakKeyDictionary())  # as in a process that has hashed none yet
    assert hash_value(json.JSONDecoder, "v") == before


LAZY = """import importlib
def __getattr__(name):
    if name[:2] == "__":
        raise AttributeError(name)
    module = importlib.import_module(".hidden", __name__)
    return module if name == "hidden" else getattr(module, name)
"""


@pytest.mark.parametrize(
    "package, call", [("", "parts.hidden.f()"), (LAZY, "parts.hidden.f()"), (LAZY, "parts.f()"), (LAZY, "parts.f")]
)
def test_parts_of_a_package_that_nobody_has_imported_yet_act(written, package, call):
    """A package may import its parts when they are asked for; before that, their files count."""
    files = {"parts/__init__.py": package, "parts/main.py": f"import parts\ndef tool(): return {call}\n"}
    first, second = (written({**files, "parts/hidden.py": f"def f(): return 'it is {n}'\n"}) for n in ("one", "another"))
    assert first != second


@pytest.mark.parametrize("line", ["from parts import hidden", "from parts.hidden import f", "import parts.hidden as h"])
@pytest.mark.parametrize("suffix", [EXTENSION_SUFFIXES[0], BYTECODE_SUFFIXES[0]])
def test_compiled_modules_that_a_function_imports_itself_act(written, line, suffix):
    """A module that is compiled counts by its file."""
    files = {"parts/__init__.py": "", "parts/main.py": f"def tool():\n    {line}\n"}
    first, second = (written({**files, f"parts/hidden{suffix}": n}) for n in ("one", "two"))
    assert first != second


def test_a_helper_of_the_users_that_is_compiled_acts(project):
    """It counts by the file that it was compiled to; one of a library's is named."""
    line = "from _speedups import _escape_inner as rate"
    installed = project.hash_of_made(f"{line.replace('_speedups', 'markupsafe._speedups')}\ndef made(x): return rate(x)\n")
    file = Path(markupsafe._speedups.__file__)
    own = project.folder / file.name
    shutil.copy(file, own)
    hashes = []
    for _ in range(2):
        hashes.append(project.hash_of_made(f"{line}\ndef made(x): return rate(x)\n"))
        built = own.read_bytes() + b"another build"
        own.unlink()  # what is loaded stays as it is
        own.write_bytes(built)
    sys.modules.pop("_speedups", None)
    assert not hashes[0].opaque
    assert len({hashed.sha256 for hashed in (installed, *hashes)}) == 3


@pytest.mark.parametrize("line", ["from parts import hidden", "from parts.hidden import f", "import parts.hidden as h"])
def test_modules_in_an_archive_that_a_function_imports_itself_act(tmp_path: Path, monkeypatch, line):
    """Of a project that is imported from an archive, all that is in it counts; not when or how it was packed."""
    hashes = []
    for text, year, packing in (("one", 2024, 0), ("one", 2025, zipfile.ZIP_DEFLATED), ("another", 2025, 0)):
        members = {"parts/__init__.py": "", "parts/main.py": f"def tool():\n    {line}\n"}
        members["parts/hidden.py"] = f"def f(): return {text!r}\n"
        archive = tmp_path / f"{text}{year}.zip"
        with zipfile.ZipFile(archive, "w", packing) as made:
            for name, code in sorted(members.items(), reverse=year == 2025):
                made.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), code)
        monkeypatch.syspath_prepend(str(archive))
        hashes.append(_hash_of_tool())
    _forget()
    assert hashes[0] == hashes[1] != hashes[2]


def test_what_the_user_puts_among_pythons_own_names_acts(project, monkeypatch):
    """A function of the user's that all modules find among the builtins is a helper like others; Python's own is none."""
    hashes = []
    for number in (1, 2):
        project.write(helpers=f"def rate(x): return {number}\n")
        monkeypatch.setattr(builtins, "rate", project.load("helpers").rate, raising=False)
        hashes.append(project.hash_of_made("def made(x): return rate(len(x))\n").sha256)
    assert hashes[0] != hashes[1]


def test_a_module_from_a_folder_that_a_function_adds_itself_cannot_be_hashed(project):
    """Before the call nobody can tell which file it will be. A module that is simply not installed is no such thing."""
    importing = "def made(x):\n    import sys\n    sys.path.insert(0, FOLDER)\n    import plugged_in\n"
    added = project.hash_of_made(f"FOLDER = 'plugins'\n{importing}")
    assert "plugged_in" in added.opaque[0].why
    assert not project.hash_of_made("def made(x):\n    import plugged_in\n").opaque
    project.write(plugged_in="A = 1")
    assert not project.hash_of_made(f"FOLDER = 'plugins'\n{importing}").opaque


MADE = {
    "without a file": "import types\nmodule = types.ModuleType('made_module')\nmodule.RATE = 1\n",
    "from a file": (
        "import importlib.util as util\nspec = util.spec_from_file_location('made_module', FILE)\n"
        "module = util.module_from_spec(spec)\nspec.loader.exec_module(module)\n"
    ),
    "under the name of another": "import types\nmodule = types.ModuleType('plugged_in')\nmodule.RATE = 1\n",
}


@pytest.mark.parametrize("way", MADE)
def test_a_module_that_is_not_imported_by_its_name_cannot_be_hashed_whole(project, way):
    """Its file is not known by its name. What is read of it by name is."""
    project.write(plugged_in="RATE = 1")
    text = MADE[way].replace("FILE", repr(str(project.folder / "plugged_in.py")))
    whole = project.hash_of_made(f"{text}def made(x): return getattr(module, x)\n")
    assert "is not imported by its name" in whole.opaque[0].why
    assert not project.hash_of_made(f"{text}def made(x): return module.RATE\n").opaque


def test_how_a_stranger_pickles_a_type_does_not_act(project, monkeypatch):
    """Libraries register how exceptions are pickled for all, once they are imported; that changes no hash."""
    made = ValueError("too many")
    before = hash_value(made, "v")
    project.install(stranger="def reduced(value): return str, ('anything',)")
    monkeypatch.setitem(copyreg.dispatch_table, ValueError, project.load("stranger").reduced)
    assert hash_value(made, "v") == before


@pytest.mark.parametrize("call", ["colorsys.Rate().f()", "colorsys.RATE", "colorsys.f()", "getattr(colorsys, x)"])
@pytest.mark.parametrize("local", [False, True])
def test_a_module_of_the_user_with_a_name_of_pythons_own_acts(project, call, local):
    """It is the user's by where its file stands: a project may have a `profile.py`."""
    line = "import colorsys"
    program = f"def made(x):\n    {line}\n    return {call}\n" if local else f"{line}\ndef made(x): return {call}\n"
    hashes = []
    for number in (1, 2):
        project.write(colorsys=f"RATE = {number}\ndef f(): return {number}\nclass Rate:\n    def f(self): return {number}\n")
        hashes.append(project.hash_of_made(program).sha256)
    assert hashes[0] != hashes[1]


ASSERTING = """
import importlib.util
from crew_repo.hashing import hash_value
spec = importlib.util.spec_from_file_location("asserting", FILE)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(*(hash_value(getattr(module, name), "v").sha256 for name in ("checked", "told", "plain")))
"""


def test_what_python_leaves_out_under_o_is_told_apart(tmp_path, monkeypatch, python):
    """An answer that no `assert` has checked is not that of a process whose `assert` would have; other code is one."""
    (tmp_path / "asserting.py").write_text(
        "def checked(x):\n    assert x > 3\n    return x\n"
        "def told(x): return 1 if __debug__ else 2\n"
        "def plain(x): return x\n"
    )
    program = ASSERTING.replace("FILE", repr(str(tmp_path / "asserting.py")))
    monkeypatch.delenv("PYTHONOPTIMIZE", raising=False)
    usual = python(program).split()
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    assert [one == two for one, two in zip(usual, python(program).split(), strict=True)] == [False, False, True]


class Mapped:
    """A finder as setuptools installs it for a project in editable mode: it says where some packages stand."""

    def __init__(self, **places: Path) -> None:
        self.places = {name.replace("_", "."): place for name, place in places.items()}

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        place = self.places.get(name)
        if place is None:
            return None
        if place.is_dir() and not (place / "__init__.py").exists():
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(place / "nowhere")]
            return spec
        folders = [str(place)] if place.is_dir() else None
        file = place / "__init__.py" if place.is_dir() else place
        return spec_from_file_location(name, file, submodule_search_locations=folders)


MAPPED = {
    "function": "def tool():\n    from acme.tools.rates import rate\n    return rate()\n",
    "module": "def tool():\n    from acme.tools import rates\n    return rates.rate()\n",
    "dotted": "def tool():\n    import acme.tools.rates\n    return acme.tools.rates.rate()\n",
    "a module by itself": "def tool():\n    from acme import single\n    return single.rate()\n",
}


@pytest.mark.parametrize("form", MAPPED)
@pytest.mark.parametrize("imported", [False, True], ids=["not imported yet", "imported"])
def test_a_part_of_a_package_that_only_a_finder_knows_counts(project, monkeypatch, form, imported):
    """Of a project in editable mode, parts of a package without a file may stand in folders of any name."""
    tools = project.folder / "sources"
    tools.mkdir()
    (tools / "__init__.py").write_text("")
    places = Mapped(acme=project.folder, acme_tools=tools, acme_single=project.folder / "single.py")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, places])
    project.write(using=MAPPED[form])
    found = []
    for number in (1, 1, 2):
        (tools / "rates.py").write_text(f"def rate(): return {number}\n")
        project.write(single=f"def rate(): return {number}\n")
        _forget("acme")
        if imported:
            importlib.import_module("acme.tools")
        found.append(hash_value(project.load("using").tool, "v").sha256)
    assert found[0] == found[1] != found[2]
    _forget("acme")
