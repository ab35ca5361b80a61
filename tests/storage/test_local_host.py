"""Photos served from this process, fetched by a real client."""

import asyncio
import logging
import struct
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from blockbuster import blockbuster_ctx

from photoanimer_async.errors import HostingError, InvalidPhotoError, InvalidRequestError
from photoanimer_async.models import Photo
from photoanimer_async.storage.local_host import LocalImageHost

# A bitmap of 16x16 pixels in shades, header and all.
from ..support.ports import free_port

PHOTO = (
    b"BM"
    + struct.pack("<IHHI", 54 + 768, 0, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, 24, 0, 0, 0, 0, 0, 0)
    + bytes(range(256)) * 3
)


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


class TestPublish:
    async def test_the_photo_is_served_with_its_type(
        self, session: aiohttp.ClientSession, photo: Photo
    ) -> None:
        async with LocalImageHost().publish(photo) as url, session.get(url) as response:
            assert response.status == 200
            assert response.content_type == "image/bmp"
            assert response.headers["Cache-Control"] == "no-store"
            assert await response.read() == PHOTO

    async def test_a_head_request(self, session: aiohttp.ClientSession, photo: Photo) -> None:
        async with LocalImageHost().publish(photo) as url, session.head(url) as response:
            assert response.status == 200
            assert response.content_length == len(PHOTO)
            assert response.headers["Accept-Ranges"] == "bytes"

    @pytest.mark.parametrize(
        ("requested", "part"),
        [
            ("bytes=0-0", slice(0, 1)),
            ("bytes=10-99", slice(10, 100)),
            ("bytes=800-", slice(800, None)),
            ("bytes=800-99999", slice(800, None)),
            ("bytes=-20", slice(-20, None)),
            ("bytes=-99999", slice(None)),
        ],
    )
    async def test_a_range_request(
        self, session: aiohttp.ClientSession, photo: Photo, requested: str, part: slice
    ) -> None:
        async with (
            LocalImageHost().publish(photo) as url,
            session.get(url, headers={"Range": requested}) as response,
        ):
            assert response.status == 206
            assert await response.read() == PHOTO[part]
            start, stop, _ = part.indices(len(PHOTO))
            assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(PHOTO)}"

    @pytest.mark.parametrize("requested", ["bytes=99999-", "bytes=9-3", "pixels=1-2"])
    async def test_an_unsatisfiable_range(
        self, session: aiohttp.ClientSession, photo: Photo, requested: str
    ) -> None:
        async with (
            LocalImageHost().publish(photo) as url,
            session.get(url, headers={"Range": requested}) as response,
        ):
            assert response.status == 416
            assert response.headers["Content-Range"] == f"bytes */{len(PHOTO)}"

    async def test_each_publication_has_a_url_of_its_own_without_the_file_name(
        self, file: Path
    ) -> None:
        host = LocalImageHost()
        async with host.publish(file) as first, host.publish(file) as second:
            assert first != second
            assert "grandma" not in first
            assert len(urlsplit(first).path) > 40
            assert first.endswith(".bmp")

    async def test_the_photo_is_withdrawn_at_the_end(
        self, session: aiohttp.ClientSession, photo: Photo
    ) -> None:
        async with LocalImageHost() as host:
            async with host.publish(photo) as url:
                assert await status(session, url) == 200
            assert await status(session, url) == 404

    async def test_the_photo_is_withdrawn_after_an_error(
        self, session: aiohttp.ClientSession
    ) -> None:
        async with LocalImageHost() as host:
            with pytest.raises(ZeroDivisionError):
                async with host.publish(PHOTO) as url:
                    raise ZeroDivisionError
            assert await status(session, url) == 404

    async def test_the_photo_is_withdrawn_after_a_cancellation(
        self, session: aiohttp.ClientSession
    ) -> None:
        urls: asyncio.Queue[str] = asyncio.Queue()

        async def publish_forever(host: LocalImageHost) -> None:
            async with host.publish(PHOTO) as url:
                urls.put_nowait(url)
                await asyncio.Event().wait()

        async with LocalImageHost() as host:
            task = asyncio.create_task(publish_forever(host))
            url = await urls.get()
            assert await status(session, url) == 200
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert await status(session, url) == 404

    async def test_a_deleted_file_is_not_found(
        self, session: aiohttp.ClientSession, file: Path
    ) -> None:
        async with LocalImageHost().publish(file) as url:
            await asyncio.to_thread(file.unlink)
            assert await status(session, url) == 404

    async def test_a_file_that_is_not_a_photo_is_refused(self, tmp_path: Path) -> None:
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
    async def test_all_other_paths_and_methods_are_not_found(
        self, session: aiohttp.ClientSession, file: Path
    ) -> None:
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

    async def test_a_compressed_file_beside_the_photo_is_not_served(
        self, session: aiohttp.ClientSession, file: Path
    ) -> None:
        file.with_name("grandma.bmp.gz").write_bytes(b"something else")
        async with (
            LocalImageHost().publish(file) as url,
            session.get(url, headers={"Accept-Encoding": "gzip, br"}) as response,
        ):
            assert await response.read() == PHOTO

    async def test_the_server_runs_from_the_first_publication_to_the_last(
        self, session: aiohttp.ClientSession
    ) -> None:
        host = LocalImageHost()
        async with host.publish(PHOTO) as first:
            async with host.publish(PHOTO) as second:
                assert urlsplit(first).netloc == urlsplit(second).netloc
            assert await status(session, first) == 200
        with pytest.raises(aiohttp.ClientConnectorError):
            await status(session, first)

    async def test_a_server_that_is_kept_open_starts_with_the_first_photo(
        self, session: aiohttp.ClientSession
    ) -> None:
        host = LocalImageHost()
        async with host.kept_open():
            async with host.publish(PHOTO) as first:
                pass
            assert await status(session, first) == 404
            async with host.publish(PHOTO) as second:
                assert await status(session, second) == 200
            assert urlsplit(first).netloc == urlsplit(second).netloc
        with pytest.raises(aiohttp.ClientConnectorError):
            await status(session, second)
        async with host.kept_open():
            with pytest.raises(aiohttp.ClientConnectorError):
                await status(session, second)

    async def test_a_host_can_be_used_again(self, session: aiohttp.ClientSession) -> None:
        host = LocalImageHost()
        for _ in range(2):
            async with host.publish(PHOTO) as url:
                assert await status(session, url) == 200

    async def test_simultaneous_publications_share_the_server(
        self, session: aiohttp.ClientSession
    ) -> None:
        host = LocalImageHost()

        async def fetch() -> str:
            async with host.publish(PHOTO) as url:
                assert await status(session, url) == 200
                return url

        urls = await asyncio.gather(*(fetch() for _ in range(50)))
        assert len(set(urls)) == 50

    async def test_an_unfinished_request_does_not_delay_the_end(self) -> None:
        async with LocalImageHost().publish(PHOTO) as url:
            parts = urlsplit(url)
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: x\r\n".encode())  # and no more
            await writer.drain()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    async def test_a_cancellation_waits_until_the_server_has_ended(self) -> None:
        host = LocalImageHost()
        await host.__aenter__()
        async with host.publish(PHOTO) as url:
            address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        # A body that never arrives is waited for.
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999\r\n\r\n")
        assert b" 404 " in await reader.readline()
        leaving = asyncio.create_task(host.__aexit__(None, None, None))
        for _ in range(3):
            await asyncio.sleep(0.01)
            leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        async with asyncio.timeout(8):  # aiohttp itself would wait for 10 seconds
            await reader.read()
        writer.close()
        await writer.wait_closed()

    async def test_a_start_that_is_cancelled_leaves_no_server(self) -> None:
        port = free_port()
        for steps in range(20):
            host = LocalImageHost(port=port)
            starting = asyncio.create_task(host.__aenter__())
            for _ in range(steps):
                await asyncio.sleep(0)
            starting.cancel()
            await asyncio.wait([starting])
            if not starting.cancelled():
                await host.__aexit__(None, None, None)
            async with LocalImageHost(port=port):
                pass

    async def test_a_port_in_use(self) -> None:
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
            await asyncio.to_thread(file.unlink)
            await status(session, url)
        assert urlsplit(url).path[1:20] not in caplog.text

    async def test_the_loop_is_not_blocked(
        self, session: aiohttp.ClientSession, photo: Photo
    ) -> None:
        with blockbuster_ctx():
            async with LocalImageHost().publish(photo) as url:
                assert await status(session, url) == 200


class TestFetches:
    async def test_fetches_are_counted_per_publication(
        self, session: aiohttp.ClientSession, photo: Photo
    ) -> None:
        host = LocalImageHost()
        async with host.publish(photo) as fetched, host.publish(photo) as other:
            assert host.fetches(fetched) == 0
            await status(session, fetched, "HEAD")
            await status(session, fetched)
            assert host.fetches(fetched) == 2
            assert host.fetches(other) == 0

    async def test_fetches_are_unknown_after_the_publication(self) -> None:
        host = LocalImageHost()
        async with host.publish(PHOTO) as url:
            pass
        with pytest.raises(HostingError, match="no longer"):
            host.fetches(url)


class TestPublicUrl:
    @pytest.mark.parametrize("kept_by_the_proxy", ["", "/photos"])
    async def test_urls_begin_with_the_public_url(
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
    def test_the_public_url_must_be_plain(self, public_url: str) -> None:
        with pytest.raises(InvalidRequestError, match="public_url") as caught:
            LocalImageHost(public_url=public_url)
        assert "secret" not in str(caught.value)
        assert "key=1" not in str(caught.value)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
    def test_the_public_url_is_required_for_all_addresses(self, host: str) -> None:
        with pytest.raises(InvalidRequestError, match="public_url"):
            LocalImageHost(host=host)
        LocalImageHost(host=host, public_url="https://me.example")
