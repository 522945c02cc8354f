"""What modules say whose files are read: those that a function imports itself, or passes around whole."""

from __future__ import annotations

import sys

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


TABLE = "import importlib\n_L = {'foo': 'target'}\n"
ASKED = "def __getattr__(n):\n    if n != 'foo': raise AttributeError(n)\n"
GETTER = f"{ASKED}    return getattr(importlib.import_module(_L[n]), n)\n"
SEEN = {
    "a table": TABLE + GETTER,
    "a table with a loader": TABLE
    + "def _load(n): return getattr(importlib.import_module(_L[n]), n)\n"
    + "def __getattr__(n):\n    try: return _load(n)\n    except KeyError: raise AttributeError(n) from None\n",
    "a table of pairs": "import importlib\n_L: dict[str, tuple[str, str]] = {'foo': ('target', 'foo')}\n__all__ = list(_L)\n"
    "def __getattr__(n):\n    if n in _L:\n        module, name = _L[n]\n"
    "        return getattr(importlib.import_module(module), name)\n    raise AttributeError(n)\n",
    "a table that is gone through": f"{TABLE}{ASKED}    for each in _L.values():\n        return importlib.import_module(each).foo\n",
}
UNSEEN = {
    "a parameter": f"import importlib\n{ASKED}    return importlib.import_module(n)\n",
    "a table that grows": TABLE + GETTER + "def add(n, m): _L[n] = m\n",
    "a table that is handed on": TABLE + GETTER + "def fill(table): pass\nfill(_L)\n",
    "a table that is made": "import importlib, os\n_L = {'foo': os.path.basename('target')}\n" + GETTER,
    "a table of another module": "import importlib\nfrom tables import _L\n" + GETTER,
    "a table of endings": "import importlib\n_L = {'foo': 'get'}\n" + GETTER.replace("_L[n]", "'tar' + _L[n]"),
    "a parameter of a loader": TABLE
    + f"def _load(m): return importlib.import_module(m)\n{ASKED}    return _load(_L[n]).foo\n",
    "a part of no package": f"import importlib\n{ASKED}    return importlib.import_module('.' + n, __package__)\n",
    "another name": TABLE + GETTER + "from importlib import import_module as load\n",
}
LAZY_WAYS = {
    "attribute": "import lazy\ndef tool(): return lazy.foo()\n",
    "module": "def tool():\n    import lazy\n    return lazy.foo()\n",
    "name": "def tool():\n    from lazy import foo\n    return foo()\n",
}


def lazily(project: Project, way: str, **files: str) -> Hashed:
    """The hash of a tool that calls `lazy.foo`; a file's name may have `__` in it for a folder."""
    for name, text in files.items():
        file = project.folder / f"{name.replace('__', '/', 1)}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    project.write(asking=LAZY_WAYS[way])
    found = hash_value(project.load("asking").tool, "v")
    for name in [name for name in sys.modules if name.partition(".")[0] in {"lazy", "target"}]:
        project.forget(name)
    return found


def foo(text: str) -> str:
    return f"def foo(): return {text!r}\n"


@pytest.mark.parametrize("way", LAZY_WAYS)
@pytest.mark.parametrize("kind", SEEN)
def test_modules_that_a_lazy_module_has_in_a_table_act(project, way, kind):
    """Each that the table names is read, as if it were imported."""
    one, other = (lazily(project, way, lazy=SEEN[kind], target=foo(text)) for text in ("one", "other"))
    assert not one.opaque
    assert one.sha256 != other.sha256


@pytest.mark.parametrize("way", LAZY_WAYS)
@pytest.mark.parametrize("kind", UNSEEN)
def test_a_lazy_module_that_imports_by_names_made_at_run_time_cannot_be_hashed(project, way, kind):
    """Having a `__getattr__` is no excuse: nobody can tell which module that will be."""
    (opaque,) = lazily(project, way, lazy=UNSEEN[kind], target=foo("one"), tables="_L = {}").opaque
    assert opaque.why == "lazy (a module): it imports modules by names made at run time"


@pytest.mark.parametrize("way", LAZY_WAYS)
@pytest.mark.parametrize(
    "name",
    [
        *("f'.{n}_', __name__", "'.' + n + '_', package=__package__", "f'{__name__}.{n}_'", "__name__ + '.' + n + '_'"),
        *("_L[n], __name__", "f'.{_L[n]}', __spec__.parent", "_L[n][1:], __name__"),
    ],
)
def test_parts_of_a_lazy_package_act_by_whatever_names_it_imports_them(project, way, name):
    """All that is below it is read; what may stand elsewhere is named as not hashable."""
    lazy = f"import importlib\n_L = {{'foo': '.foo_'}}\n{ASKED}    return importlib.import_module({name}).foo\n"
    one, other = (lazily(project, way, lazy____init__=lazy, lazy__foo_=foo(text)) for text in ("one", "other"))
    assert one.sha256 != other.sha256
    assert bool(one.opaque) == ("[1:]" in name)


@pytest.mark.parametrize("way", LAZY_WAYS)
@pytest.mark.parametrize(
    ("name", "is_seen"),
    [
        *(("_L[n]", True), ("'.foo', 'target'", True), ("'.' + n, 'target'", False), ("'..' + n, __name__", False)),
        *(("__name__ + n", False), ("n, __name__", False), ("_L.get(n, n)", False), ("_L.get(n)", True)),
    ],
)
def test_modules_that_a_lazy_package_imports_from_elsewhere_act_or_are_named(project, way, name, is_seen):
    """Those are not below it, so they are read where their names are known, and only there."""
    lazy = f"import importlib\n_L = {{'foo': 'target.foo'}}\n{ASKED}    return importlib.import_module({name}).foo\n"
    files = {"lazy____init__": lazy, "target____init__": ""}
    one, other = (lazily(project, way, **files, target__foo=foo(text)) for text in ("one", "other"))
    assert bool(one.opaque) != is_seen
    assert (one.sha256 != other.sha256) == is_seen


@pytest.mark.parametrize("way", LAZY_WAYS)
def test_a_getattr_that_a_library_makes_reads_all_parts(project, way):
    """As `lazy_loader.attach` does it, of which the text says no names."""
    project.install(attaching="def attach(name, parts): return (lambda n: None), (lambda: []), []\n")
    lazy = "import attaching\n__getattr__, __dir__, __all__ = attaching.attach(__name__, {'foo_': ['foo']})\n"
    one, other = (lazily(project, way, lazy____init__=lazy, lazy__foo_=foo(text)) for text in ("one", "other"))
    assert not one.opaque
    assert one.sha256 != other.sha256
