"""Templates with autoescape, and what they say numbers, times and texts with.

Whatever a text holds, it is shown and does nothing: HTML is escaped, and what a reader of the page would obey, as an
override of the direction, stands there by its number.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["Bounded", "bounded", "clean", "duration", "fitted", "rendered"]

# Of these a parser of HTML makes nothing, or refuses them; the second kind turns the direction of what follows.
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_MARKS = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_MANY_MARKS = re.compile(f"({_MARKS}{{3}}){_MARKS}+")  # they would climb over other lines
_WIDE = ("W", "F")


class Bounded(NamedTuple):
    """The beginning of a text, and how many characters are left out."""

    text: str
    left_out: int


def rendered(template: str, /, **values: Any) -> str:
    """The text that a template makes of these values."""
    return _environment().get_template(template).render(**values)


def clean(text: str) -> str:
    """A text that any browser shows as it is: unreadable characters as `�`, turns of the direction by their number."""
    if text.isascii() and text.isprintable():
        return text
    text = _UNREADABLE.sub("�", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _TURNS.sub(lambda found: f"⟨U+{ord(found.group()):04X}⟩", text)
    return _MANY_MARKS.sub(r"\1", text)


def bounded(text: str, most: int) -> Bounded:
    """The beginning of a text; a little more than `most` characters is not cut."""
    if len(text) <= most + most // 5:
        return Bounded(text, 0)
    return Bounded(text[:most], len(text) - most)


def fitted(text: str, most: int) -> str:
    """The beginning of a text on one line, as wide as `most` letters."""
    line, width = " ".join(clean(text[: 8 * most]).split()), 0
    for at, char in enumerate(line):
        width += 2 if unicodedata.east_asian_width(char) in _WIDE else 1
        if width > most:
            return line[: max(1, at - 1)].rstrip() + "…"
    return line if len(text) <= 8 * most else f"{line}…"


def duration(seconds: float | None) -> str:
    """Seconds for people: `0.3 s`, `4 min 10 s`, `2 h 5 min`; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def _moment(time: datetime | None) -> str:
    """The time to the second, in UTC."""
    return "" if time is None else f"{time:%Y-%m-%d %H:%M:%S}"


def _whole(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def _amount(number: float) -> str:
    """A number of tokens, which is whole, or of seconds."""
    return duration(number) if isinstance(number, float) else f"{number:,}"


def _as_text(value: object) -> str:
    """A value as JSON has it, a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class _Pieces(NamedTuple):
    pieces: list[Any]
    left_out: int


def _first_of(pieces: Sequence[Any], most: int) -> _Pieces:
    """The first pieces of a text, as many as fit, and how many characters the others have."""
    found: list[Any] = []
    for piece in pieces:
        if most <= 0:
            break
        found.append(piece if len(piece.text) <= most else replace(piece, text=f"{piece.text[:most]}…"))
        most -= len(piece.text)
    return _Pieces(found, sum(len(piece.text) for piece in pieces[len(found) :]) + max(0, -most))


class _Bar(NamedTuple):
    name: str
    spent: float
    saved: float


def _scaled(periods: Sequence[Any], spent: str, saved: str) -> list[_Bar]:
    """The two members of each period, in percent of the largest sum of them."""
    most = max((getattr(each, spent) + getattr(each, saved) for each in periods), default=0) or 1
    return [_Bar(f"{each.name}: {_amount(getattr(each, spent))} spent, {_amount(getattr(each, saved))} saved",
                 *(round(100 * getattr(each, member) / most, 2) for member in (spent, saved)))
            for each in periods]  # fmt: skip


def _shown(value: object) -> object:
    """All that a template prints passes here, but what is markup already."""
    return value if isinstance(value, Markup) else clean(str(value))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("crew_repo.page"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        amount=_amount, as_text=_as_text, bounded=bounded, duration=duration, first_of=_first_of, fitted=fitted,
        moment=_moment, scaled=_scaled, whole=_whole,
    )  # fmt: skip
    environment.globals.update(percent=_percent)
    return environment
