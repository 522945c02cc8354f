"""Clients in tools and models: the user's code in them acts, use changes nothing, and keys may rotate."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import requests
from crewai import LLM, Crew
from crewai.llms.hooks.base import BaseInterceptor
from crewai.tools import BaseTool

from tests import crews
from tests.clients import Auth, mounted, session
from tests.endpoints import JsonHandler, address_of, in_thread

pytestmark = pytest.mark.siege


class Rates(JsonHandler):
    """Answers models by the language that they are asked in, and tools by a header."""

    def do_GET(self) -> None:
        self.reply(f"rate {self.headers.get('x-note')}")

    def do_POST(self) -> None:
        said = "bonjour" if "in French" in json.dumps(self.received()) else "hello"
        answer = {"role": "assistant", "content": f"Thought: x\nFinal Answer: {said}"}
        choice = {"index": 0, "finish_reason": "stop", "message": answer}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        whole = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        self.reply(json.dumps(whole))


@pytest.fixture
def address() -> Any:
    with in_thread(Rates) as server:
        yield address_of(server)


def signed(note: str, token: str = "one") -> requests.Session:
    return session(auth=Auth(note, token))


def hooked(note: str) -> httpx.Client:
    return httpx.Client(event_hooks={"request": [lambda request: request.headers.update({"x-note": note})]})


class Rate(BaseTool):
    """Asks for the rate."""

    name: str = "rate"
    description: str = "The rate."
    client: Any = None
    address: str = ""

    def _run(self) -> str:
        return str(self.client.get(self.address).text)


class LazyRate(Rate):
    """Makes its client when it is first asked, with a hook that leads back to it."""

    note: str = ""
    _asked: Any = None

    def _run(self) -> str:
        if self._asked is None:
            self._asked = requests.Session()
            self._asked.hooks["response"].append(self.check)
            self._asked.headers["x-note"] = self.note
        return str(self._asked.get(self.address).text)

    def check(self, response: Any, *args: Any, **options: Any) -> Any:
        return response


def test_a_client_that_leads_back_to_its_tool_is_the_tools_own_affair(repo, model, address):
    """A session that is made at work, with a method of the tool as its hook, makes no next run stale."""
    model.script = {"<<ask>>": use_tool}

    def built(note: str) -> Crew:
        worker = crews.agent(model, tools=[LazyRate(address=address, note=note)])
        return Crew(agents=[worker], tasks=[crews.task("ask", "the rate", worker)])

    crew = built("1.1")
    repo.run(crew)
    for same in (crew, built("1.1")):
        assert repo.plan(same).fresh == repo.run(same).run.reused == ["ask"]
    assert repo.run(built("9.9")).run.executed == ["ask"]


def shop(model: Any, address: str, client: Any) -> Crew:
    worker = crews.agent(model, tools=[Rate(client=client, address=address)])
    return Crew(agents=[worker], tasks=[crews.task("ask", "the rate", worker)])


def use_tool(prompt: str) -> str:
    seen = prompt.rpartition("Observation:")[2]
    return f"Thought: x\nFinal Answer: {seen[:8]}" if "rate " in seen else "Action: rate\nAction Input: {}"


@pytest.mark.parametrize("make", [mounted, signed, hooked])
def test_what_a_client_is_handed_acts(repo, model, address, make):
    """Another adapter, signature or hook runs the task again; the same ones, used or new, do not."""
    model.script = {"<<ask>>": use_tool}
    crew = shop(model, address, make("1.1"))
    first = repo.run(crew)
    assert first.run.executed == ["ask"]
    for same in (crew, shop(model, address, make("1.1"))):
        assert repo.plan(same).fresh == repo.run(same).run.reused == ["ask"]
    again = repo.run(shop(model, address, make("9.9")))
    assert again.run.executed == ["ask"]
    assert again.raw != first.raw


def test_a_rotated_signature_changes_nothing(repo, model, address):
    """The token that an object signs with is no part of what was asked."""
    model.script = {"<<ask>>": use_tool}
    repo.run(shop(model, address, signed("1.1")))
    assert repo.run(shop(model, address, signed("1.1", token="two"))).run.reused == ["ask"]


class Asking(BaseInterceptor[httpx.Request, httpx.Response]):
    """Asks in a language, and counts."""

    def __init__(self, language: str) -> None:
        self.language, self.sent = language, 0

    def on_outbound(self, message: httpx.Request) -> httpx.Request:
        self.sent += 1
        body = json.loads(message.content)
        body["messages"].append({"role": "user", "content": f"Answer in {self.language}"})
        headers = {name: value for name, value in message.headers.items() if name != "content-length"}
        return httpx.Request(message.method, message.url, json=body, headers=headers)

    def on_inbound(self, message: httpx.Response) -> httpx.Response:
        return message


def greeting(address: str, language: str, key: str = "k") -> Crew:
    llm = LLM(model="gpt-4o-mini", api_key=key, base_url=f"{address}/v1", interceptor=Asking(language))
    worker = crews.agent(llm)
    return Crew(agents=[worker], tasks=[crews.task("greet", "say hello", worker)])


def test_an_interceptor_acts(repo, address):
    """Another interceptor is another request; its counter, its client's connections and a new key are not."""
    crew = greeting(address, "English")
    assert repo.run(crew).raw == "hello"
    for same in (crew, greeting(address, "English"), greeting(address, "English", key="another")):
        assert repo.plan(same).fresh == repo.run(same).run.reused == ["greet"]
    again = repo.run(greeting(address, "French"))
    assert again.raw == "bonjour"
    assert [str(reason) for reason in again.run.tasks[0].reasons] == ["agent.llm.interceptor changed"]


def test_the_environment_counts_as_the_client_was_made(repo, address, monkeypatch):
    """A variable that names the endpoint acts on the models that are made after it, as it does on their clients."""

    def built() -> Crew:
        worker = crews.agent(LLM(model="ollama/llama3"))
        return Crew(agents=[worker], tasks=[crews.task("greet", "say hello", worker)])

    monkeypatch.setenv("OLLAMA_HOST", address)
    assert repo.run(built()).raw == "hello"
    crew = built()
    crew.agents[0].llm.api_key = "another"
    assert repo.plan(crew).fresh == repo.run(crew).run.reused == ["greet"]
    monkeypatch.setenv("OLLAMA_HOST", "http://elsewhere.example")
    assert repo.plan(crew).fresh == ["greet"]
    decision = repo.plan(built())["greet"]
    assert [str(reason) for reason in decision.reasons] == ["agent.llm.endpoint changed"]
