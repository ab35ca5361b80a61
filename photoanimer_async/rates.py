"""How fast requests may go out: a pace that the user sets, a window that the service sets."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from photoanimer_async.errors import (
    InvalidRequestError,
    PhotoAnimerError,
    RateLimitedError,
    ServiceUnavailableError,
    UnexpectedResponseError,
)

_OVERLOADED = frozenset({429, 503})


class Pace:
    """Spaces turns evenly.

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

    async def turn(self) -> None:
        """Waits until it is the caller's turn."""
        if not self._gap:
            return
        now = asyncio.get_running_loop().time()
        at = max(now, self._next)
        self._next = at + self._gap
        await asyncio.sleep(at - now)


class Window:
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

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Around one request, with its answer or error; waits until there is room for it."""
        await self._enter()
        self._started += 1
        number = self._started
        try:
            yield
        except PhotoAnimerError as error:
            if is_overload(error):
                self._narrow(number)
            raise
        else:
            self._widen()
        finally:
            self._under_way -= 1
            self._admit()

    async def _enter(self) -> None:
        if not self._waiting and self._under_way < int(self._size):
            self._under_way += 1
            return
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

    def _widen(self) -> None:
        self._size = min(self._limit, self._size + 1.0 / self._size)


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
