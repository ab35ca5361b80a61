"""A client's window adapts to 429 and 503; `Pace` spaces requests evenly."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async import (
    InvalidRequestError,
    NoAnswerError,
    PhotoAnimerError,
    RateLimitedError,
    ServiceUnavailableError,
    UnexpectedResponseError,
)
from photoanimer_async.api.rate_limits import ConcurrencyWindow, Pace, is_overload

from ..support.stub_service import StubService, envelope, quick_client

BUSY = RateLimitedError(operation="getTaskInfo", code=429, message="", http_status=429)
DOWN = ServiceUnavailableError(operation="getTaskInfo", code=503, message="", http_status=503)


async def request(window: ConcurrencyWindow, error: PhotoAnimerError | None = None) -> None:
    with suppress(PhotoAnimerError):
        async with window.slot():
            if error is not None:
                raise error


@pytest.mark.parametrize("error", [BUSY, DOWN, UnexpectedResponseError("html", http_status=503)])
async def test_overload_halves_the_window_and_answers_widen_it(error: PhotoAnimerError) -> None:
    window = ConcurrencyWindow(64)
    await request(window, error)
    assert window.size == 32
    for _ in range(32):
        await request(window)
    assert 32.9 < window.size < 33
    for _ in range(5000):
        await request(window)
    assert window.size == 64


async def test_other_errors_do_not_halve_the_window() -> None:
    window = ConcurrencyWindow(8)
    for error in (NoAnswerError("lost"), UnexpectedResponseError("html", http_status=200)):
        assert not is_overload(error)
        await request(window, error)
    assert window.size == 8


async def test_the_window_never_falls_below_one() -> None:
    window = ConcurrencyWindow(8)
    for _ in range(20):
        await request(window, BUSY)
    assert window.size == 1
    await request(window)


async def test_requests_sent_together_halve_the_window_once() -> None:
    window, release = ConcurrencyWindow(8), asyncio.Event()

    async def refused_when_released() -> None:
        with suppress(PhotoAnimerError):
            async with window.slot():
                await release.wait()
                raise BUSY

    requests = [asyncio.create_task(refused_when_released()) for _ in range(8)]
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(*requests)
    assert window.size == 4
    await request(window, BUSY)
    assert window.size == 2


async def test_a_cancelled_request_frees_its_room() -> None:
    window, release = ConcurrencyWindow(1), asyncio.Event()

    async def hold() -> None:
        async with window.slot():
            await release.wait()

    holder = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(request(window)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    release.set()
    # The next one already has the room, but is not running yet.
    await holder
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert not waiting[2].cancelled()
    await request(window)


@given(st.lists(st.sampled_from(["good", "busy", "lost"]), max_size=60), st.integers(1, 6))
def test_requests_in_flight_never_exceed_the_window(answers: list[str], limit: int) -> None:
    async def run() -> None:
        window, in_flight = ConcurrencyWindow(limit), 0

        async def one(answer: str) -> None:
            nonlocal in_flight
            with suppress(PhotoAnimerError):
                async with window.slot():
                    in_flight += 1
                    assert in_flight <= limit
                    await asyncio.sleep(0)
                    in_flight -= 1
                    if answer != "good":
                        raise BUSY if answer == "busy" else NoAnswerError("lost")

        await asyncio.gather(*map(one, answers))
        assert in_flight == 0
        assert 1 <= window.size <= limit

    asyncio.run(run())


async def test_submits_and_polls_share_one_window(stub: StubService) -> None:
    stub.submit_script = [lambda _: envelope(code=429, status=429)]
    async with quick_client(stub.base_url, concurrency=8) as client:
        task_id = await client.submit("http://127.0.0.1:9/a.jpg")
        assert client._calls.window.size < 16
        narrowed = client._calls.window.size
        stub.poll_script[str(task_id)] = [lambda _: envelope(code=503, status=503)]
        await client.wait(task_id)
        assert client._calls.window.size < narrowed


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_must_be_above_0(rate: float) -> None:
    with pytest.raises(InvalidRequestError, match="rate"):
        Pace(rate)


def test_requests_are_spaced_evenly() -> None:
    pace = Pace(2)
    assert pace.pause(now=10.0) <= 0
    pace.take(now=10.0)
    assert pace.pause(now=10.1) == pytest.approx(0.4)
    pace.take(now=10.1)
    assert pace.pause(now=10.1) == pytest.approx(0.9)
    assert pace.pause(now=99.0) <= 0


async def test_without_a_rate_nothing_waits() -> None:
    pace = Pace(None)
    for _ in range(1000):
        await pace.acquire()
