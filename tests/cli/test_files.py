"""Each command that only reads, on every kind of file: what it says, and that it leaves the folder as it was."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from crew_repo import StateRepository
from crew_repo.cli.reader import read
from tests.cli.conftest import answered, contents, refused

VERSION_4 = Path(__file__).parents[1] / "conformance" / "version_4.sql"
READING = [["status"], ["runs"], ["show"], ["history", "draft"], ["diff", "--select", "other"], ["changes"],
           ["report", "--dry-run"]]  # fmt: skip
OVERRIDE = ["override", "draft", "--workflow", "crew", "--output", "hail"]
LOOKING = [*READING, ["verify"], ["export"], ["prune", "--retired", "--dry-run"], ["invalidate", "draft", "--dry-run"],
           [*OVERRIDE, "--dry-run"]]  # fmt: skip
WRITING = [["prune", "--retired"], ["invalidate", "draft"], OVERRIDE, ["undo", "1"], ["redo", "1"]]


def named(arguments):
    return " ".join(arguments)


def each(commands):
    return pytest.mark.parametrize("arguments", commands, ids=named)


@each([*LOOKING, *WRITING])
def test_a_missing_file_is_refused(command, tmp_path, arguments):
    """A path that is not there is trouble, said in one line, and is not created."""
    path = tmp_path / "here" / "nothing.db"
    path.parent.mkdir()
    assert f"{path} is not there" in refused(command(*arguments, "--db", path), 3)
    assert contents(path.parent) == {}


@each([*LOOKING, *WRITING])
@pytest.mark.parametrize("content, said", [
    (b"no database at all, only text that is long enough to be one" * 20, "is no SQLite file, or its first page"),
    (b"short", "is no SQLite file; give another path"),
    (b'{"completed_tasks": []}', "a JSON file with the answers of a script"),
], ids=["foreign", "short", "json"])  # fmt: skip
def test_a_file_that_is_no_state_is_refused(command, tmp_path, arguments, content, said):
    """A file of another kind is trouble, and is left as it is."""
    path = tmp_path / "here" / "state.db"
    path.parent.mkdir()
    path.write_bytes(content)
    before = contents(path.parent)
    assert said in refused(command(*arguments, "--db", path), 3)
    assert contents(path.parent) == before


@each([*LOOKING, *WRITING])
def test_the_file_of_another_program_is_refused(command, tmp_path, arguments):
    """A SQLite file without our tables is trouble, and is left as it is."""
    path = tmp_path / "here" / "theirs.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as theirs, theirs:
        theirs.execute("CREATE TABLE accounts (number)")
    before = contents(path.parent)
    assert "is the SQLite file of another program" in refused(command(*arguments, "--db", path), 3)
    assert contents(path.parent) == before


@each([["status"], ["runs"], ["changes"], ["verify"], ["export"], ["prune", "--retired", "--dry-run"]])
@pytest.mark.parametrize("how", ["no bytes", "no rows"])
def test_an_empty_state(command, tmp_path, arguments, how):
    """An empty file is an empty state, and so is one that `init` made: nothing is recorded, and nothing is wrong."""
    path = tmp_path / "here" / "state.db"
    path.parent.mkdir()
    if how == "no bytes":
        path.touch()
    else:
        assert command("init", "--db", path).exit_code == 0
    before = contents(path.parent)
    assert command(*arguments, "--db", path).exit_code == 0
    assert contents(path.parent) == before


def test_names_in_an_empty_state(command, tmp_path):
    """There is no run to show and no task to tell the history of, which is said."""
    command("init", "--db", "state.db")
    assert refused(command("show", "--db", "state.db"), 2) == "No run is recorded yet; crew-repo run makes one"
    assert refused(command("history", "draft", "--db", "state.db"), 2) == (
        "There is no task 'draft'. The tasks are: none yet."
    )
    assert refused(command("runs", "zz", "--db", "state.db"), 2) == "There is no run 'zz'. The runs are: none yet."


@each(LOOKING)
def test_a_closed_file_stays_as_it_is(command, state, arguments):
    """Nothing is left beside a closed file, and none of its bytes change."""
    before = contents(state.parent)
    assert command(*arguments, "--db", state).exit_code == 0
    assert contents(state.parent) == before


@each(READING)
def test_a_busy_file_is_read(command, state, arguments):
    """While another has it open and writes, what is committed is shown at once, and no file is touched."""
    with closing(sqlite3.connect(state, isolation_level=None)) as writer:
        writer.execute("DELETE FROM task_state WHERE workflow_id = 'crew' AND task_name = 'analyze'")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM run_entry WHERE workflow_id = 'nobody'")
        before = contents(state.parent)
        assert set(before) == {state.name, f"{state.name}-wal", f"{state.name}-shm"}
        assert command(*arguments, "--db", state).exit_code == 0
        shown = answered(command("status", "--workflow", "crew", "--db", state, "--json"))["tasks"]
        assert [task["task_name"] for task in shown] == ["draft"]
        assert contents(state.parent) == before


@each(READING)
@pytest.mark.parametrize("kept", [("-wal", "-shm"), ("-wal",)], ids=["both", "without index"])
def test_a_file_whose_writer_was_killed(command, state, tmp_path, arguments, kept):
    """What stands in a -wal that nobody has put into the file is shown, and stays there."""
    left = tmp_path / "left" / "state.db"
    left.parent.mkdir()
    with closing(sqlite3.connect(state, isolation_level=None)) as writer:
        writer.execute("DELETE FROM task_state WHERE workflow_id = 'crew' AND task_name = 'analyze'")
        for ending in ("", *kept):
            shutil.copyfile(f"{state}{ending}", f"{left}{ending}")
    before = contents(left.parent)
    assert command(*arguments, "--db", left).exit_code == 0
    shown = answered(command("status", "--workflow", "crew", "--db", left, "--json"))["tasks"]
    assert [task["task_name"] for task in shown] == ["draft"]
    assert contents(left.parent) == before


@each(LOOKING)
def test_a_read_only_file_in_a_read_only_folder(command, state, monkeypatch, arguments):
    """A file that nobody may write, in a folder that nobody may write in, is read, and stays as it is."""
    state.chmod(0o400)
    state.parent.chmod(0o500)
    try:
        before = contents(state.parent)
        assert command(*arguments, "--db", state).exit_code == 0
        assert contents(state.parent) == before
    finally:
        state.parent.chmod(0o700)


@each(READING)
def test_a_state_that_is_no_longer_in_wal_mode(command, state, arguments):
    """A copy that SQLite made (VACUUM INTO, a restored dump) is read like any other."""
    copy = state.with_name("copy.db")
    with closing(sqlite3.connect(state)) as original:
        original.execute("VACUUM INTO ?", (str(copy),))
    before = contents(state.parent)
    assert command(*arguments, "--db", copy).exit_code == 0
    assert contents(state.parent) == before


@each(READING)
def test_a_damaged_file(command, state, arguments):
    """Damage is trouble that names the file and the remedy, and is no traceback."""
    with state.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (state.stat().st_size - 4096))
    before = contents(state.parent)
    said = refused(command(*arguments, "--db", state), 3)
    assert str(state) in said
    assert "is damaged; keep it" in said
    assert contents(state.parent) == before


@each(READING)
def test_a_newer_state(command, state, arguments):
    """A state of a newer version is refused with the remedy."""
    with closing(sqlite3.connect(state)) as newer, newer:
        newer.execute("UPDATE crew_repo_schema SET version = 99")
        newer.execute("PRAGMA user_version = 99")
    assert "install one here that is as new as the one that wrote it" in refused(command(*arguments, "--db", state), 3)


def test_an_older_state_is_brought_up_to_date_by_init(command, tmp_path):
    """Reading changes nothing, so an older state is refused with the command that brings it up to date."""
    state = tmp_path / "state.db"
    with closing(sqlite3.connect(state)) as older:
        older.executescript(VERSION_4.read_text(encoding="utf-8"))
    assert "was written by an older crew_repo" in refused(command("status", "--db", state), 3)
    assert "is up to date" in command("init", "--db", state).stdout
    assert len(answered(command("status", "--db", state, "--json"))["tasks"]) == 2
    assert state.with_name(f"{state.name}.v4.bak").exists()


def test_whoever_writes_meanwhile_is_seen(state):
    """A file that is read without locks is read again, if somebody wrote to it meanwhile."""
    seen = []

    def ask(query):
        seen.append(len(query("SELECT record_id FROM record WHERE retired IS NULL")))
        if len(seen) == 1:
            with StateRepository(state) as repo:
                repo.invalidate("draft", "crew")
        return query("SELECT COUNT(*) AS number FROM record WHERE retired IS NULL")[0]["number"]

    assert read(str(state), ask) == seen[0] - 1
    assert len(seen) == 2


def test_a_folder_and_a_folder_that_is_not_there(command, tmp_path):
    """Neither is a state, and each is named."""
    assert "is a folder" in refused(command("status", "--db", tmp_path), 3)
    assert "is no folder" in refused(command("status", "--db", tmp_path / "no" / "state.db"), 3)


def test_errors_are_json_too(command, tmp_path):
    """With --json an error is one JSON value on standard output, and nothing is on standard error."""
    for arguments, code, kind in [
        (["status", "--db", "missing.db", "--json"], 3, "StoreOpenError"),
        (["status", "--bad", "--json"], 2, "NoSuchOption"),
        (["stat", "--json"], 2, "UsageError"),
        (["--json"], 2, "UsageError"),
    ]:
        done = command(*arguments)
        value = json.loads(done.stdout)
        assert (done.exit_code, value["exit_code"], value["result"]) == (code, code, None)
        assert value["error"]["type"] == kind
        assert done.stderr == ""


def test_the_state_is_named_by_the_variable_or_a_dotenv(command, state, monkeypatch, tmp_path):
    """Without --db it is CREW_REPO_URL, else what a `.env` says, else crew_state.db here."""
    assert "crew_state.db is not there" in refused(command("status"), 3)
    Path(".env").write_text(f'CREW_REPO_URL="{state}"\n')
    assert command("status").exit_code == 0
    monkeypatch.setenv("CREW_REPO_URL", "sqlite:///elsewhere.db")
    assert "elsewhere.db is not there" in refused(command("status"), 3)
