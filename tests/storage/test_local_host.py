"""Photos with a URL: served by a real server, fetched by a real client."""

import asyncio
import logging
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from blockbuster import blockbuster_ctx

from photoanimer_async.errors import HostingError, InvalidPhotoError, InvalidRequestError
from photoanimer_async.jobs.publisher import Publisher
from photoanimer_async.jobs.resources import Holdings
from photoanimer_async.models import Photo
from photoanimer_async.photos.check import inspect_photo
from photoanimer_async.photos.formats import PictureFormat
from photoanimer_async.photos.header import PictureHeader
from photoanimer_async.storage.default_host import DefaultImageHost
from photoanimer_async.storage.image_host import ImageHost, published
from photoanimer_async.storage.local_host import LocalImageHost

from ..support.stub_service import StubService, quick_client

# A bitmap of 16x16 pixels in shades, header and all.
PHOTO = (
    b"BM"
    + struct.pack("<IHHI", 54 + 768, 0, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, 24, 0, 0, 0, 0, 0, 0)
    + bytes(range(256)) * 3
)
ANOTHER = PHOTO[:-1] + b"\1"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "grandma.bmp"
    path.write_bytes(PHOTO)
    return path


@pytest.fixture(params=["content", "file"])
def photo(request: pytest.FixtureRequest, file: Path) -> Photo:
    return PHOTO if request.param == "content" else file


async def status(session: aiohttp.ClientSession, url: str, method: str = "GET") -> int:
    async with session.request(method, url) as response:
        return response.status


def remove(path: Path) -> None:
    path.unlink()


def test_the_photo_of_these_tests_is_one() -> None:
    assert inspect_photo(PHOTO) == PictureHeader(PictureFormat.BMP, 16, 16)


class TestPublish:
    async def test_serves_the_photo_and_says_what_it_is(
        self, session: aiohttp.ClientSession, photo: Photo
    ) -> None:
        async with LocalImageHost().publish(photo) as url, session.get(url) as response:
            assert response.status == 200
            assert response.content_type == "image/bmp"
            assert response.headers["Cache-Control"] == "no-store"
            assert await response.read() == PHOTO

    async def test_head(self, session: aiohttp.ClientSession, photo: Photo) -> None:
        async with LocalImageHost().publish(photo) as url, session.head(url) as response:
            assert response.status == 200
            assert response.content_length == len(PHOTO)
            assert response.headers["Accept-Ranges"] == "bytes"

    @pytest.mark.parametrize(
        ("asked", "part"),
        [
            ("bytes=0-0", slice(0, 1)),
            ("bytes=10-99", slice(10, 100)),
            ("bytes=800-", slice(800, None)),
            ("bytes=800-99999", slice(800, None)),
            ("bytes=-20", slice(-20, None)),
            ("bytes=-99999", slice(None)),
        ],
    )
    async def test_range(
        self, session: aiohttp.ClientSession, photo: Photo, asked: str, part: slice
    ) -> None:
        async with (
            LocalImageHost().publish(photo) as url,
            session.get(url, headers={"Range": asked}) as response,
        ):
            assert response.status == 206
            assert await response.read() == PHOTO[part]
            start, stop, _ = part.indices(len(PHOTO))
            assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(PHOTO)}"

    @pytest.mark.parametrize("asked", ["bytes=99999-", "bytes=9-3", "pixels=1-2"])
    async def test_range_that_is_none(
        self, session: aiohttp.ClientSession, photo: Photo, asked: str
    ) -> None:
        async with (
            LocalImageHost().publish(photo) as url,
            session.get(url, headers={"Range": asked}) as response,
        ):
            assert response.status == 416
            assert response.headers["Content-Range"] == f"bytes */{len(PHOTO)}"

    async def test_each_has_a_url_of_its_own_without_the_name(self, file: Path) -> None:
        host = LocalImageHost()
        async with host.publish(file) as first, host.publish(file) as second:
            assert first != second
            assert "grandma" not in first
            assert len(urlsplit(first).path) > 40
            assert first.endswith(".bmp")

    async def test_is_withdrawn_at_the_end(
        self, session: aiohttp.ClientSession, photo: Photo
    ) -> None:
        async with LocalImageHost() as host:
            async with host.publish(photo) as url:
                assert await status(session, url) == 200
            assert await status(session, url) == 404

    async def test_is_withdrawn_after_an_error(self, session: aiohttp.ClientSession) -> None:
        async with LocalImageHost() as host:
            with pytest.raises(ZeroDivisionError):
                async with host.publish(PHOTO) as url:
                    raise ZeroDivisionError
            assert await status(session, url) == 404

    async def test_is_withdrawn_after_a_cancel(self, session: aiohttp.ClientSession) -> None:
        urls: asyncio.Queue[str] = asyncio.Queue()

        async def publish_for_ever(host: LocalImageHost) -> None:
            async with host.publish(PHOTO) as url:
                urls.put_nowait(url)
                await asyncio.Event().wait()

        async with LocalImageHost() as host:
            task = asyncio.create_task(publish_for_ever(host))
            url = await urls.get()
            assert await status(session, url) == 200
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert await status(session, url) == 404

    async def test_a_file_that_vanishes_is_not_found(
        self, session: aiohttp.ClientSession, file: Path
    ) -> None:
        async with LocalImageHost().publish(file) as url:
            remove(file)
            assert await status(session, url) == 404

    async def test_what_is_no_photo_is_not_served(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret.jpg"
        secret.write_text("not a photo")
        with pytest.raises(InvalidPhotoError, match=r"secret\.jpg: is text"):
            async with LocalImageHost().publish(secret):
                pytest.fail("it was published")

    async def test_a_relative_path_stays_the_same_file(
        self, session: aiohttp.ClientSession, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(file.parent)
        async with LocalImageHost().publish(file.name) as url:
            monkeypatch.chdir("/")
            assert await status(session, url) == 200


class TestServer:
    async def test_nothing_else_is_there(self, session: aiohttp.ClientSession, file: Path) -> None:
        async with LocalImageHost().publish(file) as url:
            origin, token = url.rsplit("/", 1)
            others = ["", "/", "/grandma.bmp", f"/{token[:-5]}", f"/{token}/", "/../grandma.bmp"]
            answers = set()
            for path in others:
                async with session.get(origin + path) as response:
                    answers.add((response.status, await response.text()))
            assert await status(session, url, "POST") == 404
            assert await status(session, url, "DELETE") == 404
            assert answers == {(404, "404: Not Found")}

    async def test_a_compressed_neighbour_is_not_served(
        self, session: aiohttp.ClientSession, file: Path
    ) -> None:
        file.with_name("grandma.bmp.gz").write_bytes(b"something else")
        async with (
            LocalImageHost().publish(file) as url,
            session.get(url, headers={"Accept-Encoding": "gzip, br"}) as response,
        ):
            assert await response.read() == PHOTO

    async def test_runs_from_the_first_photo_to_the_last(
        self, session: aiohttp.ClientSession
    ) -> None:
        host = LocalImageHost()
        async with host.publish(PHOTO) as first:
            async with host.publish(PHOTO) as second:
                assert urlsplit(first).netloc == urlsplit(second).netloc
            assert await status(session, first) == 200
        with pytest.raises(aiohttp.ClientConnectorError):
            await status(session, first)

    async def test_can_be_used_again(self, session: aiohttp.ClientSession) -> None:
        host = LocalImageHost()
        for _ in range(2):
            async with host.publish(PHOTO) as url:
                assert await status(session, url) == 200

    async def test_many_at_once_share_it(self, session: aiohttp.ClientSession) -> None:
        host = LocalImageHost()

        async def fetch() -> str:
            async with host.publish(PHOTO) as url:
                assert await status(session, url) == 200
                return url

        urls = await asyncio.gather(*(fetch() for _ in range(50)))
        assert len(set(urls)) == 50

    async def test_a_fetch_under_way_does_not_hold_it_up(self) -> None:
        async with LocalImageHost().publish(PHOTO) as url:
            parts = urlsplit(url)
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: x\r\n".encode())  # and no more
            await writer.drain()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    async def test_a_port_that_is_taken(self) -> None:
        async with LocalImageHost() as first, first.publish(PHOTO) as url:
            port = urlsplit(url).port or 0
            with pytest.raises(HostingError, match=f"port {port}: Address already in use"):
                async with LocalImageHost(port=port).publish(PHOTO):
                    pytest.fail("two servers on one port")

    async def test_ipv6(self, session: aiohttp.ClientSession) -> None:
        try:
            async with LocalImageHost(host="::1").publish(PHOTO) as url:
                assert url.startswith("http://[::1]:")
                assert await status(session, url) == 200
        except HostingError:
            pytest.skip("this machine has no IPv6")

    async def test_no_token_is_logged(
        self,
        session: aiohttp.ClientSession,
        file: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        async with LocalImageHost().publish(file) as url:
            await status(session, url)
            remove(file)
            await status(session, url)
        assert urlsplit(url).path[1:20] not in caplog.text

    async def test_the_loop_is_not_blocked(
        self, session: aiohttp.ClientSession, photo: Photo
    ) -> None:
        with blockbuster_ctx():
            async with LocalImageHost().publish(photo) as url:
                assert await status(session, url) == 200


class TestFetches:
    async def test_are_counted_for_each_publication(
        self, session: aiohttp.ClientSession, photo: Photo
    ) -> None:
        host = LocalImageHost()
        async with host.publish(photo) as fetched, host.publish(photo) as other:
            assert host.fetches(fetched) == 0
            await status(session, fetched, "HEAD")
            await status(session, fetched)
            assert host.fetches(fetched) == 2
            assert host.fetches(other) == 0

    async def test_are_unknown_once_withdrawn(self) -> None:
        host = LocalImageHost()
        async with host.publish(PHOTO) as url:
            pass
        with pytest.raises(HostingError, match="no longer"):
            host.fetches(url)


class TestPublicUrl:
    @pytest.mark.parametrize("kept_by_the_proxy", ["", "/photos"])
    async def test_stands_in_front(
        self, session: aiohttp.ClientSession, kept_by_the_proxy: str
    ) -> None:
        async with LocalImageHost() as probe, probe.publish(PHOTO) as url:
            port = urlsplit(url).port or 0
        host = LocalImageHost(public_url="https://me.example/photos/", port=port)
        async with host.publish(PHOTO) as url:
            assert url.startswith("https://me.example/photos/")
            path = kept_by_the_proxy + urlsplit(url).path.removeprefix("/photos")
            assert await status(session, f"http://127.0.0.1:{port}{path}") == 200
            assert host.fetches(url) == 1

    @pytest.mark.parametrize(
        "public_url",
        [
            "",
            "me.example",
            "ftp://me.example",
            "http://",
            "http://[::1",
            "https://a/?key=1",
            "https://a/#b",
            "https://me:secret@a/",
        ],
    )
    def test_must_be_plain(self, public_url: str) -> None:
        with pytest.raises(InvalidRequestError, match="public_url") as caught:
            LocalImageHost(public_url=public_url)
        assert "secret" not in str(caught.value)
        assert "key=1" not in str(caught.value)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
    def test_is_needed_where_the_address_is_none(self, host: str) -> None:
        with pytest.raises(InvalidRequestError, match="public_url"):
            LocalImageHost(host=host)
        LocalImageHost(host=host, public_url="https://me.example")


class TestDefaultImageHost:
    @pytest.mark.parametrize(
        "base_url",
        [
            "http://127.0.0.1:8000/api/v1",
            "http://localhost/",
            "http://a.localhost",
            "http://[::1]:1",
        ],
    )
    async def test_serves_a_service_on_this_machine(
        self, session: aiohttp.ClientSession, base_url: str
    ) -> None:
        async with DefaultImageHost(base_url).publish(PHOTO) as url:
            assert await status(session, url) == 200

    @pytest.mark.parametrize("base_url", ["https://www.cutout.pro/api/v1", "http://10.0.0.1"])
    async def test_explains_the_ways_out_to_all_others(self, base_url: str) -> None:
        url, store, service = "public URL", "PHOTOANIMER_HOST=s3://.* --host or host=", "--local"
        with pytest.raises(HostingError, match=f"{url}.*{store}.*LocalImageHost.*{service}"):
            async with DefaultImageHost(base_url).publish(PHOTO):
                pytest.fail("nobody could fetch it")


class SlowHost:
    """Lets everybody else go first, and counts who is being published."""

    def __init__(self) -> None:
        self.most = self._now = 0

    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        self._now += 1
        self.most = max(self.most, self._now)
        for _ in range(20):
            await asyncio.sleep(0)
        self._now -= 1
        yield "https://cdn.example/a.bmp"


class ThreeLineHost:
    @asynccontextmanager
    async def publish(self, photo: Photo) -> AsyncIterator[str]:
        yield f"https://cdn.example/{photo!s}"


class TestPublished:
    async def test_a_host_of_ones_own_is_asked_for_files(self) -> None:
        host: ImageHost = ThreeLineHost()
        async with published(host, "me.jpg") as url:
            assert url == "https://cdn.example/me.jpg"

    async def test_and_never_for_what_has_a_url(self) -> None:
        async with published(ThreeLineHost(), "HTTPS://example.com/a.jpg?b=%2F") as url:
            assert url == "HTTPS://example.com/a.jpg?b=%2F"

    async def test_each_attempt_gets_a_url_of_its_own_and_all_are_withdrawn_together(
        self, session: aiohttp.ClientSession
    ) -> None:
        async with LocalImageHost() as host:
            async with Holdings() as held:
                publications = Publisher(host, 1).publications(PHOTO, held)
                urls = [await publications.next_url() for _ in range(3)]
                assert len(set(urls)) == 3
                assert {await status(session, url) for url in urls} == {200}
            assert {await status(session, url) for url in urls} == {404}

    async def test_a_bounded_number_is_published_at_a_time(self) -> None:
        host = SlowHost()
        publisher = Publisher(host, 4)

        async def publish() -> None:
            async with Holdings() as held:
                await publisher.publications(PHOTO, held).next_url()

        await asyncio.gather(*(publish() for _ in range(50)))
        assert host.most == 4

    async def test_publishing_goes_on_while_others_are_submitted_and_waited_for(
        self, stub: StubService, tmp_path: Path
    ) -> None:
        first_has_ended = asyncio.Event()

        class SecondWaits:
            @asynccontextmanager
            async def publish(self, photo: Photo) -> AsyncIterator[str]:
                if photo == ANOTHER:
                    await first_has_ended.wait()
                yield "https://cdn.example/a.bmp"

        async with quick_client(stub.base_url, host=SecondWaits()) as client:
            ended = []
            async for outcome in client.animate_many([ANOTHER, PHOTO]):
                ended.append((outcome.photo, outcome.ok))
                first_has_ended.set()
        assert ended == [(PHOTO, True), (ANOTHER, True)]

    async def test_local_host_takes_no_url(self) -> None:
        with pytest.raises(InvalidPhotoError, match="has a URL already"):
            async with LocalImageHost().publish("https://example.com/a.jpg"):
                pytest.fail("it was published")
