"""What changes the hash of a value, what does not, and what is reported as opaque."""

from __future__ import annotations

import array
import asyncio
import contextvars
import ctypes
import datetime as dt
import decimal
import enum
import fractions
import itertools
import logging
import pathlib
import re
import socket
import sqlite3
import sys
import threading
import typing
import uuid
import weakref
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace

import httpx
import numpy
import pytest

from crew_repo.hashing import hash_class, hash_value, register_hasher, unregister_hasher
from crew_repo.hashing.walker import walk


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Point:
    x: int
    y: list[int] = field(default_factory=list)


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self, left):
        self.left = left


class Named(typing.NamedTuple):
    a: int
    b: int = 2


class Words(list):
    """A list with an attribute."""


Pair = namedtuple("Pair", "a b")


def sha(value: object, **options: typing.Any) -> str:
    """The hash of a value that has nothing opaque."""
    hashed = hash_value(value, "v", **options)
    assert hashed.opaque == ()
    return hashed.sha256


DIFFERENT = [
    *(0, 1, 1.0, True, False, "1", None, "", -0.0, 0.0, 2**53, 2**53 + 1, 10**5000, -1, 0.1, ...),
    *(float("nan"), float("inf"), -float("inf"), 1j, b"1", bytearray(b"1"), "\ud800", "\udc00", "é", "e\u0301"),
    *([], (), {}, set(), [1], (1,), {1}, {1: None}, {"1": None}, [[]], [[1]], [1, 2], [2, 1], deque([1]), range(1)),
    *(["dict"], ["list", 1], [["list", 1]], {"a": 1, "b": 2}, {"a": 2, "b": 1}, slice(1), range(2), deque([1], 3)),
    *(Colour.RED, Colour.BLUE, Level.LOW, Point(1), Point(2), Point(1, [1]), Slotted(1), Slotted(2), Pair(1, 2)),
    *(Named(1), Named(1, 3), Words([1]), defaultdict(list), defaultdict(int), Counter("a")),
    *(dt.datetime(2024, 1, 1), dt.date(2024, 1, 1), dt.time(1), dt.timedelta(1), dt.timedelta(0, 1)),
    *(dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc), dt.timezone.utc, "2024-01-01"),
    *(decimal.Decimal("1"), decimal.Decimal("1.0"), fractions.Fraction(1, 3), uuid.UUID(int=1), pathlib.PurePath("a")),
    *(re.compile("a"), re.compile("a", re.IGNORECASE), re.compile(b"a"), array.array("i", [1]), array.array("i", [2])),
    *(numpy.array([1]), numpy.array([1.0]), numpy.array([[1]]), numpy.array([2]), numpy.float64(1), numpy.int64(1)),
    *(list[int], list[str], typing.Optional[int], typing.Union[int, str], typing.Any, typing.Literal["a"]),
    *(typing.Annotated[int, 3], typing.Callable[[int], str], typing.TypeVar("T"), typing.ForwardRef("Missing")),
    *(int, "int", len, object(), SimpleNamespace(a=1), SimpleNamespace(a=2)),
]


def test_different_values_hash_differently():
    """No two of these values share a hash: not 1, 1.0, True and "1", nor a list and its tuple."""
    hashes = [sha(value) for value in DIFFERENT]
    clashes = [
        (DIFFERENT[hashes.index(some)], DIFFERENT[i]) for i, some in enumerate(hashes) if hashes.index(some) != i
    ]
    assert clashes == []


@pytest.mark.parametrize(
    "one, other",
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: "a", "b": 2, None: 3}, {None: 3, "b": 2, 1: "a"}),
        ({"b", "a", "c"}, {"c", "b", "a"}),
        ({("a", 1), ("b", 2)}, {("b", 2), ("a", 1)}),
        ({1}, frozenset({1})),
        (OrderedDict(a=1, b=2), {"b": 2, "a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (Point(1, [2]), Point(1, [2])),
        (float("nan"), float("nan")),
        (typing.Optional[int], int | None),
        (list[int], typing.List[int]),  # noqa: UP006
        (object(), object()),
        (numpy.array([[1, 2], [3, 4]]), numpy.asfortranarray([[1, 2], [3, 4]])),
    ],
)
def test_equal_values_hash_equal(one, other):
    """The order of a dict or a set, and what a container is wrapped in, change nothing."""
    assert sha(one) == sha(other)


BERLIN, PARIS = zoneinfo.ZoneInfo("Europe/Berlin"), zoneinfo.ZoneInfo("Europe/Paris")
HOUR = dt.timedelta(hours=1)
VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("VARIABLE", default=1)


@pytest.mark.parametrize(
    "one, other",
    [
        (dt.datetime(2025, 1, 1, tzinfo=BERLIN), dt.datetime(2025, 1, 1, tzinfo=PARIS)),
        (dt.datetime(2025, 1, 1), dt.datetime(2025, 1, 1, fold=1)),
        (dt.timezone(HOUR, "X"), dt.timezone(2 * HOUR, "X")),
        (OrderedDict(a=1, b=2), OrderedDict(b=2, a=1)),
        (httpx.Client(params={"mode": "a"}), httpx.Client(params={"mode": "b"})),
        (contextvars.ContextVar("V", default=1), contextvars.ContextVar("V", default=2)),
    ],
)
def test_what_looks_alike_is_told_apart(one, other):
    """Zones of one offset, what a client always asks, what a context variable stands for."""
    assert sha(one) != sha(other)


def test_what_a_context_variable_stands_for_acts():
    """It is read like a global."""
    before = sha(VARIABLE)
    token = VARIABLE.set(2)
    assert sha(VARIABLE) != before
    VARIABLE.reset(token)
    assert sha(VARIABLE) == before


def test_the_order_of_a_dict_acts_where_code_may_go_through_it():
    """Data is looked up; a field of a tool may be listed."""
    one, other = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    assert hash_value(one, "v") == hash_value(other, "v")
    assert hash_value(one, "v", ordered=True) != hash_value(other, "v", ordered=True)


def test_sharing_does_not_show():
    """A list that holds one object twice equals a list of two equal objects."""
    shared = Point(1)
    assert sha([shared, shared]) == sha([Point(1), Point(1)])


def test_sharing_is_not_paid_for():
    """Thirty levels of doubling are thirty objects; each of them counts."""

    def doubled(value: object) -> object:
        for _ in range(30):
            value = [value, value]
        return value

    assert sha(doubled(1)) == sha(doubled(1))
    assert sha(doubled(1)) != sha(doubled(2))


def test_cycles_end_and_still_show_what_is_in_them():
    """A value that contains itself has a hash, which depends on all of it."""

    def ring(*items):
        value: list[object] = [*items]
        value.append({"back": value})
        return value

    assert sha(ring(1)) == sha(ring(1))
    assert sha(ring(1)) != sha(ring(2))


def test_cycles_of_another_shape_hash_differently():
    """The way back leads to a certain object."""
    to_outer: list[object] = [[]]
    to_outer[0].append(to_outer)
    to_inner: list[object] = [[]]
    to_inner[0].append(to_inner[0])
    assert sha(to_outer) != sha(to_inner)


def test_depth_is_no_obstacle():
    """Five thousand levels are hashed; beyond reason, the rest is named."""
    value: list[object] = []
    for _ in range(5_000):
        value = [value]
    sha(value)
    for _ in range(10_000):
        value = [value]
    (opaque,) = hash_value(value, "v").opaque
    assert "nested too deeply" in opaque.why


def test_hashes_do_not_depend_on_the_seed_of_the_process(python):
    """Sets of texts, and of tuples of texts, come out the same in every process."""
    program = """
        from crew_repo.hashing import hash_callable, hash_value
        def f(x): return x in {"a", "b", "c"}
        made = {}
        exec("def g(x): return x in {'a', 'b', 'c'}", made)
        value = [{"a", "b", "c", "d"}, {("a", 1), ("b", 2), ("c", 3)}, {frozenset("ab"): 1, frozenset("cd"): 2}]
        print(hash_value(value, "v"), hash_callable(f, "f"), hash_callable(made["g"], "g"))
    """
    assert len({python(program, hash_seed=seed) for seed in ("0", "1", "2")}) == 1


class Client:
    """An object whose state is partly out of reach."""

    def __init__(self, connection):
        self.connection = connection
        self.name = "a"


def generator():
    """A generator."""
    yield 1


OPAQUE = {
    "file": lambda: open(__file__),  # noqa: SIM115, PTH123
    "socket": socket.socket,
    "generator": generator,
    "iterator": lambda: iter([1]),
    "zip": lambda: itertools.chain([1]),
    "database": lambda: sqlite3.connect(":memory:"),
    "ctypes": lambda: ctypes.c_int(3),
    "frame": sys._getframe,
    "memory": lambda: ctypes.create_string_buffer(3),
}


@pytest.mark.parametrize("make", OPAQUE.values(), ids=OPAQUE)
def test_what_cannot_be_read_is_named(make):
    """Its place and its type are reported, and its neighbours are hashed all the same."""
    value = make()
    hashed = hash_value({"tools": [0, Client(value)]}, "crew")
    assert [opaque.path for opaque in hashed.opaque] == ["crew['tools'][1].connection"]
    assert hashed.opaque[0].why.startswith(type(value).__qualname__ + " (a ")
    assert hashed == hash_value({"tools": [0, Client(value)]}, "crew")
    if hasattr(value, "close"):
        value.close()


STATELESS = {
    "lock": threading.Lock,
    "rlock": threading.RLock,
    "event": threading.Event,
    "condition": threading.Condition,
    "semaphore": threading.Semaphore,
    "local": threading.local,
    "asyncio lock": asyncio.Lock,
    "weakref": lambda: weakref.ref(Colour),
    "weak dict": weakref.WeakKeyDictionary,
    "context variable": lambda: contextvars.ContextVar("x"),
    "logger": lambda: logging.getLogger("a"),
    "stderr": lambda: sys.__stderr__,
}


@pytest.mark.parametrize("make", STATELESS.values(), ids=STATELESS)
def test_plumbing_has_no_state(make):
    """A lock, a logger, a weak reference: there or not is all that counts."""
    assert sha(Client(make())) == sha(Client(make()))
    assert sha(Client(make())) != sha(Client(None))


def test_objects_that_raise_when_read_are_named():
    """A value's own code may raise anything; hashing does not."""

    class Broken:
        @property
        def __dict__(self):
            raise RuntimeError("no")

    (opaque,) = hash_value([Broken()], "v").opaque
    assert opaque.path == "v[0]"
    assert opaque.why.endswith("it raised RuntimeError when it was read")


def test_what_raises_in_the_middle_of_a_set_leaves_the_rest_intact():
    """A broken element of a set does not upset what comes after it."""

    class Broken:
        def __reduce_ex__(self, protocol):
            raise KeyboardInterrupt  # never called

        @property
        def __dict__(self):
            raise RuntimeError("no")

    value = [{Broken()}, Point(1)]
    assert hash_value(value, "v").sha256 == hash_value([{Broken()}, Point(1)], "v").sha256
    assert hash_value(value, "v").sha256 != hash_value([{Broken()}, Point(2)], "v").sha256


def test_parts_can_be_left_out_by_path():
    """`skip` is asked with the path below the root."""
    asked: list[str] = []

    def skip(tail: str) -> bool:
        asked.append(tail)
        return tail in {"connection", "name['b']"}

    def left(value: object) -> str:
        return walk("value", value, "v", skip).sha256

    assert left(Client(1)) == left(Client(2))
    assert {"connection", "name"} <= set(asked)
    one, two = Client(0), Client(0)
    one.name, two.name = {"a": 1, "b": 1}, {"a": 1, "b": 2}
    assert left(one) == left(two)
    assert left([Client(1), Client(1)]) != left([Client(1), Client(2)])


def test_a_registered_hasher_speaks_for_its_type_and_its_subclasses():
    """What it returns is hashed in the object's place, under the type's name."""

    class Special(Client):
        pass

    register_hasher(Client, lambda client: {"name": client.name})
    try:
        assert sha(Client(generator())) == sha(Client(generator()))
        assert sha(Special(generator())) != sha(Client(generator()))
        assert sha(Client(1)) != sha({"name": "a"})
    finally:
        unregister_hasher(Client)
    assert hash_value(Client(generator()), "v").opaque


def test_a_registered_hasher_that_fails_is_named():
    """An exception, or an answer that is no plainer than the question, makes the value opaque."""
    for function in (lambda client: client, lambda client: 1 / 0):
        register_hasher(Client, function)
        try:
            assert [opaque.path for opaque in hash_value([Client(1)], "v").opaque] == ["v[0]"]
        finally:
            unregister_hasher(Client)


def test_attributes_named_like_secrets_do_not_act():
    """Of `token` only the presence counts, wherever it stands; of `max_tokens` the value."""

    def holder(**members):
        return SimpleNamespace(**members)

    assert sha(holder(token="a")) == sha(holder(token="b")) != sha(holder())
    assert sha({"headers": {"Authorization": "a"}}) == sha({"headers": {"Authorization": "b"}})
    assert sha(holder(max_tokens=1)) != sha(holder(max_tokens=2))


def test_the_class_of_an_object_acts(project):
    """An edit of a method changes the hash of every object of that class."""
    text = "class Tool:\n    def run(self):\n        return 1\ntool = Tool()\n"
    project.write(crewmodule=text)
    before = sha(project.load("crewmodule").tool)
    project.write(crewmodule=text.replace("return 1", "return 2"))
    assert sha(project.load("crewmodule").tool) != before


def test_annotations_of_missing_names_do_no_harm(project):
    """Forward references and `Annotated` are hashed as they stand."""
    text = "import typing\nclass A:\n    b: 'Missing'\n    c: typing.Annotated[int, typing.ForwardRef('Lost')]\n"
    project.write(crewmodule=text)
    assert hash_class(project.load("crewmodule").A, "a").opaque == ()


PLUMBING = """
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import requests

class Client(BASE):
    def __init__(self, tenant):
        super().__init__()
        self.tenant, self.calls = tenant, 0

    def find(self, q):
        self.calls += 1
        return self.calls, self.tenant, q

client = Client("a")
"""


@pytest.mark.parametrize(
    "base",
    [
        *("threading.Thread", "threading.local", "ThreadPoolExecutor", "logging.Handler"),
        *("requests.Session", "httpx.Client"),
    ],
)
def test_what_the_user_adds_to_plumbing_acts(project, base):
    """Of a client or a thread of one's own, the code and the fields count; what the library's class holds does not."""
    text = PLUMBING.replace("BASE", base)

    def hashed(text):
        project.write(crewmodule=text)
        return hash_value(project.load("crewmodule").client, "v")

    before = hashed(text)
    assert before.opaque == ()
    assert hashed(text) == before
    assert hashed(text.replace('"a"', '"b"')) != before
    assert hashed(text.replace("tenant, q", "q, tenant")) != before
    project.write(crewmodule=text)
    client = project.load("crewmodule").client
    for name in ("headers", "_headers", "_thread_name_prefix", "_name"):
        if name in vars(client):
            vars(client)[name] = {"User-Agent": "another"}
    assert hash_value(client, "v") == before


def test_a_transport_that_answers_itself_acts(project):
    """An httpx client that asks no server answers as its handler does."""
    text = """
        import httpx
        client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200, text="a")))
        """
    hashes = []
    for answer in "aab":
        project.write(crewmodule=text.replace('"a"', f'"{answer}"'))
        hashes.append(hash_value(project.load("crewmodule").client, "v"))
    assert hashes[0] == hashes[1] != hashes[2]


class Ring:
    """An object in a cycle; it is equal to nothing else, so that a set holds many."""

    def __init__(self, name, ring=None):
        self.name, self.ring = name, ring or []
        self.ring.append(self)


def test_the_items_of_a_set_are_read_once():
    """A part that many items of sets, or of dicts with numbers for keys, share is read a single time."""
    read = []
    register_hasher(Slotted, lambda slotted: read.append(slotted) or slotted.left)
    try:
        shared = Slotted(1)
        sha([{Ring(n, [shared]) for n in range(3)}, {1: (2, shared), 2: [shared]}, {(1, shared)}])
    finally:
        unregister_hasher(Slotted)
    assert read == [shared]


@pytest.mark.parametrize("made", [set, lambda items: {item: item.name for item in items}], ids=["set", "keys"])
def test_cycles_through_items_without_an_order_show_none(made):
    """Items that lead to each other hash the same, whichever of them is met first."""

    def held(order):
        ring: list[Ring] = []
        items = [Ring(name, ring) for name in "abc"]
        return made([items[n] for n in order])

    assert len({sha(held(order)) for order in itertools.permutations(range(3))}) == 1


def test_the_order_of_keys_that_are_no_texts_acts_where_code_may_go_through_it():
    """Texts and numbers mixed are one order."""
    one, other = {1: "a", "b": 2, 3: "c"}, {"b": 2, 3: "c", 1: "a"}
    assert sha(one) == sha(other)
    assert sha(one, ordered=True) != sha(other, ordered=True)
