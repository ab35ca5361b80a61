"""A receiver as a handler for `aiohttp.web`."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from photoanimer_async.notifications.asgi import BODY_SECONDS
from photoanimer_async.notifications.parse import LARGEST_NOTIFICATION

if TYPE_CHECKING:
    from photoanimer_async.notifications.receiver import NotificationReceiver


def aiohttp_handler(
    receiver: "NotificationReceiver",
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler for a route whose last part is `{token}`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if not receiver.admits(request.match_info["token"]):
            return web.Response(status=HTTPStatus.NOT_FOUND)
        if request.method != "POST":
            return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request)
        except TimeoutError:
            return web.Response(status=HTTPStatus.REQUEST_TIMEOUT)
        answer = receiver.take(body)
        return web.Response(status=answer.status, text=answer.text or None)

    return answer


async def _body(request: web.Request) -> bytes:
    """What was posted, cut off where it is too large."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > LARGEST_NOTIFICATION:
            break
    return bytes(body)
