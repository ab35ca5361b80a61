"""The calls of the API: built by `wire`, sent by `transport`, paced and repeated here.

A submit is sent once by `submit`; deciding whether it may be sent again, and writing down what
came of it, is the business of `jobs.pipeline`. Reads are repeated here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from photoanimer_async.api import wire
from photoanimer_async.api.rate_limits import ConcurrencyWindow, Pace, RateLimiter
from photoanimer_async.api.retry import RetryPolicy, retrying
from photoanimer_async.api.transport import Transport
from photoanimer_async.api.wire import Operation
from photoanimer_async.models import AnimationOptions, Balance, TaskId, TaskInfo


class ApiCalls:
    """The three calls of one client, bounded in number and in rate.

    Args:
        transport: sends the requests.
        concurrency: submits under way at once, at most; of all requests, twice as many.
        submit_rate: submits a second, at most, or a limiter; `None` for no limit.
        poll_limiter: limits polls that the scheduler sends; `None` if the scheduler has a rate.
        retry: how often, and after which waits, a read is repeated.
        rng: for jitter.

    Attributes:
        window: how many requests may be under way at once; narrows when the service answers
            429 or 503.
        get_task_info: Return the state of a task (Interface 3), repeated on passing failures.
        get_balance: Return what is left on the account, repeated on passing failures.
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
        self._submit_limiter = _limiter(submit_rate)
        self._poll_limiter = poll_limiter
        self.window = ConcurrencyWindow(2 * concurrency)
        self.get_task_info = retrying(self._get_task_info, Operation.GET_TASK_INFO, retry, rng)
        self.get_balance = retrying(self._get_balance, Operation.GET_BALANCE, retry, rng)

    @asynccontextmanager
    async def submit_slot(self) -> AsyncIterator[None]:
        """Wait until a submit may be sent now, and hold its place until its answer is there.

        Raises:
            NotSentError: the rate limiter gave no permission; nothing was sent.
        """
        async with self._submit_slots:
            await self._submit_limiter.acquire()
            async with self.window.slot():
                yield

    async def submit(self, image_url: str, options: AnimationOptions) -> TaskId:
        """Send one submit (Interface 1), once, inside `submit_slot`; it costs video seconds.

        Raises:
            InvalidRequestError: a URL that is not http or https.
            PhotoAnimerError: no answer, or a refusal; see `retry.verdict` for what it means.
        """
        request = wire.build_submit(image_url, options)
        return wire.parse_submit(await self._transport.send(request))

    async def poll_once(self, task_id: TaskId) -> TaskInfo:
        """Return the state of a task, asked once: for the scheduler, which repeats by itself.

        Raises:
            PhotoAnimerError: no answer, or a refusal.
        """
        if self._poll_limiter is not None:
            await self._poll_limiter.acquire()
        return await self._get_task_info(task_id)

    async def _get_task_info(self, task_id: TaskId) -> TaskInfo:
        async with self.window.slot():
            answer = await self._transport.send(wire.build_get_task_info(task_id))
            return wire.parse_get_task_info(answer, task_id)

    async def _get_balance(self) -> Balance:
        return wire.parse_get_balance(await self._transport.send(wire.build_get_balance()))


def _limiter(rate: float | RateLimiter | None) -> RateLimiter:
    return Pace(rate) if rate is None or isinstance(rate, int | float) else rate
