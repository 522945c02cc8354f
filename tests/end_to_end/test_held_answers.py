"""An answer that a person gives before anybody knows what its task will be asked: held, adopted once, never unproven."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from crewai import Crew, Task
from pydantic import BaseModel

from crew_repo import ConflictError, InputError, ReasonKind, StateRepository, TaskPolicy
from crew_repo.store import Store
from tests import crews, postgres
from tests.crews import NEW_NOTES, NOTES
from tests.gates import Gate
from tests.models import PromptModel
from tests.processes import begin

HELD = [ReasonKind.NEVER_RAN, ReasonKind.UPSTREAM, ReasonKind.HELD]


def chain(model: PromptModel, *, also: str = "", **members: Any) -> Crew:
    """Three tasks, each of which reads the one before; the first reads the notes."""
    worker = crews.agent(model)
    first = crews.task("extract", "read {notes}", worker)
    second = crews.task("assess", f"assess{also}", worker, context=[first], **members)
    return Crew(agents=[worker], tasks=[first, second, crews.task("note", "write", worker, context=[second])])


def hold(repo: StateRepository, crew: Crew, output: Any = "covered", **more: Any) -> Any:
    """Answer the second task before the first has run."""
    return repo.mark_complete("assess", output, crew=crew, inputs=NOTES, by="Ada", reason="on site", hold=True, **more)


def kinds(repo: StateRepository, crew: Crew, **more: Any) -> list[ReasonKind]:
    """The reasons that a plan has for the second task."""
    return [reason.kind for reason in repo.plan(crew, NOTES, **more)["assess"].reasons]


def test_the_run_that_asks_the_task_adopts_it(repo: StateRepository, model: PromptModel) -> None:
    """A plan says so before; no model is asked; it is a person's record from then on, for what was asked alone."""
    change = hold(repo, chain(model))
    assert (change.after, change.detail) == ("covered", "held until the task is asked")
    plan = repo.plan(chain(model), NOTES)
    assert (plan.missing, plan.may_rerun, plan["assess"].tokens) == (["extract", "note"], ["assess"], 0)
    assert [reason.kind for reason in plan["assess"].reasons] == HELD
    assert ", 2" in (said := str(plan["assess"].reasons[-1]))
    assert said.startswith("a held answer is adopted (Ada, ")
    assert said.endswith("): covered")
    result = repo.run(chain(model), NOTES)
    assert (result.run.executed, result.run.reused) == (["extract", "note"], ["assess"])
    assert result.run.tasks[1].causes[0].startswith("a person's answer (Ada, ")
    assert model.called_for() == ["extract", "note"]
    assert "covered" in model.calls[1]
    assert [(str(each.kind), each.by, each.reason) for each in repo.changes()] == [
        ("adopt", "Ada", "on site"), ("mark complete", "Ada", "on site")
    ]  # fmt: skip
    assert repo.plan(chain(model), NOTES).all_fresh
    assert repo.verify() == []


def test_without_being_asked_for_nothing_is_held(repo: StateRepository, model: PromptModel) -> None:
    """The error names the word that holds it."""
    with pytest.raises(InputError, match="not known yet what task 'assess' will be asked .*or pass hold=True"):
        repo.mark_complete("assess", "covered", crew=chain(model), inputs=NOTES)
    assert repo.changes() == []


def test_for_another_definition_it_stays_held(repo: StateRepository, model: PromptModel) -> None:
    """It is not served; a plan shows it beside; changed back, the task adopts it."""
    hold(repo, chain(model))
    reason = repo.plan(chain(model, also=" again"), NOTES)["assess"].reasons[-1]
    assert (reason.kind, reason.old_text) == (ReasonKind.NOT_HELD, "covered")
    assert "what it answers has changed" in str(reason)
    assert repo.run(chain(model, also=" again"), NOTES).run.executed == ["extract", "assess", "note"]
    assert repo.run(chain(model), NOTES).run.reused == ["extract", "assess"]


siege = pytest.mark.siege


@siege
def test_its_context_may_be_any(repo: StateRepository, model: PromptModel) -> None:
    """It answers the task whatever the one above says, once: the next context is a question to the model."""
    hold(repo, chain(model))
    assert repo.run(chain(model), NEW_NOTES).run.reused == ["assess"]
    assert repo.run(chain(model), NOTES).run.executed == ["extract", "assess", "note"]


@siege
def test_what_is_known_is_answered_at_once(repo: StateRepository, model: PromptModel) -> None:
    """To hold is only for what is not known: else the answer is bound to what is asked, as ever."""
    repo.mark_complete("extract", "hail", crew=chain(model), inputs=NOTES, hold=True)
    hold(repo, chain(model))
    assert repo.get_output("assess") == "covered"
    assert [change.detail for change in repo.changes()] == [None, None]


@siege
def test_a_stored_answer_goes_before_a_held_one(repo: StateRepository, model: PromptModel) -> None:
    """What was paid for is served; the answer stays held for what is not."""
    repo.run(chain(model), NOTES)
    repo.invalidate("extract")
    hold(repo, chain(model))
    assert repo.run(chain(model), NOTES).run.executed == ["extract"]
    assert repo.run(chain(model), NEW_NOTES).run.reused == ["assess"]


@siege
@pytest.mark.parametrize("how", ["force", "always"])
def test_what_executes_whatever_is_stored_leaves_it_held(repo: StateRepository, model: PromptModel, how: str) -> None:
    """A forced task, and one whose policy says so, run; a plan names no adoption; afterwards it is there still."""
    hold(repo, chain(model))
    more: dict[str, Any] = {"force": ["assess"]} if how == "force" else {"policies": {"assess": TaskPolicy(always=True)}}
    assert ReasonKind.HELD not in kinds(repo, chain(model), **more)
    assert repo.run(chain(model), NOTES, **more).run.executed == ["extract", "assess", "note"]
    assert [str(change.kind) for change in repo.changes()] == ["mark complete"]
    assert repo.run(chain(model), NEW_NOTES).run.reused == ["assess"]


@siege
def test_its_age_counts_from_when_it_was_given(repo: StateRepository, model: PromptModel) -> None:
    """Too old by the policy it is not adopted, and a plan says so."""
    hold(repo, chain(model))
    old = {"assess": TaskPolicy(max_age=timedelta(microseconds=1))}
    assert "it is older than max_age" in str(repo.plan(chain(model), NOTES, policies=old)["assess"].reasons)
    assert repo.run(chain(model), NOTES, policies=old).run.executed == ["extract", "assess", "note"]
    assert [str(change.kind) for change in repo.changes()] == ["mark complete"]


@siege
def test_an_edited_one_is_not_adopted(repo: StateRepository, model: PromptModel) -> None:
    """The plan says why, the run executes the task, and verify names it."""
    import sqlite3

    hold(repo, chain(model))
    with closing(sqlite3.connect(repo.url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE held_answer SET output = 'not covered'")
    assert "it was edited or damaged" in str(repo.plan(chain(model), NOTES)["assess"].reasons)
    assert repo.run(chain(model), NOTES).run.executed == ["extract", "assess", "note"]
    assert "its held answer is not the one that change 1 says was given" in str(repo.verify())


@siege
def test_it_is_undone_invalidated_and_refused_by_name(repo: StateRepository, model: PromptModel) -> None:
    """As long as it is held, whoever takes it back has the task run; a second one is refused."""
    change = hold(repo, chain(model))
    with pytest.raises(ConflictError, match="has a held answer already, which Ada gave at"):
        hold(repo, chain(model), "not covered")
    assert "it is held no longer" in str(repo.undo(change))
    assert kinds(repo, chain(model)) == [ReasonKind.NEVER_RAN, ReasonKind.UPSTREAM]
    repo.redo(change)
    assert kinds(repo, chain(model)) == HELD
    assert repo.invalidate("assess") == 0
    assert kinds(repo, chain(model)) == [ReasonKind.NEVER_RAN, ReasonKind.UPSTREAM]
    assert repo.run(chain(model), NOTES).run.executed == ["extract", "assess", "note"]


@siege
def test_after_its_adoption_undo_has_the_task_run(repo: StateRepository, model: PromptModel) -> None:
    """By either entry: what was adopted is out of force, and nothing is held."""
    change = hold(repo, chain(model))
    repo.run(chain(model), NOTES)
    undone = repo.undo(change)
    assert (undone.undoes, undone.would_run) == (2, ("assess",))
    assert repo.run(chain(model), NOTES).run.executed == ["assess", "note"]


class Claim(BaseModel):
    """A typed answer."""

    number: int


@siege
@pytest.mark.parametrize("kind", ["output_pydantic", "output_json"])
def test_a_typed_one_is_read_by_its_class(repo: StateRepository, model: PromptModel, kind: str) -> None:
    """When it is given, so that the error names the field; and again when it is adopted."""
    for wrong, said in (("covered", "is no JSON"), ({"number": "x"}, "number: ")):
        with pytest.raises(InputError, match=said):
            hold(repo, chain(model, **{kind: Claim}), wrong)
    hold(repo, chain(model, **{kind: Claim}), {"number": 4})
    output = repo.run(chain(model, **{kind: Claim}), NOTES).tasks_output[1]
    assert (output.pydantic or output.json_dict) == (Claim(number=4) if kind == "output_pydantic" else {"number": 4})


@siege
def test_of_equal_tasks_the_one_that_is_named_adopts_it(repo: StateRepository, model: PromptModel) -> None:
    """The other is asked."""
    crew = chain(model)
    twin = crews.task("assess", "assess", crew.agents[0], context=[crew.tasks[0]])
    crew = Crew(agents=crew.agents, tasks=[crew.tasks[0], crew.tasks[1], twin])
    repo.mark_complete("assess#2", "covered", crew=crew, inputs=NOTES, hold=True)
    result = repo.run(crew, NOTES)
    assert (result.run.executed, result.raw) == (["extract", "assess"], "covered")
    assert repo.plan(crew, NOTES).all_fresh


@siege
@pytest.mark.parametrize("how", ["arun", "attach", "batch", "async task", "shared"])
def test_each_way_to_run_adopts_it(
    repo: StateRepository, model: PromptModel, how: str, request: pytest.FixtureRequest
) -> None:
    """Whether native async, attached, in a batch, as an async task, or where workflows share."""
    crew = chain(model, async_execution=how == "async task")
    if how == "shared":
        repo = StateRepository(repo.url.removeprefix("sqlite:///"), share_across_workflows=True)
        request.addfinalizer(repo.close)
    hold(repo, crew)
    ways: dict[str, Callable[[], Any]] = {
        "arun": lambda: asyncio.run(repo.arun(crew, NOTES)),
        "attach": lambda: repo.attach(crew).kickoff(inputs=NOTES),
        "batch": lambda: repo.run_for_each(crew, [NOTES]),
    }
    ways.get(how, lambda: repo.run(crew, NOTES))()
    assert repo.runs()[0].reused == ["assess"]
    assert model.called_for() == ["extract", "note"]


# Other processes.


@dataclass
class Stopped:
    """What a process does: it runs the chain, and stops at a gate, before it adopts or right after."""

    url: str
    gate: Gate
    after: bool

    def __call__(self) -> None:
        adopt = Store.adopt

        def gated(*arguments: Any) -> Any:
            adopted = adopt(*arguments) if self.after else None
            self.gate.pass_through()
            return adopted or adopt(*arguments)

        Store.adopt = gated  # type: ignore[method-assign, assignment]
        with StateRepository(self.url) as repo:
            assert "assess" in repo.run(chain(PromptModel(model="m")), NOTES).run.reused


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    return postgres.new_database(request.getfixturevalue("postgres_server"))


@siege
def test_of_two_processes_one_adopts(url: str, tmp_path: Path, model: PromptModel, refused: Event) -> None:
    """While one is about to, the other waits for it; neither asks the model, and there is one entry."""
    gate = Gate(tmp_path / "gate").shut()
    with StateRepository(url) as repo:
        hold(repo, chain(model))
        repo.mark_complete("extract", "hail", crew=chain(model), inputs=NOTES)
        process = begin(tmp_path / "report", Stopped(url, gate, after=False))
        gate.wait_until_reached()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(repo.run, chain(model), NOTES)
            assert refused.wait(60)
            gate.open()
            assert "assess" in running.result(60).run.reused
        process.join(60)
        assert process.exitcode == 0, (tmp_path / "report").read_text()
        assert [str(change.kind) for change in repo.changes()].count("adopt") == 1
        assert "assess" not in model.called_for()
        assert repo.verify() == []


@siege
def test_a_kill_right_after_its_adoption_loses_nothing(url: str, tmp_path: Path, model: PromptModel) -> None:
    """The next run serves it, and asks no model about it."""
    gate = Gate(tmp_path / "gate").shut()
    with StateRepository(url) as repo:
        hold(repo, chain(model))
        process = begin(tmp_path / "report", Stopped(url, gate, after=True))
        gate.wait_until_reached()
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        assert repo.plan(chain(model), NOTES).fresh == ["extract", "assess"]
        assert repo.run(chain(model), NOTES).run.reused == ["extract", "assess"]
        assert [str(change.kind) for change in repo.changes()] == ["adopt", "mark complete"]


@siege
def test_a_kill_before_its_adoption_leaves_it_held(url: str, tmp_path: Path, model: PromptModel) -> None:
    """The next run takes the work over at once, since its process is known to be gone, and adopts it."""
    gate = Gate(tmp_path / "gate").shut()
    with StateRepository(url) as repo:
        hold(repo, chain(model))
        process = begin(tmp_path / "report", Stopped(url, gate, after=False))
        gate.wait_until_reached()
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        assert kinds(repo, chain(model))[-1] == ReasonKind.HELD
        assert repo.run(chain(model), NOTES).run.reused == ["extract", "assess"]


@siege
def test_a_condition_that_says_no_leaves_nothing_to_hold(repo: StateRepository, model: PromptModel) -> None:
    """A task that CrewAI skips is not asked, so nothing is kept for it."""
    from crewai.tasks.conditional_task import ConditionalTask

    worker = crews.agent(model)
    first = crews.task("extract", "read {notes}", worker)
    never = ConditionalTask(
        name="assess", description="<<assess>>", expected_output="text", agent=worker, condition=lambda _: False
    )
    crew = Crew(agents=[worker], tasks=[first, never])
    repo.run(crew, NOTES)
    with pytest.raises(InputError, match="its answer cannot be held"):
        hold(repo, crew)
    assert isinstance(never, Task)
    assert repo.changes() == []
