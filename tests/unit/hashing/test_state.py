"""What code writes on its own objects counts as it was given, and not as runs have left it."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from crew_repo.hashing import Work, _kept, accounts, hash_callable, hash_value, written_at_work
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
            end.wait(30)

    first = threading.Thread(target=run)
    first.start()
    going.wait(30)
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


def test_what_a_run_does_before_it_begins_another_is_given_to_that(project):
    """A tool that loads a table and kicks off a crew that reads it: the inner run is asked about another table each
    time, and the outer one, and the next like it, work with what they were given.
    """
    project.write(crewmodule=TOOL)
    tool = project.load("crewmodule").tool
    before = hash_callable(tool, "tool")
    outer, found = Work(), []
    with outer.under_way():
        assert hash_in(outer, tool) == before
        for table in "aba":
            tool.configure(table=table)
            inner = Work()
            with inner.under_way():
                found.append(hash_in(inner, tool).sha256)
                tool("q")
            assert hash_in(outer, tool) == before
    assert hash_callable(tool, "tool") == before
    assert found[0] == found[2]
    assert len({before.sha256, *found}) == 3


def test_what_cannot_be_hashed_is_told_from_its_like(project):
    """Another connection, set between runs, is not the one that the run has opened."""
    project.write(crewmodule=TOOL)
    tool = project.load("crewmodule").tool
    assert hash_callable(tool, "tool").opaque == ()
    with run_with(tool):
        tool.configure(table=iter([1]))
    assert hash_callable(tool, "tool").opaque == ()
    tool.configure(table=iter([1]))
    assert hash_callable(tool, "tool").opaque != ()


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
    project.write(crewmodule=text)
    search = project.load("crewmodule").search
    before = hash_callable(search, "f")
    with run_with(search):
        search("b")
    assert hash_callable(search, "f") == before
    project.write(crewmodule=text.replace("'a': 1", "'a': 2"))
    assert hash_callable(project.load("crewmodule").search, "f") != before


def test_a_counter_that_nobody_reads_never_acts(project):
    """What a function only adds to, it may have added to outside of a run as well."""
    project.write(crewmodule="calls, log = 0, []\ndef search(q):\n    global calls\n    calls += 1\n    log.append(q)\n")
    search = project.load("crewmodule").search
    before = hash_callable(search, "f")
    search("b")
    assert hash_callable(search, "f") == before


class Duty:
    """What the library calls is `call`."""

    def call(self, prompt: str) -> str:
        self.calls += 1
        self.log.append(prompt)
        self.last = prompt
        self.cache[prompt] = self.next()
        return prompt

    def next(self) -> int:
        self.index += 1
        return self.index

    def reset(self) -> list[str]:
        self.calls, self.log, self.index = 0, [], 0
        return self.log


class HandsItselfOn(Duty):
    """Whoever is given the object may read all of it."""

    def call(self, prompt: str) -> str:
        return str(vars(self))


def test_accounts_are_what_the_work_only_adds_to():
    """An attribute that the work reads, in whatever method, is no account; nor is any, if the object is handed on."""
    assert accounts(Duty) == {"calls", "log", "last", "cache"}
    assert accounts(HandsItselfOn) == frozenset()


class Configured(Duty):
    """Its work is `call`, whatever `configure` is told."""

    def configure(self, tone: str) -> None:
        self.tone = tone


def test_what_work_writes_is_told_from_what_an_object_is_told():
    """What `configure` is told is no work of the model's."""
    assert written_at_work(Configured) == {"calls", "log", "last", "cache", "index"}


def test_nothing_is_kept_of_objects_that_are_gone():
    """What is remembered goes with the object."""
    tool = HandsItselfOn()
    tool.calls = 1
    hash_value(tool, "t")
    assert id(tool) in _kept._owners
    key = id(tool)
    del tool
    gc.collect()
    assert key not in _kept._owners


def test_hashing_keeps_nothing_alive(project):
    """Closures hold connections and data frames of the user's: nothing here outlives them."""
    project.write(crewmodule=TOOL + "\ndef make(tool):\n    def search(q):\n        tool.calls += 1\n        return tool(q)\n    return search\n")
    module = project.load("crewmodule")
    tool = module.Tool()
    gone = weakref.ref(tool)
    search = module.make(tool)
    hash_callable(search, "f")
    del tool, search
    gc.collect()
    assert gone() is None
