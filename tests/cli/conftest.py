"""The command as a person runs it, and a service on a thread that renders in no time."""

import asyncio
import json
import os
import signal
import struct
import subprocess
import sysconfig
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attrs import define, field

from photoanimer_async.service import (
    LocalService,
    RenderFailedError,
    RenderJob,
    ServiceSettings,
)
from photoanimer_async.service.error_codes import NO_FACE

COMMAND = Path(sysconfig.get_path("scripts")) / "photoanimer"
KEY = "key-77aa01"

SLOW = b"slow"
FACELESS = b"faceless"


def png(mark: bytes = b"") -> bytes:
    """A whole, grey picture of 16x16 pixels, with a mark that the renderer below goes by.

    The mark, of at most 16 bytes, is the first row of pixels, which are not compressed: so it
    stays where a photo is freed of metadata.
    """

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)
    rows = [mark.ljust(16, b"\x80"), *[b"\x80" * 16] * 15]
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@define
class MarkRenderer:
    """Does with a photo what its mark says: fails, waits to be released, or is quick."""

    released: asyncio.Event = field(factory=asyncio.Event)

    async def render(self, job: RenderJob) -> None:
        photo = await asyncio.to_thread(job.photo.read_bytes)
        if FACELESS in photo:
            raise RenderFailedError(NO_FACE, "no person's face was found")
        if SLOW in photo:
            await self.released.wait()
        await asyncio.to_thread(job.mp4.write_bytes, b"a video")
        if job.gif is not None:
            await asyncio.to_thread(job.gif.write_bytes, b"a gif")


@define
class Service:
    """A service that runs beside the test."""

    base_url: str
    _loop: asyncio.AbstractEventLoop
    _renderer: MarkRenderer

    def release(self) -> None:
        """Lets slow photos end, from now on."""
        self._loop.call_soon_threadsafe(self._renderer.released.set)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    started: Future[Service] = Future()
    stop: Future[Callable[[], object]] = Future()

    async def run() -> None:
        renderer, stopped = MarkRenderer(), asyncio.Event()
        loop = asyncio.get_running_loop()
        settings = ServiceSettings(
            data_dir=tmp_path / "service", port=0, keys=frozenset({KEY}), video_balance=123.5
        )
        async with LocalService(settings, renderer=renderer) as local:
            stop.set_result(lambda: loop.call_soon_threadsafe(stopped.set))
            started.set_result(Service(local.base_url, loop, renderer))
            await stopped.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    yield started.result(timeout=10)
    stop.result()()
    thread.join()


class StubService(ThreadingHTTPServer):
    """Accepts submits as `task_id`, or hangs up on them; all results have vanished."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), StubHandler)
        self.task_id: int | None = None
        self.requests: list[str] = []

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/api/v1"


class StubHandler(BaseHTTPRequestHandler):
    server: StubService

    def do_GET(self) -> None:
        name = urlsplit(self.path).path.rpartition("/")[2]
        self.server.requests.append(name)
        data: object
        match name, self.server.task_id:
            case "submitTaskByUrl", None:
                return
            case "submitTaskByUrl", task_id:
                data = task_id
            case "getTaskInfo", task_id:
                result = f"{self.server.origin}/gone.mp4"
                data = {"taskId": task_id, "status": 1, "resultUrl": result}
            case _:
                self.send_error(404)
                return
        body = json.dumps({"code": 0, "data": data, "msg": None, "time": 1615368038661}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Keeps quiet."""


@pytest.fixture
def stub() -> Iterator[StubService]:
    with StubService() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@define
class CommandLine:
    """Runs `photoanimer` in a folder, with an environment of its own."""

    folder: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[str]] = field(factory=list)

    def __call__(self, *arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *arguments: str, **options: object) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = subprocess.Popen(  # type: ignore[call-overload] # options of the test's choosing
            [COMMAND, *arguments],
            **{
                "cwd": self.folder,
                "env": self.environment,
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                **options,
            },
        )
        self.started.append(process)
        return process

    def stop(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def rest_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What is still written to standard output and error, until the process has ended.

    `communicate` would lose what `readline` has read ahead.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    said = process.stdout.read(), process.stderr.read()
    process.wait(timeout=10)
    return said


def default_interrupt() -> None:
    """For `preexec_fn`: what runs the tests may have told them to ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def photoanimer(tmp_path: Path) -> Iterator[CommandLine]:
    """The command in an empty folder, without key or service."""
    folder = tmp_path / "here"
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PHOTOANIMER")}
    command = CommandLine(folder, {**kept, "COLUMNS": "80", "TERM": "xterm"})
    yield command
    command.stop()


@pytest.fixture
def connected(photoanimer: CommandLine, service: Service) -> CommandLine:
    """The command with the service that runs beside the test, and its key."""
    photoanimer.environment |= {
        "PHOTOANIMER_API_KEY": KEY,
        "PHOTOANIMER_BASE_URL": service.base_url,
    }
    return photoanimer
