"""How far requests have come, and their time limits.

A request of aiohttp waits for a free connection, resolves a name, connects, perhaps through a
proxy, and only then sends its first byte. aiohttp's `total` timeout counts all of that. A
`Delivery` counts the caller's timeout from the moment there is a connection, and knows whether the
request may have been sent. A connector of our own, or aiohttp's trace hooks in a session of the
user's, report the steps; they run in the task of the request, so a context variable leads from them
to its `Delivery`.

One timer looks after the limits of all requests of a session, some times within each limit: a timer
for each request costs a tenth of the request.
"""

import asyncio
import socket
import time
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

import aiohttp

_QUEUE_SECONDS = 600.0
_CONNECT_SECONDS = (10.0, 30.0)
_GRACE_SECONDS = 0.1
_SWEEPS = 20
_LONGEST_PAUSE = 0.5


class Deliveries:
    """The requests of one session that are under way.

    Args:
        seconds: for each request, from its connection to the end of its answer.

    Attributes:
        seconds: as given.
        open: the requests.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.open: set[Delivery] = set()
        self._pause = min(seconds / _SWEEPS, _LONGEST_PAUSE)
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Start the timer, if it does not run; it stops when no request is open."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._sweep)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        now = time.monotonic()
        for delivery in self.open:
            if delivery.due <= now:
                delivery.expire(now)
        self._timer = None
        if self.open:
            self.watch()


class Delivery:
    """The delivery of one request of this task; a context manager around it.

        with Delivery(deliveries, is_reported=False) as delivery:
            response = await session.get(url)

    It limits the wait for a free connection to 10 minutes, the time for connecting to 10 to 30 s,
    and the rest to the seconds of `Deliveries`. An answer that is already in the socket when the
    time is over, since the event loop was blocked, is still read.

    Args:
        deliveries: the others of its session.
        is_reported: whether the steps of the request are reported; if not, its time counts from
            now on.

    Attributes:
        due: when the present step has to be over, in seconds of `time.monotonic`.

    Raises:
        TimeoutError: a limit has passed.
    """

    __slots__ = (
        "_cancelling",
        "_deliveries",
        "_has_begun",
        "_has_connection",
        "_has_expired",
        "_is_late",
        "_is_reported",
        "_task",
        "due",
    )

    def __init__(self, deliveries: Deliveries, *, is_reported: bool) -> None:
        self.due = time.monotonic() + deliveries.seconds
        self._deliveries = deliveries
        self._is_reported = is_reported
        self._has_begun = self._has_connection = self._is_late = self._has_expired = False
        self._task = asyncio.current_task()
        self._cancelling = 0

    @property
    def may_have_left(self) -> bool:
        """Whether the request had a connection. True too if the session reported no step at all."""
        return self._has_connection or not self._has_begun

    def __enter__(self) -> Self:
        if self._task is not None:
            self._cancelling = self._task.cancelling()
        if self._is_reported:
            _current.set(self)
        self._deliveries.open.add(self)
        self._deliveries.watch()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._deliveries.open.discard(self)
        if self._is_reported:
            _current.set(None)
        if self._has_expired and self._task is not None:
            # As `asyncio.timeout`: a cancellation by others meanwhile is not swallowed.
            others = self._task.uncancel() > self._cancelling
            if kind is asyncio.CancelledError and not others:
                raise TimeoutError from error

    def begin(self) -> None:
        """Note that the session reports the steps of this request."""
        self._has_begun = True
        self._limit(_QUEUE_SECONDS)

    def connect(self) -> None:
        """Note that a connection is being made."""
        if not self._has_connection:
            shortest, longest = _CONNECT_SECONDS
            self._limit(min(max(self._deliveries.seconds, shortest), longest))

    def send(self) -> None:
        """Note that there is a connection: from now on the request may have been sent."""
        if not self._has_connection:
            self._has_connection = True
            self._limit(self._deliveries.seconds)

    def _limit(self, seconds: float) -> None:
        self._is_late = False
        self.due = time.monotonic() + seconds

    def expire(self, now: float) -> None:
        """End the request, unless its answer may be in the socket: then it is read first."""
        if not self._is_late:
            # The event loop may have been blocked.
            self._is_late = True
            self.due = now + max(_GRACE_SECONDS, min(now - self.due, self._deliveries.seconds))
        elif self._task is not None and not self._has_expired:
            self._has_expired = True
            self._task.cancel()


_current: ContextVar[Delivery | None] = ContextVar("delivery", default=None)


class ReportingConnector(aiohttp.TCPConnector):
    """A connector that reports to the `Delivery` of each request, for a third of what hooks cost.

    Args:
        limit: connections at once, at most.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit=limit, socket_factory=_new_socket)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,
    ) -> Any:
        """Return a connection from the pool, or a new one; see `aiohttp.BaseConnector`."""
        delivery = _current.get()
        if delivery is None:
            return await super().connect(req, traces, timeout)
        delivery.begin()
        connection = await super().connect(req, traces, timeout)
        delivery.send()
        return connection


def _new_socket(address: tuple[Any, ...]) -> socket.socket:
    if (delivery := _current.get()) is not None:
        delivery.connect()
    family, kind, protocol, *_ = address
    return socket.socket(family, kind, protocol)


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
