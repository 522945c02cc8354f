"""An existing @CrewBase project, made to remember by one line: `repo.attach(crew)`.

    python examples/crewbase_project/main.py

Its own `kickoff` is recorded and reuses what is fresh. State is kept in ./minutes.db: start it twice.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # for offline_model.py

from crew import MinutesCrew
from offline_model import choose_model, label

from crew_repo import StateRepository


def main() -> None:
    """Write the follow-up, and write it again for another chair."""
    minutes = Path(__file__).with_name("minutes.txt").read_text(encoding="utf-8")
    print(f"Model: {label(choose_model())}")
    with StateRepository("minutes.db") as repo:
        crew = repo.attach(MinutesCrew().crew())
        for chair in ("Amara Diallo", "Lev Brodsky"):
            result = crew.kickoff(inputs={"minutes": minutes, "chair": chair})
            run = repo.runs()[0]
            print(f"\nchair {chair}: executed {run.executed}, reused {run.reused}")
        print(f"\n{result.raw}")


if __name__ == "__main__":
    main()
