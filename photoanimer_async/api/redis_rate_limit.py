"""A rate limit shared by any number of processes and machines through Redis.

pyrate-limiter stores one number in Redis: the time of the next request (generic cell rate
algorithm, bursts of one). A script advances it atomically, so two processes never get the same
time. The clock is that of Redis, so the machines' clocks may differ. Within a process, callers are
served in order.
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
# A process may stall between reading Redis' clock and using that time. If the stored time expired
# meanwhile, two processes could get the same one; by default it expires after two gaps.
_MIN_TTL_MS = 60_000


class RedisRateLimiter:
    """A `RateLimiter` for all processes that share an API key.

        from photoanimer_async.api.redis_rate_limit import RedisRateLimiter

        redis = Redis.from_url("redis://127.0.0.1")
        rate = RedisRateLimiter(redis, "my-account", rate=1.0)
        client = PhotoAnimerClient(submit_rate=rate, poll_rate=rate)

    Needs the extra `redis` (redis 6.2 or newer, pyrate-limiter 4.5 or newer).

    Args:
        redis: a client of `redis.asyncio`. The caller closes it, after the `PhotoAnimerClient`.
        key: a name for the shared rate. Do not use the API key: the name is stored in Redis.
        rate: requests a second, at most, evenly spaced.

    Raises:
        InvalidRequestError: the rate is not above 0 and finite.
    """

    def __init__(self, redis: Redis, key: str, rate: float) -> None:
        if not 0 < rate < math.inf:
            raise InvalidRequestError(f"a rate must be above 0 a second, not {rate!r}")
        self._limiter = _limiter(redis, f"{_PREFIX}{key}", rate)

    async def acquire(self) -> None:
        """Wait until the caller may send one request.

        Raises:
            NotSentError: Redis does not answer.
        """
        try:
            await self._limiter.try_acquire_async()
        except (RedisError, OSError) as error:
            raise NotSentError(
                f"not sent: the Redis of the shared rate does not answer ({type(error).__name__})"
            ) from error


class _RedisClock(AbstractClock):
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def now(self) -> int:
        seconds, microseconds = await self._redis.time()
        return seconds * 1000 + microseconds // 1000


def _limiter(redis: Redis, key: str, rate: float) -> Limiter:
    # 1000 requests in n milliseconds: pyrate-limiter counts in ms, so this gives µs precision.
    rates = [Rate(1000, math.ceil(1_000_000 / rate), burst=1)]
    ttl_ms = max(_MIN_TTL_MS, math.ceil(2000 / rate))
    store = RedisStateStore(redis, key, ttl_ms=ttl_ms)
    bucket = StateBucket(rates, store=store, clock=_RedisClock(redis))
    return Limiter(SingleBucketFactory(bucket, schedule_leak=False), buffer_ms=0)
