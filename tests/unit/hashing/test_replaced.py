"""Code of the user's in a library's place, and code that is found only as it runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from crew_repo.hashing import Hashed, hash_value

REPLACED = {
    "function": "import lib\nlib.get = mine\ndef tool(): return lib.get()\n",
    "function of a part": "import pack.part\npack.part.get = mine\ndef tool(): return pack.part.get()\n",
    "partial": "import functools, lib\nlib.get = functools.partial(mine)\ndef tool(): return lib.get()\n",
    "class": "import lib\nclass Mine:\n    def ask(self): return mine()\nlib.Client = Mine\ndef tool(): return lib.Client().ask()\n",
    "method": "import lib\nlib.Client.ask = mine\ndef tool(): return lib.Client().ask()\n",
    "method of an imported class": "import lib\nfrom lib import Client\nlib.Client.ask = mine\ndef tool(): return Client().ask()\n",
    "method of a base": "import lib\nlib.Base.ask = mine\ndef tool(): return lib.Client().ask()\n",
    "method of an object's class": "import lib\nlib.Client.ask = mine\nclient = lib.Client()\ndef tool(): return client.ask()\n",
    "method of the user's base": "import lib\nlib.Client.ask = mine\nclass Own(lib.Client): pass\ndef tool(): return Own().ask()\n",
    "class method": "import lib\nlib.Client.ask = classmethod(mine)\ndef tool(): return lib.Client.ask()\n",
    "property": "import lib\nlib.Client.ask = property(mine)\ndef tool(): return lib.Client().ask\n",
    "local import": "import lib\nlib.get = mine\ndef tool():\n    import lib\n    return lib.get()\n",
    "local import of it": "import lib\nlib.get = mine\ndef tool():\n    from lib import get\n    return get()\n",
    "local import of a part": "import pack.part\npack.part.get = mine\ndef tool():\n    from pack import part\n    return part.get()\n",
}


@pytest.fixture
def library(project) -> Iterator[None]:
    project.install(lib="def get(): return 0\nclass Base:\n    def ask(self): return 0\nclass Client(Base): pass\n")
    pack = project.folder / "site-packages" / "pack"
    pack.mkdir()
    (pack / "__init__.py").write_text("")
    (pack / "part.py").write_text("def get(): return 0\n")
    yield
    _forget()


def _forget() -> None:
    for name in ("lib", "pack", "pack.part"):
        sys.modules.pop(name, None)


def hashed(project, text: str) -> Hashed:
    _forget()
    project.write(replacing=text)
    return hash_value(project.load("replacing").tool, "v")


@pytest.mark.parametrize("form", REPLACED)
def test_the_users_code_in_a_librarys_place_counts(project, library, form):
    """An edit of what the user has put there is an edit of what uses the library."""
    one, same, other = (
        hashed(project, f"def mine(*_): return {number}\n{REPLACED[form]}") for number in (1, 1, 2)
    )
    assert (one.opaque, one == same, one.sha256 == other.sha256) == ((), True, False)


def test_a_library_that_nobody_has_changed_is_named(project, library):
    """What its functions and classes do is its own affair."""
    project.install(lib="def get(): return 1\n")
    assert hashed(project, "import lib\ndef tool(): return lib.get()\n") == hashed(
        project, "import lib\ndef mine(): return 1\ndef tool(): return lib.get()\n"
    )


RUNS_FILES = {
    "path": "import runpy\ndef tool(): return runpy.run_path('other.py')\n",
    "exec": "def tool():\n    exec(open('other.py').read())\n",
    "exec of a path": "from pathlib import Path\ndef tool():\n    code = Path('other.py').read_text()\n    exec(code)\n",
    "loader": (
        "import importlib.util\ndef tool():\n    spec = importlib.util.spec_from_file_location('o', 'other.py')\n"
        "    module = importlib.util.module_from_spec(spec)\n    spec.loader.exec_module(module)\n"
    ),
}


@pytest.mark.parametrize("form", RUNS_FILES)
def test_code_that_runs_files_is_named(project, form):
    """Which files that will be, and what is in them by then, nobody can tell."""
    (opaque,) = hashed(project, RUNS_FILES[form]).opaque
    assert opaque.why == "tool (a function): it runs files by their paths"


@pytest.mark.parametrize("form", ["exec('x = 1')", "eval('1 + 1')", "open('a').read()"])
def test_code_that_runs_texts_or_reads_data_is_hashed(project, form):
    """A calculator that evaluates what it is told runs no files."""
    assert hashed(project, f"def tool():\n    return {form}\n").opaque == ()


def test_a_module_that_is_run_counts(project):
    """`runpy.run_module` runs it as an import would."""
    program = "import runpy\ndef tool(): return runpy.run_module('other')\n"
    found = []
    for number in (1, 1, 2):
        project.write(other=f"x = {number}\n")
        found.append(hashed(project, program).sha256)
    assert found[0] == found[1] != found[2]
