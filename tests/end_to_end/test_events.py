"""What others are told of a run: events on CrewAI's bus, attributes on the current span, fields of log records."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from contextvars import Context
from typing import Any

import pytest
from crewai import Crew
from crewai.events import TaskCompletedEvent, crewai_event_bus
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from crew_repo.events import TaskFailed, TaskOverridden, TaskReused, TaskStale
from crew_repo.runner.audience import Audience
from crew_repo.runner.display import Display
from tests import crews
from tests.crews import NEW_ADJUSTER, NOTES
from tests.models import PromptModel

KINDS = (TaskReused, TaskOverridden, TaskStale, TaskFailed)


class Heard(list):
    """The events of crew_repo that a listener was given, in the order of their emission, as (class name, task name)."""

    def take(self) -> list[tuple[str, str]]:
        """Wait for all that was emitted, and forget it."""
        crewai_event_bus.flush()
        events = sorted(self, key=lambda event: event.timestamp)
        self.clear()
        return [(type(event).__name__, event.task_name) for event in events]


@pytest.fixture
def heard() -> Iterator[Heard]:
    """A listener to all events of crew_repo."""
    events = Heard()
    with crewai_event_bus.scoped_handlers():
        for kind in KINDS:
            crewai_event_bus.on(kind)(lambda source, event: events.append(event))
        yield events


@pytest.fixture
def crew(model: PromptModel) -> Crew:
    """Two tasks, `analyze` and `draft`, of which only the second reads the adjuster."""
    return crews.sequential_last_input(model)


# Events.


def test_each_task_of_a_run_has_one_event(repo, crew, heard):
    """Stale before it is executed, reused after it is served, and no other."""
    repo.run(crew, NOTES)
    assert heard.take() == [("TaskStale", "analyze"), ("TaskStale", "draft")]
    repo.run(crew, NEW_ADJUSTER)
    assert heard.take() == [("TaskReused", "analyze"), ("TaskStale", "draft")]


def test_an_event_says_which_run_which_task_and_why(repo, crew, heard):
    """With what reuse saved, the number of the record, and CrewAI's own id of the task."""
    repo.run(crew, NOTES)
    heard.take()
    run = repo.run(crew, NEW_ADJUSTER).run
    crewai_event_bus.flush()
    reused, stale = sorted(heard, key=lambda event: event.position)
    assert (reused.run_id, reused.workflow_id, reused.task_id) == (run.run_id, "crew", str(crew.tasks[0].id))
    assert (reused.record_id, reused.tokens_saved) == (repo.history("analyze")[0].record_id, run.tokens_saved)
    assert (stale.status, [reason["component"] for reason in stale.reasons]) == ("stale", ["input:adjuster", "task.description"])
    assert stale.reasons == [reason.to_dict() for reason in run.tasks[1].reasons]
    assert json.loads(stale.model_dump_json())["type"] == "crew_repo_task_stale"


def test_a_failure_has_an_event_without_secrets(repo, model, crew, heard, monkeypatch):
    """It has the error that is stored."""
    key = "sk-proj-abcdef0123456789abcdef0123456789"

    def refused(prompt: str) -> str:
        raise RuntimeError(f"bad key {key}")

    model.script["<<draft>>"] = refused
    with pytest.raises(RuntimeError):
        repo.run(crew, NOTES)
    crewai_event_bus.flush()
    failed = next(event for event in heard if isinstance(event, TaskFailed))
    assert (failed.task_name, failed.outcome, failed.error_type) == ("draft", "failed", "RuntimeError")
    assert "bad key" in failed.error
    assert key not in failed.model_dump_json()


def test_a_persons_answer_is_told_as_such(repo, crew, heard):
    """Who gave it is said by the event that stands in place of `TaskReused`."""
    repo.run(crew, NOTES)
    heard.take()
    repo.override("draft", "Dear Ms Lind", by="Ada")
    repo.run(crew, NOTES)
    crewai_event_bus.flush()
    assert [(event.task_name, event.person) for event in heard if isinstance(event, TaskOverridden)] == [("draft", "Ada")]
    assert heard.take() == [("TaskReused", "analyze"), ("TaskOverridden", "draft")]


def test_items_of_a_batch_without_a_kickoff_have_events(repo, crew, heard):
    """All of them have been listened to when the batch returns."""
    repo.run(crew, NOTES)
    heard.take()
    repo.run_for_each(crew, [NOTES, NOTES])
    assert sorted((event.task_name, event.type) for event in heard) == sorted(2 * [(name, "crew_repo_task_reused") for name in ("analyze", "draft")])
    assert len({event.run_id for event in heard}) == 2


def test_a_persons_answer_that_came_during_an_execution_is_told_once(repo, crew, heard):
    """A task that was executed, and whose answer somebody gave meanwhile, has the event that names the person."""
    executed = repo.run(crew, NOTES).run.tasks[1]
    repo.override("draft", "Dear Ms Lind", by="Ada")
    given = next(record for record in repo.history("draft") if record.person == "Ada")
    heard.take()
    audience = Audience(Display.silent(), crew, run_id=executed.run_id, workflow_id=executed.workflow_id)
    for _ in range(2):
        audience.settled(executed, given)
    assert heard.take() == [("TaskOverridden", "draft")]


@pytest.mark.siege
def test_an_interruption_is_told_as_one(repo, model, crew, heard):
    """Ctrl-C in the middle of a task: its event says that it was interrupted."""

    def interrupted(prompt: str) -> str:
        raise KeyboardInterrupt

    model.script["<<draft>>"] = interrupted
    with pytest.raises(KeyboardInterrupt):
        repo.run(crew, NOTES)
    crewai_event_bus.flush()
    assert [event.outcome for event in heard if isinstance(event, TaskFailed)] == ["interrupted"]


def test_a_listener_that_raises_is_named_and_stops_nothing(repo, crew, heard, capsys):
    """CrewAI's bus prints what it raised, and the run goes on."""

    def broken(source: Any, event: Any) -> None:
        raise ValueError("no such queue")

    for kind in KINDS:
        crewai_event_bus.on(kind)(broken)
    assert repo.run(crew, NOTES).run.executed == ["analyze", "draft"]
    assert repo.run(crew, NOTES).run.reused == ["analyze", "draft"]
    assert "error in broken: no such queue" in capsys.readouterr().out


def test_events_of_ours_change_none_of_crewais(repo, crew, heard):
    """A reused task still has the events that an executed one has."""
    completed: list[str] = []
    crewai_event_bus.on(TaskCompletedEvent)(lambda source, event: completed.append(source.name))
    for _ in range(2):
        repo.run(crew, NOTES)
    crewai_event_bus.flush()
    assert sorted(completed) == ["analyze", "analyze", "draft", "draft"]


@pytest.mark.siege
def test_a_planner_that_is_asked_or_reused_has_events(repo, model, heard):
    """Its events have no task as their source, and the position -1."""
    plan = {"task_number": 1, "task": "a task", "plan": " PLAN-1"}
    model.script["tasks summary"] = json.dumps({"list_of_plans_per_task": [plan]})
    worker = crews.agent(model)
    crew = Crew(agents=[worker], tasks=[crews.task("analyze", "{notes}", worker)], planning=True, planning_llm=model)
    for kind in ("TaskStale", "TaskReused"):
        repo.run(crew, NOTES)
        assert heard.take() == [(kind, "(planner)"), (kind, "analyze")]


@pytest.mark.siege
@pytest.mark.parametrize("way", ["async tasks", "arun", "streaming", "hierarchical"])
def test_each_way_to_run_has_them(repo, model, heard, way):
    """Async tasks, a run on an event loop, a stream that is read later, and a manager that gives the tasks out."""
    build = {"async tasks": crews.async_tasks_and_join, "hierarchical": crews.hierarchical_with_manager_llm}
    crew = build.get(way, crews.sequential_last_input)(model)
    crew.stream = way == "streaming"
    for kind in ("TaskStale", "TaskReused"):
        result = asyncio.run(repo.arun(crew, NOTES)) if way == "arun" else repo.run(crew, NOTES)
        list(result) if way == "streaming" else None
        assert sorted(heard.take()) == sorted((kind, task.name) for task in crew.tasks)


# The current span.


class Trace:
    """A tracer whose finished spans can be read."""

    def __init__(self) -> None:
        self.provider, self._exporter = TracerProvider(), InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("tests")

    def take(self) -> dict[str, ReadableSpan]:
        """The spans that were finished since, by name."""
        crewai_event_bus.flush()
        spans = {span.name: span for span in self._exporter.get_finished_spans()}
        self._exporter.clear()
        return spans


@pytest.fixture
def trace(monkeypatch) -> Trace:
    """A tracer of this test, also where OpenTelemetry is switched off."""
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)
    return Trace()


def ours(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """The attributes of crew_repo, without its prefix."""
    return {name.removeprefix("crew_repo."): value for name, value in (attributes or {}).items() if name.startswith("crew_repo.")}


def test_the_span_around_a_run_says_what_it_did(repo, crew, trace):
    """Which run of which workflow, what was executed and reused, what that cost and saved, and no text of a prompt."""
    repo.run(crew, NOTES)
    with trace.tracer.start_as_current_span("claim"):
        run = repo.run(crew, NEW_ADJUSTER).run
    span = trace.take()["claim"]
    assert ours(span.attributes) == {
        "run_id": run.run_id,
        "workflow_id": "crew",
        "status": "completed",
        "executed": ("draft",),
        "reused": ("analyze",),
        "failed": (),
        "tokens_spent": run.tokens_spent,
        "tokens_saved": run.tokens_saved,
        "seconds_saved": run.seconds_saved,
    }
    told = [ours(event.attributes) for event in span.events if event.name == "crew_repo.task"]
    assert [(each["task"], each["outcome"]) for each in told] == [("analyze", "reused"), ("draft", "executed")]
    assert told[1]["reasons"] == ("input:adjuster changed", "task.description changed")
    assert "Bo" not in str(told)


def test_an_error_that_may_quote_a_prompt_is_on_no_span_and_not_in_the_log(repo, model, crew, trace, caplog):
    """That the task failed is said as the reason of its next execution, and not with which message."""
    model.script["<<draft>>"] = lambda prompt: [][len("hail on 3 May")]
    with pytest.raises(IndexError):
        repo.run(crew, NOTES)
    with trace.tracer.start_as_current_span("claim"), caplog.at_level(logging.INFO, "crew_repo"), pytest.raises(IndexError):
        repo.run(crew, NOTES)
    *_, told = trace.take()["claim"].events[:2]
    assert ours(told.attributes)["reasons"] == ("failed",)
    assert "list index" not in "".join(record.getMessage() for record in caplog.records if record.name == "crew_repo")


def test_reasons_name_a_coworker_without_inputs_and_keys(repo, model, trace, caplog, tmp_path):
    """By the template of its role, so that no input is on a span or in the log, and no key anywhere."""
    key = "sk-proj-abcdef0123456789abcdef0123456789"
    caplog.set_level(logging.INFO, "crew_repo")

    def delegating(goal: str) -> Crew:
        crew = crews.sequential_last_input(model)
        helpers = [crews.agent(model, role, goal=goal) for role in ("Helper of {adjuster}", f"Keeper of {key}")]
        crew.agents, crew.agents[0].allow_delegation = [*crew.agents, *helpers], True
        return crew

    repo.run(delegating("be fast"), NOTES)
    why = repo.plan(delegating("be right"), NOTES)["draft"].reasons
    assert "coworker:Helper of {adjuster}.goal" in [reason.component for reason in why]
    with trace.tracer.start_as_current_span("claim"):
        repo.run(delegating("be right"), NOTES)
    told = str([event.attributes for event in trace.take()["claim"].events]) + caplog.text
    assert "coworker:Keeper of [secret].goal changed" in told
    assert "Helper of Ada" not in told
    assert key not in told
    assert key.encode() not in b"".join(file.read_bytes() for file in tmp_path.glob("state.db*"))


def test_a_span_that_is_over_or_samples_nothing_is_left_alone(repo, crew, trace):
    """A run inside it goes on as without."""
    with trace.tracer.start_as_current_span("claim") as span:
        span.end()
        assert repo.run(crew, NOTES).run.executed == ["analyze", "draft"]
    assert ours(trace.take()["claim"].attributes) == {}


@pytest.fixture(params=[False, True], ids=["wrappers", "event listener"])
def openinference(request, trace) -> Iterator[bool]:
    """OpenInference in both of its modes; whether it listens to events."""
    from openinference.instrumentation.crewai import CrewAIInstrumentor  # only these two tests need it

    instrumentor = CrewAIInstrumentor()
    with crewai_event_bus.scoped_handlers():
        instrumentor.instrument(tracer_provider=trace.provider, use_event_listener=request.param)
        yield request.param
        instrumentor.uninstrument()


def test_a_trace_of_openinference_says_what_was_reused(repo, crew, trace, openinference):
    """With wrappers on its span of the kickoff; in both modes on the span around the run, in which its spans are."""
    def claim() -> None:
        repo.run(crew, NOTES)
        trace.take()
        with trace.tracer.start_as_current_span("claim"):
            repo.run(crew, NEW_ADJUSTER)

    Context().run(claim)  # in others, kickoffs that were interrupted are still open: OpenInference would wait for them
    spans = trace.take()
    around = spans.pop("claim")
    (kickoff,) = (span for name, span in spans.items() if name.endswith(".kickoff"))
    assert kickoff.parent.span_id == around.context.span_id
    for span in (around,) if openinference else (around, kickoff):
        assert (ours(span.attributes)["executed"], ours(span.attributes)["reused"]) == (("draft",), ("analyze",))


# The log.


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of crew_repo, without its prefix."""
    return {name.removeprefix("crew_repo_"): value for name, value in vars(record).items() if name.startswith("crew_repo_")}


def test_records_of_the_log_have_fields(repo, crew, caplog):
    """Each says of which run and workflow it tells; those about a task say which, and what was done with it, and why."""
    repo.run(crew, NOTES)
    with caplog.at_level(logging.INFO, "crew_repo"):
        run = repo.run(crew, NEW_ADJUSTER, workflow_id="crew").run
    told = [fields_of(record) for record in caplog.records if record.name == "crew_repo"]
    assert all((each.pop("run_id"), each.pop("workflow_id")) == (run.run_id, "crew") for each in told)
    assert told == [
        {},
        {"task": "analyze", "outcome": "reused", "tokens_saved": run.tokens_saved},
        {"task": "draft", "reasons": ["input:adjuster changed", "task.description changed"]},
        {"task": "draft", "outcome": "executed", "tokens_spent": run.tokens_spent},
        {"status": "completed", "tokens_spent": run.tokens_spent, "tokens_saved": run.tokens_saved},
    ]


def test_warnings_about_a_task_have_fields_too(repo, model, crew, caplog):
    """A failure names its task and its kind."""
    model.script["<<draft>>"] = lambda _: 1 / 0
    with caplog.at_level(logging.INFO, "crew_repo"), pytest.raises(ZeroDivisionError):
        repo.run(crew, NOTES)
    failed = [fields_of(record) for record in caplog.records if getattr(record, "crew_repo_outcome", "") == "failed"]
    assert [(each["task"], each["error_type"]) for each in failed] == [("draft", "ZeroDivisionError")]


def test_an_item_without_a_kickoff_is_in_the_log(repo, crew, caplog):
    """As a run of its own, with what it reused."""
    repo.run(crew, NOTES)
    with caplog.at_level(logging.INFO, "crew_repo"):
        repo.run_for_each(crew, [NOTES])
    told = [fields_of(record) for record in caplog.records if hasattr(record, "crew_repo_status")]
    assert [each["run_id"] for each in told] == [repo.runs()[0].run_id]
