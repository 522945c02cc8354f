"""What the oracle test changes: at least one mutation for every field of every model of CrewAI's.

`component` is the reason that a plan has to give. Where the recorded requests cannot show that a field acts (it
limits, guards, or needs a network), `acts` says how it does. Where nothing that acts differs and the task is run
again all the same, `needless` justifies it. Without any of these the task must stay fresh.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import crewai
from crewai import Agent, Crew, Process, Task
from crewai.agent.planning_config import PlanningConfig
from crewai.knowledge.knowledge_config import KnowledgeConfig
from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource
from crewai.knowledge.source.text_file_knowledge_source import TextFileKnowledgeSource
from crewai.llm import LLM
from crewai.llms.hooks.base import BaseInterceptor
from crewai.mcp import MCPServerHTTP, MCPServerStdio
from crewai.security.security_config import SecurityConfig
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tasks.task_output import TaskOutput
from crewai.tools import BaseTool, tool
from crewai.tools.base_tool import EnvVar, Tool
from crewai.types.usage_metrics import UsageMetrics
from crewai.utilities.converter import Converter
from crewai.utilities.i18n import I18N
from pydantic import BaseModel, Field, PrivateAttr, field_validator

from crew_repo import TaskPolicy
from tests.property.recording import RecordingModel

OWN_TEXTS = "i18n" in Task.model_fields
INPUTS = {"notes": "hail on 3 May", "line": "motor"}


@dataclass
class Recipe:
    """A crew in the making: what a mutation changes before the crew is built."""

    model: Any
    agent: dict[str, Any] = field(default_factory=dict)
    colleague: dict[str, Any] = field(default_factory=dict)
    manager: dict[str, Any] = field(default_factory=dict)
    task: dict[str, Any] = field(default_factory=dict)
    crew: dict[str, Any] = field(default_factory=dict)
    llm: dict[str, Any] = field(default_factory=dict)
    tool: Any = None
    sources: list[Any] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=lambda: dict(INPUTS))
    task_class: type[Task] = Task
    agent_class: type[Agent] = Agent
    folder: Path = Path()
    base_url: str = ""
    after: Callable[[Crew], None] | None = None
    before: Callable[[], None] | None = None  # as a new process begins
    environment: dict[str, str] = field(default_factory=dict)
    policies: dict[str, TaskPolicy] = field(default_factory=dict)
    working_folder: Path | None = None
    first_tool: Any = None


@dataclass(frozen=True)
class Mutation:
    """One change, and what has to come of it."""

    owner: str
    field: str
    change: Callable[[Recipe], None]
    component: str | None = None
    scenario: str = "plain"
    acts: str = ""
    needless: str = ""
    kickoff: bool = True
    note: str = ""
    about: str = ""  # compare only the requests that hold this text
    runs: bool = False  # judged by what a run sends and gives, not only by a plan
    meanwhile: Callable[[Recipe], None] | None = None  # changes the base while its target is executed
    again: bool = False  # the crew object that was run is the mutant

    @property
    def id(self) -> str:
        return "-".join(filter(None, (self.scenario, self.owner, self.field, self.note)))


MUTATIONS: list[Mutation] = []
# Fields that nobody can set to a value of their own, with the reason.
UNCHANGEABLE: dict[tuple[str, str], str] = {}


def change(owner: str, name: str, value: Any, component: str | None = None, *, into: str = "", **members: Any) -> None:
    """Set one field to a value; a function without arguments makes it when the crew is built."""

    def mutate(recipe: Recipe) -> None:
        made = value() if callable(value) and getattr(value, "__name__", "") == "<lambda>" else value
        getattr(recipe, into or owner)[name] = made

    MUTATIONS.append(Mutation(owner, name, mutate, component, **members))


def mutate(
    owner: str, name: str, function: Callable[[Recipe], None], component: str | None = None, **members: Any
) -> None:
    """The same by a function of the recipe."""
    MUTATIONS.append(Mutation(owner, name, function, component, **members))


def after(
    owner: str, name: str, function: Callable[[Crew], None], component: str | None = None, **members: Any
) -> None:
    """The same on the crew that was built."""
    mutate(owner, name, lambda recipe: setattr(recipe, "after", function), component, **members)


def on_task(name: str, value: Any) -> Callable[[Crew], None]:
    """Set a field of the target task after construction."""
    return lambda crew: setattr(crew.tasks[-1], name, value)


def on_agent(name: str, value: Any) -> Callable[[Crew], None]:
    """Set a field of the target's agent after construction."""
    return lambda crew: setattr(crew.agents[0], name, value)


def on_crew(name: str, value: Any) -> Callable[[Crew], None]:
    """Set a field of the crew after construction."""
    return lambda crew: setattr(crew, name, value)


# The parts that crews are built of.


class Verdict(BaseModel):
    verdict: str


class OtherVerdict(BaseModel):
    verdict: str = Field(description="yes or no")


class ValidatedVerdict(BaseModel):
    verdict: str

    @field_validator("verdict")
    @classmethod
    def lower(cls, value: str) -> str:
        return value.lower()


class OwnConverter(Converter):
    pass


def look_up(policy: str) -> str:
    """Look a policy up."""
    return f"found: {policy}"


def look_up_more(policy: str) -> str:
    """Look a policy up."""
    return f"found: {policy}, in force"


lookup = tool("lookup")(look_up)
search = tool("search")(look_up)


class PolicyArgs(BaseModel):
    policy: str


class StrictPolicyArgs(BaseModel):
    policy: str

    @field_validator("policy")
    @classmethod
    def upper(cls, value: str) -> str:
        return value.upper()


class LookupTool(BaseTool):
    name: str = "lookup"
    description: str = "Look a policy up."
    prefix: str = "policy"
    access_token: str = "t-1"
    calls: int = 0
    _seen: list[str] = PrivateAttr(default_factory=list)
    _suffix: str = PrivateAttr(default="")

    def _run(self, policy: str) -> str:
        self.calls += 1
        self._seen.append(policy)
        return f"found: {self.prefix} {policy}{self._suffix}"


class OtherLookupTool(LookupTool):
    def _run(self, policy: str) -> str:
        return f"found: {self.prefix} {policy}, in force"


def same_name_other_source() -> type[LookupTool]:
    """A class of the same name, whose method says something else."""
    return type("LookupTool", (LookupTool,), {"__module__": __name__, "_run": OtherLookupTool._run})


def passes(output):
    """A guardrail."""
    return True, output.raw


def passes_changed(output):
    """Another."""
    return True, output.raw + "!"


def callback(*args: Any) -> None:
    """Any callback."""


def yes(output: TaskOutput) -> bool:
    """A condition."""
    return True


def also_yes(output: TaskOutput) -> bool:
    """A condition."""
    return bool(output) or True


def no(output: TaskOutput) -> bool:
    """A condition."""
    return False


class OwnTask(Task):
    """A subclass that does nothing else."""


class OwnAgent(Agent):
    """A subclass that does nothing else."""


# Task.

change("task", "description", "<<target>> Is {notes} covered at all?", "task.description")
change("task", "expected_output", "a long verdict", "task.expected_output")
change("task", "markdown", True, "task.markdown")
change("task", "human_input", True, "task.human_input", acts="a person may correct the answer")
change("task", "tool_failure_policy", "raise", "task.tool_failure_policy", acts="a failing tool ends the task")
after("task", "agent", lambda crew: setattr(crew.tasks[-1], "agent", crew.agents[1]), "agent.role")
change("task", "context", [], "context")
change("task", "context", None, "context", note="none")
change("task", "async_execution", True, "context", note="with unspecified context it reads nothing")
after("task", "async_execution", on_task("async_execution", True), scenario="listed")
for name in ("output_json", "output_pydantic", "response_model"):
    change("task", name, OtherVerdict, f"{name}.schema", scenario=name, note="schema",
           acts="an answer that does not fit is converted")  # fmt: skip
    change("task", name, ValidatedVerdict, f"{name}.source", scenario=name, note="validator",
           acts="a validator changes what comes out")  # fmt: skip
change("task", "converter_cls", OwnConverter, "converter_cls.source", scenario="output_pydantic", acts="it converts")
change("task", "tools", [search], "tool:search.source")
after("task", "input_files", lambda crew: crew.tasks[-1].__dict__.update(input_files={"terms": __file__}),
      "file:terms", acts="it goes with the prompt", kickoff=False)  # fmt: skip
change("task", "guardrail", lambda: passes, "guardrail.source", acts="it may reject or replace the answer")
change("task", "guardrail", "be polite", "guardrail.text", acts="it may reject the answer", note="text")
change("task", "guardrails", lambda: [passes, passes_changed], "guardrail#2.source", acts="they may reject or replace")
change(
    "task", "guardrail", lambda: passes_changed, "guardrail.source", scenario="guarded", acts="it replaces the answer"
)
change(
    "task", "guardrails", lambda: passes_changed, "guardrail.source", scenario="guarded", acts="it replaces the answer"
)
change("task", "guardrail_max_retries", 7, scenario="plain", note="without a guardrail")
change("task", "guardrail_max_retries", 7, "guardrail.max_retries", scenario="guarded", acts="it limits the guardrail")
change("task", "max_retries", 7, scenario="plain", note="without a guardrail")
change("task", "max_retries", 7, "guardrail.max_retries", scenario="guarded", acts="it sets guardrail_max_retries")
change("task", "allow_crewai_trigger_context", True, "input:crewai_trigger_payload", scenario="triggered")
change("task", "allow_crewai_trigger_context", True, note="without a payload")
change("task", "used_tools", 3)
change("task", "tools_errors", 3)
change("task", "delegations", 3)
change("task", "name", "renamed")
change("task", "prompt_context", "earlier")
change("task", "config", {"verbose": True}, kickoff=False)
change("task", "callback", lambda: callback)
change("task", "output_file", "answer.md")
change("task", "create_directory", False)
change("task", "output", lambda: TaskOutput(description="d", raw="old", agent="a"))
change("task", "security_config", lambda: SecurityConfig())
UNCHANGEABLE["task", "id"] = "CrewAI refuses one"
change("task", "processed_by_agents", {"Examiner"})
change("task", "retry_count", 2)
after("task", "start_time", on_task("start_time", None))
after("task", "end_time", on_task("end_time", None))
change("task", "checkpoint_original_description", "old")
change("task", "checkpoint_original_expected_output", "old")
after("task", "condition", on_task("condition", also_yes), scenario="conditional")
after("task", "condition", on_task("condition", no), scenario="conditional", note="skips", kickoff=False)
mutate("task", "class", lambda recipe: setattr(recipe, "task_class", OwnTask), "task.source",
       needless="a subclass may override anything")  # fmt: skip

# Agent: the target's own, then those it may ask.

TEMPLATES = {
    "system_template": "S {{ .System }}",
    "prompt_template": "P {{ .Prompt }}",
    "response_template": "R {{ .Response }} E",
}
for name in ("role", "goal", "backstory"):
    change("agent", name, f"another {{line}} {name}", f"agent.{name}")
    change("agent", name, f"another {name}", f"coworker:Clerk.{name}" if name != "role" else "coworker:another role.role",
           into="colleague", scenario="delegating", note="coworker",
           acts="the co-worker answers what it is asked")  # fmt: skip
    change("agent", name, f"another {name}", into="colleague", note="of nobody that this task can ask",
           about="<<target>>")  # fmt: skip
change("agent", "role", "another Boss", "manager.role", into="manager", scenario="hierarchical")
change("agent", "goal", "another goal", "agent.goal", scenario="hierarchical", acts="the manager hands it the task")
for name, text in TEMPLATES.items():
    change("agent", name, text + "!", f"agent.{name}", scenario="templates")
change("agent", "use_system_prompt", False, "agent.use_system_prompt")
change("agent", "max_iter", 3, "agent.max_iter", acts="it limits the loop")
change("agent", "max_tokens", 99, "agent.max_tokens", needless="CrewAI keeps it for agents of other frameworks")
change("agent", "max_execution_time", 100, "agent.max_execution_time", acts="it may end the task")
change("agent", "max_retry_limit", 5, "agent.max_retry_limit", acts="it limits retries")
change("agent", "respect_context_window", False, "agent.respect_context_window", acts="long talks are not summed up")
change(
    "agent", "use_better_compaction", False, "agent.use_better_compaction", acts="long tool results are not deferred"
)
change("agent", "allow_delegation", True, "agent.allow_delegation")
change("agent", "multimodal", True, "agent.multimodal")
after("agent", "allow_code_execution", on_agent("allow_code_execution", True), "agent.allow_code_execution", kickoff=False,
      needless="deprecated: without effect from 1.14 on, it adds a tool, and needs Docker, in earlier versions")  # fmt: skip
change("agent", "code_execution_mode", "unsafe", "agent.code_execution_mode",
       needless="deprecated: without effect from 1.14 on, it changes a tool in earlier versions")  # fmt: skip
change("agent", "planning", True, "agent.planning")
change("agent", "planning_config", lambda: PlanningConfig(max_steps=3, max_attempts=1), "agent.planning_config")
mutate("agent", "reasoning", lambda recipe: recipe.agent.update(reasoning=True, max_reasoning_attempts=1),
       "agent.reasoning")  # fmt: skip
change("agent", "max_reasoning_attempts", 4, "agent.max_reasoning_attempts",
       needless="without `reasoning` it has no effect; with it, it limits")  # fmt: skip
change("agent", "tool_failure_policy", "raise", "agent.tool_failure_policy", acts="a failing tool ends the task")
change("agent", "adapted_agent", True, "agent.adapted_agent", acts="CrewAI treats an adapted agent in other ways",
       kickoff=False)  # fmt: skip
change("agent", "knowledge_config", lambda: KnowledgeConfig(results_limit=1), "agent.knowledge_config", scenario="knowing",
       acts="it limits what is found")  # fmt: skip
change("agent", "knowledge_config", lambda: KnowledgeConfig(results_limit=1), "agent.knowledge_config",
       needless="without knowledge it has no effect", note="without knowledge")  # fmt: skip
change("agent", "llm", lambda: RecordingModel(model="other"), "agent.llm.model")
change("agent", "function_calling_llm", lambda: RecordingModel(model="other"), "agent.function_calling_llm.model",
       acts="it calls the tools")  # fmt: skip
change("agent", "tools", lambda: [search], "tool:search.source")
change("agent", "tools", lambda: [lookup, search], "tools.order", note="one more")
change("agent", "apps", ["gmail"], "agent.apps", acts="its tools come from a platform", kickoff=False)
change(
    "agent", "mcps", ["https://mcp.example.com/a"], "agent.mcp:1", acts="its tools come from a server", kickoff=False
)
change("agent", "inject_date", True, "agent.date")
change("agent", "date_format", "%d.%m.%Y", note="without inject_date")
change("agent", "date_format", "%d.%m.%Y", "agent.date", scenario="dated")
change("agent", "guardrail", lambda: passes, "agent.guardrail.source", needless="it guards only an agent's own kickoff")
change("agent", "guardrail_max_retries", 7)
change("agent", "knowledge_sources", lambda: [StringKnowledgeSource(content="hail is covered")],
       "agent.knowledge:StringKnowledgeSource")  # fmt: skip
change("agent", "embedder", {"provider": "openai", "config": {"model_name": "text-embedding-3-large"}}, "agent.embedder",
       scenario="knowing", acts="it decides what is found")  # fmt: skip
change("agent", "embedder", {"provider": "openai", "config": {"model_name": "text-embedding-3-large"}},
       note="without knowledge")  # fmt: skip
after("agent", "memory", on_agent("memory", True), "agent.memory", acts="it recalls", kickoff=False)
UNCHANGEABLE["agent", "from_repository"] = "CrewAI fetches the agent from its service and fills the other fields"
mutate(
    "agent", "skills", lambda recipe: recipe.agent.update(skills=[write_skill(recipe.folder)]), "agent.skill:appraisal"
)
change("agent", "cache", False)
change("agent", "verbose", True)
change("agent", "max_rpm", 1000)
UNCHANGEABLE["agent", "entity_type"] = "a constant"
UNCHANGEABLE["agent", "id"] = "CrewAI refuses one"
change("agent", "config", {"cache": True})
after("agent", "agent_executor", on_agent("agent_executor", None))
mutate("agent", "i18n", lambda recipe: recipe.agent.update(i18n=own_texts(recipe)), "agent.i18n" if OWN_TEXTS else None)
mutate("task", "i18n", lambda recipe: recipe.task.update(i18n=own_texts(recipe)), "task.i18n")
after("agent", "crew", on_agent("crew", None))
after("agent", "cache_handler", on_agent("cache_handler", None))
UNCHANGEABLE["agent", "tools_handler"] = "CrewAI makes one for each kickoff"
change("agent", "tools_results", [{"tool": "old"}])
mutate("agent", "knowledge", lambda recipe: given_knowledge(recipe, "agent"), "agent.knowledge:StringKnowledgeSource")
UNCHANGEABLE["agent", "knowledge_storage"] = "read by nothing: CrewAI only copies it"
change("agent", "security_config", lambda: SecurityConfig())
change("agent", "checkpoint", False)
change("agent", "callbacks", lambda: [callback])
UNCHANGEABLE["agent", "execution_context"] = "CrewAI's own, for checkpoints"
change("agent", "checkpoint_kickoff_event_id", "e-1")
change("agent", "step_callback", lambda: callback)
change("agent", "agent_knowledge_context", "old")
change("agent", "crew_knowledge_context", "old")
change("agent", "knowledge_search_query", "old")
mutate("agent", "executor_class", lambda recipe: recipe.agent.update(executor_class=own_executor()), "agent.executor_class",
       acts="it is the loop itself")  # fmt: skip
UNCHANGEABLE["agent", "a2a"] = "needs an extra of CrewAI's; tests/unit/adapter/test_fields.py describes one without it"
mutate("agent", "class", lambda recipe: setattr(recipe, "agent_class", OwnAgent), "agent.source",
       needless="a subclass may override anything")  # fmt: skip


def own_texts(recipe: Recipe) -> I18N:
    """CrewAI's own texts, with another slice for each prompt; from 1.14 on it reads none but its own."""
    texts = json.loads((Path(crewai.__file__).parent / "translations/en.json").read_text())
    texts["slices"]["expected_output"] = "You are expected to say: {expected_output}"
    texts["slices"]["role_playing"] = "You play {role}. {backstory}\nYou want: {goal}"
    file = recipe.folder / "slices.json"
    file.write_text(json.dumps(texts))
    return I18N(prompt_file=str(file))


def own_executor() -> type:
    """A subclass of the default executor."""
    default = Agent.model_fields["executor_class"].default
    return type("OwnExecutor", (default,), {"__module__": __name__})


def write_skill(folder: Path, text: str = "Look at the roof.") -> Path:
    """A folder with a skill."""
    skill = folder / "skills" / "appraisal"
    skill.mkdir(parents=True, exist_ok=True)
    head = "---\nname: appraisal\ndescription: How to appraise.\n---\n"
    (skill / "SKILL.md").write_text(head + text)
    return skill.parent


def given_knowledge(recipe: Recipe, owner: str) -> None:
    """A Knowledge that the user has made, instead of sources."""
    from crewai.knowledge.knowledge import Knowledge

    source = StringKnowledgeSource(content="hail is covered")
    knowledge = Knowledge(collection_name="mine", sources=[source])
    knowledge.add_sources()

    def give(crew: Crew) -> None:
        (crew if owner == "crew" else crew.agents[0]).knowledge = knowledge

    recipe.after = give


# Crew.

change("crew", "tool_failure_policy", "raise", "crew.tool_failure_policy", acts="a failing tool ends the task")
mutate("crew", "tasks", lambda recipe: setattr(recipe, "after", insert_task), "upstream:between")
mutate("crew", "agents", lambda recipe: setattr(recipe, "after", add_agent), note="without delegation")
mutate("crew", "agents", lambda recipe: setattr(recipe, "after", add_agent), "coworkers.order", scenario="delegating")
mutate("crew", "process", lambda recipe: recipe.crew.update(process=Process.hierarchical, manager_llm=recipe.model),
       "crew.process")  # fmt: skip
change("crew", "manager_llm", lambda: RecordingModel(model="other"), "manager.llm.model", scenario="managed")
change("crew", "manager_llm", lambda: RecordingModel(model="other"), note="without a manager")
change("agent", "goal", "another goal", "manager.goal", into="manager", scenario="hierarchical", note="manager")
UNCHANGEABLE["crew", "manager_agent"] = "see agent: role and goal of the manager"
after("crew", "function_calling_llm", on_crew("function_calling_llm", "gpt-4o"), "agent.function_calling_llm.model",
      acts="it calls the tools", kickoff=False)  # fmt: skip
change("crew", "planning", True, "upstream:(planner)")
change("crew", "planning_llm", lambda: RecordingModel(model="other"), note="without planning")
change("crew", "planning_llm", lambda: RecordingModel(model="other"), "upstream:(planner)", scenario="planned",
       acts="it writes the plan", kickoff=False)  # fmt: skip
for owner, name in (("agent", "role"), ("agent", "goal"), ("task", "description"), ("task", "expected_output")):
    given = {"description": "<<target>> Is {notes} in {line} covered?"}.get(name, f"another {name} of {{line}}")
    change(owner, name, given, "upstream:(planner)", scenario="planned", note="the planner reads it")
change("agent", "role", "Intern", "upstream:(planner)", into="colleague", scenario="planned",
       note="the planner reads another task's")  # fmt: skip
change("agent", "backstory", "older", "upstream:first", into="colleague", scenario="planned", note="not told to the planner")
mutate("crew", "prompt_file", lambda recipe: prompt_file(recipe), "manager.prompt_file", scenario="managed")
mutate("crew", "prompt_file", lambda recipe: prompt_file(recipe), note="without a manager")
mutate("crew", "trained_agents_file", lambda recipe: trained(recipe), "agent.training")
change("crew", "knowledge_sources", lambda: [StringKnowledgeSource(content="hail is covered")],
       "crew.knowledge:StringKnowledgeSource")  # fmt: skip
mutate("crew", "skills", lambda recipe: recipe.crew.update(skills=[write_skill(recipe.folder)]), "crew.skill:appraisal",
       needless="an agent's tool loads it on demand; a model that calls no functions is not offered that")  # fmt: skip
after("crew", "memory", on_crew("memory", True), "crew.memory", acts="it recalls", kickoff=False)
change("crew", "embedder", {"provider": "openai", "config": {"model_name": "text-embedding-3-large"}},
       note="without knowledge")  # fmt: skip
change("crew", "embedder", {"provider": "openai", "config": {"model_name": "text-embedding-3-large"}}, "agent.embedder",
       scenario="knowing", acts="it decides what is found")  # fmt: skip
UNCHANGEABLE["crew", "entity_type"] = "a constant"
change("crew", "name", "renamed")
change("crew", "cache", True)
change("crew", "verbose", True)
change("crew", "usage_metrics", lambda: UsageMetrics(total_tokens=5))
change("crew", "config", None)
UNCHANGEABLE["crew", "id"] = "CrewAI refuses one"
change("crew", "share_crew", True, kickoff=False)
change("crew", "step_callback", lambda: callback)
change("crew", "task_callback", lambda: callback)
change("crew", "before_kickoff_callbacks", lambda: [lambda inputs: inputs])
change("crew", "after_kickoff_callbacks", lambda: [lambda output: output])
change("crew", "stream", True, kickoff=False)
change("crew", "max_rpm", 1000)
change("crew", "output_log_file", "log.txt")
change("crew", "task_execution_output_json_files", ["a.json"])
change("crew", "execution_logs", [{"old": 1}])
change("crew", "chat_llm", "gpt-4o")
mutate("crew", "knowledge", lambda recipe: given_knowledge(recipe, "crew"), "crew.knowledge:StringKnowledgeSource")
change("crew", "security_config", lambda: SecurityConfig())
change("crew", "checkpoint", False)
change("crew", "token_usage", lambda: UsageMetrics(total_tokens=5))
change("crew", "tracing", False)
UNCHANGEABLE["crew", "execution_context"] = "CrewAI's own, for checkpoints"
change("crew", "checkpoint_inputs", {"notes": "old"})
change("crew", "checkpoint_train", True, kickoff=False)
change("crew", "checkpoint_kickoff_event_id", "e-1")


def insert_task(crew: Crew) -> None:
    """A task between the two, which the target then reads."""
    between = Task(name="between", description="<<between>> go on", expected_output="text", agent=crew.agents[1])
    crew.tasks.insert(1, between)


def add_agent(crew: Crew) -> None:
    """One more agent, which no task names."""
    crew.agents.append(Agent(role="Lawyer", goal="g", backstory="b", llm=crew.agents[0].llm))


def prompt_file(recipe: Recipe) -> None:
    """CrewAI's own texts, with another manager."""
    texts = json.loads((Path(crewai.__file__).parent / "translations/en.json").read_text())
    texts["hierarchical_manager_agent"]["goal"] = "manage otherwise"
    file = recipe.folder / "prompts.json"
    file.write_text(json.dumps(texts))
    recipe.crew["prompt_file"] = str(file)


def trained(recipe: Recipe) -> None:
    """What `crew.train()` leaves behind."""
    import pickle

    file = recipe.folder / "trained.pkl"
    file.write_bytes(pickle.dumps({"Examiner of motor": {"suggestions": ["Be brief."]}}))
    recipe.crew["trained_agents_file"] = str(file)


# Tools, of a function and of a class.


def with_tool(make: Callable[[], Any]) -> Callable[[Recipe], None]:
    """Give the target's agent another tool."""
    return lambda recipe: setattr(recipe, "tool", make())


def function_tool(**members: Any) -> Tool[..., Any]:
    """A tool made of a function."""
    given = {"name": "lookup", "description": "Look a policy up.", "func": look_up, "args_schema": PolicyArgs}
    return Tool(**{**given, **members})


for scenario, make in (("function tool", function_tool), ("class tool", LookupTool)):
    for name, value, component, why in (
        ("name", "find", "tool:find.name", ""),
        ("description", "Find a policy.", "tool:lookup.description", ""),
        ("env_vars", [EnvVar(name="X", description="x")], None, ""),
        ("result_schema", Verdict, "tool:lookup.result", "it shapes what a tool returns"),
        ("description_updated", True, None, ""),
        ("cache_function", lambda *_: False, None, ""),
        ("result_as_answer", True, "tool:lookup.result_as_answer", "its result ends the task"),
        ("max_usage_count", 1, "tool:lookup.max_usage_count", "it limits"),
        ("tool_failure_policy", "raise", "tool:lookup.tool_failure_policy", "a failing tool ends the task"),
        ("current_usage_count", 1, None, ""),
    ):
        mutate("tool", name, with_tool(lambda make=make, name=name, value=value: make(**{name: value})), component,
               scenario=scenario, acts=why)  # fmt: skip
mutate("tool", "args_schema", with_tool(lambda: function_tool(args_schema=StrictPolicyArgs)), "tool:lookup.args_schema",
       scenario="function tool", acts="a validator changes the arguments")  # fmt: skip
mutate("tool", "args_schema", with_tool(lambda: LookupTool(args_schema=StrictPolicyArgs)), "tool:lookup.args_schema",
       scenario="class tool", acts="a validator changes the arguments")  # fmt: skip
mutate(
    "tool", "func", with_tool(lambda: function_tool(func=look_up_more)), "tool:lookup.source", scenario="function tool"
)
mutate("tool", "prefix", with_tool(lambda: LookupTool(prefix="contract")), "tool:lookup.prefix", scenario="class tool")
mutate("tool", "access_token", with_tool(lambda: LookupTool(access_token="t-2")), scenario="class tool")
mutate("tool", "calls", with_tool(lambda: LookupTool(calls=9)), "tool:lookup.calls", scenario="class tool",
       needless="a counter counts as it was given: what runs add to it is no change")  # fmt: skip
mutate("tool", "source", with_tool(lambda: same_name_other_source()()), "tool:lookup.source", scenario="class tool")


def private_suffix() -> LookupTool:
    """A tool whose private attribute was set."""
    changed = LookupTool()
    changed._suffix = ", in force"
    return changed


mutate("tool", "_suffix", with_tool(private_suffix), "tool:lookup.suffix", scenario="class tool")

# Knowledge sources.


def with_source(**members: Any) -> Callable[[Recipe], None]:
    """Give the target's agent another source."""
    return lambda recipe: setattr(
        recipe, "sources", [StringKnowledgeSource(**{"content": "fire is covered", **members})]
    )


def with_file(text: str, *, rename: str = "terms.txt") -> Callable[[Recipe], None]:
    """Give it a file of this content."""

    def give(recipe: Recipe) -> None:
        folder = recipe.folder / "knowledge"
        folder.mkdir(exist_ok=True)
        (folder / rename).write_text(text)
        recipe.sources = [TextFileKnowledgeSource(file_paths=[rename])]

    return give


SOURCE = "agent.knowledge:StringKnowledgeSource"
mutate("knowledge", "content", with_source(content="hail is covered"), SOURCE, scenario="knowing")
mutate(
    "knowledge", "chunk_size", with_source(chunk_size=8, chunk_overlap=2), f"{SOURCE}.chunk_size", scenario="knowing"
)
mutate("knowledge", "chunk_overlap", with_source(chunk_overlap=20), f"{SOURCE}.chunk_overlap", scenario="knowing",
       acts="it cuts longer texts in other places")  # fmt: skip
mutate("knowledge", "metadata", with_source(metadata={"a": 1}), f"{SOURCE}.metadata", scenario="knowing",
       needless="CrewAI does not use it today; a source of the user's own may")  # fmt: skip
for name in ("chunks", "chunk_embeddings", "storage"):
    UNCHANGEABLE["knowledge", name] = "what CrewAI makes of the content"
mutate("knowledge", "collection_name", with_source(collection_name="other"), scenario="knowing")
UNCHANGEABLE["knowledge", "source_type"] = "a constant"
mutate("knowledge", "file_paths", with_file("hail is covered"), "agent.knowledge:terms.txt", scenario="knowing a file")
mutate("knowledge", "file_paths", with_file("fire is covered"), scenario="knowing a file", note="equal content")
UNCHANGEABLE["knowledge", "file_path"] = "an old name of file_paths"
UNCHANGEABLE["knowledge", "safe_file_paths"] = "what CrewAI makes of file_paths"

# Remote tools: by configuration, without a connection.

for name, value, component in (
    ("command", "node", "agent.mcp:1.command"),
    ("args", ["other.py"], "agent.mcp:1.args"),
    ("env", {"MODE": "x", "OTHER": "y"}, "agent.mcp:1.env"),
    ("tool_filter", lambda tool: True, "agent.mcp:1.tool_filter"),
    ("cache_tools_list", True, None),
):
    change("mcp", "mcps", lambda name=name, value=value: [stdio(**{name: value})], component, into="agent",
           scenario="stdio", note=name, acts="another server, other tools" if component else "", kickoff=False)  # fmt: skip
change("mcp", "mcps", lambda: [stdio(env={"MODE": "another value"})], "agent.mcp:1.env", into="agent", scenario="stdio",
       note="env value", acts="the server may do something else", kickoff=False)  # fmt: skip
change("mcp", "mcps", lambda: [stdio(env={"MODE": "x", "API_KEY": "another"})], into="agent", scenario="stdio",
       note="env secret", kickoff=False)  # fmt: skip
for name, value, component in (
    ("url", "https://mcp.example.com/b", "agent.mcp:1.url"),
    ("headers", {"Authorization": "Bearer 2"}, None),
    ("headers", {"Authorization": "Bearer 1", "X-Tenant": "b"}, "agent.mcp:1.headers"),
    ("streamable", False, "agent.mcp:1.streamable"),
    ("tool_filter", lambda tool: True, "agent.mcp:1.tool_filter"),
    ("cache_tools_list", True, None),
):
    change("mcp", "mcps", lambda name=name, value=value: [http(**{name: value})], component, into="agent",
           scenario="http", note=name, acts="another server, other tools" if component else "", kickoff=False)  # fmt: skip
change("mcp", "mcps", ["https://mcp.example.com/a#delete"], "agent.mcp:1", into="agent", scenario="mcp reference",
       note="another tool of one server", acts="another tool", kickoff=False)  # fmt: skip


def stdio(**members: Any) -> MCPServerStdio:
    """A local MCP server."""
    return MCPServerStdio(**{"command": "python", "args": ["server.py"], "env": {"MODE": "x", "API_KEY": "k"}, **members})


def http(**members: Any) -> MCPServerHTTP:
    """A remote MCP server."""
    given = {"url": "https://mcp.example.com/a", "headers": {"Authorization": "Bearer 1"}}
    return MCPServerHTTP(**{**given, **members})


# Inputs.

mutate("inputs", "notes", lambda recipe: recipe.inputs.update(notes="hail on 4 May"), "input:notes")
mutate("inputs", "line", lambda recipe: recipe.inputs.update(line="home"), "input:line")
mutate("inputs", "unused", lambda recipe: recipe.inputs.update(unused="now"))
mutate("inputs", "order", lambda recipe: setattr(recipe, "inputs", dict(reversed(recipe.inputs.items()))))
mutate("inputs", "crewai_trigger_payload", lambda recipe: recipe.inputs.update(crewai_trigger_payload="another mail"),
       "upstream:first", scenario="triggered")  # fmt: skip
mutate("inputs", "crew_chat_messages", lambda recipe: recipe.inputs.update(crew_chat_messages='[{"a": "b"}]'),
       "task.description")  # fmt: skip

# LLM: CrewAI's own client against a real endpoint.


class Answer(BaseModel):
    verdict: str


class OtherAnswer(BaseModel):
    verdict: str
    sum: int | None = None


class Rewriting(BaseInterceptor[Any, Any]):
    """Adds a note to what is sent."""

    def __init__(self, note: str) -> None:
        self.note = note

    def on_outbound(self, message: Any) -> Any:
        message.headers["x-note"] = self.note
        return message

    def on_inbound(self, message: Any) -> Any:
        return message


PARAMETERS: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "temperature": 0.0,
    "top_p": 0.5,
    "max_tokens": 50,
    "max_completion_tokens": 60,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.1,
    "seed": 7,
    "logprobs": False,
    "top_logprobs": 2,
    "api": "responses",
}
for name, value in PARAMETERS.items():
    change("llm", name, value, f"agent.llm.{name}", scenario="openai")
change("llm", "reasoning_effort", "low", "agent.llm.reasoning_effort", scenario="reasoning model")
change("llm", "n", 2, "agent.llm.n", scenario="openai", needless="this client does not send it; that of LiteLLM does")
change("llm", "stop", ["END"], "agent.llm.stop", scenario="openai", acts="the client cuts the answer there")
change("llm", "response_format", OtherAnswer, "agent.llm.response_format.schema", scenario="openai")
change("llm", "additional_params", {"metadata": {"a": "b"}}, "agent.llm.metadata", scenario="openai")
change("llm", "additional_params", {"extra_headers": {"X-Api-Key": "2"}}, scenario="openai", note="a secret header")
change("llm", "additional_params", {"extra_headers": {"X-Model": "2"}}, "agent.llm.extra_headers", scenario="openai",
       note="a header")  # fmt: skip
change("llm", "provider", "openrouter", "agent.llm.model", scenario="openai", acts="another provider", kickoff=False)
mutate("llm", "base_url", lambda recipe: recipe.llm.update(base_url=recipe.base_url + "/other/v1"), "agent.llm.endpoint",
       scenario="openai")  # fmt: skip
mutate(
    "llm",
    "base_url",
    lambda recipe: recipe.llm.update(base_url=recipe.base_url + "/v1/"),
    scenario="openai",
    note="slash",
)
mutate("llm", "api_base", lambda recipe: recipe.llm.update(base_url=None, api_base=recipe.base_url + "/other/v1"),
       "agent.llm.endpoint", scenario="openai")  # fmt: skip
for name, value in {
    "api_key": "sk-another-key",
    "stream": True,
    "prefer_upload": True,
    "organization": "org-2",
    "project": "p-2",
    "timeout": 77.0,
    "max_retries": 5,
    "default_headers": {"X-Api-Key": "b", "X-Request-Id": "7"},
    "client_params": {"max_retries": 1},
}.items():
    change("llm", name, value, scenario="openai")
change("llm", "default_headers", {"X-Team": "b"}, "agent.llm.headers", scenario="openai", note="a header")
change("llm", "default_query", {"trace": "1"}, "agent.llm.default_query", scenario="openai")
change("llm", "client_params", {"default_headers": {"X-Team": "b"}}, "agent.llm.headers", scenario="openai", note="a header")
change("llm", "interceptor", Rewriting("x"), "agent.llm.interceptor", scenario="openai")
for name, value in {
    "instructions": "Be brief.",
    "store": True,
    "previous_response_id": "r-0",
    "include": ["file_search_call.results"],
    "builtin_tools": ["web_search"],
    "auto_chain_reasoning": True,
}.items():
    change("llm", name, value, f"agent.llm.{name}", scenario="responses")
change(
    "llm", "auto_chain", True, "agent.llm.auto_chain", scenario="responses", acts="a second call goes on from the first"
)
change("llm", "parse_tool_outputs", True, "agent.llm.parse_tool_outputs", scenario="responses",
       acts="it changes the answer's form")  # fmt: skip
change("llm", "temperature", 0.7, "agent.llm.temperature", scenario="openai with extras",
       note="beside the same name in additional_params")  # fmt: skip
UNCHANGEABLE.update(
    {
        ("llm", "llm_type"): "a constant",
        ("llm", "is_litellm"): "which client is used, with the same parameters",
        ("llm", "custom_openai"): "only routes: the endpoint and the model say where to",
        ("llm", "is_o1_model"): "CrewAI derives it from the model's name",
        ("llm", "is_gpt4_model"): "CrewAI derives it from the model's name",
    }
)
# What only CrewAI's LiteLLM client has: described without a call, since LiteLLM is not installed.
for name, value in {
    "logit_bias": {1: 0.5},
    "api_version": "2024-06-01",
    "thinking": {"type": "enabled"},
    "context_window_size": 1000,
}.items():
    change("llm", name, value, f"agent.llm.{name}", scenario="litellm", acts="a parameter", kickoff=False)
for name in ("callbacks", "completion_cost", "is_anthropic"):
    change(
        "llm",
        name,
        {"callbacks": [callback], "completion_cost": 1.5}.get(name, True),
        scenario="litellm",
        kickoff=False,
    )


# Scenarios: the crews that mutations start from. Each changes the recipe before the mutation does.

SCENARIOS: dict[str, Callable[[Recipe], None]] = {
    "plain": lambda recipe: None,
    "listed": lambda recipe: recipe.task.update(context="first"),
    "output_json": lambda recipe: recipe.task.update(output_json=Verdict),
    "output_pydantic": lambda recipe: recipe.task.update(output_pydantic=Verdict),
    "response_model": lambda recipe: recipe.task.update(response_model=Verdict),
    "guarded": lambda recipe: recipe.task.update(guardrail=passes),
    "triggered": lambda recipe: recipe.inputs.update(crewai_trigger_payload="a mail"),
    "conditional": lambda recipe: (setattr(recipe, "task_class", ConditionalTask), recipe.task.update(condition=yes)),
    "delegating": lambda recipe: recipe.agent.update(allow_delegation=True),
    "templates": lambda recipe: recipe.agent.update(TEMPLATES),
    "dated": lambda recipe: recipe.agent.update(inject_date=True),
    "hierarchical": lambda recipe: (
        recipe.crew.update(process=Process.hierarchical),
        recipe.manager.update(role="Boss"),
    ),
    "managed": lambda recipe: recipe.crew.update(process=Process.hierarchical, manager_llm=recipe.model),
    "planned": lambda recipe: recipe.crew.update(planning=True, planning_llm=recipe.model),
    "knowing": with_source(),
    "knowing a file": with_file("fire is covered"),
    "function tool": with_tool(function_tool),
    "class tool": with_tool(LookupTool),
    "stdio": lambda recipe: recipe.agent.update(mcps=[stdio()]),
    "http": lambda recipe: recipe.agent.update(mcps=[http()]),
    "mcp reference": lambda recipe: recipe.agent.update(mcps=["https://mcp.example.com/a#read"]),
    "openai": lambda recipe: recipe.llm.update(model="gpt-4o", response_format=None),
    "reasoning model": lambda recipe: recipe.llm.update(model="o1"),  # older CrewAI sends the effort to o1 only
    "responses": lambda recipe: recipe.llm.update(model="gpt-4o", api="responses"),
    "openai with extras": lambda recipe: recipe.llm.update(model="gpt-4o", additional_params={"temperature": 0.1}),
    "litellm": lambda recipe: recipe.llm.update(model="any", litellm=True),
}
REMOTE = {"stdio", "http", "mcp reference", "litellm"}  # nothing to call: the definitions are compared


def build(recipe: Recipe) -> Crew:
    """The crew of a recipe."""
    llm = _llm(recipe)
    colleague = Agent(
        **{"role": "Clerk", "goal": "be quick", "backstory": "new", "llm": recipe.model, **recipe.colleague}
    )
    given: dict[str, Any] = {
        "role": "Examiner of {line}",
        "goal": "be right",
        "backstory": "long in {line}",
        "llm": llm,
    }
    if not recipe.llm:
        given["tools"] = [recipe.tool or lookup]
    if recipe.sources:
        given["knowledge_sources"] = recipe.sources
    examiner = recipe.agent_class(**{**given, **recipe.agent})
    tools = [recipe.first_tool] if recipe.first_tool else []
    first = Task(name="first", description="<<first>> Read.", expected_output="notes", agent=colleague, tools=tools)
    texts = {"description": "<<target>> Is {notes} covered?", "expected_output": "a verdict", "name": "target"}
    members = {**texts, "agent": examiner, **recipe.task}
    if members.get("context") == "first":
        members["context"] = [first]
    crew = Crew(agents=[examiner, colleague], tasks=[first, recipe.task_class(**members)], **_manager(recipe))
    if recipe.after:
        recipe.after(crew)
    return crew


def _manager(recipe: Recipe) -> dict[str, Any]:
    if not recipe.manager:
        return recipe.crew
    texts = {"role": "Boss", "goal": "lead", "backstory": "old", "llm": recipe.model, "allow_delegation": True}
    return {**recipe.crew, "manager_agent": Agent(**{**texts, **recipe.manager})}


def _llm(recipe: Recipe) -> Any:
    if not recipe.llm:
        return recipe.model
    members = dict(recipe.llm)
    if members.pop("litellm", False):
        return of_litellm(members)
    return LLM(**{"api_key": "sk-a-key", "base_url": recipe.base_url + "/v1", "provider": "openai", **members})


def of_litellm(members: dict[str, Any]) -> LLM:
    """CrewAI's LiteLLM client, which it refuses to construct where LiteLLM is not installed."""
    made = object.__new__(LLM)
    defaults = {
        name: f.get_default(call_default_factory=True, validated_data={}) for name, f in LLM.model_fields.items()
    }
    object.__setattr__(made, "__dict__", {**defaults, **members})
    for name in ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
        object.__setattr__(made, name, set() if name.endswith("set__") else None)
    return made
