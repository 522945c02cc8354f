"""Money on the command line: `--prices FILE`, else CREW_REPO_PRICES; without either there is not a word of it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from crew_repo import StateRepository
from crew_repo.store import Store, current
from tests.cli.conftest import answered, refused
from tests.cli.test_contract import CREW, PROJECT, recorded_in
from tests.cli.test_start import imported
from tests.conformance.kit import Kit, new_record

__all__ = ["recorded_in"]

PRICES = {"m": {"input": 2, "output": 10}}


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    """A file of prices."""
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(PRICES))
    return file


def test_costs_are_those_that_python_tells(command, recorded_in, prices):
    """Of runs and of tasks, on both databases; the amount is exact."""
    with StateRepository(recorded_in, verbose=False, prices=prices) as repo:
        told = {run.run_id: run.cost.to_dict() for run in repo.runs()}
        tasks = {task.task_name: task.cost.to_dict() for task in repo.runs()[0].tasks}
        amount = repo.runs()[0].cost.amount
    runs = answered(command("runs", "--db", recorded_in, "--prices", prices, "--json"))["runs"]
    assert {run["run_id"]: run["cost"] for run in runs} == told
    shown = answered(command("show", "--db", recorded_in, "--prices", prices, "--json"))["run"]
    assert shown["cost"] == runs[0]["cost"]
    assert {task["task_name"]: task["cost"] for task in shown["tasks"]} == tasks
    assert sum(Decimal(task["cost"]["amount"]) for task in shown["tasks"]) == amount > 0
    assert shown["tasks"][0]["usage_by_model"] == {"m": {"input": shown["tasks"][0]["prompt_tokens"], "output": 5}}
    assert shown["tasks"][0]["model"] == "m"


def test_tables_have_a_column_of_costs(command, state, prices, monkeypatch):
    """After the tokens; the head of `show` has the cost of the run. The variable does what the option does."""
    header, row, *_ = command("runs", "--db", state, "--prices", prices).stdout.splitlines()
    assert header.split()[-3:] == ["saved", "cost", "error"]
    assert row.endswith("USD")
    monkeypatch.setenv("CREW_REPO_PRICES", str(prices))
    head, columns, *_ = command("show", "--db", state).stdout.splitlines()
    assert " tokens spent (0.00" in head
    assert columns.split() == ["task", "outcome", "tokens", "saved", "cost", "seconds", "why"]


def test_without_prices_there_is_no_cost(command, state):
    """Neither in a table nor in JSON."""
    for asked in ("runs", "show"):
        assert "cost" not in command(asked, "--db", state).stdout
        assert '"cost' not in command(asked, "--db", state, "--json").stdout


def test_an_empty_price_list_prices_nothing(command, state, tmp_path):
    """All tokens are said to have no price."""
    (tmp_path / "none.json").write_text("{}")
    run = answered(command("runs", "--db", state, "--prices", tmp_path / "none.json", "--json"))["runs"][0]
    assert run["cost"] == {"amount": "0", "currency": "USD", "unpriced_tokens": run["tokens_spent"]}


@pytest.mark.parametrize("most", [1, 2, 3])
def test_many_runs_have_each_its_own_cost(command, tmp_path, prices, monkeypatch, most):
    """More than one statement can ask for."""
    monkeypatch.setattr(current, "_AT_ONCE", most)
    with Store(f"sqlite:///{tmp_path / 'many.db'}") as store:
        kit = Kit(store)
        for at in range(3):
            kit.run(new_record(template=str(at)))
    runs = answered(command("runs", "--db", tmp_path / "many.db", "--prices", prices, "--json"))["runs"]
    assert [run["cost"]["unpriced_tokens"] for run in runs] == [30, 30, 30]


@pytest.mark.parametrize("asked", [["runs"], ["show"], ["plan", *PROJECT], ["run", *PROJECT]])
def test_wrong_prices_are_wrong_usage(command, state, tmp_path, monkeypatch, asked):
    """One line that names the file, the model and the member; nothing is run."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "the_pinned_crew.py").write_text(CREW)
    (tmp_path / "wrong.json").write_text('{"m": {"input": 2, "output": -1}}')
    said = refused(command(*asked, "--db", state, "--prices", "wrong.json"), 2)
    assert said == "wrong.json: m: output is -1; give the price of a million tokens as a number, 0 or more"
    said = refused(command(*asked, "--db", state, "--prices", "no such.json"), 2)
    assert said == "no such.json: it cannot be read: No such file or directory; give the path of a JSON file"


def test_a_plan_and_a_run_have_costs(command, tmp_path, monkeypatch, prices):
    """What it would spend; then what it has spent; then what it would save."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "the_pinned_crew.py").write_text(CREW)
    asked = [*PROJECT, "--prices", prices]
    plan = answered(command("plan", *asked, "--json"), 1)["plan"]
    nothing = {"amount": "0", "currency": "USD", "unpriced_tokens": 0}
    assert (plan["cost_to_spend"], plan["cost_to_save"]) == (nothing, nothing)
    ran = answered(command("run", *asked, "--json"))["run"]
    assert Decimal(ran["cost"]["amount"]) > 0
    plan = answered(command("plan", *asked, "--json"))["plan"]
    assert plan["cost_to_save"] == ran["cost"]
    assert [Decimal(row["cost"]["amount"]) > 0 for row in plan["decisions"]] == [True, True]
    header, row, *_ = command("plan", *asked).stdout.splitlines()
    assert header.split() == ["task", "status", "tokens", "seconds", "cost", "why"]
    assert row.endswith("USD")


def test_reading_costs_needs_neither_crewai_nor_a_database_library(state, prices):
    """As reading anything does not."""
    for asked in ("runs", "show"):
        assert not imported(state, asked, "--prices", str(prices)) & {"crewai", "sqlmodel", "sqlalchemy", "pydantic"}


def test_a_plan_in_markdown(command, tmp_path, monkeypatch):
    """A table and a graph on standard output, the exit code of `plan`; what it does not go with is refused."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "the_pinned_crew.py").write_text(CREW)
    done = command("plan", *PROJECT, "--markdown")
    assert done.exit_code == 1
    assert done.stdout.startswith("| task | status | tokens | seconds | why |\n| --- |")
    assert "    t0 --> t1\n" in done.stdout
    assert done.stdout.endswith("```\n")
    assert "is not there yet" in done.stderr
    command("run", *PROJECT)
    assert command("plan", *PROJECT, "--markdown").exit_code == 0
    for more in (["--json"], ["--full"], ["--select", "draft"]):
        done = command("plan", *PROJECT, "--markdown", *more)
        assert done.exit_code == 2
        assert "--markdown prints the whole plan; leave --json, --full and --select away." in done.output
