"""Changes between two texts: member by member where both are JSON, else word by word."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from crew_repo.model.text import TextEnum

__all__ = ["Edit", "Grain", "Piece", "TextChange", "ValueChange", "changed_lines", "json_of", "text_change",
           "value_changes"]  # fmt: skip

_LONGEST_JSON = 5_000_000
_WORK = 8_000_000  # comparisons of two words: a second or two
_WORD = re.compile(r"\s+|\w+(?:[.,:/-]\w+)*|[^\w\s]")  # 8,140.00 and 2025-03-12 are words
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class Edit(TextEnum):
    """The edit that leads from what was to what is."""

    SAME = "same"
    REMOVED = "removed"
    ADDED = "added"
    CHANGED = "changed"


class Grain(TextEnum):
    """The size of the pieces of two texts that were compared.

    WORDS, unless that would take too long: then LINES, or WHOLE, which is all between the beginning and the end that
    the texts share.
    """

    WORDS = "words"
    LINES = "lines"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class ValueChange:
    """One value in a JSON text that is not what it was. `path` is such as `limits[2].amount`; empty for the whole."""

    path: str
    edit: Edit
    before: Any = None
    after: Any = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {"path": self.path, "edit": str(self.edit), "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text that both texts have, or only the one before (REMOVED), or only the one after (ADDED)."""

    edit: Edit
    text: str


@dataclass(frozen=True, slots=True)
class TextChange:
    """The change from one text to another.

    `values` are the members that differ, if both texts are the JSON of objects or lists. Of other texts `pieces` are
    all parts in order: without the ADDED ones they are `before`, without the REMOVED ones `after`. `grain` is their
    size.
    """

    before: str
    after: str
    values: tuple[ValueChange, ...] = ()
    pieces: tuple[Piece, ...] = ()
    grain: Grain = Grain.WORDS

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict: `pieces` are pairs of an edit and a text."""
        return {
            "before": self.before,
            "after": self.after,
            "values": [value.to_dict() for value in self.values],
            "pieces": [[str(piece.edit), piece.text] for piece in self.pieces],
            "grain": str(self.grain),
        }


def text_change(before: str, after: str) -> TextChange:
    """Compare two texts: by their members if both are JSON, else by words, or by lines if they are very long."""
    values = value_changes(json_of(before), json_of(after))
    if values:
        return TextChange(before, after, values=values)
    pieces, grain = _pieces(before, after)
    return TextChange(before, after, pieces=pieces, grain=grain)


def changed_lines(before: str, after: str) -> list[Piece]:
    """Compare two texts line by line; each piece is a line, without its end."""
    one, other = ([f"{line}\n" for line in text.splitlines()] for text in (before, after))
    pieces = _compared(one, other, _apart)
    with suppress(_TooLongError):
        pieces = iter(list(_compared(one, other, _alike)))
    return [Piece(piece.edit, line) for piece in _joined(pieces) for line in piece.text.split("\n")[:-1]]


def json_of(text: str) -> Any:
    """The object or list that a text is the JSON of; None for anything else. A NaN is read as its name."""
    if text[:1] not in ("{", "[") or len(text) > _LONGEST_JSON:
        return None
    try:
        return json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return None


def value_changes(before: Any, after: Any) -> tuple[ValueChange, ...] | None:
    """Compare two objects, or two lists, member by member; None if they are not both one of these.

    Items that are put into a list, or taken out, are named by their places. True, 1, 1.0 and "1" differ.
    """
    if not _both(dict, before, after) and not _both(list, before, after):
        return None
    try:
        return tuple(_differing("", before, after))
    except RecursionError:
        return None


def _differing(path: str, one: Any, other: Any) -> Iterator[ValueChange]:
    if _both(dict, one, other):
        for key in dict.fromkeys([*one, *other]):
            where = f"{path}.{key}" if path else str(key)
            yield from _member(where, one, other, key if key in one else None, key if key in other else None)
    elif _both(list, one, other):
        yield from _items(path, one, other)
    elif _said(one) != _said(other):
        yield ValueChange(path, Edit.CHANGED, one, other)


def _items(path: str, one: list[Any], other: list[Any]) -> Iterator[ValueChange]:
    """Compare the items of two lists: pairs of them, between the beginning and the end that the lists share."""
    head, tail = (0, 0) if len(one) == len(other) else _shared(list(map(_said, one)), list(map(_said, other)))
    ends = len(one) - tail, len(other) - tail
    for at in range(head, max(ends)):
        yield from _member(f"{path}[{at}]", one, other, *(at if at < end else None for end in ends))


def _member(path: str, one: Any, other: Any, old: Any, new: Any) -> Iterator[ValueChange]:
    """Compare the member at `old` of one with that at `new` of the other; None where there is none."""
    if new is None:
        yield ValueChange(path, Edit.REMOVED, before=one[old])
    elif old is None:
        yield ValueChange(path, Edit.ADDED, after=other[new])
    else:
        yield from _differing(path, one[old], other[new])


def _both(kind: type, one: object, other: object) -> bool:
    return isinstance(one, kind) and isinstance(other, kind)


def _said(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


class _TooLongError(Exception):
    """A comparison that would take more than `_WORK`."""


class _Words(SequenceMatcher[str]):
    """A comparison that gives up. White space alone is nothing that two texts have in common."""

    def __init__(self, one: Sequence[str], other: Sequence[str]) -> None:
        numbers = Counter(other)
        self._each = 1 + sum(numbers[word] for word in one if not word.isspace()) / max(1, len(one))
        self._length, self._left = len(one), float(_WORK)
        super().__init__(str.isspace, one, other, autojunk=False)

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Any:
        """Find what the two have in common here, and count what that takes."""
        self._left -= ((self._length if ahi is None else ahi) - alo) * self._each
        if self._left < 0:
            raise _TooLongError
        return super().find_longest_match(alo, ahi, blo, bhi)


def _pieces(before: str, after: str) -> tuple[tuple[Piece, ...], Grain]:
    """Compare two texts in pieces as small as can be. Both directions give the same pieces."""
    by_lines = [(_LINE, Grain.LINES)] if "\n" in before and "\n" in after else []
    for pattern, grain in [(_WORD, Grain.WORDS), *by_lines]:
        with suppress(_TooLongError):
            return tuple(_joined(_compared(pattern.findall(before), pattern.findall(after), _alike))), grain
    return tuple(_joined(_compared(_WORD.findall(before), _WORD.findall(after), _apart))), Grain.WHOLE


def _compared(one: list[str], other: list[str], between: Callable[..., Iterator[Piece]]) -> Iterator[Piece]:
    """Compare what is between the beginning and the end that both share."""
    if other < one:  # difflib prefers the first text
        turned = {Edit.REMOVED: Edit.ADDED, Edit.ADDED: Edit.REMOVED, Edit.SAME: Edit.SAME}
        yield from (Piece(turned[piece.edit], piece.text) for piece in _compared(other, one, between))
        return
    head, tail = _shared(one, other)
    yield Piece(Edit.SAME, "".join(one[:head]))
    yield from between(one[head : len(one) - tail], other[head : len(other) - tail])
    yield Piece(Edit.SAME, "".join(one[len(one) - tail :]))


def _alike(one: list[str], other: list[str]) -> Iterator[Piece]:
    """Tell what two texts have in common from what they have not."""
    for edit, at, end, start, stop in _Words(one, other).get_opcodes():
        if edit == "equal":
            yield Piece(Edit.SAME, "".join(one[at:end]))
        else:
            yield from _apart(one[at:end], other[start:stop])


def _apart(one: list[str], other: list[str]) -> Iterator[Piece]:
    yield Piece(Edit.REMOVED, "".join(one))
    yield Piece(Edit.ADDED, "".join(other))


def _shared(one: Sequence[str], other: Sequence[str]) -> tuple[int, int]:
    """How many items both begin with, and how many of the others both end with."""
    most = min(len(one), len(other))
    head = next((at for at in range(most) if one[at] != other[at]), most)
    tail = next((at for at in range(most - head) if one[-1 - at] != other[-1 - at]), most - head)
    return head, tail


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Put pieces of one kind together that follow each other; what is removed stands before what is added."""
    removed = added = same = ""
    for piece in pieces:
        if piece.edit is Edit.SAME:
            same += piece.text
            continue
        if same and piece.text:
            yield from _edits(removed, added)
            yield Piece(Edit.SAME, same)
            removed = added = same = ""
        removed += piece.text if piece.edit is Edit.REMOVED else ""
        added += piece.text if piece.edit is Edit.ADDED else ""
    yield from _edits(removed, added)
    if same:
        yield Piece(Edit.SAME, same)


def _edits(removed: str, added: str) -> Iterator[Piece]:
    if removed:
        yield Piece(Edit.REMOVED, removed)
    if added:
        yield Piece(Edit.ADDED, added)
