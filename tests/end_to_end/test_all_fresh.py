"""A run of which all is fresh: CrewAI's loop over the tasks is spared, and nobody can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock

import pytest
from crewai import Crew
from crewai.events import crewai_event_bus
from crewai.events.base_events import BaseEvent
from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource
from crewai.llms.base_llm import BaseLLM
from crewai.rag.embeddings.providers.custom.custom_provider import CustomProvider
from pydantic import PrivateAttr

from crew_repo.adapter import private
from tests import crews
from tests.crews import MODES, NOTES, LengthEmbedding, Mode, agent, task
from tests.models import PromptModel

EVERY_MODE = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
LEFT_OUT = {"timestamp", "event_id", "started_event_id", "previous_event_id", "triggered_by_event_id", "id", "run_id"}


@contextmanager
def heard(events: list[BaseEvent]) -> Iterator[None]:
    """Take in all that is told on CrewAI's bus, whoever listens."""
    emit = type(crewai_event_bus).emit

    def listening(bus: Any, source: Any, event: BaseEvent) -> Any:
        events.append(event)
        return emit(bus, source, event)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(crewai_event_bus), "emit", listening)
        yield


def with_loop(run: Callable[[], Any]) -> Any:
    """Run with CrewAI's own loop over the tasks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(private, "loops", lambda _: None)
        return run()


def seen_of(crew: Crew, run: Callable[[], Any]) -> dict[str, Any]:
    """Everything that a run leaves: result, events, the crew, its tasks and agents, CrewAI's log of outputs."""
    events: list[BaseEvent] = []
    with heard(events):
        result = run()
    return {
        "result": result.model_dump(),
        "run": [(note.task_name, note.outcome, note.reasons, note.record_id) for note in result.run.tasks],
        "events": [(type(event).__name__, getattr(event, "task_name", None)) for event in events],
        "outputs": [task.output and task.output.model_dump() for task in crew.tasks],
        "sent": [(task.description, task.expected_output, task.prompt_context) for task in crew.tasks],
        "by": [(task.agent and task.agent.role, sorted(task.processed_by_agents)) for task in crew.tasks],
        "agents": [(agent.role, agent.crew is crew) for agent in crew.agents],
        "usage": crew.usage_metrics,
        "log": [{**row, "task_id": "", "timestamp": ""} for row in crew._task_output_handler.load()],
    }


@EVERY_MODE
def test_a_fresh_run_is_what_it_is_with_crewais_loop(repo, mode: Mode):
    """Result, events in their order, the crew and its tasks and agents, and CrewAI's log of outputs are the same."""
    repo.run(mode.build(PromptModel(model="m")), mode.inputs)
    crew, other = mode.build(PromptModel(model="m")), mode.build(PromptModel(model="m"))
    spared = seen_of(crew, lambda: repo.run(crew, mode.inputs))
    assert spared == seen_of(other, lambda: with_loop(lambda: repo.run(other, mode.inputs)))
    assert spared["by"]


@pytest.mark.siege
@EVERY_MODE
def test_a_native_async_one_too(repo, mode: Mode):
    """`arun` spares it in the same way."""
    repo.run(mode.build(PromptModel(model="m")), mode.inputs)
    crew, other = mode.build(PromptModel(model="m")), mode.build(PromptModel(model="m"))
    spared = seen_of(crew, lambda: asyncio.run(repo.arun(crew, mode.inputs)))
    assert spared == seen_of(other, lambda: with_loop(lambda: asyncio.run(repo.arun(other, mode.inputs))))


def test_crewais_loop_is_not_entered(repo, model, monkeypatch):
    """Of a run of which all is fresh no task comes to its boundary."""
    repo.run(crews.sequential_last_input(model), NOTES)
    entered = Mock()  # a function of the user's would count
    monkeypatch.setattr(Crew, "_get_context", entered)
    assert repo.run(crews.sequential_last_input(model), NOTES).run.executed == []
    entered.assert_not_called()


def test_one_stale_task_leaves_all_to_the_loop(repo, model):
    """What is fresh above a stale task is served at its boundary, with its events, once."""
    repo.run(crews.sequential_last_input(model), NOTES)
    crew, events = crews.sequential_last_input(model), []
    with heard(events):
        assert repo.run(crew, crews.NEW_ADJUSTER).run.reused == ["analyze"]
    told = [type(event).__name__ for event in events]
    assert told.count("TaskCompletedEvent") == 2
    assert told.count("TaskReused") == 1


def test_the_log_file_of_a_crew_has_each_step_of_a_fresh_run(repo, model, tmp_path):
    """With `output_log_file` CrewAI's loop notes when each task began and ended."""
    repo.run(crews.sequential_last_input(model), NOTES)
    crew = crews.sequential_last_input(model)
    crew.output_log_file = str(tmp_path / "steps.json")
    crew = type(crew)(**{name: getattr(crew, name) for name in ("agents", "tasks", "output_log_file")})
    repo.run(crew, NOTES)
    assert (tmp_path / "steps.json").read_text().count("completed") == 2


class Shelf(StringKnowledgeSource):
    """Knowledge that counts how often it is embedded."""

    _embedded: list[str] = PrivateAttr(default_factory=list)

    def add(self) -> None:
        """Count, and embed nothing."""
        self._embedded.append(self.content)


def knowing(model: BaseLLM, answer: str = "") -> tuple[Crew, list[str]]:
    """A crew of two agents who know something, and what of that has been embedded."""
    shelf, embedder = Shelf(content="Ada decides alone."), CustomProvider(embedding_callable=LengthEmbedding)
    first, second = (agent(model, knowledge_sources=[shelf], embedder=embedder) for _ in range(2))
    tasks = [task("analyze", "read {notes}", first), task("draft", f"write {answer}", second)]
    return Crew(name="knowing", agents=[first, second], tasks=tasks), shelf._embedded


def test_a_fresh_run_makes_no_agent_ready(repo, model):
    """Nothing is embedded, which costs, and no executor is made: nobody needs them. With a stale task all are ready."""
    crew, embedded = knowing(model)
    repo.run(crew, NOTES)
    assert embedded
    crew, embedded = knowing(model)
    assert repo.run(crew, NOTES).run.executed == []
    assert embedded == []
    assert [(worker.agent_executor, worker.crew is crew) for worker in crew.agents] == [(None, True)] * 2
    crew, embedded = knowing(model, "shortly")
    assert repo.run(crew, NOTES).run.executed == ["draft"]
    assert len(embedded) == 2


def test_a_crew_at_work_is_made_ready_while_another_is_not(repo, model):
    """A crew that a callback runs meanwhile gets its agents ready, and so does a crew of nobody's repository."""
    repo.run(crews.sequential_last_input(model), NOTES, workflow_id="fresh")
    ran = []

    def others(inputs: Any) -> Any:
        ran.append(repo.run(crews.sequential_last_input(model), NOTES, workflow_id="another").run.executed)
        ran.append(len(crews.sequential_last_input(model).kickoff(NOTES).tasks_output))
        return inputs

    crew = crews.sequential_last_input(model)
    crew.before_kickoff_callbacks = [others]
    result = repo.run(crew, NOTES, workflow_id="fresh")
    assert ran[:2] == [["analyze", "draft"], 2]
    assert result.run.executed == []
