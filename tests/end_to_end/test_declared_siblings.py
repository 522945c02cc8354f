"""More ways in which a file changes while a task is executed: links, folders, kinds of knowledge, tasks that share it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew
from crewai.knowledge.source.base_knowledge_source import BaseKnowledgeSource
from crewai.knowledge.source.csv_knowledge_source import CSVKnowledgeSource
from crewai.knowledge.source.json_knowledge_source import JSONKnowledgeSource
from crewai.knowledge.source.text_file_knowledge_source import TextFileKnowledgeSource
from crewai.mcp import MCPServerStdio
from crewai.rag.embeddings.providers.custom.custom_provider import CustomProvider

from crew_repo import StateRepository, TaskPolicy
from tests.crews import LengthEmbedding, agent, task
from tests.end_to_end.test_declared_files import MEANWHILE, asks, declares, meddle, one_task, run, terms
from tests.end_to_end.test_servers import SERVER
from tests.models import PromptModel

pytestmark = pytest.mark.siege


def link(name: str, target: str) -> None:
    """Let a link lead somewhere else, in one step, as deployments do it."""
    Path("link.new").symlink_to(target)
    Path("link.new").replace(name)


def retarget_and_back() -> None:
    """Somebody reads through the link in between."""
    link("terms.txt", "v2.txt")
    link("terms.txt", "v1.txt")


def folder_and_back() -> None:
    """A release is switched, and switched back."""
    link("current", "two")
    link("current", "one")


def renamed_and_back() -> None:
    """Another file has the name for a moment."""
    Path("v1.txt").rename("old.txt")
    Path("v1.txt").write_text("excess 500")
    Path("old.txt").replace("v1.txt")


WAYS: dict[str, tuple[Callable[[], Any], str]] = {
    "link to another content": (lambda: link("terms.txt", "v2.txt"), "terms.txt"),
    "link to the same content": (lambda: link("terms.txt", "same.txt"), "terms.txt"),
    "link there and back": (retarget_and_back, "terms.txt"),
    "link of a folder": (lambda: link("current", "two"), "current/x.txt"),
    "link of a folder, there and back": (folder_and_back, "current/x.txt"),
    "link of a declared folder, there and back": (folder_and_back, "current"),
    "renamed and back": (renamed_and_back, "v1.txt"),
    "deleted": (lambda: Path("v1.txt").unlink(), "v1.txt"),
    "appended to": (lambda: Path("v1.txt").write_text("excess 1001"), "v1.txt"),
    "emptied": (lambda: os.truncate("v1.txt", 0), "v1.txt"),
    "a folder in its place": (lambda: (Path("v1.txt").unlink(), Path("v1.txt").mkdir()), "v1.txt"),
    "a folder goes": (lambda: shutil.rmtree("one"), "one"),
    "a folder gains a folder": (lambda: (Path("one/in").mkdir(), Path("one/in/a.txt").write_text("x")), "one"),
    "a hard link is written to": (lambda: (os.link("v1.txt", "hard.txt"), Path("hard.txt").write_text("x")), "v1.txt"),
}


def lay_out() -> None:
    """The files as they are at the beginning."""
    for name in ("one", "two"):
        shutil.rmtree(name, ignore_errors=True)
        Path(name).mkdir()
        Path(name, "x.txt").write_text(name)
    for name in ("v1.txt", "terms.txt", "current", "hard.txt", "old.txt"):
        shutil.rmtree(name) if Path(name).is_dir() and not Path(name).is_symlink() else Path(name).unlink(missing_ok=True)
    for name, text in (("v1.txt", "excess 100"), ("same.txt", "excess 100"), ("v2.txt", "excess 500")):
        Path(name).write_text(text)
    link("terms.txt", "v1.txt")
    link("current", "one")


@pytest.mark.parametrize("way", WAYS)
def test_whatever_happens_to_a_declared_file_is_noticed(repo: StateRepository, model: PromptModel, way: str) -> None:
    """The answer is kept and not served, though all is as it was by the time of the next run."""
    lay_out()
    change, given = WAYS[way]
    MEANWHILE.append(change)
    assert run(repo, one_task(model), declares(given)) == ["check"]
    lay_out()
    (reason,) = repo.plan(one_task(model), policies=declares(given))["check"].reasons
    assert "while the task was being executed" in str(reason)
    assert run(repo, one_task(model), declares(given)) == ["check"]
    assert run(repo, one_task(model), declares(given)) == []


@pytest.mark.parametrize(
    "between",
    [
        lambda: os.utime("v1.txt"),
        lambda: Path("v1.txt").write_text("excess 100"),
        lambda: (Path("v1.txt").unlink(), Path("v1.txt").write_text("excess 100")),
        lambda: link("terms.txt", "same.txt"),
        lambda: Path("v1.txt").chmod(0o600),
        lambda: Path("other.txt").write_text("x"),
    ],
    ids=["touched", "written again", "made anew", "another link", "another mode", "another file"],
)
def test_the_same_content_between_runs_is_no_change(repo: StateRepository, model: PromptModel, between: Any) -> None:
    """Only what a file says counts."""
    lay_out()
    assert run(repo, one_task(model), declares("terms.txt", "v1.txt")) == ["check"]
    between()
    assert run(repo, one_task(model), declares("terms.txt", "v1.txt")) == []


def sources(name: str) -> Any:
    """A source of knowledge that is a file of this name."""
    kinds = {".csv": CSVKnowledgeSource, ".json": JSONKnowledgeSource, ".txt": TextFileKnowledgeSource}
    return kinds[Path(name).suffix](file_paths=[Path(name).resolve()])


TEXTS = {"known.csv": ("a,b\n1,2\n", "a,b\n1,3\n"), "known.json": ('{"a": 1}', '{"a": 2}'), "known.txt": ("one", "two")}


@pytest.mark.parametrize("of_agent", [False, True], ids=["crew", "agent"])
@pytest.mark.parametrize("name", TEXTS)
def test_every_kind_of_knowledge_is_read_again(
    repo: StateRepository, model: PromptModel, name: str, of_agent: bool
) -> None:
    """A table, a document and a text that is edited meanwhile is not what the answer was made of."""
    Path("terms.txt").write_text("x")
    Path(name).write_text(TEXTS[name][0])
    embedder = CustomProvider(embedding_callable=LengthEmbedding)

    def crew() -> Crew:
        made = one_task(model)
        members = {"knowledge_sources": [sources(name)], "embedder": embedder}
        if not of_agent:
            return Crew(agents=made.agents, tasks=made.tasks, **members)
        worker = agent(model, tools=[terms], step_callback=meddle, **members)
        return Crew(agents=[worker], tasks=[task("check", "check", worker)])

    MEANWHILE.append(lambda: Path(name).write_text(TEXTS[name][1]))
    assert run(repo, crew()) == ["check"]
    Path(name).write_text(TEXTS[name][0])
    (reason,) = repo.plan(crew())["check"].reasons
    assert f"knowledge:{name}" in str(reason)
    assert "while the task was being executed" in str(reason)
    assert run(repo, crew()) == ["check"]
    assert run(repo, crew()) == []
    Path(name).write_text(TEXTS[name][1])
    assert run(repo, crew()) == ["check"]


class Ledger(BaseKnowledgeSource):
    """A source of the user's own, which reads its file when the kickoff adds it."""

    place: str = ""
    more: list[Path] = []

    def validate_content(self) -> None:
        """Nothing is read before."""

    def add(self) -> None:
        self.chunks = [Path(place).read_text() for place in (self.place, *self.more)]
        self._save_documents()

    async def aadd(self) -> None:
        self.add()


@pytest.mark.parametrize("name", ["place.txt", "more.txt"])
def test_a_source_of_ones_own_counts_by_the_files_that_it_names(
    repo: StateRepository, model: PromptModel, name: str
) -> None:
    """Whatever its fields are called: an edit between runs is a change, and so is one while a task is executed."""
    for each in ("terms.txt", "place.txt", "more.txt"):
        Path(each).write_text("one")
    embedder = CustomProvider(embedding_callable=LengthEmbedding)

    def crew() -> Crew:
        made = one_task(model)
        source = Ledger(place=os.fspath(Path("place.txt").resolve()), more=[Path("more.txt").resolve()])
        return Crew(agents=made.agents, tasks=made.tasks, knowledge_sources=[source], embedder=embedder)

    assert run(repo, crew()) == ["check"]
    assert run(repo, crew()) == []
    Path(name).write_text("two")
    MEANWHILE.append(lambda: Path(name).write_text("three"))
    assert run(repo, crew()) == ["check"]
    Path(name).write_text("two")
    assert run(repo, crew()) == ["check"]
    assert run(repo, crew()) == []


def two_tasks(model: PromptModel) -> Crew:
    """Both read terms.txt by a tool; somebody meddles while the first one is executed."""
    for mark in ("first", "second"):
        asks(model, mark, "terms")
    worker = agent(model, "A", tools=[terms], step_callback=meddle)
    other = agent(model, "B", tools=[terms])
    tasks = [task("first", "first", worker), task("second", "second", other, context=[])]
    return Crew(agents=[worker, other], tasks=tasks)


def test_two_tasks_that_declare_one_file(repo: StateRepository, model: PromptModel) -> None:
    """The one that was executed meanwhile is not served; the one after it is, with the content that it has read."""
    policies = {name: TaskPolicy(files="terms.txt") for name in ("first", "second")}
    Path("terms.txt").write_text("one")
    MEANWHILE.append(lambda: Path("terms.txt").write_text("two"))
    assert run(repo, two_tasks(model), policies) == ["first", "second"]
    assert run(repo, two_tasks(model), policies) == ["first"]
    assert run(repo, two_tasks(model), policies) == []
    Path("terms.txt").write_text("one")
    assert run(repo, two_tasks(model), policies) == ["first", "second"]


def test_a_file_that_only_a_later_task_declares(repo: StateRepository, model: PromptModel) -> None:
    """It has the content by which the task is known from the moment that it begins."""
    policies = {"second": TaskPolicy(files="terms.txt")}
    Path("terms.txt").write_text("one")
    MEANWHILE.append(lambda: Path("terms.txt").write_text("two"))
    assert run(repo, two_tasks(model), policies) == ["first", "second"]
    assert run(repo, two_tasks(model), policies) == []
    Path("terms.txt").write_text("one")
    assert run(repo, two_tasks(model), policies) == ["second"]


@pytest.mark.asyncio
async def test_a_native_async_run_notices_it_too(repo: StateRepository, model: PromptModel) -> None:
    """Another way in is no other promise."""
    Path("terms.txt").write_text("one")
    MEANWHILE.append(lambda: Path("terms.txt").write_text("two"))
    await repo.arun(one_task(model), policies=declares("terms.txt"))
    Path("terms.txt").write_text("one")
    assert repo.plan(one_task(model), policies=declares("terms.txt")).stale == ["check"]


def test_a_batch_notices_it_too(repo: StateRepository, model: PromptModel) -> None:
    """So does each item of one."""
    Path("terms.txt").write_text("one")
    MEANWHILE.append(lambda: Path("terms.txt").write_text("two"))
    repo.run_for_each(lambda: one_task(model), [{}], policies=declares("terms.txt"))
    Path("terms.txt").write_text("one")
    (again,) = repo.run_for_each(lambda: one_task(model), [{}], policies=declares("terms.txt"))
    assert again.run.executed == ["check"]


def test_a_servers_file_that_changes_meanwhile(repo: StateRepository, model: PromptModel, caplog: Any) -> None:
    """The server may have been started from either; the remedy names what may be left out."""
    Path("terms.txt").write_text("x")
    Path("helpers.py").write_text("UNIT = 'dollars'\n")
    Path("server.py").write_text(SERVER)

    def crew() -> Crew:
        asks(model, "check", "terms")
        server = MCPServerStdio(command=sys.executable, args=["server.py"])
        worker = agent(model, tools=[terms], step_callback=meddle, mcps=[server])
        return Crew(agents=[worker], tasks=[task("check", "check", worker)])

    MEANWHILE.append(lambda: Path("helpers.py").write_text("UNIT = 'euros'\n"))
    assert repo.run(crew()).run.executed == ["check"]
    assert 'TaskPolicy(ignore=("agent.mcp:1.file:helpers.py",))' in caplog.text
    Path("helpers.py").write_text("UNIT = 'dollars'\n")
    assert repo.run(crew()).run.executed == ["check"]
    assert repo.run(crew()).run.reused == ["check"]


def test_what_the_next_run_is_told(repo: StateRepository, model: PromptModel) -> None:
    """A record that is not served is in the history, and is told as JSON as well."""
    Path("terms.txt").write_text("one")
    MEANWHILE.append(lambda: Path("terms.txt").write_text("two"))
    run(repo, one_task(model), declares("terms.txt"))
    assert len(repo.history("check")) == 1
    assert "while the task was being executed" in json.dumps(repo.export_json())
