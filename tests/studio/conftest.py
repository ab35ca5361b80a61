"""A studio on loopback with a real service, whose renderer does what a photo's comment says."""

import asyncio
import io
import json
import logging
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from attrs import define, evolve, field

import photoanimer_async.photos
from photoanimer_async import PhotoAnimerClient
from photoanimer_async.polling.policies import FixedInterval
from photoanimer_async.service import (
    LocalService,
    RenderFailedError,
    RenderJob,
    ServiceSettings,
)
from photoanimer_async.service.error_codes import NO_FACE
from photoanimer_async.studio import RunningStudio, StudioSettings

KEY = "key-31c5ab99"
SLOW = b"slow"
FACELESS = b"faceless"


def png(comment: bytes = b"", side: int = 16, told: bytes = b"") -> bytes:
    """A whole, grey picture. Its first pixels are a comment, which the renderer below goes by.

    It is in the picture itself, uncompressed, since what is `told` beside it is taken out.
    """
    pixels = (b"\0" + b"\x80" * side) * side
    pixels = b"\0" + comment + pixels[1 + len(comment) :]

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
        + (chunk(b"tEXt", b"Comment\0" + told) if told else b"")
        + chunk(b"IDAT", zlib.compress(pixels, level=0 if comment else 9))
        + chunk(b"IEND", b"")
    )


@define
class CommentRenderer:
    """Is quick, unless the photo says that it is to fail, or to wait until it is released."""

    jobs: list[RenderJob] = field(factory=list)
    photos: list[bytes] = field(factory=list)
    released: asyncio.Event = field(factory=asyncio.Event)
    faces: bool = False

    async def render(self, job: RenderJob) -> None:
        self.jobs.append(job)
        photo = await asyncio.to_thread(job.photo.read_bytes)
        self.photos.append(photo)
        if FACELESS in photo and not self.faces:
            raise RenderFailedError(NO_FACE, "no person's face was found")
        if SLOW in photo:
            await self.released.wait()
        await asyncio.to_thread(job.mp4.write_bytes, b"video of template %d" % job.template)


@define
class Page:
    """What the page in a browser does, without the browser."""

    url: str
    session: aiohttp.ClientSession

    @property
    def origin(self) -> str:
        return self.url.rstrip("/")

    async def ask(
        self, method: str, path: str, expect: int | None = None, **options: Any
    ) -> aiohttp.ClientResponse:
        options.setdefault("headers", {})
        if method not in {"GET", "HEAD"}:
            options["headers"] = {"Origin": self.origin, **options["headers"]}
        response = await self.session.request(method, f"{self.origin}{path}", **options)
        await response.read()
        assert expect is None or response.status == expect, await response.text()
        return response

    async def add(self, content: bytes, name: str = "grandma.png") -> Any:
        """The photo, as the studio tells of it."""
        params = {"name": name}
        answer = await self.ask("POST", "/api/photos", 201, params=params, data=io.BytesIO(content))
        return await answer.json()

    @asynccontextmanager
    async def uploading(
        self, length: int
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """An upload of which the head has been sent; it breaks off with the block."""
        host = self.origin.removeprefix("http://")
        reader, writer = await asyncio.open_connection(*host.split(":"))
        head = f"POST /api/photos HTTP/1.1\r\nHost: {host}\r\nOrigin: {self.origin}\r\n"
        writer.write(f"{head}Content-Length: {length}\r\n\r\n".encode())
        yield reader, writer
        writer.close()
        await writer.wait_closed()

    async def start(self, *photos: Any, template: int = 2, voice: bool = False) -> Any:
        """The new clips."""
        order = {"photos": [p["id"] for p in photos], "template": template, "voice": voice}
        return await (await self.ask("POST", "/api/clips", 202, json=order)).json()

    async def state(self) -> Any:
        """All that a page is told when it opens."""
        return await self.when(lambda state: True)

    async def when(self, condition: Callable[[Any], object]) -> Any:
        """The state, kept by the stream of events, once the condition holds for it."""
        state: Any = None
        async with (
            asyncio.timeout(60),
            self.session.get(f"{self.origin}/api/events") as response,
        ):
            kind = ""
            async for line in response.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    found = json.loads(value)
                    state = found if kind == "all" else _changed(state, found)
                    if condition(state):
                        return state
        raise AssertionError(f"the stream ended: {state}")

    async def settled(self) -> Any:
        """The clips by their photos' names, once all have ended."""
        ends = {"done", "failed", "unclear"}
        state = await self.when(lambda s: all(clip["stage"] in ends for clip in s["clips"]))
        names = {photo["id"]: photo["name"] for photo in state["photos"]}
        return {names[clip["photo"]]: clip for clip in state["clips"]}


def _changed(state: Any, parts: Any) -> Any:
    for part in parts:
        kind = {"photo": "photos", "clip": "clips"}.get(part["kind"])
        if kind is None:
            state[part["kind"]] = part["value"]
            continue
        rest = [thing for thing in state[kind] if thing["id"] != part["id"]]
        state[kind] = [*rest, part["value"]] if part["value"] else rest
    return state


@pytest.fixture
def renderer() -> CommentRenderer:
    return CommentRenderer()


@pytest.fixture
async def service(tmp_path: Path, renderer: CommentRenderer) -> AsyncIterator[LocalService]:
    settings = ServiceSettings(
        data_dir=tmp_path / "service",
        port=0,
        keys=frozenset({KEY}),
        video_balance=123.5,
        workers=4,  # so that slow photos hold up no other
    )
    async with LocalService(settings, renderer=renderer) as service:
        yield service


Open = Callable[..., Awaitable[Page]]


@pytest.fixture
async def open_studio(tmp_path: Path, service: LocalService) -> AsyncIterator[Open]:
    """Opens studios on one folder, one after the other; the one before is closed."""
    settings = StudioSettings(data_dir=tmp_path / "studio", port=0, use_engine=False)
    stack = AsyncExitStack()

    async def open_(base_url: str = service.base_url, **changes: Any) -> Page:
        await stack.aclose()
        client = await stack.enter_async_context(
            PhotoAnimerClient(KEY, base_url=base_url, poll=FixedInterval(0.005))
        )
        running = RunningStudio(client, evolve(settings, **changes))
        await stack.enter_async_context(running)
        session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        return Page(running.url, await stack.enter_async_context(session))

    async with stack:
        yield open_


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a library look as if it were not installed."""

    def without_(library: str) -> None:
        monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.delitem(sys.modules, "photoanimer_async.photos.conversion", raising=False)
        monkeypatch.delattr(photoanimer_async.photos, "conversion", raising=False)

    return without_


@pytest.fixture
async def page(open_studio: Open) -> Page:
    return await open_studio()


@pytest.fixture(autouse=True)
def faults() -> Iterator[None]:
    """What the studio reports as its own fault fails the test."""
    records: list[logging.LogRecord] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    collector = Collector(logging.ERROR)
    logger = logging.getLogger("photoanimer_async.studio")
    logger.addHandler(collector)
    yield
    logger.removeHandler(collector)
    assert [record.getMessage() + str(record.exc_info) for record in records] == []
