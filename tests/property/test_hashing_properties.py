"""Properties of hashing that hold for every value."""

from __future__ import annotations

import copy
import datetime as dt
import json
import string

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from crew_repo.canonical import canonical, encode_json
from crew_repo.hashing import digest, hash_value
from crew_repo.secrets import is_secret_name

texts = st.text(alphabet=st.characters(), max_size=8)
keys = st.text(alphabet=string.ascii_lowercase[:4], max_size=3)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
json_values = st.recursive(scalars, lambda some: st.lists(some, max_size=4) | st.dictionaries(keys, some, max_size=4))
hashables = st.recursive(
    scalars | st.binary(max_size=4) | st.dates() | st.decimals(allow_nan=False) | st.uuids() | st.complex_numbers(),
    lambda some: st.tuples(some, some) | st.frozensets(some, max_size=3),
    max_leaves=6,
)
anything = st.recursive(
    hashables | st.builds(object) | st.builds(dt.datetime.now) | st.sampled_from([int, len, json, iter, string]),
    lambda some: st.lists(some) | st.sets(hashables) | st.dictionaries(hashables, some) | st.builds(iter, st.lists(some)),
    max_leaves=12,
)


def reversed_order(value: object) -> object:
    """An equal value whose dicts are in the reverse order."""
    if isinstance(value, dict):
        return {key: reversed_order(member) for key, member in reversed(value.items())}
    return [reversed_order(member) for member in value] if isinstance(value, list) else value


@settings(max_examples=100, deadline=None)
@given(json_values)
def test_equal_values_hash_equal(value):
    """A copy hashes like the original, in whatever order its dicts are."""
    assert hash_value(value, "v") == hash_value(copy.deepcopy(value), "v") == hash_value(reversed_order(value), "v")
    assert digest("v", value) == digest("v", reversed_order(value))


@settings(max_examples=200, deadline=None)
@given(json_values, json_values)
def test_different_values_hash_differently(one, other):
    """Two JSON values share a hash only if they are the same JSON, and of the same types."""
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (hash_value(one, "v") == hash_value(other, "v")) == same
    assert (digest("v", one) == digest("v", other)) == same


@settings(max_examples=100, deadline=None)
@given(anything)
def test_hashing_never_raises(value):
    """Any value has a hash, the same each time, and what is opaque in it is named below the root."""
    hashed = hash_value(value, "root")
    assert hashed == hash_value(value, "root")
    assert len(hashed.sha256) == 64
    assert all(opaque.path.startswith("root") for opaque in hashed.opaque)


@settings(max_examples=100, deadline=None)
@given(json_values)
def test_the_writer_of_canonical_json_agrees_with_the_reference(value):
    """Encoded values come out as RFC 8785 has them."""
    encoded = encode_json(value)
    assert canonical(encoded).encode() == rfc8785.dumps(encoded)


@settings(max_examples=100, deadline=None)
@given(st.sets(hashables, max_size=6))
def test_sets_have_no_order(values):
    """A set hashes the same however it was filled."""
    assert hash_value(values, "v") == hash_value(set(values), "v")


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_any_text_may_be_asked_for_as_a_name(name):
    """Whether a name is a secret's is decided for any text, whatever its case."""
    assert is_secret_name(name) in {True, False}
