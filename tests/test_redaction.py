"""What of a URL or a photo may be shown."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.redaction import (
    printable,
    shown_origin,
    shown_photo,
    shown_url,
    without_queries,
)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/a.jpg", "https://host/a.jpg"),
        ("https://host:8443/a.jpg?sig=1", "https://host:8443/a.jpg?…"),
        ("https://user:pw@host/a.jpg#part", "https://host/a.jpg"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("http://host:port/a", "(a URL that can not be read)"),
        ("http://[::1/a", "(a URL that can not be read)"),
    ],
)
def test_a_url_is_shown_without_what_opens_it(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_of_a_url_with_a_token_in_its_path_only_the_origin_is_shown() -> None:
    assert shown_origin("https://user:pw@host:8443/hooks/s3cret?x=1") == "https://host:8443"
    assert shown_origin("https://host?s3cret") == "https://host"
    assert shown_origin("http://[::1/s3cret") == "(a URL that can not be read)"


def test_photos_are_named() -> None:
    assert shown_photo("https://host/a.jpg?sig=1") == "https://host/a.jpg?…"
    assert shown_photo(Path("photos/grandma.jpg")) == "photos/grandma.jpg"
    assert shown_photo(b"12345") == "photo of 5 bytes"


def test_queries_inside_a_text_are_left_out() -> None:
    text = 'fetch of "https://h/a.jpg?sig=1" and http://h/b?x=2&y=3 failed'
    assert without_queries(text) == 'fetch of "https://h/a.jpg?…" and http://h/b?… failed'


@given(st.text() | st.binary().map(lambda b: b.decode(errors="surrogateescape")))
def test_what_is_shown_is_one_short_printable_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) <= 121


@given(st.text())
def test_any_url_can_be_shown(tail: str) -> None:
    shown = shown_url("http://host/" + tail)
    assert shown.isprintable()
