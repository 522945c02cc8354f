"""Resuming inside a task: what a model has answered and a tool has given is given again, and not paid for twice."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from crewai import Agent, Crew, Task
from crewai.llms.base_llm import BaseLLM
from crewai.tools import BaseTool, tool

from crew_repo import StateRepository, TaskPolicy, tool_call_key

STEPS = 4


def log(name: str) -> list[str]:
    """The lines of a file that models and tools write, as what is outside of the process that is killed."""
    file = Path(os.environ["CLERK_LOG"]) / name
    return file.read_text().splitlines() if file.exists() else []


def note(name: str, line: str) -> int:
    """Write a line there; how many there are by now."""
    with (Path(os.environ["CLERK_LOG"]) / name).open("a") as file:
        file.write(f"{line}\n")
    return len(log(name))


class Clerk(BaseLLM):
    """Asks for a tool, step by step, then answers; each answer is numbered, so that one that is bought again shows."""

    def call(self, messages: Any, *_: Any, **__: Any) -> str:
        if len(log("asked")) + 1 == int(os.environ.get("CLERK_DIES", "0")):
            raise KeyboardInterrupt
        text = json.dumps(messages)
        number, step = note("asked", "."), len(set(re.findall(r"did \d+ of (\d+)", text)))
        self._track_token_usage_internal({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10})
        if step < STEPS:
            return f'Thought: {number}\nAction: act\nAction Input: {{"step": {step}}}'
        return f"Thought: done\nFinal Answer: answer {number}"

    def supports_function_calling(self) -> bool:
        return False


def done(step: int) -> str:
    """The effect of the tools."""
    return f"did {note('done', str(step))} of {step}"


class Act(BaseTool):
    name: str = "act"
    description: str = "Acts"

    def _run(self, step: int) -> str:
        return done(step)


class Same(Act):
    def _run(self, step: int) -> str:
        return done(step)[:3] + f" 1 of {step}"


@tool("act")
def act(step: int) -> str:
    """Acts"""
    return done(step)


@tool("act")
async def act_later(step: int) -> str:
    """Acts"""
    return done(step)


@pytest.fixture(autouse=True)
def _log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLERK_LOG", str(tmp_path))


def crew(given: Any = None, *, description: str = "Do it", **of_agent: Any) -> Crew:
    """A crew as a program that starts again makes it."""
    clerk = Agent(role="Clerk", goal="Act", backstory="Long", llm=Clerk(model="clerk"), tools=[given or Act()], **of_agent)
    return Crew(name="c", agents=[clerk], tasks=[Task(name="t", description=description, expected_output="One", agent=clerk)])


def kept(repo: StateRepository) -> list[dict[str, Any]]:
    """The rows of the journal."""
    return repo._store.asked(lambda query: query("SELECT * FROM kept_call"))


def killed(repo: StateRepository, at: int, made: Crew, **options: Any) -> None:
    """A run whose process ends at its model call of this number."""
    os.environ["CLERK_DIES"] = str(len(log("asked")) + at)
    try:
        with pytest.raises(KeyboardInterrupt):
            repo.run(made, **options)
    finally:
        del os.environ["CLERK_DIES"]


TOOLS = [pytest.param(Act, id="class"), pytest.param(lambda: act, id="function"), pytest.param(lambda: act_later, id="async")]


@pytest.mark.parametrize("make", TOOLS)
def test_a_task_goes_on_where_it_was_killed(repo, make):
    """No answered request is sent again, and no effect of a tool is repeated."""
    killed(repo, 3, crew(make()))
    result = repo.run(crew(make()))
    assert (len(log("asked")), log("done")) == (STEPS + 1, ["0", "1", "2", "3"])
    assert result.raw == f"answer {STEPS + 1}"


def test_a_run_counts_what_it_paid_and_the_record_what_the_answer_cost(repo):
    """Tokens of answers that were given again are saved by the run, and are a part of what the record cost."""
    killed(repo, 3, crew())
    run = repo.run(crew()).run
    assert (run.tokens_spent, run.tokens_saved) == (30, 20)
    assert repo.history("t")[0].usage.total_tokens == 50


def test_nothing_is_kept_of_a_task_that_has_its_record(repo):
    """The journal of a task is dropped with the transaction that writes its record."""
    killed(repo, 3, crew())
    assert [kept.model_calls for kept in repo._store.resumable("c").values()] == [2]
    repo.run(crew())
    assert kept(repo) == []


def test_an_edited_prompt_is_answered_anew(repo):
    """Nothing is given again that was asked otherwise."""
    killed(repo, 3, crew())
    repo.run(crew(description="Do it well"))
    assert (len(log("asked")), len(log("done"))) == (2 + STEPS + 1, 2 + STEPS)


def test_a_task_without_a_journal_begins_anew(repo):
    """`TaskPolicy(journal=False)` keeps nothing, and gives nothing again."""
    policies = {"t": TaskPolicy(journal=False)}
    killed(repo, 3, crew(), policies=policies)
    assert kept(repo) == []
    repo.run(crew(), policies=policies)
    assert len(log("asked")) == 2 + STEPS + 1


def test_a_plan_and_the_run_say_that_a_task_resumes(repo):
    """Both say how much is kept, in the reasons for the execution."""
    killed(repo, 3, crew())
    (said,) = [reason for reason in repo.plan(crew())["t"].reasons if reason.kind == "resumes"]
    assert re.fullmatch(r"resumes: 2 model calls and 2 tool calls of [-0-9]+ [0-9:]+ are kept, about 20 tokens", str(said))
    assert said in repo.run(crew()).run.tasks[0].reasons


def test_a_forced_task_begins_anew(repo):
    """`force` drops what is kept."""
    killed(repo, 3, crew())
    repo.run(crew(), force=["t"])
    assert len(log("asked")) == 2 + STEPS + 1


def test_an_invalidated_task_begins_anew(repo):
    """`invalidate` drops what is kept of a task that has not finished."""
    killed(repo, 3, crew())
    repo.invalidate("t")
    repo.run(crew())
    assert len(log("asked")) == 2 + STEPS + 1


def test_a_tool_that_is_named_is_called_again(repo):
    """`rerun_tools` are called anew; where they give the same, the answers of the model still stand."""
    policies = {"t": TaskPolicy(rerun_tools="act")}
    killed(repo, 3, crew(Same()), policies=policies)
    repo.run(crew(Same()), policies=policies)
    assert (log("done"), len(log("asked"))) == (["0", "1", "0", "1", "2", "3"], STEPS + 1)


class Numbering(BaseTool):
    name: str = "act"
    description: str = "Acts"
    last: int = 0

    def _run(self, step: int) -> str:
        self.last += 1
        note("done", str(step))
        return f"did {self.last} of {step}"


def test_a_tool_that_goes_on_from_what_it_left_in_memory_is_called_again(repo):
    """Nothing else would bring back what it had noted when its process was killed."""
    killed(repo, 3, crew(Numbering()))
    repo.run(crew(Numbering()))
    assert (log("done"), len(log("asked"))) == (["0", "1", "0", "1", "2", "3"], STEPS + 1)


class Sending(Act):
    def _run(self, step: int) -> str:
        note("keys", str(tool_call_key()))
        if step == 1 and log("loses") == ["yes"]:
            note("loses", "no more")
            raise KeyboardInterrupt
        return done(step)


def test_a_tool_call_keeps_its_key(repo):
    """A call in which the process was killed has the same key when it is made again; each other call has its own."""
    note("loses", "yes")
    with pytest.raises(KeyboardInterrupt):
        repo.run(crew(Sending()))
    repo.run(crew(Sending()))
    keys = log("keys")
    assert (len(keys), len(set(keys)), keys[1]) == (STEPS + 1, STEPS, keys[2])
    assert tool_call_key() is None


def test_a_task_that_is_executed_anew_has_other_keys(repo):
    """A service that takes the keys does not mistake a forced execution for one that goes on."""
    repo.run(crew(Sending()))
    repo.run(crew(Sending()), force=True)
    assert len(set(log("keys"))) == 2 * STEPS


def test_an_old_answer_inside_a_task_is_asked_for_again(repo):
    """`max_age` holds for what is kept inside a task, too."""
    killed(repo, 3, crew())
    repo.run(crew(), policies={"t": TaskPolicy(max_age=timedelta(0))})
    assert len(log("asked")) == 2 + STEPS + 1


def test_a_secret_is_not_kept(repo, monkeypatch):
    """A result that has a secret in it is not kept, and its tool is called again."""
    monkeypatch.setenv("CLERK_API_KEY", "sk-very-secret-value-4711")
    killed(repo, 3, crew(Telling()))
    assert "sk-very-secret" not in str(kept(repo))
    repo.run(crew(Telling()))
    assert log("done") == ["0", "1", "0", "1", "2", "3"]


class Telling(Act):
    def _run(self, step: int) -> str:
        done(step)
        return f"did 1 of {step} with {os.environ['CLERK_API_KEY']}"


def test_a_guardrail_that_was_mended_goes_on_from_what_was_answered(repo):
    """The requests prove themselves: what only reads the guardrail does not count, and nothing is left of it."""

    def made(guardrail: Any) -> Crew:
        whole = crew()
        whole.tasks[0].guardrail, whole.tasks[0].guardrail_max_retries = guardrail, 0
        return whole

    with pytest.raises(Exception, match="guardrail"):
        repo.run(made(refuses))
    repo.run(made(accepts))
    assert (log("done"), len(log("asked"))) == (["0", "1", "2", "3"], STEPS + 2)  # the last answer is asked for again
    assert kept(repo) == []


def refuses(output: Any) -> tuple[bool, str]:
    return False, "no"


def accepts(output: Any) -> tuple[bool, str]:
    return True, output.raw


def test_models_and_tools_are_left_as_they_were(repo):
    """After a run that was killed nothing of the journal is on tools, models or CrewAI's classes."""
    made = crew()
    before = hanging(made)
    killed(repo, 3, made)
    assert hanging(made) == before


def hanging(made: Crew) -> list[set[str]]:
    """The names on a tool and a model, and on the classes that they derive from."""
    agent = made.agents[0]
    return [set(vars(each)) for each in (agent.tools[0], agent.llm, Act, Clerk, BaseTool, BaseLLM)]


def test_a_name_that_no_tool_has_is_told(repo):
    """A plan says which of `rerun_tools` are no tools of the task."""
    notes = repo.plan(crew(), policies={"t": TaskPolicy(rerun_tools=("act", "acts"))}).notes
    assert [note for note in notes if "rerun_tools" in note] == [
        "rerun_tools has 'acts' in the policy for 't', the name of no tool there, so it has no effect. "
        "The nearest names are: 'act'."
    ]
