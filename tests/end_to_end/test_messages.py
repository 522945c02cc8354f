"""What is said where something cannot be reached, used or found: the thing by its name, and what to do."""

from __future__ import annotations

import asyncio
import json
import os
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew

from crew_repo import StateRepository, StoreOpenError
from tests import crews, postgres
from tests.crews import NEW_NOTES, NOTES
from tests.models import PromptModel
from tests.processes import forkserver


def said(caplog: Any) -> str:
    """The warnings of crew_repo so far."""
    return "\n".join(record.getMessage() for record in caplog.records if record.name == "crew_repo")


# A state that cannot be opened.


@pytest.mark.parametrize("place", ["127.0.0.1:1", "no-such-host.invalid"])
def test_a_server_that_was_never_reached_is_not_called_lost(place):
    """The message says that it cannot be reached, and no password."""
    with pytest.raises(StoreOpenError) as caught:
        StateRepository(f"postgresql+psycopg://ada:hunter2@{place}/claims")
    assert f"postgresql+psycopg://ada:***@{place}/claims cannot be reached; see that the server is up" in str(caught.value)
    assert "lost" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_database_that_is_not_there_is_refused_by_its_server(postgres_server):
    """A server that answers was reached: the message says what else to look at."""
    with pytest.raises(StoreOpenError, match="refuses the connection; look at the user, the password and the name"):
        StateRepository(postgres.url_of(postgres_server, "no_such_database"))


TUTORIAL = json.dumps({"completed_tasks": {"analyze_task": {"output": "hail"}}, "run_count": 2}, indent=2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TUTORIAL, ["is a JSON file with the answers of a script", "'crew_state.db'", ").import_state("]),
        ("{}", ["is a JSON file, and no state file", "'crew_state.db'", "import"]),
        ("\ufeff\n [1, 2]", ["is a JSON file, and no state file"]),
        ("export", ["is an export of crew_repo", "StateRepository('crew_state.db').import_json("]),
    ],
    ids=["the tutorial's", "an empty object", "a list after a mark of bytes", "an export"],
)
def test_a_json_file_is_no_state_and_the_message_says_import(repo, model, text, words):
    """The file is recognised and left as it is; the message names a new file, and says what can be imported."""
    repo.run(crews.sequential_unspecified_context(model), NOTES)
    file = Path("crew_state.json")
    file.write_text(repo.export_json() if text == "export" else text, encoding="utf-8")
    before = file.read_bytes()
    with pytest.raises(StoreOpenError) as caught:
        StateRepository("crew_state.json")
    assert all(word in str(caught.value) for word in [str(file.absolute()), *words]), str(caught.value)
    assert file.read_bytes() == before


# A batch.


class Boom(RuntimeError):
    """The failure of these tests."""


def failing(prompt: str) -> str:
    """Fails for claim 1."""
    if "claim 1" in prompt:
        raise Boom("no luck")
    return "fine"


def build() -> Crew:
    """One task."""
    worker = crews.agent(PromptModel(model="m", script={"claim": failing}))
    return Crew(name="claims", agents=[worker], tasks=[crews.task("analyze", "{notes}", worker)])


def die(prompt: str) -> str:
    """End this process at once, if the claim says so."""
    if "fatal" in prompt:
        os._exit(3)
    return "fine"


def dying() -> Crew:
    """One task, whose model may kill its process."""
    worker = crews.agent(PromptModel(model="m", script={"claim": die}))
    return Crew(name="claims", agents=[worker], tasks=[crews.task("analyze", "{notes}", worker)])


CLAIMS = [{"notes": f"claim {number}"} for number in range(3)]
IDS = [f"CLM-{number}" for number in range(3)]


@pytest.mark.parametrize("way", ["threads", "event loop", pytest.param("processes", marks=pytest.mark.siege)])
def test_a_failed_item_is_named_by_its_workflow(repo, caplog, way):
    """In the log, on the exception and in its traceback; the crew's own exception is raised as it was."""

    def run(**options: Any) -> list[Any]:
        if way == "event loop":
            return asyncio.run(repo.arun_for_each(build, CLAIMS, **options))
        if way == "threads":
            return repo.run_for_each(build, CLAIMS, **options)
        with ProcessPoolExecutor(1, mp_context=forkserver) as pool:
            return repo.run_for_each(build, CLAIMS, executor=pool, **options)

    with pytest.raises(Boom) as caught:
        run(workflow_ids=IDS)
    assert (caught.value.workflow_id, caught.value.batch_item) == ("CLM-1", 1)
    assert caught.value.__notes__ == ["crew_repo: this is inputs_list[1] of the batch, workflow 'CLM-1'"]
    assert "inputs_list[1] of the batch, workflow 'CLM-1', failed: Boom: no luck" in said(caplog)
    kept = run(on_error="keep")[1]
    assert (kept.workflow_id, kept.batch_item) == ("claims", 1), "the crew's name, where no workflow_ids were given"
    assert "workflow 'claims', failed" in said(caplog)


@pytest.mark.siege
def test_an_item_that_kills_its_process_takes_no_result_with_it(repo, caplog):
    """What had finished comes, and each other item has an exception of its own, with the remedy."""
    claims, ids = [{"notes": f"{'fatal ' * (number == 2)}claim {number}"} for number in range(6)], [f"D-{n}" for n in range(6)]
    with ProcessPoolExecutor(1, mp_context=forkserver) as pool:
        found = repo.run_for_each(dying, claims, workflow_ids=ids, executor=pool, max_workers=1, on_error="keep")
    assert [result.raw for result in found[:2]] == ["fine", "fine"]
    for number, error in enumerate(found[2:], 2):
        assert isinstance(error, BrokenExecutor)
        assert (error.workflow_id, error.batch_item) == (f"D-{number}", number)
        assert "start the same batch again, with a new executor" in str(error)
    assert "inputs_list[2] of the batch, workflow 'D-2', failed: BrokenProcessPool" in said(caplog)


def test_an_item_that_cannot_even_begin_is_named_too(repo, caplog):
    """Inputs that a template lacks are an error of that item."""
    found = repo.run_for_each(build, [CLAIMS[0], {"note": "x"}], workflow_ids=["A", "B"], on_error="keep")
    assert (found[1].workflow_id, found[1].batch_item) == ("B", 1)
    assert "workflow 'B', failed: MissingInputError" in said(caplog)


class Claimed(RuntimeError):
    """An exception of the user's that has a `workflow_id` itself."""

    workflow_id = "mine"


def test_an_exception_with_a_workflow_of_its_own_keeps_it(repo, caplog):
    """The log names the item all the same."""

    def own() -> Crew:
        crew = build()
        crew.before_kickoff_callbacks.append(refuse)
        return crew

    def refuse(_: Any) -> Any:
        raise Claimed("no")

    (found,) = repo.run_for_each(own, CLAIMS[:1], workflow_ids=["A"], on_error="keep")
    assert found.workflow_id == "mine"
    assert "inputs_list[0] of the batch, workflow 'A', failed: Claimed: no" in said(caplog)


# Pruning.


def test_prune_without_arguments_only_says_what_it_would_do(repo, model, caplog):
    """Nothing is deleted until somebody says what."""
    crew = crews.sequential_unspecified_context(model)
    repo.run(crew, NOTES)
    repo.run(crew, NOTES, force=True)
    before = repo.export_json()
    report = repo.prune()
    assert (report.records, report.dry_run) == (2, True)
    assert repr(report) == "<PruneReport would delete 2 records, 0 runs and 0 texts; nothing was deleted>"
    assert "prune() without arguments would delete 2 records, 0 runs and 0 texts; nothing was deleted." in said(caplog)
    assert "prune(dry_run=False) deletes them" in said(caplog)
    assert repo.export_json() == before
    done = repo.prune(dry_run=False)
    assert (done.records, done.dry_run, len(repo.history("draft"))) == (2, False, 1)
    assert str(done).startswith("deleted 2 records, 0 runs and 0 texts; ")


def test_prune_with_an_argument_deletes(repo, model, caplog):
    """What was asked for is done, and nothing more is said."""
    crew = crews.sequential_unspecified_context(model)
    repo.run(crew, NOTES)
    repo.run(crew, NEW_NOTES)
    assert repo.prune(keep_last=1, dry_run=True).dry_run
    assert len(repo.history("draft")) == 2
    assert not repo.prune(keep_last=1).dry_run
    assert len(repo.history("draft")) == 1
    assert repo.prune(older_than=timedelta(days=1)).records == 0
    assert "prune()" not in said(caplog)
