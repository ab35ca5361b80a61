"""Which failure of which operation may be repeated, after how long, and `backoff` bound to that.

Retry belongs to the operation, not to the HTTP verb: every call of this API is a GET, but a
submit costs money each time it arrives. So a submit is repeated only if it was provably not sent,
or was definitely refused for a temporary reason, by the table in `submit_answers`. Reads are
repeated after any temporary failure.
"""

import asyncio
import math
import time
import warnings
from collections.abc import Awaitable, Callable, Generator
from enum import Enum, auto
from random import Random
from typing import Concatenate, ParamSpec, TypeVar

import backoff
from attrs import frozen

from photoanimer_async.api.submit_answers import Meaning, meaning_of
from photoanimer_async.api.wire import Operation
from photoanimer_async.errors import (
    ApiError,
    AuthenticationError,
    InsufficientCreditsError,
    NoAnswerError,
    NotSentError,
    PhotoAnimerError,
    RateLimitedError,
    RefusedRequestError,
    UnexpectedResponseError,
)
from photoanimer_async.models import require_count, require_seconds

PATIENCE = 3600.0
"""Seconds for which a call is repeated that is refused with 429 each time."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Verdict(Enum):
    """What to do after a failure."""

    TRY_AGAIN = auto()
    GIVE_UP = auto()
    AMBIGUOUS = auto()
    """The submit may have been accepted: it is neither repeated nor counted as refused."""


def verdict(operation: Operation, error: PhotoAnimerError) -> Verdict:
    """Return what to do after one attempt of the operation failed with this error."""
    if isinstance(error, NotSentError):
        return Verdict.GIVE_UP if error.is_permanent else Verdict.TRY_AGAIN
    if operation is Operation.SUBMIT:
        return _verdict_on_submit(error)
    match error:
        case AuthenticationError() | InsufficientCreditsError() | RefusedRequestError():
            return Verdict.GIVE_UP
        case NoAnswerError() | UnexpectedResponseError() | ApiError():
            return Verdict.TRY_AGAIN
        case _:
            return Verdict.GIVE_UP


def _verdict_on_submit(error: PhotoAnimerError) -> Verdict:
    match error:
        case NoAnswerError():
            return Verdict.AMBIGUOUS
        case ApiError() | UnexpectedResponseError():
            return _ON_MEANING[meaning_of(error)]
        case _:
            return Verdict.GIVE_UP


_ON_MEANING = {
    Meaning.REFUSED: Verdict.GIVE_UP,
    Meaning.REFUSED_FOR_NOW: Verdict.TRY_AGAIN,
    Meaning.NOT_KNOWN: Verdict.AMBIGUOUS,
}


@frozen
class RetryPolicy:
    """How often a failed call is repeated, and how long to wait before.

    Attributes:
        tries: attempts in all, the first one included.
        first_wait: seconds before the second attempt; doubled each time.
        longest_wait: seconds; no wait of our own is longer.

    Raises:
        InvalidRequestError: no try, or a wait that is negative or NaN.
    """

    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 30.0

    def __attrs_post_init__(self) -> None:
        require_count("tries", self.tries)
        require_seconds("first_wait", self.first_wait)
        require_seconds("longest_wait", self.longest_wait)

    def wait(self, failures: int, error: BaseException, rng: Random) -> float:
        """Return the seconds to wait after so many failures in a row, the last being `error`.

        `Retry-After` is a floor, to which jitter only adds. A wait of our own is shortened by
        up to half at random, so that many clients do not return together.
        """
        own = min(self.first_wait * 2.0 ** min(failures - 1, 30), self.longest_wait)
        floor: float = getattr(error, "retry_after", None) or 0.0
        return max(own * rng.uniform(0.5, 1.0), floor * rng.uniform(1.0, 1.1))


def waits(policy: RetryPolicy, rng: Random) -> Generator[float, BaseException, None]:
    """Yield the waits of a policy: a generator for `backoff`, which sends in each failure."""
    failures = 0
    error = yield 0.0
    while True:
        failures += 1
        error = yield policy.wait(failures, error, rng)


def repeating(
    attempt: Callable[_P, Awaitable[_T]], operation: Operation, policy: RetryPolicy, rng: Random
) -> Callable[Concatenate[PhotoAnimerError, _P], Awaitable[_T]]:
    """Return a function that retries after a first attempt failed; it takes that failure first.

    `backoff` repeats the attempt where `verdict` allows it for the operation. The caller makes
    the first attempt, since `backoff`'s records of a call that succeeds cost as much as a request.
    The jitter of `backoff` itself is off, since it would cut `Retry-After` short. Answers 429 are
    waited out and are not counted, since the request queue finds the rate that the service allows;
    without a deadline of the caller's, for an hour.

    Args:
        attempt: makes one attempt.
        operation: what it does.
        policy: how often, and after which waits.
        rng: for jitter.
    """

    async def is_final(error: Exception) -> bool:
        if not isinstance(error, PhotoAnimerError) or isinstance(error, RateLimitedError):
            return True
        return verdict(operation, error) is not Verdict.TRY_AGAIN

    async def within_rate(
        failures: list[PhotoAnimerError], *args: _P.args, **options: _P.kwargs
    ) -> _T:
        refusals, first = 0, math.inf
        while True:
            try:
                if failures:
                    raise failures.pop()
                return await attempt(*args, **options)
            except RateLimitedError as error:
                refusals, first = refusals + 1, min(first, time.monotonic())
                if refusals >= policy.tries and time.monotonic() - first > PATIENCE:
                    raise
                floor = error.retry_after or 0.0
            await asyncio.sleep(floor * rng.uniform(1.0, 1.1))

    with warnings.catch_warnings():
        # backoff 2.2.1 calls a function of asyncio that Python 3.14 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        repeat = backoff.on_exception(
            waits,  # type: ignore[arg-type] # backoff sends the failure in, but its type says `None`
            PhotoAnimerError,
            max_tries=policy.tries,
            giveup=is_final,  # type: ignore[arg-type] # backoff awaits it, but its type is not async
            jitter=None,
            logger=None,
            policy=policy,
            rng=rng,
        )(within_rate)

    async def after(error: PhotoAnimerError, /, *args: _P.args, **options: _P.kwargs) -> _T:
        return await repeat([error], *args, **options)

    return after
