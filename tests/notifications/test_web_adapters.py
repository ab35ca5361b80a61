"""The receiver in every framework, over real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from photoanimer_async import NotificationReceiver, PhotoAnimerClient
from photoanimer_async.notifications.web_adapters import AsgiApp

from ..support.notifications import PAGE_EXAMPLE, notification
from ..support.receiver_servers import PREFIX, aiohttp_server
from ..support.stub_service import StubService


async def post(session: aiohttp.ClientSession, address: str, body: bytes) -> tuple[int, str]:
    async with session.post(address, data=body) as response:
        return response.status, await response.text()


async def test_a_notification_ends_the_wait(
    listening: PhotoAnimerClient, stub: StubService, address: str, session: aiohttp.ClientSession
) -> None:
    task_id = await listening.submit("http://127.0.0.1:9/a.jpg")
    waiting = asyncio.create_task(listening.wait(task_id))
    assert await post(session, address, notification(task_id)) == (204, "")
    info = await waiting
    assert info.result_url == f"http://127.0.0.1:9/{task_id}.mp4"
    assert len(stub.polls) == 1


async def test_any_other_path_or_method_is_refused(
    listening: PhotoAnimerClient,
    receiver: NotificationReceiver,
    address: str,
    session: aiohttp.ClientSession,
) -> None:
    body = notification(1)
    for wrong in (
        f"{address}x",
        address[:-1],
        address.replace(receiver.path, "/%FF%00é"),
        f"{address}/more",
    ):
        assert (await post(session, wrong, body))[0] == 404
    async with session.get(address) as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")


async def test_an_invalid_body_is_refused_with_a_reason(
    listening: PhotoAnimerClient, stub: StubService, address: str, session: aiohttp.ClientSession
) -> None:
    assert await post(session, address, b"[" * 1000) == (
        400,
        "the notification is nested 1000 levels deep; 8 are the most",
    )
    assert await post(session, address, b"{}") == (
        400,
        "$.eventName is missing; 'EVENT_FACE_DRIVEN_TASK_FINISHED' was expected",
    )
    assert await post(session, address, b" " * 16385) == (413, "more than 16384 bytes")
    assert (await post(session, address, PAGE_EXAMPLE))[0] == 204
    assert stub.polls == []


async def test_a_huge_body_is_not_read_to_the_end(
    listening: PhotoAnimerClient, address: str, session: aiohttp.ClientSession
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536
            await asyncio.sleep(0)

    with suppress(aiohttp.ClientError):
        async with session.post(address, data=endless()) as response:
            assert response.status == 413
    assert (await post(session, address, PAGE_EXAMPLE))[0] == 204


async def test_a_sender_that_disconnects_does_no_harm(
    listening: PhotoAnimerClient, address: str, session: aiohttp.ClientSession
) -> None:
    host, port = address.split("/")[2].split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    path = "/" + address.split("/", 3)[3]
    writer.write(f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await post(session, address, PAGE_EXAMPLE))[0] == 204


async def call(app: AsgiApp, scope: dict[str, Any], *messages: dict[str, Any]) -> list[Any]:
    """Return the messages that the application sends."""
    incoming, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        if not incoming:
            await asyncio.Event().wait()
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def test_asgi_lifespan(receiver: NotificationReceiver) -> None:
    sent = await call(
        receiver.asgi,
        {"type": "lifespan"},
        {"type": "lifespan.startup"},
        {"type": "lifespan.shutdown"},
    )
    assert [m["type"] for m in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_asgi_websockets_are_closed_and_unknown_scopes_raise(
    receiver: NotificationReceiver,
) -> None:
    [sent] = await call(receiver.asgi, {"type": "websocket", "path": receiver.path})
    assert sent["type"] == "websocket.close"
    with pytest.raises(NotImplementedError, match="'gopher'"):
        await call(receiver.asgi, {"type": "gopher"})


async def test_asgi_body_in_pieces_disconnect_and_timeout(
    listening: PhotoAnimerClient,
    receiver: NotificationReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scope = {"type": "http", "method": "POST", "path": f"/any{receiver.path}/", "root_path": "/any"}
    pieces: list[dict[str, Any]] = [
        {"type": "http.request", "body": PAGE_EXAMPLE[:50], "more_body": True},
        {"type": "http.request", "body": PAGE_EXAMPLE[50:]},
    ]
    assert [m.get("status") for m in await call(receiver.asgi, scope, *pieces)] == [204, None]
    gone: list[dict[str, Any]] = [pieces[0], {"type": "http.disconnect"}]
    assert await call(receiver.asgi, scope, *gone) == []
    monkeypatch.setattr("photoanimer_async.notifications.web_adapters.BODY_SECONDS", 0.01)
    assert (await call(receiver.asgi, scope, pieces[0]))[0]["status"] == 408


async def test_aiohttp_body_timeout(
    receiver: NotificationReceiver,
    session: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def halting() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    monkeypatch.setattr("photoanimer_async.notifications.web_adapters.BODY_SECONDS", 0.01)
    async with (
        aiohttp_server(receiver) as origin,
        session.post(f"{origin}{PREFIX}{receiver.path}", data=halting()) as response,
    ):
        assert response.status == 408
