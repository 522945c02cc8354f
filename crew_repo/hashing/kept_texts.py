"""Texts that may be kept beside a hash, so that a reason can show what was and what is.

A plain value is kept as JSON that gives its hash again, so that `verify` can tell a text that was changed. Whatever may
be a secret, by its name or by its form, is not kept, and neither is what only a user's own names tell of: of that only
numbers and switches.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from crew_repo.canonical import digest
from crew_repo.errors import UnhashableError
from crew_repo.hashing.record_hashes import text_hash
from crew_repo.hashing.walker import walk
from crew_repo.secrets import is_secret_name, masked, may_be_secret_name, secrets_in

__all__ = ["gives", "kept_json", "kept_number", "unescaped"]

_LONGEST = 20_000  # characters; a schema of a hundred fields
_LONGEST_WORD = 200  # characters of one text in a value that is no schema
_LARGEST = 1_000_000
_NUMBERS = frozenset({int, float, bool, type(None)})
_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\r": "\r", '\\"': '"', "\\\\": "\\"}
_ESCAPE = re.compile(r'\\[ntr"\\]')


def kept_json(name: str, value: object, *, words: bool = False) -> str | None:
    """The JSON of a plain value that is called `name`; None for what is not plain, too long, or may be a secret.

    `words`: only words and short texts of a line are kept, as an option has them.
    """
    said = name.rsplit(".", 1)[-1]
    if _may_be_secret(said, value) or not _is_plain(value, words) or secrets_in(value, said):
        return None
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    harmless = len(text) <= _LONGEST and masked(text) == text and masked(unescaped(text)) == unescaped(text)
    return text if harmless else None


def kept_number(name: str, value: object) -> str | None:
    """The JSON of a number or a switch; None for anything else, and for a number as long as an account's."""
    short = type(value) in _NUMBERS and (type(value) is not int or abs(value) < _LARGEST)
    return kept_json(name, value) if short else None


def gives(text: str, sha256: str) -> bool:
    """Whether a kept text gives this hash: as the text that it is, or as the JSON of a value."""
    if text_hash(text) == sha256:
        return True
    try:
        value = json.loads(text)
        return sha256 in (digest("json", value), walk("value", value, "", ordered=False).sha256)
    except (UnhashableError, ValueError, RecursionError):
        return False


def unescaped(text: str) -> str:
    """A JSON text as the texts in it read, among which a secret may be."""
    return _ESCAPE.sub(lambda found: _ESCAPES[found[0]], text) if "\\" in text else text


def _is_plain(value: Any, words: bool) -> bool:
    """Whether a value is JSON to the letter, and none of its members has the name of a secret."""
    if type(value) in _NUMBERS:
        return type(value) is not float or math.isfinite(value)
    if type(value) is str:
        return not words or (len(value) <= _LONGEST_WORD and "\n" not in value)
    if type(value) is list:
        return all(_is_plain(item, words) for item in value)
    return type(value) is dict and all(
        type(name) is str and not _may_be_secret(name, item) and _is_plain(item, words) for name, item in value.items()
    )


def _may_be_secret(name: str, value: object) -> bool:
    """Whether something of this name is not kept; a number of tokens is."""
    counted = type(value) in _NUMBERS and "token" in name.lower()
    return is_secret_name(name) or (may_be_secret_name(name) and not counted)
