"""The ways in which a task calls models and tools: each a crew, what its model says, and how it is run."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from crewai import LLM, Agent, Crew, Process, Task
from crewai.llms.base_llm import BaseLLM
from crewai.mcp import MCPServerStdio
from crewai.tools import BaseTool, tool
from pydantic import BaseModel

from crew_repo import tool_call_key
from tests.crash.journal import scripts
from tests.crash.journal.model_server import Broken, act, key_of_this_process
from tests.crash.journal.scripts import Script

__all__ = ["CASES", "KEYED", "Case", "build_steps", "case_names", "model", "one_task"]

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks the internet when it is imported

KEYED = "a key for each call"
CREWAI = tuple(int(part) for part in version("crewai").split(".")[:2])


@dataclass(frozen=True)
class Case:
    """One way. `together` says how many messages come at once, `needs` a package that not everybody has."""

    build: Callable[[str], Crew]
    script: Script
    run: Callable[[Any, Crew], Any] = lambda repo, crew: repo.run(crew)
    together: Callable[[str, str], int] = lambda kind, text: 1
    effect: Callable[..., Any] | None = None
    since: tuple[int, int] = (1, 13)
    needs: str = ""
    fates: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"request": ("before",), "effect": ("before", "after")})

    @property
    def is_there(self) -> bool:
        """Whether this CrewAI, here, has such a thing."""
        return self.since <= CREWAI and (not self.needs or _is_installed(self.needs))


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the package that it is in
        return False


def model(address: str, **members: Any) -> Any:
    """CrewAI's own OpenAI client; its key is another one in each process."""
    members = {"model": "openai/gpt-4o-mini", "base_url": address, "api_key": key_of_this_process(), "max_retries": 0, **members}
    return LLM(**members)


def claude(address: str) -> Any:
    """CrewAI's own Anthropic client."""
    return model(address, model="anthropic/claude-sonnet-4-5", base_url=address.removesuffix("/v1"))


def gemini(address: str) -> Any:
    """CrewAI's own Gemini client."""
    given = {"model": "gemini/gemini-2.5-flash", "api_key": key_of_this_process()}
    return LLM(**given, client_params={"http_options": {"base_url": address.removesuffix("/v1")}})


def bedrock(address: str) -> Any:
    """CrewAI's own Bedrock client, which finds its endpoint in the environment."""
    os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = address
    keys = {"aws_access_key_id": key_of_this_process(), "aws_secret_access_key": "none"}
    return LLM(model="bedrock/anthropic.claude-3-haiku-20240307-v1:0", region_name="us-east-1", **keys)


def azure(address: str) -> Any:
    """CrewAI's own Azure client."""
    return LLM(model="azure/gpt-4o-mini", endpoint=address, api_key=key_of_this_process())


class Step(BaseTool):
    """Does a step out in the world."""

    name: str = "step"
    description: str = "Does one step."
    address: str

    def _run(self, number: int, mark: str) -> str:
        return act(self.address, "step", number=number, mark=mark)


class KeyedStep(Step):
    """One that tells the world the key of its call."""

    def _run(self, number: int, mark: str) -> str:
        return act(self.address, "step", number=number, mark=mark, key=tool_call_key())


class AsyncStep(Step):
    """The same as a coroutine."""

    async def _run(self, number: int, mark: str) -> str:
        return await asyncio.to_thread(act, self.address, "step", number=number, mark=mark)


def step_function(address: str) -> Any:
    """The same as a function."""

    @tool("step")
    def step(number: int, mark: str) -> str:
        """Does one step."""
        return act(address, "step", number=number, mark=mark)

    return step


def worker(address: str, *, llm: Any = None, tools: Sequence[Any] | None = None, role: str = "Worker", **members: Any) -> Agent:
    """An agent with the step tool."""
    tools = [Step(address=address)] if tools is None else list(tools)
    return Agent(role=role, goal="be right", backstory="long in the trade", llm=llm or model(address), tools=tools, **members)


def one_task(agent: Agent, *, name: str = "work", prompt: str = "Do the work.", **members: Any) -> Task:
    """A task of this agent."""
    return Task(name=name, description=prompt, expected_output="a sentence", agent=agent, **members)


def crew_of(*tasks: Task, **members: Any) -> Crew:
    """A crew of these tasks and their agents."""
    agents = list({id(task.agent): task.agent for task in tasks if task.agent}.values())
    return Crew(**{"name": "crew", "agents": agents, "tasks": list(tasks), **members})


def build_steps(address: str, *, task: Mapping[str, Any] | None = None, crew: Mapping[str, Any] | None = None, **members: Any) -> Crew:
    """One task of one agent with the step tool."""
    return crew_of(one_task(worker(address, **members), **(task or {})), **(crew or {}))


class OwnModel(BaseLLM):
    """A user's own model: a text protocol over HTTP."""

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        body = json.dumps({"model": self.model, "messages": messages}, default=str).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key_of_this_process()}"}
        with urlopen(Request(f"{self.base_url}/chat/completions", body, headers)) as answer:
            said = json.loads(answer.read())
        self._track_token_usage_internal(said["usage"])
        return str(said["choices"][0]["message"]["content"])

    async def acall(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        return await asyncio.to_thread(self.call, messages)

    def supports_function_calling(self) -> bool:
        return False


def unknown_model(address: str) -> Any:
    """A model of which LiteLLM does not know whether it calls tools."""
    return build_steps(address, llm=model(address, model="openai/unheard-of", is_litellm=True))


class SmallModel(OwnModel):
    """One with a small window."""

    def get_context_window_size(self) -> int:
        return 1_500


def small_model(address: str) -> Any:
    return build_steps(address, llm=SmallModel(model="small", base_url=address))


def own_model(address: str) -> Any:
    return build_steps(address, llm=OwnModel(model="own", base_url=address))


def asking(llm: Callable[[str], Any], address: str) -> Crew:
    """One task with the step tool, whose model has a client of its provider's."""
    return build_steps(address, llm=llm(address))


def served_by_mcp(address: str) -> Crew:
    """A crew whose step is a tool of an MCP server's."""
    server = MCPServerStdio(command=sys.executable, args=["-m", "tests.crash.journal.mcp_server", address],
                            env={"PYTHONPATH": str(Path(__file__).parents[3])})  # fmt: skip
    return build_steps(address, tools=[], mcps=[server])


class Report(BaseModel):
    """A typed answer."""

    text: str


def third_attempt(output):
    """A guardrail that only the third attempt passes."""
    number = int(output.raw.split()[1])
    return (True, output.raw) if number >= 3 else (False, f"make attempt {number + 1} of it")


def hierarchical(address: str) -> Crew:
    return Crew(name="crew", agents=[worker(address)], process=Process.hierarchical, manager_llm=model(address),
                tasks=[Task(name="work", description="Do the work.", expected_output="a sentence")])  # fmt: skip


def coworkers(address: str) -> Crew:
    lead = worker(address, role="Lead", tools=[], allow_delegation=True)
    task = one_task(lead)
    return crew_of(task, agents=[lead, worker(address)])


def two_at_once(address: str) -> Crew:
    llm = model(address)
    tasks = [one_task(worker(address, llm=llm, role=name, tools=[step_of(address, name)]), name=name, prompt=f"Do the {name} part.",
                      async_execution=True) for name in ("left", "right")]  # fmt: skip
    return crew_of(*tasks, one_task(worker(address, llm=llm, role="Last", tools=[]), name="join", context=tasks))


def step_of(address: str, name: str) -> Any:
    """The step tool, which says whose it is."""
    return NamedStep(address=address, whose=name)


class NamedStep(Step):
    """A step that tells whose it is."""

    whose: str

    def _run(self, number: int, mark: str) -> str:
        return act(self.address, f"step of {self.whose}", number=number, mark=mark)


def planned(address: str) -> Crew:
    from crewai.agent.planning_config import PlanningConfig

    return build_steps(address, planning_config=PlanningConfig(reasoning_effort="low", max_attempts=1))


def large_result(name: str, arguments: Mapping[str, Any], mark: str) -> str:
    """A result that is larger than a quarter of the model's window."""
    return f"{mark} " + "many words " * 20_000


def summaries_at_once(kind: str, text: str) -> int:
    """CrewAI 1.15 asks for two summaries at once, those before for one."""
    return 2 if "structured summary here" in text and CREWAI >= (1, 15) else 1


def wordy(name: str, arguments: Mapping[str, Any], mark: str) -> str:
    """A result that fills a small window in a few rounds."""
    return f"{name} {arguments['number']} is done: {mark} {'and so on ' * 200}"


def fails_first(name: str, arguments: Mapping[str, Any], mark: str) -> str | Broken:
    """The tool is down at its first call."""
    return Broken() if arguments["number"] == 0 else f"{name} is done: {mark}"


def read_stream(repo: Any, crew: Crew) -> Any:
    """Read all of a stream; its result."""
    stream = repo.run(crew)
    for _ in stream:
        pass
    return stream.result


def arun(repo: Any, crew: Crew) -> Any:
    """An asynchronous run."""
    return asyncio.run(repo.arun(crew))


def attached(repo: Any, crew: Crew) -> Any:
    """The crew's own asynchronous kickoff."""
    return asyncio.run(repo.attach(crew).akickoff())


PROVIDERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "Anthropic": (claude, "anthropic"),
    "Azure": (azure, "azure.ai.inference"),
    "Bedrock": (bedrock, "aiobotocore"),
    "Gemini": (gemini, "google.genai"),
}
"""Clients of CrewAI's own, each with the package that it needs."""

ALWAYS = {"request": ("before", "after"), "effect": ("before", "after")}

CASES: dict[str, Case] = {
    "one tool call": Case(build_steps, scripts.steps(1), fates=ALWAYS),
    "native tool calls": Case(build_steps, scripts.steps(3), fates=ALWAYS),
    "@tool function": Case(lambda address: build_steps(address, tools=[step_function(address)]), scripts.steps(2)),
    KEYED: Case(lambda address: build_steps(address, tools=[KeyedStep(address=address)]), scripts.steps(3)),
    "async def _run": Case(lambda address: build_steps(address, tools=[AsyncStep(address=address)]), scripts.steps(2)),
    "max_execution_time": Case(partial(build_steps, max_execution_time=60), scripts.steps(2)),
    "llm.stream": Case(lambda address: build_steps(address, llm=model(address, stream=True)), scripts.steps(2)),
    "crew.stream": Case(partial(build_steps, crew={"stream": True}), scripts.steps(2), run=read_stream),
    "arun": Case(build_steps, scripts.steps(2), run=arun),
    "attached akickoff": Case(build_steps, scripts.steps(2), run=attached),
    "ReAct, a user's BaseLLM": Case(own_model, scripts.reacts(2)),
    "LiteLLM": Case(lambda address: build_steps(address, llm=model(address, is_litellm=True)), scripts.steps(2), needs="litellm"),
    "ReAct through LiteLLM": Case(unknown_model, scripts.reacts(2), needs="litellm"),
    **{name: Case(partial(asking, llm), scripts.steps(2), needs=needs) for name, (llm, needs) in PROVIDERS.items()},
    **{f"{name}, arun": Case(partial(asking, llm), scripts.steps(1, width=2), run=arun, needs=needs,
                             together=lambda kind, _: 2 if kind == "effect" else 1)
       for name, (llm, needs) in PROVIDERS.items()},
    "a tool of an MCP server": Case(served_by_mcp, scripts.steps(2)),
    "no tool-call ids": Case(build_steps, scripts.steps(2, ids=False)),
    "three parallel tools": Case(build_steps, scripts.steps(1, width=3),
                                 together=lambda kind, _: 3 if kind == "effect" else 1),
    "hierarchical": Case(hierarchical, scripts.delegates(workers_steps=1)),
    "delegation to a coworker": Case(coworkers, scripts.delegates(workers_steps=1)),
    "function guardrail": Case(partial(build_steps, task={"guardrail": third_attempt, "guardrail_max_retries": 3}), scripts.attempts(1, 3)),
    "text guardrail": Case(partial(build_steps, task={"guardrail": "Its number must be two.", "guardrail_max_retries": 3}),
                           scripts.attempts(1, 2)),
    "output_pydantic": Case(partial(build_steps, task={"output_pydantic": Report}), scripts.converts(2)),
    "reasoning": Case(partial(build_steps, reasoning=True), scripts.plans(2, 0)),
    "PlanningConfig": Case(planned, scripts.plans(1, 2), since=(1, 14)),
    "parallel plan steps": Case(planned, scripts.plans(1, 2, at_once=True), since=(1, 14),
                                together=lambda kind, text: 2 if kind == "effect" or "## Current Step" in text else 1),
    "max_iter": Case(partial(build_steps, max_iter=3), scripts.steps(9)),
    "max_usage_count": Case(lambda address: build_steps(address, tools=[Step(address=address, max_usage_count=2)]), scripts.steps(4)),
    "two async tasks, one LLM": Case(two_at_once, scripts.steps(1),
                                     together=scripts.come_together("left", "right")),
    "context summaries": Case(small_model, scripts.sums_up(3), effect=wordy, together=summaries_at_once),
    "large tool results": Case(build_steps, scripts.steps(2), effect=large_result),
    "a tool that was down": Case(build_steps, scripts.steps(3), effect=fails_first),
}  # fmt: skip


def case_names() -> list[str]:
    """The cases that this CrewAI has."""
    return [name for name, case in CASES.items() if case.is_there]
