"""What the journal of a task gives again after a failure, and what it never does. Nothing is killed here: a model is down."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from crew_repo import StateRepository, TaskPolicy
from tests.crash.journal import scripts
from tests.crash.journal.cases import Step, build_steps, crew_of, model, one_task, third_attempt, worker
from tests.crash.journal.model_server import TOKENS, Asked, Broken, Calls, Model, Said, Server, act

STEPS = 3
ALL = (STEPS + 1, STEPS)  # requests and effects of a task that begins anew


class World:
    """A server and a state, and what is asked of them."""

    def __init__(self, server: Server, url: str) -> None:
        self.server, self.url, self.address = server, url, server.address
        self.use(scripts.steps(STEPS))

    def use(self, script: Any, **members: Any) -> Model:
        """A new model."""
        self.model = self.server.model = Model(script, **members)
        return self.model

    def run(self, crew: Any, **options: Any) -> Any:
        """A run."""
        with StateRepository(self.url, verbose=False, policies=options.pop("policies", None)) as repo:
            return repo.run(crew, **options)

    def fails(self, crew: Any, *, after: float = math.inf, **options: Any) -> None:
        """A run that fails, since the model goes down after so many answers in all, or by itself; then it is up again."""
        self.model.until = after
        with pytest.raises(Exception, match=r".*"):
            self.run(crew, **options)
        self.model.until = math.inf

    def bought(self, crew: Any, **options: Any) -> tuple[int, int]:
        """A run: how many requests it is answered, and how many effects it has."""
        answered, effects = len(self.model.answered), len(self.model.effects)
        self.run(crew, **options)
        return len(self.model.answered) - answered, len(self.model.effects) - effects


@pytest.fixture
def local(server: Server, tmp_path: Path) -> World:
    """On SQLite alone: what counts as the same request is no matter of the database."""
    return World(server, f"sqlite:///{tmp_path / 'state.db'}")


@pytest.fixture
def world(server: Server, url: str) -> World:
    return World(server, url)


def steps(world: World, *, llm: Mapping[str, Any] | None = None, **members: Any) -> Any:
    """One task with the step tool."""
    return build_steps(world.address, llm=model(world.address, **(llm or {})), **members)


class OtherStep(Step):
    """The step tool with other code."""

    def _run(self, number: int, mark: str) -> str:
        return act(self.address, "step", number=number, mark=mark).strip()


class WiderStep(Step):
    """The step tool with one argument more."""

    def _run(self, number: int, mark: str, note: str = "") -> str:
        return act(self.address, "step", number=number, mark=mark)


NOT_SERVED: dict[str, Callable[[World], Any]] = {
    "prompt": lambda world: steps(world, task={"prompt": "Do the other work."}),
    "role": lambda world: steps(world, role="Other worker"),
    "model": lambda world: steps(world, llm={"model": "openai/gpt-4o"}),
    "temperature": lambda world: steps(world, llm={"temperature": 0.5}),
    "max_tokens": lambda world: steps(world, llm={"max_tokens": 100}),
    "seed": lambda world: steps(world, llm={"seed": 1}),
    "stop": lambda world: steps(world, llm={"stop": ["END"]}),
    "tool description": lambda world: steps(world, tools=[Step(address=world.address, description="Does another step.")]),
    "tool schema": lambda world: steps(world, tools=[WiderStep(address=world.address)]),
    "one tool more": lambda world: steps(world, tools=[Step(address=world.address), Step(address=world.address, name="other")]),
}


@pytest.mark.siege
@pytest.mark.parametrize("edit", NOT_SERVED)
def test_nothing_is_served_to_another_request(local: World, edit: str) -> None:
    """After an edit that the request shows, all is asked anew."""
    local.fails(steps(local), after=2)
    assert local.bought(NOT_SERVED[edit](local)) == ALL


def test_another_prompt_is_served_nothing(local: World) -> None:
    """After the prompt was edited, all is asked anew."""
    test_nothing_is_served_to_another_request(local, "prompt")


@pytest.mark.siege
def test_another_endpoint_is_served_nothing(world: World, other_server: Server) -> None:
    """The same model's name at another address is another model."""
    world.fails(steps(world), after=2)
    other_server.model = other = Model(scripts.steps(STEPS))
    world.run(steps(world, llm={"base_url": other_server.address}))
    assert len(other.answered) == STEPS + 1


@pytest.mark.siege
@pytest.mark.parametrize("edit", [{"tools": OtherStep}, {"salt": "two"}])
def test_an_edited_tool_is_called_anew(world: World, edit: dict[str, Any]) -> None:
    """The answer that asked for it is still true, and is served; with another salt, nothing is."""
    world.fails(steps(world), after=2)
    if "salt" in edit:
        assert world.bought(steps(world), policies={"work": TaskPolicy(salt="two")}) == ALL
    else:
        assert world.bought(steps(world, tools=[OtherStep(address=world.address)])) == (STEPS, STEPS)


SERVED: dict[str, Callable[[World], Any]] = {
    "nothing": steps,
    "key": lambda world: steps(world, llm={"api_key": "key-of-process-1"}),
    "timeout": lambda world: steps(world, llm={"timeout": 77}),
    "retries": lambda world: steps(world, llm={"max_retries": 1}),
    "verbose": lambda world: steps(world, verbose=True),
    "a guardrail": lambda world: steps(world, task={"guardrail": passes}),
    "the limit of rounds": lambda world: steps(world, max_iter=20),
}


def passes(output):
    """A guardrail that lets everything pass."""
    return True, output.raw


@pytest.mark.siege
@pytest.mark.parametrize("edit", SERVED)
def test_what_the_request_does_not_show_is_no_reason_to_ask_again(local: World, edit: str) -> None:
    """After a change of key, client or guardrail, the first two answers and their effects are served."""
    local.fails(steps(local), after=2)
    assert local.bought(SERVED[edit](local)) == (STEPS + 1 - 2, STEPS - 2)
    assert local.model.mixed() == []


def test_a_task_that_failed_goes_on(local: World) -> None:
    """After a failure of the model, what was answered and done before is served; the key may be another one."""
    test_what_the_request_does_not_show_is_no_reason_to_ask_again(local, "key")


@pytest.mark.siege
def test_a_failure_at_every_request(world: World) -> None:
    """Failing once at each request, a task pays for each answer once."""
    for answers in range(STEPS + 1):
        world.fails(steps(world), after=answers)
        assert len(world.model.answered) == answers
    assert world.bought(steps(world)) == (1, 0)
    assert len(world.model.effects) == STEPS
    assert world.model.mixed() == []


@pytest.mark.siege
def test_crewais_own_retries_go_on_too(world: World) -> None:
    """A fault that stays fails each of CrewAI's attempts; none of them, nor the next run, buys an answer again."""
    world.fails(steps(world, max_retry_limit=2), after=2)
    assert len(world.model.answered) == 2
    assert world.bought(steps(world)) == (STEPS + 1 - 2, STEPS - 2)


@pytest.mark.siege
def test_a_date_with_seconds_in_the_prompt_is_another_question(world: World) -> None:
    """What stands in the prompt counts, also if CrewAI put it there."""
    dated: dict[str, Any] = {"inject_date": True, "date_format": "%Y-%m-%d %H:%M:%S.%f"}
    world.fails(steps(world, **dated), after=2)
    assert world.bought(steps(world, **dated)) == ALL


@pytest.mark.siege
@pytest.mark.parametrize("marked", [True, False])
def test_tools_that_are_to_run_again_do(world: World, marked: bool) -> None:
    """Their results are bought anew; if they are equal, the answers after them are served all the same."""
    world.use(scripts.steps(STEPS), effect=lambda name, arguments, mark: mark if marked else "done")
    policies = {"work": TaskPolicy(rerun_tools=("step",))}
    world.fails(steps(world), after=3, policies=policies)
    assert world.bought(steps(world), policies=policies) == ((STEPS, STEPS) if marked else (1, STEPS))


@pytest.mark.siege
@pytest.mark.parametrize("policy, options", [
    (TaskPolicy(journal=False), {}),
    (TaskPolicy(always=True), {}),
    (TaskPolicy(max_age=timedelta(0)), {}),
    (TaskPolicy(), {"force": ["work"]}),
])  # fmt: skip
def test_what_is_to_be_asked_anew_is(world: World, policy: TaskPolicy, options: dict[str, Any]) -> None:
    """`journal=False`, `always`, an age that has passed and `force` leave nothing to go on from."""
    world.fails(steps(world), after=2)
    assert world.bought(steps(world), policies={"work": policy}, **options) == ALL


@pytest.mark.siege
def test_an_invalidated_task_begins_anew(world: World) -> None:
    """`invalidate` drops what was kept of a task that had not finished."""
    world.fails(steps(world), after=2)
    with StateRepository(world.url) as repo:
        repo.invalidate("work")
    assert world.bought(steps(world)) == ALL


# Failures that are the model's own.


def never_right(asked: Asked, mark: str) -> Said:
    return f"attempt 1 {mark}"


def says_nothing(asked: Asked, mark: str) -> Said:
    return ""


@pytest.mark.siege
@pytest.mark.parametrize("script, task", [
    (never_right, {"guardrail": third_attempt, "guardrail_max_retries": 2}),
    (says_nothing, {}),
])  # fmt: skip
def test_a_model_that_fails_by_itself_is_asked_again(world: World, script: Any, task: dict[str, Any]) -> None:
    """Guardrail exhausted, empty answers: each next run asks the model, and ends."""
    world.use(script)
    for _ in range(4):
        answered = len(world.model.answered)
        world.fails(steps(world, task=task, tools=[]))
        assert len(world.model.answered) > answered
    world.use(lambda asked, mark: f"attempt 3 {mark}")
    assert world.run(steps(world, task=task, tools=[])).raw.startswith("attempt 3")


@pytest.mark.siege
def test_a_tool_that_raises_for_ever_ends_no_run_for_ever(world: World) -> None:
    """Its error is told to the model, and the task ends; a run that failed meanwhile goes on with what it told."""
    world.use(scripts.steps(STEPS), effect=lambda *_: Broken())
    world.fails(steps(world), after=2)
    assert world.bought(steps(world))[0] == STEPS + 1 - 2


@pytest.mark.siege
def test_a_tool_that_is_up_again_is_called_if_nobody_went_on_from_its_error(world: World) -> None:
    """An error is served only if a later answer is kept, since the model has read it."""
    up = []
    world.use(scripts.steps(STEPS), effect=lambda name, arguments, mark: mark if up else Broken())
    world.fails(steps(world), after=1)
    up.append(True)
    assert world.bought(steps(world)) == (STEPS, STEPS)
    assert "is down" not in world.model.asked[-1].text


# No mixing.


@pytest.mark.siege
def test_two_equal_tasks_have_answers_of_their_own(world: World) -> None:
    """The same bytes, asked twice on purpose, are two questions; killed in the second, the first is not its answer."""

    def build() -> Any:
        agent = worker(world.address)
        return crew_of(*(one_task(agent, name=name, context=[]) for name in ("one", "two")))

    world.fails(build(), after=STEPS + 1 + 2)
    assert world.bought(build()) == (STEPS + 1 - 2, STEPS - 2)
    assert world.model.mixed() == []
    with StateRepository(world.url) as repo:
        assert repo.get_output("one").raw != repo.get_output("two").raw


@pytest.mark.siege
@pytest.mark.parametrize("after", range(1, 9))
def test_equal_delegations_have_answers_of_their_own(local: World, after: int) -> None:
    """Two delegations of the same part: each coworker's work is its own, wherever it fails.

    The coworker's failure, which CrewAI tells the manager as the result of the tool, is no result to go on from.
    """

    def say(asked: Asked, mark: str) -> Said:
        if "delegate_work_to_coworker" not in asked.tools:
            return scripts.steps(2)(asked, mark)
        part = {"task": "a part", "context": "none", "coworker": "Worker"}
        return Calls([("delegate_work_to_coworker", part)]) if asked.rounds < 2 else f"Final {mark}"

    def build() -> Any:
        lead = worker(local.address, role="Lead", tools=[], allow_delegation=True, cache=False)
        return crew_of(one_task(lead), agents=[lead, worker(local.address)], cache=False)

    local.use(say)
    local.run(build(), workflow_id="undisturbed")
    whole, effects = len(local.model.answered), len(local.model.effects)
    assert (whole, effects) == (9, 4)
    local.use(say)
    local.fails(build(), after=after)
    local.run(build())
    assert (len(local.model.answered), len(local.model.effects)) == (whole, effects)
    assert local.model.mixed() == []


# What is left, and what is told.


@pytest.mark.siege
def test_nothing_of_the_journal_is_left(world: World, sql: Any) -> None:
    """When its record is written, what was kept of a task is in no table, and in no byte of file or log."""
    world.use(scripts.attempts(1, 1))  # the verdict of a guardrail that lets a text pass is in no record
    task = {"guardrails": ["It must be right.", "It must be short."]}
    world.fails(steps(world, task=task), after=3)
    verdict = next(answer.mark for answer in world.model.answered if "Guardrail Agent" in answer.asked.text)
    assert sql("SELECT * FROM kept_call")
    assert world.url.startswith("postgresql") or verdict in in_files(world)
    world.run(steps(world, task=task))
    assert sql("SELECT * FROM kept_call") == []
    assert world.url.startswith("postgresql") or verdict not in in_files(world)


def in_files(world: World) -> str:
    """Every byte of the state, its log and whatever stands beside it."""
    file = Path(world.url.removeprefix("sqlite:///"))
    return "".join(each.read_bytes().decode("latin-1") for each in file.parent.glob(f"{file.name}*"))


@pytest.mark.siege
def test_a_secret_that_is_answered_is_in_no_file(world: World, sql: Any) -> None:
    """An answer, or a result, in which a key that was handed over stands is not kept, and the key is nowhere."""
    key = "key-of-process-48151623"

    def say(asked: Asked, mark: str) -> Said:
        if asked.rounds == 1:
            return Calls([("step", {"number": 1, "mark": key})])
        return scripts.steps(STEPS)(asked, mark)

    world.use(say, effect=lambda name, arguments, mark: f"{mark} {arguments['mark'] if arguments['number'] else ''}")
    world.fails(steps(world, llm={"api_key": key}), after=3)
    values = " ".join(row[0] for row in sql("SELECT value FROM kept_call"))
    assert values
    assert key not in values
    assert world.url.startswith("postgresql") or key not in in_files(world)


@pytest.mark.siege
def test_only_the_hash_of_a_request_is_kept(world: World, sql: Any) -> None:
    """What was asked stands in no row of the journal."""
    world.fails(steps(world, task={"prompt": "An unmistakable prompt."}), after=2)
    rows = sql("SELECT * FROM kept_call")
    assert rows
    assert "unmistakable" not in str(rows)


@pytest.mark.siege
def test_a_record_says_what_its_answer_cost_and_a_run_what_it_paid(world: World) -> None:
    """Tokens of answers that were served again count for the record; for the run they are saved."""
    world.fails(steps(world), after=2)
    result = world.run(steps(world))
    paid = TOKENS * (STEPS + 1 - 2)
    assert result.run.tokens_spent == paid
    assert result.token_usage.total_tokens == paid
    with StateRepository(world.url) as repo:
        assert repo.history("work")[0].usage.total_tokens == TOKENS * (STEPS + 1)
        assert [run.tokens_spent for run in repo.runs()] == [paid, TOKENS * 2]


@pytest.mark.siege
def test_what_crewais_retries_are_served_again_is_counted_once(local: World) -> None:
    """The model goes down once more, and CrewAI begins at the top: the record has the cost of each answer once."""
    local.fails(steps(local), after=2)
    broken = iter([True, False])

    def goes_down_once(asked: Asked, mark: str) -> Said:
        return Broken() if asked.rounds == STEPS and next(broken) else scripts.steps(STEPS)(asked, mark)

    local.model.script = goes_down_once
    local.run(steps(local))
    with StateRepository(local.url) as repo:
        assert repo.history("work")[0].usage.total_tokens == TOKENS * (STEPS + 1)


@pytest.mark.siege
def test_what_is_served_again_is_not_streamed_again(world: World) -> None:
    """Chunks come only of what is asked; the text is whole."""
    world.fails(steps(world), after=2)
    stream = world_stream(world, steps(world, crew={"stream": True}))
    texts = [chunk.content for chunk in stream]
    assert stream.result.raw == f"Final {world.model.answered[-1].mark}"
    assert stream.result.raw in "".join(texts)
    assert world.model.answered[0].mark not in "".join(texts)


def world_stream(world: World, crew: Any) -> Any:
    return StateRepository(world.url, verbose=False).run(crew)


@pytest.mark.siege
@pytest.mark.parametrize("policy", [TaskPolicy(), TaskPolicy(journal=False)])
def test_a_model_is_sent_the_same_bytes(world: World, policy: TaskPolicy) -> None:
    """Without a failure the requests are those of a plain kickoff."""
    world.use(scripts.steps(STEPS), new_mark=map(str, count()).__next__)
    steps(world).kickoff()
    plain = [asked.digest for asked in world.model.asked]
    world.use(scripts.steps(STEPS), new_mark=map(str, count()).__next__)
    world.run(steps(world), policies={"work": policy})
    assert [asked.digest for asked in world.model.asked] == plain


@pytest.mark.siege
def test_nothing_is_kept_where_it_is_not_wanted(world: World, sql: Any) -> None:
    """With `journal=False` no row is written."""
    world.fails(steps(world), after=2, policies={"work": TaskPolicy(journal=False)})
    assert sql("SELECT * FROM kept_call") == []


@pytest.mark.siege
def test_a_value_names_no_class_that_is_then_imported(world: World, sql: Any) -> None:
    """A row that somebody wrote with a class of another module is not served, and nothing is imported."""
    world.fails(steps(world), after=2)
    rows = sql("SELECT call_id, value FROM kept_call WHERE kind = 'model'")
    for call_id, value in rows:
        changed = value.replace("openai.", "turtle.").replace("ChatCompletion", "Turtle")
        sql("UPDATE kept_call SET value = :v WHERE call_id = :c", v=changed, c=call_id)
    world.run(steps(world))
    assert "turtle" not in sys.modules
    assert world.model.mixed() == []


@pytest.mark.siege
def test_the_journal_leaves_tools_models_and_classes_as_they_were(world: World) -> None:
    """After a run that failed and one that went on, no object and no class has anything that it did not have before."""
    tool, llm = Step(address=world.address), model(world.address)
    before = [members(each) for each in (tool, llm, type(tool), type(llm))]
    world.fails(steps_of(world, tool, llm), after=2)
    world.run(steps_of(world, tool, llm))
    assert [members(each) for each in (tool, llm, type(tool), type(llm))] == before


def members(thing: Any) -> dict[str, Any]:
    """What hangs on an object or a class under the names by which models and tools are called."""
    names = ("call", "acall", "run", "arun", "_run", "_arun", "func")
    return {name: thing.__dict__[name] for name in names if name in thing.__dict__}


def steps_of(world: World, tool: Any, llm: Any) -> Any:
    return build_steps(world.address, llm=llm, tools=[tool])


@pytest.mark.siege
def test_hashes_are_those_of_a_process_without_a_journal(world: World) -> None:
    """A task has the hash that it had before a run with a journal, and the one that it has without a journal."""
    world.run(steps(world), policies={"work": TaskPolicy(journal=False)}, workflow_id="without")
    world.fails(steps(world), after=STEPS + 1 + 2, workflow_id="with")
    world.run(steps(world), workflow_id="with")
    with StateRepository(world.url) as repo:
        records = repo.history("work")
    assert len(records) == 2
    assert len({record.input_hash for record in records}) == 1
