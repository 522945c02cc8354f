"""Money: what runs and plans cost, at the prices that a user gives for each model that was asked."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew, Process
from crewai.tasks.llm_guardrail import LLMGuardrail

from crew_repo import InputError, ModelTokens, Price, StateRepository
from tests import crews
from tests.crews import NEW_NOTES, NOTES
from tests.models import PromptModel

PRICES = {"m": Price(input=2, output=10), "other": Price(input=1, output=5)}


@pytest.fixture
def priced(tmp_path: Path) -> Any:
    """A repository with prices."""
    with StateRepository(tmp_path / "state.db", verbose=False, prices=PRICES) as repo:
        yield repo


def spent_by(run: Any) -> dict[str, int]:
    """The tokens of each model over all tasks of a run."""
    found: dict[str, int] = {}
    for task in run.tasks:
        for each in task.usage.by_model:
            found[each.model] = found.get(each.model, 0) + sum(each.counts)
    return found


def counted(*models: PromptModel) -> dict[str, int]:
    """The tokens that the models themselves have counted."""
    return {model.model: model.get_token_usage_summary().total_tokens for model in models}


def hierarchy(manager: PromptModel, worker: PromptModel) -> Crew:
    """A manager that has its coworker do the work."""
    asked = '{"task": "read it", "context": "all of it", "coworker": "Analyst"}'
    delegates = f"Thought: I ask.\nAction: Delegate work to coworker\nAction Input: {asked}"
    worker.script["read it"] = "hail, said the worker"
    manager.script["<<one>>"] = lambda prompt: "hail" if "said the worker" in prompt else delegates
    return Crew(
        agents=[crews.agent(worker)], tasks=[crews.task("one", "{notes}", None)], process=Process.hierarchical,
        manager_llm=manager,
    )  # fmt: skip


def judged(guard: PromptModel, worker: PromptModel) -> Crew:
    """A task whose answer another model judges."""
    guard.script["Guardrail"] = '{"valid": true, "feedback": null}'
    guardrail = LLMGuardrail(description="it is a sentence", llm=guard)
    agent = crews.agent(worker)
    return Crew(agents=[agent], tasks=[crews.task("one", "{notes}", agent, guardrail=guardrail)])


@pytest.mark.parametrize("build", [hierarchy, judged])
def test_each_model_of_a_task_has_its_own_tokens(
    priced: StateRepository, build: Callable[[PromptModel, PromptModel], Crew]
) -> None:
    """A manager's and its worker's, a guardrail's and the agent's: each is priced as itself, none as the other."""
    other, worker = PromptModel(model="other"), PromptModel(model="m")
    run = priced.run(build(other, worker), NOTES).run
    assert len(run.tasks[0].usage.by_model) == 2
    assert spent_by(run) == counted(other, worker)
    assert priced.history("one")[0].usage == run.tasks[0].usage == priced.show(run.run_id).tasks[0].usage
    parts = {each.model: each for each in run.tasks[0].usage.by_model}
    amount = sum(
        (PRICES[name].input * part.input + PRICES[name].output * part.output) / 1_000_000 for name, part in parts.items()
    )
    assert (run.cost.amount, run.cost.unpriced_tokens) == (amount, 0)


def test_a_run_says_what_it_cost(priced: StateRepository, model: PromptModel) -> None:
    """On the result, in lists and in print; what was reused costs nothing; the sum is that of the tasks."""
    result = priced.run(crews.context_list(model), NOTES).run
    usage = model.get_token_usage_summary()
    amount = (Decimal(2) * usage.prompt_tokens + Decimal(10) * usage.completion_tokens) / 1_000_000
    assert (result.cost.amount, result.cost.currency, result.cost.unpriced_tokens) == (amount, "USD", 0)
    assert priced.runs()[0].cost == priced.show(result.run_id).cost == result.cost
    assert sum(task.cost.amount for task in result.tasks) == amount
    assert f"{usage.total_tokens:,} tokens spent ({amount:.4f} USD), 0 saved" in str(result)
    assert f"{amount:.4f} USD" in str(priced.runs())
    assert ">cost</th>" in priced.runs()._repr_html_()
    assert ">cost</th>" in result._repr_html_()
    again = priced.run(crews.context_list(model), NOTES).run
    assert (again.cost.amount, again.cost.unpriced_tokens) == (0, 0)


def test_a_plan_says_what_it_would_cost_and_save(priced: StateRepository, model: PromptModel) -> None:
    """By what the tasks took before; in print, in a notebook and in JSON."""
    run = priced.run(crews.context_list(model), NOTES).run
    costs = {task.task_name: task.cost for task in run.tasks}
    plan = priced.plan(crews.context_list(model), NEW_NOTES)
    assert {decision.task_name: decision.cost for decision in plan} == costs
    assert plan.cost_to_save == costs["other"]
    assert plan.cost_to_spend == costs["analyze"] + costs["draft"]
    assert f"({plan.cost_to_spend}) and" in plan.estimate
    assert plan.to_dict()["cost_to_spend"] == plan.cost_to_spend.to_dict()
    assert json.loads(json.dumps(plan.to_dict()))["decisions"][0]["cost"]["currency"] == "USD"
    assert str(plan).split("\n")[0].split() == ["task", "status", "cost", "why"]
    assert ">cost</th>" in plan._repr_html_()


def test_a_crew_that_never_ran_has_no_cost(priced: StateRepository, model: PromptModel) -> None:
    """It is unknown, and said so."""
    plan = priced.plan(crews.context_list(model), NOTES)
    assert [decision.cost for decision in plan] == [None, None, None]
    assert "what that costs is unknown" in plan.estimate


def test_the_cost_in_other_workflows_is_the_estimate(priced: StateRepository, model: PromptModel) -> None:
    """Where this one knows none."""
    cost = priced.run(crews.context_list(model), NOTES, workflow_id="one").run.cost
    plan = priced.plan(crews.context_list(model), NOTES, workflow_id="two")
    assert (plan.cost_to_spend, plan["draft"].cost_from) == (cost, "other workflows")


def test_a_model_without_a_price_is_said_apart(tmp_path: Path, model: PromptModel) -> None:
    """Its tokens are counted beside the amount, and nothing is guessed."""
    with StateRepository(tmp_path / "state.db", verbose=False, prices={"currency": "EUR", "x": PRICES["m"]}) as repo:
        run = repo.run(crews.context_list(model), NOTES).run
    assert (run.cost.amount, run.cost.unpriced_tokens) == (0, run.tokens_spent)
    assert str(run.cost) == f"{run.tokens_spent:,} tokens without a price"


def test_without_prices_there_are_tokens_and_no_costs(repo: StateRepository, model: PromptModel) -> None:
    """Nothing that is printed or told has a word of them."""
    run = repo.run(crews.context_list(model), NOTES).run
    plan = repo.plan(crews.context_list(model), NEW_NOTES)
    assert (run.cost, plan.cost_to_spend, plan.currency, plan["draft"].cost) == (None, None, None, None)
    assert not any("cost" in text for text in (str(run), str(repo.runs()), run._repr_html_(), str(plan)))
    assert not any("cost_to" in name for name in plan.to_dict())
    assert run.tasks[0].usage.by_model == (ModelTokens("m", run.tasks[0].usage.prompt_tokens, 0, 0, 5),)


def test_a_failed_task_cost_what_it_spent(priced: StateRepository, model: PromptModel) -> None:
    """The calls before the error count."""
    def refused(_output):
        raise RuntimeError("out of order")

    agent = crews.agent(model)
    crew = Crew(agents=[agent], tasks=[crews.task("one", "{notes}", agent, guardrail=refused)])
    with pytest.raises(RuntimeError, match="out of order"):
        priced.run(crew, NOTES)
    (run,) = priced.runs()
    assert run.failed == ["one"]
    assert run.cost.amount > 0
    assert run.cost.unpriced_tokens == 0


def test_tokens_outside_of_the_tasks_have_no_price(priced: StateRepository, model: PromptModel) -> None:
    """What a callback of the crew spends is the run's, and stands under no task."""
    crew = crews.context_list(model)
    crew.after_kickoff_callbacks = [lambda output: (model.call("sum it up"), output)[1]]
    run = priced.run(crew, NOTES).run
    assert run.cost.unpriced_tokens == run.tokens_spent - sum(task.usage.total_tokens for task in run.tasks) == 8


def test_a_secret_in_a_models_name_is_not_stored(priced: StateRepository) -> None:
    """It is masked there as everywhere."""
    key = "sk-proj-abcdef0123456789abcdef0123456789"
    priced.run(crews.context_list(PromptModel(model=f"https://m.example/?key={key}", api_key=key)), NOTES)
    assert key not in priced.export_json()
    assert "[secret]" in priced.history("draft")[0].usage.by_model[0].model


def test_prices_come_from_a_file_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: PromptModel
) -> None:
    """Also by a `.env`, to which a path is relative; those that are given come first, and go to other processes."""
    (tmp_path / "prices.json").write_text('{"m": {"input": 2, "output": 10}}')
    (tmp_path / "below").mkdir()
    (tmp_path / ".env").write_text("CREW_REPO_PRICES=prices.json\n")
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.delenv("CREW_REPO_PRICES", raising=False)
    with StateRepository("state.db", verbose=False) as repo, pickle.loads(pickle.dumps(repo)) as copy:
        cost = repo.run(crews.context_list(model), NOTES).run.cost
        assert copy.runs()[0].cost == cost
    monkeypatch.setenv("CREW_REPO_PRICES", str(tmp_path / "no such.json"))
    with pytest.raises(InputError, match=r"no such.json: it cannot be read: No such file"):
        StateRepository("state.db")
    with StateRepository("state.db", prices=tmp_path / "prices.json") as repo:
        assert repo.runs()[0].cost == cost
    with StateRepository("state.db", prices={}) as repo:
        assert repo.runs()[0].cost.amount == 0


def test_items_of_a_batch_have_costs(priced: StateRepository, model: PromptModel) -> None:
    """Those that are executed, and those where all is fresh."""
    for fresh in (False, True):
        (result,) = priced.run_for_each(crews.context_list(model), [NOTES])
        assert (result.run.cost.amount == 0) is fresh


def test_a_difference_says_what_both_runs_cost(priced: StateRepository, model: PromptModel) -> None:
    """In print and in JSON; without prices it says nothing of money."""
    crew = crews.sequential_unspecified_context(model)
    runs = [priced.run(crew, inputs).run for inputs in (NOTES, NOTES)]
    found = priced.diff()
    assert f"; cost {runs[0].cost} -> {runs[1].cost}" in str(found)
    assert found.to_dict()["before"]["cost"] == runs[0].cost.to_dict()
    assert found.to_dict()["tasks"][0]["before"]["cost"] == priced.show(runs[0].run_id).tasks[0].cost.to_dict()
    with StateRepository(priced.url) as unpriced:
        assert "cost" not in str(unpriced.diff())
        assert "cost" not in unpriced.diff().to_dict()["before"]
