"""The photo and the voice are fetched at the submit, within limits, and judged by content."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from ..conftest import InstantRenderer, PhotoHost, Running, Start, png, until

MIB = 1024 * 1024
# A URL with everything that a careless client or server changes on the way.
HOSTILE_PATH = "a%2Fb%20c/gr%C3%A4fin.png?X-Sig=a%2Bb%2Fc%3D%3D&x=1+2&y=%26&z=~!*'()#part"


@asynccontextmanager
async def raw_server(answer: bytes) -> AsyncIterator[str]:
    """Sends the same bytes to everybody and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/photo.png"


def redirect(location: str) -> web.Response:
    return web.Response(status=302, headers={"Location": location})


async def refused(service: Running, image_url: str) -> tuple[int, str]:
    code, text = await service.refusal(imageUrl=image_url, templateId="1")
    return code, text.partition(") ")[2]


async def test_a_url_reaches_its_host_as_it_was_given(service: Running, host: PhotoHost) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=png())

    host.answers["a/b c/gräfin.png"] = answer
    await service.submit(f"{host.origin}/{HOSTILE_PATH}")
    assert host.requests[0].raw_path == "/" + HOSTILE_PATH.removesuffix("#part")


async def test_what_no_url_may_hold_is_escaped(service: Running, host: PhotoHost) -> None:
    host.files["my photo.png"] = host.files["gräfin.png"] = png()
    await service.submit(f"{host.origin}/my photo.png?who=me <b>")
    await service.submit(f"{host.origin}/gräfin.png")
    assert [request.raw_path for request in host.requests] == [
        "/my%20photo.png?who=me%20%3Cb%3E",
        "/gr%C3%A4fin.png",
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


async def test_15_mb_is_too_large_and_one_byte_less_is_not(
    service: Running, host: PhotoHost
) -> None:
    assert await service.submit(host.url("large.png", png().ljust(15 * MIB - 1)))
    assert await refused(service, host.url("larger.png", png().ljust(15 * MIB))) == (
        40012,
        "is too large: it has 15.0 MB; the file has to be under 15 MB",
    )


async def test_an_endless_file_is_given_up(start: Start, host: PhotoHost) -> None:
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
    # What is on its way in socket buffers comes on top.
    assert sent < 16 * MIB


async def test_a_packed_file_counts_as_it_is_unpacked(start: Start, host: PhotoHost) -> None:
    service = await start(image_bytes=MIB)

    async def bomb(request: web.Request) -> web.StreamResponse:
        response = web.Response(body=png().ljust(64 * MIB))
        response.enable_compression(web.ContentCoding.gzip)
        return response

    host.answers["bomb.png"] = bomb
    code, _ = await refused(service, host.url("bomb.png"))
    assert code == 40012


class TestRedirects:
    async def test_are_followed(self, start: Start, host: PhotoHost) -> None:
        service = await start(fetch_redirects=2)

        async def hop(request: web.Request) -> web.Response:
            return redirect("/hop2" if request.path == "/hop1" else "/photo.png")

        host.answers["hop1"] = host.answers["hop2"] = hop
        assert await service.submit(host.url("hop1"))

    async def test_up_to_a_limit(self, start: Start, host: PhotoHost) -> None:
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
    async def test_to_http_and_https_only(
        self, service: Running, host: PhotoHost, location: str
    ) -> None:
        async def away(request: web.Request) -> web.Response:
            return redirect(location)

        host.answers["away"] = away
        assert await refused(service, host.url("away")) == (
            40011,
            "could not be fetched: it redirects to something that is no http or https URL",
        )


def knows_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        return False
    return True


class TestGuard:
    """What is not global is reached by no spelling and no detour."""

    WHY = (
        "could not be fetched: its host has an address that this service does not fetch from "
        "(--allow-network)"
    )
    NOT_ALLOWED = (40011, WHY)
    SPELLINGS = (
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "0x7f000001",
        "0x7f.1",
        "0x7F.0.0.0x1",
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:ffff:7f00:1]",
    )

    @pytest.mark.parametrize("spelling", SPELLINGS)
    async def test_spellings_of_this_machine(
        self, start: Start, host: PhotoHost, tmp_path: Path, spelling: str
    ) -> None:
        url = host.url("photo.png").replace("127.0.0.1", spelling)
        guarded = await start(allow_networks=[])
        assert await refused(guarded, url) == self.NOT_ALLOWED
        assert host.requests == []

        if spelling.startswith("[") and not knows_ipv6():
            return
        # Each of them would have worked.
        allowing = await start(allow_networks=["127.0.0.1"], data_dir=tmp_path / "allowing")
        assert await allowing.submit(url)
        assert len(host.requests) == 1

    @pytest.mark.parametrize(
        "spelling",
        [
            "0",
            "localhost.",
            "%6c%6f%63%61%6c%68%6f%73%74",
            "0.0.0.0",
            "2130706433",
            "017700000001",
            "0177.0.0.1",
            "127.1",
            "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
            "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
            "127\u30020\u30020\u30021",
            "[::1]",
            "[::]",
            "[::127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[2002:7f00:1::]",
            "[2001:0:7f00:1::]",
            "[fe80::1%25lo]",
            "[::ffff:127.0.0.1%25lo]",
            "169.254.169.254",
            "192.0.2.1",
            "127.0.0.1%00.example",
            "127.0.0.1\\@photos.invalid",
            "photos.invalid@127.0.0.1",
            "photos.invalid:80@127.0.0.1",
        ],
    )
    async def test_other_disguises(self, start: Start, host: PhotoHost, spelling: str) -> None:
        guarded = await start(allow_networks=[])
        code, _ = await refused(guarded, host.url("photo.png").replace("127.0.0.1", spelling))
        assert code in {40002, 40011}
        assert host.requests == []

    async def test_a_redirect(self, start: Start, host: PhotoHost) -> None:
        service = await start(allow_networks=["127.0.0.1"])
        locations = iter(
            [
                host.url("photo.png").replace("127.0.0.1", "127.0.0.2"),
                host.url("photo.png").replace("127.0.0.1", "[::1]"),
                "//127.0.0.2/photo.png",
                "http://169.254.169.254/latest/meta-data/",
            ]
        )

        async def away(request: web.Request) -> web.Response:
            return redirect(next(locations))

        host.answers["away"] = away
        for _ in range(4):
            assert await refused(service, host.url("away")) == self.NOT_ALLOWED

    async def test_the_address_that_was_found_is_for_the_log_alone(
        self, start: Start, host: PhotoHost, caplog: pytest.LogCaptureFixture
    ) -> None:
        service = await start(allow_networks=[])
        url = host.url("photo.png?sig=s3cret").replace("127.0.0.1", "localhost")
        _, text = await service.refusal(imageUrl=url, templateId="1")
        assert "127.0.0.1" not in text
        assert "event=address_refused address=127.0.0.1" in caplog.text
        assert "s3cret" not in caplog.text + text

    async def test_the_voice_too(self, start: Start, host: PhotoHost) -> None:
        service = await start(allow_networks=["127.0.0.1"])
        elsewhere = host.url("voice.mp3", b"hum").replace("127.0.0.1", "127.0.0.2")
        code, text = await service.refusal(
            imageUrl=host.url("photo.png"), templateId="0", voiceUrl=elsewhere
        )
        assert (code, text.partition(") ")[2]) == (40021, self.WHY)

    async def test_a_password_in_a_url_is_not_sent_on(
        self, service: Running, host: PhotoHost
    ) -> None:
        url = host.url("photo.png").replace("//", "//me:s3cret@")
        assert await refused(service, url) == (
            40002,
            "is not allowed: it holds a user or password, which is not sent on",
        )
        assert host.requests == []

    @pytest.mark.parametrize(
        "url", ["file:///etc/passwd", "ftp://h/p.jpg", "gopher://h/", "data:image/png;base64,iVBO"]
    )
    async def test_schemes_other_than_http(self, service: Running, url: str) -> None:
        code, _ = await service.refusal(imageUrl=url, templateId="1")
        assert code == 40002

    async def test_names_that_are_never_answered_hold_nothing_else_up(
        self, start: Start, host: PhotoHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked, over = 0, threading.Event()

        def system_call(name: str, *more: Any, **options: Any) -> Any:
            nonlocal asked
            if name == "tarpit.test":
                asked += 1
                over.wait()
                raise socket.gaierror
            return real_call(name, *more, **options)

        real_call = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", system_call)
        service = await start(fetches=40)
        async with asyncio.TaskGroup() as group:
            for port in range(1, 35):  # more than the event loop has threads
                url = f"http://tarpit.test:{port}/photo.png"
                group.create_task(refused(service, url))
            await until(lambda: asked == 34)
            assert (await service.end_of(await service.submit(host.url("photo.png"))))[
                "status"
            ] == 1
            over.set()


class TestUnreachable:
    async def test_no_such_file(self, service: Running, host: PhotoHost) -> None:
        assert await refused(service, host.url("missing.png")) == (
            40011,
            "could not be fetched: its server answers with HTTP status 404",
        )

    async def test_a_url_that_was_not_escaped_gets_a_hint(
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

    async def test_nobody_listens(self, service: Running) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            assert await refused(service, f"http://127.0.0.1:{port}/photo.png") == (
                40011,
                "could not be fetched: no connection: Connection refused",
            )

    async def test_no_such_host(self, service: Running) -> None:
        assert await refused(service, "http://photos.invalid/photo.png") == (
            40011,
            "could not be fetched: its host is not known",
        )

    async def test_too_slow(self, start: Start, host: PhotoHost) -> None:
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
    async def test_half_an_answer(self, service: Running, answer: bytes) -> None:
        async with raw_server(answer) as url:
            assert await refused(service, url) == (
                40011,
                "could not be fetched: its server broke off the answer",
            )

    async def test_tls_that_is_none(self, service: Running) -> None:
        async with raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
            code, text = await refused(service, url.replace("http:", "https:"))
            assert code == 40011
            assert text == (
                "could not be fetched: its server's TLS certificate or handshake is not accepted"
            )


async def test_the_voice_has_limits_and_codes_of_its_own(start: Start, host: PhotoHost) -> None:
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


async def test_proxies_of_the_environment_are_not_used(
    start: Start, host: PhotoHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    service = await start()
    assert await service.submit(host.url("photo.png"))


async def test_nothing_is_kept_of_what_was_refused(
    service: Running, host: PhotoHost, renderer: InstantRenderer
) -> None:
    await refused(service, host.url("photo.jpg", b"dear diary"))
    assert list((service.settings.data_dir / "inputs").iterdir()) == []
    assert renderer.jobs == []
