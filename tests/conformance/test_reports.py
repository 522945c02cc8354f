"""Reports of a state, on both databases: they show what is recorded, and nothing that was not asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from crew_repo import StateRepository
from crew_repo.errors import InputError, StoreError, UnknownRunError
from crew_repo.model import Failure, InputKind, ModelTokens, Outcome, Reason, ReasonKind, RunInput, RunStatus, Usage
from crew_repo.pricing import Price, Prices
from crew_repo.report import Page, Selection, page_of
from tests.conformance.kit import DEAD, Kit, new_record, now, task_run
from tests.hostile import HOSTILE
from tests.unit.page.test_rendering import Seen

SECRET_TEXTS = ("policy 42 said", "policy 43 said", "Read {notes}", "a broken pipe", "Traceback of mine", "the notes given")


def page(store, prices=None, **selected) -> Page:
    """The report of a store."""
    return store.asked(lambda query: page_of(query, Selection(**selected), prices, "state.db"))


@pytest.fixture
def told(kit: Kit) -> dict[str, str]:
    """Two workflows: claim-1 was run twice, the answer changed; claim-2 was killed, resumed, and failed."""
    first = kit.start(run_id="first")
    kit.execute(new_record("extract", "policy 42 said", run_id=first))
    kit.finish(first, tokens_spent=30)
    second = "second"
    kit.begin(second, inputs=(RunInput("notes", InputKind.TEXT, sha256="0" * 64, text="the notes given"),))
    changed = new_record("extract", "policy 43 said", run_id=second, template="Read all of {notes}")
    kit.execute(changed)
    kit.finish(second, tokens_spent=30)
    killed = kit.start("claim-2", owner=DEAD, run_id="killed")
    lost = new_record("draft", run_id=killed, workflow_id="claim-2", position=1, template="Draft")
    kit.execute(new_record("extract", run_id=killed, workflow_id="claim-2"))
    kit.lease(lost, owner=DEAD)
    again = kit.start("claim-2", run_id="again")
    failed = replace(lost, run_id=again)
    failure = Failure("OSError", "a broken pipe", "Traceback of mine")
    note = task_run(failed, Outcome.FAILED, failure=failure, record_id=None, started_at=now())
    kit.store.save_failed(kit.lease(failed), note)
    kit.finish(again, RunStatus.FAILED, tokens_spent=30, failure=failure)
    return {"first": first, "second": second, "killed": killed, "again": again}


def test_what_a_report_shows(store, told):
    """It names workflows, runs, tasks, states, reasons, answers, their differences, inputs and failures."""
    made = page(store)
    seen = Seen(made.html)
    for text in ("claim-1", "claim-2", *told.values(), "extract", "draft", "policy 43 said", "the notes given", "OSError",
                 "a broken pipe", "Traceback of mine", "failed", "interrupted", "executed"):  # fmt: skip
        assert text in seen.texts, text
    assert (seen.tags.count("del"), seen.tags.count("ins")) == (1, 1)
    assert "script" not in seen.tags
    assert "default-src 'none'; style-src 'unsafe-inline'" in seen.values
    assert (made.workflows, made.runs, made.in_full) == (2, 4, 2)


def test_interrupted_and_resumed_runs_are_one_timeline(store, told):
    """The run that was killed and the one that went on stand on one axis, each other run alone."""
    html = page(store).html
    assert html.count('<ol class="lanes">') == 3
    assert html.count('<b style="left:') > 0


def test_only_what_is_selected(store, told):
    """A report is about a workflow, a run or a time, and says so."""
    only = page(store, workflow_id="claim-1")
    assert (only.workflows, only.runs) == (1, 2)
    assert "claim-2" not in only.html
    one = page(store, run_id=told["first"])
    assert (one.workflows, one.runs) == (1, 1)
    assert "policy 42 said" in one.html
    assert "policy 43 said" not in Seen(one.html).texts.partition("History")[0]
    assert page(store, since=now() + timedelta(hours=1)).runs == 0
    assert page(store, until=now() + timedelta(hours=1)).runs == 4


def test_what_is_not_there_is_refused(store, told):
    """An unknown workflow or run is an error that names what there is."""
    with pytest.raises(InputError, match="Did you mean 'claim-2' or 'claim-1'"):
        page(store, workflow_id="claim-")
    with pytest.raises(UnknownRunError, match="There is no run 'third'"):
        page(store, run_id="third")


def test_without_texts(store, kit, told):
    """Neither what was asked and answered is in it, nor what may quote it; states and hashes are."""
    kit.begin("later", "claim-1")
    reason = Reason(ReasonKind.NOT_RESTORABLE, detail="policy 43 said", old_text="policy 42 said", new_text="policy 43 said")
    record = new_record("check", "policy 42 said", run_id="later", position=2, template="Check")
    kit.store.save_finished(kit.lease(record), record, task_run(record, reasons=(reason,)))
    kit.finish("later")
    html = page(store, texts=False).html
    assert "not restorable" in html
    assert [text for text in SECRET_TEXTS if text in html] == []
    assert "OSError" in html
    assert "failed" in html


def test_hostile_texts(kit, store):
    """Wherever a text comes from, it adds no tag, and the page can be written."""
    tags = Seen(page(store, workflow_id=kit_of_texts(kit, "tame", "tame")).html).tags
    for at, evil in enumerate(HOSTILE):
        made = page(store, workflow_id=kit_of_texts(kit, evil, f"workflow-{at}"))
        made.html.encode()
        seen = Seen(made.html)
        assert {*seen.tags} <= {*tags, "p", "pre", "span", "svg", "path", "g"}, evil
        assert seen.tags.count("script") == seen.tags.count("img") == 0, evil
        assert seen.tags.count("title") == tags.count("title"), evil


def kit_of_texts(kit: Kit, text: str, workflow_id: str) -> str:
    """A workflow all of whose texts are this one: a run, an answer, one by a person, a failure."""
    run_id = f"run of {workflow_id}"
    kit.begin(run_id, workflow_id, source=text, inputs=(RunInput("notes", InputKind.TEXT, sha256="1" * 64, text=text),))
    record = new_record("extract", text, run_id=run_id, workflow_id=workflow_id, template=text, model=text, crew_name=text)
    told = replace(record.result, agent=text, description=text, expected_output=text, pydantic_json=None)
    kit.execute(replace(record, result=told))
    failed = new_record("draft", text, run_id=run_id, workflow_id=workflow_id, position=1, template="Draft")
    failure = Failure(text, text, text)
    kit.store.save_failed(kit.lease(failed), task_run(failed, Outcome.FAILED, failure=failure, model=text))
    kit.finish(run_id, RunStatus.FAILED, failure=failure)
    return workflow_id


def test_a_text_of_five_megabytes(kit, store):
    """Its beginning is shown, and how much is left out."""
    kit.run(replace(new_record("extract", "long " * 1_000_000), result=replace(new_record().result, raw="long " * 1_000_000, pydantic_json=None)))
    html = page(store).html
    assert len(html) < 60_000
    assert "4,994,000 more characters are in the state" in html


def test_costs_where_prices_are_given(kit, store):
    """With prices there is what was spent, in money; without them no word of it."""
    usage = Usage(1000, 800, 200, 0, 1, by_model=(ModelTokens("m", input=800, output=200),))
    kit.run(replace(new_record(), usage=usage, model="m"))
    assert "USD" not in page(store).html
    assert "0.0036 USD" in page(store, Prices({"m": Price(input=2, output=10)})).html


def test_an_empty_state(url, tmp_path):
    """A state without any run has a report, which says so."""
    with StateRepository(url, verbose=False) as repo:
        assert "No run is recorded yet" in repo.report(tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_file_of_a_report(store, kit, told, url, tmp_path):
    """It is its owner's alone, takes the place of an older one, and never that of anything else."""
    with StateRepository(url, verbose=False) as repo:
        file = repo.report(tmp_path / "report.html", workflow_id="claim-1", since="2020-01-01")
        assert file.stat().st_mode & 0o777 == 0o600
        assert repo.report(file, run=told["again"], outputs=False) == file
        other = tmp_path / "notes.txt"
        other.write_text("mine")
        with pytest.raises(InputError, match="is there already, and is no report"):
            repo.report(other)
        with pytest.raises(StoreError, match="cannot be written"):
            repo.report(tmp_path / "no folder" / "report.html")
        with pytest.raises(InputError, match="since is 'soon'; give a time in UTC"):
            repo.report(file, since="soon")
        with pytest.raises(InputError, match="There is no workflow"):
            repo.report(file, workflow_id="claim-9")
    assert other.read_text() == "mine"


def test_an_answer_by_a_person(store, kit, url):
    """Who changed an answer, when and why stands with the task, and the task is marked as his."""
    kit.run(replace(new_record(), result=replace(new_record().result, pydantic_json=None)))
    with StateRepository(url, verbose=False) as repo:
        repo.override("extract", "policy 44", by="Ada Lind", reason="a misprint")
    texts = Seen(page(store).html).texts
    assert "by Ada Lind" in texts
    assert "a misprint" in texts
    assert "a misprint" not in page(store, texts=False).html


def test_damage(store, kit, told, sql):
    """An answer that can no longer be read is called damaged; the rest is shown."""
    sql("UPDATE record SET components = 'no JSON' WHERE output = 'policy 43 said'")
    html = page(store).html
    assert "damaged" in html
    assert "policy 43 said" not in html.partition("History")[0]


