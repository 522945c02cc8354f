"""Every way to run a crew: cold as CrewAI's own kickoff, again for nothing, and then exactly what a change touches."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.crews import MODES, TERMS, Mode
from tests.models import PromptModel
from tests.plain import kickoff

EVERY_MODE = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


def raws(result: Any) -> list[str]:
    return [output.raw for output in result.tasks_output]


def texts(result: Any) -> list[Any]:
    return [output.model_dump() for output in result.tasks_output]


@EVERY_MODE
def test_a_cold_run_gives_what_kickoff_gives(repo, mode: Mode):
    """The first run calls the model as a plain kickoff does, and returns the same."""
    plain_model, model = PromptModel(model="m"), PromptModel(model="m")
    plain = kickoff(mode.build(plain_model), mode.inputs)
    result = repo.run(mode.build(model), mode.inputs)
    assert texts(result) == texts(plain)
    assert (result.raw, result.pydantic, result.json_dict) == (plain.raw, plain.pydantic, plain.json_dict)
    assert sorted(model.calls) == sorted(plain_model.calls)  # async tasks call in any order
    assert result.token_usage == plain.token_usage


@EVERY_MODE
def test_a_second_run_calls_no_model(repo, mode: Mode):
    """A crew built anew and run again is served from the records: no call, equal output."""
    model = PromptModel(model="m")
    first = repo.run(mode.build(model), mode.inputs)
    model.forget()
    again = mode.build(model)
    assert repo.plan(again, mode.inputs).all_fresh
    second = repo.run(again, mode.inputs)
    assert model.calls == []
    assert texts(second) == texts(first)
    assert [type(o.pydantic) for o in second.tasks_output] == [type(o.pydantic) for o in first.tasks_output]
    assert second.run.executed == []
    assert second.token_usage.total_tokens == 0


@pytest.mark.siege
@EVERY_MODE
def test_the_same_crew_object_is_reused_too(repo, model, mode: Mode):
    """Running one crew object twice calls the model only the first time."""
    crew = mode.build(model)
    first = texts(repo.run(crew, mode.inputs))
    model.forget()
    second = repo.run(crew, mode.inputs)
    assert (model.calls, texts(second)) == ([], first)
    assert second.token_usage.total_tokens == 0


@EVERY_MODE
def test_a_changed_input_reruns_exactly_what_reads_it(repo, model, mode: Mode):
    """After one input has changed, exactly the tasks that read it and those downstream run again."""
    repo.run(mode.build(model), mode.inputs)
    model.forget()
    plan = repo.plan(mode.build(model), mode.changed)
    result = repo.run(mode.build(model), mode.changed)
    assert tuple(model.called_for()) == mode.rerun
    assert len(result.run.executed) == len(mode.rerun)
    assert set(result.run.executed) <= {*plan.stale, *plan.missing, *plan.may_rerun}
    fresh = kickoff(mode.build(PromptModel(model="m")), mode.changed)
    assert raws(result) == raws(fresh)


@pytest.mark.siege
@EVERY_MODE
def test_changing_back_finds_the_old_answers(repo, model, mode: Mode):
    """Records are found by what goes in, so going back to the first inputs costs nothing."""
    first = texts(repo.run(mode.build(model), mode.inputs))
    repo.run(mode.build(model), mode.changed)
    model.forget()
    back = repo.run(mode.build(model), mode.inputs)
    assert (model.calls, texts(back)) == ([], first)


@pytest.mark.siege
@EVERY_MODE
async def test_native_async_shares_the_records(repo, model, mode: Mode):
    """What arun executed, run reuses, and the other way round."""
    first = await repo.arun(mode.build(model), mode.inputs)
    model.forget()
    second = await asyncio.to_thread(repo.run, mode.build(model), mode.inputs)
    third = await repo.arun(mode.build(model), mode.inputs)
    assert (model.calls, texts(second), texts(third)) == ([], texts(first), texts(first))


def test_what_knowledge_finds_is_in_the_prompts_of_a_recorded_run(repo, model):
    """The mode with knowledge really searches it: without this, its equal prompts would prove nothing."""
    repo.run(MODES["knowledge"].build(model), MODES["knowledge"].inputs)
    asked = [call for call in model.calls if "Current Task:" in call]
    assert len(asked) == 2
    assert all(TERMS in call and "Ada decides alone." in call for call in asked)
