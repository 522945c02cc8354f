"""The commands that read, on files of a thousand to a million records, beside `python -c pass`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests import crews
from tests.benchmarks import large_file
from tests.benchmarks.large_file import ONE
from tests.benchmarks.measuring import Row, Sizes, interleaved, process

__all__ = ["rows"]

COMMANDS = [
    ["status", "--workflow", ONE], ["status"], ["status", "draft"], ["runs"],
    ["runs", "--workflow", ONE], ["runs", "status:completed"], ["show"], ["show", "20260101T000000000000-0badcafe"],
    ["history", "draft"], ["history", "draft", "--workflow", ONE],
    ["plan", "tests.benchmarks.large_file:crew", *(f"-i{name}={text}" for name, text in crews.NOTES.items()),
     "--workflow", ONE],
]  # fmt: skip
LEAST = "python -c pass"
TARGETS = {"status": "4"}


def rows(sizes: Sizes, rounds: int) -> Iterator[Row]:
    """What a command takes, with the start of its process."""
    times = interleaved(rounds, lambda _, __: _round(sizes))
    for name in times.of:
        target = TARGETS.get(name.split(",")[0], "")
        yield times.row(name) if name == LEAST else times.row(name, to=LEAST, target=target)


def _round(sizes: Sizes) -> Iterator[tuple[str, Any]]:
    yield LEAST, lambda: process("-c", "pass")
    for command in COMMANDS:
        for count in sizes.records:
            given = ["-m", "crew_repo.cli", *command, "--db", str(large_file.made(count))]
            # 1: a plan with something to run
            yield f"{_words(command)}, {count:,} records", lambda: process(*given, exits=(0, 1))  # noqa: B023


def _words(command: list[str]) -> str:
    return " ".join("MODULE:CREW -i ..." if ":crew" in word else word for word in command if not word.startswith("-i"))
