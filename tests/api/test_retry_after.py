"""`Retry-After` is a number of seconds or a date."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.api.retry_after import parse_retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("999999999999", 86_400.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:30", 10.0),
        ("Tue, 14 Nov 2000 00:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        ("120.5", 120.5),
        ("120.", 120.0),
        (".5", 0.5),
        ("+7", 7.0),
        ("1e3", None),
        ("nan", None),
        ("9" * 10_000, 86_400.0),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", None),
        ("Mon, 01 Jan 99999 00:00:00 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Mon, 01 Jan 9999 23:59:59 -2359", 86_400.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, now=1_700_000_000.0) == seconds


@given(
    st.text() | st.from_regex(r"(Mon, )?[0-9]{1,3} Jan [0-9]{1,6} [0-9:]{1,12} [+-]?[0-9]{1,20}")
)
def test_any_text_gives_seconds_or_nothing(value: str) -> None:
    seconds = parse_retry_after(value, now=1_700_000_000.0)
    assert seconds is None or 0 <= seconds <= 86_400


def test_a_date_without_a_time_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        assert parse_retry_after("Tue, 14 Nov 2023 22:14:20 -0000", now=1_700_000_000.0) == 60.0
    finally:
        monkeypatch.undo()
        time.tzset()
