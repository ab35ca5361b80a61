"""How far one request has come, and its time limits.

A request of aiohttp waits for a free connection, resolves a name, connects, perhaps through a
proxy, and only then sends its first byte. aiohttp's `total` timeout counts all of that. `Delivery`
counts the caller's timeout from the moment there is a connection, and knows whether the request may
have been sent. aiohttp's trace hooks report the steps; they run in the task of the request, so a
context variable leads from them to its `Delivery`.
"""

import asyncio
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

import aiohttp

_QUEUE_SECONDS = 600.0
_CONNECT_SECONDS = (10.0, 30.0)
_GRACE_SECONDS = 0.1


class Delivery:
    """The delivery of one request; a context manager around it.

        async with Delivery(60.0) as delivery, session.get(url) as response:
            ...

    It limits the wait for a free connection to 10 minutes, the time for connecting to 10 to 30 s,
    and the rest to `seconds`. An answer that is already in the socket when the time is over, since
    the event loop was blocked, is still read.

    Args:
        seconds: from the connection to the end of the answer.

    Raises:
        TimeoutError: a limit has passed.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._has_begun = False
        self._has_connection = False
        self._is_late = False
        self._scope = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._token: Token[Delivery | None] | None = None

    @property
    def may_have_left(self) -> bool:
        """Whether the request had a connection. True too if the session reported no step at all."""
        return self._has_connection or not self._has_begun

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._token = _current.set(self)
        self._limit(self._seconds)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._token is not None:
            _current.reset(self._token)
        await self._scope.__aexit__(kind, error, trace)

    def begin(self) -> None:
        """Note that the session reports the steps of this request."""
        self._has_begun = True
        self._limit(_QUEUE_SECONDS)

    def connect(self) -> None:
        """Note that a connection is being made."""
        if not self._has_connection:
            shortest, longest = _CONNECT_SECONDS
            self._limit(min(max(self._seconds, shortest), longest))

    def send(self) -> None:
        """Note that there is a connection: from now on the request may have been sent."""
        if not self._has_connection:
            self._has_connection = True
            self._limit(self._seconds)

    def _limit(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._is_late = False
        self._due = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._due, self._expire)

    def _expire(self) -> None:
        now = self._loop.time()
        if self._is_late:
            self._scope.reschedule(now)
            return
        # The loop may have been blocked, with the answer in the socket: it is read first.
        self._is_late = True
        grace = max(_GRACE_SECONDS, min(now - self._due, self._seconds))
        self._timer = self._loop.call_later(grace, self._expire)


_current: ContextVar[Delivery | None] = ContextVar("delivery", default=None)


def connection_hooks() -> aiohttp.TraceConfig:
    """Return trace hooks for a session, which report to the `Delivery` of each request."""
    hooks = aiohttp.TraceConfig()
    hooks.on_request_start.append(_on_start)
    hooks.on_connection_create_start.append(_on_connect)
    hooks.on_connection_create_end.append(_on_connection)
    hooks.on_connection_reuseconn.append(_on_connection)
    hooks.freeze()
    return hooks


async def _on_start(*_: object) -> None:
    if (delivery := _current.get()) is not None:
        delivery.begin()


async def _on_connect(*_: object) -> None:
    if (delivery := _current.get()) is not None:
        delivery.connect()


async def _on_connection(*_: object) -> None:
    if (delivery := _current.get()) is not None:
        delivery.send()
