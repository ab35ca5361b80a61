"""Time limits of many coroutines with one timer, and how far a request has come.

A timer of the event loop for each limit costs a tenth of a request. Nearly all limits are never
reached, so one timer is set for the earliest, and set again, for what is left, when it goes off.

A request of aiohttp waits for a free connection, resolves a name, connects, perhaps through a
proxy, and only then sends its first byte. aiohttp's `total` timeout counts all of that. A
`Delivery` counts the caller's timeout from the moment there is a connection, and knows whether the
request may have been sent. A connector of our own, or aiohttp's trace hooks in a session of the
user's, report the steps; they run in the task of the request, so a context variable leads from them
to its `Delivery`.
"""

import asyncio
import math
import socket
import time
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp

from photoanimer_async.errors import NotSentError, PhotoAnimerError

_QUEUE_SECONDS = 600.0
_CONNECT_SECONDS = (10.0, 30.0)
_GRACE_SECONDS = 0.1


class Expiring(Protocol):
    """Something that ends at a time.

    Attributes:
        due: when, in seconds of `time.monotonic`; infinity for never.
    """

    due: float

    def expire(self, now: float) -> None:
        """End it; or set a later `due`."""


class TimeLimits:
    """What is limited in time now.

    Attributes:
        open: it is watched while it is in this set; it is added by `add`, and removed directly.
    """

    def __init__(self) -> None:
        self.open: set[Expiring] = set()
        self._next = math.inf  # nothing is due before
        self._timer: asyncio.TimerHandle | None = None

    def add(self, limited: Expiring) -> None:
        """Watch something, or take note of an earlier `due`."""
        self.open.add(limited)
        if limited.due < self._next:
            self._wake_at(limited.due)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._next = None, math.inf

    def _wake_at(self, due: float) -> None:
        self.close()
        self._next = due
        wait = max(due - time.monotonic(), 0.0)
        self._timer = asyncio.get_running_loop().call_later(wait, self._expire)

    def _expire(self) -> None:
        now = time.monotonic()
        for limited in [one for one in self.open if one.due <= now]:
            limited.expire(now)
        self.close()
        earliest = min([one.due for one in self.open if one.due > now], default=math.inf)
        if earliest < math.inf:
            self._wake_at(earliest)


class TimeLimit:
    """Limits the time of a part of this task, as `asyncio.timeout` does; a context manager.

        with TimeLimit(limits, 60.0):
            ...

    Args:
        limits: watch it.
        seconds: from now on; infinity for no limit.

    Attributes:
        due: when it is over, in seconds of `time.monotonic`.

    Raises:
        TimeoutError: the time is over.
    """

    __slots__ = ("_cancelling", "_has_expired", "_limits", "_task", "due")

    def __init__(self, limits: TimeLimits, seconds: float) -> None:
        self.due = time.monotonic() + seconds
        self._limits = limits
        self._has_expired = False
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    def __enter__(self) -> Self:
        task = self._task = asyncio.current_task()
        self._cancelling = 0 if task is None else task.cancelling()
        self._limits.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._limits.open.discard(self)
        if self._has_expired and self._task is not None:
            # A cancellation by others meanwhile is not swallowed.
            others = self._task.uncancel() > self._cancelling
            if kind is asyncio.CancelledError and not others:
                raise TimeoutError from error

    def restart(self, due: float) -> None:
        """Let it be over at another time; infinity for never."""
        self.due = due
        self._limits.add(self)

    def expire(self, now: float) -> None:  # noqa: ARG002 - see `Expiring`
        """Cancel the task."""
        if self._task is not None and not self._has_expired:
            self._has_expired = True
            self._task.cancel()


class TurnDeadline(TimeLimit):
    """Limits the wait for a turn, and never the wait for the answer to a submit that was sent.

        with TurnDeadline(limits, 3.0) as deadline:
            ...                        # wait for a turn, as long as it takes
            deadline.suspend()
            ...                        # send the submit

    Args:
        limits: watch it.
        seconds: from now on; `None` for no limit.

    Raises:
        PhotoAnimerError: the time is over; the last refusal, else a `NotSentError`.
    """

    __slots__ = ("_refusal", "_seconds", "_when")

    def __init__(self, limits: TimeLimits, seconds: float | None) -> None:
        super().__init__(limits, math.inf if seconds is None else seconds)
        self._seconds = seconds
        self._when = self.due
        self._refusal: PhotoAnimerError | None = None

    def __enter__(self) -> Self:
        return self if self._seconds is None else super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._seconds is None:
            return
        try:
            super().__exit__(kind, error, trace)
        except TimeoutError:
            failure = self._refusal or NotSentError(
                f"not submitted: there was no turn within {self._seconds:g} s"
            )
        else:
            return
        raise failure

    def suspend(self) -> None:
        """Stop the clock: the submit is being sent."""
        self.due = math.inf

    def resume(self, refusal: PhotoAnimerError) -> None:
        """Start the clock again: the submit was not sent, or was refused."""
        self._refusal = refusal
        if self._seconds is not None:
            self.restart(self._when)


class Delivery(TimeLimit):
    """The delivery of one request of this task; a context manager around it.

        current_delivery.set(delivery := Delivery(limits, 60.0))
        with delivery:
            response = await session.get(url)

    It limits the wait for a free connection to 10 minutes, the time for connecting to 10 to 30 s,
    and the rest to `seconds`. An answer that is already in the socket when the time is over, since
    the event loop was blocked, is still read.

    Args:
        limits: watch it.
        seconds: from the connection to the end of the answer. If the steps of the request are not
            reported, it counts from now on.
        is_reported: whether the session is known to report the first step before it sends anything.

    Raises:
        TimeoutError: a limit has passed.
    """

    __slots__ = ("_has_begun", "_has_connection", "_is_late", "_seconds")

    def __init__(self, limits: TimeLimits, seconds: float, *, is_reported: bool = False) -> None:
        super().__init__(limits, seconds)
        self._seconds = seconds
        self._has_begun = is_reported
        self._has_connection = self._is_late = False

    @property
    def may_have_left(self) -> bool:
        """Whether the request had a connection. True too if the session may report no steps."""
        return self._has_connection or not self._has_begun

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
        self._is_late = False
        self.restart(time.monotonic() + seconds)

    def expire(self, now: float) -> None:
        """End the request, unless its answer may be in the socket: then it is read first."""
        if self._is_late:
            super().expire(now)
        else:
            # The event loop may have been blocked.
            self._is_late = True
            self.restart(now + max(_GRACE_SECONDS, min(now - self.due, self._seconds)))


current_delivery: ContextVar[Delivery | None] = ContextVar("delivery", default=None)
"""That of the request which this task sends, if its steps are to be reported."""


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
        delivery = current_delivery.get()
        if delivery is None:
            return await super().connect(req, traces, timeout)
        delivery.begin()
        connection = await super().connect(req, traces, timeout)
        delivery.send()
        return connection


def _new_socket(address: tuple[Any, ...]) -> socket.socket:
    if (delivery := current_delivery.get()) is not None:
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
    # A connector of the user's may call no hooks; the request itself does, before its first byte.
    hooks.on_request_headers_sent.append(_on_connection)
    hooks.freeze()
    return hooks


async def _on_start(*_: object) -> None:
    if (delivery := current_delivery.get()) is not None:
        delivery.begin()


async def _on_connect(*_: object) -> None:
    if (delivery := current_delivery.get()) is not None:
        delivery.connect()


async def _on_connection(*_: object) -> None:
    if (delivery := current_delivery.get()) is not None:
        delivery.send()
