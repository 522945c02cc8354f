"""A project as `crewai create crew` lays it out since CrewAI 1.15, in JSON, run through a repository.

    python examples/json_project/main.py [NAME=VALUE ...]

`load_crew` gives the crew and its default inputs; what you type replaces them. State is kept in ./order_desk.db.
Start it twice, then with customer="Ivo Lind", then after a change in tools/order_status.py.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # for offline_model.py

from offline_model import choose_model, label

from crew_repo import StateRepository

try:
    from crewai.project.crew_loader import load_crew
except ImportError:
    sys.exit("Crews in JSON need CrewAI 1.15 or newer: pip install -U crewai")


def main() -> None:
    """Say what would run and why, run it, and show the reply."""
    model = choose_model()
    if not os.environ.get("OPENAI_API_KEY"):
        os.environ["OPENAI_API_KEY"] = "none"  # for the models that the agents' files name: made here, asked nothing
    crew, inputs = load_crew(Path(__file__).with_name("crew.jsonc"))
    inputs.update(argument.split("=", 1) for argument in sys.argv[1:])
    for agent in crew.agents:
        agent.llm = model  # the model of all examples; without this line it is the one that the agent's file names
    print(f"Model: {label(model)}")
    with StateRepository("order_desk.db", verbose=False) as repo:
        print(repo.plan(crew, inputs))
        result = repo.run(crew, inputs)
    print(f"executed {result.run.executed}, reused {result.run.reused}\n\n{result.raw}")


if __name__ == "__main__":
    main()
