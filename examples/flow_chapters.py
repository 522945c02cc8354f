"""A Flow that has one crew write many chapters, all on one state file.

    python examples/flow_chapters.py

The chapters neither evict nor mix each other, and only the one that changed is written again. State: ./chapters.db.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from crewai import Agent, Crew, Task
from crewai.flow.flow import Flow, listen, start
from offline_model import choose_model, label
from pydantic import BaseModel

from crew_repo import StateRepository

NOTES = Path(__file__).parent / "notes"


def chapter_crew() -> Crew:
    """Two tasks: the summary depends on the source, the chapter on the title and the summary."""
    editor = Agent(role="Editor", goal="Write clear chapters", backstory="You edit reports.", llm=choose_model())
    summary = Task(
        name="summary",
        description="Summarise these case notes in one paragraph.\n\n{source}",
        expected_output="One paragraph",
        agent=editor,
    )
    chapter = Task(
        name="chapter",
        description="Write the chapter titled {title}.",
        expected_output="A heading and the text",
        agent=editor,
        context=[summary],
    )
    return Crew(name="chapter", agents=[editor], tasks=[summary, chapter], tracing=False)


class Report(BaseModel):
    """The Flow's state: a title for each file of notes, and the chapters written."""

    titles: dict[str, str] = {}
    chapters: list[str] = []


class ReportFlow(Flow[Report]):
    """Writes a report, one chapter per case."""

    @start()
    def collect(self) -> dict[str, str]:
        """The sources, by file name."""
        return {name: (NOTES / name).read_text(encoding="utf-8") for name in self.state.titles}

    @listen(collect)
    def write(self, sources: dict[str, str]) -> str:
        """One run of the crew for each chapter."""
        crew = chapter_crew()
        with StateRepository("chapters.db", verbose=False) as repo:
            for name, title in self.state.titles.items():
                result = repo.run(crew, {"title": title, "source": sources[name]}, workflow_id=f"report/{name}")
                print(f"   {title + ':':16} executed {result.run.executed}, reused {result.run.reused}")
                self.state.chapters.append(result.raw)
        return "\n\n".join(self.state.chapters)


def main() -> None:
    """Write the report, then once more with one title changed."""
    titles = {"water_damage.txt": "A burst pipe", "motor_collision.txt": "A red light", "theft.txt": "Two watches"}
    print(f"Model: {label(choose_model())}")
    for heading, changed in (("first", {}), ("again, one title changed", {"theft.txt": "Three dates"})):
        print(f"\n{heading}")
        report = ReportFlow(suppress_flow_events=True).kickoff(inputs={"titles": {**titles, **changed}})
    print("\n" + "\n".join(textwrap.fill(line, 100) for line in str(report).splitlines()))


if __name__ == "__main__":
    main()
