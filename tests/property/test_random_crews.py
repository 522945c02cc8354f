"""Random crews and random lives of their state file: exactly the expected tasks execute, and plans keep their word.

`HYPOTHESIS_PROFILE=search HYPOTHESIS_EXAMPLES=5000 pytest -n 0 -m siege tests/property/test_random_crews.py` looks further;
HYPOTHESIS_SHRINK=no shows a failure as it was found, since making it smaller takes minutes.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from crewai import Agent, Crew
from crewai.memory.storage.kickoff_task_outputs_storage import KickoffTaskOutputsSQLiteStorage
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crew_repo import Outcome, Plan, StateRepository
from tests.property.expectations import Books, Failing, Noted, QuickAgent, Scratch, models, outputs_of, scratch
from tests.property.random_crews import Shape, build, edited, shapes

_COMMON: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}
_PHASES = [Phase.generate] if os.environ.get("HYPOTHESIS_SHRINK") == "no" else list(Phase)
settings.register_profile("crews", max_examples=20, stateful_step_count=20, derandomize=True, database=None, **_COMMON)
settings.register_profile(
    "search", max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "500")), stateful_step_count=30,
    print_blob=True, database=None, phases=_PHASES, **_COMMON,
)  # fmt: skip
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "crews"))
pytestmark = pytest.mark.siege


@pytest.fixture(autouse=True, scope="module")
def no_stores_of_crewais() -> Iterator[None]:
    """CrewAI keeps outputs for `replay`, and looks for files, of which there are none: most of what a kickoff costs."""
    with (
        patch.multiple(KickoffTaskOutputsSQLiteStorage, add=_nothing, update=_nothing, delete_all=_nothing),
        patch("crewai.utilities.file_store._run_sync", lambda coroutine: coroutine.close()),
    ):
        yield


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Keep nothing."""


class Life(RuleBasedStateMachine):
    """The life of one state file: crews are edited, run, planned; people invalidate, delete and forge."""

    agent_class: type[Agent] = QuickAgent

    @initialize(shape=shapes())
    def begin(self, shape: Shape) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "s.db"
        self.repo = StateRepository(self.file)
        self.books, self.noted = Books(), Noted()
        self.model = models(self.noted)
        self.shape, self.earlier = shape, [shape]
        self.kept: tuple[Shape, Crew] | None = None
        self.run_it(native=False, kept=False)

    def teardown(self) -> None:
        if hasattr(self, "repo"):
            self.repo.close()
            self.folder.cleanup()

    # What is run.

    @property
    def inputs(self) -> dict[str, Any]:
        return dict(self.shape.inputs)

    @property
    def found(self) -> Scratch:
        return scratch(self.shape, self.agent_class)

    def crew(self, kept: bool) -> Crew:
        """A new crew; or the object of an earlier run, where only the inputs have changed since."""
        if not kept or self.kept is None or replace(self.kept[0], inputs=self.shape.inputs) != self.shape:
            self.kept = (self.shape, build(self.shape, self.model, self.agent_class))
        return self.kept[1]

    def bytes(self) -> list[bytes]:
        return [file.read_bytes() for file in sorted(self.file.parent.iterdir()) if not file.name.endswith("-shm")]

    def start(self, crew: Crew, native: bool, forced: Any = ()) -> Any:
        self.noted.forget()
        if native:
            return asyncio.run(self.repo.arun(crew, self.inputs, force=forced))
        return self.repo.run(crew, self.inputs, force=forced)

    # Rules.

    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        self.shape = edited(data.draw, self.shape)
        self.earlier.append(self.shape)

    @rule(data=st.data(), native=st.booleans(), kept=st.booleans())
    def edit_and_run(self, data: st.DataObject, native: bool, kept: bool) -> None:
        self.edit(data)
        self.run_and_check(native, kept, set())

    @rule(data=st.data(), native=st.booleans())
    def change_back_and_run(self, data: st.DataObject, native: bool) -> None:
        self.shape = data.draw(st.sampled_from(self.earlier))
        self.run_and_check(native, False, set())

    @rule(kept=st.booleans())
    def plan(self, kept: bool) -> None:
        """A plan calls no model, and leaves crew and file as they are."""
        crew = self.crew(kept)
        before, dumped = self.bytes(), repr(crew.model_dump())
        self.noted.forget()
        assert str(self.repo.plan(crew, self.inputs))
        assert (self.noted, repr(crew.model_dump()), self.bytes()) == ([], dumped, before)

    @rule(native=st.booleans(), kept=st.booleans())
    def run_it(self, native: bool, kept: bool) -> None:
        self.run_and_check(native, kept, set())

    @rule(native=st.booleans(), at=st.integers(0, 7))
    def force(self, native: bool, at: int) -> None:
        self.run_and_check(native, False, {at % len(self.shape.steps)})

    @rule(native=st.booleans(), kept=st.booleans())
    def run_twice(self, native: bool, kept: bool) -> None:
        """The second executes nothing, whichever way it is run."""
        self.run_and_check(native, kept, set())
        assert self.books.expected(self.found, set()) == set()
        self.run_and_check(not native, kept, set())

    @rule(native=st.booleans(), at=st.integers(0, 7))
    def fail_at_a_task(self, native: bool, at: int) -> None:
        """What a failed run has paid for is kept, and nothing else."""
        due = sorted(self.books.expected(self.found, set()))
        if not due:
            return
        crew = self.crew(kept=False)
        names = [decision.task_name for decision in self.repo.plan(crew, self.inputs)]
        bad = due[at % len(due)]
        self.noted.failing = frozenset([str(self.found.requests[bad])])
        with pytest.raises(Failing):
            self.start(crew, native)
        self.noted.failing = frozenset()
        run = self.repo.runs(limit=1)[0]
        executed = {task.position for task in run.tasks if task.outcome is Outcome.EXECUTED}
        failed = {task.position for task in run.tasks if task.outcome is Outcome.FAILED}
        assert executed <= set(due)
        assert failed
        assert Counter(self.noted) == Counter(self.found.requests[p] for p in executed | failed)
        self.books.note(self.found, names, executed, {task.position for task in run.tasks} - failed, failed)

    def run_and_check(self, native: bool, kept: bool, forced: set[int]) -> None:
        """Exactly the expected tasks execute, as a plain kickoff would; and the plan has said so."""
        found, crew = self.found, self.crew(kept)
        plan = self.repo.plan(crew, self.inputs)
        names = [decision.task_name for decision in plan]
        if forced:
            plan = self.repo.plan(crew, self.inputs, force=[names[at] for at in forced])
        due = self.books.expected(found, forced)
        result = self.start(crew, native, [names[at] for at in forced])
        executed = {task.position for task in result.run.tasks if task.outcome is Outcome.EXECUTED}
        assert outputs_of(result) == found.outputs
        assert executed == due, f"{plan}\n{self.repo.plan(crew, self.inputs)}\n{self.shape}"
        assert Counter(self.noted) == Counter(found.requests[at] for at in due)
        self.check_plan(plan, due, {at for at, key in enumerate(found.keys) if key is None})
        self.books.note(found, names, executed, set(range(len(names))), set())

    @staticmethod
    def check_plan(plan: Plan, due: set[int], skipped: set[int]) -> None:
        """What is fresh is not executed, and what is stale or missing is."""
        surely = {decision.position for decision in plan if decision.task_name in [*plan.stale, *plan.missing]}
        fresh = {decision.position for decision in plan if decision.task_name in plan.fresh}
        assert not fresh & due
        assert surely <= due | skipped
        assert [decision.position for decision in plan] == list(range(len(plan)))

    # What people do.

    @precondition(lambda self: self.books.rows)
    @rule(data=st.data())
    def invalidate(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.books.rows)))
        self.repo.invalidate(name)
        self.books.retire(name)

    @precondition(lambda self: self.books.rows)
    @rule(data=st.data())
    def delete_a_row(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.books.rows)))
        self.sql("DELETE FROM task_state WHERE task_name = ?", name)
        self.books.clear(name)

    @precondition(lambda self: any(map(self.books.shown, self.books.rows)))
    @rule(data=st.data())
    def forge_an_output(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(filter(self.books.shown, self.books.rows))))
        kept = self.books.shown(name)
        assert kept is not None
        kept.forged = not kept.forged
        text = "forged" if kept.forged else kept.raw
        here = "(SELECT record_id FROM task_state WHERE task_name = ?)"
        self.sql(f"UPDATE record SET output = ? WHERE record_id = {here}", text, name)

    @rule()
    def reopen(self) -> None:
        self.repo.close()
        self.repo = StateRepository(self.file)

    def sql(self, statement: str, *values: str) -> None:
        connection = sqlite3.connect(self.file)
        with connection:
            connection.execute(statement, values)
        connection.close()

    @invariant()
    def rows_show_what_was_last_said(self) -> None:
        """Every row of task_state shows its task's last answer."""
        if hasattr(self, "repo"):
            shown = {state.task_name: state.output for state in self.repo.tasks()}
            wanted = {
                name: None if kept is None else "forged" if kept.forged else kept.raw
                for name, kept in zip(self.books.rows, map(self.books.shown, self.books.rows), strict=True)
            }
            assert shown == wanted


TestLife = Life.TestCase
TestLife.settings = PROFILE


class RealLife(Life):
    """The same with CrewAI's own agents and executor."""

    agent_class = Agent


TestRealLife = RealLife.TestCase
TestRealLife.settings = settings(PROFILE, max_examples=max(5, PROFILE.max_examples // 10), stateful_step_count=6)


@PROFILE
@given(shape=shapes())
def test_the_first_run_executes_all_and_the_second_nothing(shape: Shape):
    """On a new file, in any order of the two ways to run."""
    found = scratch(shape, QuickAgent)
    life = Life()
    life.begin(shape)
    try:
        assert life.books.expected(found, set()) == set()
        life.run_and_check(True, False, set())
    finally:
        life.teardown()
