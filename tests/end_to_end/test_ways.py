"""Streams, attached crews, batches of CrewAI's own, Flows, `@CrewBase` projects: recorded all the same."""

from __future__ import annotations

import asyncio
import gc
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from crewai import Crew
from crewai.flow.flow import Flow, listen, start
from crewai.project import CrewBase, agent, crew, task
from crewai.tasks.task_output import TaskOutput
from crewai.utilities.evaluators.task_evaluator import TaskEvaluator, TrainingTaskEvaluation
from pydantic import PrivateAttr

from crew_repo import AttachError, StateRepository
from tests import crews
from tests.crews import NEW_ADJUSTER, NEW_NOTES, NOTES
from tests.models import PromptModel

pytestmark = pytest.mark.siege


def two_tasks(model: PromptModel, **members: Any) -> Crew:
    built = crews.sequential_unspecified_context(model)
    for name, value in members.items():
        setattr(built, name, value)
    return built


def raws(result: Any) -> list[str]:
    return [output.raw for output in result.tasks_output]


def test_a_stream_that_is_read_is_recorded(repo, model):
    """With `stream=True` run gives CrewAI's stream; reading it runs and records the crew."""
    stream = repo.run(two_tasks(model, stream=True), NOTES)
    assert (model.calls, repo.runs()) == ([], [])
    for _ in stream:
        pass
    assert stream.result.run.executed == ["analyze", "draft"]
    model.forget()
    again = repo.run(two_tasks(model, stream=True), NOTES)
    list(again)
    assert (model.calls, raws(again.result)) == ([], raws(stream.result))
    assert repo.runs()[0].reused == ["analyze", "draft"]


def test_a_stream_that_is_never_read_records_nothing(repo, model):
    """A stream that is dropped unread calls no model and leaves the crew's kickoff as it was."""
    streaming = two_tasks(model, stream=True)
    stream = repo.run(streaming, NOTES)
    assert "kickoff" in streaming.__dict__
    del stream
    gc.collect()
    assert ("kickoff" in streaming.__dict__, model.calls, repo.runs()) == (False, [], [])


def test_two_streams_of_one_crew_are_recorded_each_as_it_was_asked_for(repo, model):
    """Streams that were made before either was read keep their inputs and options, in whatever order they are read."""
    streaming = two_tasks(model, stream=True)
    first = repo.run(streaming, NOTES, workflow_id="first")
    second = repo.run(streaming, NEW_NOTES, workflow_id="second")
    list(second), list(first)
    assert [(run.workflow_id, run.executed) for run in repo.runs()] == [
        ("first", ["analyze", "draft"]), ("second", ["analyze", "draft"])
    ]  # fmt: skip
    assert "kickoff" not in streaming.__dict__
    assert repo.plan(streaming, NEW_NOTES, workflow_id="second").fresh == ["analyze", "draft"]


def test_a_plain_kickoff_beside_an_unread_stream_stays_plain(repo, model):
    """Only what comes back from the stream is recorded under its options."""
    streaming = two_tasks(model, stream=True)
    stream = repo.run(streaming, NOTES)
    streaming.stream = False
    streaming.kickoff(NEW_NOTES)
    assert repo.runs() == []
    streaming.stream = True
    list(stream)
    assert repo.runs()[0].executed == ["analyze", "draft"]


@pytest.mark.parametrize("detached", [False, True], ids=["attached", "detached before it is read"])
def test_a_stream_of_an_attached_crew_keeps_the_options_of_its_run(repo, model, tmp_path, detached):
    """`run` on an attached crew that streams goes by its own arguments and repository, not by those of `attach`."""
    streaming = repo.attach(two_tasks(model, stream=True))
    with StateRepository(tmp_path / "other.db") as other:
        list(other.run(streaming, NOTES, workflow_id="mine"))
        stream = other.run(streaming, NOTES, workflow_id="mine", force=["draft"])
        if detached:
            repo.detach(streaming)
        list(stream)
        assert [(run.workflow_id, run.executed) for run in other.runs()] == [
            ("mine", ["draft"]), ("mine", ["analyze", "draft"])
        ]  # fmt: skip
    assert (repo.runs(), "kickoff" in streaming.__dict__) == ([], not detached)


async def test_an_async_stream_is_recorded(repo, model):
    """The same with the native async kickoff."""
    stream = await repo.arun(two_tasks(model, stream=True), NOTES)
    async for _ in stream:
        pass
    assert repo.runs()[0].executed == ["analyze", "draft"]


async def test_every_kickoff_of_an_attached_crew_is_recorded(repo, model):
    """`kickoff`, `kickoff_async` and `akickoff` of an attached crew go through the repository."""
    attached = repo.attach(two_tasks(model))
    first = await asyncio.to_thread(attached.kickoff, NOTES)
    model.forget()
    assert (await asyncio.to_thread(attached.kickoff, inputs=NOTES)).run.reused == ["analyze", "draft"]
    assert raws(await attached.kickoff_async(NOTES)) == raws(first)
    assert raws(await attached.akickoff(NOTES)) == raws(first)
    assert (model.calls, len(repo.runs())) == ([], 4)


async def test_kickoff_for_each_of_an_attached_crew_is_recorded(repo, model):
    """The copies that `kickoff_for_each` and its async twins make are attached too, and do not mix."""
    attached = repo.attach(two_tasks(model))
    first = await asyncio.to_thread(attached.kickoff_for_each, [NOTES, NEW_NOTES])
    assert raws(first[0]) != raws(first[1])
    model.forget()
    again = [
        await asyncio.to_thread(attached.kickoff_for_each, [NOTES, NEW_NOTES]),
        await attached.kickoff_for_each_async([NOTES, NEW_NOTES]),
        await attached.akickoff_for_each([NOTES, NEW_NOTES]),
    ]
    assert model.calls == []
    assert all([raws(result) for result in results] == [raws(result) for result in first] for results in again)


def test_a_streaming_attached_crew_is_recorded(repo, model):
    """An attached crew that streams is recorded when its stream is read."""
    attached = repo.attach(two_tasks(model, stream=True))
    list(attached.kickoff(NOTES))
    assert repo.runs()[0].executed == ["analyze", "draft"]


def trainable(crew: Crew) -> Crew:
    """CrewAI 1.14 can train only with its older executor, which 1.15 has no more."""
    if find_spec("crewai.agents.crew_agent_executor") is not None:
        older = import_module("crewai.agents.crew_agent_executor").CrewAgentExecutor
        for worker in crew.agents:
            worker.executor_class = older
    return crew


@pytest.mark.parametrize("repeat", ["train", "test"])
def test_train_and_test_of_an_attached_crew_ask_the_models_each_time(repo, model, monkeypatch, repeat):
    """Both kick a copy off again with the same inputs, to see how the answers differ: nothing is served or recorded."""
    monkeypatch.setattr("sys.stdin", io.StringIO("Great work!\n" * 10))
    attached = repo.attach(trainable(two_tasks(model)))
    attached.kickoff(NOTES)
    model.forget()
    if repeat == "train":
        monkeypatch.setattr(TaskEvaluator, "evaluate_training_data", lambda *_, **__: TrainingTaskEvaluation.model_construct())
        attached.train(n_iterations=2, filename="trained.pkl", inputs=NOTES)
    else:
        attached.test(2, PromptModel(model="judge", script={"quality": '{"quality": 7}'}), NOTES)
    assert sum("<<analyze>>" in call.rpartition("Current Task:")[2] for call in model.calls) >= 2
    assert len(repo.runs()) == 1
    assert attached.kickoff(NOTES).run.reused == ["analyze", "draft"]


def test_attaching_to_two_repositories_is_an_error(repo, model, tmp_path):
    """One crew, two repositories: a clear error; detached, it may be attached elsewhere."""
    attached = repo.attach(two_tasks(model))
    assert repo.attach(attached) is attached
    with StateRepository(tmp_path / "other.db") as other:
        with pytest.raises(AttachError, match="attached to"):
            other.attach(attached)
        repo.detach(attached)
        other.attach(attached).kickoff(NOTES)
        assert (len(other.runs()), repo.runs()) == (1, [])


class Chapters(Flow):
    """Calls one crew per chapter."""

    repository: Any = None
    model: Any = None

    @start()
    def first(self) -> Any:
        return self.chapter("one")

    @listen(first)
    def second(self, _: Any) -> Any:
        return self.chapter("two")

    def chapter(self, notes: str) -> Any:
        return self.repository.run(two_tasks(self.model), {"notes": notes, "adjuster": "Ada"})


def test_crews_inside_a_flow_neither_evict_nor_mix(repo, model):
    """A Flow that runs one crew per chapter finds every chapter again."""
    for _ in range(2):
        flow = Chapters()
        flow.repository, flow.model = repo, model
        flow.kickoff()
    assert [len(run.executed) for run in repo.runs()] == [0, 0, 2, 2]


@CrewBase
class Project:
    """A project as `crewai create crew` makes one."""

    agents_config = "agents.yaml"
    tasks_config = "tasks.yaml"
    model = PromptModel(model="m")

    @agent
    def analyst(self) -> Any:
        return crews.Agent(config=self.agents_config["analyst"], llm=self.model)

    @task
    def analyze_task(self) -> Any:
        return crews.Task(config=self.tasks_config["analyze_task"])

    @task
    def draft_task(self) -> Any:
        return crews.Task(config=self.tasks_config["draft_task"])

    @crew
    def crew(self) -> Any:
        return Crew(agents=self.agents, tasks=self.tasks)


def test_a_crewbase_project_with_yaml_is_recorded_by_task_name(repo):
    """Tasks of a `@CrewBase` class carry the names of their methods, and rerun by what changed."""
    first = repo.run(Project().crew(), NOTES)
    assert first.run.executed == ["analyze_task", "draft_task"]
    assert repo.run(Project().crew(), NOTES).run.executed == []
    assert repo.run(Project().crew(), NEW_ADJUSTER).run.executed == ["draft_task"]


def test_two_crews_that_share_agents_and_a_model_do_not_mix(repo, model):
    """Each crew has its own records, whatever objects they share."""
    worker = crews.agent(model)
    one = Crew(name="one", agents=[worker], tasks=[crews.task("analyze", "{notes}", worker)])
    two = Crew(name="two", agents=[worker], tasks=[crews.task("analyze", "{notes}!", worker)])
    results = [repo.run(each, NOTES) for each in (one, two)]
    model.forget()
    assert [raws(repo.run(each, NOTES)) for each in (one, two)] == [raws(result) for result in results]
    assert model.calls == []


def test_workflows_that_share_their_records_pay_once(tmp_path, refused):
    """With `share_across_workflows`, a task that another workflow is executing is waited for, and then reused."""
    began = threading.Event()

    def slowly(_: str) -> str:
        began.set()
        refused.wait()
        return "policy 42"

    model = PromptModel(model="m", script={"<<analyze>>": slowly})
    with StateRepository(tmp_path / "state.db", share_across_workflows=True) as repo, ThreadPoolExecutor() as pool:
        first = pool.submit(repo.run, two_tasks(model), NOTES, workflow_id="CLM-1")
        began.wait()
        second = repo.run(two_tasks(model), NOTES, workflow_id="CLM-2")
        assert raws(second) == raws(first.result())
    assert len(model.calls) == len(second.tasks_output)


def with_clerk(clerk: Any, mark: str) -> Crew:
    return Crew(name=mark, agents=[clerk], tasks=[crews.task(mark, "x", clerk)])


class Failing(PromptModel):
    """Fails until it is told not to, and answers then."""

    _begun: threading.Event = PrivateAttr(default_factory=threading.Event)
    _mended: threading.Event = PrivateAttr(default_factory=threading.Event)

    def answer(self, prompt: str) -> str:
        if "<<write>>" in prompt and not self._mended.is_set():
            self._begun.set()
            self._mended.wait()
            raise ZeroDivisionError
        return super().answer(prompt)


def test_an_agent_rewritten_by_another_kickoff_gives_no_record_for_what_it_was(repo, refused):
    """While a run waits for a lease, a kickoff interpolates the agent that both use: what is sent is not what was hashed."""
    model = Failing(model="m")

    def clerk() -> Any:
        return crews.agent(model, goal="help {who}", max_retry_limit=0)

    shared = clerk()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(repo.run, with_clerk(clerk(), "write"), {"who": "Ada"})
        model._begun.wait()
        second = pool.submit(repo.run, with_clerk(shared, "write"), {"who": "Ada"})
        refused.wait()  # the second has arrived at its task, and waits for the lease
        with_clerk(shared, "other").kickoff({"who": "Bo"})
        model._mended.set()
        assert isinstance(first.exception(), ZeroDivisionError)
        second.result()
    assert ("<<write>>" in model.calls[-1], "help Bo" in model.calls[-1]) == (True, True)
    again = repo.run(with_clerk(clerk(), "write"), {"who": "Ada"})
    assert ("help Ada" in model.calls[-1], again.run.executed) == (True, ["write"])


def test_one_task_object_is_in_one_run_at_a_time(repo, model):
    """A kickoff changes its task objects: a second crew with one of them is refused before any model is called."""
    begun, end = threading.Event(), threading.Event()
    model.script = {"<<both>>": lambda _: begun.set() or (end.wait() and "done")}
    worker = crews.agent(model)
    both = crews.task("both", "x", worker)
    one, two = (Crew(name=name, agents=[worker], tasks=[both]) for name in ("one", "two"))
    with ThreadPoolExecutor() as pool:
        running = pool.submit(repo.run, one)
        begun.wait()
        with pytest.raises(AttachError, match="task 'both' of this crew is being run already"):
            repo.run(two)
        end.set()
        assert running.result().run.executed == ["both"]
    assert [run.crew_name for run in repo.runs()] == ["one"]
    assert repo.run(two).run.executed == ["both"]


def test_a_condition_flips_both_ways(repo):
    """A conditional task that ran is skipped when its condition says no, and served again when it says yes."""
    model = PromptModel(model="m", script={"hail on 4 May": "harmless", "hail on 3 May": "fire"})

    def build() -> Crew:
        worker = crews.agent(model)
        escalate = crews.task(
            "escalate", "call", worker, cls=crews.ConditionalTask, condition=lambda output: "fire" in output.raw
        )
        last = crews.task("draft", "write", worker)
        return Crew(agents=[worker], tasks=[crews.task("analyze", "{notes}", worker), escalate, last])

    ran, skipped = repo.run(build(), NOTES), repo.run(build(), NEW_NOTES)
    assert (ran.run.skipped, skipped.run.skipped) == ([], ["escalate"])
    same_object = build()
    repo.run(same_object, NOTES)
    flipped = repo.run(same_object, NEW_NOTES)
    model.forget()
    assert raws(repo.run(build(), NOTES)) == raws(ran)
    assert raws(flipped) == raws(skipped) == raws(repo.run(build(), NEW_NOTES))
    assert model.calls == []


def test_a_condition_sees_the_live_pydantic_class(repo):
    """A condition that reads `output.pydantic.covered` works on a restored output as on a new one."""
    model = PromptModel(model="m", script={"<<check>>": crews.COVERAGE})
    seen: list[Any] = []

    def condition(output: TaskOutput) -> bool:
        seen.append(output.pydantic)
        return bool(output.pydantic.covered)

    def build() -> Crew:
        worker = crews.agent(model)
        check = crews.task("check", "{notes}", worker, output_pydantic=crews.Coverage)
        return Crew(
            agents=[worker],
            tasks=[check, crews.task("then", "go", worker, cls=crews.ConditionalTask, condition=condition)],
        )

    repo.run(build(), NOTES)
    repo.run(build(), NOTES)
    assert {type(output) for output in seen} == {crews.Coverage}
    assert len({output.amount for output in seen}) == 1
