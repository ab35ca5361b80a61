"""An HTTP client for load: as little work for each request as there can be.

    python benchmarks/load_client.py flood ORIGIN CONNECTIONS SECONDS < targets
    python benchmarks/load_client.py steady ORIGIN RATE SECONDS < targets

`flood` sends the next request on each connection as soon as the last is answered; `steady` sends
so many a second at even times, whether the service keeps up or not, and measures each from the
moment at which it was due. Targets are taken from standard input, one a line, in turn. The
answer is one line of JSON.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

KEY_VARIABLE = "LOAD_KEY"


class Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, answered: Callable[["Connection"], None]) -> None:
        self._answered = answered
        self._received = bytearray()
        self._missing = 0
        self._transport: asyncio.Transport | None = None
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: bytes) -> None:
        """Send a request."""
        assert self._transport is not None
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Tell when an answer is whole."""
        self._received += data
        head, ended, body = self._received.partition(b"\r\n\r\n")
        if not ended:
            return
        length = int(head[head.index(b"Content-Length: ") + 16 :].split(b"\r", 1)[0])
        if len(body) < length:
            return
        if b'"code":0' not in body:
            sys.exit(f"a refusal: {bytes(self._received)!r}")
        self._received.clear()
        self._answered(self)


class Client:
    """Requests by targets in turn."""

    def __init__(self, origin: str, key: str, targets: list[str]) -> None:
        where = urlsplit(origin)
        assert where.hostname is not None
        assert where.port is not None
        self._where = where.hostname, where.port
        head = f"Host: {where.netloc}\r\nAPIKEY: {key}\r\n\r\n"
        requests = [f"GET {target} HTTP/1.1\r\n{head}".encode() for target in targets]
        self._requests: Iterator[bytes] = itertools.cycle(requests)
        self._free: list[Connection] = []
        self._flooding = False
        self.latencies: list[float] = []

    async def flood(self, connections: int, seconds: float) -> float:
        """Requests a second."""
        self._flooding = True
        opened = [await self._connection() for _ in range(connections)]
        for connection in opened:
            self._send(connection)
        await asyncio.sleep(min(1.0, seconds / 4))
        self.latencies.clear()
        began = time.perf_counter()
        await asyncio.sleep(seconds)
        return len(self.latencies) / (time.perf_counter() - began)

    async def steady(self, rate: float, seconds: float) -> None:
        """Requests at even times."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(round(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
            connection = self._free.pop() if self._free else await self._connection()
            self._send(connection, due)
        await asyncio.sleep(2.0)

    async def _connection(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(self._answered), *self._where
        )
        return connection

    def _send(self, connection: Connection, due: float | None = None) -> None:
        connection.sent_at = time.monotonic() if due is None else due
        connection.send(next(self._requests))

    def _answered(self, connection: Connection) -> None:
        self.latencies.append(time.monotonic() - connection.sent_at)
        if self._flooding:
            self._send(connection)
        else:
            self._free.append(connection)


async def main() -> None:
    """Run one load."""
    kind, origin, key, amount, seconds = sys.argv[1:]
    client = Client(origin, key, sys.stdin.read().split())
    found: dict[str, object] = {}
    if kind == "flood":
        found["rate"] = await client.flood(int(amount), float(seconds))
    else:
        await client.steady(float(amount), float(seconds))
        found["latencies"] = client.latencies
    found["cpu"] = time.process_time()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
