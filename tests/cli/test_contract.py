"""The contract for scripts: exit codes, and the members of the JSON, on both databases."""

from __future__ import annotations

import json

import click
import pytest

from crew_repo import StateRepository
from crew_repo.cli.commands import crew_repo
from tests import crews, postgres
from tests.cli.conftest import answered
from tests.models import PromptModel

CORRECTING = ["override", "mark-complete", "adopt", "undo", "redo"]
COMMANDS = [
    "run", "plan", "resume", "status", "runs", "show", "history", "diff", "changes", *CORRECTING, "invalidate", "verify",
    "prune", "export", "import", "init", "report",
]  # fmt: skip
OF_A_WORKFLOW = [
    "run", "plan", "status", "runs", "show", "history", "diff", "changes", "override", "mark-complete", "adopt",
    "invalidate", "report",
]  # fmt: skip
WRITING = ["run", "resume", *CORRECTING, "invalidate", "prune", "export", "import", "init", "report"]
BY_A_PERSON = [*CORRECTING, "invalidate", "prune"]

TASK = (
    "workflow_id crew_name task_name position status in_crew output input_hash output_hash started_at completed_at "
    "duration_seconds total_tokens model error run_id record_id origin person"
)
RUN = (
    "run_id workflow_id crew_name status started_at finished_at host pid executed reused failed tokens_spent "
    "tokens_saved seconds_saved error_type error_message error_traceback number waits_for"
)
TASK_OF_RUN = (
    "task_name position status input_hash record_id started_at finished_at duration_seconds total_tokens prompt_tokens "
    "completion_tokens cached_prompt_tokens tokens_saved seconds_saved error_type error_message error_traceback "
    "reasons model usage_by_model causes output origin person workflow_id"
)
RECORD = (
    "record_id workflow_id task_name run_id origin retired retired_at started_at completed_at duration_seconds "
    "total_tokens prompt_tokens completion_tokens cached_prompt_tokens model usage_by_model agent input_hash output_hash "
    "output pydantic_json json_dict person"
)
CHANGE = (
    "change_id kind changed_at by reason workflow_id task_name input_hash record_before record_after before after undoes "
    "undone detail"
)
PLAN = (
    "workflow_id planner decisions notes tokens_to_spend tokens_to_save seconds_to_spend seconds_to_save all_fresh"
)
DECISION = "task_name status reasons position tokens seconds cost_from person reads workflow_id causes"
RAN = "run_id workflow_id status executed reused skipped failed tokens_spent tokens_saved seconds_saved"
DIFF = "changed before after inputs tasks notes"
COMPARED_RUN = (
    "run_id workflow_id crew_name ordinal status started_at finished_at error tokens_spent tokens_saved spent seconds "
    "seconds_saved"
)
COMPARED_TASK = "task_name changed answer absent causes parts output before after"
TASK_IN_RUN = (
    "outcome reasons error output lost record_id model person spent saved tokens_saved seconds seconds_saved"
)
USAGE = "total_tokens prompt_tokens completion_tokens cached_prompt_tokens successful_requests by_model"
TEXT_CHANGE = "before after values pieces grain"
CREW = """
from tests import crews
from tests.models import PromptModel
def build():
    return crews.sequential_unspecified_context(PromptModel(model="m"))
"""
PROJECT = ["the_pinned_crew:build", "-i", "notes=hail", "-i", "adjuster=Ada"]


def are(value, names):
    assert sorted(value) == sorted(names.split())


@pytest.fixture(params=["sqlite", "postgresql"])
def recorded_in(request, tmp_path) -> str:
    """Two runs in each kind of database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'state.db'}"
    else:
        url = postgres.new_database(request.getfixturevalue("postgres_server"))
    model = PromptModel(model="m")
    with StateRepository(url, verbose=False) as repo:
        repo.run(crews.context_list(model), crews.NOTES)
        repo.run(crews.context_list(model), crews.NEW_NOTES)
    return url


def test_the_members_of_what_is_read(command, recorded_in):
    """Each member of the answers about a state is there, and no other, whatever the database."""

    def asked(*arguments):
        return answered(command(*arguments, "--db", recorded_in, "--json"))

    are(asked("status"), "tasks")
    are(asked("status")["tasks"][0], TASK)
    assert [task["task_name"] for task in asked("status", "analyze+")["tasks"]] == ["analyze", "draft"]
    are(asked("runs")["runs"][0], RUN)
    shown = asked("show")["run"]
    are(shown, f"{RUN} tasks")
    are(shown["tasks"][0], TASK_OF_RUN)
    assert shown["tasks"][0]["causes"] == ["input:notes: hail on 3 May -> hail on 4 May"]
    are(asked("history", "draft")["records"][0], RECORD)


def test_the_members_of_a_difference(command, recorded_in):
    """So are those of what differs between two runs."""
    diff = answered(command("diff", "--db", recorded_in, "--json"), 1)["diff"]
    are(diff, DIFF)
    are(diff["before"], COMPARED_RUN)
    are(diff["after"]["spent"], USAGE)
    are(diff["inputs"][0], "kind component old new old_text new_text change")
    are(diff["inputs"][0]["change"], TEXT_CHANGE)
    are(diff["tasks"][0], COMPARED_TASK)
    are(diff["tasks"][0]["before"], TASK_IN_RUN)
    are(diff["tasks"][0]["before"]["saved"], USAGE)
    are(diff["tasks"][0]["output"], TEXT_CHANGE)
    with StateRepository(recorded_in) as repo:
        told = repo.diff()
    assert json.loads(json.dumps(told.to_dict())) == diff
    assert command("diff", "--full", "--db", recorded_in).stdout == f"{told.details()}\n"


def test_the_members_of_what_is_done(command, recorded_in, tmp_path):
    """So are those of the commands that keep a state in order."""

    def asked(*arguments):
        return answered(command(*arguments, "--db", recorded_in, "--json"))

    are(asked("invalidate", "draft"), "tasks retired dry_run")
    for arguments in (["override", "analyze", "--output", "hail"], ["undo", "2"], ["redo", "2", "--dry-run"]):
        done = asked(*arguments)
        are(done, "change dry_run")
        are(done["change"], f"{CHANGE} would_run may_run tokens")
    are(asked("changes"), "changes")
    made, *_ = asked("changes")["changes"]
    are(made, CHANGE)
    assert (made["kind"], made["before"], made["undone"]) == ("undo", "hail", False)
    assert [each["kind"] for each in asked("changes", "--workflow", "crew", "status:undone")["changes"]] == ["override"]
    are(asked("verify"), "problems")
    are(asked("prune", "--retired"), "records runs texts bytes_before bytes_after dry_run held calls")
    are(asked("export", "all.jsonl"), "file lines dry_run")
    are(asked("import", "all.jsonl"), "new_records dry_run")
    are(asked("init"), "state new dry_run")
    are(asked("report", tmp_path / "report.html"), "file bytes workflows in_full runs dry_run")
    are(asked("--version"), "version")


def test_the_members_of_plans_and_runs(command, tmp_path, monkeypatch):
    """So are those of a plan and of a run."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "the_pinned_crew.py").write_text(CREW)
    plan = answered(command("plan", *PROJECT, "--json"), 1)["plan"]
    are(plan, PLAN)
    are(plan["decisions"][0], DECISION)
    ran = answered(command("run", *PROJECT, "--json"))
    are(ran, "run output")
    are(ran["run"], RAN)
    given = [*PROJECT[:-1], "adjuster=Bo", "--output", "Dear all"]
    done = answered(command("mark-complete", "draft", *given, "--dry-run", "--json"))
    are(done, "change dry_run")
    are(done["change"], f"{CHANGE} would_run may_run tokens")


def test_the_envelope(command, state):
    """Whatever is asked, the JSON has five members; one of result and error is null."""
    for arguments in (["status", "--db", state], ["status", "--db", "missing.db"], ["--version"], ["no such"]):
        value = json.loads(command(*arguments, "--json").stdout)
        assert list(value) == ["schema", "command", "exit_code", "result", "error"]
        assert value["schema"] == "crew-repo/1"
        assert (value["result"] is None) != (value["error"] is None)


def test_the_commands():
    """There are these commands, in the order of the help."""
    assert crew_repo.list_commands(click.Context(crew_repo)) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_of_each_command(command, name):
    """Each command has help, and the options that all have; each that writes has --dry-run."""
    shown = command(name, "--help")
    assert shown.exit_code == 0
    for option in ("--db", "--json", "--debug"):
        assert option in shown.stdout
    assert ("--workflow" in shown.stdout) == (name in OF_A_WORKFLOW)
    assert ("--dry-run" in shown.stdout) == (name in WRITING)
    assert ("--by NAME" in shown.stdout, "--reason TEXT" in shown.stdout) == (name in BY_A_PERSON, name in BY_A_PERSON)


def test_the_help_lists_the_commands(command):
    """The help of the group names every command, and the exit codes."""
    shown = command("--help").stdout
    assert [line.split()[0] for line in shown.partition("Commands:")[2].splitlines() if line.strip()] == COMMANDS
    assert "0 fresh or done, 1 stale or different, 2 usage, 3 trouble" in shown
