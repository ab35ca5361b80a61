"""A receiver as an ASGI 3 application, without a framework.

https://asgi.readthedocs.io/en/latest/specs/ has the messages. Frameworks do not agree on what
`path` and `root_path` are below a mount, and a dispatcher of one's own leaves them as they are.
So the token is the last part of the path, whatever comes before it.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from photoanimer_async.notifications.parse import LARGEST_NOTIFICATION

if TYPE_CHECKING:
    from photoanimer_async.notifications.receiver import NotificationReceiver

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
"""An ASGI 3 application."""

BODY_SECONDS = 10.0
"""How long a body may take to come."""


def asgi_app(receiver: "NotificationReceiver") -> AsgiApp:
    """The application; it keeps no state of its own."""

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await _answer(receiver, scope, receive, send)
            case "lifespan":
                await _live(receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": 1000})
            case other:
                raise NotImplementedError(f"ASGI scope of type {other!r}")

    return app


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(
    receiver: "NotificationReceiver",
    scope: MutableMapping[str, Any],
    receive: Receive,
    send: Send,
) -> None:
    if not receiver.admits(scope["path"].rstrip("/").rpartition("/")[2]):
        await _respond(send, HTTPStatus.NOT_FOUND)
    elif scope["method"] != "POST":
        await _respond(send, HTTPStatus.METHOD_NOT_ALLOWED, headers=[(b"allow", b"POST")])
    else:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(receive)
        except TimeoutError:
            await _respond(send, HTTPStatus.REQUEST_TIMEOUT)
            return
        if body is not None:
            answer = receiver.take(body)
            await _respond(send, answer.status, answer.text)


async def _body(receive: Receive) -> bytes | None:
    """What was posted, cut off where it is too large; `None` if the sender has left."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > LARGEST_NOTIFICATION or not message.get("more_body", False):
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
