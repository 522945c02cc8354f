"""Files that go with a kickoff: what counts is what CrewAI sends, whoever gave it and whenever it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from crewai import Crew
from crewai.flow.flow import Flow, start
from pydantic import BaseModel, PrivateAttr

from crew_repo import StateRepository
from tests.crews import agent, task
from tests.models import PromptModel


class GivenFile(BaseModel):
    """A file by its path, as those of crewai_files are: it keeps what it has read."""

    path: Path
    mode: str = "auto"
    _content: bytes | None = PrivateAttr(default=None)

    filename: str = "terms.txt"
    content_type: str = "text/plain"

    def read(self) -> bytes:
        if self._content is None:
            self._content = self.path.read_bytes()
        return self._content


class GoneFile(BaseModel):
    """A file of a server that does not answer."""

    filename: str = "terms.txt"
    content_type: str = "text/plain"

    def read(self) -> bytes:
        raise LookupError("https://files.example/?token=abc")


def crew(model: PromptModel, count: int = 1) -> Crew:
    worker = agent(model)
    return Crew(name="c", agents=[worker], tasks=[task(f"t{at}", "read the terms", worker) for at in range(count)])


def given(**members: Any) -> GivenFile:
    return GivenFile(path=Path("terms.txt"), **members)


def test_a_file_that_was_given_before_is_read_again(repo: StateRepository, model: PromptModel) -> None:
    """One object serves many runs; it keeps what was read first, which CrewAI, who reads a copy, never sees."""
    Path("terms.txt").write_text("one")
    file = given()
    for text, executed in (("one", ["t0"]), ("one", []), ("two", ["t0"]), ("one", [])):
        Path("terms.txt").write_text(text)
        assert repo.plan(crew(model), input_files={"terms": file})["t0"].fresh == (not executed)
        assert repo.run(crew(model), input_files={"terms": file}).run.executed == executed


def test_a_file_that_changes_between_two_tasks_counts_as_each_reads_it(
    repo: StateRepository, model: PromptModel
) -> None:
    """The answer made of the new content is no answer for the old one."""
    Path("terms.txt").write_text("one")
    made = crew(model, 2)
    made.tasks[0].callback = lambda _: Path("terms.txt").write_text("two")
    made.tasks[1].context = []
    repo.run(made, input_files={"terms": given()})
    Path("terms.txt").write_text("one")
    again = crew(model, 2)
    again.tasks[1].context = []
    assert "file:terms changed" in str(repo.plan(again, input_files={"terms": given()})["t1"])


def test_the_files_of_a_flow_count_for_the_crews_in_it(repo: StateRepository, model: PromptModel) -> None:
    """CrewAI puts what a Flow was kicked off with into the prompts of each."""
    executed = []

    class Around(Flow):
        @start()
        def begin(self) -> None:
            executed.append(repo.run(crew(model)).run.executed)

    for text in ("one", "one", "two"):
        Path("terms.txt").write_text(text)
        Around().kickoff(input_files={"terms": given()})
    Around().kickoff()
    assert executed == [["t0"], [], ["t0"], ["t0"]]


def test_a_file_that_a_callback_brings_counts(repo: StateRepository, model: PromptModel) -> None:
    """A plan calls it too; in a run CrewAI does."""
    text_file = pytest.importorskip("crewai_files").TextFile

    def run() -> tuple[bool, list[str]]:
        made = crew(model)
        made.before_kickoff_callbacks.append(lambda inputs: {**inputs, "terms": text_file(source="terms.txt")})
        return repo.plan(made, {})["t0"].fresh, repo.run(made, {}).run.executed

    seen = []
    for text in ("one", "one", "two", "one"):
        Path("terms.txt").write_text(text)
        seen.append(run())
    assert seen == [(False, ["t0"]), (True, []), (False, ["t0"]), (True, [])]


def test_a_file_whose_source_fails_is_not_hashable(repo: StateRepository, model: PromptModel) -> None:
    """Its task runs each time, as CrewAI may still come to it; its address, which may hold a token, is not told."""
    files = {"terms": GoneFile()}
    for _ in range(2):
        said = str(repo.plan(crew(model), input_files=files)["t0"])
        assert "file:terms not hashable (GoneFile cannot be read: LookupError was raised)" in said
        assert "token" not in said
        assert repo.run(crew(model), input_files=files).run.executed == ["t0"]


def test_what_becomes_of_a_file_that_is_too_large_counts(repo: StateRepository, model: PromptModel) -> None:
    """Whether it is cut into pieces, made smaller or refused."""
    Path("terms.txt").write_text("one")
    runs = [repo.run(crew(model), input_files={"terms": given(mode=mode)}) for mode in ("auto", "chunk", "auto")]
    assert [each.run.executed for each in runs] == [["t0"], ["t0"], []]
