"""Downloads: retries, ranges, refusals. What a target does with them is tested with the target."""

import asyncio
import gzip
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from blockbuster import blockbuster_ctx

from photoanimer_async import (
    DownloadError,
)
from photoanimer_async.storage.download import download
from photoanimer_async.storage.result_folder import FileDestination

from ..support.result_server import VIDEO, Answer, ResultServer, drops_after, responds, sends
from ..support.stub_service import QUICK_RETRY
from ..support.videos import gif, mp4

Save = Callable[..., Awaitable[Path]]


@pytest.fixture
def save(session: aiohttp.ClientSession, results: ResultServer, tmp_path: Path) -> Save:
    """Downloads to `video.mp4`."""

    async def save(path: str = "/1.mp4?Signature=s3cr3t", **options: Any) -> Path:
        return await download(
            session,
            results.origin + path,
            FileDestination(tmp_path / "video.mp4"),
            **{"timeout": 60, "retry": QUICK_RETRY, **options},
        )

    return save


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestDownload:
    async def test_the_whole_result_is_saved(self, save: Save, tmp_path: Path) -> None:
        assert await save() == tmp_path / "video.mp4"
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_the_loop_is_not_blocked(self, save: Save, results: ResultServer) -> None:
        results.script = [drops_after(300_000, ETag='"v1"'), sends(VIDEO, start=300_000)]
        with blockbuster_ctx():
            await save()

    async def test_the_link_is_sent_unchanged_and_without_key(
        self, save: Save, results: ResultServer
    ) -> None:
        await save("/a%2Fb+c.mp4?x=%2F%20+&sig=a%3D%3D")
        (request,) = results.requests
        assert request.raw_path == "/a%2Fb+c.mp4?x=%2F%20+&sig=a%3D%3D"
        assert "APIKEY" not in request.headers
        assert request.headers["Accept-Encoding"] == "identity"

    async def test_long_headers_and_many_of_them_cost_no_result(
        self, save: Save, results: ResultServer, tmp_path: Path
    ) -> None:
        many = {f"X-Trace-{number}": "on" for number in range(140)}
        results.script = [responds(200, VIDEO, Content_Security_Policy="c" * 9_000, **many)]
        await save()
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_a_link_with_spaces_or_non_ascii_letters_is_quoted(
        self, save: Save, results: ResultServer
    ) -> None:
        await save("/视频 1.mp4?sig=a%2Fb+%7E")
        assert results.requests[0].path == "/视频 1.mp4"
        assert results.requests[0].raw_path.endswith("%201.mp4?sig=a%2Fb+%7E")

    async def test_middlewares_of_the_session_are_not_applied(
        self, results: ResultServer, tmp_path: Path
    ) -> None:
        async def adds_key(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            request.headers["APIKEY"] = "k"
            return await handler(request)

        async with aiohttp.ClientSession(middlewares=(adds_key,), raise_for_status=True) as session:
            await download(
                session, results.origin, FileDestination(tmp_path / "a.mp4"), timeout=None
            )
        assert "APIKEY" not in results.requests[0].headers


class TestContinuation:
    async def test_a_dropped_download_continues_where_it_stopped(
        self, save: Save, results: ResultServer, tmp_path: Path
    ) -> None:
        results.script = [drops_after(300_000, ETag='"v1"'), sends(VIDEO, start=300_000)]
        await save()
        assert results.ranges() == [(None, None), ("bytes=300000-", '"v1"')]
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_the_date_is_the_validator_if_the_etag_is_weak(
        self, save: Save, results: ResultServer
    ) -> None:
        date = "Sun, 22 Nov 2026 16:00:00 GMT"
        results.script = [
            drops_after(9, ETag='W/"v1"', Last_Modified=date),
            responds(206, VIDEO[9:], Content_Range=f"bytes 9-{len(VIDEO) - 1}/*"),
        ]
        assert await asyncio.to_thread((await save()).read_bytes) == VIDEO
        assert results.ranges()[1] == ("bytes=9-", date)

    async def test_without_a_validator_it_starts_again(
        self, save: Save, results: ResultServer, tmp_path: Path
    ) -> None:
        results.script = [drops_after(300_000)]
        await save()
        assert results.ranges() == [(None, None), (None, None)]
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_a_result_that_has_changed_replaces_the_first_part(
        self, save: Save, results: ResultServer, tmp_path: Path
    ) -> None:
        results.script = [drops_after(300_000, ETag='"v0"'), responds(200, mp4(b"shorter"))]
        await save()
        assert files(tmp_path) == {"video.mp4": mp4(b"shorter")}

    @pytest.mark.parametrize(
        "answer",
        [
            sends(VIDEO, start=5),
            responds(206, b"x"),
            responds(416),
            responds(206, b"x", Content_Range="bytes */5"),
        ],
        ids=["another range", "no range", "unsatisfiable", "malformed range"],
    )
    async def test_it_starts_again_if_the_rest_is_refused(
        self, save: Save, results: ResultServer, tmp_path: Path, answer: Answer
    ) -> None:
        results.script = [drops_after(300_000, ETag='"v1"'), answer]
        await save()
        assert results.ranges()[2] == (None, None)
        assert files(tmp_path) == {"video.mp4": VIDEO}

    @pytest.mark.parametrize(
        "version",
        [
            {"ETag": '"v2"'},
            {"Last_Modified": "Sun, 22 Nov 2026 17:00:00 GMT"},
            {"Content_Range": f"bytes 300000-{len(VIDEO)}/{len(VIDEO) + 1}"},
        ],
        ids=["ETag", "date", "size"],
    )
    async def test_the_rest_of_another_version_is_not_appended(
        self, save: Save, results: ResultServer, tmp_path: Path, version: dict[str, str]
    ) -> None:
        """Some servers ignore `If-Range`."""
        date = "Sun, 22 Nov 2026 16:00:00 GMT"
        same = {"ETag": '"v1"', "Last_Modified": date}
        rest = {"Content_Range": f"bytes 300000-{len(VIDEO) - 1}/{len(VIDEO)}"}
        results.script = [
            drops_after(300_000, VIDEO, **same),
            responds(206, bytes(len(VIDEO) - 300_000), **(same | rest | version)),
        ]
        await save()
        assert results.ranges()[2] == (None, None)
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_a_drop_within_the_first_bytes(
        self, save: Save, results: ResultServer, tmp_path: Path
    ) -> None:
        results.script = [drops_after(5, ETag='"v1"'), sends(VIDEO, start=5)]
        await save()
        assert results.ranges()[1] == ("bytes=5-", '"v1"')
        assert files(tmp_path) == {"video.mp4": VIDEO}

    @pytest.mark.parametrize("parts", [1, 3])
    @pytest.mark.parametrize("is_chunked", [True, False], ids=["chunked", "announced"])
    async def test_a_compressed_answer_that_is_cut_off_is_fetched_again(
        self, save: Save, results: ResultServer, tmp_path: Path, parts: int, *, is_chunked: bool
    ) -> None:
        size = len(VIDEO) // parts + 1
        members = [gzip.compress(VIDEO[i : i + size]) for i in range(0, len(VIDEO), size)]
        whole = b"".join(members)

        async def chunked(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Encoding": "gzip"})
            await response.prepare(request)
            await response.write(whole[:-20])
            return response

        cut_off = responds(200, whole[:-20], Content_Encoding="gzip")
        results.script = [
            chunked if is_chunked else cut_off,
            responds(200, whole, Content_Encoding="gzip"),
        ]
        await save()
        assert len(results.requests) == 2
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_a_compressed_answer_that_is_damaged_is_fetched_again(
        self, save: Save, results: ResultServer, tmp_path: Path
    ) -> None:
        results.script = [responds(200, VIDEO, Content_Encoding="gzip")]
        await save()
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_a_compressed_answer_is_unpacked(
        self, save: Save, results: ResultServer, tmp_path: Path
    ) -> None:
        async def compressed(_: web.Request) -> web.StreamResponse:
            response = web.Response(body=VIDEO, headers={"ETag": '"v1"'})
            response.enable_compression(web.ContentCoding.gzip)
            return response

        results.script = [compressed]
        await save()
        assert files(tmp_path) == {"video.mp4": VIDEO}


class TestFailures:
    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    async def test_transient_failures_are_retried(
        self, save: Save, results: ResultServer, status: int
    ) -> None:
        results.script = [responds(status, Retry_After="0"), drops_after(0)]
        assert await asyncio.to_thread((await save()).read_bytes) == VIDEO
        assert len(results.requests) == 3

    async def test_the_number_of_attempts_is_bounded(
        self, save: Save, results: ResultServer, tmp_path: Path
    ) -> None:
        results.script = [responds(503)] * 9
        with pytest.raises(DownloadError, match=r"HTTP status 503 \(tried 3 times\)") as caught:
            await save()
        assert not caught.value.expired
        assert len(results.requests) == 3
        assert files(tmp_path) == {}

    @pytest.mark.parametrize("status", [403, 404, 410])
    async def test_an_expired_link_is_not_retried(
        self, save: Save, results: ResultServer, tmp_path: Path, status: int
    ) -> None:
        results.script = [responds(status)]
        with pytest.raises(DownloadError, match=f"HTTP status {status}") as caught:
            await save()
        assert caught.value.expired
        assert len(results.requests) == 1
        assert files(tmp_path) == {}

    @pytest.mark.parametrize(
        ("kind", "page"),
        [
            ("text/html", b"<p>expired"),
            ("text/plain", b"Request has expired"),
            ("application/json", b"{}"),
            ("application/xml", b"<Error><Code>AccessDenied</Code></Error>"),
            ("application/problem+json", b'{"title": "gone", "status": 403}'),
            ("application/octet-stream", b"<Error><Code>AccessDenied</Code></Error>"),
            ("application/octet-stream", gzip.compress(VIDEO)),
        ],
    )
    async def test_other_content_than_a_video_means_an_expired_link(
        self, save: Save, results: ResultServer, tmp_path: Path, kind: str, page: bytes
    ) -> None:
        results.script = [responds(200, page, Content_Type=kind)]
        with pytest.raises(
            DownloadError, match=f"leads to {re.escape(kind)}, not to a video"
        ) as caught:
            await save()
        assert caught.value.expired
        assert files(tmp_path) == {}

    async def test_other_content_under_the_type_of_a_video(
        self, save: Save, results: ResultServer, tmp_path: Path
    ) -> None:
        results.script = [responds(200, b"<html>" * 99_999, Content_Type="video/mp4")]
        with pytest.raises(DownloadError, match="leads to other content, not to a video"):
            await save()
        assert files(tmp_path) == {}

    @pytest.mark.parametrize("content", [VIDEO, gif(VIDEO), b"GIF87a" + VIDEO])
    async def test_a_video_of_another_type_is_saved(
        self, save: Save, results: ResultServer, tmp_path: Path, content: bytes
    ) -> None:
        results.script = [responds(200, content, Content_Type="text/plain")]
        await save()
        assert files(tmp_path) == {"video.mp4": content}

    @pytest.mark.parametrize("status", [204, 304, 400, 401, 418])
    async def test_any_other_status_is_not_retried(
        self, save: Save, results: ResultServer, status: int
    ) -> None:
        results.script = [responds(status)]
        with pytest.raises(DownloadError, match=f"HTTP status {status}") as caught:
            await save()
        assert not caught.value.expired
        assert len(results.requests) == 1

    async def test_an_empty_result_is_refused(self, save: Save, results: ResultServer) -> None:
        results.script = [responds(200)] * 3
        with pytest.raises(DownloadError, match="it is empty"):
            await save()

    @pytest.mark.parametrize("has_length", [True, False], ids=["announced", "chunked"])
    async def test_a_result_that_is_too_large_is_refused(
        self, save: Save, results: ResultServer, tmp_path: Path, *, has_length: bool
    ) -> None:
        async def chunked(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(VIDEO)
            return response

        results.script = [sends(VIDEO) if has_length else chunked]
        with pytest.raises(DownloadError, match="larger than 100000 bytes"):
            await save(max_bytes=100_000)
        assert files(tmp_path) == {}

    async def test_a_refused_connection_is_retried(
        self, session: aiohttp.ClientSession, tmp_path: Path
    ) -> None:
        with pytest.raises(DownloadError, match=r"no connection: .*tried 3 times"):
            await download(
                session,
                "http://127.0.0.1:9/a?k=1",
                FileDestination(tmp_path / "a.mp4"),
                timeout=60,
                retry=QUICK_RETRY,
            )

    async def test_the_timeout_covers_a_server_that_does_not_answer(
        self, save: Save, results: ResultServer, tmp_path: Path
    ) -> None:
        async def never(_: web.Request) -> web.StreamResponse:
            await asyncio.Event().wait()
            raise AssertionError

        results.script = [never]
        with pytest.raises(DownloadError, match=r"not complete after 0\.05 s"):
            await save(timeout=0.05)
        assert files(tmp_path) == {}

    @pytest.mark.parametrize(
        "url", ["", "ftp://a/b", "http://", "http://[::1/", "a.mp4", "http://a:b/", "//a/b"]
    )
    async def test_a_link_must_be_an_http_url(
        self, session: aiohttp.ClientSession, tmp_path: Path, url: str
    ) -> None:
        with pytest.raises(DownloadError, match="not an http or https URL"):
            await download(session, url, FileDestination(tmp_path / "a.mp4"), timeout=60)

    async def test_no_error_shows_the_query_of_the_link(
        self, save: Save, results: ResultServer
    ) -> None:
        loop = responds(302, Location="/1.mp4?Signature=s3cr3t")
        invalid = responds(302, Location="http://[?Signature=s3cr3t")
        for answer in (responds(404), responds(503), drops_after(5), loop, invalid):
            results.script = [answer] * 9
            with pytest.raises(DownloadError) as caught:
                await save()
            error: BaseException | None = caught.value
            while error is not None:
                assert "s3cr3t" not in str(error)
                error = error.__cause__


class TestRedirects:
    async def test_redirects_are_followed(
        self, save: Save, results: ResultServer, tmp_path: Path
    ) -> None:
        results.script = [responds(302, Location="/elsewhere?sig=a%2Bb%2f%7E")]
        await save()
        assert results.requests[1].raw_path == "/elsewhere?sig=a%2Bb%2f%7E"
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_the_number_of_redirects_is_bounded(
        self, save: Save, results: ResultServer
    ) -> None:
        results.script = [responds(302, Location="/again")] * 20
        with pytest.raises(DownloadError, match="more than 5 redirects"):
            await save()
        assert len(results.requests) == 6

    @pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://a/b", "http://[::"])
    async def test_redirects_lead_to_http_only(
        self, save: Save, results: ResultServer, target: str
    ) -> None:
        results.script = [responds(302, Location=target)]
        with pytest.raises(DownloadError, match="redirects to something that is not"):
            await save()
        assert len(results.requests) == 1
