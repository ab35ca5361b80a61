"""The command, a service that renders in no time, and a stub of one; both in a thread."""

import asyncio
import os
import struct
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from attrs import define, field

from photoanimer_async.cli import clients, serve
from photoanimer_async.polling.adaptive import AdaptivePolling
from photoanimer_async.service import LocalService, RenderFailedError, RenderJob, ServiceSettings
from photoanimer_async.service.error_codes import NO_FACE

from ..support.command_line import CommandLine
from ..support.pictures import png_chunk
from ..support.stub_service import API, StubService, serving
from ..support.videos import gif, mp4

KEY = "key-77aa01"

SLOW = b"slow"
FACELESS = b"faceless"

VIDEO = mp4(b"a video")
GIF = gif(b"a gif")

T = TypeVar("T")


def png(mark: bytes = b"") -> bytes:
    """A whole, grey picture of 16x16 pixels, with a mark that `MarkRenderer` reads.

    The mark, of at most 16 bytes, is the first row of pixels, which are not compressed, so it
    is still there when metadata is stripped.
    """
    header = struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)
    rows = [mark.ljust(16, b"\x80"), *[b"\x80" * 16] * 15]
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 0)
    chunks = (png_chunk(b"IHDR", header), png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@define
class MarkRenderer:
    """Fails, waits for `released`, or is quick, as the photo's mark says."""

    released: asyncio.Event = field(factory=asyncio.Event)

    async def render(self, job: RenderJob) -> None:
        photo = await asyncio.to_thread(job.photo.read_bytes)
        if FACELESS in photo:
            raise RenderFailedError(NO_FACE, "no person's face was found")
        if SLOW in photo:
            await self.released.wait()
        await asyncio.to_thread(job.mp4.write_bytes, VIDEO)
        if job.gif is not None:
            await asyncio.to_thread(job.gif.write_bytes, GIF)


@define
class Service:
    """A local service in a thread."""

    base_url: str
    renderer: MarkRenderer
    _loop: asyncio.AbstractEventLoop

    def release(self) -> None:
        """Finish slow photos, from now on."""
        self._loop.call_soon_threadsafe(self.renderer.released.set)

    def hold(self) -> None:
        """Finish the slow photos so far, and let later ones wait again."""
        self.release()
        self._loop.call_soon_threadsafe(setattr, self.renderer, "released", asyncio.Event())


@contextmanager
def in_thread(server: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Run a server in a thread with an event loop of its own."""
    started: Future[tuple[T, asyncio.Event]] = Future()

    async def run() -> None:
        stopped = asyncio.Event()
        try:
            async with server as opened:
                started.set_result((opened, stopped))
                await stopped.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        opened, stopped = started.result()
        yield opened
        loop.call_soon_threadsafe(stopped.set)
    finally:
        thread.join()
        loop.close()


@pytest.fixture(scope="session")
def running_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = ServiceSettings(
        data_dir=tmp_path_factory.mktemp("service"),
        port=0,
        keys=frozenset({KEY}),
        video_balance=123.5,
        workers=4,
        drain_seconds=0,
    )

    @asynccontextmanager
    async def service() -> AsyncIterator[Service]:
        renderer = MarkRenderer()
        async with LocalService(settings, renderer=renderer) as local:
            yield Service(local.base_url, renderer, asyncio.get_running_loop())

    with in_thread(service()) as running:
        yield running


@pytest.fixture
def service(running_service: Service) -> Iterator[Service]:
    """A service whose slow photos wait until `release`, or the test's end."""
    yield running_service
    running_service.hold()


@pytest.fixture
def stub() -> Iterator[StubService]:
    @asynccontextmanager
    async def served() -> AsyncIterator[StubService]:
        service = StubService()
        async with serving(service.answer) as origin:
            service.base_url = origin + API
            yield service

    with in_thread(served()) as service:
        yield service


@pytest.fixture
def photoanimer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[CommandLine]:
    """The command in an empty folder, without key or service."""
    quick = AdaptivePolling(cost=0.001, shortest=0.01, longest=0.05)
    monkeypatch.setattr(clients, "_local_polling", lambda: quick)
    for setting in ("return_large_blocks_to_system", "share_one_heap"):
        monkeypatch.setattr(serve, setting, lambda: None)  # cannot be undone
    folder = tmp_path / "here"
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PHOTOANIMER")}
    command = CommandLine(folder, {**kept, "COLUMNS": "80", "TERM": "xterm"}, capsys)
    yield command
    command.kill_all()


@pytest.fixture
def connected(photoanimer: CommandLine, service: Service) -> CommandLine:
    """The command with the local service and its key."""
    photoanimer.environment |= {
        "PHOTOANIMER_API_KEY": KEY,
        "PHOTOANIMER_BASE_URL": service.base_url,
    }
    return photoanimer
