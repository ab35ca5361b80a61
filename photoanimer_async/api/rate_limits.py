"""The rates of requests: those that the user sets, and those that the service allows.

The user's rate is a number, kept by `Pace`, or a `RateLimiter`: an object of the user's, such as
`RedisRateLimiter` (module `redis_rate_limit`) for all processes that share an account.

The service does not say how many requests a second it allows; it answers 429 to those beyond.
`AllowedRate` finds it. The first 429 limits the rate to what was accepted in the last second. After
that the rate rises, fast at first, slowly near the rate at which the last 429 came (like TCP's
CUBIC), so that requests go out just below the limit. Single refusals that a limit does not explain,
such as those of another client's burst, are tolerated; several of the last few answers lower the
rate to what was accepted.

Pure: times are arguments, in seconds on one monotonic clock.
"""

import math
from collections import deque
from typing import Protocol

from photoanimer_async.errors import InvalidRequestError

_START_RATE = 1.0
"""A request a second, the only rate that the vendor has published for any of its services."""
_MIN_RATE = 0.1
_MAX_PAUSE = 30.0  # seconds of a `Retry-After` for which all requests pause
_REMEMBERED_ANSWERS = 8
_FEW, _MOST = 2, 7  # refusals among them
_REMEMBERED_TIMES = 200  # of accepted requests, to measure their rate
_NEAR = 0.8  # of the rate of the last refusals, from which on it rises slowly
_EXPLAINED = 0.97  # of that rate, from which on a refusal is taken for the limit
_STEP_BACK = 0.9
_FAST_GROWTH = 1.25
_MAX_GROWTH = 0.25
_GROWTH = 2.5e-6
"""Grows the rate by a tenth in about 50 accepted requests."""


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
        pace.next_at - now  # 0.4

    Args:
        rate: requests a second, at most; `None` for no limit.

    Attributes:
        is_limited: whether there is a rate; without one, requests need not be counted.
        next_at: when the next request may be sent.

    Raises:
        InvalidRequestError: the rate is not above 0.
    """

    def __init__(self, rate: float | None) -> None:
        if rate is not None and not rate > 0:
            raise InvalidRequestError(f"a rate must be above 0 a second, not {rate!r}")
        self.is_limited = rate is not None
        self.next_at = 0.0
        self._gap = 0.0 if rate is None else 1.0 / rate

    def take(self, now: float) -> None:
        """Count one request, sent at `now` or when the pause before it ends."""
        self.next_at = max(now, self.next_at) + self._gap

    def give_back(self, now: float) -> None:
        """Take back a `take`: the request was not sent."""
        self.next_at = max(now, self.next_at - self._gap)


class AllowedRate:
    """Spaces requests at the rate that the service allows; without limit until it answers 429.

        rate = AllowedRate()
        if rate.next_at <= now:
            rate.take(now)
            ...                         # send the request, then one of:
            rate.accepted(sent, now)
            rate.refused(sent, now, retry_after)

    Attributes:
        rate: requests a second; infinite before the first refusal.
        is_limited: whether a refusal has limited the rate; until then requests need not be
            counted.
        next_at: when the next request may be sent.
        accepted_at: when the latest requests were accepted. Until a refusal, adding to it does as
            well as `accepted`.
    """

    def __init__(self) -> None:
        self.rate = math.inf
        self.is_limited = False
        self.next_at = 0.0
        self._ceiling = math.inf  # where the last refusals came
        self._changed = -math.inf
        self._steps = 0  # since the last refusal
        self._was_refused: deque[bool] = deque(maxlen=_REMEMBERED_ANSWERS)
        self.accepted_at: deque[float] = deque(maxlen=_REMEMBERED_TIMES)

    def take(self, now: float) -> None:
        """Count a request that is sent now."""
        self.next_at = max(now, self.next_at) + 1.0 / self.rate

    def give_back(self, now: float) -> None:
        """Take back a `take`: the request was not sent."""
        self.next_at = max(now, self.next_at - 1.0 / self.rate)

    def accepted(self, sent: float, now: float) -> None:
        """Record an answer other than 429 to a request sent at `sent`; it may raise the rate."""
        self.accepted_at.append(now)
        if not self.is_limited:
            return
        self._was_refused.append(False)
        # Answers to requests of one round trip are one step: the rate was the same for all.
        if sent < self._changed:
            return
        self._changed = now
        self._steps += 1
        if self.rate < _NEAR * self._ceiling:
            self.rate *= _FAST_GROWTH
        else:
            self.rate *= 1.0 + min(_GROWTH * self._steps**2, _MAX_GROWTH)

    def refused(self, sent: float, now: float, retry_after: float = 0.0) -> None:
        """Record an answer 429 to a request sent at `sent`; it may lower the rate.

        Where most requests are refused, all of them pause for `retry_after`, 30 s at most: then
        one finds out whether the service accepts requests again.
        """
        if sent >= self._changed:
            self._was_refused.append(True)
        refusals, measured = sum(self._was_refused), self._measured(now)
        if refusals > len(self._was_refused) / 2:
            self.next_at = max(self.next_at, now + min(retry_after, _MAX_PAUSE))
        if sent < self._changed:
            return  # it was sent at an earlier rate
        if not self.is_limited:
            self.rate = max(measured, _START_RATE)
            self.is_limited = True
            self._was_refused.clear()
        elif refusals <= _FEW:
            is_explained = self.rate >= _EXPLAINED * self._ceiling
            if not is_explained and (self._ceiling < math.inf or refusals == 1):
                return
            self._ceiling = self.rate
            self.rate *= _STEP_BACK
        else:
            least = _MIN_RATE if refusals >= _MOST else _START_RATE
            lower = max(least, 0.95 * measured, self.rate / 2)
            if self._steps:
                self._ceiling = max(measured, lower)
            self.rate = max(_MIN_RATE, min(_STEP_BACK * self.rate, lower))
        self._changed = now
        self._steps = 0
        self.next_at = max(self.next_at, now + 1.0 / self.rate)

    def _measured(self, now: float) -> float:
        """Return how many requests a second were accepted lately."""
        seconds = max(1.0, 5.0 / self.rate)
        times = [time for time in self.accepted_at if time > now - seconds]
        if len(times) == _REMEMBERED_TIMES:
            seconds = max(now - times[0], 0.001)
        return len(times) / seconds
