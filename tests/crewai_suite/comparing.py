"""Outcomes of the two passes, and where they differ."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Outcome", "Problems", "compare", "differing", "read_outcomes", "unserved"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a test ended; `runs` is how many runs a StateRepository recorded in it."""

    passed: bool
    why: str = ""
    runs: int = 0


def read_outcomes(file: Path) -> dict[str, Outcome]:
    """The outcome of each test from the notes of its phases; a skipped test is not among them."""
    phases: dict[str, list[dict[str, object]]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        phase = json.loads(line)
        phases.setdefault(phase["test"], []).append(phase)
    return {test: _outcome(each) for test, each in phases.items() if not _skipped(each)}


def _skipped(phases: Iterable[Mapping[str, object]]) -> bool:
    return any(phase["outcome"] == "skipped" for phase in phases)


def _outcome(phases: list[dict[str, object]]) -> Outcome:
    failed = [str(phase["why"]) for phase in phases if phase["outcome"] == "failed"]
    ended = any(phase["when"] == "teardown" for phase in phases)
    why = "\n".join(failed) or ("" if ended else "It never ended.")
    return Outcome(not why, why, max(int(str(phase.get("runs", 0))) for phase in phases))


@dataclass(frozen=True, slots=True)
class Problems:
    """What keeps the check from passing."""

    unexplained: Mapping[str, str]
    explained_in_vain: tuple[str, ...]
    without_runs: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.unexplained or self.explained_in_vain or self.without_runs)


def compare(
    plain: Mapping[str, Outcome], through: Mapping[str, Outcome], known: Collection[str], files: Iterable[str]
) -> Problems:
    """Every difference must be known, every known one must be there, and each file must have kicked off a crew."""
    different = differing(plain, through)
    return Problems(
        unexplained={test: why for test, why in different.items() if test not in known},
        explained_in_vain=tuple(test for test in known if test not in different),
        without_runs=tuple(unserved(through, files)),
    )


def differing(plain: Mapping[str, Outcome], through: Mapping[str, Outcome]) -> dict[str, str]:
    """The tests that pass plain and not through the repository, with the reason."""
    lost = Outcome(False, "It was not run.")
    ends = {test: through.get(test, lost) for test, outcome in plain.items() if outcome.passed}
    return {test: end.why for test, end in ends.items() if not end.passed}


def unserved(through: Mapping[str, Outcome], files: Iterable[str]) -> list[str]:
    """The files and folders none of whose tests kicked a crew off through the repository."""
    return [file for file in files if not any(test.startswith(file) and end.runs for test, end in through.items())]
