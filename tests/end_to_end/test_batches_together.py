"""Items of a batch that are looked at together: each is what it would be by itself, and nobody else can tell."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew
from crewai.tasks.conditional_task import ConditionalTask

from crew_repo import StateRepository, TaskPolicy
from crew_repo.adapter import Describer, Memo, Moment, planned_view
from crew_repo.errors import MissingInputError
from crew_repo.hashing import definition_hash
from crew_repo.model import Outcome
from crew_repo.runner import all_fresh
from tests import crews
from tests.crews import MODES, NOTES, Mode
from tests.end_to_end.test_all_fresh import heard
from tests.end_to_end.test_planning import planner_model
from tests.models import PromptModel

MANY = 12


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many items were served by each look at more than one."""
    sizes: list[int] = []
    serve = all_fresh.serve_in_a_row

    def counted(store: Any, moment: Any, asked: Any, view_of: Any) -> list[Any]:
        served = serve(store, moment, asked, view_of)
        if len(asked) > 1:
            sizes.append(len(served))
        return served

    monkeypatch.setattr(all_fresh, "serve_in_a_row", counted)
    return sizes


def varied(inputs: Any) -> list[Any]:
    """Inputs like these for many items, each with other values and a secret in some."""
    if not inputs:
        return [inputs] * MANY
    found: list[Any] = []
    for number in range(MANY):
        changed = {name: f"{value} no. {number}" if isinstance(value, str) else value for name, value in inputs.items()}
        found.append({**changed, "api_key": f"hidden-{number}-value"} if number % 5 == 4 else changed)
    return found


def same_definitions(crew: Crew, inputs_list: list[Any], policies: dict[str, TaskPolicy]) -> None:
    moment = Moment(crew)
    for inputs in inputs_list:
        view, alone = moment.view(inputs, {}), planned_view(crew, inputs)
        describer, single = moment.describer(view), Describer(alone, Memo())
        for shared, own in zip(view.tasks, alone.tasks, strict=True):
            policy = policies.get(shared.name, TaskPolicy())
            one, other = describer.describe(shared, policy), single.describe(own, policy)
            assert definition_hash(one.components) == definition_hash(other.components)
            assert (one.opaque, one.files) == (other.opaque, other.files)
            assert {c for c in one.components if c.acts and c.text is None} <= {c for c in other.components if c.acts}


def with_templates(model: PromptModel) -> Crew:
    """Texts of agents that name inputs, a coworker, tasks with and without inputs, a condition, an output file."""
    chief = crews.agent(model, "Chief of {region}", backstory="You know {region}.", allow_delegation=True)
    clerk = crews.agent(model, "Clerk", goal="Read {notes}")
    plain = crews.agent(model, "Plain")
    first = crews.task("one", "{notes}", plain)
    return Crew(
        agents=[chief, clerk, plain],
        tasks=[
            first,
            crews.task("two", "Nothing named", plain, output_file="out/{region}.md"),
            crews.task("three", "Nothing named either", clerk, context=[first]),
            crews.task("four", "If so", plain, cls=ConditionalTask, condition=lambda output: "7" not in output.raw),
            crews.task("five", "For {region}, with {crewai_trigger_payload}", chief),
        ],
    )


TEMPLATES = {"notes": "hail", "region": "north", "crewai_trigger_payload": "payload"}
POLICIES = {"two": TaskPolicy(ignore=("task.description",)), "one": TaskPolicy(salt="v2", ignore=("input:notes",))}


def test_what_is_shared_has_the_hashes_that_each_item_has_by_itself(model: PromptModel) -> None:
    """Templates of tasks, agents and coworkers, secrets among the inputs, chats of some, and what policies leave out."""
    said = '[{"role": "user", "content": "hello %s"}]'
    inputs = [{**given, "crew_chat_messages": said % n} if n % 3 else given for n, given in enumerate(varied(TEMPLATES))]
    same_definitions(with_templates(model), inputs, POLICIES)


@pytest.mark.siege
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_so_it_is_for_crews_of_every_kind(model: PromptModel, mode: Mode) -> None:
    """Sequential, hierarchical, conditional, asynchronous, with tools, knowledge, guardrails, files and triggers."""
    crew = mode.build(model)
    if not crew.before_kickoff_callbacks:
        same_definitions(crew, varied(mode.inputs), {})


def seen_of(repo: StateRepository, results: list[Any]) -> list[Any]:
    """All that is to be seen of runs, but for their names and times."""
    shown = [repo.show(result.run.run_id) for result in results]
    return [
        (
            result.model_dump(),
            [(note.task_name, note.outcome, note.reasons, note.input_hash, note.record_id) for note in result.run.tasks],
            (run.workflow_id, run.status, run.tokens_saved, run.inputs, run.planner and run.planner.record_id),
            result.run.tasks == run.tasks,
        )
        for result, run in zip(results, shown, strict=True)
    ]


def compared(repo: StateRepository, build: Callable[[], Crew], inputs_list: list[Any], **more: Any) -> None:
    """A batch in which items are looked at together, beside one in which each is served by itself."""
    repo.run_for_each(build, inputs_list, **more)
    first = seen_of(repo, repo.run_for_each(build, iter(inputs_list), max_workers=1, **more))
    second = seen_of(repo, repo.run_for_each(build, inputs_list, **more))
    assert second == first
    assert all(note[1] is not Outcome.EXECUTED for result in second for note in result[1])
    assert repo.verify() == []


@pytest.mark.siege
@pytest.mark.parametrize("ids", [None, [f"CLM-{number}" for number in range(MANY)]], ids=["one workflow", "many"])
def test_runs_that_are_served_together_are_those_of_items_by_themselves(
    repo: StateRepository, together: list[int], ids: Any
) -> None:
    """Results, notes, what is kept of inputs and secrets, in one workflow as in many."""
    compared(repo, lambda: with_templates(PromptModel(model="m")), varied(TEMPLATES), workflow_ids=ids)
    assert sum(together) > MANY


@pytest.mark.siege
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_so_it_is_for_runs_of_crews_of_every_kind(repo: StateRepository, mode: Mode) -> None:
    """Also where nothing can be served without a kickoff, since callbacks make the inputs."""
    compared(repo, lambda: mode.build(PromptModel(model="m")), varied(mode.inputs))


@pytest.mark.siege
def test_so_it_is_for_crews_that_plan(repo: StateRepository, together: list[int]) -> None:
    """The planner's plan is served to each, and noted."""

    def build() -> Crew:
        crew = crews.sequential_unspecified_context(PromptModel(model="m"))
        crew.planning, crew.planning_llm = True, planner_model()
        return crew

    compared(repo, build, varied(NOTES))
    assert sum(together) > MANY


@pytest.mark.siege
def test_no_secret_of_an_item_is_stored_or_reaches_another(repo: StateRepository) -> None:
    """Neither in the file, nor in what is kept of inputs."""
    inputs = varied(TEMPLATES)
    repo.run_for_each(lambda: with_templates(PromptModel(model="m")), inputs)
    results = repo.run_for_each(lambda: with_templates(PromptModel(model="m")), inputs)
    withheld = [[each.name for each in result.run.inputs if not each.is_kept] for result in results]
    assert withheld == [["api_key"] if "api_key" in given else [] for given in inputs]
    assert b"hidden-" not in Path("state.db").read_bytes()


def test_an_item_that_is_stale_is_run_in_its_place(repo: StateRepository, together: list[int]) -> None:
    """Those around it are served, in order, and only it is paid for."""
    inputs = [{"notes": f"hail {number}", "adjuster": "Ada"} for number in range(MANY)]
    build = MODES["sequential_last_input"].build
    repo.run_for_each(lambda: build(PromptModel(model="m")), inputs)
    inputs[7] = {**inputs[7], "adjuster": "Bo"}
    results = repo.run_for_each(lambda: build(PromptModel(model="m")), inputs)
    assert [number for number, result in enumerate(results) if result.run.executed] == [7]
    assert results[7].run.reused == ["analyze"]
    assert sum(together) >= 3


def test_what_is_wrong_with_an_item_is_said_of_that_one(repo: StateRepository) -> None:
    """The same error as by itself, with its place; the others are served, and nothing is noted twice."""
    inputs: list[Any] = [{"notes": f"hail {number}", "adjuster": "Ada"} for number in range(MANY)]
    build = MODES["sequential_last_input"].build
    repo.run_for_each(lambda: build(PromptModel(model="m")), inputs)
    before = repo.run_count()
    inputs[9] = {"notes": "hail 9"}
    results = repo.run_for_each(lambda: build(PromptModel(model="m")), inputs, on_error="keep")
    assert isinstance(results[9], MissingInputError)
    assert "inputs_list[9]" in "".join(results[9].__notes__)
    assert [result.run.executed for number, result in enumerate(results) if number != 9] == [[]] * (MANY - 1)
    assert repo.run_count() == before + MANY - 1


@pytest.mark.siege
def test_output_files_are_restored_in_order(repo: StateRepository) -> None:
    """Of items that write one file, the last one's answer is in it, as if each had come by itself."""
    inputs = [{"notes": f"hail {number}"} for number in range(MANY)]

    def build() -> Crew:
        worker = crews.agent(PromptModel(model="m"))
        return Crew(agents=[worker], tasks=[crews.task("a", "{notes}", worker, output_file="answer.txt")])

    results = repo.run_for_each(build, inputs, max_workers=1)
    Path("answer.txt").unlink()
    repo.run_for_each(build, inputs, max_workers=1)
    assert Path("answer.txt").read_text() == results[-1].raw


def test_an_item_reads_the_file_that_the_one_before_it_has_restored(repo: StateRepository) -> None:
    """Where both kinds of tasks are in a crew, each item is decided about when those before it are done."""
    inputs = [{"notes": f"hail {number}"} for number in range(4)]
    more: dict[str, Any] = {"policies": {"look": TaskPolicy(files=("said.txt",))}}

    def build() -> Crew:
        worker = crews.agent(PromptModel(model="m"))
        look = crews.task("look", "{notes}", worker)
        return Crew(agents=[worker], tasks=[look, crews.task("say", "{notes} again", worker, output_file="said.txt")])

    Path("said.txt").write_text("nothing yet")
    texts = [result.raw for result in repo.run_for_each(build, inputs, max_workers=1, **more)]
    for given, text in product(inputs, texts):  # so that there is a record of each, whichever of these stands there
        Path("said.txt").write_text(text)
        repo.run(build(), given, **more)
    Path("said.txt").write_text(texts[-1])
    alone = [repo.run(build(), given, **more) for given in inputs]
    Path("said.txt").write_text(texts[-1])
    together = repo.run_for_each(build, inputs, max_workers=1, **more)
    assert [read_by(result) for result in together] == [read_by(result) for result in alone]


def read_by(result: Any) -> list[Any]:
    """The hashes of what the tasks of a run have read."""
    return [note.input_hash for note in result.run.tasks]


@pytest.mark.siege
def test_events_of_items_come_in_their_order(repo: StateRepository) -> None:
    """Each item's tasks one after the other, and the items in theirs."""
    inputs = [{"notes": f"hail {number}", "adjuster": "Ada"} for number in range(MANY)]
    ids = [f"CLM-{number:02}" for number in range(MANY)]
    build = MODES["sequential_last_input"].build
    repo.run_for_each(lambda: build(PromptModel(model="m")), inputs, workflow_ids=ids)
    events: list[Any] = []
    with heard(events):
        repo.run_for_each(lambda: build(PromptModel(model="m")), inputs, workflow_ids=ids, max_workers=1)
    told = [(event.workflow_id, event.task_name) for event in events if type(event).__name__ == "TaskReused"]
    assert told == [(name, task) for name in ids for task in ("analyze", "draft")]


@pytest.mark.siege
async def test_a_batch_on_an_event_loop_looks_at_items_together_too(
    repo: StateRepository, together: list[int]
) -> None:
    """With the same results."""
    inputs = [{"notes": f"hail {number}", "adjuster": "Ada"} for number in range(MANY)]
    build = MODES["sequential_last_input"].build
    first = await repo.arun_for_each(lambda: build(PromptModel(model="m")), inputs)
    second = await repo.arun_for_each(lambda: build(PromptModel(model="m")), inputs)
    assert [result.raw for result in second] == [result.raw for result in first]
    assert [result.run.executed for result in second] == [[]] * MANY
    assert sum(together) >= 3
