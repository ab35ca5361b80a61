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
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, cast

from aiohttp import web
from attrs import frozen

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
_READ_BYTES: Final = 64 * 1024
_BACKLOG: Final = 128  # as aiohttp's sites
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


class _Connection(asyncio.BufferedProtocol):
    """Passes what a connection receives on to aiohttp, unless it is to be refused.

    aiohttp limits each header field and their number, which together are a megabyte. A middleware
    would do for the connections in reserve, but costs every request some microseconds.

    All connections receive into one buffer: asyncio would allocate 256 KiB for each read.

    Attributes:
        handler: aiohttp's handler of it.
        address: who has opened it.
        since: when it was opened.
        has_asked: whether it has sent a whole request.
        is_in_reserve: whether it is beyond the bound.
    """

    transport: asyncio.Transport
    address: str

    def __init__(self, guard: "ConnectionGuard", handler: web.RequestHandler) -> None:
        self._guard = guard
        self._received = 0  # bytes of a head that is not whole
        self.handler = handler
        self.since = asyncio.get_running_loop().time()
        self.has_asked = False
        self.is_in_reserve = False

    def is_idle(self) -> bool:
        """Return whether no request is under way, from its head to the end of its response."""
        # As aiohttp itself finds idle connections. No public attribute says whether a response is
        # still being written, and a download must not be taken for an idle connection.
        waiter = self.handler._waiter  # noqa: SLF001
        return waiter is not None and not waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # As aiohttp does: uvloop's transports are no subclasses of asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self.address = _address(self.transport)
        self.handler.connection_made(transport)
        self._guard.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._guard.buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._guard.buffer[:nbytes])
        # `is_idle` twice, without the calls: each is a hundredth of a poll's time.
        waiter = self.handler._waiter  # noqa: SLF001 - see `is_idle`
        if waiter is None or waiter.done():
            self.handler.data_received(data)
            return
        is_unusual = self.is_in_reserve or self._received + nbytes > LARGEST_HEAD
        if is_unusual and self._is_refused(data):
            return
        self.handler.data_received(data)
        if not waiter.done():
            self._received += nbytes
            return
        self._received = 0
        self.has_asked = True
        self._guard.open.move_to_end(self)
        if self.is_in_reserve:
            self.handler.close()  # once it is answered

    def _is_refused(self, data: bytes) -> bool:
        """Refuse a head that is too large, or a request in reserve; return whether it is one."""
        if self._received + len(data) > LARGEST_HEAD and self._is_too_large(data):
            self._guard.refuse(self, "too_large", _TOO_LARGE)
            return True
        if self.is_in_reserve and not (self._received or data.startswith(_ASKS_HEALTH)):
            self._guard.refuse(self, "refused", _no_room())
            return True
        return False

    def _is_too_large(self, data: bytes) -> bool:
        end = data.find(b"\r\n\r\n")
        return self._received + (len(data) if end < 0 else end) > LARGEST_HEAD

    def eof_received(self) -> None:
        self.handler.eof_received()

    def pause_writing(self) -> None:
        self.handler.pause_writing()

    def resume_writing(self) -> None:
        self.handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._guard.remove(self)
        self.handler.connection_lost(exc)


class ConnectionGuard:
    """Listens for one server, and bounds its connections.

        guard = ConnectionGuard(limits_for(1024, 10.0))
        await guard.listen(runner.server, "127.0.0.1", 8765)
        ...
        guard.stop_listening()
        await runner.cleanup()
        await guard.close()

    Args:
        limits: the bounds.

    Attributes:
        addresses: where it listens, as sockets name it.
        open: the connections, that with the latest request last.
        buffer: what was received last, on whichever connection.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self.open: OrderedDict[_Connection, None] = OrderedDict()
        self._per_address: Counter[str] = Counter()
        self._closed: Counter[str] = Counter()
        self._listening: asyncio.Server | None = None
        self._watching: asyncio.Task[None] | None = None
        self.addresses: list[tuple[Any, ...]] = []
        self.buffer = memoryview(bytearray(_READ_BYTES))

    async def listen(self, server: web.Server, host: str, port: int) -> None:
        """Accept connections for a server.

        Raises:
            OSError: it cannot listen on the address.
        """
        loop = asyncio.get_running_loop()
        # In two steps: if cancelled, asyncio would lose a server that has just begun to listen.
        self._listening = await loop.create_server(
            lambda: _Connection(self, server()), host, port, backlog=_BACKLOG, start_serving=False
        )
        await self._listening.start_serving()
        self.addresses = [each.getsockname() for each in self._listening.sockets]
        self._watching = asyncio.create_task(self._watch())

    def stop_listening(self) -> None:
        """Accept no more connections."""
        if self._listening is not None:
            self._listening.close()

    async def close(self) -> None:
        """Stop watching; those that are open belong to their server."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        self._log()

    def add(self, connection: _Connection) -> None:
        """Take in a new connection, in place of an idle one if there is no room, or close it."""
        address = connection.address
        room = True
        if self._per_address[address] >= self._bound(address):
            room = self._make_room(each for each in self.open if each.address == address)
        elif len(self.open) >= self._limits.in_all:
            room = self._make_room(self.open)
        if not room and len(self.open) >= self._limits.in_all + IN_RESERVE:
            self.close_one(connection, "refused")
            return
        connection.is_in_reserve = not room
        self.open[connection] = None
        self._per_address[address] += 1
        _limit_stalls(connection.transport)

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
            self.close_one(found, "displaced")
        return found is not None

    def remove(self, connection: _Connection) -> None:
        """Forget a connection."""
        if connection in self.open:
            del self.open[connection]
            self._per_address[connection.address] -= 1
            if not self._per_address[connection.address]:
                del self._per_address[connection.address]

    def close_one(self, connection: _Connection, why: str) -> None:
        """Close a connection and count it."""
        self._closed[why] += 1
        self.remove(connection)
        connection.transport.abort()

    def refuse(self, connection: _Connection, why: str, response: bytes) -> None:
        """Send a response that aiohttp does not know of, close the connection and count it."""
        self._closed[why] += 1
        self.remove(connection)
        connection.transport.write(response)
        connection.transport.close()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        next_log = loop.time()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = loop.time()
            oldest = now - self._limits.request_seconds
            for each in [*self.open]:
                if not each.has_asked and each.since < oldest and each.is_idle():
                    self.close_one(each, "silent")
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
                len(self.open),
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
