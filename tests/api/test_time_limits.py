"""Many time limits, one timer."""

import asyncio
import contextlib
import math
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from attrs import define, field

from photoanimer_async import AmbiguousSubmitError, NotSentError
from photoanimer_async.api import time_limits
from photoanimer_async.api.time_limits import TimeLimit, TimeLimits, TurnDeadline

from ..support.raw_server import OK, fill_backlog
from ..support.stub_service import (
    API,
    StubService,
    as_bytes,
    drop_connection,
    envelope,
    quick_client,
)


async def test_a_limit_that_has_passed_raises_and_others_go_on() -> None:
    limits = TimeLimits()

    async def limited(seconds: float) -> str:
        with TimeLimit(limits, seconds):
            await asyncio.sleep(0.05)
        return "in time"

    ends = await asyncio.gather(
        *(limited(seconds) for seconds in (3600.0, 0.001, math.inf, 0.002)),
        return_exceptions=True,
    )
    assert [str(end) for end in ends] == ["in time", "", "in time", ""]
    assert [type(end) for end in ends] == [str, TimeoutError, str, TimeoutError]
    assert not limits.open


async def test_a_timeout_of_other_code_is_not_the_deadline() -> None:
    with pytest.raises(TimeoutError, match="other"), TurnDeadline(TimeLimits(), 60.0):
        raise TimeoutError("other")


async def test_an_earlier_limit_is_not_missed_behind_later_ones() -> None:
    limits = TimeLimits()
    with (
        TimeLimit(limits, 3600.0),
        TimeLimit(limits, 1800.0),
        pytest.raises(TimeoutError),
        TimeLimit(limits, 0.001),
    ):
        await asyncio.sleep(60)


async def test_a_limit_may_be_moved() -> None:
    limits = TimeLimits()
    with TimeLimit(limits, 0.001) as limit:
        limit.restart(math.inf)
        await asyncio.sleep(0.01)
    with TimeLimit(limits, math.inf) as limit, pytest.raises(TimeoutError), limit:
        limit.restart(time.monotonic() + 0.001)
        await asyncio.sleep(60)


async def test_a_cancellation_by_others_stays_one() -> None:
    limits = TimeLimits()

    async def limited() -> None:
        with TimeLimit(limits, 0.0):
            await asyncio.sleep(60)

    task = asyncio.create_task(limited())
    await asyncio.sleep(0)
    [limit] = limits.open
    limit.expire(time.monotonic())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_block_is_raised_as_it_is() -> None:
    limits = TimeLimits()
    with pytest.raises(ZeroDivisionError), TimeLimit(limits, 0.001):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ZeroDivisionError from None
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_one_timer_serves_them_all() -> None:
    limits, loop = TimeLimits(), asyncio.get_running_loop()
    set_timers = 0
    call_later = loop.call_later

    def counted(*args: object, **options: object) -> asyncio.TimerHandle:
        nonlocal set_timers
        set_timers += 1
        return call_later(*args, **options)  # type: ignore[arg-type] # passed on

    loop.call_later = counted  # type: ignore[method-assign] # to count
    for _ in range(100):
        with TimeLimit(limits, 3600.0):
            await asyncio.sleep(0)
    assert set_timers == 1
    limits.close()


# --- a request that had no connection was not sent; its time begins when it has one ---


PHOTO = "http://127.0.0.1:9/grandma.jpg?sig=s3cret"


@define
class ThreadedServer:
    """Answers submits from a thread, also while the event loop is blocked."""

    closes_idle: bool = False
    port: int = 0
    submits: int = 0
    answered: threading.Event = field(factory=threading.Event)
    closed: threading.Event = field(factory=threading.Event)

    def run(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while head := connection.recv(65_536):
                self.submits += b"submitTaskByUrl" in head
                body = as_bytes({"videoBalance": 1} if b"mySubscription" in head else 42)
                connection.sendall(OK % (len(body), body))
                self.answered.set()
                if self.closes_idle and b"mySubscription" in head:
                    break
        self.closed.set()


@contextlib.contextmanager
def threaded_server(*, closes_idle: bool = False) -> Iterator[ThreadedServer]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = ThreadedServer(closes_idle, listening.getsockname()[1])
        threading.Thread(target=server.run, args=[listening], daemon=True).start()
        yield server


@pytest.mark.slow
async def test_waiting_for_a_connection_of_ones_own_session_is_not_sending(
    stub: StubService,
) -> None:
    async def slowly(_: object) -> Any:
        await asyncio.sleep(1.0)
        return envelope(stub.next_id)

    stub.submit_script = [slowly] * 9
    connector = aiohttp.TCPConnector(limit=3)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        quick_client(stub.base_url, session=session, timeout=2.0) as client,
    ):
        await asyncio.gather(*(client.submit(PHOTO) for _ in range(9)))
    assert len(stub.submits) == 9
    assert session.trace_configs == []


class SlowResolver(AbstractResolver):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        await asyncio.sleep(self.seconds)
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        """Nothing is open."""


async def test_the_time_for_a_name_is_not_that_of_the_answer(stub: StubService) -> None:
    connector = aiohttp.TCPConnector(resolver=SlowResolver(0.4))
    base_url = stub.base_url.replace("127.0.0.1", "service.example")
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        quick_client(base_url, session=session, timeout=0.3) as client,
    ):
        await client.submit(PHOTO)
    assert len(stub.submits) == 1


async def test_a_name_that_is_never_resolved_is_not_sent(
    stub: StubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limits, "_CONNECT_SECONDS", (0.01, 0.01))
    connector = aiohttp.TCPConnector(resolver=SlowResolver(3600))
    base_url = stub.base_url.replace("127.0.0.1", "service.example")
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        quick_client(base_url, session=session) as client,
    ):
        with pytest.raises(NotSentError, match="timed out"):
            await client.submit(PHOTO)


async def test_a_connection_that_is_not_accepted_is_not_sent() -> None:
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        fill_backlog(port, stack)
        async with quick_client(f"http://127.0.0.1:{port}{API}", timeout=0.1) as client:
            with pytest.raises(NotSentError, match="timed out"):
                await client.submit(PHOTO)


async def test_an_answer_that_arrived_while_the_loop_was_blocked_is_read() -> None:
    with threaded_server() as server:
        base_url = f"http://127.0.0.1:{server.port}{API}"
        async with quick_client(base_url, timeout=0.3) as client:
            await client.get_balance()
            server.answered.clear()
            submit = asyncio.create_task(client.submit(PHOTO))
            while not server.submits:
                await asyncio.sleep(0)
            time.sleep(0.5)  # noqa: ASYNC251 - what the test is about
            assert await submit == 42
    assert server.submits == 1


async def test_a_connection_that_was_closed_while_the_loop_was_blocked_is_not_used() -> None:
    with threaded_server(closes_idle=True) as server:
        base_url = f"http://127.0.0.1:{server.port}{API}"
        async with quick_client(base_url) as client:
            await client.get_balance()
            assert server.closed.wait(10)  # blocks the loop, which does not see the end
            assert await client.submit(PHOTO) == 42
    assert server.submits == 1


class SilentConnector(aiohttp.TCPConnector):
    """A connector of a user's own, which calls no trace hooks."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> Any:
        return await super().connect(req, [], timeout)


async def test_over_a_connector_that_reports_nothing_a_submit_is_sent_once(
    stub: StubService,
) -> None:
    stub.submit_script = [drop_connection] * 5
    async with (
        aiohttp.ClientSession(connector=SilentConnector()) as session,
        quick_client(stub.base_url, session=session) as client,
    ):
        with pytest.raises(AmbiguousSubmitError):
            await client.submit(PHOTO)
    assert len(stub.submits) == 1


async def test_a_hook_of_a_given_session_that_raises_before_all_has_sent_nothing(
    stub: StubService,
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    hooks = aiohttp.TraceConfig()
    hooks.on_request_start.append(fail)
    async with (
        aiohttp.ClientSession(trace_configs=[hooks]) as session,
        quick_client(stub.base_url, session=session) as client,
    ):
        with pytest.raises(NotSentError):
            await client.submit(PHOTO)
        assert session.trace_configs[-1] is hooks
    assert session.trace_configs == [hooks]
    assert stub.submits == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of `auth`
async def test_a_session_that_refuses_its_own_settings_has_sent_nothing(stub: StubService) -> None:
    password = aiohttp.BasicAuth("user", "password")
    async with (
        aiohttp.ClientSession(auth=password, headers={"Authorization": "Bearer 1"}) as session,
        quick_client(stub.base_url, session=session) as client,
    ):
        with pytest.raises(NotSentError) as caught:
            await client.submit(PHOTO)
    assert isinstance(caught.value.__cause__, ValueError)
    assert stub.submits == []


async def test_what_replaces_a_part_of_a_session_may_have_sent_what_it_does_not_report(
    stub: StubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = aiohttp.ClientSession._request

    async def send_and_fail(session: aiohttp.ClientSession, *args: Any, **options: Any) -> None:
        async with aiohttp.ClientSession() as other:
            await request(other, *args, **options)
        raise RuntimeError("a bug")

    monkeypatch.setattr(aiohttp.ClientSession, "_request", send_and_fail)
    async with (
        aiohttp.ClientSession() as given,
        quick_client(stub.base_url) as client,
        quick_client(stub.base_url, session=given) as another,
    ):
        for each in (client, another):
            with pytest.raises(AmbiguousSubmitError):
                await each.submit(PHOTO)
    assert len(stub.submits) == 2


async def test_hooks_that_the_owner_of_a_session_removes_are_not_relied_on(
    stub: StubService,
) -> None:
    stub.submit_script = [drop_connection] * 5
    async with (
        aiohttp.ClientSession() as session,
        quick_client(stub.base_url, session=session) as client,
    ):
        session.trace_configs.clear()
        with pytest.raises(AmbiguousSubmitError):
            await client.submit(PHOTO)
    assert len(stub.submits) == 1
