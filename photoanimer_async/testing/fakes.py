"""What a double uses in place of the engine, the internet, and real waiting."""

import asyncio
from base64 import b64decode
from collections.abc import Mapping
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler
from attrs import frozen

from photoanimer_async.photos.loopback import is_loopback
from photoanimer_async.service.acceptance import FileSource
from photoanimer_async.service.faults.injection import Exchange, FaultInjector, envelope_of
from photoanimer_async.service.faults.scripted_tasks import ScriptedTask
from photoanimer_async.service.fetching.received_file import ReceivedFile
from photoanimer_async.service.rendering.renderer import RenderJob
from photoanimer_async.service.tasks import TaskStatus
from photoanimer_async.testing.request_log import RequestLog

_MP4: Final = (files(__package__) / "sample.mp4").read_bytes()
_GIF: Final = (files(__package__) / "sample.gif").read_bytes()
_PHOTO: Final = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAHLCMmQAAAABJRU5ErkJggg=="
)
_RETRY_SECONDS: Final = 0.002


class SampleRenderer:
    """Gives every task the same video of a second."""

    async def render(self, job: RenderJob) -> None:
        """See `Renderer.render`."""
        await asyncio.to_thread(job.mp4.write_bytes, _MP4)
        if job.gif is not None:
            await asyncio.to_thread(job.gif.write_bytes, _GIF)


@frozen
class LoopbackFetcher:
    """Fetches photos from this machine only; every other URL gives the same small photo."""

    fetcher: FileSource

    async def fetch(self, url: str, *, size_limit: int, accept: str) -> ReceivedFile:
        """See `Fetcher.fetch`."""
        if _is_elsewhere(url):
            return ReceivedFile.of(_PHOTO)
        return await self.fetcher.fetch(url, size_limit=size_limit, accept=accept)


class RecordingInjector(FaultInjector):
    """Scripted faults of a double, which records every request and answers polls when it can.

    Args:
        log: where requests are recorded.
    """

    def __init__(self, log: RequestLog) -> None:
        super().__init__()
        self._log = log

    def wrap_fetcher(self, fetcher: FileSource) -> FileSource:
        """Return a fetcher that stays on this machine."""
        return LoopbackFetcher(fetcher)

    def record(self, exchange: Exchange) -> None:
        """Record a request before it is answered."""
        super().record(exchange)
        self._log.requests.append(exchange)

    async def call_service(
        self, request: web.Request, handler: Handler, task: ScriptedTask | None
    ) -> web.StreamResponse:
        """Return the service's own answer; of a task that may end, once it has ended."""
        answer = await super().call_service(request, handler, task)
        while task is not None and task.may_end and _is_unfinished(answer) and not self.is_stopping:
            await self.pause(_RETRY_SECONDS)
            answer = await handler(request)
        return answer


def _is_elsewhere(url: str) -> bool:
    """Whether this is the URL of a photo on another machine; false for invalid URLs."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(host) and not is_loopback(host)


def _is_unfinished(answer: web.StreamResponse) -> bool:
    data = envelope_of(answer).get("data")
    return isinstance(data, Mapping) and data.get("status") == TaskStatus.PROCESSING
