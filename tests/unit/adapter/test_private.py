"""Each private member of CrewAI that is touched: that it is there, and what breaks here when it goes."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from crewai import Agent, Crew, Task
from crewai.agents.cache.cache_handler import CacheHandler
from crewai.crews import utils as crew_utils
from crewai.flow.flow import Flow, start
from crewai.llms.providers.openai.completion import OpenAICompletion
from crewai.tasks.task_output import TaskOutput
from crewai.tools import BaseTool
from crewai.utilities import file_store
from crewai.utilities.i18n import I18N
from crewai.utilities.planning_handler import CrewPlanner, PlannerTaskPydanticOutput, PlanPerTask

from crew_repo.adapter import plan_texts, private
from tests import crews
from tests.models import PromptModel


def built() -> Crew:
    return crews.sequential_unspecified_context(PromptModel(model="m"))


def test_inputs_are_kept_on_the_crew():
    """Without `Crew._inputs` a changed input could no longer be named, and a trigger payload would go unseen."""
    crew = built()
    crew.kickoff({"notes": "n", "adjuster": "a"})
    assert private.crew_inputs(crew) == {"notes": "n", "adjuster": "a"}
    assert "_inputs" in Crew.__private_attributes__


def test_templates_are_kept_beside_the_texts():
    """Without `_original_*` a second plan would find no variables in texts that are interpolated already."""
    crew = built()
    crew.kickoff({"notes": "n", "adjuster": "a"})
    assert private.original_text(crew.tasks[0], "description") == "<<analyze>> {notes}"
    assert crew.tasks[0].description == "<<analyze>> n"
    for cls, names in ((Task, ("description", "expected_output", "output_file")), (Agent, ("role", "goal", "backstory"))):
        assert {f"_original_{name}" for name in names} <= set(cls.__private_attributes__)


class Described(BaseTool):
    name: str = "look up"
    description: str = "Finds a claim.\nTool Description: by its number."

    def _run(self, number: str) -> str:
        return number


def test_a_description_counts_as_its_author_wrote_it():
    """Without `_generate_description`, an upgrade from CrewAI 1.14 would make each task that has a tool run again."""
    made, changed = Described(), Described()
    changed.description = "Finds a claim."
    assert private.authored_description(made) == "Finds a claim.\nTool Description: by its number."
    adds_later = hasattr(BaseTool, "formatted_description")
    assert private.authored_description(changed) == ("Finds a claim." if adds_later else None)


def test_a_kickoff_makes_its_agents_ready_with_one_function():
    """Without `crewai.crews.utils.setup_agents` a fresh run would make executors, and embed knowledge, for nothing."""
    crew, other = built(), built()
    original = crew_utils.setup_agents
    with private.agents_made_ready_later(crew) as make_ready:
        with private.agents_made_ready_later(other):
            for each in (crew, other):
                crew_utils.prepare_kickoff(each, {"notes": "n", "adjuster": "a"})
        assert [agent.agent_executor for agent in (*crew.agents, *other.agents)] == [None] * 2
        make_ready()
        assert all(agent.agent_executor for agent in crew.agents)
        make_ready()
        assert crew_utils.setup_agents is original
    assert crew_utils.setup_agents is original


def test_the_crews_memory_is_private():
    """Without `Crew._memory`, TaskPolicy(memory="always") would miss a memory that `memory=True` made."""
    assert "_memory" in Crew.__private_attributes__
    assert private.crew_memory(built()) is None


def test_a_kickoff_goes_through_its_tasks_with_one_method():
    """Without `Crew._execute_tasks` and `_create_crew_output`, a fresh run would cost CrewAI's loop over its tasks."""
    crew, met = built(), []
    names = private.loops(crew)
    assert names is not None
    output = TaskOutput(description="d", raw="the end", agent="a")
    crew.__dict__[names[0]] = lambda tasks: met.append(list(tasks)) or private.crew_output(crew, [output])
    assert crew.kickoff({"notes": "n", "adjuster": "a"}).raw == "the end"
    assert met == [crew.tasks]


def test_a_native_kickoff_goes_through_its_tasks_with_another():
    """Without `Crew._aexecute_tasks`, neither would a native async one be spared it."""
    crew = built()
    names = private.loops(crew)
    assert names is not None
    output = TaskOutput(description="d", raw="the end", agent="a")

    async def loop(tasks: list[Task]) -> object:
        return private.crew_output(crew, [output])

    crew.__dict__[names[1]] = loop
    assert asyncio.run(crew.akickoff({"notes": "n", "adjuster": "a"})).raw == "the end"


def test_outputs_are_logged_with_one_method_into_one_file():
    """Without `Crew._store_execution_log` and its handler, CrewAI would read its whole log after each task."""
    crew, met = built(), []
    name, file = private.output_log_method(crew), private.output_log(crew)
    assert name is not None
    assert file is not None
    assert Path(file).is_file()
    crew.__dict__[name] = lambda task, output, position, replayed=False: met.append((task, output.raw, position))
    crew.kickoff({"notes": "n", "adjuster": "a"})
    assert met == [(task, task.output and task.output.raw, at) for at, task in enumerate(crew.tasks)]


def test_a_kickoff_plans_with_one_method_of_the_crew():
    """Without `Crew._handle_crew_planning`, `planning=True` would ask its model although all is fresh."""
    crew, met = built(), []
    crew.planning = True
    name = private.planning_method(crew)
    assert name is not None
    crew.__dict__[name] = lambda: met.append([task.description for task in crew.tasks])
    crew.kickoff({"notes": "n", "adjuster": "a"})
    assert met == [["<<analyze>> n", "<<draft>> for a"]]


def test_the_planner_is_asked_by_a_task_that_crewai_makes():
    """Without these members of `CrewPlanner`, nobody would know what the planner is asked, and by which LLM."""
    crew = built()
    crew.planning_llm = PromptModel(model="planner")
    task = private.planner_task()
    assert (task.agent, task.description, task.output_pydantic) == (None, "", PlannerTaskPydanticOutput)
    private.ready_planner(crew, task)
    assert task.agent.llm is crew.planning_llm is private.planning_llm(crew)
    assert "<<draft>> for {adjuster}" in task.description
    made = CrewPlanner._create_planner_task(None, "x")
    assert (made.expected_output, type(private.planning_llm(built()))) == (task.expected_output, str)


def twice() -> Crew:
    crew = built()
    crew.tasks = [*crew.tasks, crew.tasks[0]]
    return crew


PLANS = {
    "in order": [(1, " A"), (2, " B")],
    "one missing": [(2, " B")],
    "the first of two": [(2, " B"), (2, " C"), (1, " A")],
    "too many": [(1, " A"), (2, " B"), (3, " C")],
    "none": [],
}


@pytest.mark.parametrize("plans", PLANS.values(), ids=PLANS)
def test_a_plan_is_appended_as_crewai_appends_it(monkeypatch, plans):
    """What `plan_texts` gives for each task is what `Crew._handle_crew_planning` appends to its description."""
    listed = [PlanPerTask(task_number=number, task="t", plan=text) for number, text in plans]
    given = PlannerTaskPydanticOutput(list_of_plans_per_task=listed)
    output = TaskOutput(description="", agent="", raw="", pydantic=given)
    monkeypatch.setattr(CrewPlanner, "_handle_crew_planning", lambda self: given)
    for crew in (built(), twice()):
        before = [task.description for task in crew.tasks]
        crew._handle_crew_planning()
        texts = [task.description.removeprefix(text) for task, text in zip(crew.tasks, before, strict=True)]
        assert plan_texts(crew.tasks, output) == texts


def test_a_model_keeps_its_client():
    """Without `_client`, `_async_client` and `_get_sync_client`, an endpoint of the environment would go unseen."""
    llm = OpenAICompletion(model="gpt-4o", api_key="k")
    assert "_client" in OpenAICompletion.__private_attributes__
    assert private.model_client(llm) is llm._client is not None
    assert "_async_client" in OpenAICompletion.__private_attributes__
    assert private.async_model_client(llm) is llm._async_client
    if hasattr(llm, "_get_sync_client"):  # until 1.13 the client is made with the model
        llm._client = None
        assert type(private.made_model_client(llm)).__name__ == "OpenAI"
        assert llm._client is None
    assert private.made_model_client(PromptModel(model="m")) is None


def test_models_count_through_one_method():
    """Without `_track_token_usage_internal`, async tasks that share a model would share its tokens too."""
    model = PromptModel(model="m")
    tracker = private.usage_tracker(model)
    assert tracker is not None
    tracker({"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3})
    assert model.get_token_usage_summary().total_tokens == 3
    assert private.usage_tracker_name() == tracker.__name__


def test_the_event_threads_are_known_to_be_lost_in_a_forked_child():
    """Without `_loop_thread` and `_shutting_down`, a run in a forked child would hang in CrewAI's kickoff."""
    built().kickoff({"notes": "n", "adjuster": "a"})
    assert not private.events_are_lost()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if private.events_are_lost() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_events_that_another_thread_is_just_starting_are_not_lost(monkeypatch):
    """While CrewAI starts its thread, that is not alive yet: a run beside it must not be refused."""
    gate = threading.Event()

    class Starting(threading.Thread):
        def is_alive(self) -> bool:
            return False

    thread = Starting(target=gate.wait, args=(10,))
    monkeypatch.setattr(private.crewai_event_bus, "_loop_thread", thread)
    assert not private.events_are_lost()
    thread.start()
    assert not private.events_are_lost()
    gate.set()
    thread.join()
    assert private.events_are_lost()


def test_an_output_file_is_written_as_crewai_writes_it(tmp_path, monkeypatch):
    """Without `Task._save_file`, a missing output file of a reused task could not be restored."""
    monkeypatch.chdir(tmp_path)
    task = crews.task("one", "x", crews.agent(PromptModel(model="m")), output_file="out/one.json")
    private.save_output_file(task, {"a": 1})
    assert Path("out/one.json").read_text() == '{\n  "a": 1\n}'


def test_an_executor_that_keeps_the_conversation_is_known():
    """Without `_is_executing` on executors that begin anew each execution would make one more; on others it would be told too much."""
    model = PromptModel(model="m")
    crew = crews.sequential_unspecified_context(model)
    crew.kickoff({"notes": "n", "adjuster": "a"})
    told_before = [call.count("Current Task:") for call in model.calls] != [1, 1]
    used = crew.agents[0].agent_executor
    assert private.keeps_conversation(used) == told_before
    used._resuming = True
    assert private.keeps_conversation(used)
    assert private.keeps_conversation(object())


def test_an_executor_that_refuses_a_second_use_is_known():
    """Without `_is_executing`, an agent would be copied where CrewAI says that it is running already."""
    worker = crews.agent(PromptModel(model="m"))
    worker.create_agent_executor(task=crews.task("one", "x", worker))
    executor = worker.agent_executor
    assert private.refuses_a_second_use(worker.executor_class) == hasattr(executor, "_is_executing")
    assert not private.refuses_a_second_use(object)


def test_what_tools_said_can_be_forgotten():
    """Without `CacheHandler._cache`, a changed tool would be answered for by what it said before."""
    worker = crews.agent(PromptModel(model="m"))
    worker.set_cache_handler(CacheHandler())
    worker.cache_handler.add("lookup", "{}", "old")
    private.forget_tool_results(worker)
    assert worker.cache_handler.read("lookup", "{}") is None


def test_guardrails_can_be_renewed():
    """Without `Task._guardrail` and its validators, a guardrail that was changed would be hashed, and not act."""
    task = crews.task("one", "x", crews.agent(PromptModel(model="m")), guardrail=crews.not_empty)
    assert task._guardrail is crews.not_empty
    task.guardrail = None
    private.renew_guardrails(task)
    assert (task._guardrail, task._guardrails) == (None, [])
    task.guardrails = [crews.not_empty]
    private.renew_guardrails(task)
    assert task._guardrails == [crews.not_empty]


def test_the_texts_around_a_tasks_own_can_be_read():
    """Without `I18N._prompts`, a prompt file of an agent's own would not be seen to change (CrewAI 1.13)."""
    assert private.prompt_texts(I18N())["slices"]["task"]
    assert private.prompt_texts(None) is None


def test_the_skills_of_a_crew_can_be_loaded_as_its_kickoff_does(tmp_path):
    """Without `_resolve_crew_skills`, the skills that a kickoff hands to the agents would look like their own."""
    skill = tmp_path / "appraisal"
    skill.mkdir()
    (skill / "SKILL.md").write_text("---\nname: appraisal\ndescription: How to appraise.\n---\nLook.\n")
    [loaded] = private.loaded_skills([tmp_path])
    assert (loaded.name, private.loaded_skills([])) == ("appraisal", [])
    crew = built()
    crew.skills = [tmp_path]
    crew.kickoff({"notes": "n", "adjuster": "a"})
    assert crew.agents[0].skills == [loaded]


def test_large_results_of_tools_are_named_at_random():
    """Without `tool_result_artifacts.token_urlsafe`, a task with a large result would go on only up to there."""
    artifacts = pytest.importorskip("crewai.utilities.tool_result_artifacts")
    store = artifacts.ToolResultArtifactStore()
    drawn = ["one", None]
    with private.draw_ids_from(lambda: drawn.pop(0)):
        names = [store.store("text", 1).artifact_id for _ in range(2)]
    store.cleanup()
    assert (names[0], len(names[1])) == ("tool-result-one", len("tool-result-") + 22)


def test_the_files_of_the_flow_around_can_be_read():
    """Without the name `flow_input_files`, what a Flow was kicked off with would go into prompts and count nowhere."""
    seen = []

    class Around(Flow):
        @start()
        def begin(self):
            seen.append(private.flow_files())

    Around().kickoff(input_files={"terms": "terms.txt"})
    Around().kickoff()
    assert (seen, private.flow_files()) == ([{"terms": "terms.txt"}, {}], {})


class KeptFiles:
    """What CrewAI keeps files in where aiocache is installed."""

    def __init__(self):
        self.kept = {}

    async def set(self, key, files, ttl):
        self.kept[key] = files

    async def get(self, key):
        return self.kept.get(key)

    async def delete(self, key):
        self.kept.pop(key, None)


def test_the_files_that_a_kickoff_sends_can_be_read(monkeypatch):
    """Without `file_store.get_files`, files that a callback brings would go into prompts and count nowhere."""
    monkeypatch.setattr(file_store, "_file_store", KeptFiles())
    crew, seen = built(), []
    file = SimpleNamespace(content_type="text/plain", filename="terms.txt", read=lambda: b"terms")
    crew.tasks[0].callback = lambda _: seen.append(private.sent_files(crew))
    crew.kickoff({"notes": "n", "adjuster": "a"}, input_files={"terms": file})
    assert (seen, private.sent_files(crew)) == ([{"terms": file}], {})


def test_without_aiocache_nobody_is_asked_for_files(monkeypatch):
    """Without `_file_store`, each task would start an event loop to learn that there are none."""
    monkeypatch.setattr(file_store, "_file_store", None)
    monkeypatch.setattr(file_store, "get_files", None)
    assert private.sent_files(built()) == {}


def test_models_remember_what_they_send_along():
    """Without these names an answer that was chained to the one before would be given to another chain."""
    llm = OpenAICompletion(model="gpt-4o-mini", api_key="x", api="responses")
    assert {"_last_response_id", "_last_reasoning_items"} <= set(OpenAICompletion.__private_attributes__)
    private.set_conversation_state(llm, {"_last_response_id": "resp_1"})
    assert private.conversation_state(llm) == {"_last_response_id": "resp_1"}
    private.set_conversation_state(llm, {})
    assert private.conversation_state(llm) == {}
