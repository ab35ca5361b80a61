"""HTTP responses of faults: errors without envelopes, resets, slow and truncated bodies."""

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
_DRIP_PIECES: Final = 10
_HANG_CHECK_SECONDS: Final = 0.1
_PAGE: Final = "<!doctype html><title>{0}</title><h1>{0}</h1>\n"
_ACCESS_DENIED: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>\n"
)

Pause = Callable[[float], Awaitable[None]]
"""Waits for a number of seconds, or until the service stops."""


def replacement(action: Status | Refuse | Html | Expired) -> web.Response:
    """Return the response that is sent in place of the service's own."""
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
    """Reset the connection; the returned response is for aiohttp and is never sent."""
    if request.transport is not None:
        connection: socket.socket | None = request.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()


async def hang(request: web.Request, pause: Pause, stopping: asyncio.Event) -> web.StreamResponse:
    """Send nothing until the caller closes the connection or the service stops."""
    while request.transport is not None and not stopping.is_set():
        await pause(_HANG_CHECK_SECONDS)
    return reset(request)


async def drip(
    request: web.Request, response: web.StreamResponse, seconds: float, pause: Pause
) -> web.StreamResponse:
    """Send the body of a response in pieces over a number of seconds."""
    body, stream = await _start(request, response)
    size = -(-len(body) // _DRIP_PIECES)
    for start in range(0, len(body), size):
        await stream.write(body[start : start + size])
        await pause(seconds / _DRIP_PIECES)
    return stream


async def truncate(
    request: web.Request, response: web.StreamResponse, percent: int
) -> web.StreamResponse:
    """Send a percentage of the body of a response, and close the connection."""
    body, stream = await _start(request, response)
    await stream.write(body[: len(body) * percent // 100])
    if request.transport is not None:
        request.transport.close()
    return stream


async def _start(
    request: web.Request, response: web.StreamResponse
) -> tuple[bytes, web.StreamResponse]:
    """Send the headers of a response; return its body and the stream to write it to."""
    whole = await response.whole() if isinstance(response, ResultResponse) else response
    body = whole.body if isinstance(whole, web.Response) else b""
    assert isinstance(body, bytes)  # noqa: S101 - no other answer of the service is a stream
    stream = web.StreamResponse(status=whole.status, headers=whole.headers)
    stream.content_length = len(body)
    await stream.prepare(request)
    return body, stream
