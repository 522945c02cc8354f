"""The page about the command line: each command in it is typed, and gives the output and the exit code that stand there."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Context

from crew_repo.cli.commands import crew_repo
from tests.cli.conftest import runner
from tests.playing import EXAMPLES

PAGE = EXAMPLES / "command_line.md"


def transcripts(page: str) -> Iterator[tuple[str, str]]:
    """Each command in a block of the page, and the lines below it."""
    for _, block in re.findall(r"^(`{3,})console\n(.*?)^\1$", page, re.S | re.M):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            typed, _, below = part.partition("\n")
            yield typed, below


def printed(typed: str) -> str:
    """The answer of a command, else its error; with its exit code where that is not 0."""
    done = runner().invoke(crew_repo, shlex.split(typed)[1:])
    said = (done.stdout or done.stderr).replace(str(Path.cwd()), ".")
    return said + (f"(exit code {done.exit_code})\n" if done.exit_code else "")


def without_figures(text: str) -> str:
    """A text without what differs from run to run, between versions of CrewAI, and by the width of columns."""
    text = re.sub(r"\b[0-9a-f]{64}\b", "hash", re.sub(r"\d{8}T\d+-[0-9a-f]{8}", "run", text))
    text = re.sub(r"\d[\d,.:-]*", "0", text)
    return re.sub(r"[ ─-]{2,}| $", " ", text, flags=re.M).strip()


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A copy of the project that the page is about, as the current folder."""
    folder = tmp_path / "minutes"
    shutil.copytree(EXAMPLES / "crewbase_project", folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in ("crew", "offline_model", "offline_rules"):
        sys.modules.pop(name, None)
    for name in ("OPENAI_API_KEY", "CREW_REPO_URL", "CREW_REPO_PRICES", "CREW_REPO_SYNCHRONOUS"):
        monkeypatch.setenv(name, "")
    for name, value in {"OFFLINE_SECONDS": "0.01", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    yield folder
    for name in ("crew", "offline_model", "offline_rules"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("project")
def test_the_page_says_what_the_commands_say() -> None:
    """A person who types the page from top to bottom sees what stands in it."""
    told = list(transcripts(PAGE.read_text()))
    assert [(typed, without_figures(printed(typed))) for typed, _ in told] == [
        (typed, without_figures(below)) for typed, below in told
    ]


def test_every_command_is_on_the_page() -> None:
    """Each command has its help there, and each is typed."""
    typed = [shlex.split(command)[1:] for command, _ in transcripts(PAGE.read_text())]
    names = crew_repo.list_commands(Context(crew_repo))
    assert {words[0] for words in typed if words[-1] != "--help"} == set(names)
    assert [words[0] for words in typed if words[-1] == "--help"] == ["--help", *names]


def test_the_list_of_the_commands_says_whole_sentences() -> None:
    """None is cut by "...", at the usual width of a terminal."""
    listed = runner().invoke(crew_repo, ["--help"]).stdout.partition("Commands:")[2].strip().splitlines()
    assert len(listed) == len(crew_repo.list_commands(Context(crew_repo)))
    assert [line for line in listed if not line.endswith(".") or line.endswith("..")] == []


@pytest.mark.parametrize(
    ("command", "default"),
    [("run", "the crew's name"), ("mark-complete", "the crew's name"), ("status", "all of them"),
     ("override", "the only one that has the task")],
)  # fmt: skip
def test_the_help_of_a_command_says_which_workflow_it_means(command: str, default: str) -> None:
    """Its own default, and not that of every other command."""
    said = " ".join(runner().invoke(crew_repo, [command, "--help"]).stdout.split())
    assert f"The workflow, such as a claim number. Default: {default}. --db" in said
