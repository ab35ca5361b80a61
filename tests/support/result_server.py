"""A server of finished results that can be scripted to fail, for tests of downloads."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from .stub_service import serving
from .videos import mp4

VIDEO = mp4(bytes(range(256)) * 2400)
"""600 KB: several writes of a download."""

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ResultServer:
    """Gives one answer of the script per request, then the whole video.

    Attributes:
        script: the next answers.
        requests: all requests so far.
        origin: the server's URL without a path.
    """

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.requests: list[web.Request] = []
        self.origin = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        answer = self.script.pop(0) if self.script else sends(VIDEO)
        return await answer(request)

    def ranges(self) -> list[tuple[str | None, str | None]]:
        """The headers `Range` and `If-Range` of all requests."""
        return [(r.headers.get("Range"), r.headers.get("If-Range")) for r in self.requests]


@asynccontextmanager
async def running_result_server() -> AsyncIterator[ResultServer]:
    server = ResultServer()
    async with serving(server.answer) as server.origin:
        yield server


def responds(status: int, body: bytes = b"", **headers: str) -> Answer:
    """Return an answer with this status, body and headers (`_` stands for `-`)."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=_named(headers))

    return answer


def sends(content: bytes, start: int = 0) -> Answer:
    """Return an answer with the content, or with the part of it from `start` on."""
    if not start:
        return responds(200, content, ETag='"v1"')
    last = len(content) - 1
    content_range = f"bytes {start}-{last}/{len(content)}"
    return responds(206, content[start:], Content_Range=content_range, ETag='"v1"')


def drops_after(size: int, content: bytes = VIDEO, **headers: str) -> Answer:
    """Return an answer that announces the content and closes the connection after a part of it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=_named(headers))
        response.content_length = len(content)
        await response.prepare(request)
        await response.write(content[:size])
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def holds_back_the_end(until: asyncio.Event, content: bytes = VIDEO) -> Answer:
    """Return an answer with the content, but with its last byte only once the event is set."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = len(content)
        await response.prepare(request)
        await response.write(content[:-1])
        await until.wait()
        with suppress(ConnectionError):  # the client may have gone
            await response.write(content[-1:])
        return response

    return answer


def after(action: Callable[[], Awaitable[object]], answer: Answer) -> Answer:
    """Return an answer that is given after an action: while the client waits for it."""

    async def delayed(request: web.Request) -> web.StreamResponse:
        await action()
        return await answer(request)

    return delayed


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
