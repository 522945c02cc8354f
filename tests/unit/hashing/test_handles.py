"""Queues, buffers, views and compiled things whose content can be read are told apart, and none is opaque."""

from __future__ import annotations

import asyncio
import copy
import io
import queue
from dataclasses import dataclass
from typing import Any

import pytest
import tiktoken

from crew_repo.hashing import hash_class, hash_value


def filled(made: Any, *items: Any) -> Any:
    """A queue with something in it."""
    for item in items:
        made.put_nowait(item)
    return made


def encoding(name: str, pattern: str) -> tiktoken.Encoding:
    """A small encoding of the user's."""
    ranks = {bytes([byte]): byte for byte in range(256)}
    return tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def things() -> list[Any]:
    """Each made anew, and no two alike."""
    return [
        *(queue.Queue(), queue.Queue(3), filled(queue.Queue(), 1), filled(queue.Queue(), 1, 2), queue.LifoQueue()),
        *(filled(queue.PriorityQueue(), 2, 1), asyncio.Queue(), filled(asyncio.Queue(), 1), queue.SimpleQueue()),
        *(io.StringIO("a"), io.StringIO("b"), io.BytesIO(b"a"), io.BytesIO()),
        *({"a": 1}.keys(), {"a": 1}.values(), {"a": 1}.items(), {"b": 1}.keys()),
        *(encoding("x", "a"), encoding("x", "b"), encoding("y", "a")),
    ]


def test_what_can_be_read_counts_by_its_content():
    """Equal ones are equal, and all others differ."""
    hashed = [hash_value(thing, "v") for thing in things()]
    assert [hash_value(thing, "v") for thing in things()] == hashed
    assert [some.opaque for some in hashed] == [()] * len(hashed)
    assert len({some.sha256 for some in hashed}) == len(hashed)


def test_what_cannot_be_read_is_opaque():
    """A simple queue that is not empty does not say what is in it, and a closed buffer says nothing."""
    closed = io.StringIO()
    closed.close()
    assert all(hash_value(thing, "v").opaque for thing in (filled(queue.SimpleQueue(), 1), closed))


@pytest.mark.siege
def test_a_folder_of_tables_counts_by_its_address(tmp_path):
    """A connection of LanceDB is elsewhere, by the folder that it was opened with."""
    import lancedb  # two seconds, in each process that collects this module

    one, again, other = (hash_value(lancedb.connect(str(tmp_path / name)), "v") for name in ("a", "a", "b"))
    assert one == again
    assert one.sha256 != other.sha256
    assert all(opaque.elsewhere for opaque in one.opaque)


@dataclass
class State:
    """A class of the user's whose objects are copied."""

    x: int = 0


def test_a_copy_of_an_object_leaves_its_class_as_it_was():
    """`copy` notes the names of the slots in the class of what it copies."""
    before = hash_class(State, "State")
    copy.deepcopy(State())
    assert hash_class(State, "State") == before
