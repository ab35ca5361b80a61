"""Links are requested as they were written, also after redirects."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from photoanimer_async.photos.links import exact_url, open_link

# What yarl and aiohttp re-encode: escaped delimiters, unescaped ones, dots, case of escapes.
SIGNED = b"/a%2Fb%7E~+c;v=1//d/../e.mp4?Sig=a%2Bb%2fc%3D%3D&x=1+2&y=%26&z=!*'()@:$,/?|{}^`%41&k&"


@asynccontextmanager
async def server(*locations: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A raw server that redirects to these locations in turn; its origin, what was requested."""
    targets: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        targets.append(head.split(b"\r\n")[0].removeprefix(b"GET ").removesuffix(b" HTTP/1.1"))
        step = len(targets) - 1
        status = (
            b"200 OK" if step >= len(locations) else b"302 Found\r\nLocation: " + locations[step]
        )
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    running = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with running:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}", targets


async def request(link: str, max_redirects: int = 5) -> aiohttp.ClientResponse:
    # As users make their sessions: it re-encodes the links of redirects.
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        await open_link(
            session,
            exact_url(link),
            headers={},
            timeout=aiohttp.ClientTimeout(total=60),
            max_redirects=max_redirects,
        ) as response,
    ):
        return response


async def test_a_signed_link_is_sent_unchanged() -> None:
    async with server() as (origin, targets):
        await request(origin + SIGNED.decode())
    assert targets == [SIGNED]


async def test_characters_outside_ascii_are_escaped_and_the_rest_is_unchanged() -> None:
    async with server() as (origin, targets):
        await request(f"{origin}/视频 1{SIGNED.decode()}&who=ü")
    assert targets == [b"/%E8%A7%86%E9%A2%91%201" + SIGNED + b"&who=%C3%BC"]


async def test_redirects_are_followed_as_they_were_written() -> None:
    async with server() as (other, targets), server(other.encode() + SIGNED) as (origin, _):
        await request(f"{origin}/1.mp4")
    assert targets == [SIGNED]


@pytest.mark.parametrize("origin_of", [lambda _: "", lambda o: o.removeprefix("http:")])
async def test_relative_redirects_are_followed(origin_of: Callable[[str], str]) -> None:
    written = SIGNED.replace(b"//d/..", b"")  # which would be resolved, by RFC 3986
    async with server() as (other, targets):
        location = origin_of(other).encode() + written
        async with server(location) as (origin, first):
            await request(f"{origin}/1.mp4")
    assert [*first[1:], *targets] == [written]


async def test_a_redirect_to_an_unescaped_link_is_escaped() -> None:
    utf8, latin1 = "/视 频.mp4?Sig=a%2Fb".encode(), "/gräf.mp4?Sig=a%2Fb".encode("latin-1")
    async with server(utf8, latin1) as (origin, targets):
        await request(origin)
    assert targets[1:] == [b"/%E8%A7%86%20%E9%A2%91.mp4?Sig=a%2Fb", b"/gr%E4f.mp4?Sig=a%2Fb"]


async def test_redirects_are_bounded() -> None:
    async with server(*[b"/again"] * 9) as (origin, targets):
        with pytest.raises(aiohttp.TooManyRedirects):
            await request(origin, max_redirects=3)
    assert len(targets) == 4


@pytest.mark.parametrize(
    "location", [b"file:///etc/passwd", b"ftp://h/a", b"http://[::1/", b"http://h:x/"]
)
async def test_redirects_lead_to_http_only(location: bytes) -> None:
    async with server(location) as (origin, targets):
        with pytest.raises(aiohttp.RedirectClientError):
            await request(origin)
    assert len(targets) == 1


async def test_large_headers_are_accepted() -> None:
    location = b"/a\r\nX-Long: " + b"x" * 30_000 + b"".join(b"\r\nX-%d: 1" % i for i in range(300))
    async with server(location) as (origin, _):
        assert (await request(origin)).status == 200


def test_an_international_host_name_is_converted() -> None:
    url = exact_url("https://bücher.example:8443/a%2Fb?x=%2F")
    assert str(url) == "https://xn--bcher-kva.example:8443/a%2Fb?x=%2F"


@pytest.mark.parametrize("link", ["http://[::1/", "http://h:x/", "http://h:99999/", "http://ü..x/"])
def test_what_cannot_be_parsed_raises(link: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - yarl's texts are its own
        exact_url(link)
