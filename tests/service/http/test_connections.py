"""Silent, idle and too many connections."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from photoanimer_async.service.http.connections import (
    IN_RESERVE,
    AcceptErrors,
    ConnectionGuard,
    ConnectionLimits,
    _address,
    limits_for,
)

from ...support.clock import Clock
from ...support.ports import free_port
from ...support.served_process import served
from ..conftest import KEY, LONGEST_WAIT, PhotoHost, Running, Start, until


class Peer:
    """Raw connections to a service, which are closed at the end."""

    def __init__(self, base_url: str) -> None:
        self.origin = base_url.removesuffix("/api/v1")
        self.port = int(self.origin.rpartition(":")[2])
        self.streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def connect(self, count: int = 1, send: bytes = b"") -> None:
        for _ in range(count):
            stream = await asyncio.open_connection("127.0.0.1", self.port)
            stream[1].write(send)
            self.streams.append(stream)

    async def closed(self) -> int:
        """How many of the connections the service has closed."""
        count = 0
        for reader, _ in self.streams:
            try:
                async with asyncio.timeout(0.001):
                    count += await reader.read(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                count += 1
        return count

    async def until_closed(self, count: int) -> None:
        async with asyncio.timeout(LONGEST_WAIT):
            while await self.closed() < count:
                await asyncio.sleep(0.01)

    async def health(self) -> int:
        async with aiohttp.request("GET", f"{self.origin}/healthz") as answer:
            return answer.status

    def close(self) -> None:
        for _, writer in self.streams:
            writer.close()


@pytest.fixture
def guards(monkeypatch: pytest.MonkeyPatch) -> list[ConnectionGuard]:
    """The guards of the services that a test starts."""
    created: list[ConnectionGuard] = []
    init = ConnectionGuard.__init__

    def remember(self: ConnectionGuard, limits: ConnectionLimits) -> None:
        init(self, limits)
        created.append(self)

    monkeypatch.setattr(ConnectionGuard, "__init__", remember)
    return created


@asynccontextmanager
async def peer_of(base_url: str) -> AsyncIterator[Peer]:
    peer = Peer(base_url)
    try:
        yield peer
    finally:
        peer.close()


async def test_a_start_that_is_cancelled_leaves_the_port_free() -> None:
    port = free_port()
    runner = web.AppRunner(web.Application())
    await runner.setup()
    assert runner.server is not None
    for steps in range(10):
        guard = ConnectionGuard(limits_for(64, 10.0))
        listening = asyncio.create_task(guard.listen(runner.server, "127.0.0.1", port))
        for _ in range(steps):
            await asyncio.sleep(0)
        listening.cancel()
        await asyncio.wait([listening])
        guard.stop_listening()
        await guard.close()
        again = await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", port)
        again.close()
    await runner.cleanup()


@pytest.mark.parametrize("sent", [b"", b"GET /docs HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
async def test_a_connection_without_a_whole_request_is_closed(
    start: Start, sent: bytes, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    service = await start(request_seconds=10.0)
    async with peer_of(service.service.base_url) as peer:
        await peer.connect(5, sent)
        assert await peer.health() == 200  # they have been accepted by now
        clock.move_forward(20.0)
        await peer.until_closed(5)
        await until(lambda: "event=connections_closed silent=" in caplog.text)
        assert await peer.health() == 200


async def test_a_connection_that_has_sent_requests_may_be_idle(start: Start, clock: Clock) -> None:
    service = await start(request_seconds=10.0)
    async with peer_of(service.service.base_url) as peer:
        request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        await peer.connect(1, request)
        [(reader, writer)] = peer.streams
        await reader.readuntil(b"}")
        await peer.connect()
        assert await peer.health() == 200
        clock.move_forward(20.0)
        await peer.until_closed(1)  # the silent one
        writer.write(request)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
async def test_a_request_with_a_large_head_is_refused(start: Start) -> None:
    service = await start(request_seconds=3600.0)
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 8000) for number in range(12))
    head = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + lines
    async with peer_of(service.service.base_url) as peer:
        await peer.connect(3, head)  # not whole
        await peer.until_closed(3)
        await peer.connect(1, head + b"\r\n")
        reader, _ = peer.streams[-1]
        with suppress(ConnectionError):  # if it was closed before it was whole
            assert b"400 Bad Request" in await reader.read()
        await peer.until_closed(4)


async def test_newcomers_displace_the_oldest_silent_connection(
    start: Start, host: PhotoHost, caplog: pytest.LogCaptureFixture
) -> None:
    service = await start(connections=16)
    async with peer_of(service.service.base_url) as peer:
        await peer.connect(100)
        await peer.until_closed(84)
        assert await peer.health() == 200
        task_id = await service.submit(host.url("photo.png"))
        assert (await service.end_of(task_id))["status"] == 1
    await service.service.__aexit__(None, None, None)
    assert caplog.text.count("event=connections_closed") <= 2


async def test_connections_with_requests_under_way_stay_and_health_is_answered(
    start: Start, host: PhotoHost
) -> None:
    service = await start(connections=16, fetches=64)
    gate = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await gate.wait()
        return web.Response(body=host.files["photo.png"])

    host.answers["slow.png"] = slow
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(headers={"APIKEY": KEY}, connector=connector) as session,
        peer_of(service.service.base_url) as peer,
    ):
        busy = Running(service.service, service.settings, session)
        submits = [asyncio.create_task(busy.submit(host.url("slow.png"))) for _ in range(16)]
        await until(lambda: len(host.requests) == 16)
        assert await peer.health() == 200
        async with aiohttp.request("GET", f"{peer.origin}/docs") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert (await answer.json())["code"] == 50301
        # Even silent ones in reserve leave room for health.
        await peer.connect(2 * IN_RESERVE)
        assert await peer.health() == 200
        gate.set()
        for task_id in await asyncio.gather(*submits):
            await busy.end_of(task_id)


async def test_one_address_has_half_of_the_connections(
    start: Start, guards: list[ConnectionGuard], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Loopback is bounded by all only, for it may be a reverse proxy.
    where = "photoanimer_async.service.http.connections._address"
    service = await start(connections=32, request_seconds=3600.0)
    async with peer_of(service.service.base_url) as peer:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(where, lambda _: "203.0.113.7")
            await peer.connect(32)
            await peer.until_closed(16)
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(where, lambda _: "203.0.113.8")
            await peer.connect(16)
        await until(lambda: len(guards[0].open) == 32)
        assert await peer.closed() == 16


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (("127.0.0.1", 1), "loopback"),
        (("::1", 1, 0, 0), "loopback"),
        (("::ffff:127.0.0.1", 1, 0, 0), "loopback"),
        (("203.0.113.7", 1), "203.0.113.7"),
        (("::ffff:203.0.113.7", 1, 0, 0), "203.0.113.7"),
        (("2001:db8::1", 1, 0, 0), "20010db800000000"),
        (("2001:db8::ffff:1", 1, 0, 0), "20010db800000000"),
        (("fe80::1%eth0", 1, 0, 2), "fe80000000000000"),
        (None, ""),
        ("", ""),
    ],
)
def test_who_has_opened_a_connection(peer: object, expected: str) -> None:
    class Transport(asyncio.Transport):
        def get_extra_info(self, name: str, default: object = None) -> object:
            return peer

    assert _address(Transport()).removesuffix("::") == expected


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="an option of Linux")
async def test_a_connection_that_takes_nothing_of_its_response_is_closed(
    start: Start,
    host: PhotoHost,
    guards: list[ConnectionGuard],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = "photoanimer_async.service.http.connections._STALLED_MILLISECONDS"
    monkeypatch.setattr(where, 500)
    service = await start()
    info = await service.end_of(await service.submit(host.url("photo.png")))
    path = "/" + info["resultUrl"].split("/", 3)[3]
    result = service.settings.data_dir / path.strip("/")
    await asyncio.to_thread(result.write_bytes, bytes(20_000_000))
    [guard] = guards
    await service.session.close()
    await until(lambda: not guard.open)
    async with peer_of(service.service.base_url) as peer:
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        await peer.connect(1, request.encode())
        [(reader, _)] = peer.streams
        await reader.read(1)  # its buffer fills up, and then it asks for no more
        await until(lambda: not guard.open)


async def test_connections_that_cannot_be_accepted_are_logged_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    errors = AcceptErrors()
    full = OSError(errno.EMFILE, "Too many open files")
    for _ in range(100):
        errors(loop, {"message": "socket.accept() out of system resource", "exception": full})
    assert caplog.text.count("event=not_accepted why='Too many open files'") == 1
    errors(loop, {"message": "Task exception was never retrieved", "exception": full})
    assert "Task exception was never retrieved" in caplog.text


def test_open_files_are_left_for_photos_and_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, expected in ((256, 96), (1024, 480), (100_000, 1024), (-1, 1024)):
        monkeypatch.setattr("resource.getrlimit", lambda _, soft=soft: (soft, -1))
        assert limits_for(1024, 10.0).in_all == expected


@pytest.mark.slow
async def test_silent_connections_cannot_use_up_the_open_files(
    tmp_path: Path, host: PhotoHost
) -> None:
    async with (
        served(tmp_path / "data", "--workers", "1", open_files=(256, 1024)) as service,
        peer_of(service.base_url) as peer,
        AsyncExitStack() as stack,
    ):
        await peer.connect(1100)
        assert await peer.health() == 200
        session = await stack.enter_async_context(aiohttp.ClientSession(headers={"APIKEY": KEY}))
        query = {"imageUrl": host.url("photo.png"), "templateId": "1"}
        url = f"{service.base_url}/faceDriven/submitTaskByUrl"
        async with session.get(url, params=query) as answer:
            assert (await answer.json())["code"] == 0
        with suppress(ConnectionError):
            await peer.until_closed(1100)
        size = (await asyncio.to_thread(service.log.stat)).st_size
        assert size < 10_000
