"""Changes between two texts: whatever is said of them, both can be made of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crew_repo.model import Reason, ReasonKind, text_changes
from crew_repo.model.text_changes import Edit, Grain, TextChange, ValueChange, text_change, value_changes
from crew_repo.model.wording import change_in_full

WORDS = st.lists(st.sampled_from(["the", "claim", "8140.00", "2025-03-12", " ", "  ", "\n", ".", "ä", "\x00"]), max_size=30)
TEXTS = st.one_of(WORDS.map("".join), st.text(max_size=40))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.floats(), st.sampled_from(["", "1", "a b"]))
KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner)), max_leaves=12)
HOLDERS = st.one_of(st.lists(VALUES, max_size=5), st.dictionaries(KEYS, VALUES))


def without(change: TextChange, edit: Edit) -> str:
    return "".join(piece.text for piece in change.pieces if piece.edit is not edit)


def turned(change: ValueChange) -> ValueChange:
    edits = {Edit.ADDED: Edit.REMOVED, Edit.REMOVED: Edit.ADDED, Edit.CHANGED: Edit.CHANGED}
    return ValueChange(change.path, edits[change.edit], change.after, change.before)


def applied(value: Any, changes: tuple[ValueChange, ...]) -> Any:
    """The value with the changes made, by their paths: of these keys and places no name has a dot or bracket."""
    made = json.loads(json.dumps({"": value}))
    for change in changes:
        steps: list[Any] = [""]
        for part in change.path.replace("[", ".[").split("."):
            steps += [int(part[1:-1])] if part.startswith("[") else [part] if part else []
        place = made
        for step in steps[:-1]:
            place = place[step]
        if change.edit is Edit.CHANGED:
            place[steps[-1]] = change.after
        elif isinstance(place, dict):
            place.update({steps[-1]: change.after}) if change.edit is Edit.ADDED else place.pop(steps[-1])
    return made[""]


@given(TEXTS, TEXTS)
def test_the_pieces_are_both_texts(before: str, after: str) -> None:
    """Without what was added they are the text before, without what was removed the text after."""
    change = text_change(before, after)
    if not change.values:
        assert (without(change, Edit.ADDED), without(change, Edit.REMOVED)) == (before, after)
        assert all(piece.text for piece in change.pieces)
        assert {piece.edit for piece in change.pieces} <= {Edit.SAME} or before != after


@given(TEXTS, TEXTS)
def test_the_other_way_round_it_is_the_same_change(before: str, after: str) -> None:
    """What was removed is what would be added."""
    one, other = text_change(before, after), text_change(after, before)
    for edit, opposite in ((Edit.SAME, Edit.SAME), (Edit.REMOVED, Edit.ADDED), (Edit.ADDED, Edit.REMOVED)):
        assert [p.text for p in one.pieces if p.edit is edit] == [p.text for p in other.pieces if p.edit is opposite]


@given(HOLDERS, HOLDERS)
def test_values_are_compared_by_path(before: Any, after: Any) -> None:
    """Nothing differs exactly where the JSON is equal, and the other way round the same differs, turned."""
    found, back = value_changes(before, after), value_changes(after, before)
    if type(before) is not type(after):
        assert found is None
        return
    assert (found == ()) == (json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True))
    assert sorted(map(repr, map(turned, found or ()))) == sorted(map(repr, back or ()))  # nan is not nan


@given(st.dictionaries(KEYS, st.one_of(SCALARS, st.dictionaries(KEYS, SCALARS))),
       st.dictionaries(KEYS, st.one_of(SCALARS, st.dictionaries(KEYS, SCALARS))))  # fmt: skip
def test_the_values_after_can_be_made_of_those_before(before: Any, after: Any) -> None:
    """By the changes and their paths."""
    made = applied(before, value_changes(before, after) or ())
    assert json.dumps(made, sort_keys=True) == json.dumps(after, sort_keys=True)


@pytest.mark.parametrize("before, after, said", [
    ('{"limits": [1, 2, 3]}', '{"limits": [1, 2, 4]}', [("limits[2]", "changed", 3, 4)]),
    ('{"reserve": {"amount": 1}}', '{"reserve": {"amount": 1.0}}', [("reserve.amount", "changed", 1, 1.0)]),
    ('{"limits": [1, 2, 3]}', '{"limits": [1, 3]}', [("limits[1]", "removed", 2, None)]),
    ('[{"a": 1}, 5]', '[{"a": 2}, 5, 6]', [("[0].a", "changed", 1, 2), ("[2]", "added", None, 6)]),
    ('{"a": null}', '{}', [("a", "removed", None, None)]),
])  # fmt: skip
def test_a_path_says_where(before: str, after: str, said: list[Any]) -> None:
    """Members by their names, items by their places."""
    found = text_change(before, after).values
    assert repr([(change.path, str(change.edit), change.before, change.after) for change in found]) == repr(said)


def test_words_are_words() -> None:
    """Numbers and dates stay whole, and punctuation is no part of a word."""
    change = text_change("Reserve EUR 8,140.00 on 2025-03-12.", "Reserve EUR 9,000.00 on 2025-03-14!")
    assert [piece.text for piece in change.pieces if piece.edit is not Edit.SAME] == [
        "8,140.00", "9,000.00", "2025-03-12.", "2025-03-14!"
    ]  # fmt: skip


def test_json_of_another_layout_is_compared_as_text() -> None:
    """No value differs, and the texts do."""
    change = text_change('{"a": 1}', '{"a":1}')
    assert (change.values, without(change, Edit.ADDED)) == ((), '{"a": 1}')


LONG = [
    ("a " * 300, "a b " * 300, Grain.WHOLE),
    ("a b\n" * 300 + "end\n", "b a\n" * 300 + "the end\n", Grain.LINES),
    ("a b\n" * 300 + "end", "a b\nc\n" * 300, Grain.WHOLE),
    ("x" * 300, "y" * 300, Grain.WORDS),
]


@pytest.mark.parametrize("before, after, grain", LONG)
def test_what_would_take_too_long_is_compared_in_larger_pieces(
    before: str, after: str, grain: Grain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, and the pieces are both texts all the same."""
    monkeypatch.setattr(text_changes, "_WORK", 2000)
    change = text_change(before, after)
    assert change.grain is grain
    assert (without(change, Edit.ADDED), without(change, Edit.REMOVED)) == (before, after)


@pytest.mark.siege
@pytest.mark.parametrize("before, after, grain", LONG)
def test_huge_texts_are_compared_too(before: str, after: str, grain: Grain) -> None:
    """Texts of megabytes end in pieces, whatever they are."""
    one, other = before * 4000, after * 4000
    change = text_change(one, other)
    assert (without(change, Edit.ADDED), without(change, Edit.REMOVED)) == (one, other)


def test_a_change_in_a_large_text_is_found_word_by_word() -> None:
    """What both begin and end with takes no time."""
    rest = " ".join(map(str, range(20_000)))
    change = text_change(f"{rest} Ada {rest}", f"{rest} Bo {rest}")
    assert [(piece.edit, piece.text) for piece in change.pieces][1:3] == [(Edit.REMOVED, "Ada"), (Edit.ADDED, "Bo")]


@pytest.mark.parametrize("end", [" ", "\n"])
def test_a_reason_in_full_has_huge_texts(end: str) -> None:
    """Line by line, whatever they are."""
    old, new = f"head\n{f'a{end}' * 100_000}\ntail", f"head\n{f'b{end}' * 100_000}\ntail"
    lines = Reason(ReasonKind.CHANGED, "input:notes", old_text=old, new_text=new).in_full
    assert lines[:3] == ["input:notes changed", "    head", f"  - {'a ' * 100_000}".rstrip() if end == " " else "  - a"]
    assert lines[-1] == "    tail"


def test_lines_are_marked() -> None:
    """With a sign for each; those that are the same stand between."""
    assert change_in_full("x", "one\n\ntwo\nthree", "one\n\n2\nthree\n") == ["  one", "", "- two", "+ 2", "  three"]


def test_what_json_has_no_word_for_is_named() -> None:
    """What is said of it can be written as JSON."""
    (change,) = text_change('{"a": NaN, "b": 1}', '{"a": NaN, "b": Infinity}').values
    assert (change.path, change.before, change.after) == ("b", 1, "Infinity")


def test_json_that_is_nested_too_deeply_is_a_text() -> None:
    """It is no error."""
    deep = "[" * 3000 + "]" * 3000
    assert text_change(deep, deep + " ").pieces
