"""Charged and lost tasks on a bad network: this client beside others.

    pip install -e '.[bench]'
    python benchmarks/faults.py [--tasks 100] [--only NAME ...] [--modes WORD ...]

A stub service counts the tasks that it accepts: these are charged. In each mode one thing goes
wrong: every fifth submit is accepted and its answer lost, or one poll in twenty fails. The naive
loop and the peers are those of `peers.py`, in their own request shapes and with their authors'
settings; they get 20 s. This client is `animate_many`.

Charged should equal the number of tasks. A task is lost if it was charged and the caller has
neither its result nor a warning that it may exist. What this client reports as ambiguous is
counted separately.
"""

import argparse
import asyncio
import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from random import Random

import peers
from machine import described, table
from stub import Tasks, answer, report

from photoanimer_async import AmbiguousSubmitError, PhotoAnimerClient, RetryPolicy

SECONDS = 20.0
OURS = "photoanimer"
OTHERS = ("naive", "runpod", "openai", "runwayml", "replicate", "fal", "elevenlabs")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>ok</html>"
GATEWAY = b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 6\r\n\r\n<html>"
DOWN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nslow"


class Mode(StrEnum):
    """One thing that goes wrong."""

    NOTHING = "nothing"
    SUBMIT_CLOSED = "submit accepted, closed"
    SUBMIT_504 = "submit accepted, 504"
    SUBMIT_SILENT = "submit accepted, no answer"
    POLL_CLOSED = "poll closed"
    POLL_503 = "poll 503"
    POLL_429 = "poll 429, Retry-After"
    POLL_HTML = "poll HTML with 200"


class Connection(asyncio.Protocol):
    """A connection that answers as the stub does, or in the mode's way."""

    def __init__(self, tasks: Tasks, mode: Mode, rng: Random) -> None:
        self._tasks = tasks
        self._mode = mode
        self._rng = rng
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        while (found := _first_request(self._buffer)) is not None:
            method, target, host, self._buffer = found
            self._answer(method, target, host)

    def _answer(self, method: str, target: str, host: str) -> None:
        assert self._transport is not None
        if target == "/report":
            content = self._tasks.report()
        else:
            content = answer(self._tasks, method, target)
        body = json.dumps(content).replace('"/fal/', f'"http://{host}/fal/')
        submitted = method == "POST" or "submitTaskByUrl" in target
        fails = (
            self._tasks.submits % 5 == 0
            if submitted
            else target != "/report" and self._rng.random() < 1 / 20
        )
        match self._mode if fails else None:
            case Mode.SUBMIT_CLOSED if submitted:
                self._transport.close()
            case Mode.SUBMIT_504 if submitted:
                self._transport.write(GATEWAY)
            case Mode.SUBMIT_SILENT if submitted:
                pass
            case Mode.POLL_CLOSED if not submitted:
                self._transport.close()
            case Mode.POLL_503 if not submitted:
                self._transport.write(DOWN)
            case Mode.POLL_429 if not submitted:
                self._transport.write(BUSY)
            case Mode.POLL_HTML if not submitted:
                self._transport.write(HTML)
            case _:
                self._transport.write(OK % (len(body), body.encode()))


def _first_request(buffer: bytes) -> tuple[str, str, str, bytes] | None:
    """Return method, target and host of the first request, and the bytes after it."""
    head, end, rest = buffer.partition(b"\r\n\r\n")
    lower = head.lower()
    length = 0
    if b"\r\ncontent-length:" in lower:
        length = int(lower.split(b"\r\ncontent-length:")[1].split(b"\r\n")[0])
    if not end or len(rest) < length:
        return None
    method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    host = lower.split(b"\r\nhost: ")[1].split(b"\r\n")[0].decode()
    return method, target, host, rest[length:]


async def serve(mode: Mode) -> None:
    """Run the stub until it is killed; print its port."""
    tasks, rng = Tasks(1), Random(1)  # noqa: S311 - faults, no secret
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(tasks, mode, rng), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextmanager
def serving(mode: Mode) -> Iterator[str]:
    """Run the stub in a process of its own; give its origin."""
    command = [sys.executable, __file__, "--serve", mode.value]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this very file
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


async def ours(origin: str, tasks: int) -> tuple[int, int]:
    """Return how many photos have results, and how many are reported as ambiguous."""
    done = ambiguous = 0
    photos = [f"http://127.0.0.1:9/{number}.jpg" for number in range(tasks)]
    async with PhotoAnimerClient(
        peers.KEY, base_url=origin + peers.API, timeout=5.0, retry=RetryPolicy(tries=8)
    ) as client:
        async for outcome in client.animate_many(photos):
            done += outcome.ok
            ambiguous += isinstance(outcome.error, AmbiguousSubmitError)
    return done, ambiguous


def drive(name: str, origin: str, tasks: int) -> tuple[int, int]:
    """Run one client in this process."""
    if name == OURS:
        return asyncio.run(ours(origin, tasks))
    peers.LIMIT = SECONDS

    async def other() -> int:
        return await peers.CONTENDERS[name].drive(origin, tasks)

    return asyncio.run(other()), 0


def run(name: str, mode: Mode, tasks: int) -> tuple[int, int, int, int]:
    """Return the numbers of charged, done, ambiguous and lost tasks."""
    with serving(mode) as origin:
        command = [sys.executable, __file__, "--drive", name, origin, "--tasks", str(tasks)]
        done = ambiguous = 0
        with suppress(subprocess.SubprocessError):
            finished = subprocess.run(  # noqa: S603 - this very file
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS * 4,
                check=True,
            )
            done, ambiguous = json.loads(finished.stdout.splitlines()[-1])
        charged = report(origin)["submits"]
    return charged, done, ambiguous, tasks - done - ambiguous


def main() -> None:
    """Run the clients in all modes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--only", nargs="*", default=[OURS, *OTHERS])
    parser.add_argument("--modes", nargs="*", default=[""])
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--drive", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        with suppress(KeyboardInterrupt):
            asyncio.run(serve(Mode(chosen.serve)))
        return
    if chosen.drive:
        name, origin = chosen.drive
        print(json.dumps(drive(name, origin, chosen.tasks)))
        return
    names = [
        name
        for name in chosen.only
        if name == OURS or importlib.util.find_spec(peers.CONTENDERS[name].needs)
    ]
    modes = [mode for mode in Mode if any(word in mode.value for word in chosen.modes)]
    rows = [[name] for name in names]
    for mode in modes:
        for row, name in zip(rows, names, strict=True):
            charged, done, ambiguous, lost = run(name, mode, chosen.tasks)
            shown = f" ({ambiguous} ambiguous)" if ambiguous else ""
            row.append(f"{charged}, {done}, {lost}{shown}")
            sys.stderr.write(f"{mode.value}: {name}: {row[-1]}\n")
    print(described("aiohttp"))
    print("charged, done, lost of", chosen.tasks)
    print(table(["client", *(mode.value for mode in modes)], rows))


if __name__ == "__main__":
    main()
