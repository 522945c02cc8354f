"""Canonical JSON: one text for equal data. Every hash of crew_repo is made here, from such a text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import pbkdf2_hmac, sha256
from types import EllipsisType, NoneType
from typing import Any, TypeAlias

from crew_repo.errors import UnhashableError

__all__ = [
    "FORMAT",
    "SCALARS",
    "Encoded",
    "JsonValue",
    "canonical",
    "digest",
    "encode_json",
    "encode_text",
    "private_digest",
    "seal",
]

FORMAT: int = 1

JsonValue: TypeAlias = "bool | int | float | str | bytes | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
Encoded: TypeAlias = "bool | int | str | list[Any] | None"

_LARGEST_EXACT = 2**53 - 1
_ROUNDS = 20_000  # about 10 ms

# Encoded values hold no floats and no objects, and for those this is RFC 8785 to the byte (a test compares the two),
# in a quarter of the time.
_dumps = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode


def canonical(encoded: Encoded) -> str:
    """The RFC 8785 text of an encoded value."""
    return _dumps(encoded)


def seal(kind: str, encoded: Encoded) -> str:
    """SHA-256 of an encoded value, tagged with its record type and the format; 64 hex digits."""
    return sha256(_dumps(["crew_repo", kind, FORMAT, encoded]).encode()).hexdigest()


def digest(kind: str, value: JsonValue) -> str:
    """SHA-256 of a JSON value, tagged with its record type and the format; 64 hex digits.

    Raises UnhashableError for what JSON has no word for; `hash_value` takes anything.
    """
    return seal(kind, encode_json(value))


@lru_cache(maxsize=1024)
def private_digest(kind: str, value: str, *, salt: str) -> str:
    """A hash of a text that is, or may hold, a secret: salted with what stands around it, and slow; 64 hex digits.

    It is equal on every machine, so that an export needs no salt of its own; no table of plain hashes finds the value,
    and to guess at it takes thousands of times as long.
    """
    salted = canonical(["crew_repo", kind, FORMAT, encode_text(salt)]).encode()
    return pbkdf2_hmac("sha256", value.encode("utf-8", "surrogatepass"), salted, _ROUNDS).hex()


def encode_json(value: JsonValue) -> Encoded:
    """A JSON value as scalars and tagged lists, so that 1, 1.0, True and "1" stay apart."""
    plain = SCALARS.get(type(value))
    if plain is not None:
        return plain(value)
    if isinstance(value, (list, tuple)):
        return ["list", *map(encode_json, value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return ["dict", *([encode_text(key), encode_json(value[key])] for key in sorted(value))]
    for kind, scalar in SCALARS.items():
        if isinstance(value, kind):
            return scalar(value)
    raise UnhashableError(f"A {type(value).__qualname__} is not JSON; pass it to hash_value instead.")


def _same(value: Any) -> Encoded:
    return value  # type: ignore[no-any-return]


def encode_text(value: str) -> Encoded:
    """A text; half a surrogate pair, which UTF-8 has no bytes for, by its UTF-16."""
    if value.isascii():
        return str(value)
    try:
        value.encode()
    except UnicodeEncodeError:
        return ["surrogates", value.encode("utf-16-be", "surrogatepass").hex()]
    return str(value)


def _int(value: int) -> Encoded:
    if -_LARGEST_EXACT <= value <= _LARGEST_EXACT:
        return int(value)
    return ["int", hex(value)]  # decimal digits beyond 4,300 would raise


def _float(value: float) -> Encoded:
    return ["float", float.hex(value)]  # exact; tells -0.0 from 0.0, and has words for nan and inf


def _bytes(value: bytes) -> Encoded:
    return ["bytes", len(value), sha256(value).hexdigest()]


SCALARS: dict[type, Callable[[Any], Encoded]] = {
    str: encode_text,
    bool: _same,
    int: _int,
    NoneType: _same,
    float: _float,
    bytes: _bytes,
    complex: lambda value: ["complex", float.hex(value.real), float.hex(value.imag)],
    EllipsisType: lambda _: ["ellipsis"],
}
