"""Results as objects: complete or absent, never overwritten, never written to the disk."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from blockbuster import blockbuster_ctx

from photoanimer_async import DownloadError
from photoanimer_async.models import Photo
from photoanimer_async.storage.download import download
from photoanimer_async.storage.result_bucket import ObjectDestination, ResultBucket

from ..support.result_server import (
    VIDEO,
    ResultServer,
    after,
    drops_after,
    holds_back_the_end,
    sends,
)
from ..support.s3_server import BUCKET, KEY_ID, SECRET, S3Request, S3Server
from ..support.stub_service import QUICK_RETRY
from ..support.videos import mp4

SMALL = VIDEO
LARGE = mp4(bytes(range(256)) * 66_000)
"""17 MB: more than the 8 MiB that are held in memory, in three parts."""
CHANGED = mp4(LARGE[::-1])
URL = f"s3://{BUCKET}/out"

Save = Callable[..., Awaitable[str]]


@pytest.fixture
def store(s3: S3Server) -> ResultBucket:
    return ResultBucket(f"{URL}/")


@pytest.fixture
def save(session: aiohttp.ClientSession, results: ResultServer, store: ResultBucket) -> Save:
    """Downloads from the origin to `video.mp4`."""

    async def save(**options: Any) -> str:
        async with store.claim("video.jpg", ".mp4") as destination:
            return await download(
                session,
                f"{results.origin}/1.mp4?Signature=s3cr3t",
                destination,
                **{"timeout": 60, "retry": QUICK_RETRY, **options},
            )

    return save


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


class TestDownload:
    async def test_a_small_result_is_stored_by_one_request(
        self, save: Save, results: ResultServer, s3: S3Server
    ) -> None:
        results.script = [sends(SMALL)]
        assert await save() == f"{URL}/video.mp4"
        assert s3.objects() == {"out/video.mp4": SMALL}
        assert s3.object("out/video.mp4").headers["Content-Type"] == "video/mp4"
        assert [request.path for request in s3.uploads()][1:] == [f"/{BUCKET}/out/video.mp4"]

    async def test_a_large_result_is_uploaded_in_parts(
        self, save: Save, results: ResultServer, s3: S3Server
    ) -> None:
        results.script = [sends(LARGE)]
        assert await save() == f"{URL}/video.mp4"
        assert s3.objects() == {"out/video.mp4": LARGE}
        assert s3.object("out/video.mp4").headers["Content-Type"] == "video/mp4"
        assert len([request for request in s3.uploads() if "partNumber" in request.query]) > 2
        assert s3.unfinished() == []

    async def test_nothing_is_written_to_the_disk(
        self, save: Save, results: ResultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        results.script = [sends(LARGE)]
        await save()
        assert files_in(tmp_path) == []

    async def test_a_dropped_download_continues_where_it_stopped(
        self, save: Save, results: ResultServer, s3: S3Server
    ) -> None:
        cut = len(LARGE) * 3 // 4
        results.script = [drops_after(cut, LARGE, ETag='"v1"'), sends(LARGE, start=cut)]
        assert await save() == f"{URL}/video.mp4"
        assert results.ranges() == [(None, None), (f"bytes={cut}-", '"v1"')]
        assert s3.objects() == {"out/video.mp4": LARGE}
        assert s3.unfinished() == []

    async def test_a_result_that_has_changed_replaces_the_first_part(
        self, save: Save, results: ResultServer, s3: S3Server
    ) -> None:
        cut = len(LARGE) * 3 // 4
        results.script = [drops_after(cut, LARGE, ETag='"v1"'), sends(CHANGED)]
        await save()
        assert s3.objects() == {"out/video.mp4": CHANGED}
        assert s3.unfinished() == []

    @pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
    async def test_an_incomplete_result_is_not_stored(
        self, save: Save, results: ResultServer, s3: S3Server, content: bytes
    ) -> None:
        # The server ignores ranges: each attempt starts again.
        results.script = [drops_after(len(content) - 1, content, ETag='"v1"')] * QUICK_RETRY.tries
        with pytest.raises(DownloadError, match="tried 3 times"):
            await save()
        assert s3.objects() == {}
        assert s3.unfinished() == []

    @pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
    async def test_a_name_taken_during_the_download_is_numbered(
        self, save: Save, results: ResultServer, s3: S3Server, content: bytes
    ) -> None:
        async def take_the_name() -> None:
            await asyncio.to_thread(s3.put, "out/video.mp4", b"somebody else's")

        results.script = [after(take_the_name, sends(content))]
        assert await save() == f"{URL}/video-2.mp4"
        assert s3.objects() == {"out/video.mp4": b"somebody else's", "out/video-2.mp4": content}

    @pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
    async def test_identical_content_is_not_saved_twice(
        self, save: Save, results: ResultServer, s3: S3Server, content: bytes
    ) -> None:
        async def save_before() -> None:
            await asyncio.to_thread(s3.put, "out/video.mp4", content)

        results.script = [after(save_before, sends(content))]
        assert await save() == f"{URL}/video.mp4"
        assert s3.objects() == {"out/video.mp4": content}

    @pytest.mark.parametrize("stage", ["uploads", "partNumber=2", "uploadId", "copy"])
    async def test_a_refusal_at_any_stage_leaves_nothing(
        self, save: Save, results: ResultServer, s3: S3Server, stage: str
    ) -> None:
        def refuses(request: S3Request) -> int | None:
            match stage:
                case "copy":
                    hit = "/.part/" not in request.path and request.query.startswith("uploads")
                case "uploadId":
                    hit = request.method == "POST" and request.query.startswith("uploadId")
                case _:
                    hit = stage in request.query
            return 403 if hit else None

        s3.fault = refuses
        results.script = [sends(LARGE)]
        with pytest.raises(
            DownloadError, match=r"s3://photos/out/video\.mp4: cannot be written: .* 403"
        ) as caught:
            await save()
        s3.fault = None
        assert KEY_ID not in str(caught.value)
        assert SECRET not in str(caught.value)
        assert s3.objects() == {}
        assert s3.unfinished() == []

    @pytest.mark.parametrize("stage", ["part", "completion", "copy"])
    async def test_a_cancellation_leaves_nothing_or_the_whole(
        self, save: Save, results: ResultServer, s3: S3Server, stage: str
    ) -> None:
        sending, may_continue = threading.Event(), threading.Event()

        def is_at_stage(request: S3Request) -> bool:
            match stage:
                case "part":
                    return "partNumber=1" in request.query
                case "completion":
                    return request.method == "POST" and request.query.startswith("uploadId")
                case _:
                    return "/.part/" not in request.path and request.query.startswith("uploads")

        def slow_stage(request: S3Request) -> None:
            if is_at_stage(request):
                sending.set()
                may_continue.wait(30)

        s3.fault = slow_stage
        end = asyncio.Event()
        if stage != "part":
            end.set()
        results.script = [holds_back_the_end(end, LARGE)]
        task = asyncio.ensure_future(save())
        await asyncio.to_thread(sending.wait, 30)
        task.cancel()
        await asyncio.sleep(0)
        may_continue.set()
        with suppress(asyncio.CancelledError):
            await task
        end.set()
        assert task.cancelled()
        assert s3.objects() == ({} if stage == "part" else {"out/video.mp4": LARGE})
        assert s3.unfinished() == []

    async def test_the_loop_is_not_blocked(
        self, save: Save, results: ResultServer, s3: S3Server
    ) -> None:
        results.script = [sends(LARGE)]
        with blockbuster_ctx():
            await save()


class TestClaim:
    async def claimed(self, store: ResultBucket, *photos: Photo) -> list[str]:
        async with AsyncExitStack() as stack:
            claims = [await stack.enter_async_context(store.claim(p, ".mp4")) for p in photos]
            return [claim.location.removeprefix(f"{URL}/") for claim in claims]

    async def test_each_photo_gets_another_name(self, store: ResultBucket, s3: S3Server) -> None:
        s3.put("out/me-2.mp4", b"there")
        names = await self.claimed(store, "a/me.jpg", "b/me.png", b"", "me.bmp")
        assert names == ["me.mp4", "me-3.mp4", "photo.mp4", "me-4.mp4"]

    async def test_an_unused_name_is_free_again(self, store: ResultBucket) -> None:
        for _ in range(2):
            assert await self.claimed(store, "me.jpg") == ["me.mp4"]

    async def test_simultaneous_claims_get_different_names(self, store: ResultBucket) -> None:
        async with AsyncExitStack() as stack:
            claims = await asyncio.gather(
                *(stack.enter_async_context(store.claim(b"", ".mp4")) for _ in range(50))
            )
            assert len({claim.location for claim in claims}) == 50

    async def test_the_store_is_probed_once_before_the_first_claim(
        self, store: ResultBucket, s3: S3Server
    ) -> None:
        s3.fault = lambda request: 403 if request.is_upload else None
        for photo in ("me.jpg", "you.jpg"):
            with pytest.raises(DownloadError, match=rf"{URL}: cannot be written: .* 403"):
                await self.claimed(store, photo)
        assert len(s3.uploads()) == 1
        s3.fault = None
        await self.claimed(ResultBucket(URL), "me.jpg", "you.jpg")
        assert len(s3.uploads()) == 2
        assert s3.objects() == {}

    async def test_the_claim_of_a_killed_run_is_claimed_again(
        self, store: ResultBucket, s3: S3Server
    ) -> None:
        s3.put("out/me.mp4", b"saved, not recorded")
        async with store.claim("me.jpg", ".mp4", earlier=f"{URL}/me.mp4") as claim:
            assert claim.location == f"{URL}/me.mp4"
        for elsewhere in (f"{URL}/deeper/me.mp4", "s3://other/me.mp4", Path("/out/me.mp4")):
            async with store.claim("me.jpg", ".mp4", earlier=elsewhere) as claim:
                assert claim.location == f"{URL}/me-2.mp4"

    @pytest.mark.parametrize("name", ["a%20b", "a~b#c", "grandä 👩\u200d🚀", "a+b&c=d", "a..b"])
    async def test_names_with_special_characters(
        self, store: ResultBucket, s3: S3Server, name: str
    ) -> None:
        async with store.claim(b"", ".mp4", name=name) as claim:
            assert isinstance(claim, ObjectDestination)
            await claim.begin(".mp4")
            await claim.write(0, SMALL)
            location = await claim.commit()
        assert s3.objects() == {location.removeprefix(f"s3://{BUCKET}/"): SMALL}
        assert await self.claimed(store, f"{name}.jpg") == [f"{name}-2.mp4"]
