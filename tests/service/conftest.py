"""Services on loopback with an instant renderer, and a host that they fetch photos from."""

import asyncio
import json
import logging
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from attrs import define, field

from photoanimer_async.service import (
    AccountBook,
    LocalService,
    Renderer,
    RenderJob,
    ServiceSettings,
)

from ..support.logged_errors import no_errors_logged
from ..support.stub_service import serving
from ..support.videos import gif, mp4

KEY = "key-5e1f9a"
LONGEST_WAIT = 240.0  # seconds, for a slow machine; the whole test has 300
GOLDEN = Path(__file__).parent / "golden"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Envelope = dict[str, Any]


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text())


def png(width: int = 8, height: int = 8) -> bytes:
    """The header of a PNG: all that the service reads before rendering."""
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\x02\0\0\0"


@define
class InstantRenderer:
    """A renderer that writes a few bytes at once, or when its gate opens."""

    jobs: list[RenderJob] = field(factory=list)
    error: Exception | None = None
    gate: asyncio.Event | None = None
    seconds: float | None = None

    async def render(self, job: RenderJob) -> float | None:
        self.jobs.append(job)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        await asyncio.to_thread(job.mp4.write_bytes, mp4(b"video of template %d" % job.template))
        if job.gif is not None:
            await asyncio.to_thread(job.gif.write_bytes, gif(b"gif of template %d" % job.template))
        return self.seconds


@define
class PhotoHost:
    """A web server with files and other answers, and the requests that it got."""

    origin: str = ""
    files: dict[str, bytes] = field(factory=dict)
    answers: dict[str, Answer] = field(factory=dict)
    requests: list[web.Request] = field(factory=list)

    def url(self, name: str, content: bytes | None = None) -> str:
        if content is not None:
            self.files[name] = content
        return f"{self.origin}/{name}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        name = request.path.removeprefix("/")
        if name in self.answers:
            return await self.answers[name](request)
        if name in self.files:
            return web.Response(body=self.files[name])
        return web.Response(status=404)


@define
class Running:
    """A running service, and the calls that a test makes."""

    service: LocalService
    settings: ServiceSettings
    session: aiohttp.ClientSession

    async def call(self, path: str, **query: str) -> Envelope:
        """The envelope of an answer with HTTP status 200."""
        async with self.session.get(f"{self.service.base_url}/{path}", params=query) as response:
            assert response.status == 200
            envelope: Envelope = await response.json()
            return envelope

    async def refusal(
        self, path: str = "faceDriven/submitTaskByUrl", **query: str
    ) -> tuple[int, str]:
        """Code and text of a request that is refused."""
        envelope = await self.call(path, **query)
        assert envelope["data"] is None
        return envelope["code"], envelope["msg"]

    async def submit(self, image_url: str, template: int = 1, **query: str) -> int:
        envelope = await self.call(
            "faceDriven/submitTaskByUrl", imageUrl=image_url, templateId=str(template), **query
        )
        assert envelope["code"] == 0, envelope
        task_id: int = envelope["data"]
        return task_id

    async def cancel(self, task_id: int) -> Any:
        """The task's info after it was cancelled."""
        url = f"{self.service.base_url}/faceDriven/cancelTask"
        async with self.session.post(url, params={"taskId": task_id}) as response:
            assert response.status == 200
            return (await response.json())["data"]

    async def info(self, task_id: int) -> Any:
        return (await self.call("faceDriven/getTaskInfo", taskId=str(task_id)))["data"]

    async def end_of(self, task_id: int) -> Any:
        """The task's info once it has ended."""
        async with asyncio.timeout(LONGEST_WAIT):
            while True:
                info = await self.info(task_id)
                if info["status"] != 0:
                    return info
                await asyncio.sleep(0.005)


class Customer:
    """Calls a service with an account's key."""

    def __init__(self, service: Running, key: str) -> None:
        self._service = service
        self._headers = {"APIKEY": key}

    async def get(self, path: str, **query: str) -> tuple[int, Envelope, Any]:
        """HTTP status, envelope and headers of an answer."""
        url = f"{self._service.service.base_url}/{path}"
        async with (
            aiohttp.ClientSession(headers=self._headers) as session,
            session.get(url, params=query) as answer,
        ):
            return answer.status, await answer.json(), answer.headers

    async def call(self, path: str, **query: str) -> Envelope:
        _, envelope, _ = await self.get(path, **query)
        return envelope

    async def submit(self, image_url: str, template: int = 1) -> Envelope:
        return await self.call(
            "faceDriven/submitTaskByUrl", imageUrl=image_url, templateId=str(template)
        )

    async def cancel(self, task_id: int) -> Envelope:
        url = f"{self._service.service.base_url}/faceDriven/cancelTask"
        async with (
            aiohttp.ClientSession(headers=self._headers) as session,
            session.post(url, params={"taskId": task_id}) as answer,
        ):
            envelope: Envelope = await answer.json()
            return envelope

    async def balance(self) -> float:
        balance: float = (await self.call("mySubscription"))["data"]["videoBalance"]
        return balance

    async def end_of(self, task_id: int) -> Envelope:
        async with asyncio.timeout(LONGEST_WAIT):
            while True:
                info = await self.call("faceDriven/getTaskInfo", taskId=str(task_id))
                if info["data"]["status"] != 0:
                    data: Envelope = info["data"]
                    return data
                await asyncio.sleep(0.005)


Start = Callable[..., Awaitable[Running]]


async def added(book: AccountBook, name: str, **limits: float) -> str:
    """The key of a new account."""
    return await asyncio.to_thread(lambda: book.add(name, **limits))


def redirect(location: str) -> web.Response:
    return web.Response(status=302, headers={"Location": location})


async def refused(service: Running, image_url: str) -> tuple[int, str]:
    code, text = await service.refusal(imageUrl=image_url, templateId="1")
    return code, text.partition(") ")[2]


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(LONGEST_WAIT):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(settings: ServiceSettings, renderer: Renderer | None) -> AsyncIterator[Running]:
    async with (
        LocalService(settings, renderer=renderer) as service,
        aiohttp.ClientSession(headers={"APIKEY": KEY}) as session,
    ):
        yield Running(service, settings, session)


@pytest.fixture
async def host() -> AsyncIterator[PhotoHost]:
    photo_host = PhotoHost(files={"photo.png": png()})
    async with serving(photo_host.answer) as photo_host.origin:
        yield photo_host


@pytest.fixture
def settings(tmp_path: Path) -> ServiceSettings:
    """Those of a service in a folder that does not exist yet."""
    return ServiceSettings(data_dir=tmp_path / "new" / "data", port=0, workers=2, drain_seconds=0.0)


@pytest.fixture
def renderer() -> InstantRenderer:
    return InstantRenderer()


@pytest.fixture
async def start(tmp_path: Path, renderer: InstantRenderer) -> AsyncIterator[Start]:
    """Starts services with a test's settings, and stops them at its end."""
    async with AsyncExitStack() as stack:

        async def start(renderer: Renderer | None = renderer, **settings: Any) -> Running:
            usual = {
                "data_dir": tmp_path / "data",
                "port": 0,
                "allow_networks": ["127.0.0.0/8"],
                "drain_seconds": 0.0,
            }
            chosen = ServiceSettings(**{**usual, **settings})
            return await stack.enter_async_context(running(chosen, renderer))

        yield start


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AccountBook:
    """The accounts of the services from `start`, which read them every 20 ms."""
    monkeypatch.setattr("photoanimer_async.service.access.REFRESH_SECONDS", 0.02)
    return AccountBook(tmp_path / "data")


@pytest.fixture
async def service(start: Start) -> Running:
    return await start()


@pytest.fixture(autouse=True)
def logged_errors() -> Iterator[list[logging.LogRecord]]:
    """The errors that services log. They fail the test unless it clears them."""
    with no_errors_logged("photoanimer_async.service") as records:
        yield records
