"""More of what acts in a client: methods that somebody replaced, plain arguments, repeated names, sockets, headers."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
import httpx
import openai
import pytest

from crew_repo.hashing import acting_headers, dispatch, hangs_on_client, hash_value

pytestmark = pytest.mark.siege

MODULE = """
import functools, threading
from concurrent.futures import ThreadPoolExecutor
import httpx, openai, requests

def answer(*args, **options):
    return "CODE"

def asking(**members):
    return openai.OpenAI(api_key="TOKEN", **members)

def replaced(client, names, function=answer):
    *way, last = names.split(".")
    holder = functools.reduce(getattr, way, client)
    setattr(holder, last, function)
    return client

def wrapped(client):
    old = client.chat.completions.create

    @functools.wraps(old)
    def create(*args, **options):
        return old(*args, **{**options, "model": "CODE"})

    return replaced(client, "chat.completions.create", create)

class Derived(openai.OpenAI):
    @functools.cached_property
    def mine(self):
        return object()

def hooked(function):
    made = requests.Session()
    made.hooks["response"].append(function)
    return made


made = MAKE
"""
MAKES = {
    "openai method": 'replaced(asking(), "chat.completions.create")',
    "openai beta method": 'replaced(asking(), "beta.chat.completions.parse")',
    "openai method, wrapped": "wrapped(asking())",
    "openai resource": 'replaced(asking(), "responses.create").responses',
    "derived client's method": 'replaced(Derived(api_key="TOKEN"), "chat.completions.create")',
    "hook of a library with an argument": 'hooked(functools.partial(print, "CODE", sep=""))',
    "thread of a library's function": 'threading.Thread(target=requests.Session().get, args=("http://CODE.example",))',
    "timer of a library's function": 'threading.Timer(3, print, ["CODE"])',
    "pool of a library's function": 'ThreadPoolExecutor(initializer=print, initargs=("CODE",))',
    "query with a name twice": 'httpx.Client(params=[("tag", "CODE"), ("tag", "z"), ("api_key", "TOKEN")])',
    "header twice": 'httpx.Client(headers=[("x-tag", "CODE"), ("x-tag", "z"), ("authorization", "TOKEN")])',
    "socket of httpx": 'httpx.Client(transport=httpx.HTTPTransport(uds="/tmp/CODE.sock"))',
    "following links": 'httpx.Client(follow_redirects="CODE" == "a")',
    "header of words": 'httpx.Client(headers={"x-plan": "basic CODE"})',
}


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_what_is_put_on_a_client_acts(project, make):
    """Another replaced method, argument, value, socket or header is a change; another key is none."""
    program = MODULE.replace("MAKE", make)
    before = project.hash_of_made(program)
    assert before.opaque == ()
    assert project.hash_of_made(program) == before
    assert project.hash_of_made(program, code="b") != before
    assert project.hash_of_made(program, token="secret-two") == before


def test_what_a_client_makes_of_itself_does_not_act():
    """OpenAI's client keeps its parts in cached properties, which lead back to it."""
    client = openai.OpenAI(api_key="k", default_headers={"x-model": "a"})
    before = hash_value(client, "v")
    assert client.chat.completions.with_raw_response is not None
    assert hash_value(client, "v") == before
    assert hangs_on_client(client) == []


async def hashes_of_connectors() -> list[Any]:
    found = []
    for path in ("/tmp/a.sock", "/tmp/b.sock"):
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session:
            found.append(hash_value(session, "v"))
    return found


def test_the_socket_of_aiohttp_acts():
    """A connector to another socket asks another server."""
    one, other = asyncio.run(hashes_of_connectors())
    assert one.opaque == ()
    assert one != other


def test_following_links_is_no_part_of_a_librarys_own_client():
    """OpenAI's client follows links by itself; only of a client of the user's own is it a setting."""
    given = openai.OpenAI(api_key="k", http_client=httpx.Client(follow_redirects=True))
    assert hash_value(given, "v") == hash_value(openai.OpenAI(api_key="k"), "v")


@pytest.mark.parametrize(
    ("headers", "acting"),
    [
        (["X-Model: a", "Authorization: Bearer x"], {"x-model": "a"}),
        ("X-Model: a\r\nX-Api-Key: x\r\n", {"x-model": "a"}),
        ([("X-Tag", "b"), ("X-Tag", "a")], {"x-tag": "a, b"}),
        ({"X-Plan": "Basic plan", "X-Split": "token wise"}, {"x-plan": "Basic plan", "x-split": "token wise"}),
        ({"X-Gateway": "Basic dXNlcjpwYXNz", "X-Other": "token ghp_0123456789"}, {}),
        ("no header at all", {"no header at all": ""}),
    ],
)
def test_headers_are_read_in_every_form(headers, acting):
    """Pairs, lines and a name that comes twice count; words that only begin like a scheme of admission do too."""
    assert acting_headers(headers) == acting


@pytest.mark.parametrize("name", ["openai._interactions", "a_client_of_the_users_own"])
def test_a_class_of_httpx_counts_whoever_has_put_a_name_on_it(monkeypatch, name):
    """Clients call the transports of httpx their own as they are imported: that changes no hash and hides no socket."""
    before, other = (hash_value(httpx.HTTPTransport(uds=f"/tmp/{each}.sock"), "v") for each in "ab")
    assert before != other
    for kind in (httpx.BaseTransport, httpx.HTTPTransport, httpx.Timeout):
        monkeypatch.setattr(kind, "__module__", name)
    monkeypatch.setattr(dispatch, "_found", WeakKeyDictionary())  # as in a process that has hashed none yet
    assert [hash_value(httpx.HTTPTransport(uds=f"/tmp/{each}.sock"), "v") for each in "ab"] == [before, other]
