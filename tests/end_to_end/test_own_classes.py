"""What users add to CrewAI's own: subclasses of tools, knowledge sources and crews, skills, prompt files. All of it acts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import crewai
import pytest
from crewai import Crew, Process
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.knowledge import knowledge
from crewai.knowledge.source.base_knowledge_source import BaseKnowledgeSource
from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource
from crewai.project import CrewBase
from crewai.project import agent as crewai_agent
from crewai.project import crew as crewai_crew
from crewai.project import task as crewai_task
from crewai.skills.loader import activate_skill, discover_skills, load_resources
from crewai.tools import BaseTool
from crewai.tools.base_tool import Tool
from crewai.utilities.i18n import get_i18n
from pydantic import PrivateAttr

from crew_repo import StateRepository, TaskPolicy
from crew_repo.adapter import Describer, planned_view
from tests import crews
from tests.crews import NOTES
from tests.models import PromptModel

pytestmark = pytest.mark.siege

Made = Callable[[], Any]


def one_task(members: dict[str, Any] | None = None, cls: type[Crew] = Crew, **crew: Any) -> Crew:
    """A crew of one task, whose agent has these members."""
    worker = crews.agent(PromptModel(model="m"), **(members or {}))
    return cls(agents=[worker], tasks=[crews.task("analyze", "{notes}", worker)], **crew)


def components(crew: Crew) -> dict[str, str]:
    """What acts on the task, by path."""
    view = planned_view(crew, NOTES)
    definition = Describer(view).describe(view.tasks[0], TaskPolicy())
    assert definition.opaque == ()
    return {each.path: each.sha256 for each in definition.components if each.acts}


def differing(before: Crew, after: Crew) -> list[str]:
    """The paths in which two crews differ."""
    one, two = components(before), components(after)
    return sorted(path for path in {**one, **two} if one.get(path) != two.get(path))


def is_reused(repo: StateRepository, build: Made) -> bool:
    """Whether a crew that was run is reused, by the same object and by another one, as the plan says."""
    crew = build()
    repo.run(crew, NOTES)
    return all(repo.plan(c, NOTES).fresh == repo.run(c, NOTES).run.reused == ["analyze"] for c in (crew, build()))


# Tools.


def shout(text: str) -> str:
    return text.upper()


def whisper(text: str) -> str:
    return text.lower()


class Styled(BaseTool):
    """Has a field that is called as that of CrewAI's own Tool, and does more than to call it."""

    name: str = "styled"
    description: str = "Styles a text."
    func: Any = None

    def _run(self, text: str) -> str:
        return "so: " + str(self.func(text))


class StyledOtherwise(Styled):
    def _run(self, text: str) -> str:
        return "thus: " + str(self.func(text))


class Polite(Tool):  # type: ignore[type-arg]
    """A subclass of CrewAI's Tool."""

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        return f"please: {self.func(*args, **kwargs)}"


def test_a_field_called_func_does_not_stand_for_its_tool(repo):
    """The class of a user's tool counts, and so does what its `func` does."""

    def build(cls: type[BaseTool], func: Any) -> Crew:
        return one_task({"tools": [cls(func=func)]})

    assert "tool:styled.source" in differing(build(Styled, shout), build(StyledOtherwise, shout))
    assert differing(build(Styled, shout), build(Styled, whisper)) == ["tool:styled.func"]
    assert is_reused(repo, lambda: build(Styled, shout))


def test_a_subclass_of_crewais_tool_counts_with_its_function():
    """What it does beside calling its function acts too."""

    def build(cls: Any, func: Any) -> Crew:
        return one_task({"tools": [cls(name="say", description="Says.", func=func)]})

    assert "tool:say.source#2" in differing(build(Tool, shout), build(Polite, shout))
    assert differing(build(Polite, shout), build(Polite, whisper)) == ["tool:say.source"]


# Knowledge sources.


class Shelf(BaseKnowledgeSource):
    """A source of the user's own, of rows, a table and a file, that it asks a service for."""

    table: dict[str, int] = {}
    file_path: Any = None
    api_key: str = "k-1"
    loads: int = 0
    _rows: list[str] = PrivateAttr(default_factory=list)

    def validate_content(self) -> Any:
        return None

    def add(self) -> None:
        self.loads += 1
        read = Path(self.file_path).read_text() if self.file_path else ""
        self.chunks = [*self._rows, *(f"{name} {number}" for name, number in self.table.items()), read]

    async def aadd(self) -> None:
        self.add()


def with_shelf(rows: tuple[str, ...] = (), **members: Any) -> Crew:
    """A crew whose agent knows a shelf, which is not embedded."""
    shelf = Shelf(**members)
    shelf._rows = list(rows)
    crew = one_task()
    crew.agents[0].knowledge_sources = [shelf]
    return crew


SHELF = "agent.knowledge:Shelf"


def test_what_a_knowledge_source_of_the_users_own_holds_counts(tmp_path):
    """Private attributes, the order in which it goes through a dict, and a field that is called `file_path`."""
    a, b = tmp_path / "a.txt", tmp_path / "b.txt"
    a.write_text("hail")
    b.write_text("hail")
    assert differing(with_shelf(("a",)), with_shelf(("b",))) == [f"{SHELF}.rows"]
    assert differing(with_shelf(table={"a": 1, "b": 2}), with_shelf(table={"b": 2, "a": 1})) == [f"{SHELF}.table"]
    assert f"{SHELF}.file_path" in differing(with_shelf(file_path=a), with_shelf(file_path=b))
    crew = with_shelf(file_path=str(a))
    before = components(crew)
    a.write_text("fire")
    assert {path for path, sha256 in components(crew).items() if before[path] != sha256} == {f"{SHELF}.file:a.txt"}


def test_the_key_of_a_knowledge_source_changes_nothing():
    """A secret is not hashed under any name."""
    assert differing(with_shelf(api_key="k-1"), with_shelf(api_key="k-2")) == []
    assert not [path for path in components(with_shelf()) if "api_key" in path]


class Lazy(StringKnowledgeSource):
    """Fills a cache when a kickoff asks it for its chunks."""

    where: str = "a"
    cache: dict[str, str] = {}

    def add(self) -> None:
        if self.where not in self.cache:
            self.cache[self.where] = f"read from {self.where}"
        self.chunks = list(self.cache.values())

    def read_elsewhere(self, where: str) -> None:
        self.cache[where] = f"read from {where}"


def test_a_cache_that_a_kickoff_fills_is_no_change(repo, monkeypatch):
    """A source may read what it knows once; what somebody else puts there counts."""
    monkeypatch.setattr(knowledge, "KnowledgeStorage", lambda **_: None)

    def build() -> Crew:
        return one_task({"knowledge_sources": [Lazy(content="hail")]})

    crew = build()
    repo.run(crew, NOTES)
    source = crew.agents[0].knowledge_sources[0]
    assert source.cache == {"a": "read from a"}
    for again in (crew, build()):
        assert repo.plan(again, NOTES).fresh == repo.run(again, NOTES).run.reused == ["analyze"]
    source.read_elsewhere("b")
    assert repo.plan(crew, NOTES).stale == ["analyze"]
    crew = build()
    crew.before_kickoff_callbacks.append(lambda inputs: crew.agents[0].knowledge_sources[0].read_elsewhere("b") or inputs)
    assert repo.run(crew, NOTES).run.executed == ["analyze"]


class Annotated(StringKnowledgeSource):
    """A subclass of a source of CrewAI's."""

    note: str = ""


def test_a_subclass_of_a_source_of_crewais_counts_with_its_content():
    """What CrewAI's class holds and what the subclass adds, each by its own path."""

    def build(**members: Any) -> Crew:
        crew = one_task()
        crew.agents[0].knowledge_sources = [Annotated(**{"content": "hail", **members})]
        return crew

    assert differing(build(), build(note="n")) == ["agent.knowledge:Annotated.note"]
    assert differing(build(), build(content="fire")) == ["agent.knowledge:Annotated"]


# Skills and prompt files: what CrewAI has in memory is what it sends.


def write_skill(folder: Path, text: str = "Look at the roof.") -> Path:
    """A folder with a skill in it, which has one reference."""
    skill = folder / "skills" / "appraisal"
    (skill / "references").mkdir(parents=True, exist_ok=True)
    (skill / "SKILL.md").write_text(f"---\nname: appraisal\ndescription: How to appraise.\n---\n{text}\n")
    (skill / "references" / "roofs.md").touch()
    return skill.parent


def loaded(folder: Path, load: Callable[[Any], Any]) -> Crew:
    """A crew whose agent has the skills of a folder, loaded by this function."""
    return one_task({"skills": [load(skill) for skill in discover_skills(folder)]})


def test_a_skill_counts_as_it_is_in_memory(tmp_path):
    """Its instructions, the files that it lists and how much of it is disclosed, whatever its file says by now."""
    folder = write_skill(tmp_path)
    first = loaded(folder, activate_skill)
    listing = loaded(folder, lambda skill: load_resources(activate_skill(skill)))
    assert differing(first, listing) == ["agent.skill:appraisal"]
    (folder / "appraisal" / "references" / "walls.md").touch()
    more = loaded(folder, lambda skill: load_resources(activate_skill(skill)))
    assert differing(listing, more) == ["agent.skill:appraisal"]
    edited = loaded(folder, lambda skill: activate_skill(skill).model_copy(update={"instructions": "Ask."}))
    assert differing(first, edited) == ["agent.skill:appraisal"]
    before = components(first)
    write_skill(tmp_path, "Look at the walls.")
    assert components(first) == before
    assert differing(first, loaded(folder, activate_skill)) == ["agent.skill:appraisal"]


def test_a_skill_edited_after_it_was_loaded_is_not_mistaken_for_the_edited_one(repo, tmp_path):
    """The run sends, and records, what was loaded; a crew that loads the edited skill is stale."""
    folder = write_skill(tmp_path)
    crew = loaded(folder, activate_skill)
    write_skill(tmp_path, "Look at the walls.")
    repo.run(crew, NOTES)
    assert "Look at the roof." in crew.agents[0].llm.calls[0]
    assert repo.plan(loaded(folder, activate_skill), NOTES).stale == ["analyze"]


@pytest.mark.parametrize("as_text", [True, False], ids=["text", "path"])
@pytest.mark.parametrize("owner", ["agent", "crew"])
def test_a_folder_of_skills_is_reused_and_counts(repo, tmp_path, owner, as_text):
    """A kickoff loads a crew's skills into each agent: that is no change; another text in the file is one."""
    folder: Any = write_skill(tmp_path)

    def build() -> Crew:
        skills = {"skills": [str(folder) if as_text and TAKES_TEXTS else folder]}
        return one_task(skills) if owner == "agent" else one_task(**skills)

    assert is_reused(repo, build)
    write_skill(tmp_path, "Look at the walls.")
    [decision] = repo.plan(build(), NOTES)
    assert str(decision.reasons[0].component).startswith(f"{owner}.skill:appraisal")


TAKES_TEXTS = "str" in str(BaseAgent.model_fields.get("skills", crewai.Agent.model_fields["skills"]).annotation)


def test_a_prompt_file_counts_as_crewai_has_read_it(repo, tmp_path):
    """CrewAI reads it once in a process, and goes on with that; another process reads it anew."""
    file = tmp_path / "prompts.json"
    texts = json.loads((Path(crewai.__file__).parent / "translations/en.json").read_text())

    def write(backstory: str) -> None:
        texts["hierarchical_manager_agent"]["backstory"] = backstory
        file.write_text(json.dumps(texts))

    def build() -> Crew:
        model = PromptModel(model="m")
        managed = {"process": Process.hierarchical, "manager_llm": model, "prompt_file": str(file)}
        return one_task(**managed)

    write("You lead.")
    assert is_reused(repo, build)
    write("You lead otherwise.")
    assert repo.plan(build(), NOTES).fresh == ["analyze"]
    get_i18n.cache_clear()
    [decision] = repo.plan(build(), NOTES)
    assert [reason.component for reason in decision.reasons] == ["manager.prompt_file"]


# Crews.


class Staffed(Crew):
    """A subclass with a field, and a method that CrewAI calls."""

    motto: str = "be kind"
    _kickoffs: int = PrivateAttr(default=0)

    def _prepare_tools(self, agent: Any, task: Any, tools: Any) -> Any:
        self._kickoffs += 1
        return super()._prepare_tools(agent, task, [*tools, crews.lookup])


class StaffedOtherwise(Staffed):
    def _prepare_tools(self, agent: Any, task: Any, tools: Any) -> Any:
        self._kickoffs += 1
        return super()._prepare_tools(agent, task, tools)


def test_a_subclass_of_crew_is_an_ingredient(repo):
    """Its code and its own fields count, as those of agents and tasks do; what it counts itself does not."""
    assert "crew.source" in differing(one_task(), one_task(cls=Staffed))
    assert differing(one_task(cls=Staffed), one_task(cls=StaffedOtherwise)) == ["crew.source"]
    assert differing(one_task(cls=Staffed), one_task(cls=Staffed, motto="be quick")) == ["crew.motto"]
    assert not [path for path in components(one_task()) if path.startswith("crew.")]
    assert is_reused(repo, lambda: one_task(cls=Staffed))


@CrewBase
class Project:
    """As `crewai create crew` writes it."""

    agents_config: ClassVar[dict[str, Any]] = {}
    tasks_config: ClassVar[dict[str, Any]] = {}

    @crewai_agent
    def clerk(self) -> crewai.Agent:
        return crews.agent(PromptModel(model="m"))

    @crewai_task
    def analyze(self) -> crewai.Task:
        return crews.task("analyze", "{notes}", self.clerk())

    @crewai_crew
    def crew(self) -> Crew:
        return Crew(agents=self.agents, tasks=self.tasks)


def test_a_crew_base_project_is_no_subclass_of_crew():
    """What it builds is a plain crew, with the components of one."""
    assert differing(one_task(), Project().crew()) == []


# Coworkers.


def test_an_input_that_only_a_coworker_names_is_the_first_reason(repo):
    """Every part of the coworker is another's then; the input is what changed."""

    def build() -> Crew:
        model = PromptModel(model="m")
        boss, writer = crews.agent(model, "Boss", allow_delegation=True), crews.agent(model, "Writer for {adjuster}")
        tasks = [crews.task("analyze", "look", boss), crews.task("draft", "write", boss)]
        return Crew(agents=[writer, boss], tasks=tasks)

    repo.run(build(), {"adjuster": "Ada"})
    plan = repo.plan(build(), {"adjuster": "Bo"})
    assert plan["analyze"].reasons[0].component == "input:adjuster"
    upstream = [reason for reason in plan["draft"].reasons if reason.component == "upstream:analyze"]
    assert [reason.root for reason in upstream] == ["input:adjuster changed"]
