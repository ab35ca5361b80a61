"""Limits that the user sets on the rate of requests.

A rate is a number, kept by `Pace`, or a `RateLimiter`: an object of the user's, such as
`RedisRateLimiter` (module `redis_rate_limit`) for all processes that share an account. Limits that
the service sets are found by `allowed_rate` and `request_queue`.
"""

from typing import Protocol

from photoanimer_async.errors import InvalidRequestError


class RateLimiter(Protocol):
    """Limits the rate of requests. Any object with this method can be passed to the client.

        class TokenBucketLimiter:
            async def acquire(self) -> None:
                await bucket.take(1)

        client = PhotoAnimerClient(submit_rate=TokenBucketLimiter())

    See `RedisRateLimiter`.
    """

    async def acquire(self) -> None:
        """Wait until the caller may send one request. It counts even if the request is not sent.

        Raises:
            NotSentError: the limiter does not work now; the call may be retried.
        """
        ...


class Pace:
    """Spaces requests evenly, without bursts.

        pace = Pace(2.5)
        pace.take(now)
        pace.pause(now)  # 0.4

    Args:
        rate: requests a second, at most; `None` for no limit.

    Raises:
        InvalidRequestError: the rate is not above 0.
    """

    def __init__(self, rate: float | None) -> None:
        if rate is not None and not rate > 0:
            raise InvalidRequestError(f"a rate must be above 0 a second, not {rate!r}")
        self._gap = 0.0 if rate is None else 1.0 / rate
        self._next = 0.0

    def pause(self, now: float) -> float:
        """Return the seconds until the next request; 0 or less if it may be sent now."""
        return self._next - now

    def take(self, now: float) -> None:
        """Count one request, sent at `now` or when the pause before it ends."""
        self._next = max(now, self._next) + self._gap

    def give_back(self, now: float) -> None:
        """Take back a `take`: the request was not sent."""
        self._next = max(now, self._next - self._gap)
