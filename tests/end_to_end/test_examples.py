"""The examples do what the README says that they do, in a process of their own and without a key."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.offline_endpoint import offline_endpoint
from tests.playing import EXAMPLES, LABEL, run_example, run_once

pytestmark = pytest.mark.siege

TASKS = [
    *("analyze_task", "coverage_check", "fraud_screen", "escalation"),
    *("reserve", "checklist", "customer_letter", "draft_task"),
]


def runs_of(text: str) -> list[tuple[list[str], list[str]]]:
    """The tasks executed and reused by each run that claims_triage.py tells of."""
    told = re.findall(r"executed: +(.*)\n +reused: +(.*)\n", text)
    return [tuple([] if names == "-" else names.split(", ") for names in pair) for pair in told]  # type: ignore[misc]


@pytest.fixture(scope="session")
def triage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which claims_triage.py ran, and what it printed."""
    return run_once("claims_triage.py", tmp_path_factory, OFFLINE_SECONDS="0.3")


def test_it_says_who_answers_and_where_the_state_is(triage: tuple[Path, str]) -> None:
    """The first lines name the offline model and the state file, which is there afterwards."""
    folder, text = triage
    assert text.startswith(f"{LABEL}\nState: ./claims_triage.db\n")
    assert (folder / "claims_triage.db").exists()


def test_the_first_run_executes_all_and_the_second_none(triage: tuple[Path, str]) -> None:
    """The same crew and inputs again call no model."""
    first, second = runs_of(triage[1])[:2]
    assert first == (TASKS, [])
    assert second == ([], TASKS)


def test_corrected_notes_run_exactly_what_reads_them(triage: tuple[Path, str]) -> None:
    """Notes with another loss date: the reserve stays fresh since its upstream says the same, the escalation is off."""
    executed, reused = runs_of(triage[1])[2]
    assert executed == ["analyze_task", "coverage_check", "fraud_screen", "draft_task"]
    assert reused == ["reserve", "checklist", "customer_letter"]
    assert "the condition skipped escalation" in triage[1]


def test_another_adjuster_runs_only_the_letter(triage: tuple[Path, str]) -> None:
    """An input that one task mentions makes only that one stale."""
    executed, reused = runs_of(triage[1])[3]
    assert executed == ["customer_letter"]
    assert reused == [name for name in TASKS if name not in ("customer_letter", "escalation")]


def test_a_killed_process_loses_only_the_calls_it_was_in(triage: tuple[Path, str]) -> None:
    """The resume reuses what the killed process had recorded, goes on inside its longest task, and executes the rest."""
    killed = re.search(r"ended with exit code -9; recorded: (.*)", triage[1])
    assert killed
    recorded = killed.group(1).split(", ")
    executed, reused = runs_of(triage[1])[4]
    assert re.search(r"coverage_check resumes: 1 model call and 1 tool call of .* are kept, about 4\d\d tokens", triage[1])
    assert reused == recorded
    assert executed == [name for name in TASKS if name not in (*recorded, "escalation")]
    assert executed


def test_the_sql_that_it_prints_gives_what_it_prints(triage: tuple[Path, str]) -> None:
    """A person who types the two queries gets what was printed: all tasks; the interrupted run before its resume."""
    folder, text = triage
    states, work = re.findall(r'sqlite3 -header -column claims_triage\.db "([^"]*)"', text)
    with closing(sqlite3.connect(folder / "claims_triage.db")) as connection:
        assert [row[0] for row in connection.execute(states)] == TASKS
        outcomes = [row[:2] for row in connection.execute(work)]
    assert outcomes[:2] == [("interrupted", "executed"), ("interrupted", "interrupted")]
    assert sorted(outcomes[2:]) == [("completed", "executed"), ("completed", "reused"), ("completed", "skipped")]


def test_other_notes_can_be_given(tmp_path: Path) -> None:
    """The theft notes contradict themselves, so the claim is escalated; a sentence more is cut off early."""
    text = run_example("claims_triage.py", tmp_path, "--notes", str(EXAMPLES / "notes/theft.txt"), "--db", "theft.db")
    assert "contradicting loss dates 2025-05-16 and 2025-05-19" in text
    executed, reused = runs_of(text)[2]
    assert executed == ["analyze_task", "fraud_screen"]
    assert reused == [name for name in TASKS if name not in executed]


def test_an_openai_compatible_endpoint_is_used_and_its_key_is_not_kept(tmp_path: Path, endpoint: str) -> None:
    """With a key in .env the crew talks to that endpoint, reuses alike, and the key is nowhere in the state file."""
    key = "sk-marked-secret-4711"
    settings = {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": endpoint, "OPENAI_MODEL_NAME": "some-lab/local-model"}
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    text = run_example("claims_triage.py", tmp_path, **dict.fromkeys(settings))
    assert text.startswith(f"Model: some-lab/local-model at {endpoint}\n")
    assert runs_of(text)[:2] == [(TASKS, []), ([], TASKS)]
    assert key.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("claims_triage*.db*"))
    assert not (tmp_path / "claims_triage.db").exists(), "an offline run would delete what was paid for"
    again = run_example("claims_triage.py", tmp_path, **dict.fromkeys(settings))
    assert [executed for executed, _ in runs_of(again)] == [[]] * 5, "answers that were paid for are paid for again"


def test_an_attached_project_is_recorded_by_its_own_kickoff(tmp_path: Path) -> None:
    """The @CrewBase project runs both tasks, for another chair only the message, and in the next process nothing."""
    text = run_example("crewbase_project/main.py", tmp_path)
    assert text.startswith(LABEL)
    assert "Jonas will ask two firms for offers by 20 May." in text
    assert "chair Amara Diallo: executed ['action_items', 'follow_up'], reused []" in text
    assert "chair Lev Brodsky: executed ['follow_up'], reused ['action_items']" in text
    assert run_example("crewbase_project/main.py", tmp_path).count("executed [], reused") == 2


def test_a_flow_writes_only_the_changed_chapter_again(tmp_path: Path) -> None:
    """Chapters on one state file neither evict nor mix each other."""
    lines = [
        line.split(":", 1) for line in run_example("flow_chapters.py", tmp_path).splitlines() if "executed" in line
    ]
    assert [(title.strip(), what.strip()) for title, what in lines] == [
        *((title, "executed ['summary', 'chapter'], reused []") for title in ("A burst pipe", "A red light")),
        ("Two watches", "executed ['summary', 'chapter'], reused []"),
        *((title, "executed [], reused ['summary', 'chapter']") for title in ("A burst pipe", "A red light")),
        ("Three dates", "executed ['chapter'], reused ['summary']"),
    ]


def test_a_row_deleted_with_sql_makes_that_task_run_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    """queries.py deletes the checklist, and the next run executes it alone; the claim that stops says why."""
    _, text = run_once("queries.py", tmp_path_factory)
    others = ", ".join(name for name in TASKS if name != "checklist")
    assert f"task_name = 'checklist':\n   executed checklist\n   reused {others}\n" in text
    assert "takes it back:\n   executed -\n" in text
    assert "\n   failed: the endpoint does not answer\n" in text


def test_whoever_listens_hears_what_was_reused_and_why_not(tmp_path: Path) -> None:
    """listening.py prints an event for each task, and the attributes of its own span."""
    lines = run_example("listening.py", tmp_path, OTEL_SDK_DISABLED=None).splitlines()
    events = [re.sub(r"\d+ tokens", "0 tokens", line) for line in lines if line.startswith("event: ")]
    assert events == [
        "event: summary is missing: never ran",
        "event: chapter is missing: never ran",
        "event: summary reused, 0 tokens saved",
        "event: chapter is stale: input:title: Two watches -> Three dates",
    ]
    assert [line for line in lines if "reused = " in line] == [
        "span: crew_repo.reused = ()",
        "span: crew_repo.reused = ('summary',)",
    ]


@pytest.fixture
def endpoint() -> Iterator[str]:
    """An endpoint that answers like the offline model."""
    with offline_endpoint() as url:
        yield url
