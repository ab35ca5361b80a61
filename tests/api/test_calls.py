"""Reads are repeated, submits and polls are sent once, and all are bounded in number."""

import asyncio
import os
from random import Random
from typing import TypeVar

import pytest

from photoanimer_async import (
    AnimationOptions,
    AuthenticationError,
    NoAnswerError,
    NotSentError,
    RetryPolicy,
    TaskStatus,
)
from photoanimer_async.api.answers import Answer
from photoanimer_async.api.calls import ApiCalls, require_spare_files
from photoanimer_async.api.rate_limits import RateLimiter
from photoanimer_async.api.transport import Credentials, Transport
from photoanimer_async.api.wire import Operation, Request

from ..support.answers import answer, data
from ..support.batches import PHOTO
from ..support.open_files import limited_files

FINISHED = data({"taskId": 1, "status": 1, "resultUrl": "http://h/1.mp4"})
LOST = NoAnswerError("lost")

T = TypeVar("T")


class FakeTransport(Transport):
    """Returns answers, or raises errors, in the order given."""

    def __init__(self, *answers: Answer | Exception) -> None:
        super().__init__(Credentials("http://h/api/v1", "key-1f2e3d4c"))
        self.answers = list(answers)
        self.sent: list[Operation] = []

    async def send(self, request: Request[T]) -> T:
        self.sent.append(request.operation)
        result = self.answers.pop(0)
        if isinstance(result, Exception):
            raise result
        return request.parse(result)


class CountingLimiter:
    acquired = 0

    async def acquire(self) -> None:
        self.acquired += 1


def api_calls(transport: Transport, limiter: RateLimiter | None = None) -> ApiCalls:
    return ApiCalls(
        transport,
        concurrency=2,
        submit_rate=limiter,
        poll_limiter=limiter,
        retry=RetryPolicy(tries=3, first_wait=0.001, longest_wait=0.001),
        rng=Random(1),
    )


async def test_reads_are_repeated_after_passing_failures() -> None:
    transport = FakeTransport(LOST, answer(b"<html>", 502), FINISHED)
    info = await api_calls(transport).get_task_info(1)
    assert info.status is TaskStatus.FINISHED
    assert transport.sent == [Operation.GET_TASK_INFO] * 3


async def test_reads_are_not_repeated_more_often_than_the_policy_allows() -> None:
    transport = FakeTransport(LOST, LOST, LOST, FINISHED)
    with pytest.raises(NoAnswerError):
        await api_calls(transport).get_balance()
    assert transport.sent == [Operation.GET_BALANCE] * 3


async def test_reads_are_not_repeated_after_lasting_failures() -> None:
    transport = FakeTransport(answer(b"", 401), FINISHED)
    with pytest.raises(AuthenticationError):
        await api_calls(transport).get_balance()
    assert len(transport.sent) == 1


async def test_a_submit_is_sent_once_at_its_rate() -> None:
    transport, limiter = FakeTransport(LOST, data(7)), CountingLimiter()
    calls = api_calls(transport, limiter)
    with pytest.raises(NoAnswerError), await calls.submit_turn():
        await calls.submit(PHOTO, AnimationOptions())
    assert (len(transport.sent), limiter.acquired) == (1, 1)
    with await calls.submit_turn():
        assert await calls.submit(PHOTO, AnimationOptions()) == 7


async def test_a_poll_is_sent_once_at_its_rate() -> None:
    transport, limiter = FakeTransport(LOST, FINISHED), CountingLimiter()
    calls = api_calls(transport, limiter)
    with pytest.raises(NoAnswerError):
        await calls.poll_once(1)
    assert (len(transport.sent), limiter.acquired) == (1, 1)
    assert (await calls.poll_once(1)).result_url == "http://h/1.mp4"


async def test_no_more_submits_are_in_flight_than_concurrency() -> None:
    calls, in_flight, most = api_calls(FakeTransport()), 0, 0

    async def hold_a_slot() -> None:
        nonlocal in_flight, most
        with await calls.submit_turn():
            in_flight += 1
            most = max(most, in_flight)
            for _ in range(5):
                await asyncio.sleep(0)
            in_flight -= 1

    await asyncio.gather(*(hold_a_slot() for _ in range(10)))
    assert most == 2


# --- files that can still be opened ---


def test_files_that_can_still_be_opened_are_counted() -> None:
    require_spare_files()
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    with limited_files(lowest_free + 4):
        for _ in range(3):  # they are closed again
            with pytest.raises(NotSentError, match="Too many open files"):
                require_spare_files()
    require_spare_files()
