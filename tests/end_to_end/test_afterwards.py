"""The crew object after a run: as CrewAI itself would leave it, and ready for either way of running it again."""

from __future__ import annotations

import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import crewai
import pytest
from crewai import LLM, Agent, Crew, Process, Task
from crewai.tasks.task_output import TaskOutput
from crewai.types.usage_metrics import UsageMetrics

from crew_repo import StateRepository
from tests.models import PromptModel

pytestmark = pytest.mark.siege


def managed(manager_model: PromptModel, worker_model: PromptModel, **more: Any) -> Crew:
    workers = [Agent(role=role, goal="g", backstory="b", llm=worker_model) for role in ("Writer", "Editor")]
    tasks = [
        Task(description="<<one>> {topic}", expected_output="text", agent=workers[0]),
        Task(description="<<any>> {topic}", expected_output="text"),
    ]
    manager = {} if "manager_agent" in more else {"manager_llm": manager_model}
    return Crew(agents=workers, tasks=tasks, process=Process.hierarchical, **manager, **more)


def test_the_manager_that_crewai_made_stays_and_costs_nothing(repo: StateRepository, model: PromptModel) -> None:
    """The manager stays as after a plain kickoff, with its delegation tools; all is served the next time."""
    crew = managed(model, model)
    repo.run(crew, {"topic": "x"})
    assert crew.manager_agent is not None
    assert len(crew.manager_agent.tools) == 2
    assert [task.agent and task.agent.role for task in crew.tasks] == ["Writer", None]
    assert not repo.plan(crew, {"topic": "x"}).stale
    assert len(repo.run(crew, {"topic": "x"}).run.reused) == 2


def test_a_manager_made_of_another_llm_does_not_answer(repo: StateRepository) -> None:
    """A manager that an earlier kickoff left behind has the LLM of then: its answers are not those of `manager_llm`."""
    before, now = PromptModel(model="before"), PromptModel(model="now")
    for first in ("kickoff", "run"):
        crew = managed(before, before)
        _ = crew.kickoff({"topic": first}) if first == "kickoff" else repo.run(crew, {"topic": first})
        crew.manager_llm = now
        before.forget()
        repo.run(crew, {"topic": first}, force=True)
        assert now.called_for() == ["one", "any"]
        assert before.calls == []
        now.forget()


def test_a_kickoff_before_or_after_runs_as_without_the_repository(repo: StateRepository, model: PromptModel) -> None:
    """Plain kickoffs between the runs find the crew as they would find it after a plain one, and the other way round."""
    crew, plain = managed(model, model), managed(model, model)
    plain.kickoff({"topic": "x"})
    crew.kickoff({"topic": "x"})
    repo.run(crew, {"topic": "x"})
    model.forget()
    try:
        plain.kickoff({"topic": "x"})
    except Exception as error:  # noqa: BLE001 - CrewAI 1.13 says of the manager that it made that it has tools
        with pytest.raises(type(error), match=str(error)):
            crew.kickoff({"topic": "x"})
        return
    asked = list(model.calls)
    model.forget()
    crew.kickoff({"topic": "x"})
    assert model.calls == asked
    assert "Writer, Editor" in model.calls[-1]


def test_the_manager_left_on_a_task_hides_no_coworker(repo: StateRepository, model: PromptModel) -> None:
    """After a plain kickoff the manager stands in the tasks; it still hands them to all, whose changes count."""
    boss = Agent(role="Boss", goal="g", backstory="b", llm=model)
    crew = managed(model, model, manager_agent=boss)
    crew.kickoff({"topic": "x"})
    repo.run(crew, {"topic": "x"})
    assert not repo.plan(crew, {"topic": "x"}).stale
    crew.agents[1].max_iter = 3
    assert len(repo.plan(crew, {"topic": "x"}).stale) == 2
    assert len(repo.run(crew, {"topic": "x"}).run.executed) == 2


def test_the_texts_of_a_prompt_file_make_the_manager_too(
    repo: StateRepository, model: PromptModel, tmp_path: Any
) -> None:
    """A manager made with the texts of `prompt_file` is known as one that CrewAI made."""
    texts = json.loads((Path(crewai.__file__).parent / "translations" / "en.json").read_text(encoding="utf-8"))
    manager = {**texts["hierarchical_manager_agent"], "goal": "manage otherwise"}
    (tmp_path / "prompts.json").write_text(json.dumps({**texts, "hierarchical_manager_agent": manager}))
    crew = managed(model, model, prompt_file=str(tmp_path / "prompts.json"))
    assert len(repo.plan(crew, {"topic": "x"}).missing) == 2
    repo.run(crew, {"topic": "x"})
    assert crew.manager_agent is not None
    assert crew.manager_agent.goal == "manage otherwise"
    assert len(repo.run(crew, {"topic": "x"}).run.reused) == 2


def test_the_first_task_keeps_the_trigger(repo: StateRepository, model: PromptModel) -> None:
    """CrewAI lets a crew's first task have the payload, and leaves that set; it makes nothing stale."""
    worker = Agent(role="Writer", goal="g", backstory="b", llm=model)
    crew = Crew(agents=[worker], tasks=[Task(description="<<one>>", expected_output="text", agent=worker)])
    repo.run(crew, {"crewai_trigger_payload": "mail"})
    assert crew.tasks[0].allow_crewai_trigger_context is True
    assert repo.run(crew, {"crewai_trigger_payload": "mail"}).run.executed == []
    assert len(repo.run(crew, {"crewai_trigger_payload": "another"}).run.executed) == 1


class Watched(Task):
    def execute_async(self, *args: Any, **kwargs: Any) -> Future[TaskOutput]:
        started.append(self.name)
        return super().execute_async(*args, **kwargs)


started: list[Any] = []


def test_an_async_task_goes_through_its_own_execute_async(repo: StateRepository, model: PromptModel) -> None:
    """A class of the user's own may do something there; it is called for an executed task, once."""
    started.clear()
    worker = Agent(role="Writer", goal="g", backstory="b", llm=model)
    aside = Watched(name="aside", description="<<a>>", expected_output="text", agent=worker, async_execution=True)
    last = Task(name="last", description="<<b>>", expected_output="text", agent=worker, context=[aside])
    crew = Crew(agents=[worker], tasks=[aside, last])
    assert repo.run(crew).run.executed == ["aside", "last"]
    assert repo.run(crew).run.executed == []
    assert started == ["aside"]


def test_a_mock_of_a_model_is_no_obstacle(repo: StateRepository) -> None:
    """People test their crews with mocks: it answers as in a plain kickoff, and cannot be hashed, so it does so each time."""
    mock = Mock(spec=LLM, model="gpt-4o-mini", stop=[])
    mock.call.return_value = "Thought: I know.\nFinal Answer: hello"
    mock.get_token_usage_summary.return_value = UsageMetrics(total_tokens=100)
    worker = Agent(role="Writer", goal="g", backstory="b", llm=mock)
    crew = Crew(agents=[worker], tasks=[Task(description="<<one>>", expected_output="text", agent=worker)])
    plain = crew.kickoff().raw
    for _ in range(2):
        result = repo.run(crew)
        assert (result.raw, result.run.executed) == (plain, ["task-01"])
