"""Result files: whole, in ranges, and only with the link."""

import pytest

from ...support.videos import gif, mp4
from ..conftest import PhotoHost, Running

VIDEO = mp4(b"video of template 1")


@pytest.fixture
async def link(service: Running, host: PhotoHost) -> str:
    task_id = await service.submit(host.url("photo.png"), outputFormat="gif")
    url: str = (await service.end_of(task_id))["resultUrl"]
    return url


async def test_a_whole_file_needs_no_key(link: str, service: Running) -> None:
    for url, kind, content in (
        (link, "video/mp4", VIDEO),
        (link.replace(".mp4", ".gif"), "image/gif", gif(b"gif of template 1")),
    ):
        async with service.session.get(url, headers={"APIKEY": ""}) as answer:
            assert answer.status == 200
            assert answer.content_type == kind
            assert answer.headers["Accept-Ranges"] == "bytes"
            assert await answer.read() == content


async def test_head_returns_the_headers_only(link: str, service: Running) -> None:
    async with service.session.head(link) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Length"] == str(len(VIDEO))
        assert answer.content_type == "video/mp4"
        assert "ETag" in answer.headers


@pytest.mark.parametrize(
    ("wanted", "content", "said"),
    [
        ("bytes=0-4", VIDEO[:5], "bytes 0-4/43"),
        ("bytes=30-", b"of template 1", "bytes 30-42/43"),
        ("bytes=-1", b"1", "bytes 42-42/43"),
    ],
)
async def test_a_range(link: str, service: Running, wanted: str, content: bytes, said: str) -> None:
    async with service.session.get(link, headers={"Range": wanted}) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == said
        assert await answer.read() == content


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=0-4,6-7",
        "bytes=0-0, -1",
        "lines=1-2",
        "bytes=5-2",
        "bytes=-",
        "bytes=a-b",
        "bytes=\u0663-",
        "bytes",
        "",
        "bytes=0-" + "9" * 5000,
    ],
)
async def test_a_range_that_is_not_supported_is_the_whole_file(
    link: str, service: Running, wanted: str
) -> None:
    async with service.session.get(link, headers={"Range": wanted}) as answer:
        assert answer.status == 200
        assert "Content-Range" not in answer.headers
        assert await answer.read() == VIDEO


async def test_a_range_beyond_the_end_is_a_416(link: str, service: Running) -> None:
    async with service.session.get(link, headers={"Range": "bytes=43-"}) as answer:
        assert answer.status == 416
        assert answer.headers["Content-Range"] == "bytes */43"


async def test_a_range_is_sent_only_if_the_file_has_not_changed(
    link: str, service: Running
) -> None:
    async with service.session.head(link) as answer:
        tag, date = answer.headers["ETag"], answer.headers["Last-Modified"]

    for condition, status, content in (
        (tag, 206, VIDEO[:5]),
        (date, 206, VIDEO[:5]),
        ('"another"', 200, VIDEO),
        (f"W/{tag}", 200, VIDEO),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200, VIDEO),
    ):
        async with service.session.get(
            link, headers={"Range": "bytes=0-4", "If-Range": condition}
        ) as answer:
            assert (answer.status, await answer.read()) == (status, content), condition


async def test_a_current_file_is_not_sent_again(link: str, service: Running) -> None:
    async with service.session.head(link) as answer:
        tag = answer.headers["ETag"]
    async with service.session.get(link, headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304


async def test_other_names_are_a_404(link: str, service: Running) -> None:
    origin = link.partition("/results/")[0]
    for path in (
        "",
        "tasks.db",
        "..%2Ftasks.db",
        "A" * 32 + ".mp4",
        "A" * 32 + ".txt",
        link[-36:].replace(".mp4", ""),
    ):
        async with service.session.get(f"{origin}/results/{path}") as answer:
            assert answer.status == 404, path
            assert (await answer.json())["code"] == 40404
        headers = {"Range": "bytes=0-4", "If-Range": '"tag"'}
        async with service.session.get(f"{origin}/results/{path}", headers=headers) as answer:
            assert answer.status == 404, path
