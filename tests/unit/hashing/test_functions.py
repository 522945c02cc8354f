"""What changes the hash of a function, and what does not."""

from __future__ import annotations

import ast
import functools
import os.path
import threading
from typing import Any

import pytest

from crew_repo.hashing import hash_callable, hash_value
from tests.unit.hashing.conftest import Project

BASE = """
RATE = 3

def helper(x):
    return x * RATE

def search(query, limit=10):
    return helper(query), limit
"""


def hash_of(project: Project, text: str, name: str = "search", **modules: str) -> str:
    """The hash of one function of a module, as a new process would see it."""
    project.write(crewmodule=text, **modules)
    hashed = hash_callable(getattr(project.load("crewmodule"), name), "tool")
    assert hashed.opaque == ()
    return hashed.sha256


@pytest.fixture
def base(project: Project) -> str:
    return hash_of(project, BASE)


@pytest.mark.parametrize(
    "old, new",
    [
        ("return helper(query), limit", "return limit, helper(query)"),
        ("return x * RATE", "return x + RATE"),
        ("RATE = 3", "RATE = 4"),
        ("RATE = 3", "RATE = 3.0"),
        ("limit=10", "limit=11"),
        ("limit=10", "limit: int = 10"),
        ("search(query, limit=10)", "search(query, *, limit=10)"),
        ("def search", "async def search"),
    ],
)
def test_what_acts_changes_the_hash(project, base, old, new):
    """An edit of the body, of a helper, of a constant or of a default changes the hash."""
    assert hash_of(project, BASE.replace(old, new)) != base


@pytest.mark.parametrize(
    "old, new",
    [
        ("return x * RATE", "# why\n\n    return (x   *\n RATE)  # so"),
        ("def search", "UNUSED = 1\n\ndef unused(): ...\n\ndef search"),
        ("return helper(query), limit", "'''Search.'''\n    return helper(query), limit"),
        ("return helper(query), limit", "pass\n    return helper(query), limit"),
        ("RATE = 3", "RATE = 1 + 2"),
        ("limit=10", "limit=5 * 2"),
    ],
)
def test_what_does_not_act_does_not_change_the_hash(project, base, old, new):
    """Comments, layout, docstrings, neighbours and the spelling of a value change nothing."""
    assert hash_of(project, BASE.replace(old, new)) == base


def test_a_docstring_that_is_read_acts(project):
    """Code that reads `__doc__` depends on the docstring."""
    text = "def search():\n    '''One.'''\n    return search.__doc__\n"
    assert hash_of(project, text) != hash_of(project, text.replace("One", "Two"))


def test_helpers_in_other_modules_act(project):
    """A helper is followed into whatever module of the user it stands in."""
    text = "import helpers\ndef search(q):\n    return helpers.rate(q)\n"
    helpers = "FACTOR = 2\ndef rate(q):\n    return q * FACTOR\nOTHER = 1\n"
    first = hash_of(project, text, helpers=helpers)
    assert hash_of(project, text, helpers=helpers.replace("FACTOR = 2", "FACTOR = 3")) != first
    assert hash_of(project, text, helpers=helpers.replace("OTHER = 1", "OTHER = 3")) == first


def test_constants_of_other_modules_act(project):
    """`helpers.RATE` is a dependency on that constant, however it is imported."""
    for text in ("import helpers\ndef search():\n    return helpers.RATE\n", "from helpers import RATE\nsearch = lambda: RATE\n"):
        assert hash_of(project, text, helpers="RATE = 1") != hash_of(project, text, helpers="RATE = 2")


def test_imports_inside_the_function_act(project):
    """A module that is imported only when the function runs counts by its source, imported already or not."""
    text = "def search(q):\n    from helpers import rate\n    return rate(q)\n"
    first = hash_of(project, text, helpers="import deeper\ndef rate(q): return deeper.F", deeper="F = 1")
    assert hash_of(project, text, helpers="import deeper\ndef rate(q): return deeper.F", deeper="F = 2") != first
    project.write(deeper="F = 1  # same")
    search = project.load("crewmodule").search
    assert hash_callable(search, "tool").sha256 == first
    search_again = project.load("crewmodule").search
    project.load("helpers")
    assert hash_callable(search_again, "tool").sha256 == first


@pytest.mark.parametrize("text", ["from folder.part import f\n    return f()", "import folder.part\n    return folder.part.f()"])
def test_packages_without_a_file_of_their_own_act(project, text):
    """A folder needs no `__init__.py` to be imported from, inside a function or not."""
    (project.folder / "folder").mkdir()
    part = project.folder / "folder" / "part.py"
    hashes = []
    for value in (1, 2):
        part.write_text(f"def f(): return {value}\n")
        for name in ("folder", "folder.part"):
            project.forget(name)
        hashes.append(hash_of(project, f"def search(q):\n    {text}\n"))
    assert hashes[0] != hashes[1]


def test_modules_passed_whole_act(project):
    """A module that is used as a value counts by its source."""
    text = "import helpers\ndef search(q):\n    return getattr(helpers, q)\n"
    assert hash_of(project, text, helpers="RATE = 1") != hash_of(project, text, helpers="RATE = 2")


def test_installed_code_is_only_named():
    """The standard library and installed packages count by name, not by content."""
    assert hash_callable(os.path.join, "f") == hash_callable(os.path.join, "g")
    assert hash_callable(os.path.join, "f") != hash_callable(os.path.basename, "f")
    assert hash_callable(len, "f") != hash_callable(max, "f")


def test_two_lambdas_on_one_line_are_told_apart(project):
    """Source lines do not tell them apart; their code does."""
    text = "one, two = (lambda x: x + 1), (lambda x: x + 2)\nthree = lambda x: (x   + 2)\n"
    project.write(crewmodule=text)
    module = project.load("crewmodule")
    one, two, three = (hash_callable(some, "f").sha256 for some in (module.one, module.two, module.three))
    assert one != two == three


def test_a_file_edited_after_import_does_not_speak_for_the_code_that_is_live(project):
    """The old code runs until the next process, so it is the old code that is hashed."""
    project.write(crewmodule=BASE)
    live = project.load("crewmodule").search
    (project.folder / "crewmodule.py").write_text("def search(query, limit=10):\n    return 'new'\n")
    stale = hash_callable(live, "tool").sha256
    assert stale != hash_callable(project.load("crewmodule").search, "tool").sha256


def test_an_edit_elsewhere_in_the_file_does_not_matter_to_live_code(project):
    """A function that has only moved since the import is still found in its file."""
    project.write(crewmodule=BASE)
    expected = hash_callable(project.load("crewmodule").search, "tool").sha256
    live = project.load("crewmodule").search
    path = project.folder / "crewmodule.py"
    path.write_text("import os\n\n\n" + path.read_text())
    assert hash_callable(live, "tool").sha256 == expected


def test_code_without_source_is_hashed_by_its_bytecode():
    """What `exec` makes has no source, and still tells one body from another."""

    def made(body: str) -> str:
        namespace: dict[str, object] = {}
        exec(f"def f(x):\n    return {body}", namespace)
        return hash_callable(namespace["f"], "f").sha256

    assert made("x + 1") == made("x + 1")
    assert made("x + 1") != made("x + 2")
    assert made("x in {1, 2}") != made("x in {1, 3}")
    assert made("x + 1") != made("x - 1")


def make(rate):
    """A closure."""

    def scaled(x):
        return x * rate

    return scaled


def test_closures_act():
    """Two functions of one source differ by what they closed over."""
    assert hash_callable(make(2), "f") == hash_callable(make(2), "f")
    assert hash_callable(make(2), "f") != hash_callable(make(3), "f")
    assert hash_callable(make(2), "f") != hash_callable(make(2.0), "f")


def test_partials_act_by_function_and_arguments():
    """`partial` is its function, its arguments and its keywords."""
    plain = functools.partial(make, 2)
    assert hash_callable(plain, "f") == hash_callable(functools.partial(make, 2), "f")
    assert hash_callable(plain, "f") != hash_callable(functools.partial(make, 3), "f")
    assert hash_callable(plain, "f") != hash_callable(functools.partial(make, rate=2), "f")


class Scaler:
    """A callable instance."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, x):
        return x * self.rate

    def scale(self, x):
        return x * self.rate


def test_bound_methods_and_callable_instances_act_by_their_state():
    """A bound method is its function and its object."""
    assert hash_callable(Scaler(1).scale, "f") == hash_callable(Scaler(1).scale, "f")
    assert hash_callable(Scaler(1).scale, "f") != hash_callable(Scaler(2).scale, "f")
    assert hash_callable(Scaler(1), "f") != hash_callable(Scaler(2), "f")
    assert hash_callable(Scaler(1), "f") != hash_callable(Scaler(1).scale, "f")


DECORATED = """
import functools

def shout(f):
    @functools.wraps(f)
    def wrapper(*args):
        return f(*args).upper() + SUFFIX
    return wrapper

SUFFIX = "!"

@shout
def search(q):
    return q + "?"
"""


@pytest.mark.parametrize("old, new", [('"?"', '"."'), ("upper", "lower"), ('"!"', '"!!"'), ("@shout", "")])
def test_decorated_functions_act_by_wrapper_and_wrapped(project, old, new):
    """Neither the wrapper nor the wrapped function hides the other."""
    assert hash_of(project, DECORATED) != hash_of(project, DECORATED.replace(old, new))


@pytest.mark.parametrize("decorator", ["functools.lru_cache", "functools.lru_cache(maxsize=8)", "contextlib.contextmanager"])
def test_wrappers_of_the_standard_library_show_what_they_wrap(project, decorator):
    """A cache or a context manager is hashed by the function in it; what was cached is no part of it."""
    text = f"import functools, contextlib\n@{decorator}\ndef search(q=1):\n    return [q]\n"
    project.write(crewmodule=text)
    search = project.load("crewmodule").search
    before = hash_callable(search, "f")
    search(2)
    assert hash_callable(search, "f") == before
    assert hash_of(project, text) == before.sha256
    assert hash_of(project, text.replace("[q]", "[q, q]")) != before.sha256


def test_single_dispatch_acts_by_every_implementation(project):
    """Each registered implementation counts."""
    text = """
        import functools

        @functools.singledispatch
        def search(q):
            return q

        @search.register
        def _(q: int):
            return q + 1
    """
    assert hash_of(project, text) == hash_of(project, text)
    assert hash_of(project, text) != hash_of(project, text.replace("+ 1", "+ 2"))


@pytest.mark.parametrize(
    "text",
    [
        "def search(n):\n    return n and search(n - 1)\n",
        "def search(n):\n    return other(n)\ndef other(n):\n    return n and search(n - 1)\n",
        "def make():\n    def inner(n):\n        return n and inner(n - 1)\n    return inner\nsearch = make()\n",
        "class A:\n    def f(self): return B()\nclass B:\n    def g(self): return A()\ndef search(n): return A, B, n - 1\n",
    ],
)
def test_recursion_ends_and_still_shows_edits(project, text):
    """Functions and classes that lead back to themselves are hashed once."""
    assert hash_of(project, text) == hash_of(project, text)
    assert hash_of(project, text.replace("- 1", "- 2")) != hash_of(project, text)


def test_a_thousand_functions_that_know_each_other_are_hashed_in_linear_time(project):
    """Neither a long chain of calls nor a dense net of them exhausts the stack or the day, and the last one counts."""
    chain = "".join(f"def f{n}():\n    return f{n + 1}(), f{n // 2}()\n" for n in range(1000))
    ends = [f"def f1000():\n    return {number}\nsearch = f0\n" for number in (1, 2)]
    assert hash_of(project, chain + ends[0]) != hash_of(project, chain + ends[1])


@pytest.mark.parametrize(
    "text, old, new",
    [
        ("__fetch = lambda q: q + 1\ndef search(q):\n    return __fetch(q)\n", "+ 1", "+ 2"),
        ("__prompt__ = 'a'\ndef search(q):\n    return __prompt__\n", "'a'", "'b'"),
        ("'One.'\ndef search(q):\n    return __doc__\n", "One", "Two"),
        ("def help_():\n    'One.'\ndef search(q):\n    return help_.__doc__\n", "One", "Two"),
        ("class Help:\n    'One.'\ndef search(q):\n    return Help.__doc__\n", "One", "Two"),
        ("def helper(): return 1\ndef search(q):\n    return globals()[q]()\n", "return 1", "return 2"),
        ("ORDER = {'b': 1, 'a': 2}\ndef search(q):\n    return list(ORDER)\n", "'b': 1, 'a': 2", "'a': 2, 'b': 1"),
    ],
)
def test_names_with_underscores_docstrings_and_the_order_of_constants_act(project, text, old, new):
    """What a function reads acts, by whatever way it gets there."""
    assert hash_of(project, text) == hash_of(project, text)
    assert hash_of(project, text) != hash_of(project, text.replace(old, new))


def test_the_name_of_the_module_does_not_act(project):
    """A program that is run as `__main__` and imported later is the same program."""
    project.write(crewmodule="import logging\ndef search(q):\n    return logging.getLogger(__name__), __file__\n")
    search = project.load("crewmodule").search
    before = hash_callable(search, "f")
    search.__globals__["__name__"] = "__main__"
    search.__globals__["__file__"] = "elsewhere.py"
    assert hash_callable(search, "f") == before


ENVIRONMENT = """
import os
from os import environ

NAME = "MODE"

def helper(q):
    return {read}

def search(q):
    return helper(q)
"""


def variables_of(project: Project, text: str) -> tuple[tuple[str, str], ...]:
    """The variables of the environment that a function reads, each with its hash."""
    project.write(crewmodule=text)
    return hash_callable(project.load("crewmodule").search, "tool").environment


@pytest.mark.parametrize(
    "read",
    [
        "os.environ['MODE']",
        "os.environ.get('MODE', 'a')",
        "os.getenv('MODE')",
        "environ.get('MODE')",
        "environ[NAME]",
        "'MODE' in os.environ",
        "[os.getenv('MODE') for _ in q]",
    ],
)
def test_variables_of_the_environment_act(project, monkeypatch, read):
    """A variable that code reads by name is an ingredient, in helpers and nested functions as well."""
    hashes = []
    for value in ("a", "b", "a"):
        monkeypatch.setenv("MODE", value)
        hashes.append(variables_of(project, ENVIRONMENT.format(read=read)))
    monkeypatch.delenv("MODE")
    hashes.append(variables_of(project, ENVIRONMENT.format(read=read)))
    assert [name for name, _ in hashes[0]] == ["MODE"]
    assert hashes[0] == hashes[2]
    assert len(set(hashes)) == 3


@pytest.mark.parametrize(
    "name, one, two",
    [("SEARCH_API_KEY", "a", "b"), ("STORE_URL", "https://me:one@host/a", "https://me:two@host/a")],
)
def test_secrets_in_the_environment_do_not_act(project, monkeypatch, name, one, two):
    """Rotating a key or a password changes nothing."""
    text = f"import os\ndef search(q):\n    return os.environ['{name}']\n"
    monkeypatch.setenv(name, one)
    first = variables_of(project, text)
    monkeypatch.setenv(name, two)
    assert variables_of(project, text) == first


def test_what_code_writes_into_the_environment_does_not_act(project):
    """It is what the code does, and not what it depends on."""
    text = "import os\ndef search(q):\n    os.environ['MODE'] = q\n"
    assert variables_of(project, text) == ()


@pytest.mark.parametrize("call", ["importlib.import_module('helpers')", "__import__('helpers')", "sys.modules['helpers']"])
def test_modules_that_are_imported_by_a_call_act(project, call):
    """As those of an import statement do."""
    text = f"import importlib, sys\ndef search(q):\n    return {call}.RATE\n"
    assert hash_of(project, text, helpers="RATE = 1") != hash_of(project, text, helpers="RATE = 2")


def test_modules_of_unknown_names_are_said_not_to_be_hashed(project):
    """Which module runs is only known when it runs."""
    project.write(crewmodule="import importlib\ndef search(q):\n    return importlib.import_module(q)\n")
    (opaque,) = hash_callable(project.load("crewmodule").search, "tool").opaque
    assert str(opaque) == "tool: search (a function): it imports modules by names made at run time"


@pytest.mark.parametrize(
    "text",
    [
        "from importlib import import_module as load\ndef search(q):\n    return load('helpers').RATE\n",
        "def search(q):\n    from importlib import import_module as load\n    return load('helpers').RATE\n",
        "import importlib\nLOADERS = {'x': importlib.import_module}\ndef search(q):\n    return LOADERS[q]('helpers')\n",
        "import importlib\ndef search(q, load=importlib.import_module):\n    return load('helpers')\n",
        "import importlib\ndef search(q):\n    return list(map(importlib.import_module, ['helpers']))\n",
        "from functools import partial\nimport importlib\nload = partial(importlib.import_module, 'helpers')\ndef search(q):\n    return load()\n",
        "import importlib\ndef search(q):\n    return getattr(importlib, 'import_module')('helpers')\n",
        "load = __import__\ndef search(q):\n    return load('helpers')\n",
        "import pkgutil\ndef search(q):\n    return pkgutil.resolve_name('helpers:RATE')\n",
        "from pydoc import locate\ndef search(q):\n    return locate('helpers.RATE')\n",
        "import pydoc\ndef search(q):\n    return pydoc.locate('helpers.RATE')\n",
    ],
)
def test_a_function_that_imports_under_another_name_is_said_not_to_be_hashed(project, text):
    """Nobody can tell what it will be given."""
    project.write(crewmodule=text, helpers="RATE = 1")
    opaque = hash_callable(project.load("crewmodule").search, "tool").opaque
    assert {each.why.partition(": ")[2] for each in opaque} == {"it imports modules by names made at run time"}


def test_a_function_that_imports_by_a_name_that_it_says_is_hashed(project):
    """Also where it has imported the importing function itself."""
    local = "def search(q):\n    from importlib import import_module\n    return import_module('helpers').RATE\n"
    for text in (local, "from importlib import import_module\ndef search(q): return import_module('helpers').RATE\n"):
        assert hash_of(project, text, helpers="RATE = 1") != hash_of(project, text, helpers="RATE = 2")


def test_secrets_in_globals_and_closures_do_not_act(project):
    """Rotating a key that a function reads changes nothing."""
    text = "API_KEY = 'one'\ndef search(q, token='one'):\n    return q, API_KEY\n"
    assert hash_of(project, text) == hash_of(project, text.replace("one", "two"))


def test_generators_and_coroutines_functions_differ_from_plain_ones(project):
    """A generator function and a coroutine function are hashed by their source like any other."""
    text = "def search(q):\n    return q\n"
    hashes = {hash_of(project, some) for some in (text, text.replace("return", "yield"), "async " + text)}
    assert len(hashes) == 3


def test_names_differ_from_values():
    """A function, its name and a call of it are three things."""
    assert hash_value(len, "f") != hash_value("builtins.len", "f")


def test_hashing_is_thread_safe():
    """Many threads hash one function and agree."""
    found: set[str] = set()
    threads = [threading.Thread(target=lambda: found.add(hash_callable(make(1), "f").sha256)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


def test_parsers_that_disturb_each_other_try_again(project, monkeypatch):
    """In threads CPython's parser may raise SystemError (gh-106905): the source counts all the same."""
    text = "def search(q):\n    return q + 1\n"
    before = hash_of(project, text)
    parse, failures = ast.parse, iter([True, True, False])

    def disturbed(*arguments: Any, **named: Any) -> Any:
        if next(failures, False):
            raise SystemError("AST constructor recursion depth mismatch (before=102, after=94)")
        return parse(*arguments, **named)

    monkeypatch.setattr(ast, "parse", disturbed)
    assert hash_of(project, "# a comment\n" + text) == before
