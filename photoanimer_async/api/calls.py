"""The calls of the API: built by `wire`, sent by `transport`, paced and repeated here.

A submit is sent once by `submit`; deciding whether it may be sent again, and writing down what
came of it, is the business of `jobs.pipeline`. Reads are repeated here.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from photoanimer_async.api import wire
from photoanimer_async.api.rate_limits import Pace, RateLimiter
from photoanimer_async.api.request_queue import Lane, RequestQueue
from photoanimer_async.api.retry import RetryPolicy, retrying
from photoanimer_async.api.spare_files import require_spare_files
from photoanimer_async.api.transport import Transport
from photoanimer_async.api.wire import Operation
from photoanimer_async.models import AnimationOptions, Balance, TaskId, TaskInfo

_AT_LIMITER = 4
"""Callers that ask the user's limiter at once: a single submit waits behind no more."""


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
        queue: whose request is sent next.
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
        self._submit_limiter: RateLimiter | None = None
        if submit_rate is not None and not isinstance(submit_rate, int | float):
            self._submit_limiter, submit_rate = submit_rate, None
        self.queue = RequestQueue(concurrency, Pace(submit_rate))
        self._at_submit_limiter = RequestQueue(_AT_LIMITER, Pace(None))
        self._poll_limiter = poll_limiter
        self.get_task_info = retrying(self._get_task_info, Operation.GET_TASK_INFO, retry, rng)
        self.get_balance = retrying(self._get_balance, Operation.GET_BALANCE, retry, rng)

    @asynccontextmanager
    async def submit_slot(self, *, in_batch: bool = False) -> AsyncIterator[None]:
        """Wait until a submit may be sent now, and hold its place until its answer is there.

        Args:
            in_batch: whether it belongs to a batch, behind which single submits do not wait.

        Raises:
            NotSentError: the rate limiter gave no permission, or too many files are open; nothing
                was sent.
        """
        lane = Lane.BATCH_SUBMIT if in_batch else Lane.SUBMIT
        async with self.queue.turn(lane):
            if self._submit_limiter is not None:
                async with self._at_submit_limiter.turn(lane):
                    await self._submit_limiter.acquire()
            require_spare_files()
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
        return await self._get_task_info(task_id, Lane.POLL)

    async def _get_task_info(self, task_id: TaskId, lane: Lane = Lane.CALL) -> TaskInfo:
        async with self.queue.turn(lane):
            answer = await self._transport.send(wire.build_get_task_info(task_id))
            return wire.parse_get_task_info(answer, task_id)

    async def _get_balance(self) -> Balance:
        async with self.queue.turn(Lane.CALL):
            return wire.parse_get_balance(await self._transport.send(wire.build_get_balance()))
