"""Photos in an object store: a real server that speaks S3, signed URLs fetched from it."""

import asyncio
import json
import logging
import threading
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from blockbuster import blockbuster_ctx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from photoanimer_async import (
    HostingError,
    InvalidPhotoError,
    InvalidRequestError,
    ObjectStoreHost,
    PhotoAnimerClient,
)
from photoanimer_async.models import Photo
from photoanimer_async.storage.default_host import DefaultImageHost, chosen_host

from ..support.pictures import png
from ..support.s3_server import BUCKET, KEY_ID, SECRET, Asked, S3Server

PHOTO = png(64, 64)
ANOTHER = png(65, 64)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "grandma.jpg"
    path.write_bytes(PHOTO)
    return path


@pytest.fixture
def host(s3: S3Server) -> ObjectStoreHost:
    return ObjectStoreHost(f"s3://{BUCKET}/for/a/while/")


class TestPublish:
    async def test_a_signed_url_gives_the_photo(
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

    async def test_its_name_is_random_and_tells_nothing(
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
    async def test_the_url_outlives_the_task(
        self, s3: S3Server, given: dict[str, float], seconds: str
    ) -> None:
        async with ObjectStoreHost(f"s3://{BUCKET}", **given).publish(PHOTO) as url:
            assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == [seconds]

    async def test_is_withdrawn_at_the_end(self, host: ObjectStoreHost, s3: S3Server) -> None:
        async with host.publish(PHOTO):
            assert len(s3.objects()) == 1
        assert s3.objects() == {}

    async def test_is_withdrawn_after_an_error(self, host: ObjectStoreHost, s3: S3Server) -> None:
        with pytest.raises(ZeroDivisionError):
            async with host.publish(PHOTO):
                raise ZeroDivisionError
        assert s3.objects() == {}

    async def test_is_withdrawn_after_a_cancel_even_if_cancelled_again(
        self, host: ObjectStoreHost, s3: S3Server
    ) -> None:
        published, deleting, go_on = asyncio.Event(), threading.Event(), threading.Event()

        def slow_delete(asked: Asked) -> None:
            if asked.method == "DELETE":
                deleting.set()
                go_on.wait(30)

        async def publish_for_ever() -> None:
            async with host.publish(PHOTO):
                published.set()
                await asyncio.Event().wait()

        s3.fault = slow_delete
        task = asyncio.create_task(publish_for_ever())
        await published.wait()
        task.cancel()
        await asyncio.to_thread(deleting.wait, 30)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert s3.objects() == {}

    async def test_a_cancel_in_the_middle_of_the_upload_leaves_nothing(
        self, host: ObjectStoreHost, s3: S3Server
    ) -> None:
        uploading, go_on = threading.Event(), threading.Event()

        def slow_upload(asked: Asked) -> None:
            if asked.is_upload:
                uploading.set()
                go_on.wait(30)

        async def publish() -> None:
            async with host.publish(PHOTO):
                pytest.fail("it was cancelled before")

        s3.fault = slow_upload
        task = asyncio.create_task(publish())
        await asyncio.to_thread(uploading.wait, 30)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
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
                await all_are_there.wait()

        all_are_there = asyncio.Barrier(8)
        photos: list[Photo] = [PHOTO, file, PHOTO, file, PHOTO, file, ANOTHER, ANOTHER]
        await asyncio.gather(*map(publish, photos))
        assert len(s3.uploads()) == 2
        assert s3.objects() == {}

    async def test_it_is_there_until_the_last_has_left(
        self, host: ObjectStoreHost, session: aiohttp.ClientSession
    ) -> None:
        async with host.publish(PHOTO) as longer:
            async with host.publish(PHOTO):
                pass
            async with session.get(longer) as response:
                assert response.status == 200

    async def test_one_who_leaves_early_takes_nobodys_upload_away(
        self, host: ObjectStoreHost, s3: S3Server
    ) -> None:
        uploading, go_on = threading.Event(), threading.Event()

        def slow_upload(asked: Asked) -> None:
            if asked.is_upload:
                uploading.set()
                go_on.wait(30)

        async def publish() -> None:
            async with host.publish(PHOTO):
                assert list(s3.objects().values()) == [PHOTO]

        s3.fault = slow_upload
        first, second = asyncio.create_task(publish()), asyncio.create_task(publish())
        await asyncio.to_thread(uploading.wait, 30)
        first.cancel()
        await asyncio.wait([first])
        go_on.set()
        await second
        assert len(s3.uploads()) == 1


class TestRefusals:
    async def test_what_is_no_photo_is_not_uploaded(
        self, host: ObjectStoreHost, s3: S3Server, tmp_path: Path
    ) -> None:
        secret = tmp_path / "secret.jpg"
        secret.write_text("not a photo")
        for photo in (secret, tmp_path / "gone.jpg", "https://example.com/a.jpg"):
            with pytest.raises(InvalidPhotoError):
                async with host.publish(photo):
                    pytest.fail("it was published")
        assert s3.asked == []

    async def test_a_bucket_that_is_not_there(self, s3: S3Server) -> None:
        with pytest.raises(
            HostingError, match=r"to s3://nowhere/x: .* answered 404 .*NoSuchBucket"
        ):
            async with ObjectStoreHost("s3://nowhere/x").publish(PHOTO):
                pytest.fail("it was published")

    async def test_nobody_there(self, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(HostingError, match="there is no connection to the store"):
            async with ObjectStoreHost(f"s3://{BUCKET}").publish(PHOTO):
                pytest.fail("it was published")

    async def test_the_keys_are_shown_nowhere(
        self, host: ObjectStoreHost, s3: S3Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        s3.fault = lambda asked: 403 if asked.is_upload else None
        with pytest.raises(HostingError) as caught:
            async with host.publish(PHOTO):
                pytest.fail("it was published")
        assert "answered 403 Forbidden (AccessDenied)" in str(caught.value)
        s3.fault = lambda asked: 403 if asked.method == "DELETE" else None
        async with host.publish(PHOTO) as url:
            pass
        [left] = s3.objects()
        assert f"s3://{BUCKET}/{left} could not be deleted: the store answered 403" in caplog.text
        shown = "".join(
            [caplog.text, *traceback.format_exception(caught.value), repr(caught.value), repr(host)]
        )
        for secret in (KEY_ID, SECRET, "Signature", urlsplit(url).query):
            assert secret not in shown


class TestOtherStores:
    """Their URLs are signed here, without asking anybody."""

    async def test_google_cloud_storage(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        account = {
            "type": "service_account",
            "client_email": "me@example",
            "private_key": pem.decode(),
            "private_key_id": "1",
        }
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(account))
        host = ObjectStoreHost("gs://photos/for-a-while")
        url = await host._bucket.signed_url("a.jpg", 60)
        assert url.startswith("https://storage.googleapis.com/photos/for-a-while/a.jpg?")
        assert parse_qs(urlsplit(url).query)["X-Goog-Expires"] == ["60"]

    async def test_azure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "me")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")
        host = ObjectStoreHost("az://photos/for-a-while")
        url = await host._bucket.signed_url("a.jpg", 60)
        assert url.startswith("https://me.blob.core.windows.net/photos/for-a-while/a.jpg?")
        assert parse_qs(urlsplit(url).query)["sp"] == ["r"]


class TestChoice:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "photos",
            "s3:photos",
            "s3:/photos/x",
            "s3://",
            "s3:///x",
            "ftp://photos/x",
            "https://photos.example/x",
            "s3://me:secret@photos/x",
            "s3://photos/x?key=secret",
            "s3://photos/x#secret",
            "s3://photos/\nx",
            "s3://[photos",
        ],
    )
    def test_other_urls_are_refused(self, url: str) -> None:
        with pytest.raises(InvalidRequestError, match=r"s3://bucket/prefix, gs://") as caught:
            ObjectStoreHost(url)
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("seconds", [0, 604_801, float("nan")])
    def test_so_are_times_that_no_store_signs_for(self, seconds: float) -> None:
        with pytest.raises(InvalidRequestError, match="valid_seconds"):
            ObjectStoreHost("s3://photos", valid_seconds=seconds)

    def test_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "obstore", None)
        with pytest.raises(InvalidRequestError, match=r"photoanimer-async\[object-store\]"):
            ObjectStoreHost("s3://photos")

    def test_an_argument_comes_before_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        base_url = "http://127.0.0.1/api/v1"
        assert isinstance(chosen_host(None, base_url), DefaultImageHost)
        monkeypatch.setenv("PHOTOANIMER_HOST", "s3://from-the-environment")
        assert repr(chosen_host(None, base_url)) == "ObjectStoreHost('s3://from-the-environment')"
        assert repr(chosen_host("gs://given", base_url)) == "ObjectStoreHost('gs://given')"
        own = DefaultImageHost(base_url)
        assert chosen_host(own, base_url) is own

    def test_a_choice_that_can_not_be_is_told_at_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PHOTOANIMER_HOST", "photos")
        with pytest.raises(InvalidRequestError, match="the image host is 'photos'"):
            PhotoAnimerClient("key")
