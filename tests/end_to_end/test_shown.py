"""What people see: lines of ours beside CrewAI's, the bar of a batch, short reprs, and tables in a notebook."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew
from rich.console import Console

from crew_repo import StateRepository
from crew_repo.runner.batches.above_bar import above_bar
from tests import crews
from tests.crews import NEW_NOTES, NOTES
from tests.gates import Gate
from tests.models import PromptModel
from tests.terminals import shown_on_terminal

pytestmark = pytest.mark.siege


@pytest.fixture
def crew(model: PromptModel) -> Crew:
    """Two tasks, `analyze` and `draft`, of which only the second reads the adjuster."""
    return crews.sequential_last_input(model)


def test_each_task_has_one_line_of_ours(tmp_path, model, crew, capsys):
    """Marked as ours, once, when it is done with; with why it was executed and what that took, or what it saved."""
    with StateRepository(tmp_path / "state.db", verbose=True) as repo:
        repo.run(crew, NOTES)
        capsys.readouterr()
        run = repo.run(crew, {**NOTES, "adjuster": "Bo"}).run
    spent, saved = (f"{sum(task.usage.total_tokens for task in run.tasks):,}", f"{run.tokens_saved:,}")
    lines = [re.sub(r"[\d.]+ s", "0 s", line) for line in capsys.readouterr().err.splitlines()]
    assert [line for line in lines if line.startswith("crew_repo: ")] == [
        f"crew_repo: run {run.run_id} of crew",
        f"crew_repo:   analyze  reused     saved {saved} tokens, 0 s",
        f"crew_repo:   draft    executed   {spent} tokens, 0 s; input:adjuster: Ada -> Bo",
        f"crew_repo:   completed: 1 task executed, 1 reused; {spent} tokens spent, {saved} tokens and 0 s saved",
    ]


def test_a_task_that_fails_has_one_line_too(tmp_path, model, crew, capsys):
    """With its error, and why it was executed."""
    model.script["<<draft>>"] = lambda _: 1 / 0
    with StateRepository(tmp_path / "state.db", verbose=True) as repo, pytest.raises(ZeroDivisionError):
        repo.run(crew, NOTES)
    lines = [line for line in capsys.readouterr().err.splitlines() if "  draft " in line]
    assert lines == ["crew_repo:   draft    failed     ZeroDivisionError: division by zero; never ran"]


# The bar of a batch.


class Screen:
    """A terminal as far as this test needs one: it moves the cursor, and knows what stands where."""

    def __init__(self) -> None:
        self.lines: list[str] = [""]
        self._row = self._column = 0

    def show(self, written: str) -> None:
        """Do what a terminal does with these characters."""
        for control, move, text in re.findall(r"\x1b\[([0-9;?]*)([a-zA-Z])|([^\x1b])", written):
            self._move(move, int(control or 1)) if move in ("A", "K") else self._put(text) if text else None

    def _move(self, move: str, by: int) -> None:
        if move == "A":
            self._row = max(0, self._row - by)
        else:
            self.lines[self._row] = "" if by == 2 else self.lines[self._row][: self._column]

    def _put(self, text: str) -> None:
        if text == "\n":
            self._row += 1
            self.lines += [""] * (self._row + 1 - len(self.lines))
        elif text == "\r":
            self._column = 0
        else:
            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[: self._column] + text + line[self._column + 1 :]
            self._column += 1


def loud() -> Crew:
    """A crew whose agent tells what it does, and whose tool prints."""
    worker = crews.agent(PromptModel(model="m", script={"<<analyze>>": said}), verbose=True)
    return Crew(agents=[worker], tasks=[crews.task("analyze", "{notes}", worker)], verbose=True)


def said(prompt: str) -> str:
    """Prints a line, as tools do."""
    number = re.findall(r"claim (\d+)", prompt)[0]
    print(f"printed by claim {number}")  # noqa: T201 - what this is about
    sys.stderr.write(f"warned of claim {number}\n")
    return f"answer to claim {number}"


def on_terminal(terminal: str) -> None:
    """A batch of loud crews whose output and errors go to a terminal."""
    os.environ.update(TERM="xterm", COLUMNS="120")
    file = os.open(terminal, os.O_WRONLY | os.O_NOCTTY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(file, stream.fileno())
    os.close(file)
    Gate(Path("opened")).pass_through()
    StateRepository("state.db").run_for_each(loud, [{"notes": f"claim {n}"} for n in range(3)], max_workers=2)


def test_the_bar_of_a_batch_survives_agents_that_tell_what_they_do(repo):
    """On the terminal there is one bar, below all panels of CrewAI's, of which no line was written over."""
    screen = Screen()
    screen.show(shown_on_terminal(Gate(Path("opened")), on_terminal))
    bars = [at for at, line in enumerate(screen.lines) if "/3" in line and "executed" in line]
    assert len(bars) == 1, "\n".join(screen.lines)
    assert "3/3" in screen.lines[bars[0]]
    assert "crew_repo: 3 items in" in "\n".join(screen.lines[bars[0] :])
    above = "\n".join(screen.lines[: bars[0]])
    for number in range(3):
        assert re.search(rf"^printed by claim {number}$", above, re.M)
        assert re.search(rf"^warned of claim {number}$", above, re.M)
    tops, bottoms = len(re.findall("^╭─.*╮ *$", above, re.M)), len(re.findall("^╰─+╯ *$", above, re.M))
    assert tops == bottoms > 3, above
    assert above.count("answer to claim") >= 3


def test_lines_of_several_threads_do_not_mix(monkeypatch):
    """A text and the end of its line are written one after the other, and others may print in between."""
    screen, file = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", file)
    with above_bar(Console(file=screen, force_terminal=True, width=80)):
        sys.stdout.write("one")
        other = threading.Thread(target=lambda: print("two"))  # noqa: T201 - what this is about
        other.start()
        other.join()
        sys.stdout.write("\nthree")
    assert (screen.getvalue(), file.getvalue()) == ("two\none\nthree\n", "")
    assert sys.stdout is file


class Terminal(io.StringIO):
    """Text that is written to a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_a_batch_leaves_output_that_goes_to_a_file_alone(repo, capsys):
    """What is printed meanwhile stays where it would go, and the streams are those of before."""
    before = sys.stdout, sys.stderr
    repo.run_for_each(loud, [{"notes": "claim 7"}])
    assert (sys.stdout, sys.stderr) == before
    assert "printed by claim 7" in capsys.readouterr().out


# In a session of Python, and in a notebook.


def test_what_is_returned_prints_on_a_few_lines(repo, crew):
    """The repr of a plan, a run, a task of it, a record, a state and a reason, however long their texts are."""
    crew.tasks[0].description += " at length" * 500
    run = repo.run(crew, NOTES).run
    record, state = repo.history("analyze")[0], repo.tasks()[0]
    plan = repo.plan(crew, {"notes": "n" * 5000, "adjuster": "Bo"})
    for item in (plan, run, run.tasks[0], record, record.result, state, plan["draft"].reasons[0], plan["analyze"]):
        assert len(repr(item)) < 400, repr(item)
        assert "\n" not in repr(item)
    assert repr(plan) == "<Plan of workflow 'crew': 0 fresh, 2 stale (analyze, draft)>"
    assert repr(run) == f"<RunRecord {run.run_id} of crew completed: executed analyze, draft>"
    assert repr(state) == "<TaskState 'analyze' of 'crew': completed>"


def test_the_repr_of_a_failed_run_names_its_task_and_no_traceback(repo, model, crew):
    """The traceback is with the task: `run.tasks[1].failure.traceback`."""
    model.script["<<draft>>"] = lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError):
        repo.run(crew, NOTES)
    (run,) = repo.runs()
    assert repr(run) == f"<RunRecord {run.run_id} of crew failed: executed analyze; failed draft>"
    assert repr(run.failure) == "<Failure ZeroDivisionError: division by zero>"
    assert "Traceback" in run.tasks[1].failure.traceback


@pytest.mark.parametrize("ask", ["runs", "tasks", "history", "run", "record", "slice", "plan"])
def test_a_notebook_shows_a_table(repo, crew, ask):
    """A row for each; what users wrote is escaped."""
    run = repo.run(crew, {**NOTES, "notes": "<b>hail</b>"}, workflow_id="<CLM>").run
    asked: dict[str, Any] = {
        "runs": repo.runs,
        "tasks": repo.tasks,
        "history": lambda: repo.history("draft"),
        "run": lambda: run,
        "record": lambda: repo.history("draft")[0],
        "slice": lambda: repo.runs()[:1],
        "plan": lambda: repo.plan(crew, NEW_NOTES, workflow_id="<CLM>"),
    }
    html = asked[ask]()._repr_html_()
    assert "<table><thead><tr><th" in html
    assert "draft" in html
    assert ("<CLM>" in html, "<b>" in html) == (False, False)


def test_a_notebook_shows_what_a_report_shows(repo, crew):
    """A plan has the graph, a run the timeline, a difference the words that changed; states have marks."""
    one = repo.run(crew, NOTES).run
    repo.run(crew, NEW_NOTES)
    plan, run, diff = (shown._repr_html_() for shown in (repo.plan(crew, NOTES), one, repo.diff()))
    assert ('class="graph"' in plan, 'class="lanes"' in run, "<ins>" in diff) == (True, True, True)
    assert all('<svg class="mark"' in html for html in (plan, run, diff))


def test_printed_lists_are_tables(repo, crew):
    """`print(repo.runs())` has a header and a line for each; an empty one says so."""
    assert str(repo.runs()) == "(none)"
    assert "none" in repo.runs()._repr_html_()
    run = repo.run(crew, NOTES).run
    header, line = str(repo.runs()).splitlines()
    assert header.split()[:3] == ["run", "workflow", "status"]
    assert line.split()[:3] == [run.run_id, "crew", "completed"]
    assert [line.split()[1] for line in str(repo.tasks()).splitlines()] == ["task", "analyze", "draft"]
    assert repo.runs() == list(repo.runs()), "they are lists like any other"
