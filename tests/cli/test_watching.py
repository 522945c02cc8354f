"""Watching: what goes on in any process or on any host is told as it changes, on both databases."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from crew_repo import StateRepository
from crew_repo.model import Outcome, RunStatus
from crew_repo.store import Store
from crew_repo.store.process_identity import this_owner
from tests import crews, postgres
from tests.cli.conftest import answered, contents, refused
from tests.conformance.kit import DEAD, ELSEWHERE, Kit, new_record, task_run
from tests.gates import Gate
from tests.models import PromptModel
from tests.processes import begin

ROOT = Path(__file__).parents[2]
HOST, PID = this_owner().split(":")[:2]
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.siege)])
def url(request, tmp_path) -> str:
    """A new database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    return postgres.new_database(request.getfixturevalue("postgres_server"))


@pytest.fixture
def kit(url):
    """Short words for what a run does to it."""
    with Store(url) as store:
        yield Kit(store)


@pytest.fixture
def watching():
    """Start `crew-repo`, which looks often, in a process of its own."""
    begun = []

    def start(*arguments: object, stdout=subprocess.PIPE, **settings: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "crew_repo.cli", *map(str, arguments), "--interval", "0.05"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
        begun.append(subprocess.Popen(command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def without_times(line: str) -> str:
    return re.sub(r"[\d,]+ s left", "N s left", re.sub(TIME, "then", line)).rstrip("\n")


def told(process: subprocess.Popen[str], lines: int) -> list[str]:
    """So many lines, as soon as they are printed; without times."""
    return [without_times(process.stdout.readline()) for _ in range(lines)]


def start(kit: Kit, run_id: str, names: tuple[str, ...], workflow_id: str = "claim-1") -> str:
    """A run that tells the names of its crew's tasks."""
    kit.begin(run_id, workflow_id, task_names=tuple(names))
    return run_id


def test_each_change_is_a_line(url, kit, watching):
    """Off a terminal a line tells of each run and task that begins or ends; the last lines are those of `status`."""
    kit.run(new_record("extract", duration_seconds=1e6, template="an older text"))
    record = new_record("extract", run_id=start(kit, "run-2", ("extract", "draft")))
    lease = kit.lease(record)
    process = watching("status", "--watch", "--db", url)
    assert told(process, 2) == [
        f"run run-2 of claim-1 began at then in process {PID} on {HOST}",
        f"claim-1: extract is being executed since then by run run-2 in process {PID} on {HOST}; about N s left",
    ]
    kit.store.save_finished(lease, record, task_run(record))
    assert told(process, 1) == ["claim-1: extract completed at then; 30 tokens, 1.5 s: policy 42"]
    draft = new_record("draft", run_id="run-2", position=1, template="Write")
    kit.lease(draft)
    assert told(process, 1) == [
        f"claim-1: draft is being executed since then by run run-2 in process {PID} on {HOST}"
    ]  # fmt: skip
    kit.finish("run-2", RunStatus.FAILED, tokens_spent=30)
    rest, errors = process.communicate()
    ended, *table = map(without_times, rest.splitlines())
    assert ended == "run run-2 of claim-1 failed at then: 1 executed, 0 reused; 30 tokens spent, 0 saved"
    assert [line.split()[:3] for line in table] == [
        ["workflow", "task", "status"], ["claim-1", "extract", "completed"]
    ]  # fmt: skip
    assert (process.returncode, errors) == (0, "")


def test_a_failure_is_told_and_is_something_to_do(url, kit, watching):
    """A task that fails is a line with its error, and the exit code is that of `status`: 1."""
    record = new_record("extract", run_id=kit.start(owner=ELSEWHERE))
    lease = kit.lease(record, owner=ELSEWHERE)
    process = watching("status", "--watch", "--db", url)
    assert told(process, 2)[1].endswith("by run run-1 in process 77 on another-host")
    kit.store.save_failed(lease, task_run(record, Outcome.FAILED))
    kit.finish("run-1", RunStatus.FAILED)
    rest, _ = process.communicate()
    assert rest.startswith("claim-1: extract failed\nrun run-1 of claim-1 failed at ")
    assert process.returncode == 1


def test_a_line_has_nothing_that_a_terminal_would_obey(url, kit, watching):
    """Whatever names stand in the state, a line is one line, without escape sequences."""
    kit.start("claim\x1b[31m\n-1")
    process = watching("runs", "--follow", "--db", url)
    assert told(process, 1) == [f"run run-1 of claim [31m -1 began at then in process {PID} on {HOST}"]


def test_whom_a_run_waits_for_is_told(url, kit, watching):
    """With the process that executes it and since when, as long as it waits; of a run of another workflow too."""
    record = new_record("extract", run_id=start(kit, "run-1", ("extract",)))
    kit.lease(record)
    for run_id, workflow_id in (("run-2", "claim-1"), ("run-3", "claim-2")):
        start(kit, run_id, ("extract",), workflow_id)
        kit.store.note_waiting(run_id, {"extract": "run-1"})
    process = watching("status", "--watch", "--db", url)
    assert told(process, 6)[4:] == [
        f"{workflow_id}: extract of run {run_id} waits for run run-1 in process {PID} on {HOST}, since then"
        for run_id, workflow_id in (("run-2", "claim-1"), ("run-3", "claim-2"))
    ]
    kit.store.note_waiting("run-2", {})
    for number in (3, 2, 1):
        kit.finish(f"run-{number}")
    rest, _ = process.communicate()
    assert "waits for" not in rest


def test_json_is_the_last_state_alone(url, kit, watching):
    """With --json nothing is printed until nothing goes on, and then the one value of `status`."""
    record = new_record("extract", run_id=kit.start())
    lease = kit.lease(record)
    process = watching("status", "--watch", "--json", "--db", url)
    kit.store.save_finished(lease, record, task_run(record))
    kit.finish("run-1")
    value = json.loads(process.communicate()[0])
    assert (process.returncode, value["command"], value["exit_code"]) == (0, "status", 0)
    assert [task["status"] for task in value["result"]["tasks"]] == ["completed"]


def test_selected_tasks_are_shown_to_the_end(url, kit, watching):
    """A selector of what is running stays with those tasks, and other workflows do not keep it from ending."""
    kit.start("claim-2")
    record = new_record("extract", run_id=kit.start())
    lease = kit.lease(record)
    process = watching("status", "--watch", "status:running", "--db", url)
    assert [line.split()[:4] for line in told(process, 2)] == [
        ["run", "run-2", "of", "claim-1"], ["claim-1:", "extract", "is", "being"]
    ]  # fmt: skip
    kit.store.save_finished(lease, record, task_run(record))
    kit.finish("run-2")
    rest, _ = process.communicate()
    assert rest.splitlines()[-1].split()[:3] == ["claim-1", "extract", "completed"]
    assert process.returncode == 0


def test_runs_are_followed(url, kit, watching):
    """A line tells that a run begins, and one that it ends, of one workflow if that is asked for, until Ctrl-C: 130."""
    kit.run(new_record())
    kit.start()
    process = watching("runs", "--follow", "--workflow", "claim-1", "--db", url)
    assert told(process, 1) == [f"run run-2 of claim-1 began at then in process {PID} on {HOST}"]
    kit.finish(kit.start("claim-2"))
    kit.finish("run-2", tokens_spent=12)
    assert told(process, 1) == ["run run-2 of claim-1 completed at then: 0 executed, 0 reused; 12 tokens spent, 0 saved"]
    kit.finish(kit.start())
    assert [line.split()[:5] for line in told(process, 2)] == [
        ["run", "run-4", "of", "claim-1", "began"], ["run", "run-4", "of", "claim-1", "completed"]
    ]  # fmt: skip
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate()
    assert (process.returncode, rest, errors.strip()) == (130, "", "crew-repo: interrupted")


def test_whoever_stops_reading_has_had_enough(kit, url, watching):
    """A closed pipe ends it without an error."""
    kit.start()
    process = watching("runs", "--follow", "--db", url)
    told(process, 1)
    process.stdout.close()
    kit.finish("run-1")
    assert process.wait() == 0
    assert process.stderr.read() == ""


@pytest.mark.parametrize("arguments, said", [
    (["runs", "--follow", "--json"], "With --json standard output is one JSON value, and --follow never ends; leave one out"),
    (["runs", "--follow", "status:failed"],
     "--follow takes no SELECTOR, since it shows runs to come; --workflow ID follows one workflow"),
    (["runs", "--follow", "--workflow", "nobody"], "There is no workflow 'nobody'. The workflows are: 'CLM-2025-0117', 'crew'."),
    (["status", "--watch", "drat"], "There is no task 'drat'. Did you mean 'draft'?"),
    (["status", "--watch", "--interval", "0"], "Invalid value for '--interval'"),
])  # fmt: skip
def test_what_cannot_be_watched(command, state, arguments, said):
    """A wrong use is refused in one line."""
    done = command(*arguments, "--db", state)
    assert done.exit_code == 2
    assert said in (json.loads(done.stdout)["error"]["message"] if "--json" in arguments else refused(done, 2))


def test_nothing_goes_on(command, state):
    """Then watching says what `status` says, and leaves the folder as it was; a missing file is refused."""
    before = contents(state.parent)
    assert command("status", "--watch", "--db", state).stdout == command("status", "--db", state).stdout
    assert answered(command("status", "--watch", "--json", "--db", state)) == answered(
        command("status", "--json", "--db", state)
    )
    assert contents(state.parent) == before
    assert "is not there" in refused(command("status", "--watch", "--db", "missing.db"), 3)
    assert "is not there" in refused(command("runs", "--follow", "--db", "missing.db"), 3)


def test_a_run_whose_process_is_gone_does_not_go_on(url, kit, command):
    """A dead process of this host is not waited for: its task is interrupted, which the next run executes."""
    kit.lease(new_record("extract", run_id=kit.start(owner=DEAD)), owner=DEAD)
    tasks = answered(command("status", "--watch", "--db", url, "--json"), 1)["tasks"]
    assert [(task["task_name"], task["status"]) for task in tasks] == [("extract", "interrupted")]


def shown_until(terminal: int, words: str) -> str:
    """What is shown on a terminal, up to these words; to its end if they do not come."""
    text = ""
    while words not in text:
        try:
            text += os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # Linux: the other side is closed
            break
    return text


@pytest.mark.parametrize("settings, redrawn, colored", [
    ({}, True, True), ({"NO_COLOR": "1"}, True, False), ({"TERM": "dumb"}, False, False),
])  # fmt: skip
@pytest.mark.siege
def test_a_terminal_is_redrawn(tmp_path, watching, settings, redrawn, colored):
    """A terminal shows runs with tokens and time left above the tasks; one that understands nothing gets lines."""
    path = tmp_path / "state.db"
    with Store(f"sqlite:///{path}") as store:
        kit = Kit(store)
        kit.run(new_record("extract", duration_seconds=1e6), new_record("draft", position=1, duration_seconds=1e6, template="Write"))
        lease = kit.lease(record := new_record("extract", run_id=start(kit, "run-2", ("extract", "draft")), template="new"))
        ours, theirs = pty.openpty()
        wide = {"TERM": "xterm", "COLUMNS": "250", "LINES": "40"}
        process = watching("status", "--watch", "--db", path, stdout=theirs, **{**wide, **settings})
        os.close(theirs)
        shown = shown_until(ours, "running" if redrawn else "is being executed")
        assert ("\x1b[2K" in shown or "\x1b[?25l" in shown) == redrawn
        assert ("\x1b[36mrunning" in shown) == colored
        assert (", for " in shown) == redrawn
        assert bool(re.search(r"; 0 tokens spent on finished tasks; up to [\d,]{9} s left", shown)) == redrawn
        kit.store.save_finished(lease, record, task_run(record))
        kit.finish("run-2")
        assert "completed" in shown_until(ours, "no such words")
        os.close(ours)
        assert process.wait() == 0


def held_up(gate: Gate, path: Path) -> None:
    """A run whose model stands at the gate."""
    model = PromptModel(model="m", script={"<<draft>>": lambda _prompt: gate.pass_through() or "done"})
    with StateRepository(path, verbose=False) as repo:
        repo.run(crews.sequential_unspecified_context(model), crews.NOTES)


@pytest.mark.siege
def test_a_killed_run_is_told(tmp_path, watching):
    """A run that is killed while it is watched is interrupted, which takes no lease's time on its own host."""
    path, gate = tmp_path / "state.db", Gate(tmp_path / "gate").shut()
    process = begin(tmp_path / "report.txt", held_up, gate, path)
    gate.wait_until_reached()
    watcher = watching("status", "--watch", "--db", path)
    assert "crew: draft is being executed since" in told(watcher, 2)[1]
    process.kill()
    process.join()
    rest, _ = watcher.communicate()
    assert re.match(r"crew: draft interrupted\nrun \S+ of crew was interrupted: 1 executed, 0 reused; ", rest)
    assert watcher.returncode == 1


@pytest.mark.siege
def test_a_run_that_waits_for_another(repo, model, refused, watching):
    """Of two real runs of one crew, the one that waits is told, with the run that it waits for."""
    reached, go = threading.Event(), threading.Event()
    model.script["<<draft>>"] = lambda _prompt: reached.set() or (go.wait() and "done")
    runs = [threading.Thread(target=repo.run, args=(crews.sequential_unspecified_context(model), crews.NOTES))
            for _ in range(2)]  # fmt: skip
    runs[0].start()
    reached.wait()
    runs[1].start()
    refused.wait()
    executes, waits = [run.run_id for run in reversed(repo.runs())]
    watcher = watching("status", "--watch", "--db", repo.url)
    lines = told(watcher, 4)
    assert lines[3].startswith(f"crew: draft of run {waits} waits for run {executes} in process {PID} on {HOST}, since")
    go.set()
    for run in runs:
        run.join()
    rest, _ = watcher.communicate()
    assert f"run {executes} of crew completed" in rest
    assert f"run {waits} of crew completed" in rest
    assert watcher.returncode == 0
