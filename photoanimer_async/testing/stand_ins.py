"""What a double has in place of the engine, the internet, and the service's own settings."""

import asyncio
from base64 import b64decode
from collections.abc import Mapping
from importlib.resources import files
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler
from attrs import frozen

from photoanimer_async.service.acceptance import FileSource
from photoanimer_async.service.faults.injection import Exchange, FaultInjector, envelope_of
from photoanimer_async.service.faults.scripted_tasks import ScriptedTask
from photoanimer_async.service.rendering.renderer import RenderJob
from photoanimer_async.service.tasks import TaskStatus
from photoanimer_async.testing.request_log import Ledger

_MP4: Final = (files(__package__) / "sample.mp4").read_bytes()
_GIF: Final = (files(__package__) / "sample.gif").read_bytes()
_PHOTO: Final = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAHLCMmQAAAABJRU5ErkJggg=="
)
_LOOK_AGAIN: Final = 0.002


class SampleRenderer:
    """Gives every task the same short video."""

    async def render(self, job: RenderJob) -> None:
        """See `Renderer.render`."""
        await asyncio.to_thread(job.mp4.write_bytes, _MP4)
        if job.gif is not None:
            await asyncio.to_thread(job.gif.write_bytes, _GIF)


@frozen
class NearbyFiles:
    """Fetches what is on this machine, and takes it for granted that the rest is there."""

    fetcher: FileSource

    async def fetch(self, url: str, *, size_limit: int, accept: str) -> bytes:
        """See `Fetcher.fetch`."""
        if _is_far_away(url):
            return _PHOTO
        return await self.fetcher.fetch(url, size_limit=size_limit, accept=accept)


def _is_far_away(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(host) and not _is_here(host or "")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class DoubleInjector(FaultInjector):
    """The faults of a double, which notes every request and never makes anybody wait.

    Args:
        ledger: where requests are noted.
    """

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def wrap_fetcher(self, fetcher: FileSource) -> FileSource:
        """The fetcher, kept on this machine."""
        return NearbyFiles(fetcher)

    def record(self, exchange: Exchange) -> None:
        """Enter a request in the ledger."""
        super().record(exchange)
        self._ledger.requests.append(exchange)

    async def call_service(
        self, request: web.Request, handler: Handler, task: ScriptedTask | None
    ) -> web.StreamResponse:
        """Let the service act. A task that is due is never found unfinished."""
        answer = await super().call_service(request, handler, task)
        while task is not None and task.may_end and _is_unfinished(answer) and not self.is_stopping:
            await self.pause(_LOOK_AGAIN)
            answer = await handler(request)
        return answer


def _is_unfinished(answer: web.StreamResponse) -> bool:
    data = envelope_of(answer).get("data")
    return isinstance(data, Mapping) and data.get("status") == TaskStatus.PROCESSING
