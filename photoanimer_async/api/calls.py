"""The API's calls: each at its rate, within the window of its client, again where it may be.

Above this nobody knows of requests, below it nobody of waiting: `wire` says what goes out
and comes in, `transport` sends it once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Protocol, TypeAlias

from photoanimer_async.api import wire
from photoanimer_async.api.rate_limits import ConcurrencyWindow, Pace, RateLimiter
from photoanimer_async.api.retry import RetryPolicy, Verdict, verdict
from photoanimer_async.api.retrying import retrying
from photoanimer_async.api.transport import Transport
from photoanimer_async.api.wire import Operation
from photoanimer_async.errors import AmbiguousSubmitError, PhotoAnimerError
from photoanimer_async.models import AnimationOptions, Balance, Photo, TaskId, TaskInfo
from photoanimer_async.redaction import shown_photo

Send: TypeAlias = Callable[[], Awaitable[TaskId]]
"""Sends a submit, once."""


class Submission(Protocol):
    """What is submitted, and what belongs around each attempt."""

    @property
    def photo(self) -> Photo:
        """The photo, as it was handed in."""
        ...

    @property
    def options(self) -> AnimationOptions:
        """How to animate it."""
        ...

    async def next_url(self) -> str:
        """The URL for the next attempt."""
        ...

    async def attempt(self, image_url: str, send: Send) -> TaskId:
        """Makes an attempt, now that it is its turn to leave."""
        ...


class Api:
    """The calls of one client.

    Args:
        transport: sends the requests.
        concurrency: submits under way at once, at most; of all requests, twice as many.
        submit_rate: submits a second, at most, or a limiter; `None` for no limit.
        poll_limiter: is asked for each look's turn; `None` if the scheduler keeps the rate.
        retry: how often and how patiently a failed call is tried again, where it may be.
        rng: for jitter.

    Attributes:
        window: how many requests may be under way at once, as the service bears it.
        submit: sends a `Submission`, once; see `PhotoAnimerClient.submit`.
        get_task_info: how far a task is, asked until there is an answer.
        get_balance: what is left on the account, asked until there is an answer.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        concurrency: int,
        submit_rate: float | RateLimiter | None,
        poll_limiter: RateLimiter | None,
        retry: RetryPolicy,
        rng: Random,
    ) -> None:
        self._transport = transport
        self._submit_slots = asyncio.Semaphore(concurrency)
        self._submit_limiter = _limiter_of(submit_rate)
        self._poll_limiter = poll_limiter
        self.window = ConcurrencyWindow(2 * concurrency)
        self.submit = retrying(self._submit_once, Operation.SUBMIT, retry, rng)
        self.get_task_info = retrying(self._get_task_info_once, Operation.GET_TASK_INFO, retry, rng)
        self.get_balance = retrying(self._get_balance_once, Operation.GET_BALANCE, retry, rng)

    async def look(self, task_id: TaskId) -> TaskInfo:
        """How far a task is, asked once, when it is its turn: for the scheduler.

        Raises:
            PhotoAnimerError: there is no answer, or a refusal.
        """
        if self._poll_limiter is not None:
            await self._poll_limiter.acquire()
        return await self._get_task_info_once(task_id)

    async def _submit_once(self, submission: Submission) -> TaskId:
        image_url = await submission.next_url()
        request = wire.build_submit(image_url, submission.options)

        async def send() -> TaskId:
            return wire.parse_submit(await self._transport.send(request))

        try:
            async with self._submit_slots:
                await self._submit_limiter.acquire()
                async with self.window.slot():
                    return await submission.attempt(image_url, send)
        except PhotoAnimerError as error:
            if verdict(Operation.SUBMIT, error) is not Verdict.AMBIGUOUS:
                raise
            raise AmbiguousSubmitError(
                f"{shown_photo(submission.photo)}: the submit left, but whether it was accepted "
                f"is not known ({error}); it was not repeated, since that could be charged twice",
                photo=submission.photo,
                image_url=image_url,
                template=submission.options.template,
            ) from error

    async def _get_task_info_once(self, task_id: TaskId) -> TaskInfo:
        async with self.window.slot():
            answer = await self._transport.send(wire.build_get_task_info(task_id))
            return wire.parse_get_task_info(answer, task_id)

    async def _get_balance_once(self) -> Balance:
        return wire.parse_get_balance(await self._transport.send(wire.build_get_balance()))


def _limiter_of(rate: float | RateLimiter | None) -> RateLimiter:
    return Pace(rate) if rate is None or isinstance(rate, int | float) else rate
