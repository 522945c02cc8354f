"""Two runs are compared by what is known of them, and nothing is said that is not known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crew_repo.compare import compare, compared_records, typed_output
from crew_repo.hashing import digest, text_hash
from crew_repo.model import (
    Component,
    Diff,
    Failure,
    InputKind,
    NewRecord,
    Outcome,
    Reason,
    ReasonKind,
    Record,
    RunInput,
    RunRecord,
    RunStatus,
    Usage,
)
from crew_repo.model.record import json_of_class
from tests.conformance.kit import new_record, now, task_run

FAILED = Failure("RuntimeError", "no network", "Traceback")


def kept(number: int, new: NewRecord, **changes: Any) -> Record:
    return Record(**{name: getattr(new, name) for name in NewRecord.__slots__}, record_id=number, **changes)


def run(run_id: str, *records: Record, **members: Any) -> RunRecord:
    """A run that executed what these records are of, unless its `tasks` are given."""
    tasks = tuple(replace(task_run(each), record_id=each.record_id) for each in records)
    known: dict[str, Any] = {"started_at": now(), "tasks": tasks, "inputs": (), **members}
    return RunRecord(run_id, known.pop("workflow_id", "claim-1"), "claims", known.pop("status", RunStatus.COMPLETED), **known)


def text(name: str, value: str | None) -> RunInput:
    return RunInput(name, InputKind.TEXT, sha256=text_hash(str(value)), text=value)


def of_json(name: str, value: Any) -> RunInput:
    return RunInput(name, InputKind.JSON, sha256=digest("json", value), text=json.dumps(value))


def diff_of(*records: Record, before: RunRecord, after: RunRecord) -> Diff:
    return compare(before, after, {each.record_id: each for each in records})


def of_inputs(before: tuple[RunInput, ...], after: tuple[RunInput, ...]) -> list[str]:
    found = compare(run("one", inputs=before), run("two", inputs=after), {})
    assert found.changed == bool(found.inputs)
    return list(map(str, found.inputs))


def test_inputs_are_compared_by_their_values() -> None:
    """Texts around the first difference, JSON by its members, and what one of the runs was not given."""
    assert of_inputs((text("notes", "hail on 3 May"),), (text("notes", "hail on 4 May"),)) == [
        "input:notes: hail on 3 May -> hail on 4 May"
    ]  # fmt: skip
    assert of_inputs((of_json("limits", [1, {"amount": 2}]),), (of_json("limits", [1, {"amount": 3}]),)) == [
        "input:limits: [1].amount: 2 -> 3"
    ]  # fmt: skip
    assert of_inputs((text("a", "x"),), (text("b", "y"),)) == ["input:a removed: x", "input:b added: y"]
    assert of_inputs((text("a", "x"),), (text("a", "x"),)) == []


def test_a_number_is_not_its_text() -> None:
    """They look alike, so the text has its quotes."""
    assert of_inputs((of_json("limit", 3),), (text("limit", "3"),)) == ['input:limit: 3 -> "3"']


def test_what_is_not_kept_is_compared_as_far_as_is_known() -> None:
    """Files by their hashes, deleted texts too; of a secret nothing is known, and a note says so."""
    photo = RunInput("photo", InputKind.FILE, sha256="ab" * 32)
    other = RunInput("photo", InputKind.FILE, sha256="cd" * 32)
    hidden = RunInput("api_key", InputKind.WITHHELD, why="a secret")
    assert of_inputs((photo,), (photo,)) == []
    assert of_inputs((photo,), (other,)) == ["input:photo changed (file)"]
    assert of_inputs((replace(text("notes", "x"), text=None),), (text("notes", "y"),)) == ["input:notes changed (now y)"]
    assert of_inputs((hidden,), (text("api_key", "no secret"),))[0].startswith("input:api_key changed")
    found = compare(run("one", inputs=(hidden,)), run("two", inputs=(hidden,)), {})
    assert (found.changed, found.notes) == (
        False, ("whether input:api_key changed is not known: the value is never stored",)
    )  # fmt: skip


def test_a_run_of_an_older_version_is_compared_without_its_inputs() -> None:
    """A note says so, and the tasks are compared by what they were asked."""
    one, two = kept(1, new_record()), kept(2, new_record(template="Look at {notes}"))
    found = diff_of(one, two, before=run("one", one, inputs=None), after=run("two", two))
    assert found.inputs == ()
    assert found.notes[0].startswith("it is not stored what run one was given (an older crew_repo recorded that)")
    assert [str(part) for part in found["extract"].parts] == ["task.description: Read {notes} -> Look at {notes}"]


def test_models_numbers_and_schemas_are_compared_as_values() -> None:
    """A model by its name, a schema by its members."""
    parts = [[Component("agent.llm.model", text_hash(model), text=model), Component("agent.llm.temperature", text_hash(warm), text=warm),
              Component("output_pydantic.schema", text_hash(schema), text=schema)]
             for model, warm, schema in (('["openai","gpt-4o"]', "0.5", '{"properties":{"amount":{"type":"number"}}}'),
                                         ('["openai","gpt-5.5"]', "0.7", '{"properties":{"amount":{"type":"string"}}}'))]  # fmt: skip
    one, two = (kept(at, new_record(components=tuple(each))) for at, each in enumerate(parts, 1))
    found = diff_of(one, two, before=run("one", one), after=run("two", two))
    assert [str(part) for part in found["extract"].parts] == [
        "agent.llm.model: gpt-4o -> gpt-5.5",
        "agent.llm.temperature: 0.5 -> 0.7",
        "output_pydantic.schema: properties.amount.type: number -> string",
    ]
    (model, _, schema) = found.to_dict()["tasks"][0]["parts"]
    assert (model["change"]["before"], model["change"]["after"]) == ("gpt-4o", "gpt-5.5")
    assert schema["change"]["values"] == [
        {"path": "properties.amount.type", "edit": "changed", "before": "number", "after": "string"}
    ]  # fmt: skip


def test_a_typed_answer_is_compared_by_its_members() -> None:
    """Whatever the model wrote around it."""
    results = [replace(new_record().result, raw=f"Here: {amount}", pydantic_json=json.dumps({"reserve": {"amount": amount}}))
               for amount in (1, 2)]  # fmt: skip
    one, two = (kept(at, new_record(result=result)) for at, result in enumerate(results, 1))
    found = diff_of(one, two, before=run("one", one), after=run("two", two))
    assert found.answers == ["extract: reserve.amount: 1 -> 2"]


def test_an_answer_is_compared_word_by_word() -> None:
    """In one line: what is far from a difference is left out; in full all of it is there."""
    rest = "and so on " * 30
    one, two = kept(1, new_record(raw=f"{rest}Reserve 8,140.00 EUR. {rest}")), kept(2, new_record(raw=f"{rest}Reserve 9,000.00 EUR. {rest}"))
    found = diff_of(one, two, before=run("one", one), after=run("two", two))
    (line,) = found.answers
    assert "Reserve [-8,140.00-]{+9,000.00+} EUR." in line
    assert len(line) < 200
    assert rest in found.details()


def test_the_answer_that_was_read_is_named_by_its_task() -> None:
    """In place of the context, which is only said to differ."""
    read = Component("task.reads", text_hash('["extract"]'), acts=False, text='["extract"]')
    extracts = [kept(at, new_record(raw=raw)) for at, raw in ((1, "hail"), (2, "storm"))]
    drafts = [kept(at, replace(draft, components=(*draft.components, read))) for at, draft in
              ((3, new_record("draft", position=1, context="hail")), (4, new_record("draft", position=1, context="storm")))]  # fmt: skip
    found = diff_of(*extracts, *drafts, before=run("one", extracts[0], drafts[0]), after=run("two", extracts[1], drafts[1]))
    assert [str(part) for part in found["draft"].parts] == ["upstream:extract: hail -> storm"]


def test_what_a_run_did_not_reach_is_told_from_what_its_crew_has_not() -> None:
    """By how the run ended; the error is shown."""
    one = kept(1, new_record())
    broken = replace(task_run(one), outcome=Outcome.FAILED, failure=FAILED)
    draft = kept(2, new_record("draft", position=1))
    failed = run("one", tasks=(broken,), status=RunStatus.FAILED, failure=FAILED)
    found = diff_of(one, draft, before=failed, after=run("two", one, draft))
    assert [(task.changed, task.answer) for task in found.tasks] == [(True, "new"), (True, "new")]
    assert found["draft"].causes == ["not reached (failed) in run one"]
    back = diff_of(one, draft, before=run("two", one, draft), after=failed)
    assert back["extract"].causes == ["RuntimeError: no network"]
    gone = diff_of(one, draft, before=run("two", one, draft), after=run("three", one))
    assert (gone["draft"].answer, gone["draft"].causes) == ("gone", ["its crew has no such task in run three"])
    assert not gone["extract"].changed


def test_an_answer_that_was_deleted_or_damaged_is_said_to_be() -> None:
    """It is not taken for the same, unless both runs have that very record."""
    one, two = kept(1, new_record()), kept(2, new_record(template="Look at {notes}"))
    found = diff_of(two, before=run("one", one), after=run("two", two))
    assert (found["extract"].answer, found["extract"].changed, found["extract"].output) == ("deleted", True, None)
    assert not diff_of(before=run("one", one), after=run("two", one)).changed
    hurt = replace(two, damage="components that are no JSON object")
    assert diff_of(one, hurt, before=run("one", one), after=run("two", two))["extract"].answer == "damaged"


def test_records_of_another_hash_format_are_not_compared_by_hash() -> None:
    """Every part would differ."""
    one, two = kept(1, new_record()), kept(2, new_record(hash_format=99))
    (part,) = diff_of(one, two, before=run("one", one), after=run("two", two))["extract"].parts
    assert part.kind is ReasonKind.HASH_FORMAT


def test_reused_is_as_good_as_executed() -> None:
    """Nothing differs, and the tokens that were saved are told from those that were billed."""
    one = kept(1, new_record(model="gpt-4o"))
    reused = replace(task_run(one, Outcome.REUSED), record_id=1, usage=Usage(), tokens_saved=30, duration_seconds=None)
    again = run("two", tasks=(reused,), tokens_saved=30)
    found = diff_of(one, before=run("one", one, tokens_spent=30), after=again)
    assert not found.changed
    after = found["extract"].after
    assert after is not None
    assert (after.spent, after.saved, after.model) == (Usage(), Usage(30, 20, 10, 5, 1), "gpt-4o")
    row = found["extract"].as_row()
    assert (row["tokens"], row["saved"], row["after"]) == ("30 -> 0", "0 -> 30", "reused")
    assert found.summary == "0 of 1 task differ; tokens spent 30 -> 0, saved 0 -> 30"


def test_who_gave_an_answer_is_shown() -> None:
    """Where a person did."""
    one, two = kept(1, new_record()), kept(2, new_record(raw="policy 43", origin="person", person="Ada"))
    found = diff_of(one, two, before=run("one", one), after=run("two", two))
    assert found["extract"].as_row()["after"] == "executed (Ada)"
    assert found.to_dict()["tasks"][0]["after"]["person"] == "Ada"


def test_the_planner_comes_first() -> None:
    """It is compared like a task."""
    plans = [kept(at, new_record("(planner)", raw=raw, position=-1)) for at, raw in ((1, "look"), (2, "look twice"))]
    one, two = (run(name, planner=replace(task_run(plan), record_id=plan.record_id))
                for name, plan in zip(("one", "two"), plans, strict=True))  # fmt: skip
    assert compared_records(one, two) == {1, 2}
    found = diff_of(*plans, before=one, after=two)
    assert found.answers == ["(planner): look{+ twice+}"]


def test_a_notebook_shows_texts_as_texts() -> None:
    """Whatever an answer or an input says, none of it is HTML."""
    evil = "<script>alert(1)</script>"
    one, two = kept(1, new_record(raw=evil)), kept(2, new_record(raw=f"{evil} {evil}"))
    found = diff_of(one, two, before=run("one", one, workflow_id=evil, inputs=(text("a", evil),)), after=run("two", two))
    shown = found._repr_html_()
    assert "<script>" not in shown
    assert "<ins>" in shown


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y z"]), st.sampled_from(["T", "U"])),
                max_size=3, unique_by=lambda task: task[0]),
       st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y z"]), st.sampled_from(["T", "U"])),
                max_size=3, unique_by=lambda task: task[0]))  # fmt: skip
def test_any_two_runs(before: Any, after: Any) -> None:
    """A run differs from itself in nothing; the other way round the same differs, turned; all of it is JSON."""
    made = [[kept(10 * side + at, new_record(name, raw=raw, template=template, position=at))
             for at, (name, raw, template) in enumerate(tasks, 1)] for side, tasks in enumerate((before, after))]  # fmt: skip
    one, two = (run(name, *records) for name, records in zip(("one", "two"), made, strict=True))
    records = {record.record_id: record for side in made for record in side}
    found, back = compare(one, two, records), compare(two, one, records)
    assert found.changed == back.changed == ({t[0]: t[1:] for t in before} != {t[0]: t[1:] for t in after})
    assert not compare(one, one, records).changed
    assert {task.task_name for task in found.tasks} == {task.task_name for task in back.tasks}
    for task in found.tasks:
        assert sorted(map(turned, task.parts), key=repr) == sorted(back[task.task_name].parts, key=repr)
    assert json.loads(json.dumps(found.to_dict()))["changed"] == found.changed


def turned(reason: Reason) -> Reason:
    """The reason of the other way round."""
    kinds = {ReasonKind.ADDED: ReasonKind.REMOVED, ReasonKind.REMOVED: ReasonKind.ADDED}
    return replace(reason, kind=kinds.get(reason.kind, reason.kind), old=reason.new, new=reason.old,
                   old_text=reason.new_text, new_text=reason.old_text)  # fmt: skip


def test_a_typed_list_is_a_list_whatever_stands_in_it():
    """A list whose first item is a word of ours is none that only a class can read; a dict with dates is told apart."""

    def told(**members: str | None) -> object:
        record = kept(1, new_record("draft"))
        plain = replace(record.result, pydantic_json=None, json_dict_json=None)
        return typed_output(replace(record, result=replace(plain, **members)))

    assert told(pydantic_json='["typed", "house"]') == ["typed", "house"]
    assert told(json_dict_json=json_of_class('{"day": "2025-03-14"}')) == {"day": "2025-03-14"}
    assert [told(json_dict_json=text) for text in ('["not JSON"]', "damaged", None)] == [None, None, None]
