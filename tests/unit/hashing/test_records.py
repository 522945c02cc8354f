"""The hashes of records: what takes part in each."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from hashlib import sha256

import pytest
import rfc8785

from crew_repo import canonical as canonical_json
from crew_repo.canonical import canonical, encode_json
from crew_repo.errors import UnhashableError
from crew_repo.hashing import context_hash, definition_hash, digest, input_hash, output_hash, text_hash
from crew_repo.model import Component, StoredResult


def test_the_contract():
    """The pre-image is canonical JSON of the package, the record type, the format and the value."""
    text = b'["crew_repo","text",1,"abc"]'
    assert rfc8785.dumps(json.loads(text)) == text
    assert text_hash("abc") == sha256(text).hexdigest() == digest("text", "abc")


def test_the_record_type_takes_part():
    """One text is another thing as a text, a context and an output."""
    assert len({text_hash("a"), context_hash("a"), digest("output", "a"), digest("other", "a")}) == 4


def test_the_format_takes_part(monkeypatch):
    """A new format changes every hash."""
    before = text_hash("a")
    monkeypatch.setattr(canonical_json, "FORMAT", 2)
    assert text_hash("a") != before


@pytest.mark.parametrize("value", ["é\u2028\x7f\x00\"\\/\b\n", 2**53 - 1, 0.1, -0.0, {"b": [1, None], "a": "\ud800"}])
def test_pre_images_are_rfc_8785(value):
    """The fast writer of canonical JSON agrees with the reference, to the byte."""
    encoded = encode_json(value)
    assert canonical(encoded).encode() == rfc8785.dumps(encoded)


def test_json_values_stay_apart():
    """1, 1.0, True and "1" are four values; so are 0.0 and -0.0."""
    values = [1, 1.0, True, "1", None, 0.0, -0.0, [], {}, [1], ["list", 1], {"a": 1}, float("nan"), float("inf"), 2**80]
    assert len({digest("x", value) for value in values}) == len(values)
    assert digest("x", {"a": 1, "b": 2}) == digest("x", {"b": 2, "a": 1})


@pytest.mark.parametrize("value", [object(), {1: 2}, {1, 2}, [len]])
def test_what_is_not_json_is_refused(value):
    """`digest` takes JSON only, and names the way out."""
    with pytest.raises(UnhashableError, match="hash_value"):
        digest("x", value)


def test_only_acting_components_take_part():
    """Components that only explain, texts and the order change no definition."""
    a, b = Component("a", "1"), Component("b", "2")
    assert definition_hash([a, b]) == definition_hash([b, a, Component("c", "3", acts=False)])
    assert definition_hash([a]) == definition_hash([replace(a, text="shown")])
    assert definition_hash([a]) != definition_hash([a, b])
    assert definition_hash([a]) != definition_hash([replace(a, sha256="2")])
    assert definition_hash([a]) != definition_hash([replace(a, path="b")])
    assert definition_hash([a, b]) != definition_hash([Component("a", "2"), Component("b", "1")])


def test_every_ingredient_of_the_input_hash_takes_part():
    """Definition, context and occurrence each change the input hash."""
    assert len({input_hash(*some) for some in (("a", "b", 0), ("b", "a", 0), ("a", "c", 0), ("a", "b", 1))}) == 4


@pytest.mark.parametrize("name", [field.name for field in fields(StoredResult)])
def test_every_member_of_a_result_takes_part(name):
    """An edit of any member by hand is noticed."""
    result = StoredResult(raw="a")
    assert output_hash(result) == output_hash(StoredResult(raw="a"))
    assert output_hash(replace(result, **{name: "changed"})) != output_hash(result)
