"""Results on their way to the disk: whole or absent, and never over one another."""

import asyncio
import errno
import os
import resource
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from blockbuster import blockbuster_ctx
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async.api.retry import RetryPolicy
from photoanimer_async.errors import DownloadError
from photoanimer_async.models import Photo
from photoanimer_async.storage.download import download
from photoanimer_async.storage.result_folder import FileDestination, ResultFolder
from photoanimer_async.storage.result_names import safe_stem

VIDEO = bytes(range(256)) * 2400  # several batches
QUICK = RetryPolicy(tries=4, first_wait=0.001, longest_wait=0.002)

Step = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Origin:
    """A server of results: one step of the script for each request, then the video."""

    def __init__(self) -> None:
        self.script: list[Step] = []
        self.requests: list[web.Request] = []
        self.base = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        step = self.script.pop(0) if self.script else whole
        return await step(request)

    def ranges(self) -> list[tuple[str | None, str | None]]:
        return [(r.headers.get("Range"), r.headers.get("If-Range")) for r in self.requests]


def says(status: int, body: bytes = b"", **headers: str) -> Step:
    async def answer(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers=named)

    return answer


async def whole(_: web.Request) -> web.StreamResponse:
    return web.Response(body=VIDEO, headers={"ETag": '"v1"'})


def drops_after(size: int, **validators: str) -> Step:
    """States the whole length, sends a part of it, and closes the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Length": str(len(VIDEO))}
        response = web.StreamResponse(
            headers=headers | {name.replace("_", "-"): value for name, value in validators.items()}
        )
        await response.prepare(request)
        await response.write(VIDEO[:size])
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def rest_from(start: int, *, total: object = len(VIDEO)) -> Step:
    content_range = f"bytes {start}-{len(VIDEO) - 1}/{total}"
    return says(206, VIDEO[start:], Content_Range=content_range, ETag='"v1"')


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    origin = Origin()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", origin.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    origin.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield origin
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def saving(
    session: aiohttp.ClientSession, origin: Origin, tmp_path: Path
) -> Callable[..., Awaitable[Path]]:
    """Downloads from the origin to `video.mp4`."""

    async def save(path: str = "/1.mp4?Signature=s3cr3t", **options: Any) -> Path:
        return await download(
            session,
            origin.base + path,
            FileDestination(tmp_path / "video.mp4"),
            **{"timeout": 60, "retry": QUICK, **options},
        )

    return save


Saving = Callable[..., Awaitable[Path]]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestDownload:
    async def test_saves_the_whole(self, saving: Saving, tmp_path: Path) -> None:
        assert await saving() == tmp_path / "video.mp4"
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_the_loop_is_not_blocked(self, saving: Saving, origin: Origin) -> None:
        origin.script = [drops_after(300_000, ETag='"v1"'), rest_from(300_000)]
        with blockbuster_ctx():
            await saving()

    async def test_asks_for_the_link_as_it_is_and_sends_no_key(
        self, saving: Saving, origin: Origin
    ) -> None:
        await saving("/a%2Fb+c.mp4?x=%2F%20+&sig=a%3D%3D")
        (request,) = origin.requests
        assert request.raw_path == "/a%2Fb+c.mp4?x=%2F%20+&sig=a%3D%3D"
        assert "APIKEY" not in request.headers
        assert request.headers["Accept-Encoding"] == "identity"

    async def test_a_link_that_can_not_be_sent_as_it_is(
        self, saving: Saving, origin: Origin
    ) -> None:
        await saving("/视频 1.mp4")
        assert origin.requests[0].path == "/视频 1.mp4"

    async def test_applies_no_middleware_of_the_session(
        self, origin: Origin, tmp_path: Path
    ) -> None:
        async def adds_key(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            request.headers["APIKEY"] = "k"
            return await handler(request)

        async with aiohttp.ClientSession(middlewares=(adds_key,), raise_for_status=True) as session:
            await download(
                session, f"{origin.base}/1.mp4", FileDestination(tmp_path / "a.mp4"), timeout=None
            )
        assert "APIKEY" not in origin.requests[0].headers

    async def test_never_overwrites(self, saving: Saving, tmp_path: Path) -> None:
        for name in ("video.mp4", "video-2.mp4", "video-3.mp4.part"):
            tmp_path.joinpath(name).write_bytes(b"mine")
        assert await saving() == tmp_path / "video-4.mp4"
        assert files(tmp_path) == {
            "video.mp4": b"mine",
            "video-2.mp4": b"mine",
            "video-3.mp4.part": b"mine",
            "video-4.mp4": VIDEO,
        }

    @pytest.mark.parametrize("hard_links", [True, False], ids=["links", "no links"])
    async def test_a_name_that_is_taken_meanwhile(
        self,
        saving: Saving,
        origin: Origin,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        *,
        hard_links: bool,
    ) -> None:
        if not hard_links:
            monkeypatch.setattr(os, "link", refusing(errno.EPERM))

        async def takes_the_name(request: web.Request) -> web.StreamResponse:
            await asyncio.to_thread((tmp_path / "video.mp4").write_bytes, b"other")
            return await whole(request)

        origin.script = [takes_the_name]
        assert await saving() == tmp_path / "video-2.mp4"
        assert files(tmp_path) == {"video.mp4": b"other", "video-2.mp4": VIDEO}

    async def test_many_to_one_name_at_once(self, saving: Saving, tmp_path: Path) -> None:
        paths = await asyncio.gather(*(saving() for _ in range(8)))
        assert len(set(paths)) == 8
        assert set(files(tmp_path).values()) == {VIDEO}
        assert len(files(tmp_path)) == 8


class TestResume:
    async def test_goes_on_where_it_ended(
        self, saving: Saving, origin: Origin, tmp_path: Path
    ) -> None:
        origin.script = [drops_after(300_000, ETag='"v1"'), rest_from(300_000)]
        await saving()
        assert origin.ranges() == [(None, None), ("bytes=300000-", '"v1"')]
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_by_the_date_where_the_etag_is_weak(self, saving: Saving, origin: Origin) -> None:
        date = "Sun, 22 Nov 2026 16:00:00 GMT"
        origin.script = [
            drops_after(9, ETag='W/"v1"', Last_Modified=date),
            rest_from(9, total="*"),
        ]
        assert await asyncio.to_thread((await saving()).read_bytes) == VIDEO
        assert origin.ranges()[1] == ("bytes=9-", date)

    async def test_starts_anew_without_a_validator(
        self, saving: Saving, origin: Origin, tmp_path: Path
    ) -> None:
        origin.script = [drops_after(300_000)]
        await saving()
        assert origin.ranges() == [(None, None), (None, None)]
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_starts_anew_where_the_result_has_changed(
        self, saving: Saving, origin: Origin, tmp_path: Path
    ) -> None:
        origin.script = [drops_after(300_000, ETag='"v0"'), says(200, b"shorter")]
        await saving()
        assert files(tmp_path) == {"video.mp4": b"shorter"}

    @pytest.mark.parametrize(
        "answer",
        [rest_from(5), says(206, b"x"), says(416), says(206, b"x", Content_Range="bytes */5")],
        ids=["another part", "no part named", "unsatisfiable", "nonsense"],
    )
    async def test_starts_anew_where_the_rest_is_not_to_be_had(
        self, saving: Saving, origin: Origin, tmp_path: Path, answer: Step
    ) -> None:
        origin.script = [drops_after(300_000, ETag='"v1"'), answer]
        await saving()
        assert origin.ranges()[2] == (None, None)
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_of_an_answer_that_the_server_packed(
        self, saving: Saving, origin: Origin, tmp_path: Path
    ) -> None:
        async def packed(_: web.Request) -> web.StreamResponse:
            response = web.Response(body=VIDEO, headers={"ETag": '"v1"'})
            response.enable_compression(web.ContentCoding.gzip)
            return response

        origin.script = [packed]
        await saving()
        assert files(tmp_path) == {"video.mp4": VIDEO}


class TestFailures:
    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    async def test_passing_ones_are_tried_again(
        self, saving: Saving, origin: Origin, status: int
    ) -> None:
        origin.script = [says(status), says(status, Retry_After="0"), drops_after(0)]
        assert await asyncio.to_thread((await saving()).read_bytes) == VIDEO
        assert len(origin.requests) == 4

    async def test_but_not_for_ever(self, saving: Saving, origin: Origin, tmp_path: Path) -> None:
        origin.script = [says(503)] * 9
        with pytest.raises(DownloadError, match=r"HTTP status 503 \(tried 4 times\)") as caught:
            await saving()
        assert not caught.value.expired
        assert len(origin.requests) == 4
        assert files(tmp_path) == {}

    @pytest.mark.parametrize("status", [403, 404, 410])
    async def test_expired_links(
        self, saving: Saving, origin: Origin, tmp_path: Path, status: int
    ) -> None:
        origin.script = [says(status)]
        with pytest.raises(DownloadError, match=f"HTTP status {status}") as caught:
            await saving()
        assert caught.value.expired
        assert len(origin.requests) == 1
        assert files(tmp_path) == {}

    @pytest.mark.parametrize("kind", ["text/html", "application/json", "application/xml"])
    async def test_a_page_in_place_of_a_video(
        self, saving: Saving, origin: Origin, kind: str
    ) -> None:
        origin.script = [says(200, b"<p>expired", Content_Type=kind)]
        with pytest.raises(DownloadError, match=f"leads to {kind}, not to a video") as caught:
            await saving()
        assert caught.value.expired

    @pytest.mark.parametrize("status", [204, 304, 400, 401, 418])
    async def test_any_other_status(self, saving: Saving, origin: Origin, status: int) -> None:
        origin.script = [says(status)]
        with pytest.raises(DownloadError, match=f"HTTP status {status}") as caught:
            await saving()
        assert not caught.value.expired
        assert len(origin.requests) == 1

    async def test_an_empty_result(self, saving: Saving, origin: Origin) -> None:
        origin.script = [says(200)] * 4
        with pytest.raises(DownloadError, match="it is empty"):
            await saving()

    @pytest.mark.parametrize("states_its_length", [True, False])
    async def test_too_large(
        self, saving: Saving, origin: Origin, tmp_path: Path, *, states_its_length: bool
    ) -> None:
        async def chunked(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(VIDEO)
            return response

        origin.script = [whole if states_its_length else chunked]
        with pytest.raises(DownloadError, match="larger than 100000 bytes"):
            await saving(max_bytes=100_000)
        assert files(tmp_path) == {}

    async def test_nobody_there(self, session: aiohttp.ClientSession, tmp_path: Path) -> None:
        with pytest.raises(DownloadError, match=r"no connection: .*tried 4 times"):
            destination = FileDestination(tmp_path / "a.mp4")
            await download(
                session, "http://127.0.0.1:9/a?k=1", destination, timeout=60, retry=QUICK
            )

    async def test_a_server_that_falls_silent(
        self, saving: Saving, origin: Origin, tmp_path: Path
    ) -> None:
        async def silence(_: web.Request) -> web.StreamResponse:
            await asyncio.Event().wait()
            raise AssertionError

        origin.script = [silence]
        with pytest.raises(DownloadError, match=r"not complete after 0\.05 s"):
            await saving(timeout=0.05)
        assert files(tmp_path) == {}

    @pytest.mark.parametrize(
        "url", ["", "ftp://a/b", "http://", "http://[::1/", "a.mp4", "http://a:b/", "//a/b"]
    )
    async def test_what_is_no_link(
        self, session: aiohttp.ClientSession, tmp_path: Path, url: str
    ) -> None:
        with pytest.raises(DownloadError, match="not an http or https URL"):
            await download(session, url, FileDestination(tmp_path / "a.mp4"), timeout=60)

    async def test_no_error_shows_the_query(self, saving: Saving, origin: Origin) -> None:
        scripts = [[says(404)], [says(503)] * 4, [drops_after(5)] * 4]
        loops = [says(302, Location="/1.mp4?Signature=s3cr3t")] * 9
        for script in (*scripts, loops, [says(302, Location="http://[?Signature=s3cr3t")]):
            origin.script = list(script)
            with pytest.raises(DownloadError) as caught:
                await saving()
            error: BaseException | None = caught.value
            while error is not None:
                assert "s3cr3t" not in str(error)
                error = error.__cause__


class TestRedirects:
    async def test_are_followed(self, saving: Saving, origin: Origin, tmp_path: Path) -> None:
        origin.script = [says(302, Location="/elsewhere?a=1")]
        await saving()
        assert origin.requests[1].raw_path == "/elsewhere?a=1"
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_a_bounded_number_of_times(self, saving: Saving, origin: Origin) -> None:
        origin.script = [says(302, Location="/again")] * 20
        with pytest.raises(DownloadError, match="more than 5 redirects"):
            await saving()
        assert len(origin.requests) == 5

    @pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://a/b", "http://[::"])
    async def test_to_http_only(self, saving: Saving, origin: Origin, target: str) -> None:
        origin.script = [says(302, Location=target)]
        with pytest.raises(DownloadError, match="redirects to something that is not"):
            await saving()
        assert len(origin.requests) == 1


def refusing(number: int) -> Callable[..., object]:
    def refuse(*args: object, **kwargs: object) -> object:
        raise OSError(number, os.strerror(number))

    return refuse


class TestDisk:
    @pytest.mark.parametrize("step", ["fsync", "link"])
    async def test_a_full_disk_leaves_nothing(
        self, saving: Saving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        monkeypatch.setattr(os, step, refusing(errno.ENOSPC))
        with pytest.raises(DownloadError, match="no space is left on the disk"):
            await saving()
        assert files(tmp_path) == {}

    async def test_a_disk_that_is_full_while_writing(self, saving: Saving, tmp_path: Path) -> None:
        # A real limit of the operating system on how large a file may grow.
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(
                DownloadError, match=r"video\.mp4: cannot be written: File too large"
            ):
                await saving()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, ignored)
        assert files(tmp_path) == {}

    async def test_a_folder_that_is_not_there(
        self, session: aiohttp.ClientSession, origin: Origin, tmp_path: Path
    ) -> None:
        with pytest.raises(DownloadError, match=r"a\.mp4: cannot be written: No such file"):
            await download(
                session, origin.base, FileDestination(tmp_path / "gone" / "a.mp4"), timeout=60
            )
        assert origin.requests == []

    async def test_a_file_system_without_hard_links(
        self, saving: Saving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "link", refusing(errno.EPERM))
        await saving()
        assert files(tmp_path) == {"video.mp4": VIDEO}

    async def test_a_cancel_leaves_nothing(
        self, saving: Saving, origin: Origin, tmp_path: Path
    ) -> None:
        started = asyncio.Event()

        async def stalls(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Length": str(len(VIDEO))})
            await response.prepare(request)
            await response.write(VIDEO[:400_000])
            started.set()
            await asyncio.Event().wait()
            return response

        origin.script = [stalls]
        task = asyncio.ensure_future(saving())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert files(tmp_path) == {}

    async def test_a_step_that_has_begun_is_finished_before_a_cancel_goes_on(
        self, saving: Saving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop = asyncio.get_running_loop()
        reached, may_go_on = asyncio.Event(), threading.Event()
        link = os.link

        def slow_link(source: Path, target: Path) -> None:
            loop.call_soon_threadsafe(reached.set)
            may_go_on.wait()
            link(source, target)

        monkeypatch.setattr(os, "link", slow_link)
        task = asyncio.ensure_future(saving())
        await reached.wait()
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert files(tmp_path) == {"video.mp4": VIDEO}


@asynccontextmanager
async def claims(folder: ResultFolder, *photos: Photo) -> AsyncIterator[list[str]]:
    async with AsyncExitStack() as stack:
        yield [
            (await stack.enter_async_context(folder.claim(photo, ".mp4"))).location.name
            for photo in photos
        ]


class TestResultFolder:
    @pytest.mark.parametrize(
        ("photo", "name"),
        [
            ("photos/grandma.jpg", "grandma.mp4"),
            (Path("/x/grand.ma.jpeg"), "grand.ma.mp4"),
            ("https://example.com/a/grandma.jpg?token=1#x", "grandma.mp4"),
            ("https://example.com/a%20b%2Fgrand%C3%A4.png", "grandä.mp4"),
            ("https://example.com/", "photo.mp4"),
            ("https://example.com", "photo.mp4"),
            ("http://[broken", "photo.mp4"),
            (b"content", "photo.mp4"),
            ("..", "photo.mp4"),
            (".jpg", "jpg.mp4"),
            ("-rf.jpg", "rf.mp4"),
            ("a\nb\x1b[31m.jpg", "a_b_[31m.mp4"),
            ('a:b\\c*?"<>|.jpg', "a_b_c______.mp4"),
            (os.fsdecode(b"caf\xe9.jpg"), "caf_.mp4"),
            ("con.jpg", "_con.mp4"),
            ("LPT1.old.jpg", "_LPT1.old.mp4"),
            ("👩\u200d🚀.jpg", "👩\u200d🚀.mp4"),
            ("ü" * 120 + ".jpg", "ü" * 90 + ".mp4"),
        ],
        ids=range(18),
    )
    async def test_names_results_after_photos(
        self, tmp_path: Path, photo: Photo, name: str
    ) -> None:
        async with claims(ResultFolder(tmp_path), photo) as names:
            assert names == [name]

    async def test_takes_a_name_that_is_given(self, tmp_path: Path) -> None:
        async with ResultFolder(tmp_path).claim(b"", ".gif", name="../my/holiday") as claimed:
            assert claimed.location == tmp_path / "_my_holiday.gif"

    async def test_makes_the_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "a" / "b"
        async with ResultFolder(str(folder)).claim("x.jpg", ".mp4") as claimed:
            assert claimed.location.parent == folder
            assert files(folder) == {}

    async def test_gives_each_photo_another(self, tmp_path: Path) -> None:
        folder = ResultFolder(tmp_path)
        async with claims(folder, "a/me.jpg", "b/me.png", "ME.bmp", "me-2.jpg") as names:
            assert names == ["me.mp4", "me-2.mp4", "ME-3.mp4", "me-2-2.mp4"]

    async def test_passes_over_what_is_there(self, tmp_path: Path) -> None:
        for name in ("me.mp4", "me-2.mp4.part"):
            (tmp_path / name).touch()
        (tmp_path / "me-3.mp4").symlink_to("nowhere")
        async with claims(ResultFolder(tmp_path), "me.jpg") as names:
            assert names == ["me-4.mp4"]

    async def test_a_name_that_was_not_used_is_free_again(self, tmp_path: Path) -> None:
        folder = ResultFolder(tmp_path)
        for _ in range(2):
            async with claims(folder, "me.jpg") as names:
                assert names == ["me.mp4"]

    async def test_long_names_stay_within_the_limit(self, tmp_path: Path) -> None:
        async with claims(ResultFolder(tmp_path), *["x" * 300] * 12) as names:
            assert len(set(names)) == 12
            assert max(map(len, names)) <= 200

    async def test_is_race_free(self, tmp_path: Path) -> None:
        folder = ResultFolder(tmp_path)
        async with AsyncExitStack() as stack:
            claimed = [stack.enter_async_context(folder.claim(b"", ".mp4")) for _ in range(300)]
            with blockbuster_ctx():
                destinations = await asyncio.gather(*claimed)
            assert len({destination.location for destination in destinations}) == 300

    async def test_a_folder_that_can_not_be_made(self, tmp_path: Path) -> None:
        tmp_path.joinpath("out").touch()
        with pytest.raises(DownloadError, match="out: cannot be written: File exists"):
            async with ResultFolder(tmp_path / "out").claim("x.jpg", ".mp4"):
                pytest.fail("there is no folder")

    async def test_a_folder_that_can_not_be_written_to(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
        with pytest.raises(DownloadError, match="Permission denied"):
            async with ResultFolder(tmp_path).claim("x.jpg", ".mp4"):
                pytest.fail("nothing can be written")


@given(st.text(max_size=300))
def test_any_name_becomes_a_safe_one(name: str) -> None:
    stem = safe_stem(name)
    assert stem
    assert len(stem.encode()) <= 200
    assert not set(stem) & set('/\\:*?"<>|\0\n')
    assert stem == stem.strip(" .-")
    assert safe_stem(stem) == stem
