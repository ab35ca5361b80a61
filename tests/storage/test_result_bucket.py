"""Results in an object store: whole or absent, never over one another, and past the disk."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from blockbuster import blockbuster_ctx

from photoanimer_async import (
    DownloadError,
    InvalidRequestError,
    PhotoAnimerClient,
    State,
)
from photoanimer_async.jobs.journal import Entry, read_journal
from photoanimer_async.models import Photo
from photoanimer_async.storage.download import download
from photoanimer_async.storage.result_bucket import ObjectDestination, ResultBucket
from photoanimer_async.storage.result_folder import ResultFolder
from photoanimer_async.storage.result_store import parse_location, result_store

from ..jobs.test_pipeline import VIDEO as SMALL
from ..jobs.test_pipeline import names_in, results
from ..support.pictures import png
from ..support.s3_server import BUCKET, KEY_ID, SECRET, Asked, S3Server
from ..support.stub_service import StubService, envelope, serving, task
from .test_download import QUICK, Origin, Step, origin, session

__all__ = ["origin", "session"]

LARGE = bytes(range(256)) * 80_000
"""Some 20 MB: more than is held in memory."""
URL = f"s3://{BUCKET}/out"

Saving = Callable[..., Awaitable[str]]


@pytest.fixture
def store(s3: S3Server) -> ResultBucket:
    return ResultBucket(f"{URL}/")


@pytest.fixture
def saving(session: aiohttp.ClientSession, origin: Origin, store: ResultBucket) -> Saving:
    """Downloads from the origin to `video.mp4`."""

    async def save(**options: Any) -> str:
        async with store.claim("video.jpg", ".mp4") as destination:
            return await download(
                session,
                f"{origin.base}/1.mp4?Signature=s3cr3t",
                destination,
                **{"timeout": 60, "retry": QUICK, **options},
            )

    return save


def entries_of(journal: Path) -> list[Entry]:
    with read_journal(journal) as book:
        return book.page([*State])


def serves(content: bytes, stops_after: int | None = None, start: int = 0) -> Step:
    """A video, or as much of it as comes before the connection is dropped."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=206 if start else 200)
        response.headers["ETag"] = '"v1"'
        response.content_length = len(content) - start
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        await response.prepare(request)
        await response.write(content[start:stops_after])
        if stops_after is not None:
            assert request.transport is not None
            request.transport.close()
        return response

    return answer


class TestDownload:
    async def test_a_small_result_is_one_request(
        self, saving: Saving, origin: Origin, s3: S3Server
    ) -> None:
        origin.script = [serves(SMALL)]
        assert await saving() == f"{URL}/video.mp4"
        assert s3.objects() == {"out/video.mp4": SMALL}
        assert s3.object("out/video.mp4").headers["Content-Type"] == "video/mp4"
        assert [asked.path for asked in s3.uploads()][1:] == [f"/{BUCKET}/out/video.mp4"]

    async def test_a_large_one_goes_there_in_parts(
        self, saving: Saving, origin: Origin, s3: S3Server
    ) -> None:
        origin.script = [serves(LARGE)]
        assert await saving() == f"{URL}/video.mp4"
        assert s3.objects() == {"out/video.mp4": LARGE}
        assert s3.object("out/video.mp4").headers["Content-Type"] == "video/mp4"
        assert len([asked for asked in s3.uploads() if "partNumber" in asked.query]) > 2
        assert s3.unfinished() == []

    async def test_nothing_is_on_disk(
        self, saving: Saving, origin: Origin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        origin.script = [serves(LARGE)]
        await saving()
        assert names_in(tmp_path) == set()

    async def test_goes_on_where_the_connection_was_dropped(
        self, saving: Saving, origin: Origin, s3: S3Server
    ) -> None:
        for name, content in (("video.mp4", LARGE), ("video-2.mp4", LARGE[::-1])):
            cut = len(content) * 3 // 4
            origin.requests.clear()
            origin.script = [serves(content, cut), serves(content, start=cut)]
            assert await saving() == f"{URL}/{name}"
            assert origin.ranges() == [(None, None), (f"bytes={cut}-", '"v1"')]
            assert s3.objects()[f"out/{name}"] == content
        assert s3.unfinished() == []

    async def test_begins_again_where_it_can_not_go_on(
        self, saving: Saving, origin: Origin, s3: S3Server
    ) -> None:
        async def another_version(request: web.Request) -> web.StreamResponse:
            return await serves(LARGE[::-1])(request)

        origin.script = [serves(LARGE, len(LARGE) * 3 // 4), another_version]
        await saving()
        assert s3.objects() == {"out/video.mp4": LARGE[::-1]}
        assert s3.unfinished() == []

    @pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
    async def test_what_is_cut_off_is_not_there(
        self, saving: Saving, origin: Origin, s3: S3Server, content: bytes
    ) -> None:
        origin.script = [serves(content, len(content) - 1) for _ in range(QUICK.tries)]
        # The server knows no ranges: each attempt begins again.
        with pytest.raises(DownloadError, match="tried 4 times"):
            await saving()
        assert s3.objects() == {}
        assert s3.unfinished() == []

    @pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
    async def test_nothing_is_overwritten(
        self, saving: Saving, origin: Origin, s3: S3Server, content: bytes
    ) -> None:
        async def meanwhile(request: web.Request) -> web.StreamResponse:
            await asyncio.to_thread(s3.put, "out/video.mp4", b"somebody else's")
            return await serves(content)(request)

        origin.script = [meanwhile]
        assert await saving() == f"{URL}/video-2.mp4"
        assert s3.objects() == {"out/video.mp4": b"somebody else's", "out/video-2.mp4": content}

    @pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
    async def test_the_very_same_content_is_not_saved_twice(
        self, saving: Saving, origin: Origin, s3: S3Server, content: bytes
    ) -> None:
        async def meanwhile(request: web.Request) -> web.StreamResponse:
            await asyncio.to_thread(s3.put, "out/video.mp4", content)
            return await serves(content)(request)

        origin.script = [meanwhile]
        assert await saving() == f"{URL}/video.mp4"
        assert s3.objects() == {"out/video.mp4": content}

    @pytest.mark.parametrize("stage", ["uploads", "partNumber=2", "uploadId", "copy"])
    async def test_a_store_that_refuses_half_way(
        self, saving: Saving, origin: Origin, s3: S3Server, stage: str
    ) -> None:
        def refuses(asked: Asked) -> int | None:
            match stage:
                case "copy":
                    hit = "/.part/" not in asked.path and asked.query.startswith("uploads")
                case "uploadId":
                    hit = asked.method == "POST" and asked.query.startswith("uploadId")
                case _:
                    hit = stage in asked.query
            return 403 if hit else None

        s3.fault = refuses
        origin.script = [serves(LARGE)]
        with pytest.raises(
            DownloadError, match=r"s3://photos/out/video\.mp4: cannot be written: .* 403"
        ) as caught:
            await saving()
        s3.fault = None
        assert KEY_ID not in str(caught.value)
        assert SECRET not in str(caught.value)
        assert s3.objects() == {}
        assert s3.unfinished() == []

    async def test_a_cancel_in_the_middle_leaves_nothing(
        self, saving: Saving, origin: Origin, s3: S3Server
    ) -> None:
        sending, go_on = threading.Event(), threading.Event()

        def slow_part(asked: Asked) -> None:
            if "partNumber=2" in asked.query:
                sending.set()
                go_on.wait(30)

        s3.fault = slow_part
        origin.script = [serves(LARGE)]
        task = asyncio.ensure_future(saving())
        await asyncio.to_thread(sending.wait, 30)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert s3.objects() == {}
        assert s3.unfinished() == []

    async def test_the_loop_is_not_blocked(
        self, saving: Saving, origin: Origin, s3: S3Server
    ) -> None:
        origin.script = [serves(LARGE)]
        with blockbuster_ctx():
            await saving()


class TestClaim:
    async def claimed(self, store: ResultBucket, *photos: Photo) -> list[str]:
        async with AsyncExitStack() as stack:
            claims = [await stack.enter_async_context(store.claim(p, ".mp4")) for p in photos]
            return [claim.location.removeprefix(f"{URL}/") for claim in claims]

    async def test_gives_each_photo_a_name_of_its_own(
        self, store: ResultBucket, s3: S3Server
    ) -> None:
        s3.put("out/me-2.mp4", b"there")
        names = await self.claimed(store, "a/me.jpg", "b/me.png", b"", "me.bmp")
        assert names == ["me.mp4", "me-3.mp4", "photo.mp4", "me-4.mp4"]

    async def test_a_name_that_was_not_used_is_free_again(self, store: ResultBucket) -> None:
        for _ in range(2):
            assert await self.claimed(store, "me.jpg") == ["me.mp4"]

    async def test_is_race_free(self, store: ResultBucket) -> None:
        async with AsyncExitStack() as stack:
            claims = await asyncio.gather(
                *(stack.enter_async_context(store.claim(b"", ".mp4")) for _ in range(50))
            )
            assert len({claim.location for claim in claims}) == 50

    async def test_shows_that_the_store_can_be_written_to(
        self, store: ResultBucket, s3: S3Server
    ) -> None:
        s3.fault = lambda asked: 403 if asked.is_upload else None
        for photo in ("me.jpg", "you.jpg"):
            with pytest.raises(DownloadError, match=rf"{URL}: cannot be written: .* 403"):
                await self.claimed(store, photo)
        assert len(s3.uploads()) == 1
        s3.fault = None
        await self.claimed(ResultBucket(URL), "me.jpg", "you.jpg")
        assert len(s3.uploads()) == 2
        assert s3.objects() == {}

    async def test_claims_again_what_an_earlier_run_had_claimed(
        self, store: ResultBucket, s3: S3Server
    ) -> None:
        s3.put("out/me.mp4", b"saved, but not told of")
        async with store.claim("me.jpg", ".mp4", earlier=f"{URL}/me.mp4") as claim:
            assert claim.location == f"{URL}/me.mp4"
        for elsewhere in (f"{URL}/deeper/me.mp4", "s3://other/me.mp4", Path("/out/me.mp4")):
            async with store.claim("me.jpg", ".mp4", earlier=elsewhere) as claim:
                assert claim.location == f"{URL}/me-2.mp4"

    @pytest.mark.parametrize("name", ["a%20b", "a~b#c", "grandä 👩\u200d🚀", "a+b&c=d", "a..b"])
    async def test_odd_names(self, store: ResultBucket, s3: S3Server, name: str) -> None:
        async with store.claim(b"", ".mp4", name=name) as claim:
            assert isinstance(claim, ObjectDestination)
            await claim.begin()
            await claim.write(0, SMALL)
            place = await claim.commit()
        assert s3.objects() == {place.removeprefix(f"s3://{BUCKET}/"): SMALL}
        assert await self.claimed(store, f"{name}.jpg") == [f"{name}-2.mp4"]


class TestSaveTo:
    def test_names_a_folder_or_a_part_of_a_store(self, s3: S3Server) -> None:
        assert isinstance(result_store(parse_location("out/")), ResultFolder)
        assert isinstance(result_store(parse_location(Path("s3"))), ResultFolder)
        assert parse_location("s3://b/out/") == "s3://b/out"
        assert isinstance(result_store(parse_location("s3://b/out/")), ResultBucket)

    @pytest.mark.parametrize(
        "save_to", ["https://b/out", "file:///out", Path("s3://b/out"), "s3://me:secret@b"]
    )
    def test_and_nothing_else(self, save_to: str | os.PathLike[str]) -> None:
        with pytest.raises(InvalidRequestError, match=r"save_to is .*; allowed is a string") as e:
            parse_location(save_to)
        assert "secret" not in str(e.value)

    async def test_one_photo(
        self, client: PhotoAnimerClient, stub: StubService, s3: S3Server
    ) -> None:
        async with results(stub):
            animation = await client.animate(png(64, 64), save_to=URL)
        assert animation.path is None
        assert animation.url == animation.place == f"{URL}/photo.mp4"
        assert s3.objects() == {"out/photo.mp4": SMALL}

    async def test_a_batch_goes_on_where_it_was(
        self, client: PhotoAnimerClient, stub: StubService, s3: S3Server, tmp_path: Path
    ) -> None:
        """The store is away when the results come; they are collected later, under their names."""
        photo = tmp_path / "me.png"
        photo.write_bytes(png(64, 64))
        journal = tmp_path / "batch.db"

        async with serving(lambda _: web.Response(body=SMALL, content_type="video/mp4")) as videos:
            stub.finished = lambda r: envelope(
                task(r.query["taskId"], resultUrl=f"{videos}/{r.query['taskId']}.mp4")
            )

            async def outcomes() -> AsyncIterator[tuple[State, object]]:
                async for outcome in client.animate_many([photo], save_to=URL, journal=journal):
                    animation = outcome.animation
                    place = animation and animation.place
                    [entry] = await asyncio.to_thread(entries_of, journal)
                    assert entry.folder == URL
                    assert entry.destination == f"{URL}/me.mp4"
                    assert entry.path == place
                    yield entry.state, place

            s3.fault = lambda asked: (
                403 if asked.path.endswith(".mp4") and asked.is_upload else None
            )
            assert [found async for found in outcomes()] == [(State.FINISHED, None)]
            s3.fault = None
            saved = [(State.SAVED, f"{URL}/me.mp4")]
            assert [found async for found in outcomes()] == saved
            assert [found async for found in outcomes()] == saved
        assert len(stub.submits) == 1
        assert s3.objects() == {"out/me.mp4": SMALL}
