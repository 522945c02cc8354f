"""No secret reaches the state file: by its name, by its form, or out of the environment."""

from __future__ import annotations

import base64
import hashlib
import os
import sqlite3
import traceback
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew
from crewai.tools import BaseTool, tool

from crew_repo import StateRepository, StoreError
from crew_repo.hashing import digest, text_hash
from tests import crews
from tests.models import PromptModel
from tests.unit.hashing.test_secret_forms import FORMS

NAMES: list[str] = [
    "RAPIDAPI_KEY",
    "OPENAI_KEY",
    "GEMINI_KEY",
    "DB_PASS",
    "SMTP_PASS",
    "GITHUB_PAT",
    "DB_PWD",
    "MYSQL_PWD",
    "PGPASSWORD",
    "REDIS_AUTH",
    "SENTRY_DSN",
    "SLACK_WEBHOOK_URL",
    "APP_KEY",
    "SECRET_KEY_BASE",
    "DJANGO_SECRET",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "TWILIO_SID",
    "TWILIO_TOKEN",
    "SERPER_API_KEY",
    "ANON_KEY",
    "SUPABASE_SERVICE_ROLE_KEY",
    "JWT_SECRET",
    "NEXTAUTH_SECRET",
    "CALENDSO_ENCRYPTION_KEY",
    "CREDS_KEY",
    "ADO_PAT",
    "MEILI_MASTER_KEY",
    "UPSTASH_VECTOR_TOKEN",
    "VAPID_PRIVATE_KEY",
    "OTP_SECRET",
    "HA_TOKEN",
    "HF_TOKEN",
    "AMQP_PASS",
    "PUSHER_APP_KEY",
    "MAIL_AUTH",
    "AZURE_SEARCH_KEY",
    "DEEPL_AUTH_KEY",
    "SENDGRID_KEY",
    "FERNET_KEY",
    "BASIC_AUTH",
    "SNOWFLAKE_PASSWORD",
    "DATABRICKS_TOKEN",
    "ROOT_PASSWD",
    "SESSION_COOKIE",
    "GOOGLE_CREDENTIALS",
    "NOTION_TOKEN",
    "DISCORD_WEBHOOK",
    "OPENAI_API_KEY_2",
    "DEEPL",
]


def value(name: str, rotation: int = 1) -> str:
    """A secret that nothing else says."""
    return hashlib.sha256(f"{name}{rotation}".encode()).hexdigest()[:24]


VALUES = [value(name) for name in NAMES]


def told(names: list[str]) -> str:
    return " and ".join(os.environ[name] for name in names)


class Talkative(BaseTool):
    """Says all that it reads, as an error."""

    name: str = "talkative"
    description: str = "Talks."
    dbPassword: str = value("field")
    innocent: str = "ghp_" + value("by form")
    headers: dict[str, str] = {"X-Gateway-Key": value("header")}
    settings: dict[str, Any] = {"smtp_pass": value("key of a dict"), "url": f"https://host/?key={value('query')}"}

    def _run(self) -> str:
        held = [self.dbPassword, self.innocent, *self.headers.values(), *map(str, self.settings.values())]
        read = [
            os.environ["RAPIDAPI_KEY"],
            os.environ["OPENAI_KEY"],
            os.environ["GEMINI_KEY"],
            os.environ["DB_PASS"],
            os.environ["SMTP_PASS"],
            os.environ["GITHUB_PAT"],
            os.environ["DB_PWD"],
            os.environ["MYSQL_PWD"],
            os.environ["PGPASSWORD"],
            os.environ["REDIS_AUTH"],
            os.environ["SENTRY_DSN"],
            os.environ["SLACK_WEBHOOK_URL"],
            os.environ["APP_KEY"],
            os.environ["SECRET_KEY_BASE"],
            os.environ["DJANGO_SECRET"],
            os.environ["AWS_ACCESS_KEY_ID"],
            os.environ["AWS_SECRET_ACCESS_KEY"],
            os.environ["TWILIO_SID"],
            os.environ["TWILIO_TOKEN"],
            os.environ["SERPER_API_KEY"],
            os.environ["ANON_KEY"],
            os.environ["SUPABASE_SERVICE_ROLE_KEY"],
            os.environ["JWT_SECRET"],
            os.environ["NEXTAUTH_SECRET"],
            os.environ["CALENDSO_ENCRYPTION_KEY"],
            os.environ["CREDS_KEY"],
            os.environ["ADO_PAT"],
            os.environ["MEILI_MASTER_KEY"],
            os.environ["UPSTASH_VECTOR_TOKEN"],
            os.environ["VAPID_PRIVATE_KEY"],
            os.environ["OTP_SECRET"],
            os.environ["HA_TOKEN"],
            os.environ["HF_TOKEN"],
            os.environ["AMQP_PASS"],
            os.environ["PUSHER_APP_KEY"],
            os.environ["MAIL_AUTH"],
            os.environ["AZURE_SEARCH_KEY"],
            os.environ["DEEPL_AUTH_KEY"],
            os.environ["SENDGRID_KEY"],
            os.environ["FERNET_KEY"],
            os.environ["BASIC_AUTH"],
            os.environ["SNOWFLAKE_PASSWORD"],
            os.environ["DATABRICKS_TOKEN"],
            os.environ["ROOT_PASSWD"],
            os.environ["SESSION_COOKIE"],
            os.environ["GOOGLE_CREDENTIALS"],
            os.environ["NOTION_TOKEN"],
            os.environ["DISCORD_WEBHOOK"],
            os.environ["OPENAI_API_KEY_2"],
            os.environ["DEEPL"],
        ]
        raise ValueError(" and ".join([*held, *read]))


RAPID_PASS = value("global")


def guardrail(output):
    """Reads a key, and passes."""
    return bool(os.environ["RAPIDAPI_KEY"] and os.environ["GITHUB_PAT"] and RAPID_PASS), output.raw


class Keyed(PromptModel):
    """Asks with keys of the environment."""

    def answer(self, prompt: str) -> str:
        assert os.environ["GEMINI_KEY"]
        assert os.environ["DB_PASS"]
        assert os.getenv("DEEPL")
        return super().answer(prompt)


def keyed_crew(model: PromptModel) -> Crew:
    worker = crews.agent(model, tools=[Talkative()])
    return Crew(agents=[worker], tasks=[crews.task("step", "use {x_token}", worker, guardrail=guardrail)])


def scripted() -> Keyed:
    use = "Thought: I look.\nAction: talkative\nAction Input: {}"
    return Keyed(model="m", script={value("field"): "done", "<<step>>": use})


def held_by(folder: Path) -> bytes:
    """All that the state's files have: their bytes, and every value of every table."""
    found = b"".join(file.read_bytes() for file in sorted(folder.glob("state.db*")))
    with sqlite3.connect(folder / "state.db") as connection:
        return found + "\n".join(connection.iterdump()).encode()


def forms(secret: str) -> list[bytes]:
    """A secret, and what stands for it: its plain digests and its base64."""
    hashed = [hashlib.new(kind, secret.encode()).hexdigest() for kind in ("md5", "sha1", "sha256", "sha512")]
    ours = [digest("variable", secret), text_hash(secret)]
    return [form.encode() for form in [secret, *hashed, *ours, base64.b64encode(secret.encode()).decode()]]


def leaked(secrets: list[str], folder: Path) -> list[str]:
    dumped = held_by(folder)
    return [secret for secret in secrets if any(form in dumped for form in forms(secret))]


def test_fifty_names_and_no_value_of_theirs_is_kept(repo, monkeypatch, tmp_path):
    """Keys that a tool, a guardrail and a model read are nowhere in the file, and rotating all of them changes nothing."""
    for name in NAMES:
        monkeypatch.setenv(name, value(name) if name != "DEEPL" else "sk-" + value(name))
    held = ["field", "by form", "header", "key of a dict", "query", "global", "input"]
    inputs = {"x_token": value("input")}
    model = scripted()
    repo.run(keyed_crew(model), inputs)
    assert any(value("field") in call for call in model.calls)
    assert leaked([*VALUES, *map(value, held)], tmp_path) == []
    for name in NAMES:
        monkeypatch.setenv(name, value(name, 2) if name != "DEEPL" else "sk-" + value(name, 2))
    assert repo.run(keyed_crew(scripted()), inputs).run.reused == ["step"]
    repo.close()
    assert leaked([*VALUES, *map(value, held)], tmp_path) == []


def test_a_secret_input_in_a_prompt_makes_its_task_stale(repo, model):
    """It was asked with another, though nothing tells which."""
    worker = crews.agent(model)
    crew = Crew(agents=[worker], tasks=[crews.task("step", "use {db_pin_password}", worker)])
    assert repo.run(crew, {"db_pin_password": "1234"}).run.executed == ["step"]
    assert repo.run(crew, {"db_pin_password": "1234"}).run.reused == ["step"]
    assert repo.run(crew, {"db_pin_password": "1235"}).run.executed == ["step"]


@pytest.mark.parametrize("where", ["tool", "model", "cause", "note", "group"])
def test_keys_by_their_form_are_not_kept(repo, tmp_path, where):
    """Read from a file at run time, under an innocent name, they are in no message and no failure."""
    secrets = [f"{n:02}" + value(form) for n, form in enumerate(FORMS)]
    source = tmp_path / "settings.txt"
    source.write_text("\n".join(form.format(secret) for form, secret in zip(FORMS, secrets, strict=True)))

    def fail() -> None:
        lines = source.read_text()
        if where == "cause":
            try:
                raise ValueError(lines)
            except ValueError as error:
                raise RuntimeError("it failed") from error
        if where == "note" and hasattr(ValueError, "add_note"):
            error = ValueError("it failed")
            error.add_note(lines)
            raise error
        if where == "group":
            raise getattr(__import__("builtins"), "ExceptionGroup", RuntimeError)("they failed", [ValueError(lines)])
        raise ValueError(lines)

    @tool("talkative")
    def talkative() -> str:
        """Talks."""
        fail()
        return ""

    def answer(_: str) -> str:
        fail()
        return ""

    use = "Thought: I look.\nAction: talkative\nAction Input: {}"
    told = {"tcp:db": "done", "<<step>>": use} if where == "tool" else {"": answer}
    worker = crews.agent(PromptModel(model="m", script=told), tools=[talkative], max_retry_limit=0)
    crew = Crew(agents=[worker], tasks=[crews.task("step", "look", worker)])
    if where == "tool":
        repo.run(crew)
    else:
        with pytest.raises(Exception, match="failed|tcp:db"):
            repo.run(crew)
    assert leaked(secrets, tmp_path) == []
    repo.close()
    assert leaked(secrets, tmp_path) == []


def test_the_folder_that_a_shell_works_in_is_no_secret(repo, monkeypatch, tmp_path):
    """Paths in stored failures stay readable, also where code reads the folder."""
    monkeypatch.setenv("PWD", str(Path(__file__).parent))

    def answer(_: str) -> str:
        raise ValueError(os.environ["PWD"])

    worker = crews.agent(PromptModel(model="m", script={"": answer}), max_retry_limit=0)
    with pytest.raises(ValueError, match="end_to_end"):
        repo.run(Crew(agents=[worker], tasks=[crews.task("step", "look", worker)]))
    assert str(Path(__file__)).encode() in held_by(tmp_path)


def test_a_huge_error_is_kept_once_by_head_and_tail(repo, tmp_path):
    """A message of ten million characters makes no such file, and says how much was left out."""

    def answer(_: str) -> str:
        raise ValueError("HEAD" + "x" * 10_000_000 + "TAIL")

    worker = crews.agent(PromptModel(model="m", script={"": answer}), max_retry_limit=0)
    with pytest.raises(ValueError, match="HEAD"):
        repo.run(Crew(agents=[worker], tasks=[crews.task("step", "look", worker)]))
    dumped = held_by(tmp_path)
    with sqlite3.connect(tmp_path / "state.db") as connection:
        [(message, trace)] = connection.execute("SELECT error_message, error_traceback FROM task_run")
        [(short, elsewhere)] = connection.execute("SELECT error_message, error_traceback FROM run")
    assert message.startswith("HEAD")
    assert message.endswith("TAIL")
    assert "characters left out" in message
    assert "Traceback" in trace
    assert len(message) + len(trace) < 25_000
    assert (len(short) < 500, elsewhere) == (True, "kept with task step")
    assert len(dumped) < 2_000_000


@pytest.mark.parametrize("table", ["record", "text"])
def test_an_error_of_the_database_shows_no_text_of_the_user(repo, tmp_path, table):
    """Its traceback, which goes to logs, has the statement, and neither inputs nor answers."""
    private = "a private note"
    worker = crews.agent(PromptModel(model="m", script={"": private}))
    repo.run(Crew(agents=[worker], tasks=[crews.task("step", "look", worker)]))
    repo.export_json(tmp_path / "export.jsonl")
    with StateRepository(tmp_path / "other.db") as other:
        other.import_json(tmp_path / "export.jsonl")
        repo.override("step", f"{private} of another day")
        repo.export_json(tmp_path / "export.jsonl")
        with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
            connection.execute(f"CREATE TRIGGER no BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END")
        with pytest.raises(StoreError, match="refused") as caught:
            other.import_json(tmp_path / "export.jsonl")
    assert private not in "".join(traceback.format_exception(caught.value))
