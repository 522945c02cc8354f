"""Insurance claims, triaged by a crew that remembers: only what has changed is worked on again.

    python examples/claims_triage.py [--notes FILE] [--corrected FILE] [--db FILE] [--fresh]

Runs without an API key on an offline model, and with OPENAI_API_KEY (environment or .env) on a real one. The offline
model's answers cost nothing, so its file is started anew; those of a real model are kept, and the next run goes on.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sqlite3
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from crewai import Agent, Crew, Task
from crewai.llms.base_llm import BaseLLM
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tasks.task_output import TaskOutput
from crewai.tools import tool
from offline_model import OfflineModel, choose_model, label
from pydantic import BaseModel, Field, WithJsonSchema

from crew_repo import StateRepository

NOTES = Path(__file__).parent / "notes"
AUTHORITY = Decimal("25000.00")  # an adjuster decides alone up to this amount, in EUR

POLICIES: dict[str, dict[str, Any]] = {
    "HO-4471-208": {
        "valid_from": "2024-07-01",
        "valid_to": "2025-06-30",
        "perils": {"water damage": "4.2", "fire": "4.1"},
        "deductible": "500.00",
        "limit": "60000.00",
    },
    "HO-5120-034": {
        "valid_from": "2025-01-01",
        "valid_to": "2025-12-31",
        "perils": {"water damage": "4.2", "theft": "5.1"},
        "deductible": "750.00",
        "limit": "30000.00",
    },
    "MV-9023-551": {
        "valid_from": "2025-02-01",
        "valid_to": "2026-01-31",
        "perils": {"collision": "2.3", "theft": "2.6"},
        "deductible": "300.00",
        "limit": "15000.00",
    },
}


Amount = Annotated[Decimal, WithJsonSchema({"type": "string", "description": "EUR, such as 1250.00"})]


class Coverage(BaseModel):
    """What the policy says about a loss."""

    policy_number: str
    covered: bool
    clause: str | None = None
    deductible: Amount
    payable: Amount
    reason: str


class FraudScreen(BaseModel):
    """How suspicious the case notes are: a score from 0 to 100, and the signals for it."""

    score: int = Field(ge=0, le=100)
    signals: list[str]
    claimed: Amount


@tool("lookup_policy")
def lookup_policy(policy_number: str) -> str:
    """Give the terms of a policy: its period, the insured perils with their clauses, deductible and limit."""
    return json.dumps(POLICIES.get(policy_number, {"error": f"there is no policy {policy_number}"}))


def needs_escalation(screen: TaskOutput) -> bool:
    """Whether the fraud screen, or the amount, is more than an adjuster may decide alone."""
    found = screen.pydantic
    return isinstance(found, FraudScreen) and (found.score >= 50 or found.claimed >= AUTHORITY)


def build_crew(model: BaseLLM) -> Crew:
    """An ordinary CrewAI crew. Nothing in it knows of crew_repo."""

    def agent(role: str, goal: str, **more: Any) -> Agent:
        return Agent(role=role, goal=goal, backstory="You work for an insurer, carefully.", llm=model, **more)

    analyst = agent("Claims analyst", "Find the facts in case notes")
    underwriter = agent("Underwriter", "Say what a policy covers", tools=[lookup_policy])
    investigator = agent("Investigator", "Notice what does not fit together")
    clerk = agent("Claims clerk", "Write short and exact texts")

    analyze = Task(
        name="analyze_task",
        description="Extract the policy number, the loss date, the issue and the amount claimed.\n\n{case_notes}",
        expected_output="Four lines: Policy number, Loss date, Issue, Amount claimed",
        agent=analyst,
    )
    coverage = Task(
        name="coverage_check",
        description="Check whether the policy covers the loss, and what is payable.",
        expected_output="The clause, the deductible and the payable amount. Do not mention the loss date.",
        agent=underwriter,
        context=[analyze],
        output_pydantic=Coverage,
        async_execution=True,
    )
    fraud = Task(
        name="fraud_screen",
        description="Screen these case notes for fraud.\n\n{case_notes}",
        expected_output="A score from 0 to 100, the signals, and the amount claimed",
        agent=investigator,
        output_pydantic=FraudScreen,
        async_execution=True,
    )
    escalation = ConditionalTask(
        name="escalation",
        description="Say who has to look at this claim before it is settled, and why.",
        expected_output="One sentence",
        agent=investigator,
        context=[fraud],
        condition=needs_escalation,
    )
    reserve = Task(
        name="reserve",
        description="Set the reserve: the payable amount and 10 % for handling.",
        expected_output="One line with the amount",
        agent=clerk,
        context=[coverage],
    )
    checklist = Task(
        name="checklist",
        description="List the documents that any claim needs.",
        expected_output="A numbered list",
        agent=clerk,
        context=[],
    )
    letter = Task(
        name="customer_letter",
        description="Write a letter that confirms the receipt of a claim, in the name of {adjuster}.",
        expected_output="Three lines",
        agent=clerk,
        context=[],
    )
    draft = Task(
        name="draft_task",
        description="Draft the internal triage note.",
        expected_output="Three lines: the loss, the coverage, the escalation",
        agent=clerk,
        context=[analyze, coverage, escalation],
    )
    return Crew(
        name="claims_triage",
        agents=[analyst, underwriter, investigator, clerk],
        tasks=[analyze, coverage, fraud, escalation, reserve, checklist, letter, draft],
        tracing=False,
    )


# The show

CLAIM, OTHER_CLAIM = "CLM-2025-0117", "CLM-2025-0122"
LONGEST = "coverage_check"

STATES = """select task_name, status, total_tokens,
   substr(replace(output, char(10), ' / '), 1, 50) as output from task_state
   where workflow_id = 'CLM-2025-0117' order by position"""

WORK = """select run.status as run, task_run.status as task, sum(total_tokens) as tokens,
   group_concat(task_name) as names from run join task_run using (run_id) where run.workflow_id = 'CLM-2025-0122'
   group by run_id, task_run.status order by run.started_at"""


def main() -> None:
    """Run the crew, run it again, correct the notes, crash, resume, and look into the file."""
    model = choose_model()
    options = read_options(model)
    crew = build_crew(model)
    before = {"case_notes": options.notes.read_text(encoding="utf-8"), "adjuster": "Ines Moreau"}
    after = {**before, "case_notes": corrected_notes(options)}
    print(f"Model: {label(model)}\nState: {shown(options.db)}")

    with StateRepository(options.db, verbose=False) as repo:
        heading(1, f"First run, {options.notes.name}")
        result = show_run(repo, crew, before, CLAIM)
        print("   " + result.raw.replace("\n", "\n   "))

        heading(2, "The same again")
        show_run(repo, crew, before, CLAIM)

        heading(3, "The notes are corrected. What would run, and why?")
        print(repo.plan(crew, after, workflow_id=CLAIM))
        show_run(repo, crew, after, CLAIM)
        print("   and with another adjuster:")
        show_run(repo, crew, {**after, "adjuster": "Leo Castellan"}, CLAIM)

        heading(4, "Another claim, in a process that is killed (SIGKILL) in the middle of its longest task")
        crash(options.db)
        longest = repo.plan(crew, second_claim(), workflow_id=OTHER_CLAIM)[LONGEST]
        for cause in longest.causes[-1:]:
            print(f"   {LONGEST} {cause}")
        show_run(repo, crew, second_claim(), OTHER_CLAIM)

    heading(5, "What is in the file")
    query(options.db, STATES)
    query(options.db, WORK)


def read_options(model: BaseLLM) -> argparse.Namespace:
    """The command line; only what cost nothing is deleted without being asked for, and a file of your own never."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notes", type=Path, default=NOTES / "water_damage.txt", help="case notes for steps 1 to 3")
    parser.add_argument("--corrected", type=Path, help="their corrected version (default: NOTES_corrected.txt)")
    parser.add_argument("--db", type=Path, help="a state file of your own (default: one for each model, here)")
    parser.add_argument("--fresh", action="store_true", help="delete the model's default file first, and pay again")
    options = parser.parse_args()
    for notes in (options.notes, options.corrected):
        if notes is not None and not notes.is_file():
            parser.error(f"there is no file {notes}")
    if options.db is None:
        offline = isinstance(model, OfflineModel)
        name = "" if offline else "_" + "".join(each if each.isalnum() else "-" for each in str(model.model))
        options.db = Path(f"claims_triage{name}.db")
        for suffix in ("", "-wal", "-shm") if offline or options.fresh else ():
            Path(f"{options.db}{suffix}").unlink(missing_ok=True)
    return options


def corrected_notes(options: argparse.Namespace) -> str:
    """The corrected notes, or the same with a sentence more, which changes no fact."""
    corrected = options.corrected or options.notes.with_name(f"{options.notes.stem}_corrected.txt")
    if corrected.exists():
        return corrected.read_text(encoding="utf-8")
    return options.notes.read_text(encoding="utf-8") + "\nAdded later: the caller will send photographs.\n"


def second_claim() -> dict[str, str]:
    """The inputs of the claim whose run is killed."""
    return {"case_notes": (NOTES / "motor_collision.txt").read_text(encoding="utf-8"), "adjuster": "Ines Moreau"}


def show_run(repo: StateRepository, crew: Crew, inputs: dict[str, str], claim: str) -> Any:
    """Run, and tell in three lines what was executed, what was reused, and what that cost and saved."""
    started = time.perf_counter()
    result = repo.run(crew, inputs, workflow_id=claim)
    run = result.run
    print(f"   executed: {', '.join(run.executed) or '-'}")
    print(f"   reused:   {', '.join(run.reused) or '-'}")
    print(
        f"   {run.tokens_spent} tokens spent, {run.tokens_saved} saved, {time.perf_counter() - started:.1f} s"
        + (f"; the condition skipped {', '.join(run.skipped)}" if run.skipped else "")
    )
    return result


def crash(db: Path) -> None:
    """Start the other claim in another process; kill it when one task is done and the longest has called its tool."""
    child = multiprocessing.get_context("spawn").Process(target=run_second_claim, args=(db,))
    child.start()
    while child.is_alive() and (len(under_way(db)) < 2 or "fraud_screen" not in finished(db)):
        time.sleep(0.02)
    child.kill()
    child.join()
    print(f"   ended with exit code {child.exitcode}; recorded: {', '.join(finished(db))}")


def run_second_claim(db: Path) -> None:
    """What the killed process does; an offline model takes its time in the longest task, however slow it all is."""
    os.environ["OFFLINE_SECONDS_AFTER_A_TOOL"] = "60"
    with StateRepository(db, verbose=False) as repo:
        repo.run(build_crew(choose_model()), second_claim(), workflow_id=OTHER_CLAIM)


def finished(db: Path) -> list[str]:
    """The tasks of the other claim that are recorded, asked of the file as anybody might."""
    return names_in(
        db, "select task_name from task_state where workflow_id = ? and output is not null order by position"
    )


def under_way(db: Path) -> list[str]:
    """The calls inside the longest task that have been answered: it is not finished yet."""
    return names_in(db, "select kind from kept_call where workflow_id = ? and task_name = 'coverage_check'")


def names_in(db: Path, sql: str) -> list[str]:
    """The first column of a query about the other claim."""
    with closing(sqlite3.connect(db, timeout=5)) as connection:
        return [name for (name,) in connection.execute(sql, [OTHER_CLAIM])]


def query(db: Path, sql: str) -> None:
    """Print a query as a person would type it, and its answer as a table."""
    print(f'   sqlite3 -header -column {db.name} "{sql}"')
    with closing(sqlite3.connect(db)) as connection:
        answer = connection.execute(sql)
        rows = [[name for name, *_ in answer.description], *[[shorten(cell) for cell in row] for row in answer]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    for row in rows:
        print("   " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def shown(path: Path) -> str:
    """A path as one would type it."""
    return str(path) if path.is_absolute() else f"./{path.as_posix()}"


def shorten(cell: object) -> str:
    """A cell on one line."""
    return "" if cell is None else " ".join(str(cell).split())


def heading(number: int, text: str) -> None:
    """A heading between the steps."""
    print(f"\n{number}. {text}")


if __name__ == "__main__":
    main()
