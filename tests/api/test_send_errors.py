"""Whether a failed request may have been sent, and why it failed."""

import asyncio
import ssl

import aiohttp
import pytest
from aiohttp import web

from photoanimer_async import AmbiguousSubmitError, NotSentError
from photoanimer_async.api.send_errors import connection_failure

from ..support.ports import free_port
from ..support.stub_service import API, StubService, quick_client

PHOTO = "http://127.0.0.1:9/grandma.jpg?sig=s3cret"


REFUSALS = [
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>",
    b"HTTP/1.1 200 Connection established\r\n\r\n",  # and no TLS behind it
    b"garbage\r\n\r\n",
    b"",
]


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_submit_that_a_proxy_does_not_connect_is_not_sent(refusal: bytes) -> None:
    connects = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connects
        connects += 1
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"CONNECT service.example:443")
        assert b"s3cret" not in head
        writer.write(refusal)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with quick_client(f"https://service.example{API}", proxy=proxy) as client:
            with pytest.raises(NotSentError) as caught:
                await client.submit(PHOTO)
    assert connects == (1 if b"407" in refusal else 3)
    assert caught.value.__context__ is None


async def test_a_plain_proxy_that_wants_a_password_has_not_sent_it(stub: StubService) -> None:
    stub.submit_script = [lambda _: web.Response(status=407)]
    proxy = stub.base_url.removesuffix(API)
    async with quick_client(f"http://service.example{API}", proxy=proxy) as client:
        with pytest.raises(NotSentError, match="proxy"):
            await client.submit(PHOTO)


@pytest.mark.parametrize(
    ("hook", "kind"),
    [
        ("on_request_start", NotSentError),
        ("on_connection_create_start", NotSentError),
        ("on_request_headers_sent", AmbiguousSubmitError),
        ("on_request_end", AmbiguousSubmitError),
    ],
)
async def test_what_a_session_raises_is_the_cause(
    stub: StubService, hook: str, kind: type[Exception]
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError(hook)

    hooks = aiohttp.TraceConfig()
    getattr(hooks, hook).append(fail)
    async with quick_client(stub.base_url, trace_configs=[hooks]) as client:
        with pytest.raises(kind) as caught:
            await client.submit(PHOTO)
    causes = [caught.value.__cause__, getattr(caught.value.__cause__, "__cause__", None)]
    assert any(isinstance(cause, ZeroDivisionError) for cause in causes)
    assert len(stub.submits) <= 1


async def test_a_certificate_that_is_not_trusted_is_not_sent(stub: StubService) -> None:
    context = ssl.create_default_context()
    connector = aiohttp.TCPConnector(ssl=context)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        quick_client(stub.base_url.replace("http:", "https:"), session=session) as client,
    ):
        with pytest.raises(NotSentError):
            await client.submit(PHOTO)


# --- why there is no connection, in words ---


async def failure(url: str) -> str:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(url)
    return connection_failure(caught.value)


async def test_a_refused_connection_is_called_one() -> None:
    assert await failure(f"http://127.0.0.1:{free_port()}/") == "connection refused"


async def test_an_error_of_tls_is_not_taken_for_one_of_the_system() -> None:
    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        why = await failure(f"https://127.0.0.1:{port}/")
    assert "not permitted" not in why  # error 1 of the system
    assert why
