"""Hear what a run reuses, and why it executes the rest: from CrewAI's events, an OpenTelemetry span, a log in JSON.

    python examples/listening.py

It runs a crew of two tasks, then again with another title. State: ./listening.db.

What a run did is on the span around it. Where OpenInference wraps CrewAI, it is on OpenInference's span of the kickoff
too. Where that listens to events (`use_event_listener=True`), begin a span yourself as here: its own are then inside.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from crewai import Agent, Crew, Task
from crewai.events import crewai_event_bus
from offline_model import choose_model
from opentelemetry.sdk.trace import TracerProvider

from crew_repo import Reason, StateRepository
from crew_repo.events import TaskFailed, TaskOverridden, TaskReused, TaskStale

NOTES = (Path(__file__).parent / "notes/theft.txt").read_text(encoding="utf-8")


@crewai_event_bus.on(TaskReused)
def reused(_: Task | None, event: TaskReused) -> None:
    """A stored answer was reused."""
    print(f"event: {event.task_name} reused, {event.tokens_saved} tokens saved")


@crewai_event_bus.on(TaskOverridden)
def overridden(_: Task | None, event: TaskOverridden) -> None:
    """A person's answer was served in place of a model's."""
    print(f"event: {event.task_name} was answered by {event.person}")


@crewai_event_bus.on(TaskStale)
def stale(_: Task | None, event: TaskStale) -> None:
    """A task is about to be executed."""
    print(f"event: {event.task_name} is {event.status}: {Reason.from_dict(event.reasons[0])}")


@crewai_event_bus.on(TaskFailed)
def failed(_: Task | None, event: TaskFailed) -> None:
    """An execution has raised."""
    print(f"event: {event.task_name} {event.outcome}: {event.error_type}: {event.error}")


class JsonLines(logging.Formatter):
    """Writes the fields of crew_repo as one JSON object; libraries for JSON logs do so by themselves."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fields = {name: value for name, value in vars(record).items() if name.startswith("crew_repo_")}
        return f"log: {json.dumps(fields)}"


def chapter_crew() -> Crew:
    """Two tasks, of which only the second reads the title."""
    editor = Agent(role="Editor", goal="Write clear chapters", backstory="You edit reports.", llm=choose_model())
    summary = Task(name="summary", description="Summarise these case notes in one paragraph.\n\n{source}",
                   expected_output="One paragraph", agent=editor)  # fmt: skip
    chapter = Task(name="chapter", description="Write the chapter titled {title}.",
                   expected_output="A heading and the text", agent=editor, context=[summary])  # fmt: skip
    return Crew(name="chapter", agents=[editor], tasks=[summary, chapter], tracing=False)


def main() -> None:
    """Run the crew twice, each time inside a span of our own, and print what that has been told."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    log = logging.getLogger("crew_repo")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    tracer = TracerProvider().get_tracer("claims")  # add your exporter to the provider
    with StateRepository("listening.db", verbose=False) as repo:
        for title in ("Two watches", "Three dates"):
            with tracer.start_as_current_span("chapter") as span:
                repo.run(chapter_crew(), {"title": title, "source": NOTES})
            for name, value in getattr(span, "attributes", {}).items():
                print(f"span: {name} = {value}")


if __name__ == "__main__":
    main()
