"""The state file is yours: everything here but the two runs is Python's own sqlite3 module.

    python examples/plain_sql.py

Reads states, runs and savings, and deletes a row so that exactly that task runs again. State: ./plain_sql.db.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

DB = Path("plain_sql.db")

QUERIES = {
    "where every task stands": """
        select workflow_id, task_name, status, round(duration_seconds, 1) as seconds, total_tokens
        from task_state order by workflow_id, position""",
    "what the runs cost and saved": """
        select workflow_id, status, tokens_spent, tokens_saved, round(seconds_saved, 1) as seconds_saved
        from run order by started_at""",
    "a typed output, field by field": """
        select json_extract(output, '$.clause') as clause, json_extract(output, '$.payable') as payable
        from task_state where task_name = 'coverage_check'""",
}
DELETE = "delete from task_state where workflow_id = 'CLM-2025-0131' and task_name = 'reserve'"


def main() -> None:
    """Make a state file, read it, delete a row, and see what runs."""
    run_crew("first run")
    run_crew("second run")
    with closing(sqlite3.connect(DB)) as connection:
        for title, sql in QUERIES.items():
            print(f"\n{title}:{sql}\n")
            show(connection.execute(sql))
        print(f"\n{DELETE}")
        with connection:
            connection.execute(DELETE)
    run_crew("\nthird run")


def run_crew(title: str) -> None:
    """Run the crew of claims_triage.py on the theft notes, and say what that meant."""
    from claims_triage import NOTES, build_crew
    from offline_model import choose_model, label

    from crew_repo import StateRepository

    model = choose_model()
    inputs = {"case_notes": (NOTES / "theft.txt").read_text(encoding="utf-8"), "adjuster": "Ines Moreau"}
    with StateRepository(DB, verbose=False) as repo:
        run = repo.run(build_crew(model), inputs, workflow_id="CLM-2025-0131").run
    print(f"{title} ({label(model)}):")
    print(f"   executed {', '.join(run.executed) or '-'}\n   reused {', '.join(run.reused) or '-'}")


def show(answer: sqlite3.Cursor) -> None:
    """Print the rows of an answer in columns."""
    rows = [[name for name, *_ in answer.description], *[["" if c is None else str(c) for c in row] for row in answer]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("   " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
