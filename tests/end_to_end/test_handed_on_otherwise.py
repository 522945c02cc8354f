"""State that is handed on by less plain ways: objects read as a whole, singletons, namespaces, what is bound."""

from __future__ import annotations

import pytest

from tests.end_to_end.test_handed_on import build, functions, planned  # noqa: F401 - a fixture

pytestmark = pytest.mark.siege

STORE = "class Store:\n    rows = None\n    def __init__(self):\n        self.rows = []\n"
STATE = "@dataclass\nclass State:\n    x: Any = None\n    rows: list = field(default_factory=list)\nSTATE = State()\n"
LAZY = "_store = None\ndef store():\n    global _store\n    if _store is None:\n        _store = Store()\n    return _store"
SINGLE = (
    "class Store:\n    _one = None\n    def __new__(cls):\n        if cls._one is None:\n"
    "            cls._one = super().__new__(cls)\n            cls._one.rows = []\n        return cls._one\n"
    "    @classmethod\n    def get(cls):\n        return cls()\n"
)
WAYS = {
    "an object that is printed": functions(STATE, "STATE.x = 'results'", "STATE"),
    "an object that a library reads": functions(
        f"import dataclasses\n{STATE}", "STATE.rows.append('results')", "dataclasses.asdict(STATE)"
    ),
    "an attribute that is not there yet": functions(
        "class State: pass\nSTATE = State()", "STATE.x = 'results'", "vars(STATE)"
    ),
    "a method of a library on the user's object": functions(
        "from pydantic import BaseModel\nclass State(BaseModel):\n    x: str | None = None\nSTATE = State()",
        "STATE.x = 'results'", "STATE.model_dump()",
    ),
    "a list in a table": functions("ROWS = []\nALL = {'a': ROWS}", "ROWS.append('results')", "ALL['a']"),
    "a copy of the user's object": functions(f"import copy\n{STATE}", "STATE.x = 'results'", "copy.deepcopy(STATE).x"),
    "a local name of a singleton": functions(SINGLE, "s = Store(); s.rows.append('results')", "''.join(Store().rows)"),
    "a local name of a lazy store": functions(
        STORE + LAZY, "s = store(); s.rows.append('results')", "''.join(store().rows)"
    ),
    "a store of a cached function": functions(
        f"{STORE}@functools.cache\ndef store():\n    return Store()",
        "s = store(); s.rows.append('results')", "''.join(store().rows)",
    ),
    "a method that gives a list": functions(
        "class Rows:\n    def __init__(self):\n        self.all = {}\n    def of(self, key):\n"
        "        return self.all.setdefault(key, [])\nROWS = Rows()",
        "rows = ROWS.of('a'); rows.append('results')", "ROWS.of('a')",
    ),
    "a property that gives a table": functions(
        "class Held:\n    def __init__(self):\n        self._data = {}\n    @property\n    def data(self):\n"
        "        return self._data\nHELD = Held()",
        "HELD.data['x'] = 'results'", "HELD.data.get('x')",
    ),
    "names of this module": functions("X = None", "globals().update(X='results')", "globals()['X']"),
    "this module by its name": functions(
        "import sys\nX = None", "setattr(sys.modules[__name__], 'X', 'results')", "sys.modules[__name__].X"
    ),
    "a module that is imported by a call": functions(
        "import importlib, sys, shared_state", "importlib.import_module('shared_state').DATA['x'] = 'results'",
        "sys.modules['shared_state'].DATA.get('x')",
    ),
    "a method of a list by a global name": functions("ROWS = []\nadd = ROWS.append", "add('results')", "''.join(ROWS)"),
    "a partial function": functions(
        "ROWS = []\ndef fill(into, row):\n    into.append(row)\nadd = functools.partial(fill, ROWS)",
        "add('results')", "''.join(ROWS)",
    ),
    "a method of a type": functions("ROWS = []", "list.append(ROWS, 'results')", "''.join(ROWS)"),
    "an operator": functions("import operator\nSHARED = {}", "operator.setitem(SHARED, 'x', 'results')", "SHARED.get('x')"),
    "a text that grows": functions("TEXT = ''", "global TEXT; TEXT += 'results'", "TEXT"),
    "a counter that is read": functions("N = 0", "global N; N += 1", "'results' if N else None"),
    "a queue": functions("import queue\nQ = queue.Queue()", "Q.put('results')", "Q.get() if Q.qsize() else None"),
    "a simple queue": functions(
        "import queue\nQ = queue.SimpleQueue()", "Q.put('results')", "Q.get() if not Q.empty() else None"
    ),
    "a buffer": functions("import io\nTEXT = io.StringIO()", "TEXT.write('results')", "TEXT.getvalue()"),
    "an event": functions(
        "import threading\nREADY = threading.Event()", "READY.set()", "'results' if READY.is_set() else None"
    ),
    "a scratch folder": functions(
        "import os, tempfile\nDIR = tempfile.TemporaryDirectory()", "open(DIR.name + '/x', 'w').write('results')",
        "open(DIR.name + '/x').read() if os.path.exists(DIR.name + '/x') else None",
    ),
    "a container of the user's class": functions("class Rows(list): pass\nROWS = Rows()", "ROWS.append('results')", "''.join(ROWS)"),
    "an object with slots": functions(
        "class State:\n    __slots__ = ('x',)\n    def __init__(self):\n        self.x = None\nSTATE = State()",
        "STATE.x = 'results'", "STATE.x",
    ),
    "a cache function": functions("SEEN = []", "pass", "'results' if SEEN else None")
    + "def kept(arguments, result):\n    SEEN.append(1)\n    return False\nSAVE_TOOL.cache_function = kept\n",
    "a validator of arguments": functions("SEEN = []", "pass", "'results' if SEEN else None")
    + "from pydantic import BaseModel, model_validator\nclass Given(BaseModel):\n    @model_validator(mode='after')\n"
    "    def note(self):\n        SEEN.append(1)\n        return self\nSAVE_TOOL.args_schema = Given\n",
    "a callback that is bound": functions("SEEN = []", "pass", "'results' if SEEN else None")
    + "CALLBACKS['callback'] = SEEN.append\n",
    "a table that two tools hold": """
class Save(BaseTool):
    name: str = "save"
    description: str = "Saves."
    _table: dict = {}
    def _run(self) -> str:
        self._table["x"] = "results"
        return "saved"
class Load(BaseTool):
    name: str = "load"
    description: str = "Loads."
    _table: dict = {}
    def _run(self) -> str:
        return f"it says {self._table.get('x')}"
TABLE = {}
SAVE_TOOL, LOAD_TOOL = Save(), Load()
SAVE_TOOL._table = LOAD_TOOL._table = TABLE
""",
}  # fmt: skip
NOTHING_HANDED_ON = {
    "an object that is made for one call": functions(
        "class Ask:\n    def __init__(self):\n        self.headers = {}\ndef go():\n    ask = Ask()\n"
        "    ask.headers['a'] = 1\n    return ask.headers", "go()", "go()",
    ),
    "what a client's method gives": functions(
        "class Client:\n    def fetch(self):\n        rows = ['a']\n        return rows\nCLIENT = Client()\n"
        "def go():\n    rows = CLIENT.fetch()\n    rows.append(1)\n    return rows", "go()", "go()",
    ),
    "the time of the last call": functions(
        "import time\nlast = 0.0\ndef go():\n    global last\n    now = time.time()\n    if now - last < 0:\n"
        "        time.sleep(0)\n    last = now", "go()", "go()",
    ),
    "times of calls": functions(
        "import time\nfrom collections import deque\nCALLS = deque(maxlen=5)\ndef go():\n    if len(CALLS) > 5:\n"
        "        time.sleep(CALLS[0])\n    CALLS.append(time.monotonic())", "go()", "go()",
    ),
    "tries that are counted": functions("def go():\n    go.tries = getattr(go, 'tries', 0) + 1", "go()", "go()"),
    "a part that is copied": functions(
        "ROWS = [1, 2]\ndef go():\n    rows, more = ROWS[:], ROWS.copy()\n    rows.append(1)\n    more.append(1)\n"
        "    return rows, more", "go()", "go()",
    ),
    "a cache in a function that gives it": functions(
        "CACHE = {}\ndef of(key):\n    return CACHE.setdefault(key, key)", "of('a')", "of('b')"
    ),
    "a table in a partial function": functions(
        "TABLE = {'a': 1}\ndef look(table, key):\n    return table.get(key)\ngo = functools.partial(look, TABLE)", "go('a')", "go('a')"
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_what_hands_state_on_is_executed_with_what_reads_it(repo, build, way: str):  # noqa: F811
    """Unchanged, nothing is executed, here and in a new process; a reader that must run has its state made first."""
    first = build(WAYS[way])
    assert "results" in repo.run(first).raw
    assert planned(repo, first) == []
    assert planned(repo, build(WAYS[way])) == []
    assert planned(repo, build(WAYS[way], "report anew")) == ["collect", "report"]
    assert "results" in repo.get_output("report")


@pytest.mark.parametrize("way", NOTHING_HANDED_ON)
def test_what_is_not_read_by_another_ties_no_tasks(repo, build, way: str):  # noqa: F811
    """Requests, rate limits, retries, copies and caches: only the task that was changed is executed."""
    first = build(NOTHING_HANDED_ON[way])
    repo.run(first)
    assert planned(repo, first) == []
    assert planned(repo, build(NOTHING_HANDED_ON[way])) == []
    assert planned(repo, build(NOTHING_HANDED_ON[way], "report anew")) == ["report"]
