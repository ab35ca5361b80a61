"""Servers for the load: the service, and handlers that answer the same bytes and do no more.

    python benchmarks/load_servers.py KIND FOLDER

Each prints its origin and runs until it is terminated. The kinds:

- `bare`: answers every request with the bytes of a getTaskInfo.
- `bare-fetching`: fetches `imageUrl` with aiohttp first.
- `service`: the service on FOLDER; tasks are queued and never rendered.
- `service-from-memory`: the same, with photos that are not fetched.
- `service-rendering`: the service with its engine, on every core.
- `service-instant`: the service with a renderer that is done at once (see `soak.py`).
- `service-timed`: the service with eight workers, whose renders take half a second; FOLDER/begins
  has the task and the time of each.
- `photos-slow`: serves a byte of a photo a second.
- `photos`, `photos-small`, `photos-mixed`: serve a portrait of 94 KB, a photo of 1 KB, or these
  and sometimes one of 2 MB, under every path; on plain asyncio, to take little CPU.
"""

import asyncio
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Self
from unittest.mock import patch

import aiohttp
from aiohttp import web
from attrs import evolve

from photoanimer_async.engine.samples import ASTRONAUT
from photoanimer_async.service import (
    LocalService,
    Renderer,
    RenderJob,
    ServiceSettings,
    assembly,
)
from photoanimer_async.service.fetching.received_file import ReceivedFile
from photoanimer_async.service.memory_tuning import (
    collect_garbage_less_often,
    return_large_blocks_to_system,
    share_one_heap,
)

_MANY = 1_000_000
_SHORT = 20.0
RENDER_SECONDS = 0.5
_VIDEO = b"\0\0\0\x18ftypmp42".ljust(1 << 16)
SMALL_PHOTO = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0) + bytes(900)
)
LARGE_PHOTO = SMALL_PHOTO + bytes(2_000_000)
BODY = (
    b'{"code":0,"data":{"taskId":471367831765061,"status":0,"resultUrl":null},'
    b'"msg":null,"time":1615368038661}'
)
_TYPE = {"Content-Type": "application/json; charset=utf-8"}


class NeverRenders:
    """A renderer that never finishes."""

    async def render(self, job: RenderJob) -> None:
        """Wait."""
        del job
        await asyncio.Event().wait()


class InstantRenderer:
    """A renderer that finishes at once."""

    async def render(self, job: RenderJob) -> None:
        """Write some bytes."""
        for result in (job.mp4, job.gif):
            if result is not None:
                await asyncio.to_thread(result.write_bytes, _VIDEO)


class TimedRenderer:
    """A renderer that takes some time and writes down when it begins."""

    def __init__(self, begins: Path) -> None:
        self._begins = begins.open("a", buffering=1)

    async def render(self, job: RenderJob) -> None:
        """Wait, and write some bytes."""
        self._begins.write(f"{job.task_id} {time.monotonic()}\n")
        await asyncio.sleep(RENDER_SECONDS)
        await asyncio.to_thread(job.mp4.write_bytes, _VIDEO)


class PhotoInMemory:
    """A fetcher that has every photo."""

    async def fetch(self, url: str, *, size_limit: int, accept: str) -> ReceivedFile:
        """A small photo."""
        del url, size_limit, accept
        return ReceivedFile.of(SMALL_PHOTO)


@asynccontextmanager
async def bare(*, fetching: bool) -> AsyncIterator[str]:
    """Run a handler that answers the same bytes."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:

        async def answer(request: web.Request) -> web.Response:
            if fetching:
                async with session.get(request.query["imageUrl"]) as response:
                    await response.read()
            return web.Response(body=BODY, headers=_TYPE)

        app = web.Application()
        app.router.add_get("/api/v1/faceDriven/getTaskInfo", answer, allow_head=False)
        app.router.add_get("/api/v1/faceDriven/submitTaskByUrl", answer, allow_head=False)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@asynccontextmanager
async def service(
    folder: Path,
    renderer: Renderer | None,
    *,
    expire: bool = False,
    workers: int | None = None,
    queue_limit: int = _MANY,
) -> AsyncIterator[str]:
    """Run the service."""
    settings = ServiceSettings(data_dir=folder, port=0, queue_limit=queue_limit, drain_seconds=0)
    if workers is not None:
        settings = evolve(settings, workers=workers)
    if expire:
        settings = evolve(
            settings,
            keep_results_seconds=_SHORT,
            keep_tasks_seconds=2 * _SHORT,
            sweep_seconds=1.0,
        )
    async with LocalService(settings, renderer=renderer) as running:
        yield running.base_url.removesuffix("/api/v1")


@asynccontextmanager
async def service_from_memory(folder: Path) -> AsyncIterator[str]:
    """Run the service with a fetcher that does nothing."""

    @asynccontextmanager
    async def open_fetcher(*_: object) -> AsyncIterator[PhotoInMemory]:
        yield PhotoInMemory()

    with patch.object(assembly, "open_fetcher", open_fetcher):
        async with service(folder, NeverRenders()) as origin:
            yield origin


class PhotoConnection(asyncio.Protocol):
    """A connection that answers every request with the next photo."""

    def __init__(self, photos: Iterator[bytes]) -> None:
        self._photos = photos
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer; requests without a body come in one piece."""
        assert self._transport is not None
        if data.endswith(b"\r\n\r\n"):
            photo = next(self._photos)
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(photo))
            self._transport.write(photo)


class SlowConnection(PhotoConnection):
    """A connection that sends a byte a second."""

    def __init__(self) -> None:
        super().__init__(cycle([SMALL_PHOTO]))

    def data_received(self, data: bytes) -> None:
        """Begin to answer."""
        assert self._transport is not None
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            self._drip()

    def _drip(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"\0")
            asyncio.get_running_loop().call_later(1.0, self._drip)


def photos(*in_turn: bytes) -> AbstractAsyncContextManager[str]:
    """Run a server that gives these photos under every path, in turn."""
    to_come = cycle(in_turn)
    return listening(lambda: PhotoConnection(to_come))


@asynccontextmanager
async def listening(protocol: Callable[[], asyncio.Protocol]) -> AsyncIterator[str]:
    """Run a server of this protocol."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=4096)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


KINDS: dict[str, Callable[[Path], AbstractAsyncContextManager[str]]] = {
    "bare": lambda _: bare(fetching=False),
    "bare-fetching": lambda _: bare(fetching=True),
    "service": lambda folder: service(folder, NeverRenders()),
    "service-from-memory": service_from_memory,
    "service-rendering": lambda folder: service(folder, None),
    "service-instant": lambda folder: service(folder, InstantRenderer(), expire=True),
    "service-timed": lambda folder: service(
        folder, TimedRenderer(folder / "begins"), workers=8, queue_limit=10_000
    ),
    "photos-slow": lambda _: listening(SlowConnection),
    "photos-small": lambda _: photos(SMALL_PHOTO),
    "photos": lambda _: photos(ASTRONAUT.read_bytes()),
    "photos-mixed": lambda _: photos(
        LARGE_PHOTO, *[ASTRONAUT.read_bytes()] * 5, *[SMALL_PHOTO] * 14
    ),
}


async def main() -> None:
    """Run one server until it is terminated."""
    kind, folder = sys.argv[1:]
    if kind.startswith("service"):
        return_large_blocks_to_system()  # as `photoanimer serve` does
        share_one_heap()
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    async with KINDS[kind](Path(folder)) as origin:
        if kind.startswith("service"):
            collect_garbage_less_often()
        sys.stdout.write(f"{origin}\n")
        sys.stdout.flush()
        await terminated.wait()


class Server:
    """One of these servers in a process of its own, as a context manager.

    Args:
        kind: which of them.
        folder: where it keeps its data.
        cores: the cores it may use; by default all.
    """

    def __init__(self, kind: str, folder: Path, cores: Collection[int] = ()) -> None:
        self._command = [sys.executable, __file__, kind, str(folder)]
        self._cores = cores

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this very file
        assert self._process.stdout is not None
        if self._cores:
            os.sched_setaffinity(self._process.pid, self._cores)
        self.origin = self._process.stdout.readline().strip()
        assert self.origin, "the server has not started"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()

    @property
    def cpu(self) -> float:
        """Processor time that its threads have used, in seconds.

        In nanoseconds: the ticks of `stat` are coarser than a short form takes.
        """
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    @property
    def memory(self) -> int:
        """Bytes of memory that it holds."""
        return int(self._status("statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _status(self, name: str) -> str:
        return Path(f"/proc/{self._process.pid}/{name}").read_text()


if __name__ == "__main__":
    asyncio.run(main())
