"""More of what acts in a model: methods that somebody replaced, the client of native async runs, hooks of any client."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest
from crewai import LLM
from crewai.llms.base_llm import BaseLLM
from crewai.llms.providers.openai.completion import OpenAICompletion

from tests.models import PromptModel
from tests.unit.adapter.test_llms import changed, described, gpt

pytestmark = pytest.mark.siege


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")


def answering(note: str) -> Any:
    return lambda *args, **options: note


def with_client(name: str, client: Any) -> LLM:
    llm = gpt()
    setattr(llm, name, client)
    return llm


def asking(note: str, **members: Any) -> Any:
    http = httpx.AsyncClient(event_hooks={"request": [answering(note)]})
    return openai.AsyncOpenAI(api_key="k", **{"http_client": http, **members})


def replaced(llm: Any, name: str, note: str) -> Any:
    """The model with a function of the user's in place of one of its methods, as caches and tracers do it."""
    setattr(llm, name, answering(note))
    return llm


@pytest.mark.parametrize("name", ["call", "acall", "supports_function_calling"])
@pytest.mark.parametrize("make", [gpt, lambda: PromptModel(model="m")], ids=["CrewAI's", "one's own"])
def test_a_method_that_is_replaced_on_the_object_counts(make: Any, name: str):
    """Another function in place of `llm.call` is another answer; nothing in its place is as before."""
    if not hasattr(BaseLLM, name):
        return
    one, same, other = (replaced(make(), name, note) for note in ("a", "a", "b"))
    assert changed(one, other) == changed(make(), one) == {"llm.replaced"}
    assert not changed(one, same)


def test_a_function_that_calls_the_method_it_replaces_ends():
    """It leads back to the model itself."""
    llm = gpt()
    before = llm.call
    llm.call = lambda *args, **options: before(*args, **options)
    assert changed(llm, gpt()) == {"llm.replaced"}


def test_a_method_that_is_replaced_on_the_client_counts():
    """Tools that trace or repair answers put their own function on OpenAI's client."""
    one, other = gpt(), gpt()
    for llm, note in ((one, "a"), (other, "b")):
        llm._client.chat.completions.create = answering(note)
    assert changed(one, other) == changed(gpt(), one) == {"llm.client"}


def test_the_client_of_native_async_runs_counts():
    """An async run asks through another client, whose hooks and address count as well."""
    if gpt()._async_client is None:
        return
    one, other = (with_client("_async_client", asking(note)) for note in ("a", "b"))
    assert changed(one, other) == {"llm.async_client"}
    here, there = (
        with_client("_async_client", asking("a", base_url=f"http://{host}.example/v1")) for host in ("one", "two")
    )
    assert changed(here, there) == {"llm.endpoint"}


class Policies:
    """A client as cloud providers build them: functions to call in a pipeline, or in the emitter of its events."""

    def __init__(self, note: str) -> None:
        self._client = SimpleNamespace(_pipeline=SimpleNamespace(_impl_policies=[answering(note)]))


Policies.__module__ = "azure.ai.inference"


def test_what_hangs_on_any_client_counts():
    """Policies of Azure's client act like hooks of an HTTP client."""
    one, same, other = (with_client("_client", Policies(note)) for note in ("a", "a", "b"))
    assert changed(one, other) >= {"llm.client"}
    assert not changed(one, same)


class Gateway(BaseLLM):
    """A model of the user's own that has more than one part of an address, and makes its headers."""

    endpoint: str = "/v1/chat"
    account_url: Any = None
    make_headers: Any = None
    extra_headers: Any = None

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        return str(httpx.post(f"{self.base_url}{self.endpoint}", headers=self.make_headers()).text)


@pytest.mark.parametrize(
    ("one", "other", "component"),
    [
        ({"endpoint": "/a"}, {"endpoint": "/b"}, "llm.endpoint"),
        ({"account_url": httpx.URL("http://a")}, {"account_url": httpx.URL("http://b")}, "llm.endpoint"),
        ({"account_url": ("http://a",)}, {"account_url": ("http://b",)}, "llm.account_url"),
        ({"base_url": "http://g/v1?tier=a"}, {"base_url": "http://g/v1?tier=b"}, "llm.endpoint"),
        ({"make_headers": answering("a")}, {"make_headers": answering("b")}, "llm.make_headers"),
        ({"extra_headers": ["x-tier: a"]}, {"extra_headers": ["x-tier: b"]}, "llm.extra_headers"),
        ({"extra_headers": {"x-tier": "Basic plan"}}, {"extra_headers": {"x-tier": "Basic"}}, "llm.extra_headers"),
    ],
)
def test_every_part_of_an_address_and_every_header_counts(one: Any, other: Any, component: str):
    """A path beside a base URL, a query, and headers in any form."""
    base = {"model": "m", "base_url": "http://gateway.example"}
    assert changed(Gateway(**{**base, **one}), Gateway(**{**base, **other})) == {component}


def test_a_query_of_an_address_counts_but_its_key():
    """The key that opens the door may rotate."""
    one, other = (Gateway(model="m", base_url=f"http://g/v1?tier=a&api_key={key}") for key in ("one", "two"))
    assert not changed(one, other)


class Resolving(BaseLLM):
    """A model of the user's own that has a method where others have an address."""

    def endpoint(self) -> str:
        return "http://gateway.example"

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        return self.endpoint()


def test_a_method_is_no_address():
    """It counts by its source, and not by where it is in memory."""
    assert not changed(Resolving(model="m"), Resolving(model="m"))
    assert "llm.endpoint" not in described(Resolving(model="m"))


class Placed(OpenAICompletion):
    """A subclass of one of CrewAI's, with a part of the address of its own."""

    account_url: str = ""


def test_a_subclass_of_crewais_may_name_more_of_the_address():
    """The client's address counts, and so does what only the subclass knows."""
    one, other = (Placed(model="gpt-4o", api_key="k", account_url=url) for url in ("http://a", "http://b"))
    assert changed(one, other) == {"llm.endpoint"}
