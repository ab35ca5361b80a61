"""A rate that any number of processes and machines keep together, by way of Redis.

How it works. pyrate-limiter keeps one number in Redis, the time at which the next turn may be
given (the generic cell rate algorithm, with bursts of one). A script moves it on, so that two
processes never get the same turn, and the clock is that of Redis, so that those of the
machines may differ. Within a process those who wait have their turns in order.
"""

import math

from photoanimer_async.errors import InvalidRequestError, NotSentError

try:
    from pyrate_limiter import (
        AbstractClock,
        Limiter,
        Rate,
        RedisStateStore,
        SingleBucketFactory,
        StateBucket,
    )
    from redis.asyncio import Redis
    from redis.exceptions import RedisError
except ImportError as error:
    raise ImportError(
        f"a shared rate needs the extra redis: pip install 'photoanimer-async[redis]' ({error})"
    ) from error

_PREFIX = "photoanimer:rate:"


class RedisRateLimiter:
    """A `RateLimiter` for all processes that share an API key.

        from photoanimer_async.api.redis_rate_limit import RedisRateLimiter

        redis = Redis.from_url("redis://127.0.0.1")
        rate = RedisRateLimiter(redis, "my-account", rate=1.0)
        client = PhotoAnimerClient(submit_rate=rate, poll_rate=rate)

    Needs the extra `redis` (redis 6.2 or newer, pyrate-limiter 4.5 or newer).

    Args:
        redis: a client of `redis.asyncio`. It stays yours to close, after the client.
        key: what those who share the rate have in common. Not the API key itself: it is stored.
        rate: turns a second, at most, evenly spread.

    Raises:
        InvalidRequestError: a rate that is not above 0.
    """

    def __init__(self, redis: Redis, key: str, rate: float) -> None:
        if not 0 < rate < math.inf:
            raise InvalidRequestError(f"a rate must be above 0 a second, not {rate!r}")
        self._limiter = _limiter(redis, f"{_PREFIX}{key}", rate)

    async def acquire(self) -> None:
        """Waits until it is the caller's turn.

        Raises:
            NotSentError: Redis can not be asked.
        """
        try:
            await self._limiter.try_acquire_async()
        except (RedisError, OSError) as error:
            raise NotSentError(
                f"not sent, since the shared rate's Redis can not be asked: {type(error).__name__}"
            ) from error


class _RedisClock(AbstractClock):
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def now(self) -> int:
        seconds, microseconds = await self._redis.time()
        return seconds * 1000 + microseconds // 1000


def _limiter(redis: Redis, key: str, rate: float) -> Limiter:
    # A thousand in so many milliseconds, which is one in as many microseconds.
    rates = [Rate(1000, math.ceil(1_000_000 / rate), burst=1)]
    bucket = StateBucket(rates, store=RedisStateStore(redis, key), clock=_RedisClock(redis))
    return Limiter(SingleBucketFactory(bucket, schedule_leak=False), buffer_ms=0)
