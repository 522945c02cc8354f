"""Runs keep what they were given, however they are run, and nothing that is secret."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from crew_repo import InputKind, StateRepository
from crew_repo.adapter import kept_inputs
from tests import crews
from tests.crews import NOTES
from tests.models import PromptModel

KEY = "sk-proj-abcdef0123456789abcdef0123456789"


def kept(repo: StateRepository) -> dict[str, Any]:
    """What the newest run was given, as it would be given again."""
    return {each.name: each.value for each in repo.runs()[0].inputs or () if each.is_kept}


def out_of_order(prompt: str) -> str:
    """A model that is down."""
    raise RuntimeError("out of order")


@pytest.mark.parametrize("way", ["run", "arun", "attached", "stream", "batch", "fresh batch", "failed"])
def test_in_every_way_to_run(repo: StateRepository, model: PromptModel, way: str) -> None:
    """Also before the first task has failed, and where nothing is executed."""
    crew = crews.sequential_unspecified_context(model)
    if way == "run":
        assert {each.name: each.value for each in repo.run(crew, NOTES).run.inputs} == NOTES
    elif way == "arun":
        asyncio.run(repo.arun(crew, NOTES))
    elif way == "attached":
        repo.attach(crew).kickoff(inputs=NOTES)
    elif way == "stream":
        crew.stream = True
        for _ in repo.run(crew, NOTES):
            pass
    elif way == "failed":
        model.script["<<analyze>>"] = out_of_order
        with pytest.raises(RuntimeError, match="out of order"):
            repo.run(crew, NOTES)
    else:
        for _ in range(1 + (way == "fresh batch")):
            (result,) = repo.run_for_each(crew, [NOTES])
        assert {each.name: each.value for each in result.run.inputs} == NOTES
    assert kept(repo) == NOTES


def test_values_come_back_as_they_were(repo: StateRepository, model: PromptModel) -> None:
    """Numbers, lists and dicts as such, not as texts."""
    given = {**NOTES, "n": 1, "x": 0.1, "on": True, "none": None, "list": [1, "a"], "dict": {"a": [1.5], "b": {}}}
    repo.run(crews.sequential_unspecified_context(model), given)
    assert kept(repo) == given
    assert [type(value) for value in kept(repo).values()] == [type(value) for value in given.values()]


def test_what_callbacks_make_of_inputs_is_not_kept(repo: StateRepository, model: PromptModel) -> None:
    """A run that goes on calls them again."""
    crew = crews.sequential_unspecified_context(model)
    crew.before_kickoff_callbacks.append(lambda inputs: {**inputs, "notes": "wind"})
    repo.run(crew, NOTES)
    assert kept(repo) == NOTES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "hunter2hunter2"),
        ("password", 123456),
        ("text", f"use {KEY}"),
        ("config", {"token": "hunter2hunter2"}),
        ("config", {"list": [{"Authorization": f"Bearer {KEY}"}]}),
        ("config", {"password": 48151623}),
        ("config", {"auth": ["joe", "pw7Q"]}),
        ("config", {"credentials": {"user": "joe", "pin": "pw7Q"}}),
        ("config", {KEY: 1}),
        ("config", {"a value of the environment": 1}),
        ("config", [["X-Api-Key", "hunter2hunter2"]]),
        ("config", [{"name": "api_key", "value": "hunter2hunter2"}]),
        ("config", [{"key": "Authorization", "value": "hunter2hunter2"}]),
        ("text", '{"password": 48151623}'),
        ("of_environment", "a value of the environment"),
        ("of_environment", "pw!7Q"),
        ("when", {1: "a"}),
        ("nan", float("nan")),
    ],
)
def test_what_is_secret_or_no_json_is_withheld(
    repo: StateRepository, model: PromptModel, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    """It is named, with the reason, and is nowhere in the file."""
    monkeypatch.setenv("LOSS_ADJUSTER_TOKEN", "a value of the environment")
    monkeypatch.setenv("LOSS_ADJUSTER_PASS", "pw!7Q")
    repo.run(crews.sequential_unspecified_context(model), {**NOTES, name: value})
    (given,) = [each for each in repo.runs()[0].inputs or () if each.name == name]
    assert (given.kind, given.value, given.is_kept) == (InputKind.WITHHELD, None, False)
    assert given.why
    assert kept(repo) == NOTES
    content = Path(repo.url.removeprefix("sqlite:///")).read_bytes()
    for secret in ("hunter2", "pw7Q", "pw!7Q", "48151623", "a value of the environment", KEY):
        assert secret.encode() not in content


def test_a_name_that_is_a_secret_is_not_written(repo: StateRepository, model: PromptModel) -> None:
    """An input under a key: it stands there as [secret], and is withheld."""
    repo.run(crews.sequential_unspecified_context(model), {**NOTES, KEY: "x"})
    assert [each.name for each in repo.runs()[0].inputs or () if not each.is_kept] == ["[secret]"]
    assert KEY.encode() not in Path(repo.url.removeprefix("sqlite:///")).read_bytes()


def test_no_hash_of_a_file_under_a_secrets_name(tmp_path: Path) -> None:
    """What is in it is mostly short, so that its hash would give it away."""
    (tmp_path / "key.txt").write_text("pw7Q")
    given = kept_inputs(None, {"api_key": tmp_path / "key.txt", "terms": tmp_path / "key.txt"}, ())
    assert [(each.kind, each.sha256 is None) for each in given] == [(InputKind.WITHHELD, True), (InputKind.FILE, False)]


def test_a_value_that_holds_itself_ends_no_run() -> None:
    """It is named, and why it is not kept; so is the text of one that is nested as deeply."""
    endless: list[Any] = []
    endless.append(endless)
    given = kept_inputs({"endless": endless, "text": "[" * 100_000}, {}, ())
    assert [(each.name, each.kind, each.why) for each in given] == [
        ("endless", InputKind.WITHHELD, "it is nested too deeply"), ("text", InputKind.TEXT, None)
    ]  # fmt: skip
