"""Look-ups in Python on files of a thousand to a million records; those of the smallest file are the yardstick."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from crew_repo import StateRepository
from tests import crews
from tests.benchmarks import large_file
from tests.benchmarks.large_file import ONE
from tests.benchmarks.measuring import Row, Sizes, interleaved

__all__ = ["rows"]

TIMES = 20
"""How often each is asked in a round."""


def _asked(repo: StateRepository) -> dict[str, Callable[[], Any]]:
    store = repo._engine.store
    present = store.history("draft", ONE)[0].input_hash
    return {
        "record by its hash": lambda: store.find_record(present, ONE),
        "heads": lambda: store.heads(ONE),
        "at_start": lambda: store.at_start(ONE, everywhere=False),
        "get_output": lambda: repo.get_output("draft", ONE),
        "history": lambda: repo.history("draft", ONE),
        "tasks": lambda: repo.tasks(ONE),
        "runs, the last": lambda: repo.runs(limit=1),
        "run_count": lambda: repo.run_count(ONE),
        "plan": lambda: repo.plan(large_file.crew(), crews.NOTES, workflow_id=ONE),
        "warm run": lambda: repo.run(large_file.crew(), crews.NOTES, workflow_id="crew"),
    }


def rows(sizes: Sizes, rounds: int) -> Iterator[Row]:
    """What one look-up costs; each is asked of all files in turn."""
    with ExitStack() as opened:
        repos = {count: opened.enter_context(StateRepository(large_file.made(count), verbose=False))
                 for count in sizes.records}  # fmt: skip
        asked = {count: _asked(repo) for count, repo in repos.items()}
        times = interleaved(rounds, lambda _, __: _round(asked))
    least = f"{sizes.records[0]:,} records"
    for look_up in asked[sizes.records[0]]:
        for count in sizes.records:
            name = f"{look_up}, {count:,} records"
            yield times.row(name, to=f"{look_up}, {least}", each=TIMES, target="1.5").beside(least)


def _round(asked: dict[int, dict[str, Callable[[], Any]]]) -> Iterator[tuple[str, Any]]:
    for look_up in next(iter(asked.values())):
        for count, works in asked.items():
            work = works[look_up]
            work()
            yield f"{look_up}, {count:,} records", lambda: [work() for _ in range(TIMES)]  # noqa: B023
