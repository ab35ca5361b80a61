"""How fast requests may go out: a rate that the user sets, a window that the service sets.

A rate is kept by a `RateLimiter`: in this process by `Pace`, over all processes that share a
key by `photoanimer_async.api.redis_rate_limit.RedisRateLimiter`.
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
    """Gives turns, no faster than a rate."""

    async def acquire(self) -> None:
        """Waits until it is the caller's turn. A turn that was given counts, used or not.

        Raises:
            NotSentError: no turn can be had now; it may be asked for again.
        """
        ...


class Pace:
    """A `RateLimiter` for this process, which spaces turns evenly.

    Args:
        rate: turns a second, at most; `None` for as many as come.

    Raises:
        InvalidRequestError: a rate that is not above 0.
    """

    def __init__(self, rate: float | None) -> None:
        if rate is not None and not rate > 0:
            raise InvalidRequestError(f"a rate must be above 0 a second, not {rate!r}")
        self._gap = 0.0 if rate is None else 1.0 / rate
        self._next = 0.0

    def pause(self, now: float) -> float:
        """Seconds until the next turn; 0 or less if it can be taken."""
        return self._next - now

    def take(self, now: float) -> None:
        """Takes the next turn; it is no sooner than now."""
        self._next = max(now, self._next) + self._gap

    async def acquire(self) -> None:
        """Waits until it is the caller's turn."""
        if self._gap:
            now = asyncio.get_running_loop().time()
            pause = max(self.pause(now), 0.0)
            self.take(now)
            await asyncio.sleep(pause)


class ConcurrencyWindow:
    """How many requests of a client may be under way at once, all kinds together.

    How it works: as TCP finds out what a network bears. An answer 429 or 503 halves the
    window, every answer that is neither widens it a little: by one for each window full of
    them, up to the limit. It never falls below one. Requests that left before it was last
    halved found the same crowd, and do not halve it once more.

    Args:
        limit: the widest that it gets, and how wide it begins.
    """

    def __init__(self, limit: int) -> None:
        self._limit = float(limit)
        self._size = float(limit)
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._started = 0
        self._halved_after = 0

    @property
    def size(self) -> float:
        """How many requests may be under way at once, now."""
        return self._size

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Around one request, with its answer or error; waits until there is room for it."""
        return _Slot(self._enter, self._leave)

    async def _enter(self) -> int:
        if not self._waiting and self._under_way < int(self._size):
            self._under_way += 1
        else:
            await self._room()
        self._started += 1
        return self._started

    def _leave(self, number: int, error: BaseException | None) -> None:
        if error is None:
            if self._size < self._limit:
                self._size = min(self._limit, self._size + 1.0 / self._size)
        elif isinstance(error, PhotoAnimerError) and is_overload(error):
            self._narrow(number)
        self._under_way -= 1
        if self._waiting:
            self._admit()

    async def _room(self) -> None:
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(room)
        try:
            await room
        except asyncio.CancelledError:
            if room.done() and not room.cancelled():
                self._under_way -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        while self._waiting and self._under_way < int(self._size):
            room = self._waiting.popleft()
            if not room.done():
                self._under_way += 1
                room.set_result(None)

    def _narrow(self, number: int) -> None:
        if number > self._halved_after:
            self._size = max(1.0, self._size / 2)
            self._halved_after = self._started


class _Slot(AbstractAsyncContextManager[None]):
    # Not by `asynccontextmanager`: its generator costs more than all else that a window does.
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
    """Whether the service says that it is asked too much (429) or can not serve now (503)."""
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
