"""The command that compares two runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crew_repo import StateRepository
from crew_repo.store import Store
from tests import crews
from tests.cli.conftest import answered, refused
from tests.conformance.kit import DEAD, Kit, new_record
from tests.models import PromptModel


@pytest.fixture
def runs(state) -> list[str]:
    """The IDs of the recorded runs, the oldest first."""
    with StateRepository(state) as repo:
        return [run.run_id for run in reversed(repo.runs())]


def names(diff):
    return [task["task_name"] for task in diff["tasks"]]


def test_it_says_what_the_repository_says(command, state, runs):
    """The same object, told from plain rows: for the last two runs, for one, and for two of different workflows."""
    with StateRepository(state) as repo:
        for arguments in ([], ["--workflow", "CLM-2025-0117"], [runs[2]], [runs[0], runs[2]], [runs[2], runs[1]]):
            told = repo.diff(*(argument for argument in arguments if argument in runs))
            shown = answered(command("diff", *arguments, "--db", state, "--json"), 1)["diff"]
            assert shown == told.to_dict()
            assert command("diff", *arguments, "--full", "--db", state).stdout == f"{told.details()}\n"


def test_the_text_is_a_table_between_inputs_and_answers(command, state):
    """The runs, what they were given, each task, the words that changed, and the sums."""
    lines = command("diff", "--db", state).stdout.splitlines()
    assert lines[0].startswith("run #1 of CLM-2025-0117 (")
    assert lines[1] == "input:notes: hail on 3 May -> hail on 4 May"
    assert lines[2].split() == ["task", "before", "after", "answer", "tokens", "saved", "seconds", "why"]
    assert [line.split()[0] for line in lines[3:6]] == ["analyze", "other", "draft"]
    assert lines[6].startswith("analyze: answer [-")
    assert lines[-1].startswith("2 of 3 tasks differ; tokens spent ")


def test_the_exit_code_tells_whether_they_differ(command, state, runs):
    """0 for the same, also of the selected tasks."""
    assert command("diff", "--db", state).exit_code == 1
    assert command("diff", runs[1], runs[1], "--db", state).exit_code == 0
    assert command("diff", "--select", "other", "--db", state).exit_code == 0


@pytest.mark.parametrize("selector, found", [
    ("draft", ["draft"]),
    ("analyze+", ["analyze", "draft"]),
    ("status:executed", ["analyze", "draft"]),
    ("reason:input:notes", ["analyze"]),
])  # fmt: skip
def test_selectors(command, state, selector, found):
    """By name, along what tasks read, by what the later run did, and by reason."""
    assert names(answered(command("diff", "--select", selector, "--db", state, "--json"), 1)["diff"]) == found


def test_runs_are_named_by_their_beginnings(command, state, runs):
    """One that is not there, or that two begin with, is refused; so is a run without one before it."""
    assert answered(command("diff", runs[1][:-2], runs[2][:-2], "--db", state, "--json"), 1)["diff"]["changed"]
    assert "begin with '20'" in refused(command("diff", "20", "--db", state), 2)
    assert refused(command("diff", "1999", "--db", state), 2).startswith("There is no run '1999'.")
    assert refused(command("diff", runs[0], "--db", state), 2) == (
        f"Workflow 'crew' has no run before {runs[0]}; name two runs, as `crew-repo runs` lists them"
    )
    assert "Did you mean" in refused(command("diff", "--workflow", "CLM-2025-0118", "--db", state), 2)


def test_a_run_whose_process_died(command, state):
    """It is told from plain rows as the store tells it, with what it was doing."""
    with Store(f"sqlite:///{state}") as store:
        dead = Kit(store).start("CLM-2025-0117", owner=DEAD, run_id="zz")
        record = replace(new_record("analyze", run_id=dead, workflow_id="CLM-2025-0117"), input_hash="ab" * 32)
        Kit(store).lease(record, owner=DEAD)
    with StateRepository(state) as repo:
        told = repo.diff()
    shown = answered(command("diff", "--db", state, "--json"), 1)["diff"]
    assert shown == told.to_dict()
    assert (shown["after"]["status"], shown["tasks"][0]["after"]["outcome"]) == ("interrupted", "interrupted")


def test_a_terminal_obeys_nothing_that_an_answer_says(command, repo):
    """Escape sequences of a model are no escape sequences here."""
    for colour in ("31", "32"):
        repo.run(crews.context_list(PromptModel(model="m", script={"<<": f"\x1b[{colour}m done \x00 {colour}"})), crews.NOTES)
    path = repo.url.removeprefix("sqlite:///")
    for more in ([], ["--full"]):
        assert "\x1b" not in command("diff", "--db", path, *more).stdout
    assert answered(command("diff", "--db", path, "--json"), 1)["diff"] == repo.diff().to_dict()
