"""`backoff`, bound to our rules: the one place where a call is repeated."""

import warnings
from collections.abc import Awaitable, Callable
from random import Random
from typing import ParamSpec, TypeVar

import backoff

from photoanimer_async.api.retry import RetryPolicy, Verdict, verdict, waits
from photoanimer_async.api.wire import Operation
from photoanimer_async.errors import PhotoAnimerError

_P = ParamSpec("_P")
_T = TypeVar("_T")


def retrying(
    attempt: Callable[_P, Awaitable[_T]], operation: Operation, policy: RetryPolicy, rng: Random
) -> Callable[_P, Awaitable[_T]]:
    """The coroutine function `attempt`, repeated where `verdict` allows it for the operation.

    Waits are the policy's own: the service's `Retry-After` stays a floor, which the jitter of
    `backoff` would cut short.
    """

    async def is_final(error: Exception) -> bool:
        return not (
            isinstance(error, PhotoAnimerError) and verdict(operation, error) is Verdict.TRY_AGAIN
        )

    async def again(failures: list[PhotoAnimerError], *args: _P.args, **options: _P.kwargs) -> _T:
        if failures:
            raise failures.pop()
        return await attempt(*args, **options)

    with warnings.catch_warnings():
        # backoff 2.2.1 asks asyncio what Python 3.14 has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        go_on = backoff.on_exception(
            waits,  # type: ignore[arg-type] # backoff sends the failure in, but says `None`
            PhotoAnimerError,
            max_tries=policy.tries,
            giveup=is_final,  # type: ignore[arg-type] # awaited, though said to be plain
            jitter=None,
            logger=None,
            policy=policy,
            rng=rng,
        )(again)

    async def first_without_backoff(*args: _P.args, **options: _P.kwargs) -> _T:
        # What `backoff` notes of a call that goes well takes as long as preparing a request.
        try:
            return await attempt(*args, **options)
        except PhotoAnimerError as error:
            failures = [error]
        return await go_on(failures, *args, **options)

    return first_without_backoff
