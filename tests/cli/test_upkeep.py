"""The commands that keep a state in order: what they do, and that a dry run does nothing."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from crew_repo import StateRepository
from tests.cli.conftest import answered, contents, refused


@pytest.mark.parametrize("arguments, names", [
    (["analyze"], ["CLM-2025-0117/analyze", "crew/analyze"]),
    (["analyze+", "--workflow", "crew"], ["crew/analyze", "crew/draft"]),
    (["workflow:CLM-*,d*"], ["CLM-2025-0117/draft"]),
])  # fmt: skip
def test_invalidate(command, state, arguments, names):
    """Exactly the selected tasks are invalidated, in exactly the selected workflows; a dry run only names them."""
    before = contents(state.parent)
    for dry in (["--dry-run"], []):
        done = answered(command("invalidate", *arguments, *dry, "--db", state, "--json"))
        assert [f"{task['workflow_id']}/{task['task_name']}" for task in done["tasks"]] == names
        assert (contents(state.parent) == before) == bool(dry)
    shown = answered(command("status", "status:invalidated", "--db", state, "--json"), 1)["tasks"]
    assert [f"{task['workflow_id']}/{task['task_name']}" for task in shown] == names


def test_verify_finds_what_was_edited(command, state):
    """It exits with 1, and names each record whose output was changed by hand."""
    assert answered(command("verify", "--db", state, "--json"))["problems"] == []
    with closing(sqlite3.connect(state)) as edited, edited:
        edited.execute("UPDATE record SET output = 'never said' WHERE record_id = 2")
    problems = answered(command("verify", "--db", state, "--json"), 1)["problems"]
    assert [(problem["record_id"], problem["task_name"]) for problem in problems] == [(2, "draft")]
    assert "record 2 (crew/draft)" in command("verify", "--db", state).stdout


def test_prune(command, state):
    """It deletes what was asked for, and in a dry run counts it; without a limit it asks for one."""
    assert refused(command("prune", "--db", state), 2).startswith("Say what to delete: --keep-last N")
    assert "is no age" in refused(command("prune", "--older-than", "old", "--db", state), 2)
    assert answered(command("prune", "--older-than", "90d", "--db", state, "--json"))["records"] == 0
    before = contents(state.parent)
    assert answered(command("prune", "--keep-last", "1", "--dry-run", "--db", state, "--json"))["records"] == 2
    assert contents(state.parent) == before
    assert answered(command("prune", "--keep-last", "1", "--db", state, "--json"))["records"] == 2
    assert len(answered(command("history", "draft", "--db", state, "--json"))["records"]) == 2


def test_export_and_import(command, state, tmp_path):
    """An export goes to standard output or a private file, and into another state once; a dry run writes nothing."""
    assert answered(command("export", "all.jsonl", "--dry-run", "--db", state, "--json"))["lines"] > 7
    assert not Path("all.jsonl").exists()
    command("export", "all.jsonl", "--db", state)
    assert Path("all.jsonl").stat().st_mode & 0o777 == 0o600
    assert command("export", "--db", state).stdout == Path("all.jsonl").read_text()
    assert answered(command("import", "all.jsonl", "--dry-run", "--db", "new.db", "--json"))["new_records"] == 7
    assert not Path("new.db").exists()
    assert answered(command("import", "all.jsonl", "--db", "new.db", "--json"))["new_records"] == 7
    again = command("import", "-", "--dry-run", "--db", "new.db", "--json", input=Path("all.jsonl").read_text())
    assert answered(again)["new_records"] == 0


@pytest.mark.parametrize("arguments, code, said", [
    (["export", "there.txt"], 2, "there.txt is there already; --force writes over it"),
    (["export", "--json"], 2, "name the FILE to export to"),
    (["import", "there.txt"], 3, "Line 1 of the export is no JSON"),
    (["import", "missing.jsonl"], 3, "'missing.jsonl' is neither an export nor a file that can be read: No such file"),
    (["import", "bytes"], 3, "'bytes' is neither an export nor a file that can be read: it is no UTF-8 text; give what"),
])  # fmt: skip
def test_files_that_cannot_be(command, state, arguments, code, said):
    """Nothing is written over unasked, and what is no export is refused."""
    Path("there.txt").write_text("mine\n")
    Path("bytes").write_bytes(b"SQLite format 3\x00\xff")
    done = command(*arguments, "--db", state)
    assert done.exit_code == code
    assert said in done.stdout + done.stderr
    assert Path("there.txt").read_text() == "mine\n"


def test_the_state_is_no_place_to_export_to(command, state):
    """Not even with --force."""
    before = contents(state.parent)
    assert "is the state itself" in refused(command("export", state, "--force", "--db", state), 2)
    assert contents(state.parent) == before


def test_init(command, tmp_path):
    """It makes a state that only its owner can read, and leaves one that is there as it is."""
    assert answered(command("init", "--dry-run", "--json"))["new"] is True
    assert not Path("crew_state.db").exists()
    assert command("init").stdout == f"{tmp_path / 'crew_state.db'} is new\n"
    assert Path("crew_state.db").stat().st_mode & 0o777 == 0o600
    before = Path("crew_state.db").read_bytes()
    assert command("init").stdout == f"{tmp_path / 'crew_state.db'} is up to date\n"
    assert Path("crew_state.db").read_bytes() == before


def test_init_of_a_held_file(command, tmp_path, monkeypatch):
    """Whatever holds it, init says what is so: a file without tables is no state, and one of this version needs nothing."""
    monkeypatch.setitem(StateRepository.__init__.__kwdefaults__, "busy_timeout_seconds", 0.05)
    path = tmp_path / "crew_state.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.executescript("CREATE TABLE gone (x); DROP TABLE gone; BEGIN IMMEDIATE")
        assert f"{path} was locked by another process" in refused(command("init"), 3)
        other.execute("ROLLBACK")
        assert command("init").stdout == f"{path} is new\n"
        other.execute("BEGIN IMMEDIATE")
        assert command("init").stdout == f"{path} is up to date\n"
    assert answered(command("status", "--json"))["tasks"] == []


@pytest.mark.parametrize("alive", [True, False])
def test_a_run_whose_process_is_gone(command, state, alive):
    """On this host it is known at once whether a run goes on; its task is running, or interrupted and to be done."""
    from crew_repo.store.process_identity import this_owner

    owner = this_owner()
    if not alive:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        host, _, rest = owner.split(":", 2)
        owner = f"{host}:{child}:{rest}"
    with StateRepository(state) as repo:
        run_id = repo.runs("crew")[0].run_id
    with closing(sqlite3.connect(state)) as edited, edited:
        edited.execute("UPDATE run_entry SET status = 'running', finished_at = NULL, owner = ? WHERE run_id = ?",
                       (owner, run_id))  # fmt: skip
        edited.execute("UPDATE run_entry SET heartbeat_at = '2999-01-01T00:00:00.000000Z' WHERE run_id = ?", (run_id,))
        edited.execute("DELETE FROM task_run WHERE run_id = ? AND task_name = 'draft'", (run_id,))
        edited.execute(
            "INSERT INTO lease (workflow_id, input_hash, owner, run_id, task_name, position, acquired_at, expires_at) "
            "VALUES ('crew', 'x', ?, ?, 'draft', 1, '2025-01-01T00:00:00.000000Z', '2999-01-01T00:00:00.000000Z')",
            (owner, run_id),
        )
    standing = "running" if alive else "interrupted"
    tasks = answered(command("status", "--workflow", "crew", "--db", state, "--json"), int(not alive))["tasks"]
    assert [task["status"] for task in tasks] == ["completed", standing]
    runs = answered(command("runs", "--workflow", "crew", "--db", state, "--json"))["runs"]
    assert [run["status"] for run in runs] == [standing]
    shown = answered(command("show", run_id, "--db", state, "--json"))["run"]
    assert (shown["status"], [task["status"] for task in shown["tasks"]]) == (standing, ["executed", standing])
    with StateRepository(state) as repo:
        assert [str(each.status) for each in repo.tasks("crew")] == ["completed", standing]
