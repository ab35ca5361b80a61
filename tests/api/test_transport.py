"""A submit is sent once, whatever happens to its answer.

These tests use a real session against a raw socket server that counts requests: aiohttp's test
client turns off the retry that they are about.
"""

import asyncio
import contextlib
import platform
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from photoanimer_async import (
    AmbiguousSubmitError,
    NotSentError,
    PhotoAnimerClient,
    PhotoAnimerError,
    State,
    UnexpectedResponseError,
)
from photoanimer_async.api.retry import RetryPolicy
from photoanimer_async.api.transport import most_connections

from ..support.batches import outcomes_of, read_all
from ..support.clock import Clock
from ..support.open_files import limited_files
from ..support.ports import free_port
from ..support.raw_server import (
    OK,
    RawServer,
    close,
    endless,
    fill_backlog,
    garbage,
    gateway_timeout,
    half_a_body,
    half_a_header,
    half_an_unmeasured_body,
    html,
    raw_server,
    reset,
    stall,
)
from ..support.stub_service import (
    API,
    KEY,
    QUICK_RETRY,
    StubService,
    as_bytes,
    quick_client,
    serving,
)

PHOTO = "http://127.0.0.1:9/grandma.jpg?sig=s3cret"
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


def client_of(raw: RawServer, timeout: float) -> PhotoAnimerClient:
    return quick_client(f"http://127.0.0.1:{raw.port}{API}", timeout=timeout)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kept_alive", [False, True], ids=["fresh", "kept-alive"])
async def test_a_submit_whose_answer_is_lost_is_ambiguous_and_sent_once(
    clock: Clock, fault: Callable[[asyncio.StreamWriter], Awaitable[None]], kept_alive: bool
) -> None:
    async with (
        raw_server(fault, healthy_first=kept_alive) as raw,
        client_of(raw, timeout=10.0) as client,
    ):
        if kept_alive:
            await client.get_balance()
        submit = asyncio.create_task(client.submit(PHOTO, template=3))
        while not raw.submits:
            await asyncio.sleep(0.001)
        while fault is stall and not submit.done():
            clock.move_forward(10.0)
            await asyncio.sleep(0.001)
        with pytest.raises(AmbiguousSubmitError) as caught:
            await submit
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
    port = free_port()
    patient = RetryPolicy(tries=100_000, first_wait=0.01, longest_wait=0.01)
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


async def test_a_cancelled_submit_is_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photoanimer_async.jobs.pending.ANSWER_SECONDS", 0.01)
    async with raw_server(stall) as raw, client_of(raw, timeout=60.0) as client:
        submit = asyncio.create_task(client.submit(PHOTO))
        while not raw.submits:
            await asyncio.sleep(0.001)
        submit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await submit
        assert len(raw.submits) == 1


def answering(head: bytes, body: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        length = b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(b"HTTP/1.1 200 OK\r\n" + head + length + body)
        await writer.drain()

    return answer


HEADERS = [
    b"Set-Cookie: " + b"c" * 9_000,
    b"\r\n".join(b"X-Trace-%d: on" % n for n in range(140)),
    b"Content-Encoding: gzip",
    b"Content-Encoding: br",
    b"Content-Type: text/html",
]


@pytest.mark.parametrize("head", HEADERS, ids=["long", "many", "gzip", "br", "html"])
async def test_an_answer_with_unusual_headers_is_read(head: bytes) -> None:
    task = {"taskId": 42, "status": 1, "resultUrl": "http://127.0.0.1:9/42.mp4"}
    async with (
        raw_server(answering(head, as_bytes(42))) as submits,
        raw_server(answering(head, as_bytes(task))) as polls,
        client_of(submits, 10.0) as client,
        client_of(polls, 10.0) as polling_client,
    ):
        assert await client.submit(PHOTO) == 42
        info = await polling_client.get_task_info(42)
        assert info.result_url == task["resultUrl"]


def then(
    start: bytes, fault: Callable[[asyncio.StreamWriter], Awaitable[None]]
) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + start)
        await writer.drain()
        await fault(writer)

    return answer


async def spaces(writer: asyncio.StreamWriter) -> None:
    for _ in range(64):
        writer.write(b" " * 65_536)
        await writer.drain()


@pytest.mark.parametrize("fault", [close, reset, stall, spaces])
async def test_the_task_id_of_an_answer_that_is_cut_off_behind_it_is_returned(
    fault: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> None:
    async with (
        raw_server(then(b'{"code": 0, "data": 471367831765061, "msg"', fault)) as raw,
        client_of(raw, 0.5) as client,
    ):
        assert await client.submit(PHOTO) == 471367831765061
        assert len(raw.submits) == 1


async def test_an_answer_that_is_not_understood_is_kept_on_the_error() -> None:
    echo = f"<p>no route for ?imageUrl=http%3A%2F%2Fh%2Fa.jpg%3Fsig%3Ds3cret and {KEY}</p>"
    body = echo.encode() + b"x" * 10_000
    async with (
        raw_server(answering(b"Content-Type: text/html", body)) as raw,
        client_of(raw, 10.0) as client,
    ):
        with pytest.raises(AmbiguousSubmitError) as caught:
            await client.submit(PHOTO)
    cause = caught.value.__cause__
    assert isinstance(cause, UnexpectedResponseError)
    assert cause.http_status == 200
    assert cause.body.startswith("<p>no route for ?… and ...</p>xxx")
    assert len(cause.body) <= 500
    assert "no route" in str(cause)
    assert "no route" in str(caught.value)


def fault_name(fault: object) -> str:
    return getattr(fault, "__name__", str(fault))


@pytest.mark.parametrize("fault", [*FAULTS, "refused", "silent"], ids=fault_name)
async def test_no_traceback_shows_the_signature_of_a_photo(fault: object) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if fault == "silent":
            silent.listen(0)
        port = silent.getsockname()[1]
        with contextlib.ExitStack() as stack:
            if fault == "silent":
                fill_backlog(port, stack)
            async with contextlib.AsyncExitStack() as servers:
                if not isinstance(fault, str):
                    port = (await servers.enter_async_context(raw_server(fault))).port  # type: ignore[arg-type] # a fault
                base_url = f"http://127.0.0.1:{port}{API}"
                async with quick_client(base_url, timeout=0.2) as client:
                    with pytest.raises(PhotoAnimerError) as caught:
                        await client.submit(PHOTO)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in repr(linked(caught.value))


def linked(error: BaseException | None) -> list[str]:
    """The texts of an error and of everything that it leads to, shown by a traceback or not."""
    if error is None:
        return []
    return [str(error), *linked(error.__cause__), *linked(error.__context__)]


@pytest.mark.parametrize(
    ("limit", "connections"), [(1024, 150), (256, 59), (64, 11), (24, 1), (16, 1)]
)
def test_connections_leave_files_for_photos_and_results(limit: int, connections: int) -> None:
    with limited_files(limit):
        assert most_connections() == connections


READS = """
import asyncio, resource
from photoanimer_async import PhotoAnimerClient

async def answer(reader, writer):
    body = b'{"code": 0, "data": {"videoBalance": 5}}'
    head = b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body)
    while await reader.readline():
        if b"host" in (await reader.readuntil(b"\\r\\n\\r\\n")).lower():
            writer.write(head + body)

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    filled = [bytes(100_000) for _ in range(100)]  # no block of 256 KiB is free by chance
    async with PhotoAnimerClient("key", base_url=f"http://127.0.0.1:{port}/api/v1") as client:
        for calls in 50, 300:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(calls):
                await client.get_balance()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

asyncio.run(main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators map no memory")
async def test_a_read_maps_no_memory() -> None:
    # A new process: what this one has freed may have changed its allocator already.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", READS, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    # Two faults for each of the 600 reads otherwise.
    assert int(printed) < 200, printed


async def test_over_a_session_that_is_closed_nothing_is_sent(
    stub: StubService, tmp_path: Path
) -> None:
    journal = tmp_path / "batch.db"
    session = aiohttp.ClientSession()
    async with quick_client(stub.base_url, session=session) as client:
        await session.close()
        calls = (client.submit(PHOTO), client.animate(PHOTO), client.get_balance(), client.wait(5))
        for call in calls:
            with pytest.raises(NotSentError, match="the session that was passed in is closed"):
                await call
        [outcome] = await outcomes_of(client, [PHOTO], journal=journal)
    assert isinstance(outcome.error, NotSentError)
    assert (await read_all(journal))[0].counts == {State.PLANNED: 1}
    assert stub.requests == []
