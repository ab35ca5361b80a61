"""Answers that no good service gives."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Final, assert_never

from aiohttp import web

from photoanimer_async.service.faults.actions import Expired, Html, Refuse, Status
from photoanimer_async.service.faults.scripted_tasks import error_code
from photoanimer_async.service.http.envelope import failure
from photoanimer_async.service.http.result_files import ResultResponse

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_DRIPS: Final = 10
_LOOK_AGAIN: Final = 0.1
_PAGE: Final = "<!doctype html><title>{0}</title><h1>{0}</h1>\n"
_ACCESS_DENIED: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>\n"
)

Pause = Callable[[float], Awaitable[None]]
"""Waits for so many seconds, or until the service stops."""


def another(action: Status | Refuse | Html | Expired) -> web.Response:
    """The answer that comes in place of the service's own."""
    match action:
        case Status():
            return web.Response(
                status=action.status,
                headers=_retry_after(action.retry_after),
                text=_PAGE.format(action.status),
                content_type="text/html",
            )
        case Refuse():
            code = error_code(action.code)
            envelope = failure(code, code.meaning if action.message is None else action.message)
            return web.json_response(
                envelope, status=action.status, headers=_retry_after(action.retry_after)
            )
        case Html():
            return web.Response(text=_PAGE.format("Welcome"), content_type="text/html")
        case Expired():
            return web.Response(status=403, text=_ACCESS_DENIED, content_type="application/xml")
        case _:
            assert_never(action)


def _retry_after(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(seconds)}


def reset(request: web.Request) -> web.StreamResponse:
    """Reset the connection; what is returned can not be sent any more."""
    if request.transport is not None:
        connection: socket.socket | None = request.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()


async def silence(
    request: web.Request, pause: Pause, stopping: asyncio.Event
) -> web.StreamResponse:
    """Say nothing for as long as the caller stays and the service runs."""
    while request.transport is not None and not stopping.is_set():
        await pause(_LOOK_AGAIN)
    return reset(request)


async def drip(
    request: web.Request, answer: web.StreamResponse, seconds: float, pause: Pause
) -> web.StreamResponse:
    """Send an answer piece by piece."""
    body, dripping = await _announce(request, answer)
    size = -(-len(body) // _DRIPS)
    for start in range(0, len(body), size):
        await dripping.write(body[start : start + size])
        await pause(seconds / _DRIPS)
    return dripping


async def truncate(
    request: web.Request, answer: web.StreamResponse, percent: int
) -> web.StreamResponse:
    """Send the beginning of an answer, and close the connection."""
    body, cut = await _announce(request, answer)
    await cut.write(body[: len(body) * percent // 100])
    if request.transport is not None:
        request.transport.close()
    return cut


async def _announce(
    request: web.Request, answer: web.StreamResponse
) -> tuple[bytes, web.StreamResponse]:
    """An answer's body, and the stream that it goes to, of which the headers are sent."""
    whole = await answer.whole() if isinstance(answer, ResultResponse) else answer
    body = whole.body if isinstance(whole, web.Response) else b""
    assert isinstance(body, bytes)  # noqa: S101 - no other answer of the service is a stream
    stream = web.StreamResponse(status=whole.status, headers=whole.headers)
    stream.content_length = len(body)
    await stream.prepare(request)
    return body, stream
