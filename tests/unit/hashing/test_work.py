"""What work may change, however it does so, counts as it was given; what others set counts from then on."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

from crew_repo.code import Marks, are_in_force, marked
from crew_repo.hashing import Work, changed_at_work, exchange, forget_interrupted, hash_callable, hash_value

WAYS: dict[str, tuple[str, str | None]] = {
    'lazy_global': (
        """
        CLIENT=None
        def make(): return {'a':1}
        def work():
            global CLIENT
            if CLIENT is None: CLIENT = make()
            return CLIENT
        """,
        "CLIENT={'b':2}",
    ),
    'singleton_new': (
        """
        class C:
            _instance=None
            def __new__(cls):
                if cls._instance is None: cls._instance=object.__new__(cls); cls._instance.n=0
                cls._instance.n+=1
                return cls._instance
        def work(): return C().n
        """,
        'C._instance=object.__new__(C); C._instance.n=9',
    ),
    'meta_singleton': (
        """
        class M(type):
            _all={}
            def __call__(cls,*a):
                if cls not in M._all: M._all[cls]=super().__call__(*a)
                return M._all[cls]
        class C(metaclass=M):
            def ask(self): return 1
        def work(): return C().ask()
        """,
        None,
    ),
    'deco_singleton': (
        """
        def single(cls):
            made={}
            def get(*a):
                if cls not in made: made[cls]=cls(*a)
                return made[cls]
            return get
        @single
        class C:
            def ask(self): return 1
        def work(): return C().ask()
        """,
        None,
    ),
    'module_getattr': (
        """
        def __getattr__(name):
            if name=='lazy':
                v={'a':1}
                globals()['lazy']=v
                return v
            raise AttributeError(name)
        import sys
        def work(): return sys.modules[__name__].lazy['a']
        """,
        None,
    ),
    'globals_item': (
        """
        def work():
            if 'CACHE' not in globals(): globals()['CACHE']={}
            globals()['CACHE']['a']=1
            return CACHE['a']
        """,
        None,
    ),
    'vars_module': (
        """
        import sys
        X=1
        me=sys.modules[__name__]
        def work():
            vars(me)['X']=X+1
            return X
        """,
        'X=77',
    ),
    'heap': (
        """
        import heapq
        H=[]
        def work():
            heapq.heappush(H,3)
            return H[0]
        """,
        'H.append(-1)',
    ),
    'from_heap': (
        """
        from heapq import heappush
        H=[]
        def work():
            heappush(H,3)
            return H[0]
        """,
        'H.append(-1)',
    ),
    'bisect': (
        """
        import bisect
        S=[]
        def work():
            bisect.insort(S,3)
            return S
        """,
        'S.append(9)',
    ),
    'shuffle': (
        """
        import random
        R=list(range(9))
        def work():
            random.shuffle(R)
            return R[0]
        """,
        'R.append(9)',
    ),
    'rng': (
        """
        import random
        RNG=random.Random(7)
        def work(): return RNG.random()
        """,
        'RNG.seed(3)',
    ),
    'count': (
        """
        import itertools
        C=itertools.count()
        def work(): return next(C)
        """,
        None,
    ),
    'counter': (
        """
        from collections import Counter
        C=Counter()
        def work():
            C.update('abc')
            return C.most_common(1)
        """,
        "C['z']=5",
    ),
    'deque': (
        """
        from collections import deque
        D=deque([1,2],maxlen=5)
        def work():
            D.rotate(1); D.append(3)
            return D
        """,
        'D.append(7)',
    ),
    'odict': (
        """
        from collections import OrderedDict
        O=OrderedDict(a=1,b=2)
        def work():
            O.move_to_end('a')
            return O
        """,
        "O['z']=1",
    ),
    'defaultdict': (
        """
        from collections import defaultdict
        D=defaultdict(list)
        def work():
            D['a'].append(1)
            return D
        """,
        "D['z'].append(3)",
    ),
    'decimal': (
        """
        import decimal
        C=decimal.Context(prec=6)
        def work(): return C.divide(decimal.Decimal(1),decimal.Decimal(3))
        """,
        'C.prec=9',
    ),
    'dataclass': (
        """
        from dataclasses import dataclass, field
        @dataclass
        class S:
            rows: list=field(default_factory=list)
        ST=S()
        def fill(s): s.rows.append(1)
        def work():
            fill(ST)
            return len(ST.rows)
        """,
        'ST.rows.append(9)',
    ),
    'alias2': (
        """
        D={'a':[]}
        def work():
            rows=D['a']
            rows.append(1)
            return len(rows)
        """,
        "D['a'].append(5)",
    ),
    'foralias': (
        """
        D=[{},{}]
        def work():
            for r in D: r['n']=1
            return D
        """,
        'D.append({})',
    ),
    'partial': (
        """
        import functools
        D=[]
        def add(d,x): d.append(x); return len(d)
        P=functools.partial(add,D)
        def work(): return P(1)
        """,
        'D.append(4)',
    ),
    'nonlocal': (
        """
        def make():
            n=0; seen={}
            def inner():
                nonlocal n
                n+=1; seen[n]=1
                return n
            return inner
        work=make()
        """,
        None,
    ),
    'funcattr': (
        """
        def work():
            work.n=getattr(work,'n',0)+1
            return work.n
        """,
        'work.n=99',
    ),
    'funcattr_cache': (
        """
        def work(q='a'):
            if not hasattr(work,'cache'): work.cache={}
            work.cache[q]=1
            return work.cache
        """,
        None,
    ),
    'lru': (
        """
        import functools
        @functools.lru_cache
        def t(): return {'a':1}
        def work():
            t()['b']=2
            return t()
        """,
        None,
    ),
    'ns': (
        """
        from types import SimpleNamespace
        S=SimpleNamespace(n=0)
        def work():
            S.n+=1
            return S.n
        """,
        'S.n=50',
    ),
    'tuple_swap': (
        """
        A=[1]
        B=[2]
        def work():
            global A,B
            A,B=B,A
            return A
        """,
        'A=[7]',
    ),
    'ret_helper': (
        """
        D={}
        def store(): return D
        def work():
            store()['a']=1
            return D
        """,
        "D['z']=1",
    ),
    'walrus': (
        """
        D={}
        def work():
            if (d:=D) is not None: d['x']=1
            return D
        """,
        "D['z']=1",
    ),
    'cm': (
        """
        import contextlib
        D=[]
        @contextlib.contextmanager
        def cm():
            D.append(1)
            yield D
        def work():
            with cm() as d: return len(d)
        """,
        'D.append(2)',
    ),
    'ctxvar': (
        """
        import contextvars
        V=contextvars.ContextVar('v',default=0)
        def work():
            V.set(V.get()+1)
            return V.get()
        """,
        None,
    ),
    'inst_heap': (
        """
        import heapq
        class B:
            def __init__(self): self.h=[]
            def push(self): heapq.heappush(self.h,1); return len(self.h)
        b=B()
        def work(): return b.push()
        """,
        'b.h.append(3)',
    ),
    'inst_rng': (
        """
        import random
        class B:
            def __init__(self): self.r=random.Random(1)
            def get(self): return self.r.random()
        b=B()
        def work(): return b.get()
        """,
        'b.r.seed(7)',
    ),
    'inst_cached': (
        """
        import functools
        class B:
            @functools.cached_property
            def t(self): return {'a':1}
        b=B()
        def work():
            b.t['n']=1
            return b.t
        """,
        None,
    ),
    'hasattr': (
        """
        class B:
            def get(self):
                if not hasattr(self,'_c'): self._c={}
                self._c['a']=1
                return self._c
        b=B()
        def work(): return b.get()
        """,
        "b._c={'q':1}",
    ),
    'dictattr': (
        """
        class B:
            def get(self):
                self.__dict__['k']=1
                return self.k
        b=B()
        def work(): return b.get()
        """,
        None,
    ),
    'enum_dispatch': (
        """
        H={}
        def reg(f):
            H[f.__name__]=f
            return f
        @reg
        def a(): H['n']=1; return 1
        def work(): return H['a']()
        """,
        None,
    ),
    'inherit': (
        """
        class A:
            hits=0
            def call(self): type(self).hits+=1; return self.hits
        class B(A): pass
        b=B()
        def work(): return b.call()
        """,
        'B.hits=70',
    ),
}


def hash_in(work: Work, value: Any) -> Any:
    """What a run hashes."""
    with work.hashing():
        return hash_callable(value, "tool")


def work_once(function: Any) -> Any:
    """A run that works, and the hash that it begins with."""
    run = Work()
    with run.under_way():
        found = hash_in(run, function)
        function()
        assert hash_in(run, function) == found
    return found


@pytest.mark.parametrize("way", WAYS)
def test_what_work_leaves_is_no_change(project, way: str):
    """A second run, and a third, are asked what the first was; what somebody sets between runs is a change."""
    source, change = WAYS[way]
    project.write(crewmodule=source)
    module = project.load("crewmodule")
    before = hash_callable(module.work, "tool")
    assert before.opaque == ()
    assert [work_once(module.work) for _ in range(3)] == [before] * 3
    assert hash_callable(module.work, "tool") == before
    if change is not None:
        exec(change, vars(module))
        assert hash_callable(module.work, "tool") != before
    project.write(crewmodule=source)
    assert hash_callable(project.load("crewmodule").work, "tool") == before


SHARED = """
SETTINGS, LIMITS, INDEX, SEEN = {"rate": 1}, [1, 2], None, []

class Table:
    def __init__(self):
        self.rows, self.notes, self.hits, self.seen, self.client = [], [], 0, [], None

    def load(self, rows):
        self.rows = rows
        self.notes = [*rows]

    def look(self, q):
        self.hits += 1
        self.client = self.client or {"connected": 1}
        self.seen.append(q)
        return self.rows, self.client, SETTINGS["rate"], max(LIMITS), len(SEEN)

table = Table()

def work(q="q"):
    SEEN.append(q)
    return table.look(q), INDEX

def reload():
    global INDEX
    INDEX = {"a": 1}
"""


@pytest.mark.parametrize(
    "change", ["SETTINGS['rate'] = 2", "SETTINGS = {}", "LIMITS.append(9)", "reload()", "table.load([1])"]
)
def test_what_others_set_while_a_run_goes_on_is_a_change(project, change: str):
    """A server's thread that loads a table, or sets what code only reads, is heard at once, however many runs go on."""
    project.write(crewmodule=SHARED)
    module = project.load("crewmodule")
    first, second = Work(), Work()
    with first.under_way():
        before = hash_in(first, module.work)
        module.work()
        thread = threading.Thread(target=exec, args=(change, vars(module)))
        thread.start()
        thread.join()
        beside = threading.Thread(target=lambda: found.append(hash_in(second, module.work)))
        found: list[Any] = []
        beside.start()
        beside.join()
    assert found[0] != before
    assert hash_callable(module.work, "tool") == found[0]


def test_two_runs_at_once_are_asked_the_same(project):
    """What each leaves of counters, logs and clients is no change for the other."""
    project.write(crewmodule=SHARED)
    module = project.load("crewmodule")
    runs = [Work(), Work(), Work()]
    found: list[Any] = []

    def begin(run: Work) -> None:
        found.append(hash_in(run, module.work))
        module.work()

    with runs[0].under_way():
        begin(runs[0])
        threads = [threading.Thread(target=begin, args=(run,)) for run in runs[1:]]
        for thread in threads:
            thread.start()
            thread.join()
    assert found == [found[0]] * 3
    assert hash_callable(module.work, "tool") == found[0]


def test_a_global_counts_as_it_is_in_a_run_that_a_tool_starts(project):
    """What the outer run has left in it is what the inner one is given; an object's counter is none of it."""
    project.write(crewmodule=SHARED)
    module = project.load("crewmodule")
    outer = Work()
    with outer.under_way():
        before = hash_in(outer, module.work)
        module.work()
        inner = Work()
        with inner.under_way():
            found = hash_in(inner, module.work)
        module.SEEN.clear()
        with Work().under_way():
            assert hash_callable(module.work, "tool") == before
    assert found != before
    assert hash_callable(module.work, "tool") == before


UNCLEAR = """
class Table:
    def __init__(self):
        self.rows = []

    def load(self, rows):
        self.rows = rows

    def look(self, q):
        self.rows.append(q)
        return self.rows

table = Table()

def work(q="q"):
    return table.look(q)
"""


def test_what_work_and_others_write_cannot_be_hashed(project):
    """Nobody can tell then who has set it: it is named, with both."""
    project.write(crewmodule=UNCLEAR)
    module = project.load("crewmodule")
    [opaque] = hash_callable(module.work, "tool").opaque
    assert opaque.path == "tool.table.rows"
    assert "is written at work, and set by Table.load from outside" in opaque.why
    project.write(crewmodule=UNCLEAR.replace("self.rows.append(q)", "pass"))
    assert hash_callable(project.load("crewmodule").work, "tool").opaque == ()


def test_a_value_that_another_tool_changes_is_marked_by_its_identity(project):
    """One module fills a list that another has imported: both count as they were given, where both work."""
    project.write(
        store="ROWS = []\n", crewmodule="from store import ROWS\ndef save():\n    ROWS.append(1)\n",
        reader="from store import ROWS\ndef load():\n    return len(ROWS)\n",
    )  # fmt: skip
    save, load = project.load("crewmodule").save, project.load("reader").load
    with marked(Marks([save, load])):
        run, before = Work(), hash_value([save, load], "tools")
        with run.under_way():
            with run.hashing():
                assert hash_value([save, load], "tools") == before
            save()
        assert hash_value([save, load], "tools") == before
        save()
        assert hash_value([save, load], "tools") != before


def test_hashing_that_was_interrupted_marks_nothing_afterwards():
    """What a signal handler raises may keep it from ending: the next run hashes as ever, whenever the rest is collected."""
    left = [marked(Marks(())), marked(Marks(()))]
    for each in left:
        each.__enter__()
    del each
    forget_interrupted()
    assert not are_in_force()
    left.clear()
    gc.collect()
    assert not are_in_force()


@pytest.mark.parametrize(
    "asked",
    [
        "class Held(dict): __getattr__ = dict.__getitem__\nHELD = Held(unit='EUR')\n",
        "class Held:\n    def __getattr__(self, name): return lambda *_: name\nHELD = Held()\n",
        "import os\nclass Held:\n    def __getattr__(self, name): return os.environ[name]\nHELD = Held()\n",
        "from xmlrpc.client import ServerProxy\nHELD = ServerProxy('http://127.0.0.1:9')\n",
    ],
    ids=["a dict with attributes", "a proxy", "settings", "a remote server"],
)
def test_an_object_that_answers_to_every_name_is_not_asked_for_any(project, asked):
    """Its own code may raise anything, or ask a server: what it holds counts, and nothing is called."""
    project.write(crewmodule=f"{asked}class Tool:\n    def run(self): return HELD.unit\n")
    tool = project.load("crewmodule").Tool()
    exchange(tool)
    with marked(changed_at_work([tool])):
        assert hash_value(tool, "tool").opaque == ()
