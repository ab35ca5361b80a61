"""An HTTP client that does as little as possible for each request.

    python benchmarks/load_client.py flood ORIGIN CONNECTIONS COUNT < targets
    python benchmarks/load_client.py insist ORIGIN CONNECTIONS COUNT < targets
    python benchmarks/load_client.py steady ORIGIN RATE COUNT < targets

`flood` sends the next request on each connection as soon as the last one is answered. `insist`
does so too, whatever the answers are, until it is terminated; COUNT has no meaning. `steady`
sends requests at even times, whether the service keeps up or not, and measures each from the
moment at which it was due. Targets come from standard input, one a line, and are used in turn;
the key comes from the environment, `LOAD_KEY`. It prints one line of JSON: `seconds`, and
`latencies` in seconds. Others than `insist` stop at an answer that is no success.
"""

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

_PATIENCE = 30.0
_LENGTH = b"\r\nContent-Length: "


class Connection(asyncio.Protocol):
    """A connection with one request at a time."""

    def __init__(self, answered: Callable[["Connection"], None], *, insists: bool) -> None:
        self._answered = answered
        self._insists = insists
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self.since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: bytes, since: float) -> None:
        """Send a request that was due at some time."""
        assert self._transport is not None
        self.since = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Report the answer once it is complete."""
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = head.partition(_LENGTH)[2].partition(b"\r")[0]
        if not length or len(body) < int(length):
            return
        if not self._insists and b'"code":0' not in body:
            sys.exit(f"a refusal: {self._received!r}")
        self._received = b""
        self._answered(self)


class Client:
    """A number of requests, by targets in turn."""

    def __init__(
        self, origin: str, key: str, targets: Iterable[str], count: int, *, insists: bool = False
    ) -> None:
        where = urlsplit(origin)
        assert where.hostname is not None
        assert where.port is not None
        self._where = where.hostname, where.port
        head = f"Host: {where.netloc}\r\nAPIKEY: {key}\r\n\r\n"
        self._requests = itertools.cycle(
            [f"GET {target} HTTP/1.1\r\n{head}".encode() for target in targets]
        )
        self._count = count
        self._unsent = count
        self._insists = insists
        self._free: list[Connection] = []
        self._all_answered = asyncio.Event()
        self.latencies: list[float] = []

    async def flood(self, connections: int) -> None:
        """Send as many requests as the service answers."""
        for connection in [await self._connection(self._again) for _ in range(connections)]:
            self._send(connection, time.monotonic())
        await self._all_answered.wait()

    async def steady(self, rate: float) -> None:
        """Send so many requests a second."""
        began = time.monotonic()
        for number in range(self._count):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            connection = self._free.pop() if self._free else await self._connection(self._rest)
            self._send(connection, due)
        async with asyncio.timeout(_PATIENCE):
            await self._all_answered.wait()

    async def _connection(self, answered: Callable[[Connection], None]) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(answered, insists=self._insists), *self._where
        )
        return connection

    def _send(self, connection: Connection, due: float) -> None:
        self._unsent -= 1
        connection.send(next(self._requests), due)

    def _again(self, connection: Connection) -> None:
        now = self._note(connection)
        if self._unsent > 0:
            self._send(connection, now)

    def _rest(self, connection: Connection) -> None:
        self._note(connection)
        self._free.append(connection)

    def _note(self, connection: Connection) -> float:
        now = time.monotonic()
        if not self._insists:
            self.latencies.append(now - connection.since)
        if len(self.latencies) == self._count:
            self._all_answered.set()
        return now


async def main() -> None:
    """Run one load."""
    kind, origin, how, count = sys.argv[1:]
    insists = kind == "insist"
    client = Client(
        origin,
        os.environ["LOAD_KEY"],
        sys.stdin.read().split(),
        sys.maxsize if insists else int(count),
        insists=insists,
    )
    began = time.monotonic()
    await (client.steady(float(how)) if kind == "steady" else client.flood(int(how)))
    found = {"seconds": time.monotonic() - began, "latencies": client.latencies}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
