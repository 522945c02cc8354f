"""What others are told of a run: fields of log records."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from crewai import Crew

from tests import crews
from tests.crews import NEW_ADJUSTER, NOTES
from tests.models import PromptModel


@pytest.fixture
def crew(model: PromptModel) -> Crew:
    """Two tasks, `analyze` and `draft`, of which only the second reads the adjuster."""
    return crews.sequential_last_input(model)


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
