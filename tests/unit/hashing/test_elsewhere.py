"""Handles of data that lives elsewhere count by where it is; compiled things that have a name count by that."""

from __future__ import annotations

import csv
import decimal
import functools
import hashlib
import importlib
import json
import multiprocessing
import operator
import random
import sqlite3
import ssl
import struct
import sys
import tempfile
import textwrap
from decimal import Decimal

import chromadb
import filelock
import numpy
import pytest
import regex
import sqlalchemy
from sqlalchemy.orm import Session

from crew_repo.hashing import Hashed, hash_value

URL = "postgresql+psycopg://{user}:{password}@{host}/{database}"
PLACE = {"user": "ada", "password": "first-password", "host": "here", "database": "claims"}


def engine(**members: str) -> Hashed:
    return hash_value(sqlalchemy.create_engine(URL.format(**{**PLACE, **members})), "v")


def test_an_engine_counts_by_where_its_data_is():
    """Its host, its database and its user count, and no password; what is not seen is told, and is not opaque."""
    (unseen,) = engine().opaque
    assert unseen.elsewhere
    assert "claims" in unseen.why
    assert "first-password" not in unseen.why
    assert engine(password="second-password") == engine()
    for change in ({"host": "there"}, {"database": "other"}, {"user": "bob"}):
        assert engine(**change).sha256 != engine().sha256


def test_a_database_in_a_file_counts_by_its_file_before_and_after_use(tmp_path):
    """Connections, engines and sessions of one file are the same whatever was asked; those of another are not."""
    hashes = []
    for name in ("a", "a", "b"):
        connection = sqlite3.connect(tmp_path / name)
        made = sqlalchemy.create_engine(f"sqlite:///{tmp_path / name}")
        handles = [connection, made, Session(made)]
        before = hash_value(handles, "v")
        connection.execute("select 1")
        with made.connect() as used:
            used.execute(sqlalchemy.text("select 1"))
        assert hash_value(handles, "v") == before
        assert all(opaque.elsewhere for opaque in before.opaque)
        hashes.append(before.sha256)
        connection.close()
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    "make",
    [
        lambda: sqlite3.connect(":memory:"),
        lambda: sqlalchemy.create_engine("sqlite://"),
        lambda: sqlalchemy.create_engine("sqlite:///:memory:"),
        chromadb.EphemeralClient,
    ],
)
def test_data_in_the_memory_of_this_process_is_opaque(make):
    """No other process has it, and nothing says what it is."""
    assert [opaque.elsewhere for opaque in hash_value(make(), "v").opaque] == [False]


def test_a_search_index_counts_by_its_folder_and_collection(tmp_path):
    """Chroma's identifiers and pointers are others in each process, and do not count."""
    here, there = (chromadb.PersistentClient(str(tmp_path / name)) for name in ("here", "there"))
    assert hash_value(here, "v").sha256 != hash_value(there, "v").sha256
    one, other = (here.create_collection(name, embedding_function=None) for name in ("one", "other"))
    assert hash_value(one, "v").sha256 != hash_value(other, "v").sha256
    before = hash_value(one, "v")
    here.delete_collection("one")
    assert hash_value(here.create_collection("one", embedding_function=None), "v") == before


def test_a_scratch_folder_is_the_same_in_every_run():
    """Its path is made at random, and is not what a task works with."""
    with tempfile.TemporaryDirectory() as _:
        assert hash_value(tempfile.TemporaryDirectory(), "v") == hash_value(tempfile.TemporaryDirectory(), "v")


LIBRARIES = {
    "redis.connection": """
        import os
        class ConnectionPool:
            def __init__(self, host, password=None):
                self.connection_kwargs = {"host": host, "password": password}
                self.pid = os.getpid()
    """,
    "redis.client": """
        class PubSub:
            def __init__(self, pool): self.connection_pool = pool
    """,
    "boto3.resources.base": """
        class Meta: pass
        class ServiceResource:
            def __init__(self, client, **identifiers):
                self.meta = Meta()
                self.meta.client, self.meta.identifiers = client, list(identifiers)
                self.meta.data = None
                vars(self).update({"_" + name: value for name, value in identifiers.items()})
            bucket_name = property(lambda self: self._bucket_name)
            key = property(lambda self: self._key)
    """,
    "botocore.client": """
        class Meta: pass
        class BaseClient:
            def __init__(self, endpoint_url):
                self.meta = Meta()
                self.meta.endpoint_url, self.meta.events = endpoint_url, []
    """,
    "elasticsearch._sync.client._base": """
        import queue
        class Node:
            def __init__(self, host): self.host, self.port, self.headers = host, 9200, {"authorization": "hush-hush-1"}
        class Transport:
            def __init__(self, *hosts):
                self.node_pool = type("Pool", (), {})()
                self.node_pool._seed_nodes = tuple(map(Node, hosts))
                self.node_pool._dead_nodes = queue.PriorityQueue()
        class BaseClient:
            def __init__(self, *hosts): self._transport = Transport(*hosts)
    """,
    "qdrant_client.async_qdrant_client": """
        class Local:
            def __init__(self, location): self.location = location
        class AsyncQdrantClient:
            def __init__(self, location): self._client = Local(location)
    """,
}


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Installed modules that have the names, and the shape, of drivers' own; gives the module of a name."""
    folder = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(str(folder))
    roots = {name.partition(".")[0] for name in LIBRARIES}
    for name in [name for name in sys.modules if name.partition(".")[0] in roots]:
        monkeypatch.delitem(sys.modules, name)
    for name, text in LIBRARIES.items():
        file = folder.joinpath(*name.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        for package in file.relative_to(folder).parents[:-1]:
            (folder / package / "__init__.py").touch()  # so that it comes before one that is installed
    importlib.invalidate_caches()
    yield importlib.import_module
    for name in [name for name in sys.modules if name.partition(".")[0] in roots]:
        del sys.modules[name]


def told_apart(*makers):
    """Hash each handle twice, made anew; none is opaque, none has the password in it, and each is another one."""
    hashes = [hash_value(make(), "v") for make in makers]
    assert [hash_value(make(), "v") for make in makers] == hashes
    assert all(opaque.elsewhere for hashed in hashes for opaque in hashed.opaque)
    assert "hush-hush-1" not in str(hashes)
    assert len({hashed.sha256 for hashed in hashes}) == len(makers)
    return hashes


def test_a_pool_of_connections_counts_by_its_server(library):
    """Neither its process nor its password; what is made of it, by it."""
    pool, subscription = library("redis.connection").ConnectionPool, library("redis.client").PubSub
    told_apart(lambda: pool("here", "hush-hush-1"), lambda: pool("there"), lambda: subscription(pool("here")))


def test_a_bucket_and_an_object_in_it_count_by_what_identifies_them(library):
    """A resource is its kind, its identifiers and its client, whatever it has loaded of its data."""
    client, resource = library("botocore.client").BaseClient, library("boto3.resources.base").ServiceResource
    told_apart(
        lambda: resource(client("https://a")),
        lambda: resource(client("https://b")),
        lambda: resource(client("https://a"), bucket_name="one"),
        lambda: resource(client("https://a"), bucket_name="two"),
        lambda: resource(client("https://a"), bucket_name="one", key="x"),
        lambda: resource(client("https://a"), bucket_name="one", key="y"),
    )
    loaded = resource(client("https://a"), bucket_name="one")
    before = hash_value(loaded, "v")
    loaded.meta.data = {"CreationDate": "today"}
    assert hash_value(loaded, "v") == before


def test_a_search_server_counts_by_its_nodes(library):
    """All of them, and no queue of those that do not answer."""
    client = library("elasticsearch._sync.client._base").BaseClient
    told_apart(lambda: client("here"), lambda: client("there"), lambda: client("here", "there"))


def test_an_index_in_memory_is_opaque_and_one_in_a_folder_is_not(library):
    """Where a client of either kind keeps its data is its location."""
    client = library("qdrant_client.async_qdrant_client").AsyncQdrantClient
    assert [opaque.elsewhere for opaque in hash_value(client(":memory:"), "v").opaque] == [False]
    told_apart(lambda: client("/data/one"), lambda: client("/data/two"))


def test_the_users_code_that_a_handle_calls_counts(library):
    """A hook may change what is asked and what is answered: of a cloud client, and of an engine."""
    client = library("botocore.client").BaseClient("https://a")
    made = sqlalchemy.create_engine("sqlite:////data/x")
    for handle, add in (
        (client, client.meta.events.append),
        (made, lambda hook: sqlalchemy.event.listen(made, "before_cursor_execute", hook, retval=True)),
    ):
        hashes = {hash_value(handle, "v").sha256}
        for number in (1, 2):
            scope = {"__name__": "__main__"}
            exec(f"def hook(*some, **more): return {number}", scope)
            add(scope["hook"])
            hashed = hash_value(handle, "v")
            hashes.add(hashed.sha256)
        assert len(hashes) == 3
        assert all(opaque.elsewhere for opaque in hashed.opaque)


NAMED = [
    *(numpy.sqrt, numpy.add, numpy.dtype("f8"), numpy.dtype("f4"), regex.compile("a"), regex.compile("b")),
    *(regex.compile("a", regex.IGNORECASE), struct.Struct("<I"), struct.Struct("<H"), ssl.create_default_context()),
    *(operator.itemgetter(1), operator.itemgetter(2)),
    *(multiprocessing.Lock(), filelock.FileLock("a.lock"), multiprocessing.Condition(), multiprocessing.Event()),
    *(getattr(hashlib, name)(data) for name in sorted(hashlib.algorithms_guaranteed) for data in (b"a", b"b")),
    *(hashlib.blake2b(b"a", digest_size=8), hashlib.blake2b(b"a", salt=b"1"), hashlib.blake2b(b"a", person=b"1")),
    *(random.SystemRandom(), random.choice, random.random, random.Random(1), random.Random(2)),
    *(json.JSONDecoder(), json.JSONDecoder(strict=False), json.JSONDecoder(parse_float=Decimal)),
    *(csv.get_dialect("excel"), csv.get_dialect("unix"), decimal.Context(prec=5), decimal.Context(prec=6)),
    *(functools.partial(int, base=2), functools.partial(int, base=3), operator.methodcaller("a", b=1)),
]


def test_compiled_things_that_have_a_name_count_by_it():
    """Functions, patterns, formats and locks of compiled code are told apart, and none is opaque."""
    hashed = [hash_value(some, "v") for some in NAMED]
    assert [some.opaque for some in hashed] == [()] * len(NAMED)
    assert len({some.sha256 for some in hashed}) == len(NAMED)


def test_compiled_things_are_the_same_in_every_process(python):
    """Neither a hash seed nor what is at random in each process shows: Python's own generator, locks, what is hashed."""
    program = """
        import hashlib, json, multiprocessing, random
        from crew_repo.hashing import hash_value
        made = [random.choice, random.SystemRandom(), json.JSONDecoder(), multiprocessing.Event(), hashlib.blake2s(b"a")]
        print([(hash_value(some, "v").sha256, hash_value(some, "v").opaque) for some in made])
    """
    assert python(program, hash_seed="1") == python(program, hash_seed="2")


def test_a_generator_of_the_users_class_counts_by_what_it_does(project):
    """One that is derived of the system's is not taken for it."""
    hashes = set()
    for number in (1, 2):
        project.write(mine=f"""
            import random
            class Loaded(random.SystemRandom):
                def random(self): return {number}
        """)
        hashes.add(hash_value(project.load("mine").Loaded, "v").sha256)
        hashed = hash_value(project.load("mine").Loaded(), "v")
        assert hashed.opaque or hashed.sha256 not in hashes
        hashes.add(hashed.sha256)


def test_a_compiled_function_of_the_users_code_is_opaque():
    """A ufunc that is made of a function of the user's has no name anywhere."""
    assert hash_value(numpy.frompyfunc(lambda x: x, 1, 1), "v").opaque
