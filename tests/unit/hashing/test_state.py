"""What code writes on its own objects counts as it was given, and not as runs have left it."""

from __future__ import annotations

import functools
import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from crew_repo.code import Marks, marked, written_at_work
from crew_repo.hashing import Work, as_first_seen, hash_callable, hash_value
from tests.unit.hashing.conftest import Project

TOOL = """
class Tool:
    limit = 3

    def __init__(self, table=()):
        self.calls, self.docs = 0, []
        self._prepare(table)

    def _prepare(self, table):
        self.table = table

    def configure(self, *, table):
        self.table = table
        return self

    def set_limit(self, limit):
        type(self).limit = limit

    def add(self, doc):
        self.docs.append(doc)
        return self

    def __call__(self, q):
        self.calls += 1
        self.__seen = q
        return self.calls, self.docs, self.table, self.limit, self.__seen

tool = Tool()
"""


def hash_of(project: Project, made: str) -> str:
    """The hash of a tool that is made by this expression, as a new process would see it."""
    project.write(crewmodule=TOOL + f"tool = {made}\n")
    return hash_callable(project.load("crewmodule").tool, "tool").sha256


@pytest.mark.parametrize(
    "one, two",
    [
        ("Tool('a')", "Tool('b')"),
        ("Tool().configure(table='a')", "Tool().configure(table='b')"),
        ("Tool().add('a')", "Tool().add('b')"),
        ("Tool().set_limit(4) or Tool()", "Tool().set_limit(5) or Tool()"),
    ],
)
def test_what_a_method_is_told_acts(project, one, two):
    """A tool that was configured by a method is not the tool that was configured otherwise."""
    assert hash_of(project, one) == hash_of(project, one)
    assert hash_of(project, one) != hash_of(project, two)


@contextmanager
def run_with(tool: Any) -> Iterator[None]:
    """A run that has hashed what it works with."""
    work = Work()
    with work.under_way():
        assert hash_in(work, tool)
        yield


def hash_in(work: Work, tool: Any) -> Any:
    """What a run hashes."""
    with work.hashing():
        return hash_callable(tool, "tool")


def test_what_a_run_writes_is_no_change(project):
    """A counter, a cache and a connection differ after a run; the next run is asked the same."""
    project.write(crewmodule=TOOL)
    tool = project.load("crewmodule").tool
    before = hash_callable(tool, "tool")
    for _ in range(2):
        work = Work()
        with work.under_way():
            assert hash_in(work, tool) == before
            tool("q")
            assert hash_in(work, tool) == before
        assert hash_callable(tool, "tool") == before


def test_what_somebody_sets_between_runs_is_a_change(project):
    """Also where runs write the same attribute: what it was set to counts from then on."""
    project.write(crewmodule=TOOL)
    tool = project.load("crewmodule").tool
    hashes = [hash_callable(tool, "tool").sha256]
    with run_with(tool):
        tool("q")
    for table in "ab":
        tool.configure(table=table)
        hashes.append(hash_callable(tool, "tool").sha256)
        with run_with(tool):
            tool("q")
        assert hash_callable(tool, "tool").sha256 == hashes[-1]
    assert len(set(hashes)) == 3


def test_what_somebody_sets_while_another_run_goes_on_is_a_change(project):
    """A run answers for what it has hashed, and until it ends; of another tool it knows nothing."""
    project.write(crewmodule=TOOL)
    module = project.load("crewmodule")
    tool, other = module.Tool(), module.Tool()
    before = hash_callable(tool, "tool")
    with run_with(other):
        tool.configure(table="b")
        changed = hash_callable(tool, "tool")
        assert changed != before
        with run_with(tool):
            tool("q")
        assert hash_callable(tool, "tool") == changed
    tool.configure(table="c")
    assert hash_callable(tool, "tool") not in (before, changed)


def test_a_tool_of_two_runs_is_at_work_until_the_second_ends(project):
    """What runs beside each other write is no change for either, nor for a third, before or after they end."""
    project.write(crewmodule=TOOL)
    tool = project.load("crewmodule").tool
    before = hash_callable(tool, "tool")
    going, end = threading.Event(), threading.Event()

    def run() -> None:
        with run_with(tool):
            going.set()
            end.wait()

    first = threading.Thread(target=run)
    first.start()
    going.wait()
    tool("q")
    second = Work()
    with second.under_way():
        assert hash_in(second, tool) == before
        tool("q")
    tool("q")
    assert hash_callable(tool, "tool") == before
    end.set()
    first.join()
    assert hash_callable(tool, "tool") == before


NESTED = TOOL + """
def search(q):
    tool.configure(table=q)
    return tool(q)
"""


def test_what_a_run_does_before_it_begins_another_is_given_to_that(project):
    """A tool that loads a table and kicks off a crew that reads it: the inner run is asked about another table each
    time, and the outer one, and the next like it, work with what they were given.
    """
    project.write(crewmodule=NESTED)
    module = project.load("crewmodule")
    before = hash_callable(module.search, "tool")
    outer, found = Work(), []
    with outer.under_way():
        assert hash_in(outer, module.search) == before
        for table in "aba":
            module.tool.configure(table=table)
            inner = Work()
            with inner.under_way():
                found.append(hash_in(inner, module.tool).sha256)
                module.tool("q")
            assert hash_in(outer, module.search) == before
    assert hash_callable(module.search, "tool") == before
    assert found[0] == found[2]
    assert len(set(found)) == 2


def test_what_cannot_be_hashed_is_told_from_its_like(project):
    """Another connection, set between runs, is not the one that the run has opened."""
    project.write(crewmodule="client = None\ndef search(q):\n    global client\n    client = client or iter([1])\n")
    module = project.load("crewmodule")
    assert hash_callable(module.search, "tool").opaque == ()
    with run_with(module.search):
        module.search("q")
    assert hash_callable(module.search, "tool").opaque == ()
    module.client = iter([1])
    [opaque] = hash_callable(module.search, "tool").opaque
    assert opaque.path == "tool.client"


def test_state_that_leads_back_to_its_owner_ends(project):
    """A tree whose nodes know their parents, filled by a method, is hashed."""
    text = """
        class Node:
            def __init__(self, name):
                self.name, self.parent, self.children = name, None, []

            def add(self, child):
                self.children.append(child)
                child.parent = self
                return self

            def __call__(self):
                return self.children
        tree = Node("a").add(Node("b").add(Node("c")))
        """
    project.write(crewmodule=text)
    one = hash_value(project.load("crewmodule").tree, "t")
    assert one == hash_value(project.load("crewmodule").tree, "t")
    project.write(crewmodule=text.replace('"c"', '"d"'))
    assert one != hash_value(project.load("crewmodule").tree, "t")


def test_a_global_that_a_function_fills_counts_as_it_was_given(project):
    """A cache that was filled beforehand acts; that the function fills it on is its work."""
    text = "seen = {'a': 1}\ndef search(q):\n    return seen.setdefault(q, len(seen))\n"
    check_that_a_run_is_no_change(project, text, text.replace("'a': 1", "'a': 2"))


def check_that_a_run_is_no_change(project: Project, text: str, edited: str) -> None:
    """Of the function `search` in a module, whatever the run fills; while an edit of it is one."""
    project.write(crewmodule=text)
    search = project.load("crewmodule").search
    before = hash_callable(search, "f")
    with run_with(search):
        search("b")
    assert hash_callable(search, "f") == before
    project.write(crewmodule=edited)
    assert hash_callable(project.load("crewmodule").search, "f") != before


STATE = """
cache, calls, _client, seen = {"a": 1}, 0, None, []
unread = [0]

class Stats:
    calls = 0

class Totals:
    def __init__(self):
        self.calls, self.rate = 0, 3

    def text(self):
        return f"{self.calls} {self.rate}"

totals = Totals()

def put(key, value):
    global calls
    calls += 1
    cache[key] = value
    seen.append(key)
    unread.append(key)
    totals.calls += 1

def get(key):
    return cache.get(key), calls, len(seen)

def client():
    global _client
    if _client is None:
        _client = {"connected": 1}
    return _client

def remembered(q, known={"a": 1}, *, more=[1]):
    known[q] = more.append(q)
    return known, more

def counted():
    counted.calls += 1
    return counted.calls
counted.calls = 1

class Tool:
    def _one(self, q):
        Stats.calls += 1
        return get(q)

    def __call__(self, q):
        put(q, 1)
        return self._one(q), totals.text(), str(_client or client()), remembered(q), counted(), Stats.calls

tool = Tool()
"""


def test_what_functions_of_a_module_share_counts_as_it_was_given(project):
    """A cache that one fills and another reads, a counter, a client made at the first call: runs change no hash."""
    project.write(crewmodule=STATE)
    module = project.load("crewmodule")
    with marked(Marks([module.tool])):
        for some in (module.tool, module.get, module.remembered, module.counted, module.Tool):
            work, before = Work(), hash_callable(some, "tool")
            with work.under_way():
                assert hash_in(work, some) == before
                module.tool("q")
                assert hash_in(work, some) == before
            assert hash_callable(some, "tool") == before


@pytest.mark.parametrize(
    "change",
    [
        "cache['a'] = 2",
        "calls = 7",
        "_client = {}",
        "seen.append(1)",
        "Stats.calls = 7",
        "totals.calls = 7",
        "totals.rate = 4",
        "remembered.__defaults__[0]['a'] = 2",
        "remembered.__kwdefaults__['more'].append(2)",
        "counted.calls = 7",
    ],
)
def test_what_functions_of_a_module_share_acts(project, change):
    """What a cache or a counter is given before anything is called, or between runs, may act."""
    project.write(crewmodule=STATE)
    module = project.load("crewmodule")
    before = hash_callable(module.tool, "f")
    with run_with(module.tool):
        module.tool("q")
    exec(change, vars(module))
    assert hash_callable(module.tool, "f") != before
    project.write(crewmodule=f"{STATE}{change}\n")
    assert hash_callable(project.load("crewmodule").tool, "f") != before


@pytest.mark.parametrize(
    "made, old, new",
    [
        ("counts = type('Counts', (dict,), {'calls': 0})(a=1)", "a=1", "a=2"),
        ("from types import SimpleNamespace\ncounts = SimpleNamespace(calls=0, a=1)", "a=1", "a=2"),
        ("def counts(): return 1\ncounts.calls = 0", "return 1", "return 2"),
    ],
)
def test_what_is_written_on_an_object_does_not_hide_the_rest_of_it(project, made, old, new):
    """A counter on a dict or on a function leaves its contents and its code in the hash."""
    text = "def search(q):\n    counts.calls += 1\n    return counts\n"
    project.write(crewmodule=f"{made}\n{text}")
    before = hash_callable(project.load("crewmodule").search, "f")
    project.write(crewmodule=f"{made.replace(old, new)}\n{text}")
    assert hash_callable(project.load("crewmodule").search, "f") != before


def test_a_method_may_read_what_a_function_writes_on_its_object(project):
    """`settings.mode = ...` acts, where the object is used otherwise."""
    text = """
        class Settings:
            def text(self):
                return self.mode
        settings = Settings()
        settings.mode = "a"
        def search(q):
            if q:
                settings.mode = q
            return settings.text()
        """
    project.write(crewmodule=text)
    before = hash_callable(project.load("crewmodule").search, "f")
    project.write(crewmodule=text.replace('"a"', '"b"'))
    assert hash_callable(project.load("crewmodule").search, "f") != before


def test_state_of_a_module_goes_with_it(project):
    """What is remembered of a global does not keep its module alive, nor the global."""
    project.write(crewmodule=STATE)
    module = project.load("crewmodule")
    hash_callable(module.tool, "f")
    gone = [weakref.ref(module), weakref.ref(module.tool), weakref.ref(module.get)]
    project.forget("crewmodule")
    del module
    gc.collect()
    assert [some() for some in gone] == [None] * 3


INSTALLED_MODEL = """
from pydantic import BaseModel, PrivateAttr

class Index(BaseModel):
    _docs: list = PrivateAttr(default_factory=list)
    _mode: str = PrivateAttr("plain")

    def add(self, doc):
        self._docs.append(doc)
        return self

    def __call__(self, q):
        self._mode = q
        return self._docs, self._mode
"""


def test_private_attributes_of_an_installed_model_count_as_they_were_given(project):
    """A library's object in a tool's field answers by what it was told, and a run's work on it is no change."""
    project.install(fakemodel=INSTALLED_MODEL)
    index = project.load("fakemodel").Index
    assert hash_value(index().add("a"), "v") == hash_value(index().add("a"), "v")
    assert hash_value(index().add("a"), "v") != hash_value(index().add("b"), "v")
    held = index().add("a")
    before = hash_value(held, "v")
    work = Work()
    with work.under_way():
        with work.hashing():
            assert hash_value(held, "v") == before
        held("other")
        with work.hashing():
            assert hash_value(held, "v") == before
    assert hash_value(held, "v") == before


def test_a_private_attribute_that_a_newer_library_adds_changes_no_hash(project):
    """As long as it holds its plain default, as with fields."""
    project.install(fakemodel=INSTALLED_MODEL)
    before = hash_value(project.load("fakemodel").Index(), "v")
    project.install(fakemodel=INSTALLED_MODEL.replace("_mode: str", "_new: int = PrivateAttr(1)\n    _mode: str"))
    assert hash_value(project.load("fakemodel").Index(), "v") == before


MEMOIZED = """
import functools

def memoize(function):
    cache = {}

    @functools.wraps(function)
    def wrapper(q):
        if q not in cache:
            cache[q] = function(q)
        return cache[q]
    return wrapper

@memoize
def search(q):
    return q
"""


def test_a_cache_in_a_decorator_counts_as_it_was_given(project):
    """`functools.wraps` makes the decorator's function look like the one that it wraps; each has its own source."""
    check_that_a_run_is_no_change(project, MEMOIZED, MEMOIZED.replace("return q\n", "return [q]\n"))


def test_a_lambda_that_fills_a_cache_is_read_like_a_function(project):
    """Its source is found by its line."""
    project.write(crewmodule="cache = {}\nsearch = lambda q: cache.setdefault(q, 1)\n")
    search = project.load("crewmodule").search
    before = hash_callable(search, "f")
    with run_with(search):
        search("b")
    assert hash_callable(search, "f") == before


class Counted:
    """Counts its calls, and makes its client when it is first called; `configure` is no work of it."""

    def __init__(self) -> None:
        self.calls, self.tone, self._client = 0, "kind", None

    def counts(function: Any) -> Any:  # type: ignore[misc]
        @functools.wraps(function)
        def wrapper(self: Any) -> Any:
            self.calls += 1
            return function(self)

        return wrapper

    @counts  # type: ignore[arg-type]
    def call(self) -> Any:
        self._client = self._client or {"connected": 1}
        return [self.note(each) for each in "ab"], self.tone

    def note(self, each: str) -> None:
        self.__last = each

    def configure(self, tone: str) -> None:
        self.tone = tone


def test_what_work_writes_is_told_from_what_an_object_is_told():
    """Also under decorators, in comprehensions and in helpers; what `configure` is told is no work."""
    assert written_at_work(Counted) == {"calls", "_client", "_Counted__last"}


def test_nothing_is_kept_of_objects_that_are_gone():
    """What is remembered goes with the object."""
    tool = Counted()
    hash_value(tool, "t")
    assert id(tool) in as_first_seen._owners
    key = id(tool)
    del tool
    gc.collect()
    assert key not in as_first_seen._owners


def test_hashing_keeps_nothing_alive(project):
    """Closures hold connections and data frames of the user's: nothing here outlives them."""
    project.write(
        crewmodule=TOOL
        + "\ndef make(tool):\n    def search(q):\n        tool.calls += 1\n        return tool(q)\n    return search\n"
    )
    module = project.load("crewmodule")
    tool = module.Tool()
    gone = weakref.ref(tool)
    search = module.make(tool)
    hash_callable(search, "f")
    del tool, search
    gc.collect()
    assert gone() is None
