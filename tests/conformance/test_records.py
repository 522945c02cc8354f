"""Finished tasks are kept, found by their input hash, and explained by their names."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from crew_repo.errors import RunGoneError
from crew_repo.hashing import context_hash, definition_hash, input_hash, text_hash
from crew_repo.model import Component, Failure, NewRecord, Outcome, RunStatus, StoredResult
from crew_repo.store import Store
from tests.conformance.kit import DEAD, Kit, new_record, now, task_run


def test_a_record_comes_back_as_it_was(kit: Kit) -> None:
    """Every member of a record is stored, and its components with their texts."""
    (kept,) = kit.run(new_record())
    again = kit.store.record(kept.record_id)
    assert again == replace(kept, components=again.components if again else ())
    assert again is not None
    assert set(again.components) == set(kept.components)


def test_any_text_comes_back_as_it_was(kit: Kit) -> None:
    """NUL, halves of surrogate pairs, noncharacters, line separators, emoji: whatever a model said is kept."""
    strange = "NUL \x00, half \ud83d, mark \uffff0000, sep \u2028, \U0001f600, quote ' \" \\ % :x ?"
    result = StoredResult(raw=strange, name=strange, messages_json=strange)
    (kept,) = kit.run(new_record(strange, template=strange, result=result, workflow_id=strange))
    found = kit.store.record(kept.record_id)
    assert found is not None
    assert found.result == result
    assert found.task_name == strange
    assert strange in {component.text for component in found.components}


def test_a_large_output_is_kept(kit: Kit) -> None:
    """Ten megabytes are kept and found."""
    (kept,) = kit.run(new_record(raw="x" * 10_000_000))
    assert len(kit.store.find_record(kept.input_hash, "claim-1").result.raw) == 10_000_000  # type: ignore[union-attr]


def test_records_are_found_by_input_hash_within_their_workflow(kit: Kit) -> None:
    """Another workflow's record is found only if no workflow is asked for."""
    (kept,) = kit.run(new_record())
    assert kit.store.find_record(kept.input_hash, "claim-1") == kit.store.find_record(kept.input_hash, None)
    assert kit.store.find_record(kept.input_hash, "claim-2") is None
    assert kit.store.find_record("0" * 64, "claim-1") is None


def test_without_a_workflow_the_newest_is_found(kit: Kit) -> None:
    """Of the records of several workflows for one input, the newest is served."""
    kit.run(new_record(raw="old"))
    (newer,) = kit.run(new_record(raw="new"), workflow_id="claim-2")
    assert kit.store.find_record(newer.input_hash, None).result.raw == "new"  # type: ignore[union-attr]


def test_a_new_record_for_the_same_input_takes_its_place(kit: Kit) -> None:
    """A task that is forced to run again has one record that may be served: the newer one."""
    (old,) = kit.run(new_record(raw="old"))
    run_id = kit.start()
    kit.execute(new_record(raw="new", run_id=run_id), take_finished=False)
    assert kit.store.find_record(old.input_hash, "claim-1").result.raw == "new"  # type: ignore[union-attr]
    assert [(r.result.raw, r.retired) for r in kit.store.history("extract")] == [("new", None), ("old", "superseded")]


def test_saving_without_a_lease_is_kept_as_well(kit: Kit) -> None:
    """A lease is for single flight only."""
    record = new_record(run_id=kit.start())
    kept = kit.store.save_finished(None, record, task_run(record))
    assert kit.store.find_record(record.input_hash, "claim-1") == replace(kept, components=_bare(kit, kept.record_id))


def _bare(kit: Kit, record_id: int) -> tuple:  # type: ignore[type-arg]
    found = kit.store.record(record_id)
    assert found is not None
    return tuple(replace(component, text=None) for component in found.components)


def test_a_task_and_what_it_waited_with_are_one_transaction(kit: Kit) -> None:
    """Notes of reused tasks are written with the next record."""
    run_id = kit.start()
    record = new_record(run_id=run_id, position=1)
    reused = task_run(new_record("draft", run_id=run_id), Outcome.REUSED)
    kit.store.save_finished(kit.lease(record), record, task_run(record), [reused])
    assert kit.store.get_run(run_id).reused == ["draft"]  # type: ignore[union-attr]


def test_invalidated_records_are_not_found(kit: Kit) -> None:
    """invalidate retires the records of the tasks named, in the workflow named, and says how many."""
    kept = kit.run(new_record(), new_record("draft", template="Draft", position=1))
    assert kit.store.invalidate({"claim-2": ["extract"]}) == 0
    assert kit.store.invalidate({"claim-1": ["extract", "nothing"]}) == 1
    assert kit.store.find_record(kept[0].input_hash, "claim-1") is None
    assert kit.store.find_record(kept[1].input_hash, "claim-1") is not None
    assert kit.store.record(kept[0].record_id).retired == "invalidated"  # type: ignore[union-attr]
    assert kit.store.invalidate({None: ["draft"]}) == 1


def test_definitions_are_those_that_may_be_served(kit: Kit) -> None:
    """The definitions of live records, by workflow."""
    (kept,) = kit.run(new_record())
    assert kit.store.has_definition(kept.definition_hash, "claim-1")
    assert kit.store.has_definition(kept.definition_hash, None)
    assert not kit.store.has_definition(kept.definition_hash, "claim-2")
    kit.store.invalidate({"claim-1": ["extract"]})
    assert not kit.store.has_definition(kept.definition_hash, None)


def test_heads_know_the_last_record_and_outcome(kit: Kit) -> None:
    """The head of a task is the record of its last run, with texts, and how that run went."""
    (kept,) = kit.run(new_record())
    head = kit.store.heads("claim-1")["extract"]
    assert (head.outcome, head.record.record_id if head.record else 0) == (Outcome.EXECUTED, kept.record_id)
    assert "Read {notes}" in {component.text for component in (head.record.components if head.record else ())}
    assert kit.store.heads("claim-2") == {}


def test_the_head_after_a_failure_has_the_record_before_it(kit: Kit) -> None:
    """A failure does not hide the last answer, with which the new input is compared."""
    (kept,) = kit.run(new_record())
    run_id, failure = kit.start(), Failure("ValueError", "no", "...")
    kit.store.save_failed(None, task_run(new_record(run_id=run_id), Outcome.FAILED, failure=failure))
    head = kit.store.heads("claim-1")["extract"]
    assert (head.outcome, head.failure) == (Outcome.FAILED, failure)
    assert head.record is not None
    assert head.record.record_id == kept.record_id


def test_the_head_is_what_was_served_last(kit: Kit) -> None:
    """After an input was changed and changed back, the head is the old record, which the last run reused."""
    first, second = new_record(), new_record(template="Read {notes} well")
    (old,) = kit.run(first)
    kit.run(second)
    run_id = kit.start()
    reused = replace(task_run(old, Outcome.REUSED), run_id=run_id, record_id=old.record_id)
    kit.finish(run_id, tasks=[reused])
    head = kit.store.heads("claim-1")["extract"]
    assert head.record is not None
    assert head.record.record_id == old.record_id


def test_the_head_of_an_invalidated_task_says_so(kit: Kit) -> None:
    """The record is still there to explain, marked as retired."""
    kit.run(new_record())
    kit.store.invalidate({"claim-1": ["extract"]})
    assert kit.store.heads("claim-1")["extract"].record.retired == "invalidated"  # type: ignore[union-attr]


def test_the_head_of_a_killed_task_is_interrupted(kit: Kit) -> None:
    """Also before anybody has written down that the process is gone."""
    kit.lease(new_record(run_id=kit.start(owner=DEAD)), owner=DEAD)
    assert kit.store.heads("claim-1")["extract"].outcome is Outcome.INTERRUPTED


def test_names_and_workflows(kit: Kit) -> None:
    """Task names come in the order of the tasks."""
    kit.run(new_record("zeta"), new_record("alpha", template="A", position=1))
    kit.run(new_record("beta"), workflow_id="claim-2")
    assert kit.store.task_names("claim-1") == ["zeta", "alpha"]
    assert set(kit.store.task_names()) == {"zeta", "alpha", "beta"}
    assert kit.store.workflow_ids() == ["claim-1", "claim-2"]


def test_an_empty_state_answers_everything(store: Store) -> None:
    """Asking before anything was recorded finds nothing, without an error."""
    assert store.list_runs() == store.states() == store.history("x") == store.verify() == store.task_names() == []
    assert store.heads("w") == {}
    assert store.record(1) is store.find_record("x", None) is store.get_run("x") is None
    assert store.workflow_ids() == []
    assert len(list(store.export_json())) == 2  # the first and the last line


def test_two_saves_share_their_texts(kit: Kit) -> None:
    """A text is stored once, however many records were hashed from it; so is what their components have in common."""
    kit.run(*[new_record(f"t{n}", context=str(n), position=n, completed_at=now()) for n in range(3)])
    assert sum('{"text"' in line for line in kit.store.export_json()) == 3


_OF_ITS_AGENT = (
    Component("agent.role", text_hash("analyst"), text="analyst"),
    Component("tool:look.source", text_hash("def look"), text="def look"),
    Component("global:RULES", text_hash("rules"), acts=False),
)


def _of_one_agent(number: int) -> NewRecord:
    """A record of another task, or of other inputs, for the same agent."""
    own = Component("task.description", text_hash(f"Read {number}"), text=f"Read {number}")
    parts = (own, *_OF_ITS_AGENT)
    defined = definition_hash(parts)
    asked = input_hash(defined, context_hash(""), 0)
    return new_record(f"t{number}", position=number, components=parts, definition_hash=defined, input_hash=asked)


def test_components_in_common_are_kept_once_and_read_with_each_record(kit: Kit, sql: Any) -> None:
    """Whatever tasks and inputs an agent is given; a prune keeps them as long as one record needs them."""
    news = [_of_one_agent(number) for number in range(2)]
    kept = kit.run(*news)
    assert len(sql("SELECT DISTINCT shared_hash FROM record")) == 1
    assert not [row for row in sql("SELECT components FROM record") if "agent" in row["components"]]
    heads = kit.store.heads("claim-1")
    assert [set(heads[new.task_name].record.components) for new in news] == [set(new.components) for new in news]  # type: ignore[union-attr]
    sql("DELETE FROM record WHERE task_name = 't0'")
    kit.store.prune()
    assert set(kit.store.record(kept[1].record_id).components) == set(news[1].components)  # type: ignore[union-attr]
    assert kit.store.verify() == []
    sql("DELETE FROM record")
    kit.store.prune()
    assert sql("SELECT * FROM text") == []


def test_a_record_whose_components_in_common_are_gone_is_served(kit: Kit, sql: Any) -> None:
    """They only explain: who deletes their text loses no answer. What is lost is said."""
    (kept,) = kit.run(_of_one_agent(0))
    sql("DELETE FROM text WHERE sha256 IN (SELECT shared_hash FROM record)")
    found = kit.store.find_record(kept.input_hash, "claim-1")
    assert found is not None
    assert (found.result, found.damage) == (kept.result, None)
    assert ["components were changed" in problem.what for problem in kit.store.verify()] == [True]


def test_an_export_has_each_record_whole(kit: Kit, other_url: str) -> None:
    """Whoever reads it needs no other line; what is imported is the same."""
    (kept,) = kit.run(_of_one_agent(0))
    lines = list(kit.store.export_json())
    (record,) = [json.loads(line)["record"] for line in lines if line.startswith('{"record"')]
    assert list(json.loads(record["components"])) == ["task.description", "agent.role", "tool:look.source"]
    assert list(json.loads(record["explanations"])) == ["global:RULES"]
    assert "shared_hash" not in record
    with Store(other_url) as other:
        other.import_json(lines)
        found = other.find_record(kept.input_hash, "claim-1")
        assert found is not None
        assert [part.path for part in found.components] == [part.path for part in kept.components]
        assert other.verify() == []


def test_a_finished_task_is_kept_though_its_run_was_deleted(kit: Kit, sql: Any) -> None:
    """Somebody deletes the run while it goes on: that is an error, and what was paid for is there all the same."""
    record = new_record(run_id=kit.start())
    lease = kit.lease(record)
    for table in ("lease", "run"):
        sql(f"DELETE FROM {table}")
    with pytest.raises(RunGoneError, match="run again"):
        kit.store.save_finished(lease, record, task_run(record))
    assert kit.store.find_record(record.input_hash, "claim-1").result == record.result  # type: ignore[union-attr]


def test_saving_again_what_may_have_been_saved_changes_nothing(kit: Kit) -> None:
    """Who does not know whether a record was written may write it again: there is one, and nothing newer is hidden."""
    record = new_record(run_id=kit.start())
    lease = kit.lease(record)
    kept = kit.store.save_finished(lease, record, task_run(record))
    finished_at = now()
    kit.store.finish_run(record.run_id, RunStatus.COMPLETED, finished_at, tasks=[task_run(record, record_id=kept.record_id)], tokens_spent=30)
    newer = new_record(raw="newer", run_id=kit.start())
    kit.execute(newer, take_finished=False)
    again = kit.store.save_finished(lease, record, task_run(record))
    ended = kit.store.finish_run(record.run_id, RunStatus.COMPLETED, finished_at, tasks=[task_run(record)], tokens_spent=30)
    assert (again.record_id, again.result.raw, ended.executed) == (kept.record_id, "policy 42", ["extract"])
    assert [(r.result.raw, r.retired) for r in kit.store.history("extract")] == [
        ("newer", None), ("policy 42", "superseded")
    ]  # fmt: skip
    assert [state.output for state in kit.store.states()] == ["newer"]


def test_noting_a_failure_again_hides_nothing_newer(kit: Kit) -> None:
    """Who does not know whether a failure was written may write it again; what came after it stays the present."""
    failed = task_run(new_record(run_id=kit.start()), Outcome.FAILED)
    kit.store.save_failed(None, failed)
    kit.run(new_record(raw="later"))
    kit.store.save_failed(None, failed)
    assert [(state.status, state.output) for state in kit.store.states()] == [("completed", "later")]
