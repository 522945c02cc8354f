"""One crew object, run again after it was changed or used: only its ingredients by now reach the model."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from crewai import Agent, Crew, Task
from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource
from crewai.tools import tool
from pydantic import PrivateAttr

from crew_repo.adapter import as_if_first, private
from tests import crews
from tests.crews import NEW_ADJUSTER, NOTES
from tests.models import PromptModel
from tests.plain import kickoff

pytestmark = pytest.mark.siege

try:
    from crewai.agents.agent_executor import AgentExecutor
except ImportError:  # before 1.15
    from crewai.experimental import AgentExecutor  # type: ignore[no-redef, attr-defined]

EXECUTORS = list(dict.fromkeys([Agent.model_fields["executor_class"].default, AgentExecutor]))
LOOKING_UP = 'Thought: I look it up.\nAction: lookup\nAction Input: {"policy": "P-1"}'
LOOKS_UP = {"has ended": "it has", "in force": "it is", "<<check>>": LOOKING_UP}
LOOKS_UP_FOR_EVER = {"MUST give your absolute best final answer": "it is", "<<check>>": LOOKING_UP}

Run = Callable[[Any, Crew, Any], Any]


@tool("lookup")
def look_elsewhere(policy: str) -> str:
    """Look a policy up."""
    return f"policy {policy} has ended"


def run(repo: Any, crew: Crew, inputs: Any = None) -> Any:
    return repo.run(crew, inputs)


def arun(repo: Any, crew: Crew, inputs: Any = None) -> Any:
    return asyncio.run(repo.arun(crew, inputs))


RUNS = pytest.mark.parametrize("run", [run, arun], ids=["run", "arun"])


def one_task(model: PromptModel, executor: type, **members: Any) -> Crew:
    worker = crews.agent(model, tools=[crews.lookup], executor_class=executor, max_iter=3, **members)
    return Crew(agents=[worker], tasks=[crews.task("check", "is it covered?", worker)])


CHANGES: dict[str, Callable[[PromptModel], Any]] = {
    "max_iter": lambda model: 5,
    "llm": lambda model: model,
    "function_calling_llm": lambda model: model,
    "respect_context_window": lambda model: False,
    "system_template": lambda model: "S {{ .System }}",
    "prompt_template": lambda model: "P {{ .Prompt }}",
    "response_template": lambda model: "R {{ .Response }} E",
    "use_system_prompt": lambda model: False,
    "goal": lambda model: "be quick",
    "tools": lambda model: [look_elsewhere],
}


@pytest.mark.parametrize("executor", EXECUTORS, ids=lambda executor: executor.__name__)
@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_agent_does_what_one_built_so_would_do(repo, field: str, executor: type):
    """A field that makes a task stale acts in the next run of the same object, as in a crew built with it."""
    endless = field == "max_iter" and executor is EXECUTORS[0]  # the other one of CrewAI 1.13 would never end
    script = LOOKS_UP_FOR_EVER if endless else LOOKS_UP
    model, again, fresh = (PromptModel(model="m", script=script) for _ in range(3))
    changed, built = one_task(model, executor), one_task(fresh, executor)
    repo.run(changed)
    model.forget()
    again.temperature = fresh.temperature = 0.5 if field == "llm" else None
    for crew, new in ((changed, again), (built, fresh)):
        setattr(crew.tasks[0] if field == "tools" else crew.agents[0], field, CHANGES[field](new))
    assert repo.run(changed).run.executed == ["check"]
    kickoff(built)
    asked = again if field == "llm" else model
    assert asked.calls == fresh.calls
    assert model.calls == ([] if field == "llm" else fresh.calls)
    if hasattr(changed.agents[0].agent_executor, field):
        of = [getattr(crew.agents[0].agent_executor, field) for crew in (changed, built)]
        assert field in ("llm", "function_calling_llm", "tools") or of[0] == of[1]
        assert "llm" not in field or of[0] is again


def draft_alone(model: PromptModel, build: Callable[[PromptModel], Crew], run: Run, repo: Any) -> tuple[list[str], list[str]]:
    """What the last task is asked when all are executed, and when only it is, on the same objects."""
    crew = build(model)
    run(repo, crew, NEW_ADJUSTER)
    model.forget()
    repo.invalidate("draft", workflow_id=crew.name)
    run(repo, crew, NEW_ADJUSTER)
    alone = list(model.calls)
    model.forget()
    repo.invalidate("analyze", workflow_id=crew.name, downstream=True)
    run(repo, crew, NEW_ADJUSTER)
    assert model.called_for() == ["analyze", "draft"]
    return alone, [call for call in model.calls if "<<draft>>" in call]


def delegating(model: PromptModel) -> Crew:
    """Both tasks ask the same co-worker, in words of their own."""
    asking = 'Thought: I ask.\nAction: ask_question_to_coworker\nAction Input: {{"question": "q", "context": "{0}", "coworker": "B"}}'
    model.script = {
        "asked by": "Thought: I know.\nFinal Answer: yes",
        "yes": "Thought: I know.\nFinal Answer: so it is",
        "<<draft>>": asking.format("asked by draft"),
        "<<analyze>>": asking.format("asked by analyze"),
    }
    return crews.delegation_between_coworkers(model)


def with_own_executor(model: PromptModel) -> Crew:
    crew = crews.sequential_unspecified_context(model)
    crew.agents[0].executor_class = AgentExecutor
    return crew


def in_threads(model: PromptModel) -> Crew:
    crew = crews.sequential_unspecified_context(model)
    crew.tasks[1].async_execution = True
    crew.tasks[1].context = [crew.tasks[0]]
    return crew


ONE_AFTER_THE_OTHER = [
    crews.sequential_unspecified_context, with_own_executor, in_threads, delegating, crews.hierarchical_with_manager_llm
]


@RUNS
@pytest.mark.parametrize("build", ONE_AFTER_THE_OTHER, ids=lambda build: build.__name__)
def test_what_a_task_is_asked_does_not_hang_on_what_was_executed(repo, model, build, run: Run):
    """A task is asked the same whether the tasks before it were executed or reused, first or again."""
    alone, after_another = draft_alone(model, build, run, repo)
    assert alone == after_another
    assert alone


@pytest.mark.parametrize("executor", EXECUTORS, ids=lambda executor: executor.__name__)
def test_a_changed_tool_is_asked_again(repo, executor: type):
    """What a tool said in an earlier run of the object is not said for another tool of that name (`cache=True`)."""
    crew = one_task(PromptModel(model="m", script=LOOKS_UP), executor, cache=True)
    crew.cache = True
    assert repo.run(crew).raw == "it is"
    crew.tasks[0].tools = [look_elsewhere]
    assert repo.run(crew).raw == "it has"


def test_a_changed_guardrail_acts(repo, model):
    """A guardrail that is changed, taken away or put on makes the task stale, and is the one that acts."""
    crew = crews.sequential_unspecified_context(model)
    said = repo.run(crew, NOTES).tasks_output[0].raw
    for guardrails in ({"guardrail": crews.not_empty}, {"guardrail": None}, {"guardrails": [crews.not_empty] * 2}):
        for name, value in guardrails.items():
            setattr(crew.tasks[0], name, value)
        checked = 2 if "guardrails" in guardrails else int(guardrails["guardrail"] is not None)
        assert repo.run(crew, NOTES).tasks_output[0].raw == said + " (checked)" * checked


def test_a_guardrail_in_words_asks_the_llm_of_its_agent_by_now(repo, model):
    """With another LLM the agent's task is stale, and that LLM is the one that judges."""
    verdict = {"Guardrail": '{"valid": true, "feedback": null}'}
    model.script = verdict
    crew = Crew(agents=[worker := crews.agent(model)], tasks=[crews.task("check", "x", worker, guardrail="be polite")])
    repo.run(crew)
    assert any("be polite" in call for call in model.calls)
    model.forget()
    worker.llm = other = PromptModel(model="other", script=verdict)
    assert repo.run(crew).run.executed == ["check"]
    assert model.calls == []
    assert any("be polite" in call for call in other.calls)


def test_knowledge_that_a_crew_was_not_made_with_changes_nothing(repo, model):
    """CrewAI reads a crew's sources when the crew is made; what is put there later reaches no prompt."""
    mode = crews.MODES["knowledge"]
    crew = mode.build(model)
    repo.run(crew, mode.inputs)
    model.forget()
    crew.knowledge_sources = [StringKnowledgeSource(content="Hail is not covered.")]
    assert (repo.run(crew, mode.inputs).run.executed, model.calls) == ([], [])
    kickoff(crew, mode.inputs)
    assert not any("Hail is not covered." in call for call in model.calls)


@RUNS
@pytest.mark.parametrize("inputs", [None, NOTES], ids=["without inputs", "with inputs"])
@pytest.mark.parametrize("build", [crews.sequential_unspecified_context, in_threads], ids=["sync", "async"])
def test_a_date_does_not_stay_in_a_description(repo, model, build, inputs: Any, run: Run):
    """With `inject_date` a crew object is fresh in its second run, and its texts do not grow when it is executed again."""
    crew = build(model)
    crew.agents[0].inject_date = True
    before = [task.description for task in crew.tasks]
    first = run(repo, crew, inputs)
    assert all("Current Date: " in call for call in model.calls)
    assert run(repo, crew, inputs).run.executed == []
    assert repo.plan(build_dated(build, model), inputs).all_fresh
    model.forget()
    repo.invalidate(["analyze", "draft"])
    again = run(repo, crew, inputs)
    assert [call.count("Current Date: ") for call in model.calls] == [1, 1]
    assert [output.raw for output in again.tasks_output] == [output.raw for output in first.tasks_output]
    if inputs is None:
        assert [task.description for task in crew.tasks] == before


def build_dated(build: Callable[[PromptModel], Crew], model: PromptModel) -> Crew:
    crew = build(model)
    crew.agents[0].inject_date = True
    return crew


def test_a_plan_of_an_agent_does_not_stay_in_a_description(repo):
    """With `reasoning`, which before 1.15 appends a plan to the description, a second run is fresh too."""
    model = PromptModel(model="m", script={"READY": "READY: I am ready to execute the task."})
    crew = crews.no_inputs(model)
    crew.agents[0].reasoning, crew.agents[0].max_reasoning_attempts = True, 1
    before = [task.description for task in crew.tasks]
    repo.run(crew)
    assert [task.description for task in crew.tasks] == before
    model.forget()
    assert (repo.run(crew).run.executed, model.calls) == ([], [])


def test_an_agent_of_two_crews_works_for_the_one_that_runs(repo, model):
    """An executor that was made for another crew is not used: it would take that crew's files and names."""
    one, other = crews.sequential_unspecified_context(model), crews.sequential_unspecified_context(model)
    other.agents = one.agents
    for task in other.tasks:
        task.agent = one.agents[0]
    repo.run(one, NOTES, workflow_id="one")
    repo.run(other, NOTES, workflow_id="other")
    assert one.agents[0].agent_executor.crew is other


class MeetingModel(PromptModel):
    """Waits in each call until it has been asked twice, or until CrewAI has refused to ask it."""

    _asked: threading.Semaphore = PrivateAttr(default_factory=lambda: threading.Semaphore(0))
    _met: threading.Event = PrivateAttr(default_factory=threading.Event)

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        if self._asked.acquire(blocking=False):
            self._met.set()
        self._asked.release()
        self._met.wait()
        return super().call(messages, *args, **kwargs)


@pytest.fixture
def refusals_told(monkeypatch) -> None:
    """A task that CrewAI refuses to execute leaves no other one waiting to meet it."""
    execute, aexecute = Agent.execute_task, Agent.aexecute_task

    def told(self: Agent, *args: Any, **kwargs: Any) -> Any:
        try:
            return execute(self, *args, **kwargs)
        except RuntimeError:
            self.llm._met.set()
            raise

    async def atold(self: Agent, *args: Any, **kwargs: Any) -> Any:
        try:
            return await aexecute(self, *args, **kwargs)
        except RuntimeError:
            self.llm._met.set()
            raise

    monkeypatch.setattr(Agent, "execute_task", told)
    monkeypatch.setattr(Agent, "aexecute_task", atold)


def sharing(model: PromptModel) -> Crew:
    """Two async tasks of one agent."""
    worker = crews.agent(model)
    tasks = [crews.task(mark, "go", worker, async_execution=True, context=[]) for mark in ("one", "two")]
    return Crew(agents=[worker], tasks=[*tasks, crews.task("end", "go", worker, context=[])])


@RUNS
def test_async_tasks_of_one_agent_are_not_mixed(repo, refusals_told, run: Run):
    """Where CrewAI does not refuse to use an agent twice at once, each task is asked its own, and no more."""
    model = MeetingModel(model="m")
    crew = sharing(model)
    refused, result = "", None
    try:
        result = run(repo, crew)
    except RuntimeError as error:
        refused = str(error)
    if refused:
        with pytest.raises(RuntimeError, match="already running"):
            sharing(MeetingModel(model="m")).kickoff()
        assert "already running" in refused
        return
    assert sorted(re.findall(r"<<(\w+)>>", "".join(model.calls))) == ["end", "one", "two"]
    for mark, output in zip(("one", "two", "end"), result.tasks_output, strict=True):
        assert [message["role"] for message in output.messages] == ["system", "user", "assistant"]
        assert f"<<{mark}>>" in str(output.messages)
    assert all(task.agent is crew.agents[0] for task in crew.tasks)


def test_an_agent_that_is_executing_is_left_alone(model):
    """Its executor is not taken away under it; when it has ended, an outdated one is."""
    crew = one_task(model, EXECUTORS[-1])
    (worker,), (task,) = crew.agents, crew.tasks
    worker.create_agent_executor(task=task)
    used = worker.agent_executor
    with as_if_first(crew, task, None):
        assert worker.agent_executor is used or private.keeps_conversation(used)
    worker.create_agent_executor(task=task)
    with as_if_first(crew, task, worker):
        worker.create_agent_executor(task=task)
        used, worker.max_iter = worker.agent_executor, 9
        with as_if_first(crew, task, worker):
            assert worker.agent_executor is used
        with as_if_first(crew, task, None):
            assert worker.agent_executor is used
    with as_if_first(crew, task, worker):
        assert worker.agent_executor is None


def test_a_callback_that_rewrites_another_tasks_agent_costs_its_own_task_nothing(repo, model):
    """The task that had the callback is served; the agent's new text counts where that agent works."""

    def crew() -> Crew:
        one, two = crews.agent(model, "Reader"), crews.agent(model, "Writer")
        read = crews.task("read", "notes", one, callback=lambda _: setattr(two, "goal", "be brief"))
        return Crew(agents=[one, two], tasks=[read, crews.task("write", "a line", two, context=[])])

    repo.run(crew())
    again = repo.run(crew(), force=["write"])
    assert (again.run.executed, again.run.reused) == (["write"], ["read"])


PROMPTS: list[str] = []


def test_a_function_in_the_place_of_a_method_of_crewais_may_note_what_it_sees(repo, model, monkeypatch):
    """What it has noted is no edit of it: the next run of the same process finds all fresh."""
    prompt = Task.prompt

    def noting(task: Task) -> str:
        PROMPTS.append(prompt(task))
        return PROMPTS[-1]

    monkeypatch.setattr(Task, "prompt", noting)
    first = repo.run(crews.sequential_last_input(model), NOTES)
    assert (first.run.executed, len(PROMPTS)) == (["analyze", "draft"], 2)
    assert repo.run(crews.sequential_last_input(model), NOTES).run.reused == ["analyze", "draft"]
