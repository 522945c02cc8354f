"""`planning=True`: the planner is an upstream with a record of its own, and its plan a part of what a task is sent."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from crewai import Crew, Process
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tools import BaseTool, tool
from crewai.utilities.converter import ConverterError
from pydantic import Field

from crew_repo import StateRepository, TaskPolicy
from crew_repo.adapter import private
from crew_repo.model import PLANNER, Outcome, ReasonKind
from tests import crews
from tests.crews import NEW_ADJUSTER, NEW_NOTES, NOTES
from tests.models import PromptModel
from tests.plain import kickoff

pytestmark = pytest.mark.siege


def answer(*plans: str | tuple[int, str]) -> str:
    """What a planner says: a plan for each task in turn, or for the number that is given."""
    numbered = [each if isinstance(each, tuple) else (number, each) for number, each in enumerate(plans, 1)]
    listed = [{"task_number": number, "task": "a task", "plan": text} for number, text in numbered]
    return json.dumps({"list_of_plans_per_task": listed})


def by_description(prompt: str) -> str:
    """A plan for each task that hangs on its own description only."""
    said = re.findall(r'task_description\\\\?": (.*?)\\n', prompt)
    return answer(*(f" PLAN-{sha256(text.encode()).hexdigest()[:8]}" for text in said))


PLANS = answer(" PLAN-1", " PLAN-2")


def planner_model(said: str | Callable[[str], str] = PLANS, **members: Any) -> PromptModel:
    return PromptModel(**{"model": "planner", "script": {"tasks summary": said}, **members})


class Moody(PromptModel):
    """Plans otherwise each time that it is asked."""

    _moods: int = 0

    def answer(self, prompt: str) -> str:
        """One plan for each mood."""
        self._moods += 1
        return answer(f" MOOD-{self._moods}", f" MOOD-{self._moods}")


class Crews:
    """Crews of two tasks that are built anew for each run, and what their models were sent since the last look."""

    def __init__(self, repo: StateRepository, planner: Any = None) -> None:
        self.repo = repo
        self.model = PromptModel(model="m")
        self.planner: Any = planner_model() if planner is None else planner

    def build(self, **members: Any) -> Crew:
        built = crews.sequential_unspecified_context(self.model)
        for name, value in {"planning": True, "planning_llm": self.planner, **members}.items():
            setattr(built, name, value)
        return built

    def asked(self) -> int:
        """How often the planner was asked since the last look; the other model's calls are forgotten too."""
        asked = len(self.planner.calls)
        self.planner.forget()
        self.model.forget()
        return asked


@pytest.fixture
def two(repo):
    return Crews(repo)


def reasons_of(plan: Any, name: str) -> list[str]:
    return [str(reason) for reason in plan[name].reasons]


def test_unchanged_nothing_is_asked_and_a_plan_says_so(repo, two):
    """Neither the planner nor a task calls a model where nothing changed, and `plan` says the same."""
    first = repo.run(two.build(), NOTES)
    assert first.run.executed == ["analyze", "draft"]
    assert "PLAN-1" in two.model.calls[0]
    assert two.asked() == 1
    plan = repo.plan(two.build(), NOTES)
    assert (plan.fresh, plan.all_fresh, plan.planner.fresh) == (["analyze", "draft"], True, True)
    again = repo.run(two.build(), NOTES)
    assert again.run.reused == ["analyze", "draft"]
    assert ([o.raw for o in again.tasks_output], two.model.calls, two.asked()) == ([o.raw for o in first.tasks_output], [], 0)


def test_switched_on_and_off_each_has_its_records(repo, two):
    """Planning that is switched on runs each task that gets a plan; switched off, the records of before are found."""
    repo.run(two.build(planning=False), NOTES)
    plan = repo.plan(two.build(), NOTES)
    assert plan.may_rerun == ["analyze", "draft"]
    assert "upstream:(planner) is missing (never ran)" in reasons_of(plan, "analyze")
    on = repo.run(two.build(), NOTES)
    assert on.run.executed == ["analyze", "draft"]
    assert str(on.run.tasks[0].reasons[0].what) == "task.plan added"
    two.asked()
    assert repo.plan(two.build(planning=False), NOTES).all_fresh
    assert repo.run(two.build(planning=False), NOTES).run.reused == ["analyze", "draft"]
    assert repo.run(two.build(), NOTES).run.reused == ["analyze", "draft"]
    assert (two.model.calls, two.asked()) == ([], 0)


def test_one_crew_object_may_be_switched_between_runs(repo, two):
    """What holds of new crews holds of one object whose `planning` is set, and is left as it was set."""
    crew = two.build(planning=False)
    repo.run(crew, NOTES)
    crew.planning = True
    assert repo.run(crew, NOTES).run.executed == ["analyze", "draft"]
    assert crew.planning is True
    crew.planning = False
    assert repo.run(crew, NOTES).run.reused == ["analyze", "draft"]
    crew.planning = True
    assert repo.run(crew, NOTES).run.reused == ["analyze", "draft"]
    assert two.asked() == 1


def test_a_task_without_a_plan_is_sent_what_it_was_sent_without_planning(repo, two):
    """Where the planner has nothing to say about a task, that task keeps its record."""
    repo.run(two.build(planning=False), NOTES)
    two.planner = planner_model(answer((2, " ONLY-SECOND")))
    assert repo.run(two.build(), NOTES).run.executed == ["draft"]


CHANGED_LLMS = {
    "temperature": lambda: planner_model(answer(" COOL", " PLAN-2"), temperature=0.9),
    "model": lambda: planner_model(answer(" COOL", " PLAN-2"), model="another"),
}


@pytest.mark.parametrize("changed", CHANGED_LLMS.values(), ids=CHANGED_LLMS)
def test_another_planning_llm_is_asked_and_what_it_plans_otherwise_runs(repo, two, changed):
    """A changed planner is stale by name; below it, the tasks whose plan text differs run, and no others."""
    two.planner.script = {"tasks summary": answer(" PLAN-1", " PLAN-2")}
    crew = two.build()
    crew.tasks[1].context = []
    repo.run(crew, NOTES)
    two.planner = changed()
    crew = two.build()
    crew.tasks[1].context = []
    plan = repo.plan(crew, NOTES)
    assert plan.may_rerun == ["analyze", "draft"]
    assert re.search(r"upstream:\(planner\) is stale \(crew.planning_llm.\w+ changed\)", reasons_of(plan, "draft")[0])
    run = repo.run(crew, NOTES).run
    assert (run.executed, run.reused, two.asked()) == (["analyze"], ["draft"], 1)
    reason = run.tasks[0].reasons[0]
    assert (str(reason), reason.old_text, reason.new_text) == ("task.plan: PLAN-1 -> COOL", " PLAN-1", " COOL")


def test_a_name_and_an_object_of_the_same_llm_are_one(repo, monkeypatch):
    """`planning_llm="gpt-4o"` and the LLM object that CrewAI makes of it are asked the same; nothing is asked of either."""
    from crewai import LLM

    monkeypatch.setenv("OPENAI_API_KEY", "sk-no-key")
    two = Crews(repo)

    def described(llm: Any) -> dict[str, str]:
        from crew_repo.adapter import Describer, planned_view

        view = planned_view(two.build(planning_llm=llm), NOTES)
        found = Describer(view).describe_planner(view.tasks, TaskPolicy())
        return {component.path: component.sha256 for component in found.components}

    assert described("gpt-4o") == described(LLM(model="gpt-4o"))
    assert described(None) == described(private.planning_llm(two.build(planning_llm=None)))
    assert described("gpt-4o") != described("gpt-4o-mini")


def test_an_input_that_only_one_task_names_reaches_the_planner(repo):
    """The planner reads all tasks, so it is asked again; only the task whose own text or plan text changed runs."""
    two = Crews(repo, planner_model(by_description))
    repo.run(two.build(), NOTES)
    two.asked()
    plan = repo.plan(two.build(), NEW_ADJUSTER)
    assert (plan.may_rerun, plan.stale) == (["analyze"], ["draft"])
    assert reasons_of(plan, "analyze") == ["upstream:(planner) is stale (input:adjuster changed)"]
    assert plan.planner.status == "stale"
    run = repo.run(two.build(), NEW_ADJUSTER).run
    assert (run.executed, run.reused, two.asked()) == (["draft"], ["analyze"], 1)
    assert repo.run(two.build(), NOTES).run.reused == ["analyze", "draft"]
    assert two.asked() == 0


def test_a_changed_text_is_named_with_its_task(repo, two):
    """Why the planner is to be asked names what changed and in which task."""
    repo.run(two.build(), NOTES)
    crew = two.build()
    crew.tasks[1].expected_output = "a long sentence"
    plan = repo.plan(crew, NOTES)
    assert reasons_of(plan, "analyze") == ["upstream:(planner) is stale (task.expected_output of draft changed)"]
    assert plan.stale == ["draft"]


def test_a_plan_that_is_not_known_yet_is_not_called_removed(repo, two):
    """A task whose own text changed is stale for that; what its plan will say is the planner's affair."""
    repo.run(two.build(), NOTES)
    changed = two.build()
    changed.tasks[1].description += " Be brief."
    components = [reason.component for reason in repo.plan(changed, NOTES)["draft"].reasons]
    assert "task.description" in components
    assert "task.plan" not in components


def test_the_same_plan_again_leaves_the_tasks_fresh(repo, two):
    """A planner that is asked again and says the same words stops what has changed there (early cutoff)."""
    repo.run(two.build(), NOTES)
    run = repo.run(two.build(planning_llm=planner_model(model="another")), NOTES).run
    assert (run.executed, run.reused, run.planner.outcome) == ([], ["analyze", "draft"], Outcome.EXECUTED)


def test_what_no_template_names_asks_nobody(repo, two):
    """An input that no text names, another name of a task and an API key change nothing that the planner is asked."""
    repo.run(two.build(), NOTES)
    two.asked()
    crew = two.build()
    crew.tasks[1].name = "renamed"
    two.planner.api_key = "another"
    assert repo.run(crew, {**NOTES, "unnamed": 1}).run.reused == ["analyze", "renamed"]
    assert (two.model.calls, two.asked()) == ([], 0)


def with_tool(two: Crews, given: Any) -> Crew:
    crew = two.build()
    crew.agents[0].tools = [given]
    for each in crew.tasks:
        each.tools = [given]
    return crew


def looked_up(text: str, body: int) -> Any:
    def lookup(number: int) -> str:
        return str(body + number)

    lookup.__doc__ = text
    return tool("lookup")(lookup)


class Shelf(BaseTool):
    """A tool with a field, a key and a count."""

    name: str = "shelf"
    description: str = "Finds a book."
    place: str = "left"
    api_key: str = "k-4711-very-secret"
    found: list[str] = Field(default_factory=list)

    def _run(self) -> str:
        self.found.append("a book")
        return self.place


class Spoken(Shelf):
    """A tool that prints itself."""

    def __str__(self) -> str:
        return "a shelf"


def test_the_planner_is_told_of_tools_what_is_printed_of_them(repo, two):
    """A description, a field or another tool is told to the planner; an address, a body, a count and a key are not."""
    repo.run(with_tool(two, looked_up("Look it up.", 1)), NOTES)
    assert two.asked() == 1
    assert repo.run(with_tool(two, looked_up("Look it up.", 1)), NOTES).run.executed == []
    body = with_tool(two, looked_up("Look it up.", 2))
    assert repo.plan(body, NOTES).planner.fresh
    assert repo.run(body, NOTES).run.executed[0] == "analyze"
    assert two.asked() == 0
    repo.run(with_tool(two, looked_up("Look it up at once.", 2)), NOTES)
    assert two.asked() == 1
    repo.run(with_tool(two, Shelf()), NOTES)
    assert two.asked() == 1
    repo.run(with_tool(two, Shelf(api_key="k-4712", found=["a book"])), NOTES)
    repo.run(with_tool(two, Shelf(place="right")), NOTES)
    assert two.asked() >= 1
    planned = [repo.plan(with_tool(two, each), NOTES).planner.fresh for each in (Shelf(), Shelf(place="x"), Spoken())]
    assert planned == [True, False, False]


def test_no_secret_of_a_tool_is_stored_though_the_planner_is_told(repo, two, tmp_path):
    """CrewAI prints tools with their keys into the planner's prompt; the state file has none of it."""
    with closing(repo):
        repo.run(with_tool(two, Shelf()), NOTES)
        assert "k-4711-very-secret" in two.planner.calls[0]
    assert b"k-4711-very-secret" not in b"".join(file.read_bytes() for file in tmp_path.glob("state.db*"))


ODD_PLANS = {
    "each": answer(" PLAN-1", " PLAN-2"),
    "none": answer(),
    "one missing": answer((2, "ONLY-2")),
    "twice": answer((1, " FIRST"), (1, " SECOND"), (2, " X")),
    "too many": answer(" A", " B", " C", " D"),
    "empty": answer("", " B"),
    "lines": answer("\n1. {notes}\n2. {unknown} done", "\n\n"),
}


@pytest.mark.parametrize("said", ODD_PLANS.values(), ids=ODD_PLANS)
def test_the_prompts_are_those_of_a_plain_kickoff(repo, said):
    """The plan is put into the prompts as CrewAI puts it, byte for byte, when it is asked for and when it is stored."""
    two = Crews(repo, planner_model(said))
    kickoff(two.build(), dict(NOTES))
    plain, planner = list(two.model.calls), list(two.planner.calls)
    two.asked()
    repo.run(two.build(), NOTES)
    assert (two.model.calls, two.planner.calls) == (plain, planner)
    two.asked()
    again = repo.run(two.build(), NOTES, force=["analyze", "draft"])
    assert (two.model.calls, two.planner.calls) == (plain, [])
    assert again.run.planner.outcome == Outcome.REUSED
    assert repo.plan(two.build(), NOTES).all_fresh


def test_a_task_object_that_stands_twice_gets_both_plans(repo):
    """One task object at two places is sent both plans at both, as CrewAI sends them."""
    two = Crews(repo)

    def twice() -> Crew:
        crew = two.build()
        crew.tasks = [crew.tasks[0], crew.tasks[0]]
        return crew

    kickoff(twice(), dict(NOTES))
    plain = list(two.model.calls)
    two.asked()
    repo.run(twice(), NOTES)
    assert two.model.calls == plain
    assert repo.plan(twice(), NOTES).all_fresh
    two.asked()
    assert repo.run(twice(), NOTES).run.executed == []
    assert (two.model.calls, two.asked()) == ([], 0)


@pytest.mark.parametrize("inputs", [NOTES, None])
def test_no_plan_stays_in_a_description(repo, two, inputs):
    """After a run the descriptions are without the plan, with inputs and without, so that the next asks the same."""
    crew = two.build()
    if inputs is None:
        for each in crew.tasks:
            each.description = "<<x>> no variable"
    repo.run(crew, inputs)
    assert not any("PLAN" in each.description for each in crew.tasks)
    assert "_handle_crew_planning" not in crew.__dict__
    assert repo.run(crew, None).run.executed == []
    assert two.asked() == 1


def test_its_tokens_are_the_runs_and_its_record_can_be_read(repo, two, tmp_path):
    """What the planner cost is in the run's tokens, spent or saved; it is none of the tasks, and SQL sees its record."""
    run = repo.run(two.build(), NOTES).run
    usage = two.planner.get_token_usage_summary().total_tokens
    assert usage > 0
    assert run.planner.usage.total_tokens == usage
    assert run.tokens_spent == usage + sum(task.usage.total_tokens for task in run.tasks)
    assert [task.task_name for task in run.tasks] == ["analyze", "draft"]
    assert [state.task_name for state in repo.tasks()] == ["analyze", "draft"]
    assert [decision.task_name for decision in repo.plan(two.build(), NOTES)] == ["analyze", "draft"]
    again = repo.run(two.build(), NOTES).run
    assert (again.tokens_spent, again.tokens_saved) == (0, run.tokens_spent)
    assert repo.plan(two.build(), NOTES).tokens_to_save == run.tokens_spent
    assert repo.show(again.run_id) == again
    assert repo.history(PLANNER)[0].usage.total_tokens == usage
    assert "PLAN-1" in repo.get_output(PLANNER)
    with closing(sqlite3.connect(tmp_path / "state.db")) as file:
        rows = file.execute("SELECT executed, reused, failed FROM run ORDER BY started_at").fetchall()
        assert rows == [(2, 0, 0), (0, 2, 0)]
        assert file.execute("SELECT total_tokens FROM record WHERE task_name = '(planner)'").fetchall() == [(usage,)]


def test_the_tokens_of_a_planner_that_is_given_by_name_are_counted(repo, two, monkeypatch):
    """An LLM that CrewAI makes of a name when it plans is counted like one that the crew holds."""
    monkeypatch.setattr("crewai.agent.core.create_llm", lambda llm, *_: two.planner if llm == "by-name" else llm)
    run = repo.run(two.build(planning_llm="by-name"), NOTES).run
    usage = two.planner.get_token_usage_summary().total_tokens
    assert run.planner.usage.total_tokens == usage > 0
    assert run.tokens_spent == usage + sum(task.usage.total_tokens for task in run.tasks)


class Broken(PromptModel):
    """Fails, or gives no plan, as long as it is told to."""

    _trouble: list[Any] = []

    def answer(self, prompt: str) -> str:
        """Raise, or say something that is no plan."""
        if not self._trouble:
            return answer(" PLAN-1", " PLAN-2")
        if isinstance(self._trouble[0], Exception):
            raise self._trouble[0]
        return str(self._trouble[0])


@pytest.mark.parametrize("trouble", [RuntimeError("the provider is down"), "no plan at all"], ids=["raises", "no plan"])
def test_a_planner_that_fails_is_recorded_and_asked_again(repo, trouble):
    """What the planner raises is the crew's error, as in CrewAI; no task ran, none is recorded, and the next run asks."""
    two = Crews(repo, Broken(model="planner"))
    two.planner._trouble = [trouble]
    with pytest.raises((RuntimeError, ValueError, ConverterError)) as plain:
        kickoff(two.build(), dict(NOTES))
    with pytest.raises(type(plain.value), match=re.escape(str(plain.value).splitlines()[0])):
        repo.run(two.build(), NOTES)
    failed = repo.runs()[0]
    assert (failed.status, failed.planner.outcome, failed.failed, failed.executed) == ("failed", Outcome.FAILED, [], [])
    plan = repo.plan(two.build(), NOTES)
    assert plan.planner.reasons[0].kind is ReasonKind.FAILED
    assert "upstream:(planner) is missing (failed)" in reasons_of(plan, "analyze")
    two.planner._trouble = []
    two.asked()
    assert repo.run(two.build(), NOTES).run.executed == ["analyze", "draft"]
    assert two.asked() == 1


class Stop(BaseException):
    """An interrupt."""


def test_an_interrupt_after_the_plan_does_not_lose_it(repo):
    """The plan is recorded as soon as it is there: what ends the run before the first task is over costs no second one."""
    two = Crews(repo, Moody(model="planner"))
    crew = two.build()
    crew.tasks[0].guardrail = stopping
    with pytest.raises(Stop):
        repo.run(crew, NOTES)
    run = repo.run(two.build(), NOTES).run
    assert (run.planner.outcome, run.executed, two.asked()) == (Outcome.REUSED, ["analyze", "draft"], 1)


def stopping(output: Any) -> Any:
    """A guardrail that ends the process's work."""
    raise Stop


def test_force_for_all_asks_the_planner_and_for_single_tasks_does_not(repo):
    """`force=True` is for all of the run, the planner too; a task's name forces that task alone."""
    two = Crews(repo, Moody(model="planner"))
    repo.run(two.build(), NOTES)
    two.asked()
    assert repo.run(two.build(), NOTES, force="draft").run.executed == ["draft"]
    assert two.asked() == 0
    plan = repo.plan(two.build(), NOTES, force=True)
    assert (plan.planner.reasons[0].kind, plan.fresh) == (ReasonKind.FORCED, [])
    assert repo.run(two.build(), NOTES, force=True).run.planner.outcome == Outcome.EXECUTED
    assert two.asked() == 1


def test_a_policy_for_all_is_the_planners_too_unless_it_has_its_own(repo, two):
    """`"*"` covers the planner, and `"(planner)"` is for it alone; `task.plan` can be left out."""
    repo.run(two.build(), NOTES)
    two.asked()
    salted = {"*": TaskPolicy(salt="v2")}
    assert repo.plan(two.build(), NOTES, policies=salted).planner.status == "stale"
    own = {"*": TaskPolicy(max_age=timedelta(0)), PLANNER: TaskPolicy()}
    assert repo.plan(two.build(), NOTES, policies=own).planner.fresh
    assert repo.plan(two.build(), NOTES, policies={PLANNER: TaskPolicy(always=True)}).may_rerun == ["analyze", "draft"]
    ignoring = {"*": TaskPolicy(ignore=("task.plan", "crew.planning_llm"))}
    repo.run(two.build(), NOTES, policies=ignoring)
    two.planner = planner_model(answer(" X", " Y"), model="another")
    assert repo.run(two.build(), NOTES, policies=ignoring).run.executed == []
    assert two.asked() == 0


def test_an_invalidated_plan_is_asked_for_again(repo):
    """`invalidate("(planner)")` retires the plan, and downstream the tasks that got one."""
    two = Crews(repo, Moody(model="planner"))
    repo.run(two.build(), NOTES)
    two.asked()
    assert repo.invalidate(PLANNER) == 1
    assert repo.plan(two.build(), NOTES).may_rerun == ["analyze", "draft"]
    repo.run(two.build(), NOTES)
    assert two.asked() == 1
    assert repo.invalidate(PLANNER, downstream=True) == 5
    assert repo.invalidate("analyze", downstream=True) == 0


def test_an_edited_plan_is_noticed_and_a_deleted_one_is_gone(repo, two, tmp_path):
    """By hand in SQL: an edited plan is not served and `verify` names it; a deleted row is asked for again."""
    repo.run(two.build(), NOTES)
    two.asked()
    with closing(sqlite3.connect(tmp_path / "state.db")) as file, file:
        file.execute("UPDATE record SET pydantic_json = replace(pydantic_json, 'PLAN-1', 'PLAN-X') WHERE position = -1")
    assert [problem.task_name for problem in repo.verify()] == [PLANNER]
    assert repo.plan(two.build(), NOTES).planner.reasons[0].kind is ReasonKind.ALTERED
    assert repo.run(two.build(), NOTES).run.executed == []
    assert two.asked() == 1
    with closing(sqlite3.connect(tmp_path / "state.db")) as file, file:
        file.execute("DELETE FROM task_state WHERE task_name = '(planner)'")
    assert repo.run(two.build(), NOTES).run.executed == []
    assert two.asked() == 1


def test_prune_keeps_the_plan_in_force_and_an_export_has_it(repo, tmp_path):
    """The plan that the last run used stays however many came after it, and goes where the records go."""
    two = Crews(repo, planner_model(by_description))
    for inputs in (NOTES, NEW_NOTES, NOTES):
        repo.run(two.build(), inputs)
    repo.prune(keep_last=1)
    two.asked()
    assert repo.plan(two.build(), NOTES).all_fresh
    with StateRepository(tmp_path / "other.db") as other:
        other.import_json(repo.export_json())
        assert other.run(two.build(), NOTES).run.executed == []
        assert other.runs()[-1].planner is not None
    assert two.asked() == 0


def test_two_workers_pay_for_one_plan(repo, refused):
    """While one asks the planner, the other waits, and goes on with what it said."""
    asked = threading.Event()

    class Slow(PromptModel):
        """Answers when somebody waits for it."""

        def answer(self, prompt: str) -> str:
            """Wait for the other worker to wait."""
            asked.set()
            refused.wait()
            return answer(" PLAN-1", " PLAN-2")

    two, runs = Crews(repo, Slow(model="planner")), []
    threads = [threading.Thread(target=lambda: runs.append(repo.run(two.build(), NOTES).run)) for _ in range(2)]
    threads[0].start()
    asked.wait()
    threads[1].start()
    for thread in threads:
        thread.join()
    assert two.asked() == 1
    assert sorted(run.planner.outcome for run in runs) == [Outcome.EXECUTED, Outcome.REUSED]


def test_native_async_runs_plan_too(repo, two):
    """`arun` asks the planner and serves its plan, where CrewAI 1.15 refuses to plan on an event loop."""
    first = asyncio.run(repo.arun(two.build(), NOTES))
    assert (first.run.executed, first.run.planner.outcome, two.asked()) == (["analyze", "draft"], Outcome.EXECUTED, 1)
    again = asyncio.run(repo.arun(two.build(), NOTES))
    assert (again.run.executed, two.model.calls, two.asked()) == ([], [], 0)
    assert repo.run(two.build(), NOTES).run.executed == []


def test_streams_attached_crews_and_batches_plan_once(repo, two):
    """However a crew is kicked off, its plan is asked for once for the same inputs."""
    stream = repo.run(two.build(stream=True), NOTES)
    list(stream)
    assert stream.result.run.executed == ["analyze", "draft"]
    assert repo.attach(two.build()).kickoff(NOTES).run.executed == []
    assert two.asked() == 1
    batch = repo.run_for_each(two.build, [NOTES, NEW_NOTES], max_workers=1)
    assert [result.run.executed for result in batch] == [[], ["analyze", "draft"]]
    assert batch[0].run.planner.outcome == Outcome.REUSED
    assert two.asked() == 1
    for crew in (two.build, two.build()):
        assert [result.run.executed for result in repo.run_for_each(crew, [NOTES, NEW_NOTES])] == [[], []]
    assert two.asked() == 0


def hierarchical(two: Crews) -> Crew:
    return two.build(process=Process.hierarchical, manager_llm=two.model)


def conditional(two: Crews) -> Crew:
    crew, worker = two.build(), crews.agent(two.model)
    middle = crews.task("m", "mid", worker, cls=ConditionalTask, condition=lambda output: "answer" in output.raw)
    crew.tasks = [crew.tasks[0], middle, crew.tasks[1]]
    return crew


def asynchronous(two: Crews) -> Crew:
    crew = two.build()
    crew.tasks[0].async_execution = True
    return crew


def equal(two: Crews) -> Crew:
    crew, worker = two.build(), crews.agent(two.model)
    crew.tasks = [crews.task(f"t{n}", "<<same>>", worker, context=[]) for n in range(2)]
    crew.tasks[1].description = crew.tasks[0].description
    return crew


@pytest.mark.parametrize("build", [hierarchical, conditional, asynchronous, equal])
def test_other_kinds_of_crews(repo, build):
    """A manager, a condition, a thread or an equal task beside it: planned as CrewAI plans it, and then reused."""
    two = Crews(repo, planner_model(by_description))
    kickoff(build(two), dict(NOTES))
    plain, planner = sorted(two.model.calls), list(two.planner.calls)
    two.asked()
    repo.run(build(two), NOTES)
    assert (sorted(two.model.calls), two.planner.calls) == (plain, planner)
    two.asked()
    assert repo.plan(build(two), NOTES).all_fresh
    assert repo.run(build(two), NOTES).run.executed == []
    assert (two.model.calls, two.asked()) == ([], 0)


def test_what_runs_if_the_plan_goes_are_the_tasks_that_got_one(repo, two):
    """Whoever invalidates the plan again is told that it is asked for, and that each task with a plan may run."""
    repo.run(two.build(), NOTES)
    repo.invalidate(PLANNER)
    (entry,) = repo.changes()
    assert repo.undo(entry).would_run == ()
    assert repo.plan(two.build(), NOTES).all_fresh
    again = repo.redo(entry)
    assert (again.would_run, again.may_run) == ((PLANNER,), ("analyze", "draft"))


def test_no_task_takes_the_planners_name(repo, two):
    """A task that is called `(planner)` is told apart from the planner by its number."""
    crew = two.build()
    crew.tasks[0].name = PLANNER
    run = repo.run(crew, NOTES).run
    assert (run.executed, run.planner.outcome) == ([f"{PLANNER}#2", "draft"], Outcome.EXECUTED)


def test_a_callback_that_switches_planning_on_is_followed(repo, two):
    """What a before-kickoff callback makes of `planning` is what the run does."""
    crew = two.build(planning=False)
    crew.before_kickoff_callbacks = [lambda inputs: (setattr(crew, "planning", True), inputs)[1]]
    assert repo.run(crew, NOTES).run.planner.outcome == Outcome.EXECUTED


class OwnPlanning(Crew):
    """Plans by itself."""

    def _handle_crew_planning(self) -> None:
        for each in self.tasks:
            each.description += " AS ALWAYS"


def test_a_crew_that_plans_by_itself_is_left_to_do_so(repo, two):
    """Where the user's own class plans, that code runs, and what it wrote counts as the description."""
    def own() -> Crew:
        crew = two.build()
        return OwnPlanning(agents=crew.agents, tasks=crew.tasks, planning=True)

    assert repo.run(own(), NOTES).run.executed == ["analyze", "draft"]
    assert "AS ALWAYS" in two.model.calls[0]
    two.asked()
    assert repo.run(own(), NOTES).run.reused == ["analyze", "draft"]
    assert two.asked() == 0
