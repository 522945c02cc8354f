"""Two claims, with what happens to claims: the state that the queries of queries.md are asked of.

    python examples/queries.py

A row is deleted with SQL, people correct answers, notes are corrected, and a model cannot be reached. State:
./queries.db, made anew by the offline model, which costs nothing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from claims_triage import NOTES, build_crew
from offline_model import OfflineModel

from crew_repo import StateRepository

DB = Path("queries.db")
CLAIM, OTHER_CLAIM = "CLM-2025-0117", "CLM-2025-0131"
DELETE = f"delete from task_state where workflow_id = '{CLAIM}' and task_name = 'checklist'"  # noqa: S608 - no user's text
LETTER = "Dear Ms Lindqvist,\nwe are sorry about your kitchen, and will call you on Monday.\nInes Moreau"


class Unreachable(OfflineModel):
    """A model whose endpoint goes away before the reserve is set."""

    def call(self, messages: str | list[dict[str, Any]], *_: Any, **__: Any) -> str:
        """The answer of the offline model, as long as there is one."""
        if "Set the reserve" in str(messages):
            raise ConnectionError("the endpoint does not answer")
        return super().call(messages)


def main() -> None:
    """Make the state: five runs, two corrections and a deleted row."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{DB}{suffix}").unlink(missing_ok=True)
    with StateRepository(DB, verbose=False) as repo:
        run(repo, "first run", CLAIM, "water_damage")

        with closing(sqlite3.connect(DB)) as connection, connection:
            connection.execute(DELETE)
        run(repo, f"after: {DELETE}", CLAIM, "water_damage")

        repo.override("customer_letter", LETTER, workflow_id=CLAIM, by="Ada", reason="too cold")
        mistake = repo.override("reserve", "Reserve EUR 900.00.", workflow_id=CLAIM, by="Ben", reason="as agreed")
        repo.undo(mistake, by="Ben", reason="that was another claim")
        run(repo, "two people correct an answer, and one takes it back", CLAIM, "water_damage")

        run(repo, "the notes are corrected", CLAIM, "water_damage_corrected")
        try:
            run(repo, "another claim, whose model cannot be reached", OTHER_CLAIM, "theft", Unreachable)
        except ConnectionError as error:
            print(f"   failed: {error}")
    print(f"\nState: ./{DB}. What can be asked of it is in queries.md.")


def run(repo: StateRepository, title: str, claim: str, notes: str, model: type[OfflineModel] = OfflineModel) -> None:
    """Run the crew of claims_triage.py on these notes, and say which tasks that executed."""
    print(f"\n{title}:")
    inputs = {"case_notes": (NOTES / f"{notes}.txt").read_text(encoding="utf-8"), "adjuster": "Ines Moreau"}
    told = repo.run(build_crew(model(model="offline-rules")), inputs, workflow_id=claim).run
    print(f"   executed {', '.join(told.executed) or '-'}\n   reused {', '.join(told.reused) or '-'}")


if __name__ == "__main__":
    main()
