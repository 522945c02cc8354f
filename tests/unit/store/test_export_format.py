"""An export is read whole and right, or refused: with the line, the member, what is wrong with it, and what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crew_repo.errors import ImportFormatError
from crew_repo.model import Author, ToHold
from crew_repo.store import Store
from crew_repo.store.columns import KeptText
from crew_repo.store.export_format import HEADER, TABLES, Export, label, member_names
from crew_repo.store.tables import RECORD, RUN
from tests.conformance.kit import Kit, new_record

MEMBERS = [(table, name) for table in TABLES for name in member_names(table)]
DEEP = "[" * 100_000


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """An export that has a row of each table."""
    file = tmp_path_factory.mktemp("exported") / "state.db"
    with Store(f"sqlite:///{file}") as store:
        Kit(store).run(new_record())
        store.invalidate({"claim-1": ["extract"]}, Author("Ada"))
        held = new_record("draft", template="Draft")
        store.complete([ToHold("claim-1", "draft", held.definition_hash, "a draft")], Author("Ada"))
        return list(store.export_json())


def altered(lines: list[str], kind: str, /, **members: Any) -> Iterator[str]:
    """The export with other members in each row of this kind."""
    for line in lines:
        ((name, row),) = json.loads(line).items()
        yield json.dumps({name: {**row, **members}}) + "\n" if name == kind else line


def refused(lines: Any) -> str:
    """The message with which an export is refused."""
    with pytest.raises(ImportFormatError) as caught:
        Export(lines)
    return str(caught.value)


def test_a_whole_export_is_taken(lines: list[str]) -> None:
    """It has rows of all tables, and ends with the number of its lines."""
    rows = Export(lines).rows
    assert all(rows[label(table)] for table in TABLES)
    assert json.loads(lines[-1]) == {"end": {"lines": len(lines)}}


def test_an_export_that_is_cut_is_refused_wherever_that_is(lines: list[str]) -> None:
    """At the end of any line; and the message says that it ends too early, and what to do."""
    for there in range(1, len(lines)):
        assert "The export ends too early" in (said := refused(lines[:there]))
        assert "export it again" in said
    text = "".join(lines)
    assert "is no JSON" in refused(text[: len(text) // 2].split("\n"))


def test_an_export_that_lacks_a_line_is_refused(lines: list[str]) -> None:
    """It says how many there were; a line that is left empty was taken out on purpose."""
    for gone in range(1, len(lines) - 1):
        assert f"lacks lines ({len(lines) - 1} of {len(lines)} are there)" in refused(lines[:gone] + lines[gone + 1 :])
        Export([*lines[:gone], "\n", *lines[gone + 1 :]])


def test_nothing_may_come_after_the_end(lines: list[str]) -> None:
    """Two exports one after the other are none; empty lines are nothing."""
    assert "is its end, and others come after it" in refused([*lines, lines[1], lines[-1]])
    assert "ends too early" in refused([*lines, lines[1]])
    Export([*lines, "\n", ""])


@pytest.mark.parametrize("first", ["{}", "[]", "null", '{"crew_repo_export": true}', '{"crew_repo_export": 0}', '"x"'])
def test_what_has_another_first_line_is_no_export(lines: list[str], first: str) -> None:
    """Also where that is JSON, or nearly right; the message shows what it should be."""
    assert refused([first, *lines[1:]]) == f"This is no export of crew_repo: its first line should be {HEADER}"


@pytest.mark.parametrize("first", ['{"crew_repo_export": 2}', '{"crew_repo_export": 1, "packed": true}'])
def test_an_export_of_a_newer_version_says_so(lines: list[str], first: str) -> None:
    """By its first line; the remedy is an upgrade."""
    said = refused([first, *lines[1:]])
    assert said.startswith(f"This export was written by a newer crew_repo: its first line is {first}")
    assert said.endswith("upgrade crew_repo, and import again")


def test_rows_that_only_a_newer_version_knows_say_so(lines: list[str]) -> None:
    """Be it a member, or a kind of row."""
    said = refused(altered(lines, "run", planner="x"))
    assert "written by a newer crew_repo: line " in said
    assert "a run, has these members, which this version does not know: planner; upgrade" in said
    said = refused([*lines[:-1], '{"future": {}}', lines[-1].replace(str(len(lines)), str(len(lines) + 1))])
    assert f"written by a newer crew_repo: line {len(lines)} is no text, run" in said


@pytest.mark.parametrize(("table", "name"), MEMBERS, ids=[f"{label(table)}.{name}" for table, name in MEMBERS])
def test_each_member_has_the_type_of_its_column(lines: list[str], table: Any, name: str) -> None:
    """Of every column there is; the message names the line, the row, the member and what it should be."""
    kind = label(table)
    (number, *_) = [number for number, line in enumerate(lines, 1) if line.startswith(f'{{"{kind}"')]
    wrong = [[], {}, True, 7 if isinstance(table.c[name].type, KeptText) else "x"]
    wrong += [] if table.c[name].nullable else [None]
    for value in wrong:
        said = refused(altered(lines, kind, **{name: value}))
        assert said.startswith(f"Nothing was imported: line {number}, {kind} ")
        assert f": its {name} is " in said
        assert ", and no" in said


@pytest.mark.parametrize(
    ("kind", "members", "said"),
    [
        ("run", {"tokens_spent": 2**63}, "its tokens_spent is 9223372036854775808, and no whole number of 64 bits"),
        ("run", {"pid": 2**31}, "its pid is 2147483648, and no whole number of 32 bits"),
        ("record", {"position": 1.5}, "its position is 1.5, and no whole number"),
        ("record", {"duration_seconds": float("nan")}, "its duration_seconds is NaN, and no finite number"),
        ("record", {"duration_seconds": float("-inf")}, "its duration_seconds is -Infinity, and no finite number"),
        ("record", {"duration_seconds": 10**400}, "and no finite number"),
        ("run", {"started_at": "0001-01-01T00:00:00+05:00"}, "and no time such as 2026-"),
        ("run", {"started_at": "2025-13-99"}, 'its started_at is "2025-13-99", and no time such as 2026-'),
        ("run", {"status": "paused"}, 'its status is "paused", and none of running, completed, failed, interrupted'),
        ("task_run", {"status": "running"}, "and none of executed, reused, skipped, failed, interrupted"),
        ("change", {"kind": "guess"}, "and none of override, mark complete"),
        ("record", {"origin": "oracle"}, "and none of model, person"),
        ("run", {"facts": "[]"}, 'its facts is "[]", and no JSON object'),
        ("run", {"task_names": '["a", 1]'}, "and no JSON array of texts"),
        ("run", {"waits_for": '{"a": null}'}, "and no JSON object of texts"),
        ("run", {"input_hashes": '{"a": ["odd", "x"]}'}, "and no JSON object of inputs"),
        ("run", {"input_hashes": '{"a": "text"}'}, "and no JSON object of inputs"),
        ("run", {"input_hashes": '{"a": ["text", 7]}'}, "and no JSON object of inputs"),
        ("record", {"components": '{"a": 7}'}, "and no JSON object of texts"),
        ("record", {"usage_by_model": '{"gpt": {"inputs": 7}}'}, "and no JSON object of the tokens of each model"),
        ("task_run", {"usage_by_model": '{"gpt": {"input": "many"}}'}, "and no JSON object of the tokens"),
        ("task_run", {"reasons": "xxx"}, 'its reasons is "xxx", and no JSON array of reasons'),
        ("task_run", {"reasons": '[{"kind": "whim"}]'}, "and no JSON array of reasons"),
        ("task_run", {"reasons": '[{"kind": "changed", "component": 7}]'}, "and no JSON array of reasons"),
        ("task_run", {"reasons": DEEP}, "and no JSON array of reasons"),
        ("change", {"records": '["1"]'}, "and no JSON array of whole numbers"),
    ],
)  # fmt: skip
def test_each_member_says_what_is_written_there(lines: list[str], kind: str, members: Any, said: str) -> None:
    """Numbers fit into the database, words are known ones, and JSON has the shape that is read again."""
    assert said in refused(altered(lines, kind, **members))


def test_json_that_is_too_deep_to_be_read_is_refused(lines: list[str]) -> None:
    """With the number of its line."""
    assert "Line 2 of the export is no JSON" in refused([lines[0], DEEP, *lines[2:]])


def test_several_faults_are_named_at_once(lines: list[str]) -> None:
    """Each with its line; a value that is long is shortened."""
    said = refused(altered(list(altered(lines, "run", status="x" * 500, pid="x")), "record", position=None))
    assert said.count("its ") == 3
    assert "its position is null, and no whole number" in said
    assert len(said) < 1000


def test_a_whole_number_is_a_number_too(lines: list[str]) -> None:
    """Other programs write seconds without a point; a time may lack its fraction."""
    rows = Export(altered(lines, "record", duration_seconds=2, started_at="2026-11-23T10:11:12Z")).rows["record"]
    assert [(row["duration_seconds"], row["started_at"].utcoffset()) for row in rows] == [(2.0, timedelta(0))]


def test_members_that_an_older_version_lacks_are_empty(lines: list[str]) -> None:
    """As long as the column may be; else they are named."""
    def without(table: Any, name: str) -> list[str]:
        return [line if not line.startswith(f'{{"{label(table)}"') else
                json.dumps({label(table): {k: v for k, v in json.loads(line)[label(table)].items() if k != name}})
                for line in lines]  # fmt: skip

    assert Export(without(RUN, "source")).rows["run"][0]["source"] is None
    assert "a record, lacks members: output" in refused(without(RECORD, "output"))


def test_a_faulty_row_leaves_the_state_as_it_was(lines: list[str], tmp_path: Path) -> None:
    """Though it stands behind rows that are right."""
    with Store(f"sqlite:///{tmp_path / 'state.db'}") as store:
        with pytest.raises(ImportFormatError, match="Nothing was imported"):
            store.import_json(altered(lines, "held_answer", output=None))
        assert list(store.export_json()) == [lines[0], '{"end": {"lines": 2}}\n']
