"""Photos uploaded to a real server that speaks S3, fetched by their signed URLs."""

import asyncio
import logging
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from blockbuster import blockbuster_ctx

from photoanimer_async import (
    HostingError,
    InvalidPhotoError,
    InvalidRequestError,
    ObjectStoreHost,
)
from photoanimer_async.models import Photo

from ..support.pictures import png
from ..support.s3_server import BUCKET, KEY_ID, SECRET, S3Request, S3Server
from ..support.stub_service import StubService, envelope, quick_client

PHOTO = png(64, 64)
ANOTHER = png(65, 64)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "grandma.jpg"
    path.write_bytes(PHOTO)
    return path


@pytest.fixture
def host(s3: S3Server) -> ObjectStoreHost:
    return ObjectStoreHost(f"s3://{BUCKET}/for/a/while/")


class Slow:
    """A store that answers some requests only when it may."""

    def __init__(self, which: Callable[[S3Request], bool]) -> None:
        self.began, self.may_continue = threading.Event(), threading.Event()
        self._which = which

    def __call__(self, request: S3Request) -> None:
        if self._which(request):
            self.began.set()
            self.may_continue.wait(30)


class TestPublish:
    async def test_a_signed_url_gives_access_to_the_photo(
        self, host: ObjectStoreHost, s3: S3Server, session: aiohttp.ClientSession, file: Path
    ) -> None:
        for photo in (PHOTO, file, str(file)):
            async with host.publish(photo) as url, session.get(url) as response:
                assert response.status == 200
                assert response.content_type == "image/png"
                assert response.headers["Cache-Control"] == "no-store"
                assert await response.read() == PHOTO
                [key] = s3.objects()
                assert key in urlsplit(url).path

    async def test_the_object_has_a_random_name(
        self, host: ObjectStoreHost, s3: S3Server, file: Path
    ) -> None:
        names = set()
        for _ in range(3):
            async with host.publish(file):
                [key] = s3.objects()
                assert key.startswith("for/a/while/")
                assert key.endswith(".png")
                assert "grandma" not in key
                assert len(key) > 40
                names.add(key)
        assert len(names) == 3

    @pytest.mark.parametrize(("given", "seconds"), [({}, "86400"), ({"valid_seconds": 90}, "90")])
    async def test_how_long_the_url_is_valid(
        self, s3: S3Server, given: dict[str, float], seconds: str
    ) -> None:
        async with ObjectStoreHost(f"s3://{BUCKET}", **given).publish(PHOTO) as url:
            assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == [seconds]

    async def test_the_object_is_deleted_at_the_end(
        self, host: ObjectStoreHost, s3: S3Server
    ) -> None:
        async with host.publish(PHOTO):
            assert len(s3.objects()) == 1
        assert s3.objects() == {}

    async def test_the_object_is_deleted_after_an_error(
        self, host: ObjectStoreHost, s3: S3Server
    ) -> None:
        with pytest.raises(ZeroDivisionError):
            async with host.publish(PHOTO):
                raise ZeroDivisionError
        assert s3.objects() == {}

    async def test_the_object_is_deleted_after_two_cancellations(
        self, host: ObjectStoreHost, s3: S3Server
    ) -> None:
        published = asyncio.Event()

        async def publish_forever() -> None:
            async with host.publish(PHOTO):
                published.set()
                await asyncio.Event().wait()

        s3.fault = deletion = Slow(lambda request: request.method == "DELETE")
        task = asyncio.create_task(publish_forever())
        await published.wait()
        task.cancel()
        await asyncio.to_thread(deletion.began.wait, 30)
        task.cancel()
        await asyncio.sleep(0)
        deletion.may_continue.set()
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert s3.objects() == {}

    async def test_a_cancellation_during_the_upload_leaves_nothing(
        self, host: ObjectStoreHost, s3: S3Server
    ) -> None:
        async def publish() -> None:
            async with host.publish(PHOTO):
                pytest.fail("it was cancelled before")

        s3.fault = upload = Slow(lambda request: request.is_upload)
        task = asyncio.create_task(publish())
        await asyncio.to_thread(upload.began.wait, 30)
        task.cancel()
        await asyncio.sleep(0)
        upload.may_continue.set()
        with suppress(asyncio.CancelledError):
            await task
        assert len(s3.uploads()) == 1
        assert s3.objects() == {}

    async def test_the_loop_is_not_blocked(self, s3: S3Server, file: Path) -> None:
        with blockbuster_ctx():
            async with ObjectStoreHost(f"s3://{BUCKET}/a").publish(file) as url:
                assert url.startswith(s3.origin)


class TestSharing:
    async def test_the_same_content_is_uploaded_once(
        self,
        host: ObjectStoreHost,
        s3: S3Server,
        session: aiohttp.ClientSession,
        file: Path,
    ) -> None:
        async def publish(photo: Photo) -> None:
            async with host.publish(photo) as url, session.get(url) as response:
                assert response.status == 200
                await all_published.wait()

        all_published = asyncio.Barrier(8)
        photos: list[Photo] = [PHOTO, file, PHOTO, file, PHOTO, file, ANOTHER, ANOTHER]
        await asyncio.gather(*map(publish, photos))
        assert len(s3.uploads()) == 2
        assert s3.objects() == {}

    async def test_the_object_exists_until_the_last_publication_ends(
        self, host: ObjectStoreHost, session: aiohttp.ClientSession
    ) -> None:
        async with host.publish(PHOTO) as longer:
            async with host.publish(PHOTO):
                pass
            async with session.get(longer) as response:
                assert response.status == 200

    async def test_a_cancelled_publication_does_not_abort_a_shared_upload(
        self, host: ObjectStoreHost, s3: S3Server
    ) -> None:
        async def publish() -> None:
            async with host.publish(PHOTO):
                assert list(s3.objects().values()) == [PHOTO]

        s3.fault = upload = Slow(lambda request: request.is_upload)
        first, second = asyncio.create_task(publish()), asyncio.create_task(publish())
        await asyncio.to_thread(upload.began.wait, 30)
        first.cancel()
        await asyncio.wait([first])
        upload.may_continue.set()
        await second
        assert len(s3.uploads()) == 1


class TestRefusals:
    async def test_a_file_that_is_not_a_photo_is_refused(
        self, host: ObjectStoreHost, s3: S3Server, tmp_path: Path
    ) -> None:
        secret = tmp_path / "secret.jpg"
        secret.write_text("not a photo")
        for photo in (secret, tmp_path / "gone.jpg", "https://example.com/a.jpg"):
            with pytest.raises(InvalidPhotoError):
                async with host.publish(photo):
                    pytest.fail("it was published")
        assert s3.received == []

    async def test_a_missing_bucket(self, s3: S3Server) -> None:
        with pytest.raises(
            HostingError, match=r"to s3://nowhere/x: .* answered 404 .*NoSuchBucket"
        ):
            async with ObjectStoreHost("s3://nowhere/x").publish(PHOTO):
                pytest.fail("it was published")

    @pytest.mark.slow
    async def test_a_refused_connection(
        self, s3: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(HostingError, match="there is no connection to the store"):
            async with ObjectStoreHost(f"s3://{BUCKET}").publish(PHOTO):
                pytest.fail("it was published")

    async def test_no_error_or_log_line_shows_keys(
        self, host: ObjectStoreHost, s3: S3Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        s3.fault = lambda request: 403 if request.is_upload else None
        with pytest.raises(HostingError) as caught:
            async with host.publish(PHOTO):
                pytest.fail("it was published")
        assert "answered 403 Forbidden (AccessDenied)" in str(caught.value)
        s3.fault = lambda request: 403 if request.method == "DELETE" else None
        async with host.publish(PHOTO) as url:
            pass
        [left] = s3.objects()
        assert f"s3://{BUCKET}/{left} could not be deleted: the store answered 403" in caplog.text
        shown = "".join(
            [caplog.text, *traceback.format_exception(caught.value), repr(caught.value), repr(host)]
        )
        for secret in (KEY_ID, SECRET, "Signature", urlsplit(url).query):
            assert secret not in shown


@pytest.mark.parametrize("seconds", [0, 604_801, float("nan")])
def test_valid_seconds_must_be_1_to_604800(seconds: float) -> None:
    with pytest.raises(InvalidRequestError, match="valid_seconds"):
        ObjectStoreHost("s3://photos", valid_seconds=seconds)


async def test_a_submit_that_is_refused_for_now_uploads_nothing_again(
    host: ObjectStoreHost, s3: S3Server, stub: StubService, file: Path
) -> None:
    stub.submit_script = [lambda _: envelope(code=503, status=503)] * 2
    async with quick_client(stub.base_url, host=host) as client:
        assert (await client.animate(file)).task_id
    assert len(stub.submits) == 3
    assert len(s3.uploads()) == 1
    assert s3.objects() == {}
