"""A crew that kept its state in a JSON file, step by step on a repository instead.

    python examples/first_steps.py

What one writes by hand for that, and what it is here:

- load_state() and save_state(): `StateRepository(path)`; each task is saved by itself as it finishes.
- run_count: `repo.run_count()`; each run has an ID, a time and a status.
- task.execute_sync() for each task that has no entry: `repo.run(crew, inputs)`, which knows what the entries were made
  from, and so also notices when one is no longer right.
- mark_complete(name, output): nothing to call, the run records each task. To correct an answer: `repo.override`;
  to give one for a task that failed: `repo.mark_complete`, and `hold=True` where the tasks above it have not run yet.
- get_output(name): `repo.get_output(name)`, None where there is none.
- deleting an entry by hand: `repo.invalidate(name)`, or a row deleted with any SQL tool.

- an old crew_state.json: `repo.import_state("crew_state.json", crew=crew, inputs=inputs)`. It does not say what its
  answers were made from; by this call you say that this crew would get them for these inputs.

State: ./first_steps.db.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from crewai import Agent, Crew, Task
from crewai.llms.base_llm import BaseLLM
from offline_model import OfflineModel, choose_model, label

from crew_repo import StateRepository

DB = Path("first_steps.db")
NOTES = Path(__file__).parent / "notes"
DELETE = "delete from task_state where workflow_id = 'CLM-2025-0117' and task_name = 'draft_task'"


def build_crew(model: BaseLLM) -> Crew:
    """Facts out of case notes, then a note for colleagues.

    The tasks have names, since their records are found by them. The text of the first names {case_notes}: an input that
    no text names reaches no model, and so cannot make a task run again.
    """
    researcher = Agent(
        role="Claims researcher",
        goal="Find the facts of a claim and say what to do next",
        backstory="You work for an insurer, carefully.",
        llm=model,
    )
    analyze = Task(
        name="analyze_task",
        description="Extract the policy number, the loss date and the issue.\n\n{case_notes}",
        expected_output="Four lines: Policy number, Loss date, Issue, Amount claimed",
        agent=researcher,
    )
    draft = Task(
        name="draft_task",
        description="Draft the internal triage note, with the next actions.",
        expected_output="Three lines",
        agent=researcher,
        context=[analyze],
    )
    return Crew(name="claims", agents=[researcher], tasks=[analyze, draft], tracing=False)


def main() -> None:
    """Run, run again, delete an entry, stop in the middle, correct the notes, and look at what is kept."""
    model = choose_model()
    for suffix in ("", "-wal", "-shm") if isinstance(model, OfflineModel) else ():
        Path(f"{DB}{suffix}").unlink(missing_ok=True)  # its answers cost nothing; those of a real model are kept
    crew, claim = build_crew(model), "CLM-2025-0117"
    notes = {"case_notes": (NOTES / "water_damage.txt").read_text(encoding="utf-8")}
    corrected = {"case_notes": (NOTES / "water_damage_corrected.txt").read_text(encoding="utf-8")}
    print(f"Model: {label(model)}")
    with StateRepository(DB, verbose=False) as repo:
        run(repo, crew, notes, claim, "all of it is new")
        run(repo, crew, notes, claim, "nothing has changed")

        print(f"\n   {DELETE}")
        with closing(sqlite3.connect(DB)) as connection, connection:
            connection.execute(DELETE)
        run(repo, crew, notes, claim, "one entry was deleted by hand")

        stop_in_the_middle(repo, build_crew(model), "CLM-2025-0122")
        run(repo, crew, theft(), "CLM-2025-0122", "it goes on where it was stopped")

        print(f"\n{repo.plan(crew, corrected, workflow_id=claim)}")
        run(repo, crew, corrected, claim, "the notes were corrected")

        old = {"completed_tasks": {"analyze_task": "Policy HO-4471-208, a burst pipe."}, "run_count": 2}
        repo.import_state(old, crew=crew, inputs=notes, workflow_id="CLM-2024-0009")  # or the path of crew_state.json
        run(repo, crew, notes, "CLM-2024-0009", "an answer of an old crew_state.json was taken over")

        print("\nWhat is kept of each task:")
        for state in repo.tasks(claim):
            print(f"   {state.task_name}: {state.status} at {state.completed_at:%H:%M:%S}, {state.total_tokens} tokens")
        print(f"   get_output('draft_task'):\n      {str(repo.get_output('draft_task', claim)).splitlines()[0]}")


def run(repo: StateRepository, crew: Crew, inputs: dict[str, str], claim: str, why: str) -> None:
    """One run, and what it did."""
    done = repo.run(crew, inputs, workflow_id=claim).run
    print(f"\nRun {len(repo.runs())}, {claim}: {why}")
    print(f"   executed {', '.join(done.executed) or '-'}\n   reused   {', '.join(done.reused) or '-'}")


def stop_in_the_middle(repo: StateRepository, crew: Crew, claim: str) -> None:
    """A run that ends right after the first task, as when somebody presses Ctrl-C."""

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    crew.tasks[0].callback = stop
    with suppress(KeyboardInterrupt):
        repo.run(crew, theft(), workflow_id=claim)
    finished = ", ".join(state.task_name for state in repo.tasks(claim))
    print(f"\nRun {len(repo.runs())}, {claim}: stopped after {finished}")


def theft() -> dict[str, str]:
    """The inputs of the claim whose run is stopped."""
    return {"case_notes": (NOTES / "theft.txt").read_text(encoding="utf-8")}


if __name__ == "__main__":
    main()
