"""The commands that only read."""

from __future__ import annotations

import pytest

from crew_repo import StateRepository
from tests import crews
from tests.cli.conftest import answered, refused


def names(tasks):
    return [(task["workflow_id"], task["task_name"]) for task in tasks]


CLM = [("CLM-2025-0117", name) for name in ("analyze", "other", "draft")]
CREW = [("crew", name) for name in ("analyze", "draft")]


def test_status_is_what_the_repository_says(command, state):
    """Status shows the tasks of `tasks()`, each with the members that both have."""
    shown = answered(command("status", "--db", state, "--json"))["tasks"]
    with StateRepository(state) as repo:
        told = repo.tasks()
    assert names(shown) == CLM + CREW
    for member in ("status", "output", "input_hash", "output_hash", "total_tokens", "run_id", "position", "in_crew"):
        assert [task[member] for task in shown] == [getattr(task, member) for task in told]


def test_a_text_is_shown_as_it_was_said_whatever_the_state_has_to_write_for_it(command, state):
    """NUL and half a character, which no database takes, are in JSON as in Python; and they may be asked for."""
    strange = "NUL \x00, half \ud83d, mark \uffff0000"
    with StateRepository(state) as repo:
        repo.override("draft", strange, workflow_id="crew", by="Ada \x00")
        (entry,) = repo.changes()
    draft = ("draft", "--db", state, "--workflow", "crew", "--json")
    assert answered(command("history", *draft))["records"][0]["output"] == strange
    assert answered(command("status", *draft))["tasks"][0]["output"] == strange
    (change,) = answered(command("changes", "--db", state, "--json"))["changes"]
    assert (change["by"], change["before"], change["after"]) == (entry.by, entry.before, strange)
    assert refused(command("history", "\udcff", "--db", state), 2).startswith("There is no task '\\udcff'.")


@pytest.mark.parametrize("selectors, found", [
    (["draft"], [CLM[2], CREW[1]]),
    (["d*", "other"], [CLM[1], CLM[2], CREW[1]]),
    (["workflow:CLM-2025-*"], CLM),
    (["workflow:CLM-*,draft"], [CLM[2]]),
    (["workflow:CLM-*,analyze+"], [CLM[0], CLM[2]]),
    (["+draft,workflow:crew"], CREW),
    (["+draft"], [CLM[0], CLM[2], *CREW]),
    (["+analyze"], [CLM[0], CREW[0]]),
    (["+other+"], [CLM[1]]),
    (["status:completed"], CLM + CREW),
])  # fmt: skip
def test_selectors(command, state, selectors, found):
    """Selectors are names, patterns, states, workflows and the tasks along what they read; a comma intersects."""
    assert names(answered(command("status", *selectors, "--db", state, "--json"))["tasks"]) == found


@pytest.mark.parametrize("arguments, said", [
    (["status", "drat"], "There is no task 'drat'. Did you mean 'draft'?"),
    (["status", "+drat"], "There is no task 'drat'. Did you mean 'draft'?"),
    (["status", "zzz"], "There is no task 'zzz'. The tasks are: 'analyze', 'draft', 'other'."),
    (["status", "status:failed"], "'status:failed' selects nothing. The states are: 'completed'."),
    (["status", "workflow:CLM-2024*"], "'workflow:CLM-2024*' selects nothing. Did you mean 'CLM-2025-0117'?"),
    (["status", "--workflow", "CLM-2025-0171"], "There is no workflow 'CLM-2025-0171'. Did you mean 'CLM-2025-0117'?"),
    (["runs", "--workflow", "x"], "There is no workflow 'x'. The workflows are: 'CLM-2025-0117', 'crew'."),
    (["history", "drat"], "There is no task 'drat'. Did you mean 'draft'?"),
    (["invalidate", "drat"], "There is no task 'drat'. Did you mean 'draft'?"),
    (["runs", "zz"], "There is no run 'zz'. The runs are: {runs}."),
    (["show", "CLM-2025-0117"], "There is no run 'CLM-2025-0117': that is a workflow, so give --workflow CLM-2025-0117."),
    (["diff", "draft"], "There is no run 'draft': that is a task, and crew-repo history draft shows its answers."),
    (["changes", "draft"], "There is no changed task 'draft'. The changed tasks are: none yet."),
    (["show", "--select", "reason:input:nots"], "'reason:input:nots' selects nothing. Did you mean 'input:notes'?"),
])  # fmt: skip
def test_a_name_that_is_not_there(command, state, arguments, said):
    """A selector or name that matches nothing is an error of usage, which says what there is."""
    with StateRepository(state) as repo:
        runs = ", ".join(repr(run.run_id) for run in reversed(repo.runs()))
    assert refused(command(*arguments, "--db", state), 2) == said.format(runs=runs)


def test_runs_are_listed_newest_first(command, state):
    """Runs have the sums of `runs()`, newest first, at most as many as was asked for."""
    shown = answered(command("runs", "--db", state, "--json"))["runs"]
    with StateRepository(state) as repo:
        told = repo.runs()
    assert [(run["run_id"], run["executed"], run["reused"], run["tokens_spent"], run["tokens_saved"], run["status"])
            for run in shown] == [(run.run_id, len(run.executed), len(run.reused), run.tokens_spent, run.tokens_saved,
                                   str(run.status)) for run in told]  # fmt: skip
    assert len(answered(command("runs", "--limit", "1", "--db", state, "--json"))["runs"]) == 1
    assert {run["workflow_id"] for run in answered(command("runs", "workflow:cr*", "--db", state, "--json"))["runs"]} == {
        "crew"
    }


def test_show_says_why(command, state):
    """Show gives the newest run, or that of an ID or its beginning: each task, what became of it, and why."""
    newest = answered(command("show", "--db", state, "--json"))["run"]
    assert [(task["task_name"], task["status"]) for task in newest["tasks"]] == [
        ("analyze", "executed"), ("other", "reused"), ("draft", "executed")
    ]  # fmt: skip
    assert newest["tasks"][0]["causes"] == ["input:notes: hail on 3 May -> hail on 4 May"]
    runs = answered(command("runs", "--db", state, "--json"))["runs"]
    oldest = answered(command("show", runs[-1]["run_id"], "--db", state, "--json"))["run"]
    assert oldest["workflow_id"] == "crew"
    assert runs[0]["run_id"] in command("show", runs[0]["run_id"][:-3], "--db", state).stdout
    assert "begin with '20'" in refused(command("show", "20", "--db", state), 2)
    assert refused(command("show", "1999", "--db", state), 2).startswith("There is no run '1999'.")
    selected = answered(command("show", "--select", "reason:input:*", "--db", state, "--json"))["run"]["tasks"]
    assert [task["task_name"] for task in selected] == ["analyze"]


def test_history_has_every_answer(command, state):
    """History gives the records of `history()`, newest first, of one workflow if that is asked for."""
    with StateRepository(state) as repo:
        told = [(record.record_id, record.result.raw) for record in repo.history("draft")]
    shown = answered(command("history", "draft", "--db", state, "--json"))["records"]
    assert [(record["record_id"], record["output"]) for record in shown] == told
    assert len(answered(command("history", "draft", "--workflow", "crew", "--db", state, "--json"))["records"]) == 1
    assert told[0][1] in command("history", "draft", "--full", "--db", state).stdout


def test_an_error_without_words_is_told_by_its_kind(command, repo, model):
    """Ctrl-C has no message, and so no colon before it."""
    def stops(_prompt):
        raise KeyboardInterrupt

    model.script["<<draft>>"] = stops
    with pytest.raises(KeyboardInterrupt):
        repo.run(crews.sequential_unspecified_context(model), crews.NOTES)
    (line,) = command("runs", "--db", repo.url.removeprefix("sqlite:///")).stdout.splitlines()[1:]
    assert line.rstrip().endswith("KeyboardInterrupt")


def test_a_failed_task_is_something_to_do(command, repo, model):
    """Status exits with 1 while a task of the crew failed, and shows its error; show has the traceback."""
    def breaks(_prompt):
        raise RuntimeError("no\n\x1b[31mnetwork")

    model.script["<<draft>>"] = breaks
    path = repo.url.removeprefix("sqlite:///")
    with pytest.raises(RuntimeError):
        repo.run(crews.sequential_unspecified_context(model), crews.NOTES)
    failed = answered(command("status", "status:failed", "--db", path, "--json"), 1)["tasks"]
    assert [(task["task_name"], task["error"]) for task in failed] == [("draft", "RuntimeError: no\n\x1b[31mnetwork")]
    shown = command("status", "--db", path)
    assert shown.exit_code == 1
    assert "RuntimeError: no [31mnetwork" in shown.stdout
    full = command("show", "--full", "--db", path).stdout
    assert "Traceback" in full
    assert "\x1b" not in full
    assert command("runs", "status:failed", "--db", path).exit_code == 0


def test_text_is_for_people(command, state):
    """Without --json it is a table, whose cells have no line break, no escape sequence, and no color off a terminal."""
    done = command("status", "--db", state)
    assert done.stdout.splitlines()[0].split() == [
        "workflow", "task", "status", "tokens", "seconds", "finished", "(UTC)", "said"
    ]  # fmt: skip
    assert len(done.stdout.splitlines()) == 1 + len(CLM + CREW)
    assert "\x1b" not in done.stdout
