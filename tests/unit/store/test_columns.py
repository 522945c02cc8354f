"""Text and times, as they are stored."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crew_repo.errors import StoreError
from crew_repo.store.columns import restored, storable, utc_text, utc_time


@given(st.text(st.characters(codec=None) | st.sampled_from("\x00\uffff\ud800\udfff0f")))
def test_every_text_comes_back(text: str) -> None:
    """Whatever Python can hold, and what is stored is valid UTF-8 without NUL."""
    stored = storable(text)
    assert restored(stored) == text
    assert b"\x00" not in stored.encode()


def test_ordinary_text_is_stored_as_it_is() -> None:
    """A person at a SQL prompt sees what the model said."""
    for text in ("", "plain", "Zürich, 漢字 \U0001f600\n\t'\""):
        assert storable(text) == text


@given(st.datetimes(timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=-5, minutes=-30))])))
def test_every_time_comes_back(moment: datetime) -> None:
    """As the same moment, in UTC."""
    try:
        stored = utc_text(moment)
    except OverflowError:
        return
    assert utc_time(stored) == moment
    assert len(stored) == len("2026-11-23T10:11:12.345678Z")


def test_a_time_without_a_zone_is_refused() -> None:
    """Nobody could say later what it meant."""
    with pytest.raises(ValueError, match="without a time zone"):
        utc_text(datetime(2026, 11, 23))


def test_times_that_people_type_are_read() -> None:
    """With seconds only, with milliseconds, with an offset."""
    assert utc_time("2026-11-23T10:11:12Z") == datetime(2026, 11, 23, 10, 11, 12, tzinfo=timezone.utc)
    assert utc_time("2026-11-23T10:11:12.345Z").microsecond == 345000
    assert utc_time("2026-11-23T10:11:12+02:00").hour == 8
    with pytest.raises(StoreError, match="where a time should be"):
        utc_time("yesterday")
