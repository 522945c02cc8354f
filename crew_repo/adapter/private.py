"""Every private member of CrewAI that this package touches, in one place.

tests/unit/adapter/test_private.py says, for each, what breaks when CrewAI changes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from crewai import Crew, Task
from crewai.agents.agent_builder.base_agent import BaseAgent
from crewai.crews import utils as crew_utils
from crewai.crews.crew_output import CrewOutput
from crewai.crews.utils import _resolve_crew_skills, setup_agents
from crewai.events.event_bus import crewai_event_bus
from crewai.llms.base_llm import BaseLLM
from crewai.memory.storage.kickoff_task_outputs_storage import KickoffTaskOutputsSQLiteStorage
from crewai.tasks.task_output import TaskOutput
from crewai.tools.base_tool import BaseTool
from crewai.utilities import file_store
from crewai.utilities.planning_handler import CrewPlanner
from crewai.utilities.task_output_storage_handler import TaskOutputStorageHandler
from opentelemetry import baggage

from crew_repo.time_limits import let_through

__all__ = [
    "agents_made_ready_later",
    "async_model_client",
    "authored_description",
    "cached_apart",
    "check_names",
    "conversation_state",
    "crew_inputs",
    "crew_memory",
    "crew_output",
    "draw_ids_from",
    "events_are_lost",
    "flow_files",
    "forget_tool_results",
    "keeps_conversation",
    "loaded_skills",
    "log_output",
    "loops",
    "made_model_client",
    "model_client",
    "original_text",
    "output_log",
    "output_log_method",
    "output_log_reset",
    "planner_task",
    "planning_llm",
    "planning_method",
    "prompt_texts",
    "ready_planner",
    "refuses_a_second_use",
    "renew_guardrails",
    "save_output_file",
    "sent_files",
    "set_conversation_state",
    "usage_tracker",
]

# Without these nothing works, and nothing would say so before a task is paid for; all else is read with a default.
_NEEDED: tuple[tuple[type, str], ...] = (
    (Crew, "_handle_crew_planning"),
    (Crew, "_execute_tasks"),
    (Crew, "_aexecute_tasks"),
    (Crew, "_create_crew_output"),
    (Crew, "_store_execution_log"),
    (Task, "_save_file"),
    (Task, "interpolate_inputs_and_add_conversation_history"),
    (Task, "execute_sync"),
    (Task, "execute_async"),
    (Task, "aexecute_sync"),
)


_INNER = "_responses_delegate"  # through which Azure's LLM asks OpenAI's Responses API
_REMEMBERED = ("_last_response_id", "_last_reasoning_items", "_previous_thinking_blocks")


def check_names() -> None:
    """Raise ImportError for the first of CrewAI's methods that is needed and not there."""
    for owner, name in _NEEDED:
        if not hasattr(owner, name):
            raise ImportError(f"{owner.__name__} has no {name}")


check_names()


def crew_inputs(crew: Crew) -> dict[str, Any]:
    """The inputs after the before-kickoff callbacks and INPUT hooks: the boundary reads variables from them."""
    return getattr(crew, "_inputs", None) or {}


def flow_files() -> Mapping[str, Any]:
    """The files that the Flow around was kicked off with; each of its kickoffs sends them."""
    found = baggage.get_baggage("flow_input_files")
    return found if isinstance(found, dict) else {}


def sent_files(crew: Crew) -> dict[str, Any]:
    """The files that the kickoff under way sends, those of callbacks and hooks among them; none without one.

    CrewAI starts an event loop to look; without aiocache it keeps no files, and is not asked.
    """
    if getattr(file_store, "_file_store", file_store) is None:
        return {}
    get_files = getattr(file_store, "get_files", None)
    return dict((get_files(crew.id) if get_files is not None else None) or {})


def forget_tool_results(agent: BaseAgent) -> None:
    """Empty the caches in which CrewAI keeps what tools said, by the tool's name and its arguments."""
    for cache in (agent.cache_handler, getattr(agent.tools_handler, "cache", None)):
        getattr(cache, "_cache", {}).clear()


def crew_memory(crew: Crew) -> Any:
    """The memory that `memory=True` created."""
    return getattr(crew, "_memory", None)


def original_text(item: Task | BaseAgent, field: str) -> str | None:
    """The template that a text was interpolated from, or the text itself before the first interpolation."""
    original: str | None = getattr(item, f"_original_{field}", None)
    text: str | None = getattr(item, field)
    return text if original is None else original


def authored_description(tool: BaseTool) -> str | None:
    """A tool's description as its author wrote it. None if the model is shown that without name and arguments.

    Until 1.14 CrewAI writes these before it into the field, when the tool is made; since then where it asks.
    """
    if hasattr(BaseTool, "formatted_description"):
        return tool.description
    composed = SimpleNamespace(name=tool.name, args_schema=tool.args_schema, description="")
    BaseTool._generate_description(composed)  # type: ignore[arg-type]
    said, before = tool.description, composed.description
    return said.removeprefix(before) if said.startswith(before) else None


def loaded_skills(skills: list[Any]) -> list[Any]:
    """The skills of a crew as its kickoff loads them, once for all agents: from their folders, where they are paths."""
    return _resolve_crew_skills(SimpleNamespace(skills=skills)) or []  # type: ignore[arg-type]


def model_client(llm: BaseLLM) -> object | None:
    """The client that an LLM of CrewAI's asks through, if it has made one."""
    return getattr(llm, "_client", None)


def async_model_client(llm: BaseLLM) -> object | None:
    """The client through which an LLM of CrewAI's asks in native async runs, if it has made one."""
    return getattr(llm, "_async_client", None)


def conversation_state(llm: BaseLLM) -> dict[str, Any]:
    """Give what an LLM of CrewAI's remembers of its last answer, and sends along with the next request."""
    held = getattr(llm, "__pydantic_private__", None) or {}  # asking for what is not there is slow
    found = {name: value for name in _REMEMBERED if (value := held.get(name))}
    inner = held.get(_INNER)
    return {**found, _INNER: state} if inner is not None and (state := conversation_state(inner)) else found


def set_conversation_state(llm: BaseLLM, state: dict[str, Any]) -> None:
    """Let an LLM remember what it had remembered after an answer."""
    inner = getattr(llm, _INNER, None)
    if inner is not None:
        set_conversation_state(inner, state.get(_INNER, {}))
    for name in _REMEMBERED:
        if name in state:
            setattr(llm, name, state[name])
        elif getattr(llm, name, None):
            setattr(llm, name, type(getattr(llm, name))() if name == "_previous_thinking_blocks" else None)


@contextmanager
def draw_ids_from(draw: Callable[[], str | None]) -> Iterator[None]:
    """Have CrewAI name large tool results by what this gives, in place of at random; None for one at random.

    It does so since 1.15, and tells the model that name.
    """
    try:
        home: Any = import_module("crewai.utilities.tool_result_artifacts")
        at_random = home.token_urlsafe
    except (ImportError, AttributeError):
        yield
        return
    home.token_urlsafe = lambda *bytes_: draw() or at_random(*bytes_)
    try:
        yield
    finally:
        home.token_urlsafe = at_random


def made_model_client(llm: BaseLLM) -> object | None:
    """The client that an LLM will make when it is first asked, since it has no key yet; the LLM stays as it is.

    A copy makes it with any key, so that a plan without one says what a run with one does. None if it cannot be made.
    """
    try:
        copy = llm.model_copy()
        copy.api_key = copy.api_key or "none"
        return copy._get_sync_client()  # type: ignore[attr-defined, no-any-return]
    except Exception as error:  # noqa: BLE001 - an SDK raises what it likes for what is missing; the kickoff itself will say so
        let_through(error)
        return None


def keeps_conversation(executor: object) -> bool:
    """Whether an agent's executor goes on with what was said in earlier executions.

    That does one that resumes a checkpoint; and any that does not refuse a second use, as the older kind does not.
    """
    return bool(getattr(executor, "_resuming", False)) or not refuses_a_second_use(type(executor))


def loops(crew: Crew) -> tuple[str, str] | None:
    """The names of the methods that go through the tasks of a kickoff, and of a native async one.

    None where the user's own class does so otherwise.
    """
    names = ("_execute_tasks", "_aexecute_tasks")
    return names if all(getattr(type(crew), name) is getattr(Crew, name) for name in names) else None


class _MakingReady:
    """CrewAI's function that makes a crew's agents ready, put off for some crews."""

    def __init__(self) -> None:
        self._lock, self._original = threading.Lock(), setup_agents
        self._put_off: dict[int, list[Callable[[], None]]] = {}

    def add(self, crew: Crew) -> None:
        """Put it off for this crew."""
        with self._lock:
            if not self._put_off:
                self._original, crew_utils.setup_agents = crew_utils.setup_agents, self._met
            self._put_off[id(crew)] = []

    def take(self, crew: Crew) -> list[Callable[[], None]]:
        """Put it off no longer; what has been."""
        with self._lock:
            taken = self._put_off.pop(id(crew), [])
            if not self._put_off:
                crew_utils.setup_agents = self._original
            return taken

    def _met(self, crew: Crew, agents: Iterable[BaseAgent], *options: Any, **named: Any) -> None:
        make = partial(self._original, crew, agents, *options, **named)
        waiting = self._put_off.get(id(crew))
        if waiting is None:
            make()
        else:
            for agent in agents:
                agent.crew = crew
            waiting.append(make)


_making_ready = _MakingReady()


@contextmanager
def agents_made_ready_later(crew: Crew) -> Iterator[Callable[[], None]]:
    """Put off that a kickoff makes the agents of this crew ready, until the function is called that this gives.

    It gives each of them an executor, and embeds what it knows: a run that executes nothing needs neither.
    """

    def ready() -> None:
        for make in _making_ready.take(crew):
            make()

    _making_ready.add(crew)
    try:
        yield ready
    finally:
        _making_ready.take(crew)


def crew_output(crew: Crew, outputs: list[TaskOutput]) -> CrewOutput:
    """Make the result of a kickoff of the outputs of its tasks, with the events and hooks of its end."""
    return crew._create_crew_output(outputs)


def output_log(crew: Crew) -> str | None:
    """The SQLite file of the log of outputs, for `crewai replay`; None where the user has put another log there."""
    handler = crew._task_output_handler
    storage = handler.storage
    own = type(handler) is TaskOutputStorageHandler and type(storage) is KickoffTaskOutputsSQLiteStorage
    return storage.db_path if own else None


def output_log_reset(crew: Crew) -> tuple[object, str]:
    """Whose method of which name empties that log, as a kickoff begins."""
    return crew._task_output_handler, "reset"


def output_log_method(crew: Crew) -> str | None:
    """The name of the method that writes an output into that log, or None where the user's own class does."""
    name = "_store_execution_log"
    return name if getattr(type(crew), name) is getattr(Crew, name) else None


def log_output(crew: Crew, task: Task, output: TaskOutput, position: int) -> None:
    """Write an output into that log, as a kickoff does once a task has ended."""
    crew._store_execution_log(task, output, position)


def prompt_texts(i18n: object) -> Any:
    """The texts that CrewAI puts around those of a task and an agent, from an I18N of theirs."""
    return getattr(i18n, "_prompts", None)


def planning_method(crew: Crew) -> str | None:
    """The name of the method with which a kickoff plans, or None where the user's own class plans otherwise."""
    name = "_handle_crew_planning"
    return name if getattr(type(crew), name) is getattr(Crew, name) else None


def planning_llm(crew: Crew) -> Any:
    """The LLM that plans, or its name: the crew's, else CrewAI's default."""
    return CrewPlanner(crew.tasks, crew.planning_llm).planning_agent_llm


def planner_task() -> Task:
    """The task that CrewAI makes for its planner, without the agent and the text that it gets when it is asked."""
    task = CrewPlanner._create_planner_task(None, "")  # type: ignore[arg-type]
    task.description = ""
    return task


def ready_planner(crew: Crew, task: Task) -> None:
    """Give the planner's task the agent and the description that CrewAI makes of the crew as it is now."""
    planner = CrewPlanner(crew.tasks, crew.planning_llm)
    task.agent = planner._create_planning_agent()
    task.description = planner._create_planner_task(task.agent, planner._create_tasks_summary()).description


def usage_tracker(llm: object) -> Callable[..., None] | None:
    """The method through which an LLM counts its tokens, or None where it has none."""
    return getattr(llm, "_track_token_usage_internal", None)


def usage_tracker_name() -> str:
    """Its name, for overriding it on one LLM for the length of a run."""
    return "_track_token_usage_internal"


def cached_apart(llm: object) -> bool:
    """Whether an LLM's prompt tokens leave out those that its provider read from its cache, or wrote into it.

    Those of Bedrock do. Those of Anthropic did until CrewAI added them up, which an answer made up for that tells.
    """
    if any(cls.__module__ == "crewai.llms.providers.bedrock.completion" for cls in type(llm).__mro__):
        return True
    extract = getattr(llm, "_extract_anthropic_token_usage", None)
    if extract is None:
        return False
    counted = {"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 1, "cache_creation_input_tokens": 0}
    return not extract(SimpleNamespace(usage=SimpleNamespace(**counted)))["input_tokens"]


def events_are_lost() -> bool:
    """Whether this process was forked from one that had run a crew: the threads that handle events are not here.

    A thread that another one is just starting has no ident yet, or is listed, though it is not alive yet.
    """
    thread = getattr(crewai_event_bus, "_loop_thread", None)
    began = thread is not None and thread.ident is not None and not crewai_event_bus._shutting_down
    return began and thread not in threading.enumerate()


def refuses_a_second_use(executor_class: type) -> bool:
    """Whether executors of this class raise when they are used while they are running; others mix two conversations."""
    return "_is_executing" in getattr(executor_class, "__private_attributes__", {})


def renew_guardrails(task: Task) -> None:
    """Let the guardrails act that the task has by now, with its agent's LLM: CrewAI makes them with the task."""
    task._guardrail = None
    for name in ("ensure_guardrail_is_callable", "ensure_guardrails_is_list_of_callables"):
        getattr(task, name)()


def save_output_file(task: Task, content: object) -> None:
    """Write a task's `output_file` as CrewAI does after an execution."""
    task._save_file(content)
