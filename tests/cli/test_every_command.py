"""Every command against every kind of file: it works, or refuses in one line. A new command is tried as it comes."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing
from itertools import chain
from pathlib import Path

import click
import pytest

from crew_repo import StateRepository
from crew_repo.cli import reader
from crew_repo.cli.commands import crew_repo
from tests.cli.conftest import contents, runner
from tests.cli.test_contract import CREW, PROJECT
from tests.gates import Gate
from tests.permissions import obey_permissions
from tests.processes import begin

pytestmark = pytest.mark.siege
GROUP = click.Context(crew_repo)
NAMES = crew_repo.list_commands(GROUP)
VALUES = {"task": ["draft"], "selectors": ["draft"], "file": ["export.jsonl"], "change": ["1"], "project": PROJECT, "workflow": ["crew"]}
OPTIONS = {"output": ["--output", "a text"], "retired": ["--retired"], "workflow": ["--workflow", "crew"],
           "project": ["--project", PROJECT[0]]}  # fmt: skip
OF_ALL_RUNS = ("runs", "show", "diff", "resume", "changes")  # whose SELECTOR, if any, is not a task
EVERY = pytest.mark.parametrize("name", NAMES)


def typed(name: str) -> list[str]:
    """A command with what it needs: arguments by their names, and an option where there is nothing to do without."""
    members = {str(param.name): param for param in crew_repo.get_command(GROUP, name).params}
    told = {key: words for key, words in VALUES.items() if isinstance(members.get(key), click.Argument)}
    if name in OF_ALL_RUNS:
        told.pop("selectors", None)
    if name == "export":
        told.pop("file")  # to standard output
    options = [words for key, words in OPTIONS.items() if isinstance(members.get(key), click.Option)]
    return [name, *chain.from_iterable([*told.values(), *options])]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, recorded) -> None:
    """The current folder has an export to import; a crew can be imported; nobody waits long for a lock."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("the_pinned_crew.py").write_text(CREW)
    shutil.copy(exported(recorded), "export.jsonl")
    monkeypatch.setattr(reader, "_BUSY_SECONDS", 0.05)
    monkeypatch.setitem(StateRepository.__init__.__kwdefaults__, "busy_timeout_seconds", 0.05)


def exported(recorded: Path) -> Path:
    """The export of the recorded state, which is made once."""
    file = recorded.with_name("export.jsonl")
    if not file.exists():
        copy = shutil.copy(recorded, recorded.with_name("copy.db"))
        with StateRepository(copy) as repo:
            repo.export_json(file)
    return file


def clear(done) -> str | None:
    """The one line of a command that refuses; None for one that works. Anything else fails, a surprise above all."""
    assert done.exit_code in (0, 1, 2, 3), done.output
    if done.exit_code in (0, 1):
        assert done.stdout
        return None
    assert done.stdout == ""
    said = [line for line in done.stderr.splitlines() if line.startswith("crew-repo: ")]
    assert len(said) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "--debug shows where" not in said[0], "an exception that nobody has put into words"
    return said[0]


def refusal(command, name: str, path: Path, code: int = 3) -> str:
    """The line of a command that must refuse, and leave what is there as it is."""
    before = contents(path.parent)
    done = command(*typed(name), "--db", path)
    said = clear(done)
    assert (done.exit_code, contents(path.parent)) == (code, before), done.output
    assert said is not None
    return said


def folder_with(tmp_path: Path, content: bytes | None) -> Path:
    path = tmp_path / "its folder" / "state.db"
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    return path


@EVERY
def test_a_missing_file(command, tmp_path, name):
    """What needs a state refuses one that is not there, and makes none; what can begin one does."""
    path = folder_with(tmp_path, None)
    done = command(*typed(name), "--db", path)
    said = clear(done)
    if said is None:
        assert {"project", "file"} & {param.name for param in crew_repo.get_command(GROUP, name).params} or name == "init"
    else:
        assert contents(path.parent) == {}
        assert done.exit_code in (2, 3)


@EVERY
def test_an_empty_file(command, tmp_path, name):
    """An empty file is a state without anything: what asks for a name refuses, since there is none yet."""
    path = folder_with(tmp_path, b"")
    done = command(*typed(name), "--db", path)
    assert clear(done) is None or done.exit_code == 2, done.output


@EVERY
@pytest.mark.parametrize("content", [b"no database, only text " * 20, b"short", b'{"completed_tasks": []}'],
                         ids=["text", "short", "json"])  # fmt: skip
def test_a_file_of_another_kind(command, tmp_path, name, content):
    """It is refused by its path, and stays as it is."""
    path = folder_with(tmp_path, content)
    assert str(path) in refusal(command, name, path)


@EVERY
def test_the_file_of_another_program(command, tmp_path, name):
    """It is refused, and gets no table of ours."""
    path = folder_with(tmp_path, None)
    with closing(sqlite3.connect(path)) as theirs, theirs:
        theirs.execute("CREATE TABLE accounts (number)")
    assert "is the SQLite file of another program" in refusal(command, name, path)


@EVERY
def test_a_newer_state(command, state, name):
    """It is refused with the remedy, and stays as it is."""
    with closing(sqlite3.connect(state)) as newer, newer:
        newer.execute("UPDATE crew_repo_schema SET version = 99")
        newer.execute("PRAGMA user_version = 99")
    assert "install one here that is as new as the one that wrote it" in refusal(command, name, state)


@EVERY
@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_damaged_file(command, state, name, kept):
    """It is refused by its path, with the remedy, and no byte of it changes."""
    with state.open("r+b") as file:
        file.seek(4096 * kept)
        file.write(b"\xff" * (state.stat().st_size - 4096 * kept))
    before = state.read_bytes()
    done = command(*typed(name), "--db", state)
    said = clear(done)
    assert said is None or str(state) in said
    assert said is not None or kept > 1
    assert state.read_bytes() == before


def lock(gate: Gate, path: Path) -> None:
    """Write to a file, and stay at it until the gate is opened."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        gate.pass_through()


@EVERY
def test_a_busy_file(command, state, tmp_path, name):
    """While another process writes, what reads answers; what writes says that the file is locked, and does so later."""
    gate = Gate(tmp_path / "gate").shut()
    process = begin(tmp_path / "report.txt", lock, gate, state)
    gate.wait_until_reached()
    before = state.read_bytes()
    said = clear(command(*typed(name), "--db", state))
    assert state.read_bytes() == before
    gate.open()
    process.join()
    assert process.exitcode == 0
    if said is not None and "was locked by another process" in said:
        assert "was locked" not in (clear(command(*typed(name), "--db", state)) or "")


def without_rights(name: str, path: Path, report: Path) -> None:
    """Type a command as one who may write neither the file nor its folder; its exit code and what it says are reported."""
    sys.path.insert(0, str(Path.cwd()))
    obey_permissions()
    done = runner().invoke(crew_repo, [*typed(name), "--db", str(path)])
    report.write_text(f"{done.exit_code} {clear(done) or ''}")


@EVERY
def test_a_read_only_file(state, tmp_path, name):
    """What reads answers; what writes says what may not be written, unless there is nothing to write. Nothing changes."""
    before = contents(state.parent)
    state.chmod(0o400)
    state.parent.chmod(0o500)
    process = begin(tmp_path / "failed.txt", without_rights, name, state, tmp_path / "said.txt")
    process.join()
    state.parent.chmod(0o700)
    assert process.exitcode == 0, (tmp_path / "failed.txt").read_text()
    code, _, said = (tmp_path / "said.txt").read_text().partition(" ")
    assert code != "3" or "read-only" in said or "permission" in said or "writable" in said, said
    assert contents(state.parent) == before
