"""Correcting an answer at a shell: what is said of it, how it is taken back, and what is refused in one line."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from crew_repo import StateRepository
from crew_repo.model import HELD
from crew_repo.store import Store
from tests.cli.conftest import answered, contents, refused
from tests.cli.test_start import process

CREW = """
from pydantic import BaseModel
from tests import crews
from tests.models import PromptModel

class Claim(BaseModel):
    policy: int
    place: str

def build():
    return crews.sequential_unspecified_context(PromptModel(model="m"))

def typed():
    model = PromptModel(model="m", script={"<<analyze>>": '{"policy": 42, "place": "Graz"}'})
    crew = crews.sequential_unspecified_context(model)
    crew.tasks[0].output_pydantic = Claim
    return crew
"""
OLD, NEW = ("-i", "notes=hail on 3 May", "-i", "adjuster=Ada"), ("-i", "notes=hail on 4 May", "-i", "adjuster=Ada")
ADA = ("--by", "Ada", "--reason", "the wrong day")
OVERRIDE = ("override", "analyze", "--workflow", "crew", "--output", "hail on 5 May")


@pytest.fixture
def corrected_crew(command, monkeypatch, tmp_path, state) -> str:
    """A module with the crew of the workflow `crew`; the state is found by the variable."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("CREW_REPO_URL", str(state))
    (tmp_path / "the_corrected_crew.py").write_text(CREW)
    return "the_corrected_crew:build"


def test_an_override_is_told_and_served(command, corrected_crew, state):
    """A dry run says what would run and writes nothing; then plan, status, history and changes say whose answer it is."""
    before = contents(state.parent)
    told = command(*OVERRIDE, *ADA, "--dry-run").stdout
    assert contents(state.parent) == before
    head, *rest = told.splitlines()
    assert head.startswith("not made (dry run): override of task 'analyze' in 'crew' by Ada, ")
    assert rest[0] == "  the wrong day"
    assert rest[1].endswith("-> hail on 5 May")
    assert rest[2] == "  would run: draft"
    assert rest[3].startswith("  they took ")
    made = answered(command(*OVERRIDE, *ADA, "--json"))["change"]
    assert (made["change_id"], made["kind"], made["by"], made["would_run"]) == (1, "override", "Ada", ["draft"])
    assert command("status", "analyze", "--workflow", "crew").stdout.splitlines()[1].split()[2:6] == [
        "completed,", "by", "Ada", "(person)"
    ]  # fmt: skip
    assert answered(command("status", "analyze", "--workflow", "crew", "--json"))["tasks"][0]["person"] == "Ada"
    assert " Ada (person) " in command("history", "analyze", "--workflow", "crew").stdout
    plan = answered(command("plan", corrected_crew, *OLD, "--json"), 1)["plan"]["decisions"]
    assert [(task["status"], task["person"]) for task in plan] == [("fresh", "Ada"), ("stale", None)]
    assert "a person's answer (Ada, " in command("plan", corrected_crew, *OLD).stdout
    assert answered(command("run", corrected_crew, *OLD, "--json"))["run"]["reused"] == ["analyze"]
    shown = command("show").stdout
    assert "a person's answer (Ada, " in shown
    assert answered(command("show", "--json"))["run"]["tasks"][0]["person"] == "Ada"


def test_the_answer_may_come_from_a_file_or_standard_input(command, corrected_crew):
    """@FILE and - are read whole, as for an input."""
    Path("answer.txt").write_text("from a\nfile")
    for output, given, text in (("@answer.txt", None, "from a\nfile"), ("-", "piped", "piped"), ("@-", "also", "also")):
        done = command("override", "analyze", "--workflow", "crew", "--output", output, "--json", input=given)
        assert answered(done)["change"]["after"] == text


def test_undo_and_redo(command, corrected_crew):
    """Each says what it changes, a dry run without doing it; changes lists all of them, newest first."""
    command(*OVERRIDE, *ADA)
    tried = command("undo", "1", "--dry-run").stdout
    assert tried.startswith("not made (dry run): undo of change 1 of task 'analyze' in 'crew' by ")
    assert "no task runs by it" in tried
    assert len(answered(command("changes", "--json"))["changes"]) == 1
    assert answered(command("undo", "1", "--by", "Bo", "--json"))["change"]["before"] == "hail on 5 May"
    listed = command("changes", "--full").stdout
    assert "change 1, after:\nhail on 5 May" in listed
    assert answered(command("plan", corrected_crew, *OLD, "--json"))["plan"]["all_fresh"]
    assert "would run: draft" in command("redo", "1", "--dry-run").stdout
    command("redo", "1", "--by", "Cy")
    entries = answered(command("changes", "--json"))["changes"]
    assert [(each["kind"], each["by"], each["undoes"], each["undone"]) for each in entries] == [
        ("redo", "Cy", 1, False), ("undo", "Bo", 1, False), ("override", "Ada", None, False)
    ]  # fmt: skip
    with StateRepository() as repo:
        assert [each.to_dict()["after"] for each in repo.changes()] == [each["after"] for each in entries]


def test_changes_are_selected(command, corrected_crew):
    """By task, pattern, workflow, and whether they were undone; what matches nothing says what there is."""
    assert command("changes").stdout == "No change was made yet.\n"
    command(*OVERRIDE, *ADA)
    command("invalidate", "draft", "--by", "Bo", "--reason", "new terms")
    command("prune", "--retired", "--by", "Cy", "--reason", "tidy")
    command("undo", "1")

    def numbers(*arguments):
        return [each["change_id"] for each in answered(command("changes", *arguments, "--json"))["changes"]]

    assert numbers() == [5, 4, 3, 2, 1]
    assert numbers("--limit", "2") == [5, 4]
    assert numbers("an*") == [5, 1]
    assert numbers("workflow:CLM-*") == numbers("--workflow", "CLM-2025-0117")
    assert numbers("status:undone") == [1]
    entries = answered(command("changes", "--json"))["changes"]
    assert [(each["by"], each["reason"]) for each in entries[1:4]] == [("Cy", "tidy"), ("Bo", "new terms"), ("Bo", "new terms")]
    assert refused(command("changes", "analyse"), 2) == (
        "There is no changed task 'analyse'. Did you mean 'analyze'?"
    )
    assert refused(command("changes", "zzz"), 2) == (
        "There is no changed task 'zzz'. The changed tasks are: 'analyze', 'draft'."
    )


def test_a_task_that_never_ran_is_marked_complete(command, corrected_crew):
    """It is bound to what the crew asks with these inputs, and no model is asked for it."""
    given = ("mark-complete", "analyze", corrected_crew, "--workflow", "CLM-1", "--output", "hail", *ADA)
    assert answered(command(*given, *NEW, "--dry-run", "--json"))["change"]["change_id"] is None
    assert "mark complete of task 'analyze' in 'CLM-1' by Ada" in command(*given, *NEW).stdout
    assert answered(command("run", corrected_crew, *NEW, "--workflow", "CLM-1", "--json"))["run"]["reused"] == ["analyze"]
    assert "has an answer to this already; override corrects it" in refused(command(*given, *NEW), 2)
    assert "It is not known yet what task 'draft' will be asked" in refused(
        command("mark-complete", "draft", corrected_crew, "--workflow", "CLM-2", "--output", "hail", *NEW), 2
    )
    assert "there is no task 'analyse'" in refused(command("mark-complete", "analyse", corrected_crew, "--output", "x", *NEW), 2)
    assert "--output and --inputs cannot both be standard input" in refused(
        command("mark-complete", "analyze", corrected_crew, "--output", "-", "--inputs", "-"), 2
    )


def test_an_answer_that_no_longer_applies_is_adopted(command, corrected_crew):
    """The note of the plan names the command, which is typed as it stands there."""
    command(*OVERRIDE, *ADA)
    planned = command("plan", corrected_crew, *NEW)
    assert "a person's answer no longer applies (Ada, " in planned.stdout
    assert "or crew-repo adopt analyze with this plan's arguments" in planned.stderr
    assert answered(command("adopt", "analyze", corrected_crew, *NEW, "--dry-run", "--json"))["dry_run"] is True
    told = command("adopt", "analyze", corrected_crew, *NEW, "--by", "Bo").stdout
    assert told.startswith("change 2: adopt of task 'analyze' in 'crew' by Bo, ")
    assert "now hail on 5 May; taken over (Ada, " in told
    plan = answered(command("plan", corrected_crew, *NEW, "--json"), 1)["plan"]
    assert (plan["decisions"][0]["person"], plan["notes"]) == ("Bo", [])
    assert "shows no answer of a person beside task 'draft'" in refused(command("adopt", "draft", corrected_crew, *NEW), 2)


@pytest.mark.parametrize("arguments, code, said", [
    (["override", "analyse", "--output", "x"], 2, "There is no task 'analyse'. Did you mean 'analyze'?"),
    (["override", "analyze", "--output", "x"], 2,
     "Task 'analyze' is in 2 workflows; name one with --workflow: 'CLM-2025-0117', 'crew'"),
    (["override", "analyze", "--output", "x", "--workflow", "crw"], 2, "There is no workflow 'crw'. Did you mean 'crew'?"),
    (["override", "other", "--output", "x", "--workflow", "crew"], 2,
     "There is no task 'other'. The tasks are: 'analyze', 'draft'."),
    (["override", "analyze", "--workflow", "crew"], 2, "Missing option '--output'."),
    ([*OVERRIDE[:-1], ""], 2, "The answer to 'analyze' is empty; to have the task run again, use invalidate"),
    ([*OVERRIDE[:-1], "@nofile"], 2, "nofile cannot be read: No such file or directory; give the path of a text file"),
    ([*OVERRIDE, "--by", " "], 2, "by is ' '; give a text: who makes this change"),
    ([*OVERRIDE, "--instead-of", "99"], 2, "Task 'analyze' of workflow 'crew' has another answer than record 99 by now: "),
    (["undo", "7"], 2, "There is no change 7; changes() or crew-repo changes lists them: none was made yet"),
    (["redo", "7", "--dry-run"], 2, "There is no change 7; changes() or crew-repo changes lists them: none was made yet"),
    (["undo", "one"], 2, "Invalid value for 'CHANGE': 'one' is not a valid integer."),
])  # fmt: skip
def test_what_is_not_there_is_told(command, state, arguments, code, said):
    """An unknown task, workflow or entry, or an answer that is none, is an error of usage, in one line."""
    before = contents(state.parent)
    assert refused(command(*arguments, "--db", state), code).startswith(said)
    assert {name: hashes for name, (hashes, _) in contents(state.parent).items() if name == state.name} == {
        state.name: before[state.name][0]
    }


def test_the_field_that_a_class_refuses_is_named(command, corrected_crew):
    """By the stored schema where no crew is at hand, else by the class itself."""
    crew = "the_corrected_crew:typed"
    command("run", crew, *OLD, "--workflow", "typed")
    wrong = ("--workflow", "typed", "--output", '{"policy": "many", "place": "Graz"}')
    assert refused(command("override", "analyze", *wrong), 2) == (
        "The answer to 'analyze' is no Claim: policy: 'many' is not of type 'integer'"
    )
    assert "policy" in refused(command("mark-complete", "analyze", crew, *NEW, *wrong), 2)
    right = ("--workflow", "typed", "--output", '{"policy": 43, "place": "Linz"}')
    assert answered(command("override", "analyze", *right, "--json"))["change"]["change_id"] == 1


def test_the_second_of_two_people_is_told(command, corrected_crew, monkeypatch):
    """Who looked before the other spoke, and who was overtaken while writing."""
    record = answered(command("status", "analyze", "--workflow", "crew", "--json"))["tasks"][0]["record_id"]
    give = Store.give

    def overtaken(store, new, *arguments, **named):
        monkeypatch.setattr(Store, "give", give)
        assert command(*OVERRIDE, "--by", "Bo").exit_code == 0
        return give(store, new, *arguments, **named)

    monkeypatch.setattr(Store, "give", overtaken)
    said = refused(command(*OVERRIDE, *ADA), 2)
    assert "Task 'analyze' of workflow 'crew' has another answer by now: Bo gave it at " in said
    seen = refused(command(*OVERRIDE, *ADA, "--instead-of", record), 2)
    assert f"has another answer than record {record} by now" in seen
    assert [each["by"] for each in answered(command("changes", "--json"))["changes"]] == ["Bo"]


def test_an_entry_that_is_not_in_force_is_told(command, corrected_crew):
    """Undone already, overtaken by another answer, or a pruning."""
    command(*OVERRIDE, *ADA)
    assert refused(command("redo", "1"), 2) == "Change 1 was not undone, so there is nothing to do again"
    command("undo", "1")
    assert refused(command("undo", "1"), 2) == (
        "Change 1 was undone already; redo(1) or crew-repo redo 1 makes it again"
    )
    command("override", "analyze", "--workflow", "crew", "--output", "other", "--by", "Bo")
    assert "has another answer by now: Bo gave it" in refused(command("redo", "1"), 2)
    command("prune", "--retired")
    assert "Change 4 cannot be undone: prune deletes for good" in refused(command("undo", "4"), 2)


def test_a_busy_file_is_told(command, corrected_crew, state, monkeypatch):
    """While another holds the file for longer than one waits, nothing is written, and the line says so."""
    defaults = StateRepository.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "busy_timeout_seconds", 0.05)
    command(*OVERRIDE, *ADA)
    with closing(sqlite3.connect(state, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        for arguments in (OVERRIDE, ("undo", "1")):
            assert refused(command(*arguments), 3) == (
                f"{state} was locked by another process for more than 0.05 s; try again, see who has it open "
                f"(lsof {state}), or wait longer (busy_timeout_seconds in Python)"
            )
        writer.execute("ROLLBACK")
    assert len(answered(command("changes", "--json"))["changes"]) == 1


OBEYING = """
import sys
from tests.permissions import obey_permissions
obey_permissions()
from crew_repo.cli.start import start
start()
"""


@pytest.mark.siege
def test_a_read_only_file_is_told(command, corrected_crew, state):
    """Changes are listed, and tried; none can be made."""
    command(*OVERRIDE, *ADA)
    state.chmod(0o400)
    state.parent.chmod(0o500)
    before = contents(state.parent)
    try:
        for arguments, code in [(["changes"], 0), ([*OVERRIDE, "--dry-run"], 0), (OVERRIDE, 3), (["undo", "1"], 3)]:
            done = process([sys.executable, "-c", OBEYING, *arguments, "--db", str(state)])
            assert done.returncode == code, done.stderr
            assert (f"{state} is read-only; make it" in done.stderr) == bool(code)
            assert "Traceback" not in done.stderr
    finally:
        state.parent.chmod(0o700)
    assert contents(state.parent) == before


def test_marking_complete_makes_a_new_state(command, tmp_path):
    """Where none is, as a run does; a dry run makes none."""
    (tmp_path / "the_corrected_crew.py").write_text(CREW)
    given = ("mark-complete", "analyze", "the_corrected_crew:build", *OLD, "--output", "hail", "--db", "new.db")
    assert command(*given, "--dry-run").exit_code == 0
    assert not Path("new.db").exists()
    assert command(*given).exit_code == 0
    assert [task["status"] for task in answered(command("status", "--db", "new.db", "--json"))["tasks"]] == ["completed"]


def test_an_answer_that_is_held_is_listed_with_its_text(command, corrected_crew, state):
    """`changes` says what `changes()` does, before a run adopts the answer."""
    from the_corrected_crew import build

    with StateRepository(state) as repo:
        repo.mark_complete("draft", "to be paid", crew=build(), inputs={"notes": "?", "adjuster": "?"}, hold=True)
        (entry,) = repo.changes()
    (change,) = answered(command("changes", "--json"))["changes"]
    assert (change["after"], change["detail"]) == (entry.after, entry.detail) == ("to be paid", HELD)
    assert "now to be paid" in command("changes").stdout
