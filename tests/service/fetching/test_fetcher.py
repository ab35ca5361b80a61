"""Downloads of photos and voices at a submit, and their limits."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from yarl import URL

from ..conftest import InstantRenderer, PhotoHost, Running, Start, png, redirect, refused

MIB = 1024 * 1024
# A URL with everything that careless clients and servers rewrite.
HOSTILE_PATH = "a%2Fb%20c/gr%C3%A4fin.png?X-Sig=a%2Bb%2Fc%3D%3D&x=1+2&y=%26&z=~!*'()#part"


@asynccontextmanager
async def raw_server(answer: bytes) -> AsyncIterator[str]:
    """Sends the same bytes to every client and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/photo.png"


async def test_a_url_is_requested_as_it_was_submitted(service: Running, host: PhotoHost) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=png())

    host.answers["a/b c/gräfin.png"] = answer
    await service.submit(f"{host.origin}/{HOSTILE_PATH}")
    assert host.requests[0].raw_path == "/" + HOSTILE_PATH.removesuffix("#part")


async def test_only_characters_that_no_url_may_contain_are_escaped(
    service: Running, host: PhotoHost
) -> None:
    host.files["my photo.png"] = host.files["gräfin.png"] = png()
    await service.submit(f"{host.origin}/my photo.png?who=me <b>")
    await service.submit(f"{host.origin}/gräfin.png?sig=a%2Fb+%7E")
    assert [request.raw_path for request in host.requests] == [
        "/my%20photo.png?who=me%20%3Cb%3E",
        "/gr%C3%A4fin.png?sig=a%2Fb+%7E",
    ]


async def test_the_format_is_read_from_the_content_and_not_from_the_name(
    service: Running, host: PhotoHost
) -> None:
    assert await service.submit(host.url("photo.txt", png()))
    assert await refused(service, host.url("photo.jpg", b"dear diary")) == (
        7002,
        "is text; allowed are PNG, JPEG, BMP and WEBP",
    )
    assert await refused(service, host.url("empty.png", b"")) == (
        7002,
        "is empty; allowed are PNG, JPEG, BMP and WEBP",
    )


async def test_4096_pixels_a_side_and_no_more(service: Running, host: PhotoHost) -> None:
    assert await service.submit(host.url("largest.png", png(4096, 4096)))
    for width, height in ((4097, 1), (1, 4097)):
        assert await refused(service, host.url("larger.png", png(width, height))) == (
            40013,
            f"is a PNG of {width}x{height} pixels; allowed are at most 4096x4096",
        )


async def test_a_file_of_15_mb_is_too_large_and_one_byte_less_is_not(
    service: Running, host: PhotoHost
) -> None:
    assert await service.submit(host.url("large.png", png().ljust(15 * MIB - 1)))
    assert await refused(service, host.url("larger.png", png().ljust(15 * MIB))) == (
        40012,
        "is too large: it has 15.0 MB; the file has to be under 15 MB",
    )


async def test_an_endless_file_is_not_read_to_its_end(start: Start, host: PhotoHost) -> None:
    service = await start(image_bytes=MIB)
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)
            sent += 65536

    host.answers["endless.png"] = endless
    assert await refused(service, host.url("endless.png")) == (
        40012,
        "is too large: the file has to be under 1 MB",
    )
    # Socket buffers add to the limit.
    assert sent < 16 * MIB


async def test_the_size_of_a_compressed_file_is_its_uncompressed_size(
    start: Start, host: PhotoHost
) -> None:
    service = await start(image_bytes=MIB)

    async def bomb(request: web.Request) -> web.StreamResponse:
        response = web.Response(body=png().ljust(64 * MIB))
        response.enable_compression(web.ContentCoding.gzip)
        return response

    host.answers["bomb.png"] = bomb
    code, _ = await refused(service, host.url("bomb.png"))
    assert code == 40012


async def test_a_url_with_a_password_is_refused(service: Running, host: PhotoHost) -> None:
    url = host.url("photo.png").replace("//", "//me:s3cret@")
    assert await refused(service, url) == (
        40002,
        "is not allowed: it contains a user or password, which are not sent",
    )
    assert host.requests == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://h/p.jpg", "gopher://h/", "data:image/png;base64,iVBO"]
)
async def test_schemes_other_than_http_are_refused(service: Running, url: str) -> None:
    code, _ = await service.refusal(imageUrl=url, templateId="1")
    assert code == 40002


class TestRedirects:
    async def test_redirects_are_followed(self, start: Start, host: PhotoHost) -> None:
        service = await start(fetch_redirects=2)

        async def hop(request: web.Request) -> web.Response:
            return redirect("/hop2" if request.path == "/hop1" else "/photo.png")

        host.answers["hop1"] = host.answers["hop2"] = hop
        assert await service.submit(host.url("hop1"))

    async def test_the_url_of_a_redirect_is_requested_as_it_was_written(
        self, service: Running, host: PhotoHost
    ) -> None:
        async def away(request: web.Request) -> web.Response:
            return redirect(f"/{HOSTILE_PATH}")

        host.answers["away"] = away
        host.files["a/b c/gräfin.png"] = png()
        assert await service.submit(host.url("away"))
        assert host.requests[-1].raw_path == "/" + HOSTILE_PATH.removesuffix("#part")

    async def test_too_many_redirects_are_refused(self, start: Start, host: PhotoHost) -> None:
        service = await start(fetch_redirects=2)

        async def circle(request: web.Request) -> web.Response:
            return redirect("/circle?sig=s3cret")

        host.answers["circle"] = circle
        assert await refused(service, host.url("circle")) == (
            40011,
            "could not be fetched: it redirects more than 2 times",
        )
        assert len(host.requests) == 3

    @pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://h/p.jpg", "http://[::1/"])
    async def test_redirects_to_other_schemes_are_refused(
        self, service: Running, host: PhotoHost, location: str
    ) -> None:
        async def away(request: web.Request) -> web.Response:
            return redirect(location)

        host.answers["away"] = away
        assert await refused(service, host.url("away")) == (
            40011,
            "could not be fetched: it redirects to a URL that is not http or https",
        )


class TestUnreachable:
    async def test_a_missing_file(self, service: Running, host: PhotoHost) -> None:
        assert await refused(service, host.url("missing.png")) == (
            40011,
            "could not be fetched: its server answers with HTTP status 404",
        )

    async def test_the_error_for_an_unescaped_url_explains_escaping(
        self, service: Running, host: PhotoHost
    ) -> None:
        envelope = await service.session.get(
            URL(
                f"{service.service.base_url}/faceDriven/submitTaskByUrl"
                f"?imageUrl={host.url('p.png')}?size=1&sig=s3cret&templateId=1",
                encoded=True,
            )
        )
        text = (await envelope.json())["msg"]
        assert "HTTP status 404" in text
        assert "if they belong to imageUrl, it has to be percent-encoded" in text
        assert "s3cret" not in text

    async def test_a_refused_connection(self, service: Running) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            assert await refused(service, f"http://127.0.0.1:{port}/photo.png") == (
                40011,
                "could not be fetched: no connection: Connection refused",
            )

    async def test_an_unknown_host(self, service: Running) -> None:
        assert await refused(service, "http://photos.invalid/photo.png") == (
            40011,
            "could not be fetched: its host is not known",
        )

    async def test_a_timeout(self, start: Start, host: PhotoHost) -> None:
        service = await start(fetch_seconds=0.05)

        async def never(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await asyncio.Event().wait()
            return response

        host.answers["slow.png"] = never
        assert await refused(service, host.url("slow.png")) == (
            40011,
            "could not be fetched: it did not arrive within 0.05 s",
        )

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + png(),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            b"220 mail.example ESMTP\r\n",
        ],
    )
    async def test_an_incomplete_response(self, service: Running, answer: bytes) -> None:
        async with raw_server(answer) as url:
            assert await refused(service, url) == (
                40011,
                "could not be fetched: its server did not complete the answer",
            )

    async def test_a_failed_tls_handshake(self, service: Running) -> None:
        async with raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
            code, text = await refused(service, url.replace("http:", "https:"))
            assert code == 40011
            assert text == (
                "could not be fetched: its server's TLS certificate or handshake is not accepted"
            )


async def test_the_voice_has_its_own_limit_and_codes(start: Start, host: PhotoHost) -> None:
    service = await start(voice_bytes=100)
    image_url = host.url("photo.png")

    async def voice(url: str) -> tuple[int, str]:
        return await service.refusal(imageUrl=image_url, templateId="0", voiceUrl=url)

    code, text = await voice(host.url("missing.mp3"))
    assert code == 40021
    assert text.startswith("voiceUrl (")
    code, text = await voice(host.url("long.mp3", bytes(100)))
    assert code == 40022
    assert (await voice("no url"))[0] == 40002


async def test_proxies_of_the_environment_are_ignored(
    start: Start, host: PhotoHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    service = await start()
    assert await service.submit(host.url("photo.png"))


async def test_nothing_is_stored_for_a_refused_photo(
    service: Running, host: PhotoHost, renderer: InstantRenderer
) -> None:
    await refused(service, host.url("photo.jpg", b"dear diary"))
    assert list((service.settings.data_dir / "inputs").iterdir()) == []
    assert renderer.jobs == []
