"""A server of plain sockets, which answers submits with faults that no HTTP library would send."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager

from attrs import define, field

from .stub_service import as_bytes

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


@define
class RawServer:
    """Records each submit that arrives, and answers it with a fault."""

    fault: Callable[[asyncio.StreamWriter], Awaitable[None]]
    healthy_first: bool
    port: int = 0
    submits: list[bytes] = field(factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"mySubscription" in head and self.healthy_first:
                    body = as_bytes({"videoBalance": 1})
                    writer.write(OK % (len(body), body))
                    await writer.drain()
                    continue
                self.submits.append(head)
                await self.fault(writer)
                break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def close(writer: asyncio.StreamWriter) -> None:
    """Close the connection without an answer."""


async def reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def half_a_header(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    await writer.drain()


async def half_a_body(writer: asyncio.StreamWriter) -> None:
    body = as_bytes(471367831765061)
    writer.write(OK % (len(body), body[: body.index(b"1765061")]))
    await writer.drain()


async def half_an_unmeasured_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + as_bytes(1)[:10])
    await writer.drain()


async def garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    await writer.drain()


async def gateway_timeout(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 6\r\n\r\n<html>")
    await writer.drain()


async def html(writer: asyncio.StreamWriter) -> None:
    writer.write(OK % (15, b"<html>ok</html>"))
    await writer.drain()


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
    for _ in range(64):
        writer.write(b" " * 65_536)
        await writer.drain()


async def stall(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


@asynccontextmanager
async def raw_server(
    fault: Callable[[asyncio.StreamWriter], Awaitable[None]], *, healthy_first: bool = False
) -> AsyncIterator[RawServer]:
    raw = RawServer(fault, healthy_first)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.create_task(raw.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


def fill_backlog(port: int, stack: ExitStack) -> None:
    """Connect to a port that nobody accepts at, until further connections hang."""
    for _ in range(4):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(("127.0.0.1", port))
