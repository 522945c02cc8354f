"""The members of a row that comes from outside: each is checked by the type of its column, and by what its text says.

What passes can be stored in SQLite and in PostgreSQL, and read again. Whether it gives its hashes is not asked here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import BigInteger, Column, Double, Integer, Table

from crew_repo.errors import StoreError
from crew_repo.model import PERSON, ChangeKind, InputKind, Outcome, Reason, ReasonKind, RunStatus
from crew_repo.model.usage import KINDS_OF_TOKENS
from crew_repo.model.wording import shortened
from crew_repo.store.columns import PlainText, UtcText, utc_time
from crew_repo.store.tables import CHANGE, RECORD, RUN, TASK_RUN

__all__ = ["read_members", "shown"]

_SHOWN_CHARACTERS = 80
_Check = Callable[[Any], bool]


def read_members(table: Table, members: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A row with the values that the columns take, and what is wrong with its members: the row is for showing then."""
    row, faults = dict(members), []
    for name, value in members.items():
        try:
            row[name] = _read(table.c[name], value)
        except ValueError as error:
            faults.append(f"its {name} is {shown(value)}, and {error}")
    return row, faults


def shown(value: Any) -> str:
    """A value out of JSON, in a message."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "an array"
    return shortened(json.dumps(value, ensure_ascii=False), _SHOWN_CHARACTERS)


def _read(column: Column[Any], value: Any) -> Any:
    """The value that a column takes. Raises ValueError that says what it is not."""
    if value is None and column.nullable:
        return None
    read = next(read for kind, read in _READ.items() if isinstance(column.type, kind))
    found = read(value)
    if column in _WORDS and found not in _WORDS[column]:
        raise ValueError(f"none of {', '.join(_WORDS[column])}")
    if column in _JSON:
        what, is_one = _JSON[column]
        _check_json(found, what, is_one)
    return found


def _check_json(text: str, what: str, is_one: _Check) -> None:
    try:
        fits = is_one(json.loads(text))
    except (ValueError, RecursionError):
        fits = False
    if not fits:
        raise ValueError(f"no JSON {what}")


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("no text")
    return value


def _time(value: Any) -> Any:
    try:
        return utc_time(value)
    except (StoreError, OverflowError):  # the latter: UTC has that moment in no year from 1 to 9999
        raise ValueError("no time such as 2026-11-23T10:11:12.345678Z") from None


def _number(value: Any) -> float:
    if type(value) in (int, float) and abs(value) <= sys.float_info.max:  # which not a number, an infinity are not
        return float(value)
    raise ValueError("no finite number")


def _whole(bits: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise ValueError(f"no whole number of {bits} bits")
        return value

    return read


_READ: dict[type, Callable[[Any], Any]] = {
    UtcText: _time,
    PlainText: _text,
    BigInteger: _whole(64),
    Integer: _whole(32),
    Double: _number,
}
"""What reads a member, by the type of its column: the first that fits, since a BigInteger is an Integer too."""


def _each(check: _Check) -> _Check:
    return lambda value: type(value) is list and all(map(check, value))


def _by_name(check: _Check) -> _Check:
    return lambda value: type(value) is dict and all(map(check, value.values()))


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_whole(value: Any) -> bool:
    return type(value) is int


def _is_input(value: Any) -> bool:
    """The kind, and the hash or why it is withheld."""
    return (type(value) is list and len(value) == 2 and value[0] in _values(InputKind)
            and (value[1] is None or _is_text(value[1])))  # fmt: skip


def _is_reason(value: Any) -> bool:
    return (_by_name(lambda said: said is None or _is_text(said))(value) and value.get("kind") in _values(ReasonKind)
            and set(value) <= set(Reason.__slots__))  # fmt: skip


def _is_tokens(value: Any) -> bool:
    return _by_name(_is_whole)(value) and set(value) <= set(KINDS_OF_TOKENS)


def _values(words: Iterable[object]) -> tuple[str, ...]:
    return tuple(map(str, words))


_WORDS = {
    RUN.c.status: _values(RunStatus),
    TASK_RUN.c.status: _values(Outcome),
    CHANGE.c.kind: _values(ChangeKind),
    RECORD.c.origin: ("model", PERSON),
}
"""The words of columns that have one of a few."""
_HASHES = ("object of texts", _by_name(_is_text))
_TOKENS = ("object of the tokens of each model", _by_name(_is_tokens))
_JSON = {
    RUN.c.facts: ("object", _by_name(lambda _: True)),
    RUN.c.task_names: ("array of texts", _each(_is_text)),
    RUN.c.input_hashes: ("object of inputs", _by_name(_is_input)),
    RUN.c.waits_for: ("object of texts", _by_name(_is_text)),
    RECORD.c.components: _HASHES,
    RECORD.c.explanations: _HASHES,
    RECORD.c.usage_by_model: _TOKENS,
    TASK_RUN.c.usage_by_model: _TOKENS,
    TASK_RUN.c.reasons: ("array of reasons", _each(_is_reason)),
    CHANGE.c.records: ("array of whole numbers", _each(_is_whole)),
}
"""The columns whose text is JSON that is read again, and of which shape. What hashes cover is compared with these."""
