"""The cost of a repository over plain kickoff, per task: cold, warm, and in bytes. Run it; it asserts nothing.

    python -m tests.benchmarks.overhead [tasks] [rounds]
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

from crewai import Crew

import tests.conftest  # noqa: F401 - a home folder of its own, no telemetry
from crew_repo import StateRepository
from tests.crews import agent, task
from tests.models import PromptModel

TEXT = "x" * 2048


class Instant(PromptModel):
    """Answers 2 KB at once."""

    def answer(self, prompt: str) -> str:
        """The same text always, of another length."""
        return f"Final Answer: {TEXT}{len(prompt)}"


def chain(length: int) -> Crew:
    """Tasks that each read the one before."""
    worker = agent(Instant(model="instant"))
    tasks = []
    for number in range(length):
        tasks.append(task(f"step-{number}", "{notes}", worker, context=tasks[-1:]))
    return Crew(agents=[worker], tasks=tasks)


def seconds(work) -> float:
    """How long a call took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main(length: int, rounds: int) -> None:
    """Interleave the three, so that a noisy machine troubles all alike."""
    logging.getLogger("crewai").setLevel(logging.ERROR)  # it says of each answer that its tokens are estimated
    plain, cold, warm, planned, size = [], [], [], [], 0
    chain(3).kickoff({"notes": "warm up"})
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder, StateRepository(Path(folder) / "state.db") as repo:
            inputs = {"notes": f"notes {number}"}
            plain.append(seconds(lambda: chain(length).kickoff(inputs)))  # noqa: B023
            cold.append(seconds(lambda: repo.run(chain(length), inputs)))  # noqa: B023
            warm.append(seconds(lambda: repo.run(chain(length), inputs)))  # noqa: B023
            crew = chain(length)
            planned.append(seconds(lambda: repo.plan(crew, inputs)))  # noqa: B023
            repo.close()
            size = (Path(folder) / "state.db").stat().st_size
    rows = [(name, statistics.median(values)) for name, values in
            (("kickoff", plain), ("cold run", cold), ("warm run", warm), ("plan", planned))]
    for name, value in rows:
        print(f"{name:<10} {value * 1000:9.1f} ms  {value / length * 1000:7.2f} ms a task  {value / rows[0][1]:5.2f} x")
    overhead = statistics.median(c - p for c, p in zip(cold, plain, strict=True)) / length * 1000
    print(f"cold overhead {overhead:.2f} ms a task; state file {size / length / 1024:.1f} KB a task ({length} tasks)")


if __name__ == "__main__":
    main(*(int(argument) for argument in [*sys.argv[1:], *("100", "5")[len(sys.argv) - 1 :]]))
