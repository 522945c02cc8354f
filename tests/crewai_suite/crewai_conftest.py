"""The conftest.py of CrewAI's tests, which its sdist lacks: recorded answers, no network, and a note of every outcome.

The harness copies this file next to CrewAI's `tests` folder. It imports nothing of this package.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

for _name in ("OPENAI", "ANTHROPIC", "GEMINI", "AZURE", "OPENROUTER", "SERPER"):
    os.environ[f"{_name}_API_KEY"] = f"fake-{_name.lower()}-key"
os.environ.update(AWS_ACCESS_KEY_ID="fake", AWS_SECRET_ACCESS_KEY="fake", AWS_DEFAULT_REGION="us-east-1")
for _name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
    os.environ[_name] = "https://api.openai.com/v1"

import openai._base_client  # noqa: E402
import pytest  # noqa: E402
from vcr.request import Request  # noqa: E402

# Counting tokens is asked of the API, and no answer is recorded for that; CrewAI goes on without, after a pause.
openai._base_client.BaseClient._calculate_retry_timeout = lambda *_, **__: 0.0  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def crewai_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A storage folder of the test's own, no telemetry, and no event handlers or numbers left of an earlier test."""
    monkeypatch.setenv("CREWAI_STORAGE_DIR", str(tmp_path / "crewai_storage"))
    (tmp_path / "crewai_storage").mkdir()
    monkeypatch.setenv("CREWAI_TESTING", "true")
    _reset_event_numbers()
    yield
    _forget_event_handlers()


def _reset_event_numbers() -> None:
    from crewai.events import base_events, event_context

    base_events.reset_emission_counter()
    event_context._event_id_stack.set(())
    event_context._event_context_config.set(event_context.EventContextConfig())


def _forget_event_handlers() -> None:
    from crewai.events.event_bus import crewai_event_bus
    from crewai.events.listeners.tracing.trace_listener import TraceCollectionListener

    with crewai_event_bus._rwlock.w_locked():
        crewai_event_bus._sync_handlers.clear()
        crewai_event_bus._async_handlers.clear()
    TraceCollectionListener._instance = None


@pytest.fixture(scope="module")
def vcr_cassette_dir(request: pytest.FixtureRequest) -> str:
    """CrewAI keeps the recordings of tests/x/test_y.py in tests/cassettes/x."""
    tests = Path(__file__).parent / "tests"
    return str(tests / "cassettes" / Path(str(request.fspath)).parent.relative_to(tests))


@pytest.fixture(scope="module")
def vcr_config() -> dict[str, Any]:
    """Recorded answers only, in their order, whatever the body of the request says."""
    return {
        "record_mode": "none",
        "match_on": ["method", "scheme", "host", "port", "path"],
        "filter_query_parameters": ["key"],
        "before_record_request": _upper_method,
    }


def _upper_method(request: Request) -> Request:
    request.method = request.method.upper()
    return request


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how each phase ended, in the file that the harness names; a worker's go to the process that started it."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return
    note = {
        "test": report.nodeid,
        "when": report.when,
        "outcome": report.outcome,
        "why": report.longreprtext[-4000:],
        **dict(report.user_properties),
    }
    with Path(os.environ["CREWAI_SUITE_OUTCOMES"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(note) + "\n")
