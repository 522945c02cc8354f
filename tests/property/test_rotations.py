"""What may change without a task running again, and what makes one run again by policy or by its own state."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from crewai import LLM, Agent, Crew, Task
from crewai.tools import BaseTool, tool
from pydantic import PrivateAttr

import crew_repo.adapter.describing.agent as describing_agent
import crew_repo.adapter.describing.task as definition
import crew_repo.runner.options as options
import crew_repo.runner.planner as planner
from crew_repo import StateRepository, TaskPolicy
from crew_repo.hashing import register_hasher, unregister_hasher
from crew_repo.model import ReasonKind
from tests.crews import agent, task
from tests.models import PromptModel

pytestmark = pytest.mark.siege

NOTES = {"notes": "hail", "adjuster": "Ada"}
CALL = "Thought: I look.\nAction: {tool}\nAction Input: {{}}"


def two_tasks(model: Any, *, worker: dict[str, Any] | None = None, **crew: Any) -> Crew:
    """One task that reads the notes, one that reads the first."""
    one = agent(model, **(worker or {}))
    tasks = [task("analyze", "{notes}", one), task("draft", "for {adjuster}", one)]
    return Crew(agents=[one], tasks=tasks, **crew)


def reruns(repo: StateRepository, crew: Crew, inputs: Any = NOTES, **options: Any) -> list[str]:
    """What a run executes; it keeps to its plan."""
    plan = repo.plan(crew, inputs, **{k: v for k, v in options.items() if k == "policies"})
    executed: list[str] = repo.run(crew, inputs, **options).run.executed
    assert options.get("force") or set(executed) <= {*plan.stale, *plan.missing, *plan.may_rerun}
    return executed


def nothing(*args: Any) -> None:
    """A callback."""


@pytest.mark.parametrize(
    ("worker", "crew"),
    [
        ({"verbose": True}, {}),
        ({"max_rpm": 1000}, {}),
        ({"cache": False}, {}),
        ({"step_callback": nothing}, {}),
        ({}, {"verbose": True}),
        ({}, {"max_rpm": 1000}),
        ({}, {"cache": True}),
        ({}, {"tracing": False}),
        ({}, {"task_callback": nothing, "step_callback": nothing}),
        ({}, {"before_kickoff_callbacks": [lambda inputs: {**inputs, "now": str(datetime.now())}]}),
    ],
)
def test_plumbing_reruns_nothing(repo, model, worker: dict[str, Any], crew: dict[str, Any]):
    """How a run is shown, limited, traced and called back reaches no model."""
    repo.run(two_tasks(model), NOTES)
    model.forget()
    assert reruns(repo, two_tasks(model, worker=worker, **crew)) == []
    assert model.calls == []


def test_the_order_of_inputs_and_unread_ones_rerun_nothing(repo, model):
    """Only what a template says counts."""
    repo.run(two_tasks(model), NOTES)
    assert reruns(repo, two_tasks(model), {"other": 1, "adjuster": "Ada", "notes": "hail"}) == []


def test_a_stream_is_served_from_the_records(repo, model):
    """A streamed run asks for the same."""
    repo.run(two_tasks(model), NOTES)
    model.forget()
    crew = two_tasks(model, stream=True)
    assert repo.plan(crew, NOTES).all_fresh
    stream = repo.run(crew, NOTES)
    list(stream)
    assert model.calls == []


def test_a_rotated_key_reruns_nothing(repo):
    """No key, header, time-out or team is part of a hash, nor written."""

    def crew(**members: Any) -> Crew:
        return two_tasks(LLM(model="gpt-4o", **members))

    before = definition_of(crew(api_key="sk-first-secret"))
    for members in (
        {"api_key": "sk-second-secret"},
        {"default_headers": {"Authorization": "Bearer second"}},
        {"timeout": 5, "max_retries": 7},
        {"organization": "o", "project": "p"},
    ):
        assert definition_of(crew(**{"api_key": "sk-first-secret", **members})) == before


def definition_of(crew: Crew) -> Any:
    """The definition of its first task."""
    from crew_repo.adapter import planned_view

    view = planned_view(crew, NOTES)
    return definition.Describer(view).describe(view.tasks[0], TaskPolicy())


def test_renaming_and_reordering_rerun_nothing(repo, model):
    """Names and places only explain; the prompts are the same."""

    def crew(*order: int, prefix: str = "") -> Crew:
        one = agent(model)
        tasks = [task(f"t{n}", "{notes}", one, context=[], name=f"{prefix}t{n}") for n in range(3)]
        return Crew(agents=[one], tasks=[tasks[n] for n in order])

    repo.run(crew(0, 1, 2), NOTES)
    assert reruns(repo, crew(0, 1, 2, prefix="new ")) == []
    assert reruns(repo, crew(2, 0, 1)) == []


def test_early_cutoff(repo, model):
    """An upstream that ran again and said the same leaves what reads it fresh."""
    model.script = {"Current Task: <<analyze>>": "always the same"}
    repo.run(two_tasks(model), NOTES)
    crew = two_tasks(model)
    assert repo.plan(crew, {**NOTES, "notes": "fire"}).may_rerun == ["draft"]
    assert reruns(repo, crew, {**NOTES, "notes": "fire"}) == ["analyze"]


class NumberedModel(PromptModel):
    def answer(self, prompt: str) -> str:
        return f"Thought: I know.\nFinal Answer: answer {len(self.calls)}"


def test_two_equal_tasks_are_not_merged(repo):
    """Each has an answer of its own, in the first run and later."""
    one = agent(NumberedModel(model="m"))

    def crew() -> Crew:
        return Crew(
            agents=[one], tasks=[Task(description="d", expected_output="e", agent=one, context=[]) for _ in "ab"]
        )

    first = [output.raw for output in repo.run(crew()).tasks_output]
    assert first == ["answer 1", "answer 2"]
    assert [output.raw for output in repo.run(crew()).tasks_output] == first


@pytest.mark.parametrize(
    ("policy", "executed"),
    [
        (TaskPolicy(always=True), ["draft"]),
        (TaskPolicy(salt="v2"), ["draft"]),
        (TaskPolicy(max_age=timedelta(0)), ["draft"]),
        (TaskPolicy(max_age=timedelta(hours=1)), []),
        (TaskPolicy(memory="always", human_input="always"), []),
    ],
    ids=["always", "salt", "too old", "young enough", "no memory and nobody asked"],
)
def test_policies(repo, model, policy: TaskPolicy, executed: list[str]):
    """A policy of one task touches that task only."""
    repo.run(two_tasks(model), NOTES)
    assert reruns(repo, two_tasks(model), policies={"draft": policy}) == executed


def test_what_a_policy_ignores_does_not_count(repo, model):
    """An ignored component may change."""
    policies = {"*": TaskPolicy(ignore=("agent.role", "agent.backstory"))}
    repo.run(two_tasks(model), NOTES, policies=policies)
    assert reruns(repo, two_tasks(model, worker={"backstory": "new here"}), policies=policies) == []
    assert reruns(repo, two_tasks(model, worker={"goal": "be quick"}), policies=policies) == ["analyze", "draft"]


def test_declared_files_count_by_content(repo, model, tmp_path):
    """Two files of one name in two folders are two files."""
    files = [tmp_path / folder / "terms.txt" for folder in "ab"]
    for file in files:
        file.parent.mkdir()
        file.write_text("one")
    policies = {"draft": TaskPolicy(files=tuple(files))}
    repo.run(two_tasks(model), NOTES, policies=policies)
    assert reruns(repo, two_tasks(model), policies=policies) == []
    for number, file in enumerate(files):
        file.write_text(f"changed {number}")
        assert reruns(repo, two_tasks(model), policies=policies) == ["draft"]


def writing_and_reading(model: PromptModel, text: str) -> Crew:
    """The first task writes a file, which a tool of the last one reads; in between one reads nothing."""
    one = agent(model)
    tasks = [task("analyze", text, one, output_file="notes.txt"), task("other", "x", one, context=[])]
    return Crew(agents=[one], tasks=[*tasks, task("draft", "look", one, context=[])])


def test_a_declared_file_that_an_upstream_writes_is_known_only_then(repo, model):
    """While its writer is not fresh, the task may rerun, and the reason names the writer."""
    policies = {"draft": TaskPolicy(files=("notes.txt",))}
    repo.run(writing_and_reading(model, "a"), NOTES, policies=policies)
    assert reruns(repo, writing_and_reading(model, "a"), policies=policies) == []
    plan = repo.plan(writing_and_reading(model, "b"), NOTES, policies=policies)
    assert (plan.stale, plan.may_rerun, plan.fresh) == (["analyze"], ["draft"], ["other"])
    assert [reason.component for reason in plan["draft"].reasons] == ["upstream:analyze"]
    assert reruns(repo, writing_and_reading(model, "b"), policies=policies) == ["analyze", "draft"]


@pytest.mark.parametrize("batch", [False, True], ids=["run", "batch"])
@pytest.mark.parametrize("found", [None, "by hand", "of b"])
def test_a_declared_file_that_an_upstream_restores_counts_as_restored(repo, model, found, batch):
    """A run writes the file of a reused task anew where it is missing or another: that text is what is read."""
    policies = {"draft": TaskPolicy(files=("notes.txt",))}
    answers = {}
    for text in ("a", "b"):
        answers[text] = repo.run(writing_and_reading(model, text), NOTES, policies=policies).tasks_output[0].raw
    file = Path("notes.txt")
    if found is None:
        file.unlink()
    else:
        file.write_text(found if found == "by hand" else answers["b"])
    assert repo.plan(writing_and_reading(model, "a"), NOTES, policies=policies).all_fresh
    if batch:
        [result] = repo.run_for_each(lambda: writing_and_reading(model, "a"), [NOTES], policies=policies)
        assert result.run.executed == []
    else:
        assert reruns(repo, writing_and_reading(model, "a"), policies=policies) == []
    assert file.read_text() == answers["a"]


def test_forced_tasks_run(repo, model):
    """Whatever is stored."""
    repo.run(two_tasks(model), NOTES)
    assert reruns(repo, two_tasks(model), force=["analyze"]) == ["analyze"]


def test_dates_count_by_the_day_unless_ignored(repo, model, monkeypatch):
    """A crew that is told the date is stale tomorrow."""

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=1)

    ignored = {"*": TaskPolicy(dates="ignore")}
    repo.run(two_tasks(model, worker={"inject_date": True}), NOTES)
    repo.run(two_tasks(model, worker={"inject_date": True}), NOTES, policies=ignored)
    monkeypatch.setattr(describing_agent, "datetime", Tomorrow)
    assert repo.plan(two_tasks(model, worker={"inject_date": True}), NOTES).stale[:1] == ["analyze"]
    assert repo.plan(two_tasks(model, worker={"inject_date": True}), NOTES, policies=ignored).all_fresh


def test_max_age_counts_from_the_record(repo, model, monkeypatch):
    """Seen from two hours later, a record is too old for one hour."""
    repo.run(two_tasks(model), NOTES)
    later = options.utc_now() + timedelta(hours=2)
    monkeypatch.setattr(planner, "utc_now", lambda: later)
    policies = {"analyze": TaskPolicy(max_age=timedelta(hours=1))}
    plan = repo.plan(two_tasks(model), NOTES, policies=policies)
    assert [reason.kind for decision in plan for reason in decision.reasons][:1] == [ReasonKind.EXPIRED]


@pytest.mark.parametrize(("human_input", "executed"), [("reuse", []), ("always", ["ask"])])
def test_a_person_is_asked_again_only_by_policy(repo, model, monkeypatch, human_input: Any, executed: list[str]):
    """The answer is reused, or the person asked in every run."""
    monkeypatch.setattr("builtins.input", lambda *_: "")
    policies = {"ask": TaskPolicy(human_input=human_input)}

    def crew() -> Crew:
        one = agent(model)
        return Crew(agents=[one], tasks=[task("ask", "{notes}", one, human_input=True)])

    repo.run(crew(), NOTES, policies=policies)
    assert reruns(repo, crew(), policies=policies) == executed


class Opaque:
    """Holds what cannot be read."""

    def __init__(self, name: str) -> None:
        self.name, self.lines = name, (line for line in "ab")


class Reader(BaseTool):
    name: str = "reader"
    description: str = "Reads."
    client: Any = None

    def _run(self) -> str:
        return "read"


def with_client(model: PromptModel, name: str) -> Crew:
    """A crew whose tool holds such an object."""
    return two_tasks(model, worker={"tools": [Reader(client=Opaque(name))]})


def test_what_cannot_be_hashed_is_named_and_runs_every_time(repo, model, caplog):
    """The warning says where it is; a policy can leave it out."""
    repo.run(with_client(model, "a"), NOTES)
    assert "tool:reader.client.lines" in caplog.text
    decision = next(iter(repo.plan(with_client(model, "a"), NOTES)))
    assert [(r.kind, r.component) for r in decision.reasons] == [(ReasonKind.NOT_HASHABLE, "tool:reader.client.lines")]
    assert reruns(repo, with_client(model, "a")) == ["analyze", "draft"]
    policies = {"*": TaskPolicy(ignore=("tool:reader.client",))}
    repo.run(with_client(model, "a"), NOTES, policies=policies)
    assert reruns(repo, with_client(model, "a"), policies=policies) == []


@pytest.mark.parametrize("inside", ["", "[0]", "[0].lines"])
def test_the_path_in_a_warning_can_be_ignored_as_it_stands(repo, model, inside):
    """A path in a list has brackets: it names that part, and what it is in names it too."""

    def build() -> Crew:
        return two_tasks(model, worker={"tools": [Reader(client=[Opaque("a")])]})

    assert next(iter(repo.plan(build(), NOTES))).reasons[0].component == "tool:reader.client[0].lines"
    policies = {"*": TaskPolicy(ignore=(f"tool:reader.client{inside}",))}
    repo.run(build(), NOTES, policies=policies)
    assert reruns(repo, build(), policies=policies) == []


def test_an_ignored_path_ignores_no_other(repo, model):
    """Of two parts of a list, the one that is not named is still opaque."""
    crew = two_tasks(model, worker={"tools": [Reader(client=[Opaque("a"), Opaque("b")])]})
    policies = {"*": TaskPolicy(ignore=("tool:reader.client[0]",))}
    [first, _] = repo.plan(crew, NOTES, policies=policies)
    assert [r.component for r in first.reasons if r.kind is ReasonKind.NOT_HASHABLE] == ["tool:reader.client[1].lines"]


def test_a_registered_hasher_decides(repo, model):
    """It says what of a type counts."""
    register_hasher(Opaque, lambda value: value.name)
    try:
        repo.run(with_client(model, "a"), NOTES)
        assert reruns(repo, with_client(model, "a")) == []
        assert reruns(repo, with_client(model, "b")) == ["analyze", "draft"]
    finally:
        unregister_hasher(Opaque)


CALLS: list[str] = []
TOTAL = 0


def logging_tool() -> BaseTool:
    """Counts its calls in a list of the module."""

    @tool("logging")
    def logs() -> str:
        """Logs."""
        CALLS.append("called")
        return "done"

    return logs


def counting_tool() -> BaseTool:
    """Counts its calls in a number of the module."""

    @tool("counting")
    def counts() -> str:
        """Counts."""
        global TOTAL
        TOTAL += 1
        return "done"

    return counts


def closing_tool() -> BaseTool:
    """Counts its calls in a closure."""
    calls: list[int] = []

    @tool("closing")
    def closes() -> str:
        """Closes."""
        calls.append(1)
        return "done"

    return closes


class SelfCounting(BaseTool):
    name: str = "own"
    description: str = "Counts."
    calls: int = 0
    _log: list[str] = PrivateAttr(default_factory=list)

    def _run(self) -> str:
        self.calls += 1
        self._log.append("called")
        return "done"


@pytest.mark.parametrize("make", [logging_tool, counting_tool, closing_tool, SelfCounting])
def test_a_tool_that_counts_its_calls_stays_fresh(repo, model, make: Callable[[], BaseTool]):
    """What a run writes on a tool is no change of the tool."""
    made = make()
    call = CALL.format(tool=made.name)
    model.script = {"done": "Thought: I know.\nFinal Answer: ok", "<<analyze>>": call, "<<draft>>": "drafted"}
    one = agent(model, tools=[made])

    def crew() -> Crew:
        return Crew(agents=[one], tasks=[task("analyze", "{notes}", one), task("draft", "x", agent(model), context=[])])

    assert repo.run(crew(), NOTES).run.executed == ["analyze", "draft"]
    assert any("done" in call for call in model.calls)
    assert reruns(repo, crew()) == []


class Lookup(BaseTool):
    name: str = "lookup"
    description: str = "Looks up."
    _index: str | None = PrivateAttr(default=None)

    def load(self, index: str) -> BaseTool:
        self._index = index
        return self

    def _run(self) -> str:
        self._index = self._index or "the usual"
        return self._index


class Regional(BaseTool):
    name: str = "regional"
    description: str = "Looks up."

    def _run(self) -> str:
        return os.environ.get("REGION", "anywhere")


def test_an_environment_variable_that_a_tool_reads_is_a_component(repo, model, monkeypatch):
    """The reason names it, a policy can take it out, and changing it back finds the old answer."""

    def crew() -> Crew:
        return Crew(agents=[one := agent(model, tools=[Regional()])], tasks=[task("analyze", "{notes}", one)])

    assert reruns(repo, crew()) == ["analyze"]
    monkeypatch.setenv("REGION", "north")
    assert [str(reason) for reason in repo.plan(crew(), NOTES)["analyze"].reasons] == ["environment:REGION changed"]
    assert reruns(repo, crew()) == ["analyze"]
    monkeypatch.delenv("REGION")
    assert reruns(repo, crew()) == []
    policies = {"*": TaskPolicy(ignore=("environment:REGION",))}
    assert reruns(repo, crew(), policies=policies) == ["analyze"]
    monkeypatch.setenv("REGION", "south")
    assert reruns(repo, crew(), policies=policies) == []


class Deployed(PromptModel):
    def answer(self, prompt: str) -> str:
        if os.environ.get("TRACE_TO"):
            self.script = {**self.script}
        return os.environ.get("TONE", "kind") + os.environ.get("MY_DEPLOYMENT", "the usual one")


@pytest.mark.parametrize("variable", ["MY_DEPLOYMENT", "TONE"])
def test_of_a_models_environment_all_but_plumbing_acts(repo, monkeypatch, variable):
    """A user's model may be told by the environment what to answer; its log files and switches act on nothing."""

    def crew() -> Crew:
        return two_tasks(Deployed(model="m"))

    reruns(repo, crew())
    monkeypatch.setenv("TRACE_TO", "trace.txt")
    assert reruns(repo, crew()) == []
    monkeypatch.setenv(variable, "another")
    plan = repo.plan(crew(), NOTES)
    assert [str(reason) for reason in plan["analyze"].reasons] == [f"environment:{variable} changed"]
    assert reruns(repo, crew()) == ["analyze", "draft"]


class Configured(PromptModel):
    tone: str = "kind"

    def speak(self, tone: str) -> Any:
        self.tone = tone
        return self

    def answer(self, prompt: str) -> str:
        return f"Thought: I know.\nFinal Answer: {self.tone}"


def test_a_tool_that_is_loaded_otherwise_between_runs_is_a_change(repo, model):
    """What a method is told counts, though the tool fills the same attribute by itself while it works."""
    made = Lookup()
    model.script = {"the usual": "Final Answer: ok", "other": "Final Answer: ok", "<<analyze>>": CALL.format(tool="lookup")}

    def crew() -> Crew:
        return Crew(agents=[one := agent(model, tools=[made])], tasks=[task("analyze", "{notes}", one)])

    assert reruns(repo, crew()) == ["analyze"]
    assert made._index == "the usual"
    assert reruns(repo, crew()) == []
    made.load("other")
    assert reruns(repo, crew()) == ["analyze"]
    assert reruns(repo, crew()) == []
    made = Lookup().load("other")  # as the next process makes it
    assert reruns(repo, crew()) == []


def test_a_model_that_is_configured_by_a_method_is_another(repo):
    """Its own settings act, whoever sets them."""
    assert reruns(repo, two_tasks(Configured(model="m"))) == ["analyze", "draft"]
    assert reruns(repo, two_tasks(Configured(model="m").speak("stern"))) == ["analyze", "draft"]
    assert reruns(repo, two_tasks(Configured(model="m"))) == []


class CountingModel(PromptModel):
    asked: int = 0
    _prompts: list[str] = PrivateAttr(default_factory=list)

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        self.asked += 1
        self._prompts.append(str(messages))
        return super().call(messages, *args, **kwargs)


def test_a_model_that_counts_its_calls_stays_fresh(repo):
    """The same for a class of the user's own."""
    model = CountingModel(model="m")
    repo.run(two_tasks(model), NOTES)
    assert model.asked == 2
    assert reruns(repo, two_tasks(model)) == []


def test_a_planning_model_that_counts_stays_fresh(repo):
    """Also where an agent plans with it."""
    from crewai.agent.planning_config import PlanningConfig

    model, planning = PromptModel(model="m"), CountingModel(model="p")

    def crew() -> Crew:
        return two_tasks(model, worker={"planning_config": PlanningConfig(llm=planning, max_attempts=1)})

    repo.run(crew(), NOTES)
    assert planning.asked
    assert reruns(repo, crew()) == []


def test_coworkers_of_one_role_are_told_apart(repo, model):
    """A change in either of two agents of the same role is seen by an agent that can ask them."""

    def crew(first: int, second: int) -> Crew:
        one = agent(model, "Boss", allow_delegation=True)
        others = [Agent(role="Clerk", goal="g", backstory="b", llm=model, max_iter=n) for n in (first, second)]
        return Crew(agents=[one, *others], tasks=[task("analyze", "{notes}", one)])

    repo.run(crew(5, 25), NOTES)
    assert reruns(repo, crew(5, 25)) == []
    assert reruns(repo, crew(25, 5)) == ["analyze"]
