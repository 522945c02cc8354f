"""All that the prompt of CrewAI's planner shows of a crew counts: also names of code, and paths, which no task is sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew
from crewai.knowledge.source.text_file_knowledge_source import TextFileKnowledgeSource
from crewai.tools import BaseTool, tool
from crewai.tools.base_tool import EnvVar
from pydantic import BaseModel

from crew_repo import StateRepository
from tests import crews
from tests.crews import NOTES
from tests.models import PromptModel

PLANS = '{"list_of_plans_per_task": [{"task_number": 1, "task": "a", "plan": " PLAN-1"}]}'


class Arguments(BaseModel):
    """No arguments."""


class Others(BaseModel):
    """No arguments."""


Others.model_config["title"] = Arguments.model_config["title"] = "Arguments"


class Shelf(BaseTool):
    """A tool with a folder, whose classes of arguments are given."""

    name: str = "shelf"
    description: str = "Finds a book."
    folder: Any = ""
    args_schema: type[BaseModel] = Arguments

    def _run(self) -> str:
        return "a book"


class Same(Shelf):
    """A tool that differs by its name alone."""


def with_env(description: str) -> Shelf:
    return Shelf(env_vars=[EnvVar(name="SHELF", description=description)])


def often(_arguments: Any = None, _result: Any = None) -> bool:
    """Cache it."""
    return True


def seldom(_arguments: Any = None, _result: Any = None) -> bool:
    """Cache it."""
    return True


def look(number: int) -> str:
    """Look."""
    return str(number)


def search(number: int) -> str:
    """Look."""
    return str(number)


def planned(given: Any) -> Crew:
    """A crew whose planner is told of a tool."""
    crew = crews.sequential_unspecified_context(PromptModel(model="m"))
    crew.planning, crew.planning_llm = True, PromptModel(model="planner", script={"tasks summary": PLANS})
    crew.agents[0].tools = [given]
    return crew


def asked(repo: StateRepository, given: Any) -> bool:
    """Whether the planner is asked about a crew with this tool; a plan says the same."""
    crew = planned(given)
    foreseen = not repo.plan(crew, NOTES).planner.fresh
    repo.run(crew, NOTES)
    assert bool(crew.planning_llm.calls) == foreseen
    return foreseen


TOLD: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "the class": (Shelf, Same),
    "the class of its arguments": (lambda: Shelf(args_schema=Arguments), lambda: Shelf(args_schema=Others)),
    "what it says of a variable": (lambda: with_env("the shelf"), lambda: with_env("another shelf")),
    "the function that decides on its cache": (
        lambda: Shelf(cache_function=often),
        lambda: Shelf(cache_function=seldom),
    ),
    "its function": (lambda: tool("look")(look), lambda: tool("look")(search)),
}


@pytest.mark.siege
@pytest.mark.parametrize(("one", "other"), TOLD.values(), ids=TOLD)
def test_what_is_printed_of_a_tool_counts(repo: StateRepository, one: Callable[[], Any], other: Callable[[], Any]) -> None:
    """Another name of its code, or another word of its description, is another prompt of the planner's."""
    assert asked(repo, one())
    assert not asked(repo, one())
    assert asked(repo, other())


@pytest.mark.parametrize("kept_as", [str, Path, lambda path: [{"at": path}]], ids=["text", "path", "inside"])
def test_paths_that_the_planner_is_told_count_to_the_letter(
    repo: StateRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_as: Callable[[Path], Any]
) -> None:
    """Its plan may name them, so a moved project has it asked again; the tool itself is the same there."""
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        crew = planned(Shelf(folder=kept_as(tmp_path / name / "books")))
        found.append([str(reason.component) for reason in repo.plan(crew, NOTES).planner.reasons])
        run = repo.run(crew, NOTES).run
        assert str(tmp_path / name / "books") in crew.planning_llm.calls[0]
    assert set(found[1]) == {"task#1.agent.tool:shelf.folder", "task#2.agent.tool:shelf.folder"}
    assert run.executed == []


def test_where_knowledge_lies_is_told_to_the_planner(
    repo: StateRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CrewAI prints the first source's content with the files that it is from."""
    found = []
    for name in ("one", "two"):
        (tmp_path / name / "knowledge").mkdir(parents=True)
        (tmp_path / name / "knowledge/terms.txt").write_text("hail is covered")
        source = TextFileKnowledgeSource(file_paths=[tmp_path / name / "knowledge/terms.txt"])
        crew = planned(Shelf())
        monkeypatch.setattr(type(crew.agents[0]), "set_knowledge", lambda *_args, **_named: None)
        crew.agents[0].knowledge_sources = [source]
        found.append(repo.plan(crew, NOTES).planner.fresh)
        repo.run(crew, NOTES)
        assert str(tmp_path / name) in "".join(crew.planning_llm.calls)
    assert found == [False, False]
