"""What the check against CrewAI's own tests takes for a difference, and what it lets pass."""

from __future__ import annotations

import json
from typing import Any

from tests.crewai_suite.comparing import Outcome, compare, read_outcomes

PASSED, FAILED = Outcome(True, runs=1), Outcome(False, "because", runs=1)


def test_what_passes_plain_has_to_pass_through_a_repository() -> None:
    """A test that fails there, or is not run there, is a difference; one that fails plain too is none."""
    plain = {"a.py::same": PASSED, "a.py::worse": PASSED, "a.py::lost": PASSED, "a.py::bad": FAILED}
    through = {"a.py::same": PASSED, "a.py::worse": FAILED, "a.py::bad": FAILED}
    problems = compare(plain, through, known=(), files=("a.py",))
    assert problems.unexplained == {"a.py::worse": "because", "a.py::lost": "It was not run."}
    assert problems


def test_a_known_difference_must_be_one() -> None:
    """A known difference is no problem; one that is a difference no more is."""
    plain, through = {"a.py::x": PASSED, "a.py::y": PASSED}, {"a.py::x": FAILED, "a.py::y": PASSED}
    assert not compare(plain, through, known=("a.py::x",), files=("a.py",))
    problems = compare(plain, through, known=("a.py::x", "a.py::y"), files=("a.py",))
    assert problems.explained_in_vain == ("a.py::y",)
    assert problems


def test_a_file_in_which_nothing_goes_through_a_repository_is_a_problem() -> None:
    """Tests that kick nothing off would pass whatever the repository does."""
    outcomes = {"a.py::x": PASSED, "b.py::x": Outcome(True, runs=0)}
    problems = compare(outcomes, outcomes, known=(), files=("a.py", "b.py"))
    assert problems.without_runs == ("b.py",)
    assert problems


def note(test: str, when: str, outcome: str, **more: Any) -> str:
    return json.dumps({"test": test, "when": when, "outcome": outcome, "why": f"{when} {outcome}", **more})


def test_an_outcome_is_made_of_all_phases(tmp_path: Any) -> None:
    """A test passes if every phase did and it came to its end; the teardown knows how many runs there were."""
    notes = [
        note("good", "setup", "passed"), note("good", "call", "passed"), note("good", "teardown", "passed", runs=2),
        note("bad", "setup", "passed"), note("bad", "call", "passed"), note("bad", "teardown", "failed"),
        note("killed", "setup", "passed"),
        note("skipped", "setup", "skipped"), note("skipped", "teardown", "passed"),
    ]  # fmt: skip
    file = tmp_path / "notes"
    file.write_text("\n".join(notes))
    assert read_outcomes(file) == {
        "good": Outcome(True, "", 2),
        "bad": Outcome(False, "teardown failed"),
        "killed": Outcome(False, "It never ended."),
    }
