"""What a reused task does and does not do, what is recorded and when, and what happens when something goes wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
from crewai import LLM, Crew
from crewai.events.event_bus import crewai_event_bus
from crewai.events.types.task_events import TaskCompletedEvent, TaskFailedEvent, TaskStartedEvent
from crewai.tools import BaseTool, tool
from pydantic import BaseModel, SecretStr, field_validator

from crew_repo import Outcome, RunStatus, StateRepository
from crew_repo.errors import StoreBusyError, StoreError
from tests import crews
from tests.crews import NEW_NOTES, NOTES
from tests.models import PromptModel
from tests.plain import conversations_begin_anew, kickoff
from tests.processes import begin


def chain(model: PromptModel, length: int = 3, **first: Any) -> Crew:
    """A chain of tasks step-1, step-2, ...; the first reads the notes."""
    worker = crews.agent(model)
    tasks = [crews.task("step-1", "{notes}", worker, **first)]
    tasks += [crews.task(f"step-{number}", "go on", worker) for number in range(2, length + 1)]
    return Crew(agents=[worker], tasks=tasks)


def raws(result: Any) -> list[str]:
    return [output.raw for output in result.tasks_output]


def sql(repo: StateRepository, query: str) -> list[Any]:
    with sqlite3.connect(repo.url.removeprefix("sqlite:///")) as connection:
        return connection.execute(query).fetchall()


class Boom(RuntimeError):
    """The failure of these tests."""


def test_a_failed_task_is_recorded_and_the_rest_is_not_paid_again(repo, model):
    """What had finished before a failure is reused; the failed task runs again, and says that it failed."""
    model.script = {"<<step-2>>": boom_if_told}
    Path("boom").touch()
    with pytest.raises(Boom, match="no luck"):
        repo.run(chain(model), NOTES)
    failed = repo.runs()[0]
    assert (failed.status, failed.executed, failed.failed) == (RunStatus.FAILED, ["step-1"], ["step-2"])
    failure = failed.tasks[1].failure
    assert (failure.type, "no luck" in failure.message, "Traceback" in failure.traceback) == ("Boom", True, True)
    Path("boom").unlink()
    assert str(repo.plan(chain(model), NOTES)["step-2"].reasons[0]).startswith("failed (Boom: no luck")
    assert repo.run(chain(model), NOTES).run.executed == ["step-2", "step-3"]


def boom(_: str) -> str:
    raise Boom("no luck")


def boom_if_told(_: str) -> str:
    """Fails while there is a file `boom`: the model itself stays the same."""
    return boom(_) if Path("boom").exists() else "fine"


def test_a_callback_that_raises_loses_nothing(repo, model):
    """The task was paid for before its callback raised, so it is recorded, and reused by the next run."""

    def callback(_: Any) -> None:
        raise Boom("callback")

    with pytest.raises(Boom, match="callback"):
        repo.run(chain(model, callback=callback), NOTES)
    assert repo.runs()[0].executed == ["step-1"]
    model.forget()
    assert repo.run(chain(model, callback=callback), NOTES).run.reused == ["step-1"]
    assert model.called_for() == ["step-2", "step-3"]


def test_an_async_task_is_recorded_when_its_sibling_fails_first(repo, monkeypatch):
    """A slow async task that is paid for is recorded, although the crew has failed meanwhile."""
    failed = threading.Event()
    monkeypatch.setattr("crew_repo.runner.async_tasks.wait", lambda futures: failed.set() or wait(futures))
    model = PromptModel(model="m", script={"<<check>>": boom, "<<slow>>": lambda _: failed.wait() and "done"})
    a, b = crews.agent(model, "A"), crews.agent(model, "B")
    tasks = [
        crews.task("check", "x", b, async_execution=True),
        crews.task("slow", "{notes}", a, async_execution=True),
        crews.task("draft", "y", a),
    ]
    with pytest.raises(Boom):
        repo.run(Crew(agents=[a, b], tasks=tasks), NOTES)
    assert (repo.runs()[0].executed, repo.runs()[0].failed) == (["slow"], ["check"])


def test_callbacks_are_not_fired_again_unless_asked(repo, model):
    """Callbacks fire for executed tasks only; `fire_callbacks=True` fires those of reused tasks too."""
    fired: list[str] = []

    def run(**options: Any) -> list[str]:
        fired.clear()
        crew = chain(model, 2, callback=lambda output: fired.append(f"task {output.raw}"))
        crew.task_callback = lambda output: fired.append(f"crew {output.raw}")
        repo.run(crew, NOTES, **options)
        return list(fired)

    executed = run()
    assert len(executed) == 3
    assert run() == []
    assert run(fire_callbacks=True) == executed


def test_kickoff_callbacks_fire_in_every_run(repo, model):
    """Before- and after-kickoff callbacks belong to the kickoff; what they return is passed on as it is."""
    crew = chain(model, 1)
    crew.after_kickoff_callbacks = [lambda result: f"text: {result.raw}"]
    assert repo.run(crew, NOTES) == repo.run(crew, NOTES)
    assert repo.runs()[0].reused == ["step-1"]


def test_a_reused_task_emits_started_and_completed(repo, model):
    """Listeners see a reused task as they see an executed one."""

    def events() -> list[str]:
        seen: list[str] = []
        with crewai_event_bus.scoped_handlers():
            for event in (TaskStartedEvent, TaskCompletedEvent, TaskFailedEvent):
                crewai_event_bus.on(event)(lambda source, event: seen.append(f"{event.type} {source.name}"))
            repo.run(chain(model, 2), NOTES)
            crewai_event_bus.flush()
        return sorted(seen)

    cold = events()
    assert (events(), len(cold)) == (cold, 4)


def test_the_output_file_of_a_reused_task_is_restored(repo, model, tmp_path):
    """A missing output file is written again, an edited one is put right, an equal one is not touched."""
    file = tmp_path / "out" / "Ada" / "note.md"
    repo.run(crews.output_file_with_variables(model), NOTES)
    text = file.read_text()
    for spoil in (lambda: file.unlink(), lambda: file.write_text("old")):
        spoil()
        repo.run(crews.output_file_with_variables(model), NOTES)
        assert file.read_text() == text
    before = file.stat().st_mtime_ns
    repo.run(crews.output_file_with_variables(model), NOTES)
    assert file.stat().st_mtime_ns == before


def test_a_class_that_no_longer_accepts_the_output_makes_the_task_stale(repo):
    """When the task's class has changed, the task runs again; its record is never forced into the new class."""
    model = PromptModel(model="m", script={"<<check>>": '{"name": "Ada"}'})

    class Lenient(BaseModel):
        name: str

    class Strict(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def longer(cls, name: str) -> str:
            if len(name) < 3 or model.calls:
                return name
            raise ValueError("too short")

    def build(cls: type[BaseModel]) -> Crew:
        worker = crews.agent(model)
        return Crew(agents=[worker], tasks=[crews.task("check", "{notes}", worker, output_pydantic=cls)])

    repo.run(build(Lenient), NOTES)
    decision = repo.plan(build(Strict), NOTES)["check"]
    assert decision.status.value == "stale"
    assert {reason.component for reason in decision.reasons} >= {"output_pydantic.source"}


def stubborn(kind: str) -> type[BaseModel]:
    """An output class whose own code raises once the output exists."""

    class Stubborn(BaseModel):
        name: str
        made: ClassVar[list[str]] = []

        @field_validator("name")
        @classmethod
        def once(cls, name: str) -> str:
            if kind == "validator" and cls.made:
                raise RuntimeError("I was made already")
            cls.made.append(name)
            return name

        def __eq__(self, other: object) -> bool:
            if kind == "equality":
                raise RuntimeError("I am not to be compared")
            return super().__eq__(other)

    return Stubborn


@pytest.mark.parametrize("kind", ["validator", "equality"])
def test_a_class_whose_own_code_raises_costs_neither_the_run_nor_the_record(repo, kind, caplog):
    """What a user's class raises while its output is stored fails no crew that kickoff would complete."""
    model = PromptModel(model="m", script={"<<check>>": '{"name": "Ada"}'})
    worker = crews.agent(model)
    tasks = [crews.task("check", "{notes}", worker, output_pydantic=stubborn(kind)), crews.task("draft", "x", worker)]
    assert repo.run(Crew(agents=[worker], tasks=tasks), NOTES).run.executed == ["check", "draft"]
    assert repo.get_output("check") == '{"name": "Ada"}'
    assert ("RuntimeError" in caplog.text) is (kind == "validator")  # what is equal is told without the class's help


@pytest.mark.parametrize("raw", [None, 5])
def test_an_output_that_a_guardrail_made_no_text_is_recorded_and_not_served(repo, model, raw):
    """CrewAI goes on with a `raw` that is no text, in the middle of a crew; so does a run."""

    def guardrail(output: Any):
        output.raw = raw
        return True, output

    worker = crews.agent(model)
    tasks = [crews.task("check", "{notes}", worker, guardrail=guardrail), crews.task("draft", "x", worker, context=[])]
    crew = Crew(agents=[worker], tasks=tasks)
    plain = kickoff(crew, NOTES)
    assert raws(repo.run(crew, NOTES)) == raws(plain)
    again = repo.run(crew, NOTES)
    assert (again.run.executed, again.run.reused, raws(again)) == (["check"], ["draft"], raws(plain))


def test_bytes_in_the_messages_do_not_lose_the_task(repo, model):
    """Messages may hold what JSON lacks, such as the bytes of an image."""

    def guardrail(output: Any):
        output.messages = [{"role": "user", "content": [{"image": b"\xff\xd8", "score": float("nan")}]}]
        return True, output

    worker = crews.agent(model)
    crew = Crew(agents=[worker], tasks=[crews.task("check", "{notes}", worker, guardrail=guardrail)])
    repo.run(crew, NOTES)
    assert repo.run(crew, NOTES).run.reused == ["check"]


def test_deleting_a_row_by_hand_runs_exactly_that_task(repo, model):
    """`DELETE FROM task_state` at the sqlite3 prompt makes that task run again, and no other."""
    repo.run(chain(model), NOTES)
    sql(repo, "DELETE FROM task_state WHERE task_name = 'step-2'")
    assert repo.plan(chain(model), NOTES).missing == ["step-2"]
    assert repo.run(chain(model), NOTES).run.executed == ["step-2"]


def test_a_token_count_edited_into_a_word_costs_that_task_alone(repo, model):
    """Its record counts as altered, which says what is wrong with it; asking for it is a clear error."""
    repo.run(chain(model), NOTES)
    sql(repo, "UPDATE record SET total_tokens = 'many' WHERE task_name = 'step-2'")
    with pytest.raises(StoreError, match="on task step-2 is no number"):
        repo.history("step-2")
    plan = repo.plan(chain(model), NOTES)
    assert (plan.missing, plan["step-2"].reasons[0].kind.value) == (["step-2"], "altered")
    assert "is no number" in str(plan["step-2"].reasons[0])
    assert repo.run(chain(model), NOTES).run.executed == ["step-2"]


@pytest.mark.parametrize("at", [0, 1], ids=["before", "after"])
def test_tasks_that_a_callback_adds_are_executed_and_said_not_to_be_recorded(repo, model, caplog, at):
    """A before-kickoff callback may add tasks: the crew runs as under kickoff, and a warning says what is not kept."""

    def build() -> Crew:
        crew = chain(model, 1)

        def add(inputs: Any) -> Any:
            crew.tasks.insert(at, crews.task("added", "x", crew.agents[0], context=[]))
            return inputs

        crew.before_kickoff_callbacks.append(add)
        return crew

    with conversations_begin_anew():  # the added task is CrewAI's own affair
        plain = raws(build().kickoff(NOTES))
        assert raws(repo.run(build(), NOTES)) == plain
    assert repo.run(build(), NOTES).run.reused == ["step-1"]
    assert "tasks were added to the crew" in caplog.text


def test_an_output_edited_by_hand_is_not_served(repo, model):
    """An edited output no longer matches its hash: the task runs again and says that its record was altered."""
    first = raws(repo.run(chain(model), NOTES))
    sql(repo, "UPDATE record SET output = 'forged' WHERE task_name = 'step-2'")
    plan = repo.plan(chain(model), NOTES)
    assert (plan.missing, plan["step-2"].reasons[0].kind.value) == (["step-2"], "altered")
    assert "to have it reused, put back what was there" in str(plan)
    result = repo.run(chain(model), NOTES)
    assert (result.run.executed, raws(result)) == (["step-2"], first)


def test_the_state_file_is_made_for_people(repo, model):
    """The columns of design.md, UTC times in ISO-8601, JSON that is JSON, and a file that only its owner reads."""
    run = repo.run(chain(model, 2), NOTES, workflow_id="CLAIM-7").run
    columns = "workflow_id, crew_name, task_name, position, status, output, input_hash, output_hash, completed_at, " \
        "duration_seconds, total_tokens, error, run_id"
    rows = sql(repo, f"SELECT {columns} FROM task_state ORDER BY position")
    assert [row[:4] for row in rows] == [("CLAIM-7", "crew", "step-1", 0), ("CLAIM-7", "crew", "step-2", 1)]
    assert all(len(row[6]) == len(row[7]) == 64 and row[8].endswith("Z") and row[12] == run.run_id for row in rows)
    assert sql(repo, "SELECT run_id, status FROM run") == [(run.run_id, "completed")]
    assert json.loads(sql(repo, "SELECT reasons FROM task_run")[0][0])[0]["kind"] == "never ran"
    for file in Path(repo.url.removeprefix("sqlite:///")).parent.glob("state.db*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


class Secretive(BaseTool):
    name: str = "secretive"
    description: str = "Looks something up."
    api_key: str = "MARK-tool-key"
    token: SecretStr = SecretStr("MARK-tool-token")

    def _run(self, query: str) -> str:
        return query


def test_no_secret_reaches_the_state_file(repo, monkeypatch, tmp_path):
    """Keys, headers and environment values are in no byte of the state, not even through an error's text."""
    monkeypatch.setenv("MY_API_KEY", "MARK-environment")
    llm = LLM(
        model="openai/gpt-4o",
        api_key="MARK-llm-key",
        base_url="http://user:MARK-password@127.0.0.1:9/v1?key=MARK-query",
        default_headers={"X-Auth": "MARK-header"},
        max_retries=0,
        timeout=1,
    )
    worker = crews.Agent(role="r", goal="g", backstory="b", llm=llm, tools=[Secretive()], max_retry_limit=0)
    crew = Crew(agents=[worker], tasks=[crews.task("step", "{notes}", worker)])
    with pytest.raises(Exception, match=r".+"):
        repo.run(crew, NOTES)
    model = PromptModel(model="m", script={"<<step>>": leak}, api_key="MARK-llm-key")
    leaking = crews.agent(model, tools=[Secretive()])
    with pytest.raises(Boom):
        repo.run(Crew(agents=[leaking], tasks=[crews.task("step", "{notes}", leaking)]), NOTES)
    assert repo.runs()[0].failed == ["step"]
    repo.close()
    assert [file.name for file in tmp_path.glob("state.db*") if b"MARK-" in file.read_bytes()] == []


class Client:
    """What a library would call a client."""

    def __init__(self) -> None:
        self.api_key = "MARK-client-key"


class Nested(BaseModel):
    """Settings of a tool's own."""

    token: str = "MARK-nested"


class Talkative(BaseTool):
    """Fails with everything it knows in the message."""

    name: str = "talkative"
    description: str = "Talks."
    settings: Nested = Nested()
    headers: dict[str, str] = {"Authorization": "Bearer MARK-bearer"}
    database: str = "postgresql://user:MARK-password@host/db?api_key=MARK-in-query"
    client: Any = None

    def _run(self) -> str:
        raise Boom(told(self.client))


def told(client: Any) -> str:
    bare = ("MARK-nested", "MARK-bearer", "MARK-password", "MARK-in-query", os.environ["MY_API_KEY"], client.api_key)
    return " and ".join(bare)


def test_what_a_tool_says_of_its_secrets_is_not_kept(repo, monkeypatch, tmp_path):
    """Secrets in nested settings, headers, URLs, clients and the environment are in no message, failure or error kept."""
    monkeypatch.setenv("MY_API_KEY", "MARK-environment")
    talkative = Talkative(client=Client())
    use = "Thought: I look.\nAction: talkative\nAction Input: {}"
    model = PromptModel(model="m", script={"MARK-": "done", "<<step>>": use})

    def callback(_: Any) -> None:
        raise Boom(told(talkative.client))

    worker = crews.agent(model, tools=[talkative])
    with pytest.raises(Boom):
        repo.run(Crew(agents=[worker], tasks=[crews.task("step", "{notes}", worker, callback=callback)]), NOTES)
    assert any("MARK-" in call for call in model.calls)
    assert repo.get_output("step") == "done"
    repo.close()
    assert [file.name for file in tmp_path.glob("state.db*") if b"MARK-" in file.read_bytes()] == []


API_KEY = "MARK-global"
HEADERS = {"Authorization": "Bearer MARK-bearer", "X-Tenant": "MARK-tenant"}
CLIENT = Client()
DSN = "postgresql://user:MARK-password@host/db"


def with_globals() -> BaseTool:
    """A function that reads what its module holds."""

    @tool("leaky")
    def leaky() -> str:
        """Fails."""
        raise Boom(f"401 for {API_KEY}, {HEADERS}, {CLIENT.api_key}, could not connect to {DSN}")

    return leaky


def with_closure(api_key: str = "MARK-closure") -> BaseTool:
    """A function that was given its key."""

    @tool("leaky")
    def leaky() -> str:
        """Fails."""
        raise Boom(f"401 for {api_key}")

    return leaky


class Leaky(BaseTool):
    """Holds a key in its class, and another in the headers of its session."""

    API_KEY: ClassVar[str] = "MARK-class"
    name: str = "leaky"
    description: str = "Fails."
    session: Any = None

    def _run(self) -> str:
        raise Boom(f"403, was sent {dict(self.session.headers)} {self.session.auth} {self.API_KEY}")


def with_session() -> BaseTool:
    """With a session whose headers are a mapping that is no dict."""
    session = requests.Session()
    session.headers["X-Key"], session.auth = "MARK-session", ("username", "MARK-auth")
    return Leaky(session=session)


def no_marks_in(folder: Path) -> bool:
    return not [file.name for file in folder.glob("state.db*") if b"MARK-" in file.read_bytes()]


@pytest.mark.parametrize("make", [with_globals, with_closure, with_session])
def test_what_a_tool_says_of_the_secrets_that_its_code_leads_to_is_not_kept(repo, tmp_path, make):
    """Secrets in globals, closures, classes, clients and sessions are in no message or failure that is kept."""
    model = PromptModel(model="m", script={"MARK-": "done", "<<step>>": "Action: leaky\nAction Input: {}"})

    def crew() -> Crew:
        return Crew(agents=[one := crews.agent(model, tools=[make()])], tasks=[crews.task("step", "{notes}", one)])

    repo.run(crew(), NOTES)
    assert any("MARK-" in call for call in model.calls)
    assert no_marks_in(tmp_path)
    assert "[secret]" in sql(repo, "SELECT messages FROM record")[0][0]
    assert repo.run(crew(), NOTES).run.reused == ["step"]
    repo.close()
    assert no_marks_in(tmp_path)


class LeakyModel(PromptModel):
    """Fails with the key that its module holds, and with everything in its URL."""

    def answer(self, prompt: str) -> str:
        raise Boom(f"401 for {API_KEY} at {self.base_url} with MARK-in-query, MARK-parameter")


def test_what_a_model_says_of_its_secrets_is_not_kept(repo, tmp_path):
    """A key in a global of its module or in its URL's query is in no error kept."""
    model = LeakyModel(model="m", base_url="https://host/v1?key=MARK-in-query", default_query={"code": "MARK-parameter"})
    worker = crews.agent(model, max_retry_limit=0)
    with pytest.raises(Boom, match="MARK-global"):
        repo.run(Crew(agents=[worker], tasks=[crews.task("step", "{notes}", worker)]), NOTES)
    assert "[secret]" in sql(repo, "SELECT error_message FROM task_run")[0][0]
    assert no_marks_in(tmp_path)
    repo.close()
    assert no_marks_in(tmp_path)


def test_what_a_callback_says_of_its_secrets_is_not_kept(repo, model, tmp_path):
    """Its code is in no hash; what it held is known from the error's traceback, also of an error that it came of."""

    def send(headers: dict[str, str]) -> None:
        raise Boom(f"401, was sent {headers}")

    def callback(_: Any) -> None:
        try:
            send({"X-Tenant": "MARK-header"})
        except Boom as error:
            raise Boom(f"{error}, {API_KEY}") from None

    worker = crews.agent(model)
    crew = Crew(agents=[worker], tasks=[crews.task("step", "{notes}", worker, callback=callback)])
    with pytest.raises(Boom, match="MARK-header.*MARK-global"):
        repo.run(crew, NOTES)
    assert "[secret]" in sql(repo, "SELECT error_message FROM run")[0][0]
    repo.close()
    assert no_marks_in(tmp_path)


def test_no_explanatory_text_has_a_secret(repo, model, tmp_path):
    """A description into which somebody has written the key that a tool reads is hashed, and not kept."""
    worker = crews.agent(model, tools=[with_closure()])
    repo.run(Crew(agents=[worker], tasks=[crews.task("step", "use MARK-closure", worker)]))
    assert repo.get_output("step").startswith("answer")
    repo.close()
    assert no_marks_in(tmp_path)


class Connected(BaseTool):
    name: str = "connected"
    description: str = "Looks something up."
    dsn: str

    def _run(self) -> str:
        return self.dsn


def test_a_password_in_a_url_that_is_rotated_makes_nothing_stale(repo, model):
    """Where a tool connects to counts; with which password does not."""

    def crew(dsn: str) -> Crew:
        worker = crews.agent(model, tools=[Connected(dsn=dsn)])
        return Crew(agents=[worker], tasks=[crews.task("step", "{notes}", worker)])

    repo.run(crew("postgresql://user:one-password@host/db"), NOTES)
    assert repo.plan(crew("postgresql://user:two-password@host/db"), NOTES).all_fresh
    assert repo.plan(crew("postgresql://user:one-password@other/db"), NOTES).stale == ["step"]


def leak(_: str) -> str:
    raise Boom("401 for key MARK-llm-key")


def test_tokens_are_credited_to_the_right_task_though_async_tasks_share_a_model(repo):
    """Two async tasks on one LLM object: each record has the tokens of its own calls."""
    model = PromptModel(model="m", script=together(2))
    a, b = crews.agent(model, "A"), crews.agent(model, "B")
    tasks = [
        crews.task("short", "x", a, async_execution=True),
        crews.task("long", "x " * 500, b, async_execution=True),
        crews.task("draft", "y", a, context=[]),
    ]
    run = repo.run(Crew(agents=[a, b], tasks=tasks)).run
    tokens = {task.task_name: task.usage.total_tokens for task in run.tasks}
    assert tokens == {
        mark: sum(len(call.split()) + 5 for call in model.calls if f"<<{mark}>>" in call) for mark in tokens
    }
    assert run.tokens_spent == sum(tokens.values())
    saved = repo.run(Crew(agents=[a, b], tasks=tasks)).run
    assert (saved.tokens_spent, saved.tokens_saved) == (0, run.tokens_spent)


def test_tokens_are_credited_to_the_right_run_though_crews_in_threads_share_a_model(repo):
    """Two crews at the same time on one LLM object: each run and task has what it has alone, and the LLM is left as it was."""

    def build(name: str) -> Crew:
        a, b = crews.agent(model, "A"), crews.agent(model, "B")
        tasks = [
            crews.task("short", "x", a, async_execution=True),
            crews.task("long", "x " * 500, b, async_execution=True),
            crews.task("draft", "y", a, context=[]),
        ]
        return Crew(name=name, agents=[a, b], tasks=tasks)

    def spent(run: Any) -> Any:
        return run.tokens_spent, [task.usage.total_tokens for task in run.tasks]

    model = PromptModel(model="m", script=together(2))
    alone = spent(repo.run(build("alone")).run)
    model.script = together(4)
    with ThreadPoolExecutor() as pool:
        one, two = (pool.submit(lambda name: repo.run(build(name)).run, name) for name in ("one", "two"))
    assert (spent(one.result()), spent(two.result())) == (alone, alone)
    assert [name for name in model.__dict__ if "track" in name] == []


def together(number: int) -> dict[str, Any]:
    """A script that answers two tasks, in so many threads, when all of them are asked."""
    barrier = threading.Barrier(number)

    def answer(_: str) -> str:
        barrier.wait()
        return "done"

    return {"<<short>>": answer, "<<long>>": answer}


def test_the_run_and_its_tasks_are_logged_before_they_are_saved(repo, model, caplog):
    """Logger `crew_repo` names the run and each task."""
    with caplog.at_level(logging.INFO, logger="crew_repo"):
        run = repo.run(chain(model, 2), NOTES).run
    told = [record for record in caplog.records if record.name == "crew_repo" and record.levelno == logging.INFO]
    messages = [record.getMessage() for record in told]
    assert run.run_id in messages[0]
    assert "step-1" in messages[0]
    assert any("step-2 executed" in message and "saving" in message for message in messages)


def live(number: str) -> None:
    """A run that is killed in its second step."""
    os.environ["DIE"] = number
    model = PromptModel(model="m", script={"<<step-2>>": die_if_told})
    StateRepository("state.db").run(chain(model, 4), {"notes": "n", "adjuster": "a"})


def die_if_told(_: str) -> str:
    """Kills its own process with the signal that the environment names."""
    if name := os.environ.get("DIE"):
        os.kill(os.getpid(), getattr(signal, name))
    return "alive"


@pytest.mark.siege
@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_a_killed_run_is_seen_as_interrupted_and_resumed(repo, model, number):
    """After a kill in step 2: step 1 is reused, the run and its task are "interrupted", at once and for good."""
    process = begin(Path("report.txt"), live, number)
    process.join()
    assert process.exitcode == -getattr(signal, number)
    run = repo.runs()[0]
    assert (run.status, run.executed, run.interrupted) == (RunStatus.INTERRUPTED, ["step-1"], ["step-2"])
    notes = {"notes": "n", "adjuster": "a"}
    model.script = {"<<step-2>>": die_if_told}
    plan = repo.plan(chain(model, 4), notes)
    assert [str(reason) for reason in plan["step-1"].reasons] == []
    assert plan["step-2"].reasons[0].kind.value == "interrupted"
    assert repo.run(chain(model, 4), notes).run.executed == ["step-2", "step-3", "step-4"]
    assert [run.status for run in repo.runs()] == [RunStatus.COMPLETED, RunStatus.INTERRUPTED]


def test_ctrl_c_is_recorded_and_raised(repo, model):
    """A KeyboardInterrupt in a task leaves an interrupted run, and what had finished."""

    def interrupt(_: str) -> str:
        raise KeyboardInterrupt

    model.script = {"<<step-2>>": interrupt}
    with pytest.raises(KeyboardInterrupt):
        repo.run(chain(model), NOTES)
    run = repo.runs()[0]
    assert (run.status, run.executed) == (RunStatus.INTERRUPTED, ["step-1"])
    assert run.tasks[1].outcome is Outcome.INTERRUPTED


def test_history_and_output_are_found_by_name(repo, model):
    """`get_output` gives the present text, `history` every record, newest first; an unknown name gives nothing."""
    first = repo.run(chain(model, 1), NOTES)
    second = repo.run(chain(model, 1), NEW_NOTES)
    assert repo.get_output("step-1") == second.raw
    assert [record.result.raw for record in repo.history("step-1")] == [second.raw, first.raw]
    assert repo.get_output("nobody") is None
    repo.run(chain(model, 1), NOTES)
    assert repo.get_output("step-1").raw == first.raw
    assert [state.task_name for state in repo.tasks()] == ["step-1"]


def test_result_as_answer_does_not_leak_into_a_later_task(repo, model):
    """CrewAI never resets an agent's tool results; here each task's answer is its own, reused or not."""
    worker = crews.agent(model)
    worker.tools_results = [{"result": "leaked", "result_as_answer": True}]
    crew = Crew(agents=[worker], tasks=[crews.task("step", "{notes}", worker)])
    assert repo.run(crew, NOTES).raw != "leaked"


@pytest.mark.asyncio
async def test_a_callback_that_is_a_coroutine_is_awaited_for_a_reused_task_too(repo, model):
    """In the native async path it runs in the caller's event loop, as CrewAI does it."""
    loops = []

    async def note(output: Any) -> None:
        loops.append(asyncio.get_running_loop())

    for _ in range(2):
        await repo.arun(chain(model, 1, callback=note), NOTES, fire_callbacks=True)
    assert loops == [asyncio.get_running_loop()] * 2
    assert len(model.calls) == 1


class Locking(PromptModel):
    """Begins a write of its own into the state file while it answers, and leaves it open."""

    file: str
    _held: sqlite3.Connection | None = None

    def answer(self, prompt: str) -> str:
        if self._held is None:
            self._held = sqlite3.connect(self.file, isolation_level=None, check_same_thread=False)
            self._held.execute("BEGIN IMMEDIATE")
        return super().answer(prompt)

    def let_go(self) -> None:
        assert self._held is not None
        self._held.close()


def test_what_was_paid_for_while_the_file_could_not_be_written_is_recorded_by_the_next_run(tmp_path):
    """The run fails with a clear error; once the file can be written, its answer is there and is not paid for again."""
    model = Locking(model="m", file=str(tmp_path / "state.db"))
    with StateRepository(tmp_path / "state.db", busy_timeout_seconds=0.1) as repo:
        with pytest.raises(StoreBusyError, match=r"state\.db"):
            repo.run(chain(model, 2), NOTES)
        assert len(model.calls) == 1
        model.let_go()
        result = repo.run(chain(model, 2), NOTES)
        assert (len(model.calls), result.run.reused, result.run.executed) == (2, ["step-1"], ["step-2"])
        assert [run.status for run in repo.runs()] == [RunStatus.COMPLETED, RunStatus.FAILED]
        assert repo.verify() == []


@pytest.mark.parametrize("paid", [False, True], ids=["the model fails", "a callback fails"])
def test_a_file_that_cannot_be_written_does_not_hide_what_the_crew_raised(tmp_path, paid):
    """Exceptions of the crew are raised as they are; what is to be recorded of them is written by the next run."""
    scripted = {} if paid else {"<<step-1>>": boom}
    model = Locking(model="m", file=str(tmp_path / "state.db"), script=scripted)
    with StateRepository(tmp_path / "state.db", busy_timeout_seconds=0.1) as repo:
        with pytest.raises(Boom):
            repo.run(chain(model, 1, callback=boom), NOTES)
        model.let_go()
        model.script = {}
        repo.run(chain(model, 1), NOTES)
        run = repo.runs()[1]
        assert (run.status, run.executed, run.failed) == (RunStatus.FAILED, *((["step-1"], []) if paid else ([], ["step-1"])))
        assert repo.runs()[0].reused == (["step-1"] if paid else [])


def test_an_answer_that_cannot_be_written_is_not_paid_for_again(tmp_path, caplog):
    """While small writes still succeed, as on a disk that is almost full, each run says what is owed, and asks nobody."""
    model = PromptModel(model="m")
    with StateRepository(tmp_path / "state.db") as repo, closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        repo.run(chain(model, 1), NOTES)
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'no space'); END")
        with pytest.raises(StoreError, match="no space"):
            repo.run(chain(model, 2), NOTES)
        for _ in range(5):
            with pytest.raises(StoreError, match="task step-2 of run .* is still to be written, so it is not executed again: .*no space"):
                repo.run(chain(model, 2), NOTES)
        assert repo.run(chain(model, 1), NOTES).run.reused == ["step-1"], "others are not kept from working"
        connection.execute("DROP TRIGGER full")
        assert repo.run(chain(model, 2), NOTES).run.reused == ["step-1", "step-2"]
        assert len(model.calls) == 2
        assert not [record for record in caplog.records if record.levelno > logging.WARNING]


def test_what_was_paid_for_while_the_file_could_not_be_written_is_recorded_on_closing(tmp_path):
    """A run that failed to save is often the last of its process; closing the repository writes its answer."""
    model = Locking(model="m", file=str(tmp_path / "state.db"))
    with StateRepository(tmp_path / "state.db", busy_timeout_seconds=0.1) as repo:
        with pytest.raises(StoreBusyError):
            repo.run(chain(model, 1), NOTES)
        model.let_go()
    with StateRepository(tmp_path / "state.db") as repo:
        assert repo.plan(chain(model, 1), NOTES).fresh == ["step-1"]
        assert [run.status for run in repo.runs()] == [RunStatus.FAILED]


def test_what_cannot_be_written_on_closing_either_is_named_and_still_owed(tmp_path, caplog):
    """Nothing is lost, and nothing fails in silence: the process's next run writes it, also in another repository."""
    model = Locking(model="m", file=str(tmp_path / "state.db"))
    with StateRepository(tmp_path / "state.db", busy_timeout_seconds=0.1) as repo, pytest.raises(StoreBusyError):
        repo.run(chain(model, 1), NOTES)
    model.let_go()
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert any(text.startswith("task step-1 of run ") and "could not be written now" in text for text in said)
    with StateRepository(tmp_path / "state.db") as later:
        assert later.run(chain(model, 1), NOTES).run.reused == ["step-1"]
        assert [run.status for run in later.runs()] == [RunStatus.COMPLETED, RunStatus.FAILED]
    with pytest.raises(StoreError, match="is closed"):
        repo.runs()


def test_what_one_repository_could_not_write_is_written_by_the_next_run_through_another(tmp_path):
    """Two repositories on one file, by two names: who has the debt may be another than who runs next."""
    model = Locking(model="m", file=str(tmp_path / "state.db"))
    (tmp_path / "state.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "state.db")
    with (
        StateRepository(tmp_path / "state.db", busy_timeout_seconds=0.1) as first,
        StateRepository(tmp_path / "link.db") as second,
    ):
        with pytest.raises(StoreBusyError):
            first.run(chain(model, 1), NOTES)
        model.let_go()
        assert second.run(chain(model, 1), NOTES).run.reused == ["step-1"]


@pytest.mark.siege
def test_what_was_paid_for_while_the_file_could_not_be_written_is_recorded_when_the_process_ends(tmp_path):
    """Also where nobody closes the repository, and the exception ends the script."""
    script = """
        import tests.conftest
        from crew_repo import StateRepository
        from tests.end_to_end.test_reuse import NOTES, Locking, chain
        model = Locking(model="m", file="state.db")
        try:
            StateRepository("state.db", busy_timeout_seconds=0.1).run(chain(model, 1), NOTES)
        finally:
            model.let_go()
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "StoreBusyError" in ended.stderr
    with StateRepository(tmp_path / "state.db") as repo:
        assert [(run.status, run.executed) for run in repo.runs()] == [(RunStatus.FAILED, ["step-1"])]
        assert repo.get_output("step-1")
        assert repo.verify() == []


def test_a_text_edited_by_hand_is_named_beside_an_input_that_changed_too(repo, model):
    """The input explains the description, whose template is the same, and not the goal, which somebody edited."""

    def crew(goal: str, wanted: str) -> Crew:
        worker = crews.agent(model, goal=goal)
        return Crew(agents=[worker], tasks=[crews.task("step-1", "{notes}", worker, expected_output=wanted)])

    repo.run(crew("be right", "a sentence"), NOTES)
    assert repo.plan(crew("be right", "a sentence"), NEW_NOTES)["step-1"].causes == [
        "input:notes: hail on 3 May -> hail on 4 May"
    ]
    both = repo.plan(crew("be quick", "two sentences"), NEW_NOTES)["step-1"]
    assert both.causes == [
        "input:notes: hail on 3 May -> hail on 4 May",
        "agent.goal: be right -> be quick",
        "task.expected_output: a sentence -> two sentences",
    ]


def test_an_awaitable_that_is_no_coroutine_is_left_alone_as_crewai_does(repo, model):
    """In the synchronous path CrewAI runs coroutines and nothing else that a callback gives."""

    class Later:
        def __await__(self) -> Any:
            raise AssertionError("nobody awaits it")

    for _ in range(2):
        result = repo.run(chain(model, 1, callback=lambda _: Later()), NOTES, fire_callbacks=True)
    assert result.run.reused == ["step-1"]
