"""What modules say whose files are read: those that a function imports itself, or passes around whole."""

from __future__ import annotations

import pytest

from crew_repo.hashing import Hashed, hash_value
from tests.unit.hashing.conftest import Project

WAYS = {
    "name": "def tool():\n    from settings import mode\n    return mode\n",
    "module": "def tool():\n    import settings\n    return settings.mode\n",
    "call": "import importlib\ndef tool(): return importlib.import_module('settings').mode\n",
    "whole": "import settings\ndef tool(name='mode'): return getattr(settings, name)\n",
    "through another": "def tool():\n    import between\n    return between.settings.mode\n",
    "by a call of another": "def tool():\n    import calling\n    return calling.settings.mode\n",
    "globals": "from settings import mode\ndef tool(name='mode'): return globals()[name]\n",
}
LOOKUPS = {
    "item": "import os\nmode = os.environ['MODE']\n",
    "in a function": "import os\ndef mode(): return os.getenv('MODE')\n",
    "in a method": "import os\nclass Mode:\n    def __init__(self): self.mode = os.environ.get('MODE', '')\nmode = Mode()\n",
    "by a constant": "import os\nNAME = 'MODE'\ndef mode(): return os.environ[NAME]\n",
    "by a helper": "import os\ndef found(name): return os.environ[name]\ndef mode(): return found('MODE')\n",
    "settings": "from pydantic_settings import BaseSettings\nclass S(BaseSettings):\n    mode: str\ndef mode(): return S().mode\n",
}


def hashed(project: Project, way: str, settings: str) -> Hashed:
    project.write(settings=settings, between="import settings\n")
    project.write(calling="import importlib\nsettings = importlib.import_module('settings')\n", asking=WAYS[way])
    return hash_value(project.load("asking").tool, "v")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lookup", LOOKUPS)
def test_a_variable_that_such_a_module_reads_acts(project, monkeypatch, way, lookup):
    """As if the function read it itself; others and secrets do not act."""
    found = []
    for mode, another in (("a", "x"), ("a", "y"), ("b", "y")):
        monkeypatch.setenv("MODE", mode)
        monkeypatch.setenv("ANOTHER", another)
        monkeypatch.setenv("MODE_API_KEY", another)
        found.append(hashed(project, way, f"{LOOKUPS[lookup]}import os\nkey = os.getenv('MODE_API_KEY')\n"))
    assert not any(each.opaque for each in found)
    assert len({each.sha256 for each in found}) == 1
    assert found[0].environment == found[1].environment != found[2].environment


@pytest.mark.parametrize("way", WAYS)
def test_a_docstring_in_such_a_module_acts_if_something_reads_docstrings(project, way):
    """Whether the function reads it or the module itself."""
    module = "class Answer:\n    'One.'\n    x = 1\ndef mode(): return Answer{}\n"
    reading, plain = module.format(".__doc__"), module.format("")
    assert hashed(project, way, reading).sha256 != hashed(project, way, reading.replace("One", "Two")).sha256
    assert hashed(project, way, plain) == hashed(project, way, plain.replace("One", "Two"))


@pytest.mark.parametrize("way", WAYS)
def test_such_a_module_that_imports_by_names_made_at_run_time_cannot_be_hashed(project, way):
    """As of a function, nobody can tell which module that will be."""
    module = "import importlib\ndef mode(name): return importlib.import_module(f'plugins.{name}')\n"
    (opaque,) = hashed(project, way, module).opaque
    assert (
        str(opaque).removeprefix("v").removeprefix(".settings")
        == ": settings (a module): it imports modules by names made at run time"
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("line", ["runpy.run_path('x.py')", "exec(open('x.py').read())"])
def test_such_a_module_that_runs_files_cannot_be_hashed(project, way, line):
    """As of a function; one that runs a text here and reads data there runs no file."""
    for module in (f"import runpy\nmode = 1\nif mode == 2:\n    {line}\n", f"import runpy\ndef mode(): {line}\n"):
        assert hashed(project, way, module).opaque[0].why == "settings (a module): it runs files by their paths"
    assert not hashed(project, way, "def mode(): exec('x = 1')\ndef load(): return open('x')\n").opaque


@pytest.mark.parametrize("way", WAYS)
def test_such_a_module_that_imports_from_a_folder_which_it_adds_cannot_be_hashed(project, way):
    """It is not found before the module has run; what is found all the same is no trouble."""
    module = "import sys\nsys.path.append('plugins')\ndef mode():\n    import {}\n"
    assert "imports plugged_in from a folder" in hashed(project, way, module.format("plugged_in")).opaque[0].why
    assert not hashed(project, way, module.format("json")).opaque
