"""A person's answer in place of a model's: served for exactly what it answers, marked everywhere, taken back by an entry."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from crewai import Crew
from pydantic import BaseModel, Field, field_validator

from crew_repo import ConflictError, InputError, Plan, ReasonKind, StateRepository, TaskPolicy, UnknownTaskError
from tests import crews
from tests.crews import NEW_ADJUSTER, NEW_NOTES, NOTES
from tests.models import PromptModel

pytestmark = pytest.mark.siege

KEY = "sk-proj-abcdef0123456789abcdef0123456789"


def chain(model: PromptModel, **members: Any) -> Crew:
    """Three tasks, each of which reads the one before; the first reads the notes."""
    worker = crews.agent(model)
    first = crews.task("extract", "read {notes}", worker, **members)
    second = crews.task("assess", "assess", worker, context=[first])
    return Crew(agents=[worker], tasks=[first, second, crews.task("note", "write", worker, context=[second])])


@pytest.fixture
def ran(repo: StateRepository, model: PromptModel) -> StateRepository:
    """A repository in which the chain has run."""
    repo.run(chain(model), NOTES)
    model.forget()
    return repo


def test_it_is_served_by_the_next_run_and_every_later_one(ran: StateRepository, model: PromptModel) -> None:
    """The task that was corrected is not asked, what it handed on is the person's text, and the mark stays."""
    ran.override("extract", "hail on 5 May", by="Ada")
    for executed in (["assess", "note"], [], []):
        result = ran.run(chain(model), NOTES)
        assert result.run.executed == executed
        assert result.tasks_output[0].raw == "hail on 5 May"
        assert result.run.tasks[0].causes[0].startswith("a person's answer (Ada, ")
    assert model.called_for() == ["assess", "note"]
    assert "hail on 5 May" in model.calls[0]


def test_what_runs_below_is_what_reads_a_changed_text(repo: StateRepository, model: PromptModel) -> None:
    """Early cutoff holds: where the task below says the same as before, what is below that does not run."""
    model.script["<<assess>>"] = "covered"
    repo.run(chain(model), NOTES)
    repo.override("extract", "hail on 5 May")
    result = repo.run(chain(model), NOTES)
    assert (result.run.executed, result.run.reused) == (["assess"], ["extract", "note"])


def test_plan_and_run_agree(ran: StateRepository, model: PromptModel) -> None:
    """What a plan calls fresh is not executed, and whose answer is served is said by it."""
    ran.override("extract", "hail on 5 May", by="Ada")
    plan = ran.plan(chain(model), NOTES)
    assert (plan.fresh, plan.stale, plan.may_rerun) == (["extract"], ["assess"], ["note"])
    assert [reason.kind for reason in plan["extract"].reasons] == [ReasonKind.BY_PERSON]
    assert "a person's answer (Ada, " in str(plan)
    assert "upstream:assess" not in str(plan["assess"].causes)
    assert ran.run(chain(model), NOTES).run.executed == ["assess", "note"]


def test_with_other_inputs_it_stops_to_apply_and_is_shown_beside(ran: StateRepository, model: PromptModel) -> None:
    """With those that it was given for, it applies again."""
    ran.override("extract", "hail on 5 May", by="Ada")
    ran.run(chain(model), NOTES)
    plan = ran.plan(chain(model), NEW_NOTES)
    *_, beside = plan["extract"].reasons
    assert (beside.kind, beside.old_text) == (ReasonKind.NOT_BY_PERSON, "hail on 5 May")
    assert "a person's answer no longer applies (Ada, " in str(plan)
    assert "- hail on 5 May" in plan.details()
    result = ran.run(chain(model), NEW_NOTES)
    assert "extract" in result.run.executed
    assert any(cause.endswith(": hail on 5 May") for cause in result.run.tasks[0].causes)
    assert "person" not in str(ran.plan(chain(model), {**NEW_NOTES, "notes": "hail on 6 May"}))
    assert ran.run(chain(model), NOTES).tasks_output[0].raw == "hail on 5 May"


def test_it_is_shown_beside_before_any_run_has_served_it(ran: StateRepository, model: PromptModel) -> None:
    """The newest note is of the model's answer to the same."""
    ran.override("extract", "hail on 5 May", by="Ada")
    assert ran.plan(chain(model), NEW_NOTES)["extract"].reasons[-1].old_text == "hail on 5 May"


def test_other_inputs_of_other_tasks_change_nothing(repo: StateRepository, model: PromptModel) -> None:
    """It is bound to what that task is asked."""
    repo.run(crews.sequential_unspecified_context(model), NOTES)
    repo.override("analyze", "hail on 5 May")
    result = repo.run(crews.sequential_unspecified_context(model), NEW_ADJUSTER)
    assert (result.run.reused, result.tasks_output[0].raw) == (["analyze"], "hail on 5 May")


def test_a_dry_run_says_what_would_run_and_writes_nothing(ran: StateRepository, model: PromptModel) -> None:
    """Those that read the text run; those below may; and what they took last time is summed up."""
    before = rows(ran, "SELECT * FROM record") + rows(ran, "SELECT * FROM task_state")
    change = ran.override("extract", "hail on 5 May", dry_run=True)
    assert (change.change_id, change.would_run, change.may_run) == (None, ("assess",), ("note",))
    assert change.tokens == sum(state.total_tokens or 0 for state in ran.tasks() if state.task_name != "extract")
    assert "not made (dry run)" in str(change)
    assert rows(ran, "SELECT * FROM record") + rows(ran, "SELECT * FROM task_state") == before
    assert ran.changes() == []
    assert ran.plan(chain(model), NOTES).all_fresh


def test_it_says_what_would_run_where_an_answer_to_it_is_stored(ran: StateRepository, model: PromptModel) -> None:
    """Undoing runs nothing, since what the model said was read before; nor does saying what is said already."""
    said = ran.get_output("extract")
    assert ran.override("extract", str(said), dry_run=True).would_run == ()
    change = ran.override("extract", "hail on 5 May")
    assert (change.would_run, change.may_run) == (("assess",), ("note",))
    ran.run(chain(model), NOTES)
    undone = ran.undo(change)
    assert (undone.would_run, undone.may_run) == ((), ())
    assert ran.plan(chain(model), NOTES).all_fresh
    again = ran.redo(change)
    assert (again.would_run, again.may_run) == ((), ())
    assert ran.run(chain(model), NOTES).run.executed == []


def test_a_task_that_left_the_crew_is_not_said_to_run(ran: StateRepository, model: PromptModel) -> None:
    """The newest run's crew has no such task."""
    short = chain(model)
    short.tasks = short.tasks[:2]
    ran.run(short, NOTES)
    assert ran.override("extract", "hail", dry_run=True).may_run == ()


def test_it_is_marked_wherever_it_is_shown(ran: StateRepository, model: PromptModel, tmp_path: Path) -> None:
    """tasks, get_output, history, show, SQL and exports tell a person's answer from a model's."""
    ran.override("extract", "hail on 5 May", by="Ada", reason="a typo")
    result = ran.run(chain(model), NOTES)
    assert [(state.origin, state.person) for state in ran.tasks()][:2] == [("person", "Ada"), ("model", None)]
    output = ran.get_output("extract")
    assert output is not None
    assert (output.record.origin, output.record.person, output.record.usage.total_tokens) == ("person", "Ada", 0)
    assert [record.origin for record in ran.history("extract")] == ["person", "model"]
    assert "Ada" in str(ran.history("extract"))
    assert ran.show(result.run.run_id).tasks[0].reasons[0].kind is ReasonKind.BY_PERSON
    assert rows(ran, "SELECT origin, person FROM task_state WHERE task_name = 'extract'") == [("person", "Ada")]
    with StateRepository(tmp_path / "other.db") as other:
        other.import_json(ran.export_json())
        assert [(each.by, each.reason, each.after) for each in other.changes()] == [("Ada", "a typo", "hail on 5 May")]
        assert other.plan(chain(model), NOTES).all_fresh
        assert other.tasks()[0].origin == "person"
    assert ran.verify() == []


def test_a_batch_whose_items_are_fresh_marks_it_too(ran: StateRepository, model: PromptModel) -> None:
    """There is no kickoff then."""
    ran.override("extract", "hail on 5 May", by="Ada")
    ran.run(chain(model), NOTES)
    ran.run_for_each(chain(model), [NOTES], workflow_ids=["crew"])
    assert ran.runs()[0].tasks[0].reasons[0].kind is ReasonKind.BY_PERSON


async def test_an_async_run_serves_it(ran: StateRepository, model: PromptModel) -> None:
    """By the same rule."""
    ran.override("extract", "hail on 5 May")
    assert (await ran.arun(chain(model), NOTES)).tasks_output[0].raw == "hail on 5 May"


def test_force_and_policies_mean_what_they_say(ran: StateRepository, model: PromptModel) -> None:
    """Forced, or too old by its policy, the task executes; the text that is given up is in the reasons."""
    ran.override("extract", "hail on 5 May", by="Ada")
    old = ran.plan(chain(model), NOTES, policies={"extract": TaskPolicy(max_age=timedelta(0))})
    assert [reason.kind for reason in old["extract"].reasons] == [ReasonKind.EXPIRED, ReasonKind.NOT_BY_PERSON]
    result = ran.run(chain(model), NOTES, force=["extract"])
    assert "extract" in result.run.executed
    assert ran.plan(chain(model), NOTES)["extract"].reasons == ()
    with pytest.raises(ConflictError, match="its record is superseded"):
        ran.undo(1)


def test_while_the_task_is_executed_it_cannot_be_corrected(ran: StateRepository, model: PromptModel) -> None:
    """It is not known yet which answer is meant; a correction that comes just before is kept all the same."""
    said: list[str] = []

    def meanwhile(prompt: str) -> str:
        if "<<extract>>" in prompt:
            with pytest.raises(InputError) as refused:
                ran.override("extract", "hail on 5 May")
            said.append(str(refused.value))
        return "what the model says"

    model.script.update({"<<": meanwhile})
    run = ran.run(chain(model), NOTES, force=["extract"]).run
    assert said == [f"Task 'extract' of workflow 'crew' is being executed by run {run.run_id}; "
                    "correct its answer when that has ended"]  # fmt: skip


# Bad input.


def test_names_that_are_not_there_are_told_with_the_nearest(ran: StateRepository, model: PromptModel) -> None:
    """A task, a workflow; and where a task is in several workflows, one has to be named."""
    with pytest.raises(UnknownTaskError, match=r"no task 'extrakt'.*'extract'"):
        ran.override("extrakt", "hail")
    with pytest.raises(InputError, match=r"no workflow 'crews'.*'crew'"):
        ran.override("extract", "hail", workflow_id="crews")
    ran.run(chain(model), NOTES, workflow_id="CLM-1")
    with pytest.raises(InputError, match=r"in 2 workflows; pass workflow_id, one of: 'CLM-1', 'crew'"):
        ran.override("extract", "hail")
    ran.override("extract", "hail", workflow_id="CLM-1")
    assert ran.plan(chain(model), NOTES)["extract"].reasons == ()


def test_a_task_whose_row_was_deleted_has_no_answer_to_correct(ran: StateRepository, tmp_path: Path) -> None:
    """It is known, and where it has gone is said, with what to do."""
    with closing(sqlite3.connect(ran.url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("DELETE FROM task_state WHERE task_name = 'extract'")
    with pytest.raises(InputError, match=r"row of task 'extract' was deleted from task_state.*run it again"):
        ran.override("extract", "hail")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("", "is empty; to have the task run again, use invalidate"),
        (" \n", "is empty"),
        (None, "is of type NoneType; give a text"),
        (42, "is of type int; give a text"),
        (b"hail", "is of type bytes; give a text"),
        ({"a": 1}, "is of type dict; give a text"),
        ("x" * 10_000_001, "has 10,000,001 characters; at most"),
        (f"hail {KEY}", r"key or password in it.*write \[secret\] in its place"),
    ],
)
def test_an_output_that_is_no_answer_is_refused(ran: StateRepository, output: Any, said: str) -> None:
    """Nothing is written."""
    with pytest.raises(InputError, match=said):
        ran.override("extract", output)
    assert ran.changes() == []


@pytest.mark.parametrize("text", ["\x00 and \ud800", "naïve – 請求 🌩", "x" * 1_000_000, "  spaces kept \n"])
def test_any_text_comes_back_as_it_was(ran: StateRepository, model: PromptModel, text: str) -> None:
    """Also what no database takes as it is."""
    ran.override("extract", text)
    assert ran.get_output("extract") == text
    assert ran.verify() == []


@pytest.mark.parametrize("who", [{"by": ""}, {"by": 3}, {"by": "x" * 201}, {"reason": " "}, {"reason": 3}])
def test_who_and_why_are_texts(ran: StateRepository, who: Any) -> None:
    """An entry without them would say nothing."""
    with pytest.raises(InputError, match="by|reason"):
        ran.override("extract", "hail", **who)


def test_who_and_why_are_masked_and_by_default_who_is_logged_in(
    ran: StateRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that somebody pastes into the reason is stored nowhere."""
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    change = ran.override("extract", "hail", reason=f"see {KEY}")
    assert (change.by, change.reason) == ("ada", "see [secret]")

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert ran.override("extract", "hail again").by == "unknown"


def test_a_task_without_an_answer_cannot_be_corrected(repo: StateRepository) -> None:
    """It failed."""

    class Failing(PromptModel):
        def answer(self, prompt: str) -> str:
            raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        repo.run(chain(Failing(model="m")), NOTES)
    with pytest.raises(InputError, match="no answer that could be corrected: it is failed"):
        repo.override("extract", "hail")


def test_what_was_looked_at_is_what_is_replaced(ran: StateRepository, model: PromptModel) -> None:
    """Answered anew since, or corrected by somebody else, the second is told."""
    seen = ran.get_output("extract")
    assert seen is not None
    ran.override("extract", "from Bo", by="Bo", instead_of=seen)
    for looked_at in (seen, seen.record, seen.record.record_id):
        with pytest.raises(ConflictError, match="has another answer than record"):
            ran.override("extract", "from Ada", instead_of=looked_at)
    ran.run(chain(model), NEW_NOTES)
    newer = ran.get_output("extract")
    with pytest.raises(ConflictError, match="has another answer than record"):
        ran.override("extract", "from Ada", instead_of=seen)
    ran.override("extract", "from Ada", instead_of=newer)
    with pytest.raises(InputError, match="instead_of is 'hail'"):
        ran.override("extract", "x", instead_of="hail")  # type: ignore[arg-type]


def test_an_answer_that_was_edited_by_hand_can_be_put_right(ran: StateRepository, model: PromptModel) -> None:
    """The error of an edit of task_state names override; a record that was edited is superseded by it."""
    with pytest.raises(sqlite3.DatabaseError, match="StateRepository.override gives one"):
        rows(ran, "UPDATE task_state SET output = 'hail on 5 May'")
    rows(ran, "UPDATE record SET output = 'hail on 5 May' WHERE task_name = 'extract'")
    assert "extract" in ran.plan(chain(model), NOTES).missing
    ran.override("extract", "hail on 5 May")
    assert ran.plan(chain(model), NOTES).fresh == ["extract"]


def test_what_nobody_knows_the_question_of_cannot_be_answered(ran: StateRepository) -> None:
    """The components of the record were damaged."""
    rows(ran, "UPDATE record SET components = '{}' WHERE task_name = 'extract'")
    with pytest.raises(InputError, match="was damaged, so nobody knows what it answers"):
        ran.override("extract", "hail")
    rows(ran, "UPDATE record SET hash_format = 7 WHERE task_name = 'extract'")
    with pytest.raises(InputError, match="has hash format 7"):
        ran.override("extract", "hail")


# Typed outputs.


class Claim(BaseModel):
    """A typed output with a default, a bound, and a value that JSON has no word for."""

    policy: int = Field(alias="policyNumber", gt=0)
    lost_on: date
    notes: list[str] = []


TYPED = '{"policyNumber": 42, "lost_on": "2026-05-03"}'
RIGHT = '{"policyNumber": 43, "lost_on": "2026-05-04", "notes": ["hail"]}'


def typed(model: PromptModel, **members: Any) -> Callable[[], Crew]:
    """A chain whose first task has a typed output."""
    model.script.update({"<<extract>>": TYPED})
    return lambda: chain(model, **members)


@pytest.mark.parametrize("given", [RIGHT, {"policyNumber": 43, "lost_on": "2026-05-04", "notes": ["hail"]},
                                   Claim(policyNumber=43, lost_on=date(2026, 5, 4), notes=["hail"])])  # fmt: skip
@pytest.mark.parametrize("kind", ["output_pydantic", "output_json"])
def test_a_typed_answer_comes_back_as_the_tasks_own_class(repo: StateRepository, model: PromptModel, kind: str, given: Any) -> None:
    """Given as JSON, as a dict, or as the class itself."""
    build = typed(model, **{kind: Claim})
    repo.run(build(), NOTES)
    repo.override("extract", given)
    assert repo.plan(build(), NOTES).fresh == ["extract"]
    result = repo.run(build(), NOTES)
    assert result.run.executed == ["assess", "note"]
    output = result.tasks_output[0]
    right = Claim.model_validate_json(RIGHT)
    assert (output.pydantic if kind == "output_pydantic" else output.json_dict) == (
        right if kind == "output_pydantic" else right.model_dump()
    )
    assert "43" in output.raw
    assert repo.verify() == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("hail", "is no JSON, which this task gives"),
        ('{"policyNumber": "many", "lost_on": "2026-05-04"}', "is no Claim: policyNumber: 'many' is not of type 'integer'"),
        ('{"policyNumber": 0, "lost_on": "2026-05-04"}', "policyNumber: 0 is less than or equal to the minimum"),
        ('{"policyNumber": 43}', "the whole: 'lost_on' is a required property"),
        ('{"policyNumber": 43, "lost_on": "yesterday"}', "lost_on: 'yesterday' is not a 'date'"),
        ('{"policyNumber": 43, "lost_on": "2026-05-04", "notes": ["a", 3]}', "notes.1: 3 is not of type 'string'"),
        ("[1]", r"the whole: \[1\] is not of type 'object'"),
        (["x"], "is of type list; give its JSON"),
        ({"policyNumber": {1}}, "has a value that is not JSON"),
    ],
)
def test_an_answer_that_its_schema_refuses_names_the_field(repo: StateRepository, model: PromptModel, given: Any, said: str) -> None:
    """Nothing is written."""
    repo.run(typed(model, output_pydantic=Claim)(), NOTES)
    with pytest.raises(InputError, match=said):
        repo.override("extract", given)
    assert repo.changes() == []


def test_without_a_stored_schema_a_typed_answer_is_refused(repo: StateRepository, model: PromptModel) -> None:
    """It cannot be checked."""
    build = typed(model, output_pydantic=Claim)
    repo.run(build(), NOTES, policies={"extract": TaskPolicy(ignore=("output_pydantic.*",))})
    with pytest.raises(InputError, match="no JSON schema of that is stored"):
        repo.override("extract", RIGHT)


def test_what_the_class_refuses_beyond_its_schema_is_not_served(repo: StateRepository, model: PromptModel) -> None:
    """Only the crew has its validators: the task runs then, and the reason has the class's words and the text."""

    class Even(BaseModel):
        policy: int

        @field_validator("policy")
        @classmethod
        def even(cls, value: int) -> int:
            """Refuse odd numbers."""
            if value % 2:
                raise ValueError("odd")
            return value

    model.script["<<extract>>"] = '{"policy": 42}'
    repo.run(chain(model, output_pydantic=Even), NOTES)
    repo.override("extract", '{"policy": 43}')
    reasons = repo.plan(chain(model, output_pydantic=Even), NOTES)["extract"].reasons
    assert [reason.kind for reason in reasons] == [ReasonKind.NOT_RESTORABLE, ReasonKind.NOT_BY_PERSON]
    assert "odd" in str(reasons[0])
    assert repo.run(chain(model, output_pydantic=Even), NOTES).run.executed == ["extract"]


# Taking it back, and what else people change.


def test_undo_and_redo_take_effect_in_the_next_run(ran: StateRepository, model: PromptModel) -> None:
    """Nothing is paid again for either."""
    change = ran.override("extract", "hail on 5 May", by="Ada")
    ran.run(chain(model), NOTES)
    model.forget()
    said = {False: "hail on 5 May"}
    for undone in (True, False, True):
        (ran.undo if undone else ran.redo)(change, by="Bo", reason="checked")
        result = ran.run(chain(model), NOTES)
        assert result.run.executed == []
        assert (result.tasks_output[0].raw == said[False]) is not undone
    assert model.calls == []
    assert [(str(each.kind), each.by, each.undoes) for each in ran.changes("extract")] == [
        ("undo", "Bo", 1), ("redo", "Bo", 1), ("undo", "Bo", 1), ("override", "Ada", None)
    ]  # fmt: skip


def test_invalidate_and_prune_say_who_and_why(ran: StateRepository, model: PromptModel) -> None:
    """Also downstream, with one entry for each task; undone, they are served again."""
    assert ran.invalidate("assess", downstream=True, by="Ada", reason="new terms") == 2
    assert [(str(each.kind), each.task_name, each.by, each.reason) for each in ran.changes()] == [
        ("invalidate", "note", "Ada", "new terms"), ("invalidate", "assess", "Ada", "new terms")
    ]  # fmt: skip
    for entry in ran.changes():
        ran.undo(entry)
    assert ran.plan(chain(model), NOTES).all_fresh
    ran.override("extract", "hail")
    ran.run(chain(model), NOTES)
    ran.prune(dry_run=False, by="Bo")
    assert (ran.changes()[0].by, ran.changes()[0].detail) == ("Bo", "1 record, 0 runs and 0 texts")
    assert "prune by Bo" in str(ran.changes()[0])


def test_undoing_what_cannot_be_undone_says_so(ran: StateRepository) -> None:
    """No entry, no number, a dry run."""
    for given in ("1", None, True, ran.override("extract", "hail", dry_run=True)):
        with pytest.raises(InputError, match="give an entry that was made"):
            ran.undo(given)  # type: ignore[arg-type]


def test_changes_print_as_a_table(ran: StateRepository) -> None:
    """One line each: who did what to which task, why, and the change of the text."""
    ran.override("extract", "hail on 5 May", by="Ada", reason="a typo")
    table = str(ran.changes())
    assert table.splitlines()[0].split() == ["change", "when", "(UTC)", "who", "did", "workflow", "task", "state", "why", "what"]
    assert all(word in table for word in ("Ada", "override", "extract", "a typo", "-> hail on 5 May"))
    assert ran.changes()[0].to_dict()["kind"] == "override"
    assert str(ran.changes("assess")) == "(none)"


def test_runs_are_counted(ran: StateRepository, model: PromptModel) -> None:
    """Each says which of its workflow it is."""
    result = ran.run(chain(model), NOTES)
    assert (result.run.ordinal, ran.run_count("crew"), ran.run_count()) == (2, 2, 2)
    assert ran.run(chain(model), NOTES, workflow_id="CLM-1").run.ordinal == 1
    assert (ran.run_count(), ran.run_count("CLM-2")) == (3, 0)


# Tasks without an answer.


class Failing(PromptModel):
    """Fails at the tasks that are marked so."""

    def answer(self, prompt: str) -> str:
        """The answer, or no luck."""
        if "<<assess>>" in prompt:
            raise RuntimeError("no luck")
        return super().answer(prompt)


def test_a_task_that_failed_can_be_marked_complete(repo: StateRepository) -> None:
    """The next run goes on after it, and what was paid for before is not paid again."""
    model = Failing(model="m")
    with pytest.raises(RuntimeError, match="no luck"):
        repo.run(chain(model), NOTES)
    change = repo.mark_complete("assess", "covered", crew=chain(model), inputs=NOTES, by="Ada", reason="the model is down")
    assert (str(change.kind), change.before, change.after) == ("mark complete", None, "covered")
    state = {state.task_name: state for state in repo.tasks()}["assess"]
    assert (state.status, state.output, state.origin, state.error) == ("completed", "covered", "person", None)
    result = repo.run(chain(model), NOTES)
    assert (result.run.reused, result.run.executed) == (["extract", "assess"], ["note"])
    assert repo.verify() == []
    repo.undo(change)
    assert repo.plan(chain(model), NOTES).missing == ["assess"]
    with pytest.raises(RuntimeError, match="no luck"):
        repo.run(chain(model), NOTES)


def test_a_task_that_never_ran_can_be_marked_complete(repo: StateRepository, model: PromptModel) -> None:
    """One after the other, from the top; with all of them done, no model is called."""
    for name in ("extract", "assess", "note"):
        repo.mark_complete(name, f"said of {name}", crew=chain(model), inputs=NOTES, by="Ada")
        output = repo.get_output(name)
        assert output == f"said of {name}"
    assert [(state.task_name, state.status, state.position) for state in repo.tasks()] == [
        ("extract", "completed", 0), ("assess", "completed", 1), ("note", "completed", 2)
    ]  # fmt: skip
    result = repo.run(chain(model), NOTES)
    assert (result.run.reused, result.raw, model.calls) == (["extract", "assess", "note"], "said of note", [])
    assert "extract" in repo.run(chain(model), NEW_NOTES).run.executed


def test_where_it_is_not_known_what_will_be_asked_nothing_is_kept(repo: StateRepository, model: PromptModel) -> None:
    """A task above has no answer yet; nor can a task be completed that has one, or runs every time, or is not there."""
    crew = chain(model)
    with pytest.raises(InputError, match="not known yet what task 'assess' will be asked"):
        repo.mark_complete("assess", "covered", crew=crew, inputs=NOTES)
    always = {"extract": TaskPolicy(always=True)}
    with pytest.raises(InputError, match="is executed in every run"):
        repo.mark_complete("extract", "hail", crew=crew, inputs=NOTES, policies=always)
    with pytest.raises(InputError, match="is executed in every run"):
        asking = {"extract": TaskPolicy(human_input="always")}
        repo.mark_complete("extract", "hail", crew=chain(model, human_input=True), inputs=NOTES, policies=asking)
    with pytest.raises(UnknownTaskError, match="no task 'extrakt'"):
        repo.mark_complete("extrakt", "hail", crew=crew, inputs=NOTES)
    with pytest.raises(InputError, match="is empty"):
        repo.mark_complete("extract", "", crew=crew, inputs=NOTES)
    assert repo.changes() == []
    repo.mark_complete("extract", "hail", crew=crew, inputs=NOTES)
    with pytest.raises(InputError, match="has an answer to this already; override corrects it"):
        repo.mark_complete("extract", "hail", crew=crew, inputs=NOTES)


@pytest.mark.parametrize("kind", ["output_pydantic", "output_json"])
def test_a_typed_task_is_completed_by_what_its_class_reads(repo: StateRepository, model: PromptModel, kind: str) -> None:
    """The error names the field that it refuses."""
    crew = chain(model, **{kind: Claim})
    for wrong, said in (("hail", "is no JSON"), ('{"policyNumber": 0, "lost_on": "2026-05-04"}', "policyNumber: ")):
        with pytest.raises(InputError, match=said):
            repo.mark_complete("extract", wrong, crew=crew, inputs=NOTES)
    repo.mark_complete("extract", RIGHT, crew=crew, inputs=NOTES)
    output = repo.run(crew, NOTES).tasks_output[0]
    right = Claim.model_validate_json(RIGHT)
    assert (output.pydantic or output.json_dict) == (right if kind == "output_pydantic" else right.model_dump())


def test_marking_complete_can_be_tried(repo: StateRepository, model: PromptModel) -> None:
    """A dry run names what may run, refuses what would be refused, and writes nothing."""
    repo.run(chain(model), NOTES)
    change = repo.mark_complete("extract", "hail", crew=chain(model), inputs=NEW_NOTES, dry_run=True)
    assert (str(change.kind), change.change_id, change.would_run, change.may_run) == (
        "mark complete", None, ("assess",), ("note",)
    )  # fmt: skip
    assert change.tokens
    with pytest.raises(InputError, match="is empty"):
        repo.mark_complete("extract", "", crew=chain(model), inputs=NEW_NOTES, dry_run=True)
    assert repo.changes() == []
    made = repo.mark_complete("extract", "hail", crew=chain(model), inputs=NEW_NOTES)
    assert (made.would_run, made.may_run, made.tokens) == (change.would_run, change.may_run, change.tokens)
    assert repo.run(chain(model), NEW_NOTES).run.executed == ["assess", "note"]


# Taking over what a person said to something else.


def adoptable(plan: Plan) -> list[str]:
    """The tasks whose notes say how to take an answer over."""
    return re.findall(r"no longer applies \(Ada, .*repo\.adopt\('(\w+)', .* or crew-repo adopt \1 with", "\n".join(plan.notes))


@pytest.mark.parametrize("served", [True, False])
def test_an_answer_that_no_longer_applies_is_taken_over(ran: StateRepository, model: PromptModel, served: bool) -> None:
    """The plan names the task and how; then it is served for the new inputs too, and can be taken back."""
    ran.override("extract", "hail on 5 May", by="Ada")
    if served:
        ran.run(chain(model), NOTES)
    assert adoptable(ran.plan(chain(model), NEW_NOTES)) == ["extract"]
    tried = ran.adopt("extract", crew=chain(model), inputs=NEW_NOTES, dry_run=True)
    assert len(ran.changes()) == 1
    change = ran.adopt("extract", crew=chain(model), inputs=NEW_NOTES, by="Bo", reason="still true")
    runs = [] if served else ["assess", "note"]
    for each in (tried, change):
        assert [*each.would_run, *each.may_run] == runs
    assert (str(change.kind), change.after) == ("adopt", "hail on 5 May")
    assert "taken over (Ada, " in str(change)
    plan = ran.plan(chain(model), NEW_NOTES)
    assert (plan["extract"].fresh, adoptable(plan)) == (True, [])
    result = ran.run(chain(model), NEW_NOTES).run
    assert result.executed == runs
    assert result.tasks[0].causes[0].startswith("a person's answer (Bo, ")
    assert ran.verify() == []
    ran.undo(change)
    assert "extract" in ran.run(chain(model), NEW_NOTES).run.executed


def test_what_cannot_be_taken_over_is_refused(ran: StateRepository, model: PromptModel) -> None:
    """Where a plan shows no such answer, or it applies; the plan then does not say that it could be."""
    with pytest.raises(InputError, match=r"no answer of a person beside task 'extract' \(input:notes.*mark_complete gives one"):
        ran.adopt("extract", crew=chain(model), inputs=NEW_NOTES)
    ran.override("extract", "hail on 5 May", by="Ada")
    with pytest.raises(InputError, match="has an answer to this already"):
        ran.adopt("extract", crew=chain(model), inputs=NOTES)
    ran.override("assess", "covered", by="Ada")
    assert adoptable(ran.plan(chain(model), NEW_NOTES)) == ["extract"]
    with pytest.raises(InputError, match="not known yet what task 'assess' will be asked"):
        ran.adopt("assess", crew=chain(model), inputs=NEW_NOTES)
    always = {"extract": TaskPolicy(always=True)}
    assert adoptable(ran.plan(chain(model), NEW_NOTES, policies=always)) == []
    with pytest.raises(InputError, match="is executed in every run"):
        ran.adopt("extract", crew=chain(model), inputs=NEW_NOTES, policies=always)


def test_an_answer_is_taken_over_only_if_its_class_reads_it(repo: StateRepository, model: PromptModel) -> None:
    """The class was changed since; the error names the field."""

    class Dated(Claim):
        adjuster: str

    model.script["<<extract>>"] = TYPED
    repo.run(chain(model, output_pydantic=Claim), NOTES)
    repo.override("extract", RIGHT)
    repo.adopt("extract", crew=chain(model, output_pydantic=Claim), inputs=NEW_NOTES, dry_run=True)
    with pytest.raises(InputError, match="adjuster"):
        repo.adopt("extract", crew=chain(model, output_pydantic=Dated), inputs=NOTES)


def test_undoing_can_be_tried(ran: StateRepository, model: PromptModel) -> None:
    """A dry run says what would run, or why it cannot be, and writes nothing."""
    change = ran.override("extract", "hail on 5 May", by="Ada")
    ran.run(chain(model), NEW_NOTES)
    everything = "SELECT * FROM record", "SELECT * FROM change", "SELECT * FROM invalidation", "SELECT * FROM task_state"
    before = [rows(ran, each) for each in everything]
    tried = ran.undo(change, by="Bo", dry_run=True)
    assert (str(tried.kind), tried.change_id, tried.undoes, tried.before) == ("undo", None, 1, "hail on 5 May")
    assert "not made (dry run): undo of change 1" in str(tried)
    with pytest.raises(ConflictError, match="was not undone"):
        ran.redo(change, dry_run=True)
    assert [rows(ran, each) for each in everything] == before
    undone = ran.undo(change, by="Bo")
    assert (undone.would_run, undone.may_run, undone.after) == (tried.would_run, tried.may_run, tried.after)
    assert (ran.redo(change, dry_run=True).after, len(ran.changes())) == ("hail on 5 May", 2)


def rows(repo: StateRepository, statement: str) -> list[tuple[Any, ...]]:
    """What a person types at a SQL prompt."""
    with closing(sqlite3.connect(repo.url.removeprefix("sqlite:///"))) as connection, connection:
        return connection.execute(statement).fetchall()
