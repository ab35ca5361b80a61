"""A studio and a local service on loopback; the renderer obeys a comment in the photo."""

import asyncio
import io
import json
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
from photoanimer_async.api.retry import RetryPolicy
from photoanimer_async.polling.policies import FixedInterval
from photoanimer_async.service import (
    LocalService,
    RenderFailedError,
    RenderJob,
    ServiceSettings,
)
from photoanimer_async.service.error_codes import NO_FACE
from photoanimer_async.studio import Animator, RunningStudio, StudioSettings, TaskCanceller

from ..support.logged_errors import no_errors_logged
from ..support.videos import mp4

KEY = "key-31c5ab99"
SLOW = b"slow"
FACELESS = b"faceless"
QUICK_RETRY = RetryPolicy(tries=2, first_wait=0.001, longest_wait=0.002)
WAV = b"RIFF\x24\0\0\0WAVEfmt " + bytes(64)


def png(comment: bytes = b"", side: int = 16, metadata: bytes = b"") -> bytes:
    """Return a valid grey PNG whose first pixels are a comment for `CommentRenderer`.

    The comment is stored in the pixels, uncompressed, since preparation removes metadata.
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
        + (chunk(b"tEXt", b"Comment\0" + metadata) if metadata else b"")
        + chunk(b"IDAT", zlib.compress(pixels, level=0 if comment else 1))
        + chunk(b"IEND", b"")
    )


@define
class CommentRenderer:
    """A renderer that succeeds at once, unless the photo's comment is FACELESS or SLOW.

    FACELESS fails unless `faces` is set; SLOW waits for `released`.
    """

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
        await asyncio.to_thread(job.mp4.write_bytes, mp4(b"video of template %d" % job.template))


@define
class Page:
    """An HTTP client that sends the requests of the page."""

    url: str
    session: aiohttp.ClientSession

    @property
    def origin(self) -> str:
        return self.url.rstrip("/")

    async def request(
        self, method: str, path: str, expect: int | None = None, **options: Any
    ) -> aiohttp.ClientResponse:
        options.setdefault("headers", {})
        if method not in {"GET", "HEAD"}:
            options["headers"] = {"Origin": self.origin, **options["headers"]}
        response = await self.session.request(method, f"{self.origin}{path}", **options)
        await response.read()
        assert expect is None or response.status == expect, await response.text()
        return response

    async def add_photo(self, content: bytes, name: str = "grandma.png") -> Any:
        """Upload a photo, and return its JSON."""
        params, data = {"name": name}, io.BytesIO(content)
        response = await self.request("POST", "/api/photos", 201, params=params, data=data)
        return await response.json()

    @asynccontextmanager
    async def partial_upload(
        self, length: int
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Send the head of an upload; the connection is closed at the end of the block."""
        host = self.origin.removeprefix("http://")
        reader, writer = await asyncio.open_connection(*host.split(":"))
        head = f"POST /api/photos HTTP/1.1\r\nHost: {host}\r\nOrigin: {self.origin}\r\n"
        writer.write(f"{head}Content-Length: {length}\r\n\r\n".encode())
        yield reader, writer
        writer.close()
        await writer.wait_closed()

    async def start(self, *photos: Any, template: int = 2, **more: bool) -> Any:
        """Start clips, and return the new ones."""
        ids = [photo["id"] for photo in photos]
        order = {"photos": ids, "template": template, "voice": False, **more}
        return await (await self.request("POST", "/api/clips", 202, json=order)).json()

    async def retry(self, *clips: Any, expect: int = 202) -> None:
        """Start failed clips again."""
        order = {"clips": [clip["id"] for clip in clips]}
        await self.request("POST", "/api/clips/retry", expect, json=order)

    async def stop(self, *clips: Any) -> Any:
        """Stop clips, and return how many were stopped."""
        order = {"clips": [clip["id"] for clip in clips]}
        return await (await self.request("POST", "/api/clips/stop", 200, json=order)).json()

    async def state(self) -> Any:
        """Return the state that a newly opened page receives."""
        return await self.wait_until(lambda state: True)

    async def wait_until(self, condition: Callable[[Any], object]) -> Any:
        """Follow the event stream, and return the first state that meets the condition."""
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
                    state = found if kind == "all" else _merged(state, found)
                    if condition(state):
                        return state
        raise AssertionError(f"the stream ended: {state}")

    async def wait_for_clips(self) -> Any:
        """Wait until all clips have ended, and return them by their photos' names."""
        ends = {"done", "failed", "unclear"}
        state = await self.wait_until(lambda s: all(clip["stage"] in ends for clip in s["clips"]))
        names = {photo["id"]: photo["name"] for photo in state["photos"]}
        return {names[clip["photo"]]: clip for clip in state["clips"]}


def _merged(state: Any, parts: Any) -> Any:
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
        workers=4,  # so that a SLOW photo does not block others
    )
    async with LocalService(settings, renderer=renderer) as service:
        yield service


OpenStudio = Callable[..., Awaitable[Page]]


@pytest.fixture
async def open_studio(tmp_path: Path, service: LocalService) -> AsyncIterator[OpenStudio]:
    """Open a studio on one folder; the previous one is closed first."""
    settings = StudioSettings(data_dir=tmp_path / "studio", port=0, use_engine=False)
    stack = AsyncExitStack()

    async def open_(
        base_url: str = service.base_url, everyone_url: str | None = None, **changes: Any
    ) -> Page:
        await stack.aclose()
        client = await stack.enter_async_context(
            PhotoAnimerClient(KEY, base_url=base_url, poll=FixedInterval(0.005), retry=QUICK_RETRY)
        )
        canceller = TaskCanceller(base_url, KEY)
        everyone = None
        if everyone_url is not None:
            everyone = Animator(
                await stack.enter_async_context(PhotoAnimerClient(KEY, base_url=everyone_url)),
                TaskCanceller(everyone_url, KEY),
            )
        running = RunningStudio(client, evolve(settings, **changes), canceller, everyone)
        await stack.enter_async_context(running)
        session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        return Page(running.url, await stack.enter_async_context(session))

    async with stack:
        yield open_


@pytest.fixture
def hide_library(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a library appear not to be installed."""

    def hide(library: str) -> None:
        monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.delitem(sys.modules, "photoanimer_async.photos.conversion", raising=False)
        monkeypatch.delattr(photoanimer_async.photos, "conversion", raising=False)

    return hide


@pytest.fixture
async def page(open_studio: OpenStudio) -> Page:
    return await open_studio()


@pytest.fixture(autouse=True)
def no_logged_errors() -> Iterator[None]:
    """Fail a test in which the studio logs an error."""
    with no_errors_logged("photoanimer_async.studio"):
        yield
