"""The receiver as a web endpoint: an ASGI 3 application and a handler for `aiohttp.web`.

https://asgi.readthedocs.io/en/latest/specs/ describes ASGI's messages. Frameworks disagree on
the values of `path` and `root_path` below a mount, so the token is the last part of the path,
whatever precedes it.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from attrs import frozen

from photoanimer_async.notifications.parse import MAX_NOTIFICATION_BYTES

if TYPE_CHECKING:
    from aiohttp import web

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
"""An ASGI 3 application."""

BODY_SECONDS = 10.0
"""How long reading a body may take."""


@frozen
class Answer:
    """The answer to the sender of a notification.

    Attributes:
        status: the HTTP status.
        text: why the notification was refused; empty if it was accepted.
    """

    status: HTTPStatus
    text: str = ""


class Endpoint(Protocol):
    """What the adapters need of a receiver."""

    def admits(self, token: str) -> bool:
        """Return whether this is the receiver's token."""
        ...

    def take(self, body: bytes) -> Answer:
        """Accept or refuse a notification."""
        ...


def asgi_app(endpoint: Endpoint) -> AsgiApp:
    """Return an ASGI 3 application."""

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await _handle_http(endpoint, scope, receive, send)
            case "lifespan":
                await _handle_lifespan(receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": 1000})
            case other:
                raise NotImplementedError(f"ASGI scope of type {other!r}")

    return app


def aiohttp_handler(
    endpoint: Endpoint,
) -> "Callable[[web.Request], Awaitable[web.StreamResponse]]":
    """Return a handler for a route whose last part is `{token}`."""
    from aiohttp import web  # noqa: PLC0415 - programs with another server need none of it

    async def handler(request: web.Request) -> web.StreamResponse:
        if not endpoint.admits(request.match_info["token"]):
            return web.Response(status=HTTPStatus.NOT_FOUND)
        if request.method != "POST":
            return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read_aiohttp(request)
        except TimeoutError:
            return web.Response(status=HTTPStatus.REQUEST_TIMEOUT)
        answer = endpoint.take(body)
        return web.Response(status=answer.status, text=answer.text or None)

    return handler


async def _read_aiohttp(request: "web.Request") -> bytes:
    """Return the body; of one that is too large, the beginning."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_NOTIFICATION_BYTES:
            break
    return bytes(body)


async def _handle_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _handle_http(
    endpoint: Endpoint, scope: MutableMapping[str, Any], receive: Receive, send: Send
) -> None:
    if not endpoint.admits(scope["path"].rstrip("/").rpartition("/")[2]):
        await _respond(send, HTTPStatus.NOT_FOUND)
    elif scope["method"] != "POST":
        await _respond(send, HTTPStatus.METHOD_NOT_ALLOWED, headers=[(b"allow", b"POST")])
    else:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read_asgi(receive)
        except TimeoutError:
            await _respond(send, HTTPStatus.REQUEST_TIMEOUT)
            return
        if body is not None:
            answer = endpoint.take(body)
            await _respond(send, answer.status, answer.text)


async def _read_asgi(receive: Receive) -> bytes | None:
    """Return the body, of one that is too large the beginning; `None` after a disconnect."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_NOTIFICATION_BYTES or not message.get("more_body", False):
            return bytes(body)


async def _respond(
    send: Send,
    status: HTTPStatus,
    text: str = "",
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    content = text.encode()
    fields = headers or []
    if status is not HTTPStatus.NO_CONTENT:
        fields = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(content)).encode()),
            *fields,
        ]
    await send({"type": "http.response.start", "status": status.value, "headers": fields})
    await send({"type": "http.response.body", "body": content})
