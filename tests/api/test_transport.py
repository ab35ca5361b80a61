"""A submit is sent once, whatever happens to its answer.

These tests use a real session against a raw socket server that counts requests: aiohttp's test
client turns off the retry that they are about.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from attrs import define, field

from photoanimer_async import AmbiguousSubmitError, NotSentError, PhotoAnimerClient
from photoanimer_async.api.retry import RetryPolicy

from ..support.stub_service import API, KEY, QUICK_RETRY, as_bytes, quick_client, serving

PHOTO = "http://127.0.0.1:9/grandma.jpg?sig=s3cret"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


@define
class RawServer:
    """Records each submit that arrives, and answers it with a fault."""

    fault: Callable[[asyncio.StreamWriter], Awaitable[None]]
    healthy_first: bool
    port: int = 0
    submits: list[bytes] = field(factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"mySubscription" in head and self.healthy_first:
                    body = as_bytes({"videoBalance": 1})
                    writer.write(OK % (len(body), body))
                    await writer.drain()
                    continue
                self.submits.append(head)
                await self.fault(writer)
                break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def close(writer: asyncio.StreamWriter) -> None:
    """Close the connection without an answer."""


async def reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def half_a_header(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    await writer.drain()


async def half_a_body(writer: asyncio.StreamWriter) -> None:
    body = as_bytes(471367831765061)
    writer.write(OK % (len(body), body[: len(body) // 2]))
    await writer.drain()


async def half_an_unmeasured_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + as_bytes(1)[:10])
    await writer.drain()


async def garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    await writer.drain()


async def gateway_timeout(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 6\r\n\r\n<html>")
    await writer.drain()


async def html(writer: asyncio.StreamWriter) -> None:
    writer.write(OK % (15, b"<html>ok</html>"))
    await writer.drain()


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
    for _ in range(64):
        writer.write(b" " * 65_536)
        await writer.drain()


async def stall(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


FAULTS = [
    close,
    reset,
    half_a_header,
    half_a_body,
    half_an_unmeasured_body,
    garbage,
    gateway_timeout,
    html,
    endless,
    stall,
]


@asynccontextmanager
async def raw_server(
    fault: Callable[[asyncio.StreamWriter], Awaitable[None]], *, healthy_first: bool = False
) -> AsyncIterator[RawServer]:
    raw = RawServer(fault, healthy_first)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.create_task(raw.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


def client_of(raw: RawServer, timeout: float) -> PhotoAnimerClient:
    return quick_client(f"http://127.0.0.1:{raw.port}{API}", timeout=timeout)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kept_alive", [False, True], ids=["fresh", "kept-alive"])
async def test_a_submit_whose_answer_is_lost_is_ambiguous_and_sent_once(
    fault: Callable[[asyncio.StreamWriter], Awaitable[None]], kept_alive: bool
) -> None:
    timeout = 0.2 if fault is stall else 10.0
    async with (
        raw_server(fault, healthy_first=kept_alive) as raw,
        client_of(raw, timeout) as client,
    ):
        if kept_alive:
            await client.get_balance()
        with pytest.raises(AmbiguousSubmitError) as caught:
            await client.submit(PHOTO, template=3)
        assert len(raw.submits) == 1
        assert raw.connections == 1
        assert caught.value.photo == PHOTO
        assert caught.value.image_url == PHOTO
        assert caught.value.template == 3
        assert "grandma.jpg" in str(caught.value)
        assert "s3cret" not in str(caught.value) + repr(caught.value)
        assert KEY not in str(caught.value) + repr(caught.value.__cause__)


async def test_a_plain_session_resends_so_that_these_tests_can_fail() -> None:
    async with raw_server(close, healthy_first=True) as raw, aiohttp.ClientSession() as session:
        origin = f"http://127.0.0.1:{raw.port}"
        async with session.get(f"{origin}/mySubscription") as response:
            await response.read()
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.get(f"{origin}/submit")
        assert len(raw.submits) == 2


async def test_the_users_session_is_used_and_not_closed() -> None:
    async with raw_server(close, healthy_first=True) as raw, aiohttp.ClientSession() as session:
        base_url = f"http://127.0.0.1:{raw.port}{API}"
        async with quick_client(base_url, session=session) as client:
            await client.get_balance()
            with pytest.raises(AmbiguousSubmitError):
                await client.submit(PHOTO)
        assert len(raw.submits) == 1
        assert not session.closed


async def test_a_refused_connection_is_retried() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    patient = RetryPolicy(tries=200, first_wait=0.01, longest_wait=0.01)
    async with quick_client(f"http://127.0.0.1:{port}{API}", retry=patient) as client:
        submit = asyncio.create_task(client.submit(PHOTO))
        await asyncio.sleep(0.05)
        submits: list[bytes] = []

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            submits.append(await reader.readuntil(b"\r\n\r\n"))
            body = as_bytes(42)
            writer.write(OK % (len(body), body))
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(accept, "127.0.0.1", port):
            assert await submit == 42
        assert len(submits) == 1


async def test_a_connection_that_stays_refused_is_not_sent_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    async with quick_client(f"http://127.0.0.1:{port}{API}", retry=QUICK_RETRY) as client:
        with pytest.raises(NotSentError, match=f"127.0.0.1:{port}"):
            await client.submit(PHOTO)


async def test_a_redirect_is_not_followed_and_gets_no_key() -> None:
    visitors: list[web.Request] = []

    def elsewhere(request: web.Request) -> web.Response:
        visitors.append(request)
        return web.Response()

    async with serving(elsewhere) as other:

        def redirect(_: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": f"{other}/take?t=s3cret"})

        async with serving(redirect) as origin, quick_client(origin + API) as client:
            with pytest.raises(AmbiguousSubmitError, match="redirects to") as caught:
                await client.submit(PHOTO)
    assert visitors == []
    assert "s3cret" not in str(caught.value)


async def test_a_cancelled_submit_is_not_sent_again() -> None:
    async with raw_server(stall) as raw, client_of(raw, timeout=1.0) as client:
        submit = asyncio.create_task(client.submit(PHOTO))
        while not raw.submits:
            await asyncio.sleep(0.001)
        submit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await submit
        assert len(raw.submits) == 1
