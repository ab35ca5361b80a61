"""Limits on requests: a rate that the user sets, and a window that adapts to the service.

A `RateLimiter` limits requests a second: `Pace` in this process, `RedisRateLimiter` (module
`redis_rate_limit`) across all processes that share an account. `ConcurrencyWindow` limits requests
in flight and narrows when the service answers 429 or 503.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Protocol

from photoanimer_async.errors import (
    InvalidRequestError,
    PhotoAnimerError,
    RateLimitedError,
    ServiceUnavailableError,
    UnexpectedResponseError,
)

_OVERLOADED = frozenset({429, 503})


class RateLimiter(Protocol):
    """Limits the rate of requests. Any object with this method can be passed to the client.

        class TokenBucketLimiter:
            async def acquire(self) -> None:
                await bucket.take(1)

        client = PhotoAnimerClient(submit_rate=TokenBucketLimiter())

    See `Pace` and `RedisRateLimiter`.
    """

    async def acquire(self) -> None:
        """Wait until the caller may send one request. It counts even if the request is not sent.

        Raises:
            NotSentError: the limiter does not work now; the call may be retried.
        """
        ...


class Pace:
    """A `RateLimiter` for this process that spaces requests evenly, without bursts.

        pace = Pace(2.5)
        await pace.acquire()  # at most every 0.4 s

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

    async def acquire(self) -> None:
        """Wait until the caller may send one request."""
        if self._gap:
            now = asyncio.get_running_loop().time()
            pause = max(self.pause(now), 0.0)
            self.take(now)
            await asyncio.sleep(pause)


class ConcurrencyWindow:
    """The number of requests of a client in flight, adapted to the load that the service accepts.

        async with window.slot():
            answer = await transport.send(request)

    It works like TCP congestion control (additive increase, multiplicative decrease). An answer
    429 or 503 halves the window; each full window of other answers widens it by one, up to the
    limit. It never falls below one. Requests sent before the last halving met the same overload, so
    they do not halve it again.

    Args:
        limit: the initial and maximum number of requests in flight.
    """

    def __init__(self, limit: int) -> None:
        self._limit = float(limit)
        self._size = float(limit)
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._started = 0
        self._halved_after = 0

    @property
    def size(self) -> float:
        """The current width: its whole part is the number of requests allowed in flight."""
        return self._size

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Return the context of one request: it waits for room, and counts the answer or error."""
        return _Slot(self._enter, self._leave)

    async def _enter(self) -> int:
        if not self._waiting and self._in_flight < int(self._size):
            self._in_flight += 1
        else:
            await self._wait_for_room()
        self._started += 1
        return self._started

    def _leave(self, number: int, error: BaseException | None) -> None:
        if error is None:
            if self._size < self._limit:
                self._size = min(self._limit, self._size + 1.0 / self._size)
        elif isinstance(error, PhotoAnimerError) and is_overload(error):
            self._halve(number)
        self._in_flight -= 1
        if self._waiting:
            self._admit()

    async def _wait_for_room(self) -> None:
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(room)
        try:
            await room
        except asyncio.CancelledError:
            if room.done() and not room.cancelled():
                self._in_flight -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        while self._waiting and self._in_flight < int(self._size):
            room = self._waiting.popleft()
            if not room.done():
                self._in_flight += 1
                room.set_result(None)

    def _halve(self, number: int) -> None:
        if number > self._halved_after:
            self._size = max(1.0, self._size / 2)
            self._halved_after = self._started


class _Slot(AbstractAsyncContextManager[None]):
    # A class, since the generator of `asynccontextmanager` costs more than the window itself.
    __slots__ = ("_enter", "_leave", "_number")

    def __init__(
        self,
        enter: Callable[[], Awaitable[int]],
        leave: Callable[[int, BaseException | None], None],
    ) -> None:
        self._enter = enter
        self._leave = leave
        self._number = 0

    async def __aenter__(self) -> None:
        self._number = await self._enter()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(self._number, error)


def is_overload(error: PhotoAnimerError) -> bool:
    """Return whether the error is an answer 429 (too many requests) or 503 (unavailable)."""
    match error:
        case RateLimitedError():
            return True
        case (
            ServiceUnavailableError(http_status=status)
            | UnexpectedResponseError(http_status=status)
        ):
            return status in _OVERLOADED
        case _:
            return False
