"""`python -m tests.crewai_suite [FOLDER]`: exit code 0 if a StateRepository keeps every promise of CrewAI's tests."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from tests.crewai_suite.comparing import Outcome, Problems, compare, differing
from tests.crewai_suite.fetching import fetch
from tests.crewai_suite.known import FILES, KNOWN
from tests.crewai_suite.passes import Pass

_NEEDED = ("pytest", "pytest_asyncio", "pytest_recording", "pytest_timeout", "vcr", "xdist")


def main(arguments: list[str] | None = None) -> int:
    """Run both passes, print what differs, and return 1 if anything does that is not known."""
    given = _parser().parse_args(arguments)
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        print(f"Missing: {', '.join(missing)}. Install them with: pip install -e '.[crewai-suite]'")
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crewai-suite-") as folder:
        work = Path(folder)
        plain, through = _passes(given.folder or fetch(work), work, given.processes)
    _print_counts(plain, through, time.monotonic() - began)
    problems = compare(plain, through, KNOWN, FILES)
    _print_problems(problems)
    return 1 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.crewai_suite", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="an unpacked sdist of CrewAI; default: it is downloaded")
    parser.add_argument("--processes", type=int, default=2, help="processes to run the tests in")
    return parser


def _passes(source: Path, work: Path, processes: int) -> tuple[dict[str, Outcome], dict[str, Outcome]]:
    """All tests through a StateRepository, and plain those that fail there: the rest cannot end worse than plain."""
    through_pass = Pass(source, work / "through", through_repository=True)
    plain_pass = Pass(source, work / "plain", through_repository=False)
    through = through_pass.run(FILES, processes=processes)
    plain = plain_pass.run(_failed(through), processes=processes)
    again = sorted(set(differing(plain, through)) - set(KNOWN))
    if again:  # some of CrewAI's tests depend on time, and so on what else runs
        print(f"Run again, alone: {', '.join(again)}")
        through.update(through_pass.run(again, processes=1))
    return plain, through


def _failed(outcomes: Mapping[str, Outcome]) -> list[str]:
    return [test for test, outcome in outcomes.items() if not outcome.passed]


def _print_counts(plain: Mapping[str, Outcome], through: Mapping[str, Outcome], seconds: float) -> None:
    kicked_off = [outcome for outcome in through.values() if outcome.runs]
    print(f"{len(through)} of CrewAI's tests; in {len(kicked_off)} a StateRepository recorded "
          f"{sum(outcome.runs for outcome in kicked_off)} runs; {seconds:.0f} s")  # fmt: skip
    failed = len(_failed(through))
    print(f"{len(through) - failed} pass through a StateRepository, {failed} do not; "
          f"of these, {len(_failed(plain))} do not pass plain either")  # fmt: skip


def _print_problems(problems: Problems) -> None:
    for test, why in problems.unexplained.items():
        print(f"\nDIFFERS {test}\n{why}")
    for test in problems.explained_in_vain:
        print(f"\nDIFFERS NO MORE {test}: take it out of tests/crewai_suite/known.py")
    for file in problems.without_runs:
        print(f"\nNO RUN in {file}: nothing there goes through a StateRepository")


if __name__ == "__main__":
    sys.exit(main())
