"""A wrong base URL is refused before anything is sent, with what was likely meant."""

import pytest

from photoanimer_async import InvalidRequestError, PhotoAnimerClient
from photoanimer_async.api.base_url import check_base_url, complete_base_url


@pytest.mark.parametrize(
    "url",
    [
        "https://www.cutout.pro/api/v1",
        "https://www.cutout.pro/api/v1/",
        "http://localhost:8765/api/v1",
        "HTTP://[::1]:8765/api/v1",
        "https://gateway.example/photo-animer",
        "http://service/v1",
        "https://bücher.example/api/v1",
    ],
)
def test_right_urls_are_accepted(url: str) -> None:
    check_base_url(url)


@pytest.mark.parametrize(
    ("url", "problem", "meant"),
    [
        ("www.cutout.pro/api/v1", "has no scheme", "https://www.cutout.pro/api/v1"),
        ("www.cutout.pro", "has no scheme", "https://www.cutout.pro/api/v1"),
        ("//www.cutout.pro/api/v1", "has no scheme", "https://www.cutout.pro/api/v1"),
        ("localhost:26999", "has no scheme", "http://localhost:26999/api/v1"),
        ("localhost:26999/api/v1", "has no scheme", "http://localhost:26999/api/v1"),
        ("127.0.0.1:8765", "has no scheme", "http://127.0.0.1:8765/api/v1"),
        ("example.com:443/api/v1", "has no scheme", "https://example.com:443/api/v1"),
        ("[::1]:8765", "has no scheme", "http://[::1]:8765/api/v1"),
        ("http://h.example", "lacks the API's path", "http://h.example/api/v1"),
        ("https://h.example", "lacks the API's path", "https://h.example/api/v1"),
        ("https://h.example/", "lacks the API's path", "https://h.example/api/v1"),
        ("http://localhost:1/api/", "lacks the API's path", "http://localhost:1/api/v1"),
        ("https://h.example/api/v1?key=s3cret", "has a query", "https://h.example/api/v1"),
        ("https://h.example/api/v1?", "has a query", "https://h.example/api/v1"),
        ("https://h.example/?key=s3cret", "has a query", "https://h.example/api/v1"),
        ("https://h.example/api/v1#top", "has a fragment", "https://h.example/api/v1"),
        ("https://h.example/api/v1 ", "contains spaces or control", "https://h.example/api/v1"),
        ("https://h.example/api/v1\n", "contains spaces or control", "https://h.example/api/v1"),
        (
            "https://h.example/api/v1/faceDriven/submitTaskByUrl",
            "names one call",
            "https://h.example/api/v1",
        ),
        (
            "https://h.example/api/v1/faceDriven/getTaskInfo?taskId=1",
            "has a query",
            "https://h.example/api/v1",
        ),
        ("https://me:s3cret@h.example", "lacks the API's path", "https://h.example/api/v1"),
    ],
)
def test_wrong_urls_are_refused_with_what_was_meant(url: str, problem: str, meant: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        PhotoAnimerClient("key", base_url=url)
    text = str(caught.value)
    assert text.startswith(f"base_url {problem}")
    assert text.endswith(f"; did you mean {meant}?")
    assert "s3cret" not in text
    assert text.isprintable()


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://h/api/v1", "file:///etc/passwd", "mailto:me", "C:\\api\\v1", "\ud800", ""),
        *("http://", "http://[x", "http://h:port/api/v1", "http:/h/api/v1", "http:// /api/v1"),
        "http://\x00/api/v1",
    ],
)
def test_other_texts_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="base_url") as caught:
        check_base_url(url)
    assert str(caught.value).isprintable()


def test_other_types_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="base_url must be a str, not int"):
        check_base_url(7)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("localhost:26999", "http://localhost:26999/api/v1"),
        ("127.0.0.1:8765/", "http://127.0.0.1:8765/api/v1"),
        ("www.cutout.pro", "https://www.cutout.pro/api/v1"),
        ("https://www.cutout.pro/api", "https://www.cutout.pro/api/v1"),
        ("http://nas:8765/photos/api/v1", "http://nas:8765/photos/api/v1"),
        ("https://www.cutout.pro/api/v1/", "https://www.cutout.pro/api/v1/"),
        ("localhost:1/other", "http://localhost:1/other"),
    ],
)
def test_what_was_typed_is_completed(typed: str, meant: str) -> None:
    assert complete_base_url(typed) == meant
    check_base_url(meant)


@pytest.mark.parametrize(
    "typed",
    ["ftp://x", "http://", "http://[x", "http://x?key=1", "user:pw@host", "a b", "http://x\n"],
)
def test_what_cannot_be_meant_is_not_completed(typed: str) -> None:
    assert complete_base_url(typed) == typed
