"""How a mutation is judged: by the bytes that models are sent in a plain kickoff, against what crew_repo says and does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew
from crewai.knowledge.storage.base_knowledge_storage import BaseKnowledgeStorage
from pydantic import PrivateAttr

from crew_repo import StateRepository
from crew_repo.adapter import Describer, planned_view
from crew_repo.model import Status
from crew_repo.policy import TaskPolicy
from tests.plain import kickoff
from tests.property.mutations import REMOTE, SCENARIOS, Mutation, Recipe, build
from tests.property.recording import Endpoint, RecordingModel


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix."""

    mutation: Mutation
    differs: bool
    stale: bool
    named: bool
    trouble: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        if self.trouble:
            return self.trouble
        if self.differs or self.mutation.acts:
            return ("right stale" if self.named else "wrong reason") if self.stale else "wrong fresh"
        if not self.stale:
            return "right fresh"
        return "justified stale" if self.mutation.needless else "wrong stale"


@dataclass
class Kickoff:
    """What the models were sent, the error's class if there was one, and what came of it."""

    requests: list[str]
    failed: list[str]
    result: Any


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
        self._steady: dict[str, Kickoff] = {}
        self._stores = count()

    def close(self) -> None:
        self._repo.close()

    def judge(self, mutation: Mutation) -> Cell:
        """What the requests say, and what the plan says."""
        if mutation.scenario in REMOTE:
            return self._described(mutation)
        if mutation.runs:
            return self._by_run(mutation)
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
        done = self._watched(build(recipe), lambda crew: kickoff(crew, recipe.inputs))
        return done.requests + done.failed

    def _watched(self, crew: Crew, call: Callable[[Crew], Any]) -> Kickoff:
        self._served.requests.clear()
        models = {id(llm): llm for llm in _models(crew)}
        for llm in models.values():
            llm.requests.clear()
        failed: list[str] = []
        result = None
        try:
            result = call(crew)
        except Exception as error:  # noqa: BLE001 - a mutant may fail, and that is a difference
            failed.append(type(error).__name__)
        requests = sorted(r for llm in models.values() for r in llm.requests) + self._served.requests
        return Kickoff(requests, failed, result)

    def _by_run(self, mutation: Mutation) -> Cell:
        """Run the base, then the mutant, in a store of their own, beside plain kickoffs of both."""
        base = self._plain(mutation.scenario)
        with StateRepository(self._folder / f"{next(self._stores)}.db") as repo:
            recipe = self._recipe(mutation.scenario)
            if mutation.meanwhile:
                mutation.meanwhile(recipe)
            with _around(recipe):
                crew = build(recipe)
                repo.run(crew, recipe.inputs, policies=recipe.policies)
            mutant = recipe if mutation.again else self._recipe(mutation.scenario, mutation)
            with _around(mutant, anew=not mutation.again):
                crew = crew if mutation.again else build(mutant)
                given = {"inputs": mutant.inputs, "policies": mutant.policies}
                planned = _of_target(repo.plan(crew, **given))
                ran = self._watched(crew, lambda crew: repo.run(crew, **given))
        plain = base if mutation.again else self._plain(mutation.scenario, mutation)
        return _compared(mutation, planned, ran, base=base, plain=plain)

    def _plain(self, scenario: str, mutation: Mutation | None = None) -> Kickoff:
        """A plain kickoff; that of a scenario, which has to be steady, once."""
        if mutation is None and scenario in self._steady:
            return self._steady[scenario]
        recipe = self._recipe(scenario, mutation)
        with _around(recipe):
            done = self._watched(build(recipe), lambda crew: kickoff(crew, recipe.inputs))
        if mutation is None:
            assert not done.failed, done
            self._steady[scenario] = done
        return done

    def _decision(self, recipe: Recipe, mutation: Mutation) -> Any:
        plan = self._repo.plan(build(recipe), recipe.inputs, workflow_id=mutation.scenario)
        return _of_target(plan)

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
    """Those of one task; the planner, which is told of all tasks, is none."""
    return [request for request in requests if not text or (text in request and "tasks summary" not in request)]


def _names(component: str | None, wanted: str | None) -> bool:
    return component is not None and wanted is not None and (component == wanted or component.startswith(f"{wanted}."))


@contextmanager
def _around(recipe: Recipe, *, anew: bool = True) -> Iterator[None]:
    """The process as the recipe asks for it: environment, working folder, and as if it had just begun."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(recipe.working_folder or recipe.folder)
        for name, value in recipe.environment.items():
            patched.setenv(name, value)
        if recipe.before and anew:
            recipe.before()
        yield


def _of_target(tasks: Any) -> Any:
    return next(task for task in tasks if task.task_name in ("target", "renamed"))


def _compared(mutation: Mutation, planned: Any, ran: Kickoff, *, base: Kickoff, plain: Kickoff) -> Cell:
    before, now, sent = (_about(mutation.about, done.requests) for done in (base, plain, ran))
    differs = before + base.failed != now + plain.failed
    if ran.result is None:
        same = ran.failed == plain.failed
        return Cell(mutation, differs, stale=True, named=same, trouble="" if same else f"failed: {ran.failed}")
    done = _of_target(ran.result.run.tasks)
    stale = "target" in ran.result.run.executed
    named = any(_names(reason.component, mutation.component) for reason in done.reasons)
    trouble = "another request" if stale and sent != now else ""
    if (stale and planned.fresh) or (not stale and planned.status in (Status.STALE, Status.MISSING)):
        trouble = f"planned {planned.status}"
    elif plain.result is not None and not mutation.acts and _said(ran.result) != _said(plain.result):
        trouble = "another output"
    return Cell(mutation, differs, stale, named, trouble, tuple(map(str, done.reasons)))


def _said(result: Any) -> list[Any]:
    """What a task gave, as a program sees it."""
    last = result.tasks_output[-1]
    fields_set = last.pydantic.model_fields_set if last.pydantic is not None else None
    return [last.raw, repr(last.json_dict), type(last.pydantic), repr(last.pydantic), fields_set]
