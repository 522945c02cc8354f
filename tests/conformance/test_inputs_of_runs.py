"""What a run was given is kept with it: for going on, for comparing, and for whoever looks by SQL."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crew_repo.errors import ImportFormatError
from crew_repo.hashing import digest, text_hash
from crew_repo.model import Component, InputKind, RunInput
from crew_repo.store import Store
from tests.conformance.kit import Kit, new_record

NOTES = 'hail, "3 May"\nä'
GIVEN = (
    RunInput("notes", InputKind.TEXT, sha256=text_hash(NOTES), text=NOTES),
    RunInput("limits", InputKind.JSON, sha256=digest("json", [1, 2.5, None]), text="[1,2.5,null]"),
    RunInput("photo", InputKind.FILE, sha256="ab" * 32),
    RunInput("api_key", InputKind.WITHHELD, why="it is a secret by its name, or holds one"),
)


def test_inputs_come_back_as_they_were_given(kit: Kit) -> None:
    """Values of texts and of JSON; of a file the hash, of what is withheld the reason."""
    kit.begin("one", inputs=GIVEN, source="claims.crew:build")
    (run,) = kit.store.list_runs()
    assert (run.inputs, run.source) == (GIVEN, "claims.crew:build")
    assert [each.value for each in run.inputs or ()] == [NOTES, [1, 2.5, None], None, None]
    assert kit.store.get_run("one") == run


def test_a_run_without_known_inputs_says_so(kit: Kit) -> None:
    """None is not the same as no inputs."""
    kit.begin("unknown")
    kit.begin("none", inputs=())
    assert [run.inputs for run in kit.store.list_runs()] == [(), None]


def test_sql_shows_what_a_run_was_given_that_failed_in_its_first_task(kit: Kit, sql: Any) -> None:
    """By name, as JSON; null for what is not stored."""
    kit.begin("one", inputs=GIVEN, source="claims.crew:build")
    (row,) = sql("SELECT inputs, source FROM run")
    assert json.loads(row["inputs"]) == {"notes": NOTES, "limits": "[1,2.5,null]", "photo": None, "api_key": None}
    assert row["source"] == "claims.crew:build"


def test_a_text_is_kept_once(kit: Kit, sql: Any) -> None:
    """Whether many runs were given it, or a record was made of it."""
    for run_id in ("one", "two"):
        kit.begin(run_id, inputs=GIVEN)
    record = new_record(run_id="two")
    part = Component("input:notes", text_hash(NOTES), acts=False, text=NOTES)
    kit.execute(new_record(run_id="two", components=(*record.components, part)))
    assert [row["n"] for row in sql("SELECT COUNT(*) AS n FROM text WHERE body = :notes", notes=NOTES)] == [1]


@pytest.mark.parametrize("damage", ["{", "[]", "7", "null", "", '{"notes": 7}', '{"notes": ["odd", "x"]}'])
def test_a_damaged_row_hides_no_other(kit: Kit, sql: Any, damage: str) -> None:
    """The view can be read, and verify names the run."""
    kit.begin("one", inputs=GIVEN)
    kit.begin("two", inputs=GIVEN)
    sql("UPDATE run_entry SET input_hashes = :damage WHERE run_id = 'one'", damage=damage)
    inputs = {row["run_id"]: row["inputs"] for row in sql("SELECT run_id, inputs FROM run")}
    assert json.loads(inputs["two"])["notes"] == NOTES
    (problem,) = kit.store.verify()
    assert str(problem).startswith("run one (claim-1): what it was given cannot be read")


def test_a_text_that_was_changed_is_named(kit: Kit, sql: Any) -> None:
    """With the run and the input that it was."""
    kit.begin("one", inputs=GIVEN)
    sql("UPDATE text SET body = 'sun' WHERE sha256 = :hash", hash=text_hash(NOTES))
    assert [str(problem) for problem in kit.store.verify()] == [
        "run one (claim-1): the stored text of its input 'notes' was changed: it does not give its hash"
    ]


def test_pruning_keeps_the_texts_of_runs_that_stay(kit: Kit, sql: Any) -> None:
    """And deletes those of runs that go."""
    for run_id, text in (("old", "old notes"), ("new", "new notes")):
        kit.begin(run_id, inputs=(RunInput("notes", InputKind.TEXT, sha256=text_hash(text), text=text),))
        kit.finish(run_id)
    assert kit.store.prune(keep_last=1).runs == 1
    assert [row["body"] for row in sql("SELECT body FROM text")] == ["new notes"]


def test_inputs_travel_with_an_export(kit: Kit, other_of_same_kind: str) -> None:
    """To another state they come whole."""
    kit.begin("one", inputs=GIVEN, source="claims.crew:build")
    kit.finish("one")
    with Store(other_of_same_kind) as other:
        other.import_json("".join(kit.store.export_json()))
        (run,) = other.list_runs()
        assert (run.inputs, run.source) == (GIVEN, "claims.crew:build")


def test_an_export_with_damaged_inputs_is_refused(kit: Kit) -> None:
    """Nothing of it is imported, and the run is named."""
    kit.begin("one", inputs=GIVEN)
    export = "".join(kit.store.export_json()).replace('[\\"text\\"', '[\\"odd\\"')
    with pytest.raises(ImportFormatError, match=r"run one: its input_hashes is .*, and no JSON object of inputs"):
        kit.store.import_json(export)


def test_a_file_of_version_4_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its runs know no inputs and its person's answer is in force; a new run keeps what it was given."""
    file = tmp_path / "state.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((Path(__file__).parent / "version_4.sql").read_text(encoding="utf-8"))
    with Store(f"sqlite:///{file}") as store:
        (run,) = store.list_runs()
        assert (run.inputs, run.source, {task.model for task in run.tasks}) == (None, None, {None})
        assert [state.output for state in store.states()] == ["policy 42", "a better note"]
        assert store.verify() == []
        Kit(store).begin("new", inputs=GIVEN)
        assert store.list_runs()[0].inputs == GIVEN
