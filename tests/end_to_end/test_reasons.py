"""A reason shows what was and what is: a value or a difference on one line, whole texts where they are asked for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from crewai import LLM, Crew
from crewai.tools import BaseTool, tool
from pydantic import BaseModel, Field, create_model

from crew_repo import StateRepository
from tests import crews
from tests.crews import NOTES
from tests.models import PromptModel

pytestmark = pytest.mark.siege


def crew(llm: Any, *, text: str = "Extract.", tools: Any = (), worker: Any = None, **members: Any) -> Crew:
    """One task, `check`."""
    agent = crews.agent(llm, tools=list(tools), **(worker or {}))
    return Crew(agents=[agent], tasks=[crews.task("check", text, agent, **members)])


def why(repo: StateRepository, before: Crew, after: Crew, inputs: Any = (None, None)) -> list[str]:
    """What plan says of `after`, where `before` was run."""
    repo.run(before, inputs[0])
    return repo.plan(after, inputs[1])["check"].causes


def model(name: str = "gpt-4o", **members: Any) -> PromptModel:
    """A model of this name that answers."""
    return PromptModel(model=name, script={"check": '{"name": "Ada"}'}, **members)


class Sized(BaseTool):
    """A tool with a number, a text and a switch."""

    name: str = "sized"
    description: str = "Counts."
    step: int = 1
    place: str = "north"
    strict: bool = False

    def _run(self, text: str) -> str:
        return text


@tool("lookup")
def old_lookup(policy: str) -> str:
    """Look a policy up."""
    return policy


@tool("lookup")
def new_lookup(policy: str, year: int) -> str:
    """Look a policy up."""
    return f"{policy} {year}"


def lenient(output: Any):
    return True, output.raw


def strict(output: Any):
    return bool(output.raw), output.raw


Old = create_model("Answer", name=(str, ...), years=(int, 0))
New = create_model("Answer", name=(str, ...), years=(int, 1), note=(str, "none"))

CHANGES: dict[str, tuple[Callable[[], Crew], Callable[[], Crew], list[str]]] = {
    "the model": (lambda: crew(model()), lambda: crew(model("gpt-5.5")), ["agent.llm.model: gpt-4o -> gpt-5.5"]),
    "the provider": (
        lambda: crew(model()),
        lambda: crew(model("gpt-4o", provider="azure")),
        ["agent.llm.model: gpt-4o -> azure/gpt-4o"],
    ),
    "a temperature": (
        lambda: crew(model(temperature=0.2)),
        lambda: crew(model(temperature=0.7)),
        ["agent.llm.temperature: 0.2 -> 0.7"],
    ),
    "a temperature that was set": (
        lambda: crew(model()),
        lambda: crew(model(temperature=0)),
        ["agent.llm.temperature added: 0"],
    ),
    "a temperature that was taken away": (
        lambda: crew(model(temperature=0.5)),
        lambda: crew(model()),
        ["agent.llm.temperature removed: 0.5"],
    ),
    "a limit of tokens": (
        lambda: crew(model(max_tokens=100)),
        lambda: crew(model(max_tokens=2000)),
        ["agent.llm.max_tokens: 100 -> 2000"],
    ),
    "stop words": (
        lambda: crew(model(stop=["END"])),
        lambda: crew(model(stop=["END", "STOP"])),
        ['agent.llm.stop: ["END"] -> ["END", "STOP"]'],
    ),
    "a limit of iterations": (
        lambda: crew(model(), worker={"max_iter": 5}),
        lambda: crew(model(), worker={"max_iter": 7}),
        ["agent.max_iter: 5 -> 7"],
    ),
    "a switch": (
        lambda: crew(model(), markdown=True),
        lambda: crew(model()),
        ["task.markdown removed: true"],
    ),
    "a schema": (
        lambda: crew(model(), output_pydantic=Old),
        lambda: crew(model(), output_pydantic=New),
        ["output_pydantic.schema: properties.years.default: 0 -> 1, properties.note added: "],
    ),
    "the arguments of a tool": (
        lambda: crew(model(), tools=[old_lookup]),
        lambda: crew(model(), tools=[new_lookup]),
        ["tool:lookup.args: properties.year added: ", "tool:lookup.source changed (new_lookup in tests.end_to_end.test_reasons)"],
    ),
    "the number and the switch of a tool": (
        lambda: crew(model(), tools=[Sized()]),
        lambda: crew(model(), tools=[Sized(step=2, strict=True)]),
        ["tool:sized.step: 1 -> 2", "tool:sized.strict: false -> true"],
    ),
    "the tools' order": (
        lambda: crew(model(), tools=[Sized(), old_lookup]),
        lambda: crew(model(), tools=[old_lookup, Sized()]),
        ['tools.order: ["sized", "lookup"] -> ["lookup", "sized"]'],
    ),
    "a guardrail": (
        lambda: crew(model(), guardrail=lenient),
        lambda: crew(model(), guardrail=strict),
        ["guardrail.source changed (strict in tests.end_to_end.test_reasons)"],
    ),
    "a long text": (
        lambda: crew(model(), text="Read all of the case notes with care. " * 20 + "Then extract the facts."),
        lambda: crew(model(), text="Read all of the case notes with care. " * 20 + "Then write a poem."),
        ["task.description: …with care. Then extract the facts. -> …with care. Then write a poem."],
    ),
    "only white space": (
        lambda: crew(model(), text="Extract the facts."),
        lambda: crew(model(), text="Extract  the facts."),
        ["task.description: only white space differs"],
    ),
    "several lines": (
        lambda: crew(model(), worker={"backstory": "one\ntwo\nthree"}),
        lambda: crew(model(), worker={"backstory": "one\n2\nthree"}),
        ["agent.backstory: one two three -> one 2 three"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_reason_shows_what_was_and_what_is(repo, change):
    """On one line, in plan, in what the run did, and in what the state keeps of it; every kept text gives its hash."""
    before, after, words = CHANGES[change]
    said = why(repo, before(), after())
    assert all(any(cause.startswith(word) for cause in said) for word in words), said
    assert all("\n" not in cause and len(cause) < 250 for cause in said)
    again = repo.run(after()).run
    assert again.tasks[0].causes == said
    assert repo.show(again.run_id).tasks[0].causes == said
    assert repo.verify() == []


def test_an_input_that_is_json_shows_the_member_that_changed(repo):
    """And not two whole texts."""
    claims = [json.dumps({"id": 7, "lines": [{"sum": 5, "of": "glass"}, {"sum": total}]}) for total in (10, 12)]
    before, after = crew(model(), text="{claim}"), crew(model(), text="{claim}")
    assert why(repo, before, after, [{"claim": claim} for claim in claims]) == ["input:claim: lines[1].sum: 10 -> 12"]


def test_print_fits_a_line_and_details_have_the_whole_texts(repo):
    """`print(plan)` has old -> new; `plan.details()` both texts, whole."""
    long = "word " * 200
    repo.run(crew(model(), text=f"{long} old"))
    plan = repo.plan(crew(model("gpt-5.5"), text=f"{long} new\nand more"))
    line = str(plan).splitlines()[1]
    assert "agent.llm.model: gpt-4o -> gpt-5.5; task.description: …" in line
    assert "word old -> …" in line
    details = plan.details().splitlines()
    assert details[:4] == ["check  stale", "  agent.llm.model changed", "    - gpt-4o", "    + gpt-5.5"]
    assert [line[:5] for line in details[5:8]] == ["    -", "    +", "    +"]
    assert f"    - <<check>> {long} old" in details
    assert f"    + <<check>> {long} new" in details
    assert "    + and more" in details


def test_a_record_of_before_shows_what_is_known(repo):
    """An older state has no text of a model's name: the reason has the new one alone."""
    repo.run(crew(model()))
    with closing(sqlite3.connect("state.db")) as state, state:
        state.execute("DELETE FROM text WHERE body LIKE '%gpt-4o%'")
    assert repo.plan(crew(model("gpt-5.5")))["check"].causes == ["agent.llm.model changed (now gpt-5.5)"]


def test_a_kept_value_that_was_changed_by_hand_is_found(repo):
    """`verify` names the record whose explanation no longer gives its hash."""
    repo.run(crew(model()))
    with closing(sqlite3.connect("state.db")) as state, state:
        state.execute("UPDATE text SET body = replace(body, 'gpt-4o', 'gpt-4x')")
    assert [problem.what for problem in repo.verify()] == [
        "the stored text of agent.llm.model was changed: it does not give its hash"
    ]


# Secrets.

SECRET = "hunter2-Zq8Xw"


class WithKey(BaseModel):
    """An answer whose schema has a key as its default."""

    api_key: str = Field(default=SECRET, exclude=True)
    name: str = "x"


class Connected(BaseTool):
    """A tool that holds texts under names that nobody knows, and numbers under known ones."""

    name: str = "connected"
    description: str = "Asks."
    phrase: str = SECRET
    pin: int = 924716
    password: int = 924717
    account: int = 9247188888

    def _run(self, text: str) -> str:
        return text


class Described(BaseModel):
    """An answer with a key in a description."""

    name: str = Field(default="x", description='Sign "it" with sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD')


HOLDERS: dict[str, Callable[[], Crew]] = {
    "the default of a schema's field": lambda: crew(model(), output_pydantic=WithKey),
    "a key in a schema's description": lambda: crew(model(), output_pydantic=Described),
    "a tool's texts and numbers": lambda: crew(model(), tools=[Connected()]),
    "a parameter": lambda: crew(model(additional_params={"signature_text": SECRET, "extra": {"token": SECRET}})),
    "a query": lambda: crew(Quiet(model="gpt-4o", default_query={"sig": SECRET})),
    "a header": lambda: crew(Quiet(model="gpt-4o", default_headers={"x-model": SECRET})),
    "an address": lambda: crew(model(base_url=f"https://gateway.example/{SECRET}/v1")),
    "a stop word that is an input": lambda: crew(model(stop=[SECRET]), text="{password}"),
}


class Quiet(PromptModel):
    """A model with fields that only some of CrewAI's have."""

    default_query: dict[str, str] | None = None
    default_headers: dict[str, str] | None = None


@pytest.mark.parametrize("holder", HOLDERS)
def test_what_may_be_a_secret_is_not_kept(repo, holder):
    """By its name, its form, or because a user has named it as nobody knows: only its hash is stored."""
    inputs = {"password": SECRET}
    repo.run(HOLDERS[holder](), inputs)
    repo.plan(HOLDERS[holder](), inputs)
    written = b"".join(file.read_bytes() for file in Path().glob("state.db*"))
    for secret in (SECRET, "sk-proj-abc", "924716", "924717", "9247188888"):
        assert secret.encode() not in written, secret
    assert repo.verify() == []


def test_what_is_kept_changes_no_hash(repo):
    """A name and a number are kept once, however many tasks have them."""
    worker = crews.agent(model(temperature=0.5))
    tasks = [crews.task(name, "{notes}", worker) for name in ("one", "two", "three")]
    repo.run(Crew(agents=[worker], tasks=tasks), NOTES)
    with closing(sqlite3.connect("state.db")) as state:
        kept = state.execute("SELECT body FROM text WHERE body IN ('0.5', '[\"openai\",\"gpt-4o\"]')").fetchall()
    assert sorted(kept) == [("0.5",), ('["openai","gpt-4o"]',)]


def test_crewais_own_llm_is_named_too(repo, monkeypatch):
    """An LLM of CrewAI's, made of a name, has the model's name and its parameters."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    plan = repo.plan(crew(LLM(model="gpt-4o", temperature=0.1)))
    assert plan.missing == ["check"]
    from crew_repo.adapter.describing.components import Parts
    from crew_repo.adapter.describing.llm import add_llm

    parts = Parts()
    add_llm(parts, "llm", LLM(model="gpt-4o", temperature=0.1))
    kept = {component.path: component.text for component in parts.definition().components}
    assert (kept["llm.model"], kept["llm.temperature"]) == ('["openai","gpt-4o"]', "0.1")
