"""Bounds the connections to the service, so that silent ones cannot use up its open files.

A connection that has not sent a whole request within some seconds is closed. Beyond the bound of an
address, or of all, a new connection takes the place of one on which nothing happens: the oldest
that never sent a request, or else the one that is idle for longest. So a newcomer is served
however many silent connections there are. If requests are under way on all of them, the newcomer
is one of a few in reserve, which get an answer about the service's health and otherwise HTTP status
503, or it is closed.

What is closed is counted, and logged once a minute.
"""

import asyncio
import json
import logging
import math
import resource
import socket
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from aiohttp import web
from attrs import define, frozen

from photoanimer_async.service.error_codes import NO_STORAGE
from photoanimer_async.service.http.envelope import failure
from photoanimer_async.service.http.health import HEALTH_PATH
from photoanimer_async.service.shortages import reason_of

_logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS: Final = 75.0
"""How long a connection may be idle between two requests; longer than reverse proxies keep it."""
LARGEST_HEAD: Final = 64 * 1024
"""Bytes of a request's URL and header fields: every connection holds those of its latest one."""
IN_RESERVE: Final = 32
"""Connections beyond the bound, for questions about the health."""

_LOG_SECONDS: Final = 60.0
_SWEEP_SECONDS: Final = 0.5
_OTHER_FILES: Final = 64
_ASKS_HEALTH: Final = f"GET {HEALTH_PATH} ".encode()
_FEWEST: Final = 16
_STALLED_MILLISECONDS: Final = 60_000
_IPV6_SUBSCRIBER: Final = 64  # bits that a provider gives to one subscriber


def _response(status: str, content_type: str, body: bytes, *more: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", f"Content-Type: {content_type}; charset=utf-8", *more)
    head = [*lines, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(head).encode() + body


_TOO_LARGE: Final = _response(
    "400 Bad Request",
    "text/plain",
    f"The URL and the header fields have more than {LARGEST_HEAD // 1024} KiB.\n".encode(),
)


def _no_room() -> bytes:
    message = "too many connections are open; try again later"
    body = json.dumps(failure(NO_STORAGE, message)).encode()
    return _response("503 Service Unavailable", "application/json", body, "Retry-After: 1")


@frozen
class ConnectionLimits:
    """Bounds of connections.

    Attributes:
        in_all: the most at the same time.
        per_address: the most from one address; loopback may have `in_all`.
        request_seconds: how long a new connection may take to send a whole request.
    """

    in_all: int
    per_address: int
    request_seconds: float


def limits_for(connections: int, request_seconds: float) -> ConnectionLimits:
    """Return limits that leave open files for photos, workers and the database.

    Args:
        connections: the most that there shall be.
        request_seconds: how long a new connection may take to send a whole request.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        connections = min(connections, max(_FEWEST, (soft - _OTHER_FILES) // 2))
    return ConnectionLimits(connections, max(1, connections // 2), request_seconds)


@define(eq=False)
class _Connection:
    """An open connection.

    Attributes:
        handler: aiohttp's handler of it.
        transport: its transport.
        address: who has opened it.
        since: when it was opened.
        has_asked: whether it has sent a whole request.
        is_in_reserve: whether it is beyond the bound.
    """

    handler: web.RequestHandler
    transport: asyncio.Transport
    address: str
    since: float
    has_asked: bool = False
    is_in_reserve: bool = False

    def is_idle(self) -> bool:
        """Return whether no request is under way, from its head to the end of its response."""
        waiter = self.handler._waiter  # noqa: SLF001 - as aiohttp itself finds idle connections
        return waiter is not None and not waiter.done()


class _GuardedProtocol(asyncio.Protocol):
    """Passes what a connection receives on to aiohttp, unless it is to be refused.

    aiohttp limits each header field and their number, which together are a megabyte. A middleware
    would do for the connections in reserve, but costs every request some microseconds.
    """

    def __init__(self, guard: "ConnectionGuard", connection: _Connection) -> None:
        self._guard = guard
        self._connection = connection
        self._handler = connection.handler
        self._received = 0  # bytes of a head that is not whole

    def data_received(self, data: bytes) -> None:
        connection = self._connection
        was_idle = connection.is_idle()
        if was_idle:
            if self._received + len(data) > LARGEST_HEAD and self._is_too_large(data):
                self._guard.refuse(connection, "too_large", _TOO_LARGE)
                return
            if connection.is_in_reserve and not (self._received or data.startswith(_ASKS_HEALTH)):
                self._guard.refuse(connection, "refused", _no_room())
                return
        self._handler.data_received(data)
        if not was_idle:
            return
        if connection.is_idle():
            self._received += len(data)
            return
        self._received = 0
        connection.has_asked = True
        self._guard.note_request(connection)
        if connection.is_in_reserve:
            self._handler.close()  # once it is answered

    def _is_too_large(self, data: bytes) -> bool:
        end = data.find(b"\r\n\r\n")
        return self._received + (len(data) if end < 0 else end) > LARGEST_HEAD

    def eof_received(self) -> None:
        self._handler.eof_received()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._handler.connection_lost(exc)


class ConnectionGuard:
    """Bounds the connections of one server.

        guard = ConnectionGuard(limits_for(1024, 10.0))
        async with guard.watching(runner.server):
            ...

    Args:
        limits: the bounds.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._open: OrderedDict[object, _Connection] = OrderedDict()  # by their latest requests
        self._per_address: Counter[str] = Counter()
        self._closed: Counter[str] = Counter()

    @asynccontextmanager
    async def watching(self, server: web.Server) -> AsyncIterator[None]:
        """Bound the connections of a server for the duration of the block."""
        made, lost = server.connection_made, server.connection_lost

        def connection_made(handler: web.RequestHandler, transport: asyncio.Transport) -> None:
            made(handler, transport)
            self._add(handler, transport)

        def connection_lost(handler: web.RequestHandler, exc: BaseException | None = None) -> None:
            self._remove(handler)
            lost(handler, exc)

        # aiohttp has no hook for this; its handlers call these methods.
        vars(server).update(connection_made=connection_made, connection_lost=connection_lost)
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.wait([watch])
            self._log()

    def _add(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        now = asyncio.get_running_loop().time()
        connection = _Connection(handler, transport, _address(transport), now)
        own = self._per_address[connection.address]
        room = True
        if own >= self._bound(connection.address):
            room = self._make_room(
                each for each in self._open.values() if each.address == connection.address
            )
        elif len(self._open) >= self._limits.in_all:
            room = self._make_room(self._open.values())
        if not room and len(self._open) >= self._limits.in_all + IN_RESERVE:
            self.close(connection, "refused")
            return
        connection.is_in_reserve = not room
        self._open[handler] = connection
        self._per_address[connection.address] += 1
        transport.set_protocol(_GuardedProtocol(self, connection))
        _limit_stalls(transport)

    def _bound(self, address: str) -> int:
        return self._limits.in_all if address == _LOOPBACK else self._limits.per_address

    def _make_room(self, connections: Iterable[_Connection]) -> bool:
        """Close one of the connections on which nothing happens; return whether there was one."""
        found: _Connection | None = None
        for each in connections:
            if each.is_idle():
                if not each.has_asked:
                    found = each
                    break
                found = found or each
        if found is not None:
            self.close(found, "displaced")
        return found is not None

    def _remove(self, handler: object) -> None:
        connection = self._open.pop(handler, None)
        if connection is not None:
            self._per_address[connection.address] -= 1
            if not self._per_address[connection.address]:
                del self._per_address[connection.address]

    def note_request(self, connection: _Connection) -> None:
        """Record that a connection has sent a whole request."""
        self._open.move_to_end(connection.handler)

    def close(self, connection: _Connection, why: str) -> None:
        """Close a connection and count it."""
        self._closed[why] += 1
        self._remove(connection.handler)
        connection.transport.abort()

    def refuse(self, connection: _Connection, why: str, response: bytes) -> None:
        """Send a response that aiohttp does not know of, close the connection and count it."""
        self._closed[why] += 1
        self._remove(connection.handler)
        connection.transport.write(response)
        connection.transport.close()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        next_log = loop.time()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = loop.time()
            oldest = now - self._limits.request_seconds
            for each in [*self._open.values()]:
                if not each.has_asked and each.since < oldest and each.is_idle():
                    self.close(each, "silent")
            if self._closed and now >= next_log:
                self._log()
                next_log = now + _LOG_SECONDS

    def _log(self) -> None:
        if self._closed:
            _logger.warning(
                "event=connections_closed silent=%d too_large=%d displaced=%d refused=%d open=%d",
                self._closed["silent"],
                self._closed["too_large"],
                self._closed["displaced"],
                self._closed["refused"],
                len(self._open),
            )
            self._closed.clear()


_LOOPBACK: Final = "loopback"


class AcceptErrors:
    """A handler of the event loop's errors that logs a shortage of open files once a minute.

    The loop would log each connection that it cannot accept, with a traceback.
    """

    def __init__(self) -> None:
        self._next_log = -math.inf

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what the loop reports; see `loop.set_exception_handler`."""
        error = context.get("exception")
        if "socket.accept()" not in context.get("message", "") or not isinstance(error, OSError):
            loop.default_exception_handler(context)
        elif loop.time() >= self._next_log:
            self._next_log = loop.time() + _LOG_SECONDS
            _logger.warning("event=not_accepted why=%r", reason_of(error))


def _address(transport: asyncio.Transport) -> str:
    """Return who has opened a connection: an IPv4 address, or an IPv6 network of a subscriber."""
    peer = transport.get_extra_info("peername")
    try:
        address = ip_address(str(peer[0]).partition("%")[0])
    except (IndexError, TypeError, ValueError):
        return ""
    match address:
        case IPv6Address(ipv4_mapped=IPv4Address() as mapped):
            address = mapped
        case IPv6Address() if not address.is_loopback:
            return f"{int(address) >> _IPV6_SUBSCRIBER:x}::"
    return _LOOPBACK if address.is_loopback else str(address)


def _limit_stalls(transport: asyncio.Transport) -> None:
    """Let the kernel end a connection whose other side takes none of the response any more."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    accepted = transport.get_extra_info("socket")
    if option is not None and accepted is not None:
        with suppress(OSError):
            accepted.setsockopt(socket.IPPROTO_TCP, option, _STALLED_MILLISECONDS)
