"""Requests take turns: bounded, at the allowed rates, and no lane behind a whole other one."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photoanimer_async import (
    ApiError,
    NoAnswerError,
    NotSentError,
    PhotoAnimerError,
    RateLimitedError,
    ServiceUnavailableError,
    UnexpectedResponseError,
)
from photoanimer_async.api.rate_limits import Pace
from photoanimer_async.api.request_queue import Lane, RequestQueue

from ..support.stub_service import StubService, envelope, quick_client

BUSY = RateLimitedError(operation="getTaskInfo", code=429, message="", http_status=429)
DOWN = ServiceUnavailableError(operation="getTaskInfo", code=503, message="", http_status=503)
REFUSED = ApiError(operation="getTaskInfo", code=1, message="", http_status=200)
HOUR = 3600.0


def queue_of(concurrency: int, rate: float | None = None) -> RequestQueue:
    return RequestQueue(concurrency, Pace(rate))


async def request(
    queue: RequestQueue, error: Exception | None = None, lane: Lane = Lane.POLL
) -> None:
    with suppress(PhotoAnimerError, ZeroDivisionError), await queue.turn(lane):
        if error is not None:
            raise error


@pytest.mark.parametrize("error", [DOWN, UnexpectedResponseError("html", http_status=503)])
async def test_503_halves_the_queues_size_and_answers_raise_it(error: PhotoAnimerError) -> None:
    queue = queue_of(32)
    await request(queue, error)
    assert queue.size == 32
    for _ in range(32):
        await request(queue)
    assert 32.9 < queue.size < 33
    for _ in range(5000):
        await request(queue, REFUSED)
    assert queue.size == 64


async def test_other_errors_do_not_halve_the_size() -> None:
    queue = queue_of(4)
    for error in (NoAnswerError("lost"), UnexpectedResponseError("html", http_status=200)):
        await request(queue, error)
    assert queue.size == 8


async def test_the_size_never_falls_below_one() -> None:
    queue = queue_of(4)
    for _ in range(20):
        await request(queue, DOWN)
    assert queue.size == 1
    await request(queue)


async def test_requests_sent_together_halve_the_size_once() -> None:
    queue, release = queue_of(4), asyncio.Event()

    async def refused_when_released() -> None:
        with suppress(PhotoAnimerError), await queue.turn(Lane.POLL):
            await release.wait()
            raise DOWN

    requests = [asyncio.create_task(refused_when_released()) for _ in range(8)]
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(*requests)
    assert queue.size == 4
    await request(queue, DOWN)
    assert queue.size == 2


async def test_a_cancelled_request_frees_its_room() -> None:
    queue, release = queue_of(1), asyncio.Event()

    async def hold() -> None:
        with await queue.turn(Lane.SUBMIT):
            await release.wait()

    holder = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(request(queue, lane=Lane.SUBMIT)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    release.set()
    # The next one already has the room, but is not running yet.
    await holder
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert not waiting[2].cancelled()
    await request(queue, lane=Lane.SUBMIT)


async def test_callers_that_are_cancelled_together_leave_the_queue_empty() -> None:
    queue = queue_of(1)

    async def hold() -> None:
        with await queue.turn(Lane.SUBMIT):
            await asyncio.Event().wait()

    callers = [asyncio.create_task(hold()) for _ in range(4)]
    await asyncio.sleep(0)
    for caller in callers:
        caller.cancel()
    ended = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended)
    await asyncio.gather(*(request(queue, lane=Lane.SUBMIT) for _ in range(4)))


@given(
    st.lists(
        st.tuples(st.sampled_from(["good", "down", "lost", "unsent"]), st.sampled_from(Lane)),
        max_size=60,
    ),
    st.integers(1, 6),
)
def test_requests_in_flight_are_bounded(answers: list[tuple[str, Lane]], limit: int) -> None:
    errors = {"down": DOWN, "lost": NoAnswerError("lost"), "unsent": NotSentError("refused")}

    async def run() -> None:
        queue, in_flight, submits = queue_of(limit), 0, 0

        async def one(answer: str, lane: Lane) -> None:
            nonlocal in_flight, submits
            with suppress(PhotoAnimerError), await queue.turn(lane):
                in_flight += 1
                submits += lane.submits
                assert in_flight <= 2 * limit
                assert submits <= limit
                await asyncio.sleep(0)
                in_flight -= 1
                submits -= lane.submits
                if answer in errors:
                    raise errors[answer]

        await asyncio.gather(*(one(*answer) for answer in answers))
        assert in_flight == 0
        assert 1 <= queue.size <= 2 * limit

    asyncio.run(run())


# --- turns ---


async def order_of(queue: RequestQueue, *lanes: Lane) -> list[Lane]:
    """The lanes of requests that came in this order, in the order in which they are sent."""
    order: list[Lane] = []

    async def one(lane: Lane) -> None:
        with await queue.turn(lane):
            order.append(lane)

    await asyncio.gather(*(one(lane) for lane in lanes))
    return order


async def test_a_single_call_does_not_wait_behind_a_batch() -> None:
    queue = queue_of(1, rate=2000)
    order = await order_of(queue, *[Lane.BATCH_SUBMIT] * 50, Lane.SUBMIT, Lane.CALL)
    assert order.index(Lane.SUBMIT) <= 6
    assert order.index(Lane.CALL) <= 6


async def test_submits_and_polls_take_turns_under_a_limit() -> None:
    queue = queue_of(1)
    queue._rate.rate, queue._rate.is_limited = 2000.0, True
    queue._rate.take(asyncio.get_running_loop().time())
    order = await order_of(queue, *[Lane.BATCH_SUBMIT] * 20, *[Lane.POLL] * 20)
    first = order[:20]
    assert 8 <= first.count(Lane.POLL) <= 12


async def test_polls_do_not_wait_for_the_rate_of_submits() -> None:
    queue = queue_of(2, rate=1 / HOUR)
    await request(queue, lane=Lane.SUBMIT)
    waiting = asyncio.create_task(request(queue, lane=Lane.SUBMIT))
    await asyncio.sleep(0)
    await request(queue)
    assert not waiting.done()
    waiting.cancel()


@pytest.mark.parametrize("error", [NotSentError("refused"), ZeroDivisionError()])
async def test_a_request_that_was_not_sent_gives_its_turn_back(error: Exception) -> None:
    queue = queue_of(2, rate=1 / HOUR)
    for _ in range(3):
        await request(queue, error, Lane.SUBMIT)
    await request(queue, lane=Lane.SUBMIT)


async def test_callers_that_are_cancelled_take_no_turns() -> None:
    queue = queue_of(2, rate=20)
    waiting = [asyncio.create_task(request(queue, lane=Lane.SUBMIT)) for _ in range(500)]
    await asyncio.sleep(0)
    for caller in waiting:
        caller.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    # It would wait for 25 s behind their turns.
    async with asyncio.timeout(10):
        await request(queue, lane=Lane.SUBMIT)


async def test_refused_submits_do_not_slow_down_polls_and_refused_polls_slow_down_all() -> None:
    queue = queue_of(2)
    await request(queue, BUSY, Lane.SUBMIT)
    assert queue._pause(Lane.SUBMIT, asyncio.get_running_loop().time()) > 0
    assert queue.poll_pause() == 0
    await request(queue)
    await request(queue, BUSY)
    for lane in Lane:
        assert queue._pause(lane, asyncio.get_running_loop().time()) > 0


async def test_the_next_poll_is_chosen_when_its_turn_is_near() -> None:
    queue = queue_of(2)
    await request(queue, BUSY)
    assert queue.poll_pause() == 0
    waiting = asyncio.create_task(request(queue))
    await asyncio.sleep(0)
    assert queue.poll_pause() > 0
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert queue.poll_pause() == 0


async def test_submits_and_polls_share_one_queue(stub: StubService) -> None:
    stub.submit_script = [lambda _: envelope(code=503, status=503)]
    async with quick_client(stub.base_url, concurrency=8) as client:
        task_id = await client.submit("http://127.0.0.1:9/a.jpg")
        assert client._calls.queue.size < 16
        narrowed = client._calls.queue.size
        stub.poll_script[str(task_id)] = [lambda _: envelope(code=503, status=503)]
        await client.wait(task_id)
        assert client._calls.queue.size < narrowed


def test_a_queue_serves_one_event_loop_after_the_other() -> None:
    queue = queue_of(1, rate=100)

    async def run() -> None:
        await asyncio.gather(*(request(queue, lane=Lane.SUBMIT) for _ in range(3)))
        late = asyncio.create_task(request(queue, lane=Lane.SUBMIT))
        await asyncio.sleep(0)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)

    asyncio.run(run())
    asyncio.run(run())


async def test_a_turn_that_is_ended_early_makes_room_once() -> None:
    queue = queue_of(1)
    with await queue.turn(Lane.SUBMIT) as turn:
        turn.end()
        with await queue.turn(Lane.SUBMIT):
            blocked = asyncio.ensure_future(request(queue, lane=Lane.SUBMIT))
            await asyncio.sleep(0)
            assert not blocked.done()
        await blocked
    with await queue.turn(Lane.SUBMIT):
        still_blocked = asyncio.ensure_future(request(queue, lane=Lane.SUBMIT))
        await asyncio.sleep(0)
        assert not still_blocked.done()
    await still_blocked
