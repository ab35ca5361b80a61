"""What redacted URLs, photos and texts show."""

import importlib
import pkgutil
import traceback
import unicodedata
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import photoanimer_async
from photoanimer_async.redaction import (
    encodable,
    printable,
    safe_text,
    shown_error,
    shown_origin,
    shown_photo,
    shown_url,
    without_queries,
    without_secret,
)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/a.jpg", "https://host/a.jpg"),
        ("https://host:8443/a.jpg?sig=1", "https://host:8443/a.jpg?…"),
        ("https://user:pw@host/a.jpg#part", "https://host/a.jpg"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("http://host:port/a", "(an invalid URL)"),
        ("http://[::1/a", "(an invalid URL)"),
    ],
)
def test_shown_url_omits_user_query_and_fragment(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_shown_origin_omits_the_path() -> None:
    assert shown_origin("https://user:pw@host:8443/hooks/s3cret?x=1") == "https://host:8443"
    assert shown_origin("https://host?s3cret") == "https://host"
    assert shown_origin("http://[::1/s3cret") == "(an invalid URL)"


def test_shown_photo_names_urls_paths_and_bytes() -> None:
    assert shown_photo("https://host/a.jpg?sig=1") == "https://host/a.jpg?…"
    assert shown_photo(Path("photos/grandma.jpg")) == "photos/grandma.jpg"
    assert shown_photo(b"12345") == "photo of 5 bytes"


def test_without_queries_omits_every_query_in_a_text() -> None:
    text = 'fetch of "https://h/a.jpg?sig=1" and http://h/b?x=2&y=3 failed'
    assert without_queries(text) == 'fetch of "https://h/a.jpg?…" and http://h/b?… failed'


def test_without_queries_leaves_what_is_without_them_already() -> None:
    text = "https://h/a.jpg?…: refused, http://h/b?…, https://h/c?…"
    assert without_queries(text) == text
    assert without_queries("http://h/b?…&sig=s3cret") == "http://h/b?…"


def test_a_shown_error_has_the_name_and_place_of_another_and_no_more() -> None:
    url = "https://h/a.jpg?sig=1"

    def fail() -> None:
        raise LookupError(url) from TypeError(url)

    with pytest.raises(LookupError) as caught:
        fail()
    shown = "".join(traceback.format_exception(shown_error(caught.value)))
    assert ", in fail\n" in shown
    assert shown.endswith("LookupError\n")
    assert "sig" not in shown
    assert "TypeError: " not in shown
    assert str(shown_error(caught.value, "a text")) == "a text"


@given(st.text() | st.binary().map(lambda b: b.decode(errors="surrogateescape")))
def test_printable_returns_one_short_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) <= 121


@given(st.text())
def test_shown_url_accepts_any_text(tail: str) -> None:
    shown = shown_url("http://host/" + tail)
    assert shown.isprintable()


def test_without_secret_removes_a_key_but_no_short_word() -> None:
    assert without_secret("the key abcd1234 is unknown", "abcd1234") == "the key ... is unknown"
    assert without_secret("any key is unknown", "any") == "any key is unknown"


HOSTILE = "no face \ud83d\x1b[2J\x00\u202eend\r\nSet-Cookie: a"


def test_safe_text_is_one_line_without_controls() -> None:
    assert safe_text(HOSTILE) == "no face \ufffd\ufffd[2J\ufffd\ufffdend  Set-Cookie: a"
    assert safe_text("a\x1bb\ud800", mark="_") == "a_b_"
    assert safe_text("\ud83d\ude00 na\u200d\u00efve \u05d0") == "\U0001f600 na\u200d\u00efve \u05d0"


@given(st.text(st.characters(exclude_categories=())), st.integers(1, 50))
def test_safe_text_is_bounded_and_can_be_stored(text: str, limit: int) -> None:
    safe = safe_text(text, limit=limit)
    safe.encode()
    assert len(safe) <= limit
    assert not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in safe)


@given(st.text(st.characters(exclude_categories=())))
def test_encodable_changes_halves_of_surrogate_pairs_only(text: str) -> None:
    safe = encodable(text)
    safe.encode()
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert safe == text


SECRET_NAMES = {
    *("api_key", "key", "secret", "token", "notify_secret", "notify_url", "proxy", "query"),
    *("image_url", "voice_url", "url", "link", "body", "headers"),
}
"""Names of fields whose values may be, or contain, a key, a token or the query of a URL."""

HARMLESS = {
    "Animation.url": "the saved object",
    "Notification.body": "what the service posts",
}


def test_no_generated_repr_shows_a_field_that_may_be_a_secret() -> None:
    shown: set[str] = set()
    for module in pkgutil.walk_packages(photoanimer_async.__path__, "photoanimer_async."):
        for kind in vars(importlib.import_module(module.name)).values():
            is_ours = getattr(kind, "__module__", "").startswith("photoanimer_async")
            if not is_ours or not isinstance(kind, type) or not attrs.has(kind):
                continue
            if kind.__repr__.__code__.co_filename.startswith("<attrs generated"):
                shown |= {
                    f"{kind.__name__}.{field.name}"
                    for field in attrs.fields(kind)
                    if field.name.strip("_") in SECRET_NAMES and field.repr is True
                }
    assert shown == set(HARMLESS)
