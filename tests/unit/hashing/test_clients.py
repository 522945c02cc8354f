"""What acts in a client of HTTP: the user's code wherever it hangs, the address, the query, and headers."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import httpx
import openai
import pytest
import requests
import urllib3

from crew_repo.hashing import Work, acting_headers, client_address, endpoint, hash_value
from tests.endpoints import JsonHandler, address_of, in_thread

pytestmark = pytest.mark.siege

MODULE = '''
import asyncio, functools, http.cookiejar, threading, urllib.request
from concurrent.futures import ThreadPoolExecutor
import aiohttp, httpx, openai, requests, urllib3

class Adapter(requests.adapters.HTTPAdapter):
    def send(self, request, **options):
        answer = super().send(request, **options)
        answer.note = "CODE"
        return answer

class Transport(httpx.HTTPTransport):
    def handle_request(self, request):
        answer = super().handle_request(request)
        answer.extensions["note"] = "CODE"
        return answer

class AsyncTransport(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request):
        answer = await super().handle_async_request(request)
        answer.extensions["note"] = "CODE"
        return answer

class Wrapped(httpx.BaseTransport):
    def __init__(self):
        self.inner, self.asked = httpx.HTTPTransport(), 0

    def handle_request(self, request):
        self.asked += 1
        request.headers["x-note"] = "CODE"
        return self.inner.handle_request(request)

class Signed(requests.auth.AuthBase):
    def __init__(self, token):
        self.token = token

    def __call__(self, request):
        request.headers["x-signed"] = "CODE"
        return request

class Flow(httpx.Auth):
    def __init__(self, token):
        self.token = token

    def auth_flow(self, request):
        request.headers["x-signed"] = "CODE"
        yield request

class Opening(urllib.request.BaseHandler):
    def http_request(self, request):
        request.add_header("x-note", "CODE")
        return request

def hook(response, *args, **options):
    response.note = "CODE"

async def traced(session, context, params):
    params.note = "CODE"

def with_session(**members):
    made = requests.Session()
    for name, value in members.items():
        setattr(made, name, value)
    return made

def mounted(adapter, prefix="http://"):
    made = requests.Session()
    made.mount(prefix, adapter)
    return made

def hooked(function):
    made = requests.Session()
    made.hooks["response"].append(function)
    return made

def tracing():
    made = aiohttp.TraceConfig()
    made.on_request_start.append(traced)
    return made

async def session_with(trace):
    async with aiohttp.ClientSession(trace_configs=[trace]) as made:
        return made

def opened(handler):
    return urllib.request.build_opener(handler)

class Policy(http.cookiejar.DefaultCookiePolicy):
    def set_ok(self, cookie, request):
        return "CODE"

def policed():
    made = requests.Session()
    made.cookies.set_policy(Policy())
    return made

def asked(session):
    return functools.partial(session.get, "http://rates.example/CODE")

class Wrapper:
    def __init__(self, client):
        self.client = client

made = MAKE
'''
MAKES = {
    "requests adapter": 'mounted(Adapter())',
    "requests hook": "hooked(hook)",
    "requests hook, a lambda": 'hooked(lambda response, **_: setattr(response, "note", "CODE"))',
    "requests auth": 'with_session(auth=Signed("TOKEN"))',
    "requests auth, a function": 'with_session(auth=lambda request: request.headers.update(note="CODE") or request)',
    "requests header": 'with_session(headers={"x-model": "CODE"})',
    "requests query": 'with_session(params={"mode": "CODE"})',
    "httpx transport": "httpx.Client(transport=Transport())",
    "httpx wrapped transport": "httpx.Client(transport=Wrapped())",
    "httpx mounts": 'httpx.Client(mounts={"http://": Transport()})',
    "httpx mock": 'httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200, text="CODE")))',
    "httpx mounted mock": 'httpx.Client(mounts={"http://": httpx.MockTransport(lambda request: httpx.Response(200, text="CODE"))})',
    "httpx hooks": 'httpx.Client(event_hooks={"response": [hook]})',
    "httpx bound hook": 'httpx.Client(event_hooks={"response": [functools.partial(hook, note="CODE")]})',
    "httpx auth": 'httpx.Client(auth=Flow("TOKEN"))',
    "httpx auth, a function": 'httpx.Client(auth=lambda request: request.headers.update({"x": "CODE"}) or request)',
    "httpx header": 'httpx.Client(headers={"x-model": "CODE"})',
    "httpx address": 'httpx.Client(base_url="http://rates.example/CODE")',
    "httpx encoding": 'httpx.Client(default_encoding=lambda content: "CODE")',
    "openai http client": 'openai.OpenAI(api_key="TOKEN", http_client=httpx.Client(transport=Transport()))',
    "openai http client's header": 'openai.OpenAI(api_key="TOKEN", http_client=httpx.Client(headers={"x-model": "CODE"}))',
    "openai http client's hook": 'openai.OpenAI(api_key="TOKEN", http_client=httpx.Client(event_hooks={"request": [hook]}))',
    "openai header": 'openai.OpenAI(api_key="TOKEN", default_headers={"x-portkey-config": "CODE"})',
    "openai query": 'openai.OpenAI(api_key="TOKEN", default_query={"lang": "CODE"})',
    "openai address": 'openai.OpenAI(api_key="TOKEN", base_url="http://rates.example/CODE")',
    "azure deployment": 'openai.AzureOpenAI(api_key="TOKEN", api_version="CODE", azure_endpoint="http://rates.example")',
    "async openai": 'openai.AsyncOpenAI(api_key="TOKEN", http_client=httpx.AsyncClient(transport=AsyncTransport()))',
    "urllib3 header": 'urllib3.PoolManager(headers={"x-model": "CODE", "authorization": "TOKEN"})',
    "urllib opener": "opened(Opening())",
    "trace of aiohttp": "tracing()",
    "session of aiohttp": "asyncio.run(session_with(tracing()))",
    "an object that signs": '{"auth": Signed("TOKEN")}',
    "a client in an object": "Wrapper(mounted(Adapter()))",
    "a client's method": "asked(mounted(Adapter()))",
    "thread": 'threading.Thread(target=hook, args=("CODE",))',
    "thread of a partial": 'threading.Thread(target=functools.partial(hook, "CODE"))',
    "timer": 'threading.Timer(5, hook, ["CODE"])',
    "pool": "ThreadPoolExecutor(initializer=hook)",
    "urllib3 pool": 'urllib3.HTTPConnectionPool("rates-CODE.example")',
    "cookie policy": "policed()",
    "patched method": "with_session(send=hook)",
    "application": "httpx.Client(transport=httpx.WSGITransport(app=hook))",
}


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_the_users_code_in_a_client_acts(project, make):
    """Whatever a client is handed acts: another adapter, hook or header is a change, another key is none."""
    program = MODULE.replace("MAKE", make)
    before = project.hash_of_made(program)
    assert before.opaque == ()
    assert project.hash_of_made(program) == before
    assert project.hash_of_made(program, code="b") != before
    assert project.hash_of_made(program, token="secret-two") == before


class Page(JsonHandler):
    """Answers each request with an empty object and a cookie."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Set-Cookie", "session=abc")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        self.received()
        answer = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}
        self.reply(json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [answer]}))


class Counting(requests.adapters.HTTPAdapter):
    """Counts what it sends."""

    sent = 0

    def send(self, *args: Any, **options: Any) -> requests.Response:
        self.sent += 1
        return super().send(*args, **options)


class Passing(httpx.BaseTransport):
    """Hands on what it is asked, and notes it."""

    def __init__(self) -> None:
        self.inner, self.seen = httpx.HTTPTransport(), list[str]()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(str(request.url))
        return self.inner.handle_request(request)


class Application:
    """Makes more of itself as it works."""

    def __init__(self, app: Any) -> None:
        self.app, self.made = app, None

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.made = self.made or [environ["PATH_INFO"]]
        start_response("200 OK", [])
        return [b"{}"]


class Opening(urllib.request.BaseHandler):
    """Adds a header."""

    def http_request(self, request: Any) -> Any:
        request.add_header("x-note", "a")
        return request


def mounted() -> requests.Session:
    made = requests.Session()
    made.mount("http://", Counting())
    made.hooks["response"].append(lambda response, **_: response)
    return made


def asking(address: str) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url=address, http_client=httpx.Client(transport=Passing()))


def ask(client: openai.OpenAI) -> None:
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "?"}])


def work(thread: threading.Thread) -> None:
    thread.start()
    thread.join()


USES: dict[str, tuple[Callable[[str], Any], Callable[[Any, str], Any]]] = {
    "requests": (lambda _: mounted(), lambda client, address: client.get(address)),
    "httpx": (lambda _: httpx.Client(transport=Passing()), lambda client, address: client.get(address)),
    "httpx hooks": (
        lambda _: httpx.Client(event_hooks={"request": [lambda request: None]}, headers={"x-model": "a"}),
        lambda client, address: client.get(address),
    ),
    "openai": (asking, lambda client, _: ask(client)),
    "application": (
        lambda _: httpx.Client(transport=httpx.WSGITransport(app=Application(len))),
        lambda client, address: client.get(address),
    ),
    "pool": (
        lambda _: ThreadPoolExecutor(1, initializer=lambda: None),
        lambda pool, _: pool.submit(len, "a").result() and pool.shutdown(),
    ),
    "urllib": (lambda _: urllib.request.build_opener(Opening()), lambda client, address: client.open(address).read()),
    "urllib3": (lambda _: urllib3.PoolManager(headers={"x": "a"}), lambda client, address: client.request("GET", address)),
    "thread": (lambda _: threading.Thread(target=sorted, args=(["a"],)), lambda thread, _: work(thread)),
    "own thread": (lambda _: threading.Thread(target=lambda: None), lambda thread, _: work(thread)),
    "timer": (lambda _: threading.Timer(0, lambda: None), lambda thread, _: work(thread)),
}


@pytest.mark.parametrize(("make", "use"), USES.values(), ids=USES)
def test_use_changes_no_client(make, use):
    """Connections, cookies, counters and finished threads leave a client what it was, for the next run and a new one."""
    with in_thread(Page) as server:
        client = make(address_of(server))
        run = Work()
        with run.under_way():
            with run.hashing():
                before = hash_value(client, "v")
            use(client, address_of(server))
        assert before.opaque == ()
        assert hash_value(client, "v") == before
        assert hash_value(make(address_of(server)), "v") == before


async def use_and_compare(make: Callable[[str], Any], use: Callable[[Any, str], Any]) -> None:
    with in_thread(Page) as server:
        client = make(address_of(server))
        before = hash_value(client, "v")
        await use(client, address_of(server))
        assert hash_value(client, "v") == before
        assert before.opaque == ()


def tracing() -> aiohttp.TraceConfig:
    made = aiohttp.TraceConfig()
    made.on_request_start.append(lambda *_: asyncio.sleep(0))
    return made


ASYNC_USES: dict[str, tuple[Callable[[str], Any], Callable[[Any, str], Any]]] = {
    "aiohttp": (
        lambda _: aiohttp.ClientSession(trace_configs=[tracing()]),
        lambda client, address: read_and_close(client, address),
    ),
    "httpx": (lambda _: httpx.AsyncClient(event_hooks={"request": []}), lambda client, address: client.get(address)),
    "openai": (
        lambda address: openai.AsyncOpenAI(api_key="k", base_url=address, default_headers={"x-model": "a"}),
        lambda client, _: client.chat.completions.create(model="m", messages=[]),
    ),
}


async def read_and_close(session: aiohttp.ClientSession, address: str) -> None:
    async with session, session.get(address) as answer:
        await answer.text()


@pytest.mark.parametrize(("make", "use"), ASYNC_USES.values(), ids=ASYNC_USES)
def test_use_changes_no_async_client(make, use):
    """Loops, tasks and connections of an event loop leave a client what it was."""
    asyncio.run(use_and_compare(make, use))


def test_headers_that_say_who_asks_do_not_act():
    """Secrets, by name or by form, the library's own headers and the numbers of requests are left out."""
    noise = {
        "User-Agent": "python", "Authorization": "x", "X-Api-Key": "x", "Cookie": "x", "X-Request-Id": "1", "traceparent": "1",
        "Accept-Encoding": "gzip", "Connection": "close", "X-Gateway": "Bearer abc", "Helicone-Session-Id": "1",
    }  # fmt: skip
    acting = {"Anthropic-Beta": "a", "x-portkey-config": "b", "Accept-Language": "fr"}
    assert acting_headers({**noise, **acting}) == {name.lower(): value for name, value in acting.items()}
    assert acting_headers([(b"X-Model", b"a"), ("cookie", "c")]) == {"x-model": "a"}
    assert acting_headers("Authorization: x") == acting_headers(None) == {}


def test_where_two_adapters_are_mounted_acts():
    """The address that an adapter is mounted for counts, not only the adapter."""

    def session(*prefixes: str) -> requests.Session:
        made = requests.Session()
        for prefix, adapter in zip(prefixes, (Counting(), requests.adapters.HTTPAdapter()), strict=True):
            made.mount(prefix, adapter)
        return made

    there, here = (session(*order) for order in itertools.permutations(("http://a.example", "http://b.example")))
    assert hash_value(there, "v") != hash_value(here, "v")
    patterns = [httpx.Client(mounts={where: Passing()}) for where in ("all://a.example", "all://b.example")]
    assert hash_value(patterns[0], "v") != hash_value(patterns[1], "v")


def test_the_address_of_a_client_has_no_user():
    """An endpoint is scheme, host, port and path."""
    client = openai.OpenAI(api_key="k", base_url="https://me:secret@Rates.example:8443/v1/?a=b")
    assert client_address(client) == endpoint("https://rates.example:8443/v1") == "https://rates.example:8443/v1"


def test_a_class_that_a_client_calls_its_own_keeps_its_name(python):
    """OpenAI's client puts its own name on classes of httpx; a transport hashes alike before and after that import."""
    program = """
        IMPORT
        import httpx
        from crew_repo.hashing import hash_value
        class Passing(httpx.BaseTransport):
            def handle_request(self, request):
                return httpx.Response(200)
        print(hash_value(httpx.Client(transport=Passing()), "v"))
        """
    assert python(program.replace("IMPORT", "")) == python(program.replace("IMPORT", "import openai"))


def test_clients_hash_alike_in_every_process(python, tmp_path):
    """No address in memory, no order of a set and no moment of the making is in the hash of a client."""
    (tmp_path / "clientmodule.py").write_text(MODULE.replace("made = MAKE", ""))
    program = f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from clientmodule import *
        from crew_repo.hashing import hash_value
        print([hash_value(eval(make), "v") for make in {list(MAKES.values())!r}])
        """
    assert python(program, hash_seed="1") == python(program, hash_seed="2")
