"""What a template prints: whatever a text holds, it stands there and does nothing."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crew_repo.page.rendering import _environment, bounded, clean, duration, fitted
from tests.hostile import HOSTILE

TEXTS = st.text(st.characters(exclude_categories=())) | st.sampled_from(HOSTILE)


class Seen(HTMLParser):
    """The tags, attributes and texts that a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str] = []
        self.texts = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data):
        self.texts += data


@settings(max_examples=50, deadline=None)
@given(TEXTS)
def test_a_text_is_a_text(text):
    """In an element and in an attribute there is the text, and no tag more."""
    seen = Seen(_environment().from_string('<p title="{{ text }}">{{ text }}</p>').render(text=text))
    assert seen.tags == ["p"]
    assert (seen.texts, seen.values) == (clean(text), [clean(text)])


@settings(max_examples=50, deadline=None)
@given(TEXTS)
def test_a_clean_text_can_be_written(text):
    """It is UTF-8, holds nothing that a browser refuses or that turns the direction, and is clean already."""
    cleaned = clean(text)
    cleaned.encode()
    assert not any(ord(char) < 32 and char not in "\n\t" for char in cleaned)
    assert not set(cleaned) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize("text", ["Größe 5 €", "مرحبا", "שלום", "保険金請求", "a\u200fb", "👩‍👩‍👧", "é à", "नमस्ते", "सि"])
def test_foreign_texts_stay(text):
    """What people write in any script is left as it is."""
    assert clean(text) == text


@settings(max_examples=50, deadline=None)
@given(TEXTS, st.integers(1, 50))
def test_what_is_left_out_is_counted(text, most):
    """Of a long text there is the beginning, and how much is left out."""
    part = bounded(text, most)
    assert part.text + text[len(part.text) :] == text
    assert part.left_out == len(text) - len(part.text)
    assert len(part.text) <= most + most // 5


@settings(max_examples=50, deadline=None)
@given(TEXTS, st.integers(1, 50))
def test_a_label_fits(text, most):
    """It is one line, and no longer than there is room for."""
    assert "\n" not in fitted(text, most)
    assert len(fitted(text, most)) <= most + 1


def test_durations():
    """Times are said in the units that people use."""
    assert [duration(each) for each in (None, 0.04, 59.0, 250, 7500)] == ["", "0.0 s", "59.0 s", "4 min 10 s", "2 h 5 min"]
