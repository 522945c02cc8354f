"""Tasks that change their name or place, equal tasks in one crew, and one task object that stands in it twice."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

import pytest
from crewai import Crew
from crewai.tasks.conditional_task import ConditionalTask

from crew_repo import StateRepository
from tests import crews
from tests.models import PromptModel

pytestmark = pytest.mark.siege


def crew_of(model: PromptModel, *tasks: Any) -> Crew:
    """A crew of tasks, each given by what `crews.task` takes after the agent's place: (mark, text, members)."""
    worker = crews.agent(model)
    made = [crews.task(mark, text, worker, **members) for mark, text, members in tasks]
    return Crew(agents=[worker], tasks=made)


def test_a_plan_does_not_promise_a_record_that_an_undecided_equal_task_may_take(repo):
    """Equal tasks are numbered in order; whether the first one runs is open, so is which record the second gets."""
    model = PromptModel(model="m", script={"<<ask>>": lambda prompt: "go" if "yes" in prompt else "stop"})

    def crew() -> Crew:
        first = {"name": "first", "cls": ConditionalTask, "condition": lambda output: "go" in output.raw, "context": []}
        same = ("same", "Say it.", first), ("same", "Say it.", {"name": "second", "context": []})
        return crew_of(model, ("ask", "{what}", {}), *same)

    assert repo.run(crew(), {"what": "yes"}).run.executed == ["ask", "first", "second"]
    repo.invalidate("first")
    plan = repo.plan(crew(), {"what": "no"})
    assert (plan.fresh, plan.may_rerun) == ([], ["first", "second"])
    assert [reason.component for reason in plan["second"].reasons] == ["upstream:first"]
    assert repo.run(crew(), {"what": "no"}).run.executed == ["ask", "second"]


def swapped_unnamed(repo: StateRepository, model: PromptModel) -> Crew:
    """Two unnamed tasks, run in both orders: `task-01` shows what was recorded as `task-02`."""
    one, two = ("one", "1", {"name": None, "context": []}), ("two", "2", {"name": None, "context": []})
    repo.run(crew_of(model, one, two))
    assert repo.run(crew_of(model, two, one)).run.reused == ["task-01", "task-02"]
    model.forget()
    return crew_of(model, two, one)


def test_deleting_a_row_runs_exactly_that_task_though_the_tasks_have_changed_places(repo, model):
    """What was recorded under the name of the row, and is another task's answer by now, is served to that task."""
    crew = swapped_unnamed(repo, model)
    with sqlite3.connect(repo.url.removeprefix("sqlite:///")) as connection:
        connection.execute("DELETE FROM task_state WHERE task_name = 'task-01'")
    assert repo.run(crew).run.executed == ["task-01"]
    assert model.called_for() == ["two"]


def test_invalidating_a_task_runs_exactly_that_task_though_the_tasks_have_changed_places(repo, model):
    """The same for `invalidate`."""
    crew = swapped_unnamed(repo, model)
    assert repo.invalidate("task-01") == 1
    assert repo.run(crew).run.executed == ["task-01"]
    assert model.called_for() == ["two"]


@pytest.mark.parametrize("before, after", [("old", "new"), ("old", None), (None, "new"), (None, None)])
def test_a_reused_output_has_the_name_that_its_task_has_now(repo, model, before, after):
    """Renaming runs nothing again, and what is served is equal to what CrewAI would give, its name included."""
    repo.run(crew_of(model, ("a", "go", {"name": before})))
    result = repo.run(crew_of(model, ("a", "go", {"name": after})))
    plain = crew_of(model, ("a", "go", {"name": after})).kickoff()
    assert len(result.run.reused) == 1
    assert result.tasks_output[0].name == plain.tasks_output[0].name


def twice(model: PromptModel) -> Crew:
    """One task object stands at two places, then a task that reads it: CrewAI gives it what was said last."""
    worker = crews.agent(model)
    again = crews.task("again", "Say it.", worker)
    return Crew(agents=[worker], tasks=[again, again, crews.task("reader", "Read it.", worker, context=[again])])


def test_a_plan_reads_the_last_place_of_a_task_that_stands_in_the_crew_twice(repo, model):
    """Plan and run agree on what the reader is told."""
    repo.run(twice(model))
    assert repo.plan(twice(model)).fresh == ["again", "again#2", "reader"]


def test_what_reads_a_task_that_stands_in_the_crew_twice_is_downstream_of_its_last_place(repo, model):
    """`invalidate(downstream=True)` follows the same reading."""
    repo.run(twice(model))
    repo.invalidate("again#2", downstream=True)
    assert repo.run(twice(model)).run.executed == ["again#2", "reader"]


@pytest.mark.parametrize("text", ["Read it.", "Read it well."])
def test_invalidating_downstream_of_a_renamed_task_reaches_those_that_read_it(repo, model, text):
    """Whether their own records, or that of the renamed task, have the old name or the new one."""

    def crew(name: str, text: str) -> Crew:
        worker = crews.agent(model)
        source = crews.task("source", "Say it.", worker, name=name)
        reader, other = crews.task("reader", text, worker, context=[source]), crews.task("other", "x", worker, context=[])
        return Crew(agents=[worker], tasks=[source, reader, other])

    repo.run(crew("old", "Read it."))
    repo.run(crew("new", text))
    repo.invalidate("new", downstream=True)
    assert repo.run(crew("new", text)).run.executed == ["new", "reader"]


def test_a_conditional_object_that_is_skipped_at_its_first_place_is_noted_at_its_second(repo):
    """Plan and run say the same of both places."""
    model = PromptModel(model="m", script={"<<first>>": "no", "<<second>>": "go"})

    def crew() -> Crew:
        worker = crews.agent(model)
        first, second = crews.task("first", "x", worker), crews.task("second", "y", worker)
        maybe = crews.task("maybe", "z", worker, cls=ConditionalTask, condition=lambda output: output.raw == "go", context=[])
        return Crew(agents=[worker], tasks=[first, maybe, second, maybe])

    run = repo.run(crew()).run
    assert (run.executed, run.skipped) == (["first", "second", "maybe#2"], ["maybe"])
    repo.invalidate("maybe#2")
    plan = repo.plan(crew())
    assert plan.missing == ["maybe#2"]
    assert repo.run(crew()).run.executed == ["maybe#2"]


class Counting(PromptModel):
    """Says something else each time; raises for a prompt that holds what $FAIL_FOR says."""

    def answer(self, prompt: str) -> str:
        if os.environ.get("FAIL_FOR", "nothing at all") in prompt:
            raise RuntimeError("no luck")
        return f"Final Answer: said {len(self.calls)}"


def test_a_plan_of_a_shared_state_finds_the_record_that_a_run_would_serve(tmp_path, monkeypatch):
    """Of two workflows' answers to the same question the newest is served: what reads it reads that one."""
    model = Counting(model="m")
    crew = crew_of(model, ("source", "Say it.", {}), ("reader", "Read it.", {}))
    with StateRepository(tmp_path / "s.db", share_across_workflows=True) as repo:
        repo.run(crew, workflow_id="w1")
        monkeypatch.setenv("FAIL_FOR", "said 3")
        with pytest.raises(RuntimeError):
            repo.run(crew, workflow_id="w2", force=["source"])
        monkeypatch.delenv("FAIL_FOR")
        assert repo.plan(crew, workflow_id="w1").fresh == ["source"]
        assert repo.run(crew, workflow_id="w1").run.executed == ["reader"]
