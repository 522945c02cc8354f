"""State that one task's tools leave in memory for another's: the two are executed together, or reused together."""

from __future__ import annotations

import importlib
import logging
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew

from crew_repo import TaskPolicy
from tests import crews
from tests.models import PromptModel

pytestmark = pytest.mark.siege

HEAD = """
import contextvars
import functools
import logging
from dataclasses import dataclass, field
from typing import Any
from crewai.tools import BaseTool, tool

def made(name, function):
    function.__doc__ = "Does it."
    return tool(name)(function)

CALLBACKS = {}
"""
FUNCTIONS = """
def save() -> str:
    SAVE
    return "saved"

def load() -> str:
    return f"it says {LOAD}"

SAVE_TOOL, LOAD_TOOL = made("save", save), made("load", load)
"""


def functions(before: str, save: str, load: str) -> str:
    return before + FUNCTIONS.replace("SAVE\n", save.replace("; ", "\n    ") + "\n").replace("LOAD}", load + "}")


WAYS = {
    "a global dict": functions("SHARED = {}", "SHARED['x'] = 'results'", "SHARED.get('x')"),
    "a global that is bound anew": functions("DATA = None", "global DATA; DATA = 'results'", "DATA"),
    "a list by its alias": functions("ROWS = []", "rows = ROWS; rows.append('results')", "''.join(ROWS)"),
    "a list through a helper": functions(
        "ROWS = []\ndef fill(into, row):\n    into.append(row)", "fill(ROWS, 'results')", "''.join(ROWS)"
    ),
    "items of a loop": functions(
        "BOXES = {'x': []}", "for name, box in BOXES.items(): box.append('results')", "''.join(BOXES['x'])"
    ),
    "items of a numbered loop": functions(
        "BOXES = [[]]", "for number, box in enumerate(BOXES): box.append('results')", "''.join(BOXES[0])"
    ),
    "a method that is handed to a function": functions(
        "ROWS = []", "list(map(ROWS.append, ['results']))", "''.join(ROWS)"
    ),
    "a method by another name": functions("ROWS = []", "add = ROWS.append; add('results')", "''.join(ROWS)"),
    "what a context manager gives": functions(
        "import contextlib\nROWS = []\n@contextlib.contextmanager\ndef rows():\n    yield ROWS",
        "with rows() as found: found.append('results')",
        "''.join(ROWS)",
    ),
    "what a function of the user's gives": functions(
        "ROWS = []\ndef rows():\n    return ROWS", "rows().append('results')", "''.join(ROWS)"
    ),
    "a local name of what a function gives": functions(
        "ROWS = []\ndef rows():\n    return ROWS", "found = rows(); found.append('results')", "''.join(ROWS)"
    ),
    "an attribute by setattr": functions(
        "class State: pass\nSTATE = State()", "setattr(STATE, 'x', 'results')", "getattr(STATE, 'x', None)"
    ),
    "an attribute of a class": functions("class State:\n    x = None", "State.x = 'results'", "State.x"),
    "a data class": functions(
        "@dataclass\nclass State:\n    rows: list = field(default_factory=list)\nSTATE = State()",
        "STATE.rows.append('results')", "''.join(STATE.rows)",
    ),
    "a context variable": functions("VAR = contextvars.ContextVar('v', default=[])", "VAR.get().append('results')", "VAR.get()"),
    "a module": functions("import shared_state", "shared_state.DATA['x'] = 'results'", "shared_state.DATA.get('x')"),
    "names of a module": functions(
        "from shared_state import DATA, put", "put('x', 'results')", "DATA.get('x')"
    ),
    "a module that is imported late": functions(
        "import shared_state", "import shared_state as late; late.DATA['x'] = 'results'", "shared_state.DATA.get('x')"
    ),
    "a closure": """
def pair():
    held = None
    def save() -> str:
        nonlocal held
        held = "results"
        return "saved"
    def load() -> str:
        return f"it says {held}"
    return made("save", save), made("load", load)
SAVE_TOOL, LOAD_TOOL = pair()
""",
    "an object of two tools": """
class Notes:
    def __init__(self):
        self.rows = []
    def add(self, row):
        self.rows.append(row)
    def text(self):
        return "".join(self.rows)
class Save(BaseTool):
    name: str = "save"
    description: str = "Saves."
    notes: Any = None
    def _run(self) -> str:
        self.notes.add("results")
        return "saved"
class Load(BaseTool):
    name: str = "load"
    description: str = "Loads."
    notes: Any = None
    def _run(self) -> str:
        return f"it says {self.notes.text()}"
notes = Notes()
SAVE_TOOL, LOAD_TOOL = Save(notes=notes), Load(notes=notes)
""",
    "one tool for both": """
class Pad(BaseTool):
    name: str = "save"
    description: str = "Saves, or loads."
    rows: list = []
    def _run(self) -> str:
        self.rows.append("results")
        return f"it says {self.rows[0]}"
SAVE_TOOL = LOAD_TOOL = Pad()
""",
    "a callback": functions("SEEN = []", "pass", "''.join(SEEN)")
    + "CALLBACKS['callback'] = lambda output: SEEN.append('results')\n",
    "a guardrail": functions("SEEN = []", "pass", "''.join(SEEN)")
    + "def note(output: Any) -> tuple[bool, Any]:\n    SEEN.append('results')\n    return True, output\nCALLBACKS['guardrail'] = note\n",
}
NOTHING_HANDED_ON = {
    "a client": functions(
        "_client = None\ndef client():\n    global _client\n    if _client is None:\n        _client = {'a': 1}\n    return _client",
        "client()", "client()['a']",
    ),
    "a cache": functions(
        "CACHE = {}\ndef look(q):\n    if q not in CACHE:\n        CACHE[q] = q\n    return CACHE[q]", "look('a')", "look('b')"
    ),
    "a cached function": functions("@functools.cache\ndef look(q):\n    return q", "look('a')", "look('b')"),
    "a logger": functions("LOG = logging.getLogger('x')", "LOG.info('a')", "LOG.info('b')"),
    "a counter": functions("calls = 0\ndef count():\n    global calls\n    calls += 1", "count()", "count()"),
    "a table": functions("TABLE = {'a': [1]}", "TABLE.get('a')", "TABLE['a'][0]"),
    "a log": functions("LOG = []\ndef note(text):\n    LOG.append(text)", "note('a')", "note('b')"),
    "rows that are made anew": """
class Look(BaseTool):
    name: str = "save"
    description: str = "Looks."
    _rows: list = []
    def _run(self) -> str:
        self._rows = []
        for each in "ab":
            self._rows.append(each)
        return f"it says {self._rows}"
SAVE_TOOL = LOAD_TOOL = Look()
""",
    "a lazy attribute": """
class Look(BaseTool):
    name: str = "save"
    description: str = "Looks."
    _client: Any = None
    @functools.cached_property
    def table(self):
        return {"a": 1}
    def _run(self) -> str:
        if self._client is None:
            self._client = {"connected": 1}
        return f"it says {self.table['a']} {self._client['connected']}"
SAVE_TOOL = LOAD_TOOL = Look()
""",
}


class Using(PromptModel):
    """Calls the tool of its task, and answers with what that said."""

    def answer(self, prompt: str) -> str:
        tool = next((name for name in ("load", "save") if f"Tool Name: {name}" in prompt), None)
        done = prompt.rpartition(f"Action: {tool}")[2].partition("Observation:")[2] if tool else "nothing"
        if done and (not tool or f"Action: {tool}" in prompt):
            return f"Thought: I know.\nFinal Answer: {done.split(chr(34))[0].strip()}"
        return f"Thought: I look.\nAction: {tool}\nAction Input: {{}}"


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Crew]:
    """A function that makes the crew of a project, as a new process does: with nothing in memory."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shared_state.py").write_text("DATA = {}\ndef put(key, value):\n    DATA[key] = value\n")

    def make(way: str, text: str = "report", *, new_process: bool = True) -> Crew:
        (tmp_path / "handing.py").write_text(textwrap.dedent(HEAD) + way)
        if new_process:
            sys.modules.pop("handing", None), sys.modules.pop("shared_state", None)
        importlib.invalidate_caches()
        project = importlib.import_module("handing")
        model = Using(model="m")
        one, other = crews.agent(model, tools=[project.SAVE_TOOL]), crews.agent(model, tools=[project.LOAD_TOOL])
        return Crew(
            agents=[one, other],
            tasks=[
                crews.task("collect", "collect", one, **project.CALLBACKS),
                crews.task("report", text, other, context=[]),
            ],
        )

    return make


def planned(repo: Any, crew: Crew) -> tuple[list[str], list[str]]:
    """What a run executes, and what the plan had said that it would."""
    expected = [decision.task_name for decision in repo.plan(crew) if not decision.fresh]
    executed = repo.run(crew).run.executed
    assert executed == expected
    return executed


@pytest.mark.parametrize("way", WAYS)
def test_what_hands_state_on_is_executed_with_what_reads_it(repo, build, way: str):
    """Unchanged, nothing is executed, here and in a new process; a reader that must run has its state made first."""
    first = build(WAYS[way])
    said = repo.run(first)
    assert said.run.executed == ["collect", "report"]
    assert "results" in said.raw
    assert planned(repo, first) == []
    assert planned(repo, build(WAYS[way])) == []
    for again in (build(WAYS[way], "report anew"), build(WAYS[way], "report once more", new_process=False)):
        [reason] = repo.plan(again)["collect"].reasons
        assert reason.component.startswith("state:")
        assert " of collect hands " in reason.detail
        assert reason.detail.endswith(" of report")
        assert planned(repo, again) == ["collect", "report"]
        assert "results" in repo.get_output("report")


@pytest.mark.parametrize("way", NOTHING_HANDED_ON)
def test_what_is_shared_and_hands_nothing_on_ties_no_tasks(repo, build, way: str):
    """Clients, caches, loggers, counters and tables: only the task that was changed is executed."""
    repo.run(build(NOTHING_HANDED_ON[way]))
    assert planned(repo, build(NOTHING_HANDED_ON[way])) == []
    assert planned(repo, build(NOTHING_HANDED_ON[way], "report anew")) == ["report"]


def test_what_is_handed_on_is_an_input_of_what_reads_it(repo, build):
    """A writer that was executed otherwise, in a run that ended before its reader, makes the reader stale."""
    way = WAYS["a global dict"]
    repo.run(build(way))
    other = build(way.replace("'results'", "'new results'"))
    other.tasks.pop()
    repo.run(other)
    crew = build(way.replace("'results'", "'new results'"))
    assert planned(repo, crew) == ["collect", "report"]
    assert "new results" in repo.get_output("report")


def test_a_policy_may_say_that_nothing_is_handed_on(repo, build):
    """`ignore=("state:SHARED",)` on the reading task takes the tie away."""
    way = WAYS["a global dict"]
    policies = {"report": TaskPolicy(ignore=("state:SHARED",))}
    repo.run(build(way), policies=policies)
    assert repo.run(build(way, "report anew"), policies=policies).run.executed == ["report"]


def test_an_answer_that_was_made_without_its_state_is_not_served(repo, build, caplog):
    """Where a reader turns out stale after its writer was reused, that is said, and both are executed next."""
    way = WAYS["a global dict"]
    repo.run(build(way))
    crew = build(way)

    def edit(task: Any) -> Any:
        crew.tasks[2].description += " and more"
        return task

    crew.tasks.insert(1, crews.task("between", "go", crews.agent(crew.agents[0].llm), context=[]))
    crew.tasks[1].callback = edit
    with caplog.at_level(logging.WARNING, "crew_repo"):
        assert repo.run(crew).run.executed == ["between", "report"]
    assert "the state that it needs was not there" in caplog.text
    crew = build(way, "report and more")
    assert planned(repo, crew) == ["collect", "report"]
