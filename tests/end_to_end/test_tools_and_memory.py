"""Tools that are really called, structured answers, retried guardrails, memory: reused without being repeated."""

from __future__ import annotations

from typing import Any

import pytest
from crewai import Crew
from crewai.tools import BaseTool, tool
from pydantic import BaseModel

from crew_repo import TaskPolicy
from tests import crews
from tests.crews import LOOKED_UP, NEW_NOTES, NOTES, Calculator, lookup
from tests.models import PromptModel

pytestmark = pytest.mark.siege


def calls_tool(name: str, arguments: str) -> dict[str, str]:
    """A script: call the tool once, then answer."""
    return {
        "I look.": "Thought: I know.\nFinal Answer: looked up",
        f"{name}": f"Thought: I look.\nAction: {name}\nAction Input: {arguments}",
    }


def with_tools(model: PromptModel, *tools: Any) -> Crew:
    worker = crews.agent(model, tools=list(tools))
    return Crew(agents=[worker], tasks=[crews.task("analyze", "{notes}", worker)])


@pytest.mark.parametrize(("name", "arguments"), [("lookup", '{"policy": "P-1"}'), ("calculator", '{"number": 1}')])
def test_a_tool_that_counts_its_calls_makes_nothing_stale(repo, name, arguments):
    """A tool is called when its task is executed, and not when it is reused; its own counters do not count."""
    model = PromptModel(model="m", script=calls_tool(name, arguments))
    LOOKED_UP.clear()
    calculator = Calculator()
    first = repo.run(with_tools(model, lookup, calculator), NOTES)
    assert len(LOOKED_UP) + calculator.uses == 1
    model.forget()
    assert repo.run(with_tools(model, lookup, calculator), NOTES).raw == first.raw
    assert (model.calls, len(LOOKED_UP) + calculator.uses) == ([], 1)


def test_equal_runs_of_one_crew_object_send_equal_requests(repo):
    """CrewAI counts the tool uses of a task object for life, and says more at every third; a run begins at none."""
    model = PromptModel(model="m", script=calls_tool("lookup", '{"policy": "P-1"}'))
    crew, sent = with_tools(model, lookup), []
    for _ in range(4):
        model.forget()
        repo.run(crew, NOTES, force=True)
        sent.append(list(model.calls))
    assert len(sent[0]) == 2
    assert sent == [sent[0]] * 4


RATE = 2


@tool("premium")
def premium(insured: str) -> str:
    """Compute a premium."""
    return str(int(insured) * RATE)


def test_a_constant_that_a_tool_uses_is_an_ingredient(repo, model, monkeypatch):
    """Changing a module constant that a tool reads reruns its task, and the reasons name it and the tool's source."""
    repo.run(with_tools(model, premium), NOTES)
    monkeypatch.setattr(f"{__name__}.RATE", 3)
    decision = repo.plan(with_tools(model, premium), NOTES)["analyze"]
    assert [reason.component for reason in decision.reasons] == ["global:RATE", "tool:premium.source"]


def test_a_result_as_answer_is_reused(repo):
    """With `result_as_answer` the tool's result is the answer, and comes back without the tool."""
    model = PromptModel(model="m", script=calls_tool("lookup", '{"policy": "P-7"}'))
    answering = lookup.model_copy(update={"result_as_answer": True})
    first = repo.run(with_tools(model, answering), NOTES)
    assert first.raw == "policy P-7 is in force"
    LOOKED_UP.clear()
    assert repo.run(with_tools(model, answering), NOTES).raw == first.raw
    assert LOOKED_UP == []


def test_a_guardrail_that_fails_and_then_passes_is_paid_once(repo, model):
    """The retries of a guardrail belong to the execution; a reused task is not guarded again."""
    verdicts: list[str] = []

    def guardrail(output):
        verdicts.append(output.raw)
        return (True, output.raw) if len(verdicts) % 2 == 0 else (False, "again")

    def build() -> Crew:
        worker = crews.agent(model)
        return Crew(agents=[worker], tasks=[crews.task("analyze", "{notes}", worker, guardrail=guardrail)])

    first = repo.run(build(), NOTES)
    assert (len(verdicts), len(model.calls)) == (2, 2)
    assert repo.run(build(), NOTES).raw == first.raw
    assert (len(verdicts), len(model.calls)) == (2, 2)


def test_a_response_model_is_an_ingredient_and_comes_back(repo):
    """A task with `response_model` is reused, and runs again when the model's class changes."""
    model = PromptModel(model="m", script={"<<check>>": '{"name": "Ada"}'})

    def build(cls: type) -> Crew:
        worker = crews.agent(model)
        return Crew(agents=[worker], tasks=[crews.task("check", "{notes}", worker, response_model=cls)])

    first = repo.run(build(crews.Party), NOTES)
    model.forget()
    again = repo.run(build(crews.Party), NOTES)
    assert (model.calls, again.tasks_output[0].model_dump()) == ([], first.tasks_output[0].model_dump())
    assert repo.plan(build(crews.Coverage), NOTES).stale == ["check"]


class Marked(BaseModel):
    """Has the keys that a storage might think of as its own."""

    crew_repo: str
    value: dict[str, str] = {}


@pytest.mark.parametrize("said", ['{"crew_repo": "x"}', '{"crew_repo": "typed", "value": {"crew_repo": "not JSON"}}'])
def test_a_json_output_may_have_any_keys(repo, said):
    """An `output_json` class whose fields are called as this package is comes back as it was."""
    model = PromptModel(model="m", script={"<<check>>": said})

    def build() -> Crew:
        worker = crews.agent(model)
        return Crew(agents=[worker], tasks=[crews.task("check", "{notes}", worker, output_json=Marked)])

    first = repo.run(build(), NOTES)
    model.forget()
    again = repo.run(build(), NOTES)
    assert (model.calls, again.run.reused, again.json_dict) == ([], ["check"], first.json_dict)
    assert repo.get_output("check").json_dict == first.json_dict == Marked.model_validate_json(said).model_dump()


def test_a_json_output_that_is_asked_for_is_plain(repo):
    """`get_output` gives dates as JSON has them, without the class that a run would make them with."""
    model = PromptModel(model="m", script={"<<check>>": '{"name": "Ada", "born": "1970-01-02"}'})
    repo.run(crews.output_json_in_the_middle(model), NOTES)
    assert repo.get_output("check").json_dict == {"name": "Ada", "born": "1970-01-02"}


class Forgetful:
    """Stands for a memory's storage in `embedder`: one vector for everything."""

    def __call__(self, texts: list[str]) -> list[list[float]]:
        return [[1.0, 0.0] for _ in texts]


def test_memory_counts_by_its_configuration_only(repo, model, tmp_path):
    """A crew with memory is reused; what the memory recalls is state, unless the policy says always."""
    from crewai.memory.unified_memory import Memory

    from crew_repo import TaskPolicy

    def build() -> Crew:
        worker = crews.agent(model)
        memory = Memory(llm=model, embedder=Forgetful(), storage=str(tmp_path / "memory"))
        return Crew(agents=[worker], tasks=[crews.task("analyze", "{notes}", worker)], memory=memory)

    first = repo.run(build(), NOTES)
    model.forget()
    assert repo.run(build(), NOTES).raw == first.raw
    assert model.called_for() == []
    assert repo.run(build(), NEW_NOTES).run.executed == ["analyze"]
    always = {"analyze": TaskPolicy(memory="always")}
    assert repo.plan(build(), NOTES, policies=always).stale == ["analyze"]


class Subcrew(BaseTool):
    """Runs a crew of its own through the repository that runs the tool's crew."""

    name: str = "subcrew"
    description: str = "Asks a crew."
    repository: Any = None

    def _run(self) -> str:
        return str(self.repository.run(crews.no_inputs(PromptModel(model="inner"))).raw)


def test_a_repository_in_a_tool_is_named_as_what_cannot_be_hashed_and_can_be_left_out(repo):
    """A tool may read anything from a repository, so it is not guessed at; left out by its path, the task is reused."""
    use = "Thought: I ask.\nAction: subcrew\nAction Input: {}"
    model = PromptModel(model="m", script={"Observation: answer": "done", "<<analyze>>": use})
    worker = crews.agent(model, tools=[Subcrew(repository=repo)])
    crew = Crew(agents=[worker], tasks=[crews.task("analyze", "{notes}", worker)])
    [decision] = repo.plan(crew, NOTES)
    assert [reason.component for reason in decision.reasons if reason.component] == ["tool:subcrew.repository"]
    policies = {"analyze": TaskPolicy(ignore=("tool:subcrew.repository",))}
    assert repo.run(crew, NOTES, policies=policies).raw == "done"
    assert [(run.crew_name, run.status.value) for run in repo.runs()] == [("crew", "completed"), ("crew", "completed")]
    model.forget()
    assert repo.run(crew, NOTES, policies=policies).run.reused == ["analyze"]
    assert model.calls == []
