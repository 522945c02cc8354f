"""The oracle: whatever reaches a model, or acts otherwise, makes a task stale and is named; nothing else does.

Each field of CrewAI's models is mutated (see `mutations`). A plain kickoff of the base and of the mutant shows whether
the bytes that a model is sent differ; a plan of the mutant, after the base was run, must agree.
Every cell asserts itself, in whatever process it runs; `tests/conftest.py` counts them at the end of the session.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from crewai import LLM, Agent, Crew, Task
from crewai.knowledge import knowledge
from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource
from crewai.knowledge.source.text_file_knowledge_source import TextFileKnowledgeSource
from crewai.knowledge.storage.base_knowledge_storage import BaseKnowledgeStorage
from crewai.llms.base_llm import BaseLLM
from crewai.llms.providers.openai.completion import OpenAICompletion
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tools.base_tool import BaseTool, Tool
from pydantic import BaseModel, PrivateAttr

from crew_repo import StateRepository
from crew_repo.adapter import Describer, planned_view
from crew_repo.model import Status
from crew_repo.policy import TaskPolicy
from tests.plain import kickoff
from tests.property.mutations import MUTATIONS, REMOTE, SCENARIOS, UNCHANGEABLE, Mutation, Recipe, build
from tests.property.recording import Endpoint, RecordingModel, endpoint

MODELS: dict[str, tuple[type[BaseModel], ...]] = {
    "task": (Task, ConditionalTask),
    "agent": (Agent,),
    "crew": (Crew,),
    "llm": (BaseLLM, OpenAICompletion, LLM),
    "tool": (BaseTool, Tool),
    "knowledge": (StringKnowledgeSource, TextFileKnowledgeSource),
}
FIELDS = sorted({(owner, name) for owner, models in MODELS.items() for model in models for name in model.model_fields})
# What another CrewAI lacks cannot be changed there.
NOT_EVERYWHERE = {
    ("task", "i18n"),  # until 1.13
    *((owner, "tool_failure_policy") for owner in ("task", "agent", "crew", "tool")),
    ("agent", "use_better_compaction"),
    ("tool", "result_schema"),
}
HERE = [m for m in MUTATIONS if (m.owner, m.field) in FIELDS or (m.owner, m.field) not in NOT_EVERYWHERE]


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix."""

    mutation: Mutation
    differs: bool
    stale: bool
    named: bool

    @property
    def verdict(self) -> str:
        if self.differs or self.mutation.acts:
            return ("right stale" if self.named else "wrong reason") if self.stale else "wrong fresh"
        if not self.stale:
            return "right fresh"
        return "justified stale" if self.mutation.needless else "wrong stale"



class ShelfOfTexts(BaseKnowledgeStorage):
    """A knowledge storage without an embedder: it finds everything, up to the limit."""

    _texts: list[str] = PrivateAttr(default_factory=list)

    def search(self, query: Any, limit: int = 5, metadata_filter: Any = None, score_threshold: float = 0.6) -> Any:
        return [{"id": str(n), "content": text, "metadata": {}, "score": 1.0} for n, text in enumerate(self._texts)][
            :limit
        ]

    async def asearch(self, *args: Any, **kwargs: Any) -> Any:
        return self.search(*args, **kwargs)

    def save(self, documents: list[str]) -> None:
        self._texts = list(dict.fromkeys([*self._texts, *documents]))

    async def asave(self, documents: list[str]) -> None:
        self.save(documents)

    def reset(self) -> None:
        self._texts = []

    async def areset(self) -> None:
        self.reset()


class Oracle:
    """Runs the base of each scenario once, and compares mutants with it."""

    def __init__(self, folder: Path, served: Endpoint) -> None:
        self._folder, self._served = folder, served
        self._repo = StateRepository(folder / "oracle.db")
        self._bases: dict[str, list[str]] = {}

    def close(self) -> None:
        self._repo.close()

    def judge(self, mutation: Mutation) -> Cell:
        """What the requests say, and what the plan says."""
        if mutation.scenario in REMOTE:
            return self._described(mutation)
        base = self._base(mutation.scenario)
        recipe = self._recipe(mutation.scenario, mutation)
        decision = self._decision(recipe, mutation)
        differs = mutation.kickoff and _about(mutation.about, base) != _about(
            mutation.about, self._requests(self._recipe(mutation.scenario, mutation))
        )
        named = any(_names(reason.component, mutation.component) for reason in decision.reasons)
        may = decision.status is Status.MAY_RERUN and not differs and not mutation.acts  # settled at the boundary
        return Cell(mutation, differs, not decision.fresh and not may, named)

    def _recipe(self, scenario: str, mutation: Mutation | None = None) -> Recipe:
        recipe = Recipe(RecordingModel(model="recording"), base_url=self._served.address, folder=self._folder)
        SCENARIOS[scenario](recipe)
        if mutation:
            mutation.change(recipe)
        return recipe

    def _base(self, scenario: str) -> list[str]:
        if scenario not in self._bases:
            self._bases[scenario] = self._requests(self._recipe(scenario))
            assert self._requests(self._recipe(scenario)) == self._bases[scenario]  # the recording itself is steady
            recipe = self._recipe(scenario)
            self._repo.run(build(recipe), recipe.inputs, workflow_id=scenario)
        return self._bases[scenario]

    def _requests(self, recipe: Recipe) -> list[str]:
        """What the models are sent in a plain kickoff, and that it failed, if it did."""
        self._served.requests.clear()
        crew = build(recipe)
        models = {id(llm): llm for llm in _models(crew)}
        failed: list[str] = []
        try:
            kickoff(crew, recipe.inputs)
        except Exception as error:  # noqa: BLE001 - a mutant may fail, and that is a difference
            failed.append(type(error).__name__)
        return sorted(r for llm in models.values() for r in llm.requests) + self._served.requests + failed

    def _decision(self, recipe: Recipe, mutation: Mutation) -> Any:
        plan = self._repo.plan(build(recipe), recipe.inputs, workflow_id=mutation.scenario)
        return next(decision for decision in plan if decision.task_name in ("target", "renamed"))

    def _described(self, mutation: Mutation) -> Cell:
        before = self._components(self._recipe(mutation.scenario))
        now = self._components(self._recipe(mutation.scenario, mutation))
        changed = [path for path in {**before, **now} if before.get(path) != now.get(path)]
        return Cell(mutation, False, bool(changed), any(_names(path, mutation.component) for path in changed))

    @staticmethod
    def _components(recipe: Recipe) -> dict[str, str]:
        view = planned_view(build(recipe), recipe.inputs)
        definition = Describer(view).describe(view.tasks[-1], TaskPolicy())
        assert definition.opaque == ()
        return {component.path: component.sha256 for component in definition.components if component.acts}


def _models(crew: Crew) -> Iterator[RecordingModel]:
    held = [crew.manager_llm, crew.planning_llm, crew.__dict__["function_calling_llm"]]
    agents = [*crew.agents, *([crew.manager_agent] if crew.manager_agent else [])]
    for llm in [*held, *(agent.llm for agent in agents), *(agent.__dict__["function_calling_llm"] for agent in agents)]:
        if isinstance(llm, RecordingModel):
            yield llm


def _about(text: str, requests: list[str]) -> list[str]:
    return [request for request in requests if text in request]


def _names(component: str | None, wanted: str | None) -> bool:
    return component is not None and wanted is not None and (component == wanted or component.startswith(f"{wanted}."))


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """One file and one endpoint for all mutations; knowledge without an embedder; nobody at the keyboard."""
    folder = tmp_path_factory.mktemp("oracle")
    with pytest.MonkeyPatch.context() as patched, endpoint() as served:
        patched.chdir(folder)
        patched.setattr("builtins.input", lambda *_: "")
        patched.setattr(knowledge, "KnowledgeStorage", lambda **_: ShelfOfTexts())
        oracle = Oracle(folder, served)
        yield oracle
        oracle.close()


@pytest.mark.parametrize("mutation", HERE, ids=[mutation.id for mutation in HERE])
def test_what_acts_is_stale_and_named_and_nothing_else_is(
    oracle: Oracle, mutation: Mutation, record_property: Any
) -> None:
    """The plan agrees with the bytes that the models are sent."""
    cell = oracle.judge(mutation)
    record_property("oracle", [cell.verdict, f"{mutation.owner}.{mutation.field}", mutation.id, str(mutation.needless)])
    assert cell.verdict in ("right stale", "right fresh", "justified stale"), cell


@pytest.mark.parametrize(("owner", "name"), FIELDS, ids=[".".join(field) for field in FIELDS])
def test_somebody_has_decided_about_every_field(owner: str, name: str):
    """A field that a new CrewAI adds needs a mutation here, and a place in `adapter/fields.py`."""
    mutated = {(mutation.owner, mutation.field) for mutation in MUTATIONS}
    assert (owner, name) in mutated or (owner, name) in UNCHANGEABLE, (
        f"CrewAI has a field {owner}.{name} that no mutation changes. Add one to tests/property/mutations.py "
        "that says whether it reaches a model, and decide about it in crew_repo/adapter/fields.py."
    )
