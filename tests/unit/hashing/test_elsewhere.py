"""Handles of data that lives elsewhere count by where it is; compiled things that have a name count by that."""

from __future__ import annotations

import csv
import decimal
import functools
import hashlib
import json
import multiprocessing
import operator
import random
import sqlite3
import ssl
import struct
import tempfile
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
