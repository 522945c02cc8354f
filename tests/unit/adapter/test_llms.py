"""What counts of a model: where it is asked, through what, with which headers; not with which key."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import openai
import pytest
from crewai import LLM
from crewai.llms.base_llm import BaseLLM
from crewai.llms.hooks.base import BaseInterceptor
from crewai.llms.providers.openai.completion import OpenAICompletion

from crew_repo.adapter.describing.components import Parts
from crew_repo.adapter.describing.llm import add_llm
from crew_repo.hashing import client_address
from tests.property.mutations import of_litellm

ENDPOINTS = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "OLLAMA_HOST", "OPENAI_CUSTOM_HEADERS")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")


def described(llm: Any) -> dict[str, str]:
    parts = Parts()
    add_llm(parts, "llm", llm)
    definition = parts.definition()
    assert definition.opaque == ()
    return {component.path: component.sha256 for component in definition.components}


def changed(one: Any, other: Any) -> set[str]:
    return {path for path, _ in described(one).items() ^ described(other).items()}


def gpt(**members: Any) -> Any:
    return LLM(**{"model": "gpt-4o", **members})


class Rewriting(BaseInterceptor[Any, Any]):
    """Adds a note, and counts."""

    def __init__(self, note: str) -> None:
        self.note, self.sent, self.token = note, 0, "t"

    def on_outbound(self, message: Any) -> Any:
        self.sent += 1
        message.headers["x-note"] = self.note
        return message

    def on_inbound(self, message: Any) -> Any:
        return message


class Passing(httpx.BaseTransport):
    """A transport of the user's own."""

    def __init__(self, note: str) -> None:
        self.note = note

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=self.note)


@pytest.mark.parametrize(
    ("one", "other", "component"),
    [
        ({}, {"interceptor": Rewriting("a")}, "llm.interceptor"),
        ({"interceptor": Rewriting("a")}, {"interceptor": Rewriting("b")}, "llm.interceptor"),
        ({"default_headers": {"x-portkey-config": "a"}}, {"default_headers": {"x-portkey-config": "b"}}, "llm.headers"),
        ({}, {"client_params": {"default_headers": {"x-model": "b"}}}, "llm.headers"),
        ({}, {"extra_headers": {"x-model": "b"}}, "llm.extra_headers"),
        ({"default_query": {"api-version": "1"}}, {"default_query": {"api-version": "2"}}, "llm.default_query"),
        ({}, {"base_url": "http://b.example/v1"}, "llm.endpoint"),
        ({}, {"client_params": {"base_url": "http://b.example/v1"}}, "llm.endpoint"),
    ],
)
def test_what_gateways_and_interceptors_act_by_counts(one: Any, other: Any, component: str):
    """A header, a query, an endpoint and an interceptor are each named, and only that."""
    assert changed(gpt(**one), gpt(**other)) == {component}


@pytest.mark.parametrize(
    "members",
    [
        {"api_key": "sk-two"},
        {"default_headers": {"Authorization": "Bearer two", "X-Request-Id": "2", "User-Agent": "two"}},
        {"extra_headers": {"X-Api-Key": "two"}},
        {"default_query": {"api_key": "two"}},
        {"client_params": {"timeout": 3}},
    ],
)
def test_keys_and_noise_do_not_count(members: dict[str, Any]):
    """A rotated key, the number of a request and a time-out change nothing."""
    paths = changed(gpt(), gpt(**members))
    assert paths <= {"llm.default_query"}  # the name of a parameter is there; its value is not
    if "default_query" in members:
        assert not changed(gpt(**members), gpt(default_query={"api_key": "three"}))


@pytest.mark.parametrize(
    ("model", "variable", "value"),
    [
        ("gpt-4o", "OPENAI_BASE_URL", "http://b.example/v1"),
        ("ollama/llama3", "OLLAMA_HOST", "http://b.example:1"),
    ],
)
def test_the_endpoint_is_that_of_the_client(monkeypatch: pytest.MonkeyPatch, model: str, variable: str, value: str):
    """The environment counts as it was when the client was made, and a rotated key does not."""
    before = LLM(model=model)
    monkeypatch.setenv(variable, value)
    after = LLM(model=model)
    assert changed(before, after) == {"llm.endpoint"}
    monkeypatch.setenv("OPENAI_API_KEY", "sk-two")
    assert not changed(after, LLM(model=model))


def test_the_endpoint_of_a_client_that_waits_for_a_key(monkeypatch: pytest.MonkeyPatch):
    """Without a key a model is planned as it will be with one: by the environment as it is by now."""
    if not hasattr(OpenAICompletion, "_get_sync_client"):  # until 1.13 there is no model without a key
        return
    with_key = gpt()
    monkeypatch.delenv("OPENAI_API_KEY")
    without = gpt()
    assert not changed(with_key, without)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://b.example/v1")
    assert changed(with_key, without) == {"llm.endpoint"}


def test_describing_makes_no_client():
    """A model without a key has no client yet, and has none after it was described."""
    llm = OpenAICompletion(model="gpt-4o", api_key="k")
    llm._client = llm.api_key = None
    described(llm)
    assert llm._client is None
    assert llm.api_key is None


def test_a_transport_put_into_a_client_counts():
    """Code that somebody hung on the client itself acts, wherever it hangs."""
    plain, one, other = gpt(), gpt(), gpt()
    for llm, note in ((one, "a"), (other, "b")):
        llm._client = openai.OpenAI(api_key="k", http_client=httpx.Client(transport=Passing(note)))
    assert changed(plain, one) == changed(one, other) == {"llm.client"}


def test_an_interceptor_that_counts_stays_what_it_was():
    """What an interceptor notes as it works, and its tokens, are no change."""
    llm = gpt(interceptor=Rewriting("a"))
    before = described(llm)
    again = Rewriting("a")
    again.token = "another"
    assert described(gpt(interceptor=again)) == before


class Gateway(BaseLLM):
    """A model of the user's own, with a client and headers."""

    headers: dict[str, str] = {}
    client: Any = None

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        return str(self.client.get("http://model.example", headers=self.headers))


def test_a_model_of_ones_own_counts_by_its_headers_and_client():
    """Its headers count but secrets, and so does what hangs on its client."""
    same = {"headers": {"x-model": "a", "authorization": "k"}, "client": httpx.Client(transport=Passing("a"))}
    rotated = {**same, "headers": {"x-model": "a", "authorization": "k2"}}
    assert not changed(Gateway(model="m", **same), Gateway(model="m", **rotated))
    assert changed(Gateway(model="m", **same), Gateway(model="m", **{**same, "headers": {"x-model": "b"}})) == {"llm.headers"}
    client = httpx.Client(transport=Passing("b"))
    assert changed(Gateway(model="m", **same), Gateway(model="m", **{**same, "client": client})) == {"llm.client"}


class Subclassed(OpenAICompletion):
    """A subclass of one of CrewAI's."""

    tone: str = "calm"


def test_a_subclass_of_crewais_counts_by_its_client_too():
    """Its client is CrewAI's: the endpoint counts, once, and the client itself is no part of the user's."""
    one, other = Subclassed(model="gpt-4o", api_key="k"), Subclassed(model="gpt-4o", api_key="k", base_url="http://b/v1")
    assert changed(one, other) == {"llm.endpoint"}
    assert changed(one, Subclassed(model="gpt-4o", api_key="k2", tone="stern")) == {"llm.tone"}


@pytest.mark.parametrize(
    ("model", "variable", "acts"),
    [
        ("groq/llama3", "GROQ_API_BASE", True),
        ("bedrock/claude", "AWS_REGION_NAME", True),
        ("bedrock/claude", "AWS_SECRET_ACCESS_KEY", False),
        ("bedrock/claude", "AWS_PROFILE", False),
        ("vertex_ai/gemini", "VERTEXAI_LOCATION", True),
        ("groq/llama3", "MISTRAL_API_BASE", False),
        ("groq/llama3", "GROQ_API_KEY", False),
    ],
)
def test_of_litellm_the_providers_variables_count(monkeypatch: pytest.MonkeyPatch, model: str, variable: str, acts: bool):
    """LiteLLM makes no client beforehand: what its provider reads of an endpoint or a region counts by name."""
    llm = of_litellm({"model": model})
    before = described(llm)
    monkeypatch.setenv(variable, "http://somewhere.example/v1")
    assert {path for path, _ in before.items() ^ described(llm).items()} == ({f"environment:{variable}"} if acts else set())


def test_of_litellm_what_is_set_for_the_whole_process_counts(monkeypatch: pytest.MonkeyPatch):
    """`litellm.api_base` is asked wherever an LLM was given no address; a key in it is no part of it."""
    monkeypatch.setitem(sys.modules, "litellm", library := ModuleType("litellm"))
    llm = of_litellm({"model": "groq/llama3"})
    before = described(llm)
    library.api_base = "http://key@somewhere.example/v1"
    first = described(llm)
    assert {path for path, _ in before.items() ^ first.items()} == {"litellm.api_base"}
    library.api_base = "http://other@somewhere.example/v1"
    assert described(llm) == first


@pytest.mark.parametrize(
    "client",
    [
        SimpleNamespace(meta=SimpleNamespace(endpoint_url="https://Host.example/a/")),
        SimpleNamespace(_config=SimpleNamespace(endpoint="https://key@host.example/a")),
        SimpleNamespace(_api_client=SimpleNamespace(_http_options=SimpleNamespace(base_url="https://host.example/a"))),
        SimpleNamespace(base_url=httpx.URL("https://host.example/a/?b=c")),
    ],
)
def test_the_address_of_each_kind_of_client_is_found(client: Any):
    """Clients of AWS, Azure, Google and OpenAI say their endpoint in ways of their own."""
    assert client_address(client) == "https://host.example/a"
