"""Texts for people: changes as `old -> new`, lists that fit on a line, and tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from crew_repo.model.text_changes import (
    Edit,
    Grain,
    Piece,
    TextChange,
    ValueChange,
    changed_lines,
    json_of,
    text_change,
    value_changes,
)

__all__ = [
    "change_between",
    "change_in_full",
    "change_on_one_line",
    "listed",
    "marked",
    "notebook_html",
    "on_one_line",
    "plural",
    "shortened",
    "text_table",
]

_WIDEST = 48  # characters of a text on one line
_BEFORE = 16  # characters shown before the first difference
_FEW = 2  # differences of a schema that are named
_SHOWN = 8  # differences of an answer that are shown
_LONG = 200  # characters of a difference that are shown
_MARKS = {Edit.SAME: "{}", Edit.REMOVED: "[-{}-]", Edit.ADDED: "{{+{}+}}"}
_SIGNS = {Edit.SAME: " ", Edit.REMOVED: "-", Edit.ADDED: "+"}


def shortened(text: str, most: int = _WIDEST) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def listed(names: Sequence[str], most: int = 6, *, between: str = ", ") -> str:
    """Names with commas between them, and how many more there are."""
    more = len(names) - most
    return between.join(names[:most]) + (f" and {more} more" if more > 0 else "")


def plural(number: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def on_one_line(component: str, text: str) -> str:
    """A stored text, shortened to one line. A model is shown by its name."""
    return shortened(_model(component, text) or text) or "(empty)"


def change_on_one_line(component: str, old: str, new: str) -> str:
    """Show a change as `old -> new`. Long texts are cut around the first difference, JSON is compared by members."""
    if _model(component, old) and _model(component, new):
        return f"{_model(component, old)} -> {_model(component, new)}"
    found = _differences(old, new)
    if found is not None:
        return listed(found, _FEW)
    return _around(old, new)


def change_in_full(component: str, old: str, new: str) -> list[str]:
    """Both texts at full length, as a diff: `-` marks removed lines, `+` added ones."""
    one, other = (_model(component, text) or _laid_out(text) for text in (old, new))
    return [f"{_SIGNS[piece.edit]} {piece.text}".rstrip() for piece in changed_lines(one, other)]


def change_between(component: str, old: str, new: str) -> TextChange:
    """Compare two texts of a component: models by their names."""
    one, other = (_model(component, text) or text for text in (old, new))
    return text_change(one, other)


def marked(change: TextChange, *, full: bool = False) -> list[str]:
    """Lines that show a change: values by path, or the text with `[-removed-]` and `{+added+}` words.

    Unless it is to be shown in full, it is one line, with the words next to what differs.
    """
    if change.values:
        lines = list(map(value_in_full if full else value_on_one_line, change.values))
        return lines if full else [listed(lines, _SHOWN, between="; ")]
    pieces = change.pieces if full else _nearby(change.pieces)
    text = "".join(_MARKS[piece.edit].format(piece.text if full else _in_short(piece)) for piece in pieces)
    return [*(text.splitlines() if full else [" ".join(text.split())]), *_too_long(change)]


def _nearby(pieces: Sequence[Piece]) -> list[Piece]:
    """The first differences, and of what is the same between them only what is next to them."""
    differing = [at for at, piece in enumerate(pieces) if piece.edit is not Edit.SAME]
    more = len(differing) - 2 * _SHOWN
    end = differing[2 * _SHOWN] if more > 0 else len(pieces)
    found = [_cut(piece, at == 0, at == len(pieces) - 1) for at, piece in enumerate(pieces[:end])]
    return found + ([Piece(Edit.SAME, f" … and {more} more")] if more > 0 else [])


def _cut(piece: Piece, first: bool, last: bool) -> Piece:
    """A piece that is the same, without what is far from the nearest difference."""
    text = piece.text
    if piece.edit is not Edit.SAME or len(text) <= 2 * _WIDEST:
        return piece
    begun, end = text[:_WIDEST].rpartition(" "), text[-_WIDEST:].partition(" ")
    before = "" if first else begun[0] + begun[1] or begun[2]
    return Piece(piece.edit, f"{before}…{'' if last else end[2] or end[0]}")


def _in_short(piece: Piece) -> str:
    return piece.text if piece.edit is Edit.SAME or len(piece.text) <= _LONG else piece.text[: _LONG - 1] + "…"


def _too_long(change: TextChange) -> list[str]:
    """A line that says why larger pieces than words were compared, if so."""
    if change.grain is Grain.WORDS:
        return []
    how = "line by line" if change.grain is Grain.LINES else "as a whole"
    return [f"(compared {how}: word by word would take too long)"]


def _model(component: str, text: str) -> str | None:
    """The name in `["openai","gpt-4o"]`, provider and model, as people write it; OpenAI's without their provider."""
    if not component.endswith(".model"):
        return None
    try:
        provider, name = json.loads(text)
    except (TypeError, ValueError):
        return None
    return str(name) if provider in ("", "openai") else f"{provider}/{name}"


def _around(old: str, new: str) -> str:
    one, other = " ".join(old.split()), " ".join(new.split())
    if one == other:
        return "only white space differs"
    if max(len(one), len(other)) <= _WIDEST:
        return f"{one or '(empty)'} -> {other or '(empty)'}"
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, same - _BEFORE)
    start = one.rfind(" ", 0, start) + 1 if start else 0
    start = start if same - start <= 2 * _BEFORE else same - _BEFORE
    return f"{_part(one, start)} -> {_part(other, start)}"


def _part(text: str, start: int) -> str:
    """A part of a text, with a mark where it is cut."""
    return ("…" if start else "") + (shortened(text[start:]) or "(end)")


def _laid_out(text: str) -> str:
    found = json_of(text)
    return text if found is None else json.dumps(found, indent=2, ensure_ascii=False)


def _differences(old: str, new: str) -> list[str] | None:
    """Differences between two JSON texts, member by member; None if one is no object or list.

    Lists of plain values are shown whole: the order of tools is read at a glance.
    """
    one, other = json_of(old), json_of(new)
    found = value_changes(one, other)
    if found and _is_plain_list(one) and _is_plain_list(other):
        return [_around(_said(one), _said(other))]
    return None if found is None else list(map(value_on_one_line, found)) or ["only the layout differs"]


def _is_plain_list(value: object) -> bool:
    return isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value)


def value_on_one_line(change: ValueChange) -> str:
    """Show a change of one value, such as `limits[2]: 3 -> 4`."""
    if change.edit is Edit.REMOVED:
        return f"{change.path} removed: {shortened(_said(change.before))}"
    if change.edit is Edit.ADDED:
        return f"{change.path} added: {shortened(_said(change.after))}"
    return (f"{change.path}: " if change.path else "") + _around(_said(change.before), _said(change.after))


def value_in_full(change: ValueChange) -> str:
    """Show a change of one value with both values whole."""
    if change.edit is Edit.CHANGED:
        return (f"{change.path}: " if change.path else "") + f"{_said(change.before)} -> {_said(change.after)}"
    return f"{change.path} {change.edit}: {_said(change.after if change.edit is Edit.ADDED else change.before)}"


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def text_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Left-aligned columns of text, of which the last is as wide as it is."""
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(len(rows[0]) - 1)] if rows else []
    cells = ([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]] for row in rows)
    return ["  ".join(row).rstrip() for row in cells]


def notebook_html(kind: str, found: Sequence[Mapping[str, str]], **values: Any) -> str:
    """HTML for a notebook: of a "list", "plan", "run" or "diff", with the looks of a report. `found`: its rows."""
    from crew_repo.page import rendered

    header, rows = list(found[0]) if found else [], [list(row.values()) for row in found]
    return rendered("notebook.html", kind=kind, header=header, rows=rows, **values)
