"""The window that 429 and 503 narrow, and the pace that the user sets."""

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
async def test_an_overload_halves_it_and_answers_widen_it_again(error: PhotoAnimerError) -> None:
    window = ConcurrencyWindow(64)
    await request(window, error)
    assert window.size == 32
    for _ in range(32):
        await request(window)
    assert 32.9 < window.size < 33
    for _ in range(5000):
        await request(window)
    assert window.size == 64


async def test_other_failures_do_not_narrow_it() -> None:
    window = ConcurrencyWindow(8)
    for error in (NoAnswerError("lost"), UnexpectedResponseError("html", http_status=200)):
        assert not is_overload(error)
        await request(window, error)
    assert window.size == 8


async def test_it_never_falls_below_one_request() -> None:
    window = ConcurrencyWindow(8)
    for _ in range(20):
        await request(window, BUSY)
    assert window.size == 1
    await request(window)


async def test_those_that_left_together_halve_it_once() -> None:
    window, leave = ConcurrencyWindow(8), asyncio.Event()

    async def refused_later() -> None:
        with suppress(PhotoAnimerError):
            async with window.slot():
                await leave.wait()
                raise BUSY

    requests = [asyncio.create_task(refused_later()) for _ in range(8)]
    await asyncio.sleep(0)
    leave.set()
    await asyncio.gather(*requests)
    assert window.size == 4
    await request(window, BUSY)
    assert window.size == 2


async def test_who_is_cancelled_while_waiting_takes_no_room() -> None:
    window, leave = ConcurrencyWindow(1), asyncio.Event()

    async def hold() -> None:
        async with window.slot():
            await leave.wait()

    holder = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(request(window)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    leave.set()
    # Admitted already, but not yet running.
    await holder
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert not waiting[2].cancelled()
    await request(window)


@given(st.lists(st.sampled_from(["good", "busy", "lost"]), max_size=60), st.integers(1, 6))
def test_no_more_are_under_way_than_it_is_wide(answers: list[str], limit: int) -> None:
    async def run() -> None:
        window, under_way = ConcurrencyWindow(limit), 0

        async def one(answer: str) -> None:
            nonlocal under_way
            with suppress(PhotoAnimerError):
                async with window.slot():
                    under_way += 1
                    assert under_way <= limit
                    await asyncio.sleep(0)
                    under_way -= 1
                    if answer != "good":
                        raise BUSY if answer == "busy" else NoAnswerError("lost")

        await asyncio.gather(*map(one, answers))
        assert under_way == 0
        assert 1 <= window.size <= limit

    asyncio.run(run())


async def test_submits_and_polls_of_a_client_are_slowed_down_together(stub: StubService) -> None:
    stub.submit_script = [lambda _: envelope(code=429, status=429)]
    async with quick_client(stub.base_url, concurrency=8) as client:
        task_id = await client.submit("http://127.0.0.1:9/a.jpg")
        assert client._calls.window.size < 16
        narrowed = client._calls.window.size
        stub.poll_script[str(task_id)] = [lambda _: envelope(code=503, status=503)]
        await client.wait(task_id)
        assert client._calls.window.size < narrowed


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_is_above_nothing(rate: float) -> None:
    with pytest.raises(InvalidRequestError, match="rate"):
        Pace(rate)
