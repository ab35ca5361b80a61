"""The calls of the API: built by `wire`, sent by `transport`, paced and repeated here.

A submit is sent once by `submit`; deciding whether it may be sent again, and writing down what
came of it, is the business of `jobs.pipeline`. Reads are repeated here.
"""

import os
import time
from collections.abc import Awaitable
from random import Random

from photoanimer_async.api import wire
from photoanimer_async.api.rate_limits import Pace, RateLimiter
from photoanimer_async.api.request_queue import Lane, RequestQueue, Turn
from photoanimer_async.api.retry import RetryPolicy, repeating
from photoanimer_async.api.task_errors import without_urls
from photoanimer_async.api.transport import Transport
from photoanimer_async.api.wire import Operation
from photoanimer_async.errors import NotSentError, PhotoAnimerError
from photoanimer_async.models import AnimationOptions, Balance, TaskId, TaskInfo

_AT_LIMITER = 4
"""Callers that ask the user's limiter at once: a single submit waits behind no more."""

_SPARE_FILES = 5
"""The photo for its fetch, and the connection; a poll; the result, and its download."""
_RECENT_SECONDS = 0.01
"""For how long a check for spare files holds: submits often come together."""


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
        limits: the time limits of its requests.
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
        self.limits = transport.limits
        self._submit_limiter: RateLimiter | None = None
        if submit_rate is not None and not isinstance(submit_rate, int | float):
            self._submit_limiter, submit_rate = submit_rate, None
        self.queue = RequestQueue(concurrency, Pace(submit_rate))
        self._at_submit_limiter = RequestQueue(_AT_LIMITER, Pace(None))
        self._poll_limiter = poll_limiter
        self._files_known_until = 0.0  # there were files to spare
        self._ask_again = repeating(self._get_task_info, Operation.GET_TASK_INFO, retry, rng)
        self._ask_balance_again = repeating(self._get_balance, Operation.GET_BALANCE, retry, rng)

    async def submit_turn(self, *, in_batch: bool = False) -> Turn:
        """Wait until a submit may be sent; return its turn, which lasts until its answer is there.

            with await calls.submit_turn():
                task_id = await calls.submit(image_url, options)

        Args:
            in_batch: whether it belongs to a batch, behind which single submits do not wait.

        Raises:
            NotSentError: the rate limiter gave no permission, or too many files are open; nothing
                was sent.
        """
        lane = Lane.BATCH_SUBMIT if in_batch else Lane.SUBMIT
        turn = await self.queue.turn(lane)
        try:
            if self._submit_limiter is not None:
                with await self._at_submit_limiter.turn(lane):
                    await _permission(self._submit_limiter)
            now = time.monotonic()
            if now >= self._files_known_until:
                require_spare_files()
                self._files_known_until = now + _RECENT_SECONDS
        except BaseException as error:
            self.queue.end(turn, error)
            raise
        return turn

    def submit(self, image_url: str, options: AnimationOptions) -> Awaitable[TaskId]:
        """Send one submit (Interface 1), once, in its turn; it costs video seconds.

        Raises:
            InvalidRequestError: a URL that is not http or https.
            PhotoAnimerError: no answer, or a refusal; see `retry.verdict` for what it means.
        """
        return self._transport.send(wire.build_submit(image_url, options))

    async def poll_once(self, task_id: TaskId) -> TaskInfo:
        """Return the state of a task, asked once: for the scheduler, which repeats by itself.

        Raises:
            PhotoAnimerError: no answer, or a refusal.
        """
        if self._poll_limiter is not None:
            await _permission(self._poll_limiter)
        with await self.queue.turn(Lane.POLL):
            return await self._transport.send(wire.build_get_task_info(task_id))

    async def get_task_info(self, task_id: TaskId) -> TaskInfo:
        """Return the state of a task (Interface 3), repeated on passing failures.

        Raises:
            PhotoAnimerError: no answer after all retries, or a refusal.
        """
        try:
            return await self._get_task_info(task_id)
        except PhotoAnimerError as error:
            failure = error
        return await self._ask_again(failure, task_id)

    async def get_balance(self) -> Balance:
        """Return what is left on the account, repeated on passing failures.

        Raises:
            PhotoAnimerError: no answer after all retries, or a refusal.
        """
        try:
            return await self._get_balance()
        except PhotoAnimerError as error:
            failure = error
        return await self._ask_balance_again(failure)

    async def _get_task_info(self, task_id: TaskId) -> TaskInfo:
        with await self.queue.turn(Lane.CALL):
            return await self._transport.send(wire.build_get_task_info(task_id))

    async def _get_balance(self) -> Balance:
        with await self.queue.turn(Lane.CALL):
            return await self._transport.send(wire.build_get_balance())


async def _permission(limiter: RateLimiter) -> None:
    """Wait for the limiter of the user's, whose errors may have any text."""
    try:
        await limiter.acquire()
    except PhotoAnimerError as error:
        raise without_urls(error) from error.__cause__


def require_spare_files() -> None:
    """Check that a submit can be followed by what it needs: the photo's fetch, polls, the result.

    Raises:
        NotSentError: too many files are open.
    """
    files: list[int] = []
    try:
        files += os.pipe()
        while len(files) < _SPARE_FILES:
            files.append(os.dup(files[0]))  # a tenth of the time of another new file
    except OSError as error:
        raise NotSentError(f"not submitted: {error.strerror}") from error
    finally:
        for file in files:
            os.close(file)
