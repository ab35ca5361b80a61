"""Notifications over real servers, and what a client makes of them."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import django
import hypercorn.asyncio
import hypercorn.config
import pytest
import uvicorn
from aiohttp import web
from django.conf import settings
from django.core.asgi import get_asgi_application
from fastapi import FastAPI
from quart import Quart
from starlette.applications import Starlette
from starlette.routing import Mount

from photoanimer_async import (
    FixedInterval,
    InvalidRequestError,
    NotificationReceiver,
    PhotoAnimerClient,
    TaskFailedError,
    TaskStatus,
)
from photoanimer_async.notifications.access_logs import ACCESS_LOGGERS
from photoanimer_async.notifications.asgi import AsgiApp

from ..support.stub_service import StubService, envelope, quick_client, task
from .test_parse import PAGE_EXAMPLE, notification

TOKEN = "zPq8dJ3kVx_4tN-uRb7LwYc1"
PREFIX = "/photoanimer"
SELDOM = FixedInterval(3600)


@pytest.fixture
def receiver() -> NotificationReceiver:
    return NotificationReceiver(TOKEN)


@pytest.fixture
async def listening(
    stub: StubService, receiver: NotificationReceiver
) -> AsyncIterator[PhotoAnimerClient]:
    """A client that hardly polls but for notifications."""
    async with quick_client(stub.base_url, poll=SELDOM, receiver=receiver) as client:
        yield client


# --- servers with the receiver mounted at PREFIX ---


@asynccontextmanager
async def aiohttp_server(receiver: NotificationReceiver) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes(receiver.routes(PREFIX))
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def uvicorn_server(app: Any) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def hypercorn_server(app: Any) -> AsyncIterator[str]:
    config = hypercorn.config.Config()
    config.bind = ["127.0.0.1:0"]
    config.accesslog = "-"
    [bound] = config.create_sockets().insecure_sockets
    port = bound.getsockname()[1]
    config.bind = [f"fd://{bound.detach()}"]
    stop = asyncio.Event()
    serving = asyncio.create_task(hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait))
    try:
        await connectable(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop.set()
        await serving


async def connectable(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.005)
        else:
            writer.close()
            await writer.wait_closed()
            return


def in_fastapi(receiver: NotificationReceiver) -> FastAPI:
    app = FastAPI()
    app.mount(PREFIX, receiver.asgi)
    return app


def in_starlette(receiver: NotificationReceiver) -> Starlette:
    return Starlette(routes=[Mount("/outer", routes=[Mount(PREFIX, app=receiver.asgi)])])


def in_quart(receiver: NotificationReceiver) -> Quart:
    app = Quart(__name__)
    app.asgi_app = dispatched(receiver, app.asgi_app)  # type: ignore[assignment, method-assign] # as Quart's documentation has it; it is stricter than ASGI
    return app


def in_django(receiver: NotificationReceiver) -> AsgiApp:
    if not settings.configured:
        settings.configure(
            ROOT_URLCONF="django.conf.urls", ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None
        )
        django.setup()
    return dispatched(receiver, get_asgi_application())


def dispatched(receiver: NotificationReceiver, other: Any) -> AsgiApp:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        mine = scope["type"] == "http" and scope["path"].startswith(f"{PREFIX}/")
        await (receiver.asgi if mine else other)(scope, receive, send)

    return app


def alone(receiver: NotificationReceiver) -> AsgiApp:
    return receiver.asgi


SERVERS: Mapping[str, Callable[[NotificationReceiver], Any]] = {
    "aiohttp": aiohttp_server,
    "fastapi": lambda receiver: uvicorn_server(in_fastapi(receiver)),
    "starlette": lambda receiver: uvicorn_server(in_starlette(receiver)),
    "django": lambda receiver: uvicorn_server(in_django(receiver)),
    "quart": lambda receiver: hypercorn_server(in_quart(receiver)),
    "alone": lambda receiver: uvicorn_server(alone(receiver)),
}


@pytest.fixture(params=SERVERS)
async def address(
    request: pytest.FixtureRequest, receiver: NotificationReceiver
) -> AsyncIterator[str]:
    """Where notifications are to be posted."""
    async with SERVERS[request.param](receiver) as origin:
        outer = "/outer" if request.param == "starlette" else ""
        yield f"{origin}{outer}{PREFIX}{receiver.path}"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(session: aiohttp.ClientSession, address: str, body: bytes) -> tuple[int, str]:
    async with session.post(address, data=body) as response:
        return response.status, await response.text()


# --- through every framework ---


async def test_a_notification_ends_the_wait(
    listening: PhotoAnimerClient, stub: StubService, address: str, session: aiohttp.ClientSession
) -> None:
    task_id = await listening.submit("http://127.0.0.1:9/a.jpg")
    waiting = asyncio.create_task(listening.wait(task_id))
    assert await post(session, address, notification(task_id)) == (204, "")
    info = await waiting
    assert info.result_url == f"http://127.0.0.1:9/{task_id}.mp4"
    assert len(stub.polls) == 1


async def test_only_the_token_opens(
    listening: PhotoAnimerClient, address: str, session: aiohttp.ClientSession
) -> None:
    body = notification(1)
    for wrong in (
        f"{address}x",
        address[:-1],
        address.replace(TOKEN, "%FF%00é"),
        f"{address}/more",
    ):
        assert (await post(session, wrong, body))[0] == 404
    async with session.get(address) as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")


async def test_hostile_bodies_are_refused_with_a_reason(
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


async def test_a_huge_body_is_not_read_to_its_end(
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


async def test_a_sender_that_leaves_in_the_middle_does_no_harm(
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


async def test_the_token_is_in_no_log(
    listening: PhotoAnimerClient, address: str, session: aiohttp.ClientSession
) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    loggers = [logging.getLogger(name) for name in ("", *ACCESS_LOGGERS)]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        for body in (PAGE_EXAMPLE, b"{"):
            await post(session, address, body)
        async with session.get(address):
            pass
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
    log = written.getvalue()
    assert f"{PREFIX}/…" in log
    assert "123456" in log
    assert TOKEN not in log


# --- ASGI's corners ---


async def call(app: AsgiApp, scope: dict[str, Any], *messages: dict[str, Any]) -> list[Any]:
    """What the application sends."""
    incoming, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        if not incoming:
            await asyncio.Event().wait()
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def test_it_takes_part_in_lifespan(receiver: NotificationReceiver) -> None:
    sent = await call(
        receiver.asgi,
        {"type": "lifespan"},
        {"type": "lifespan.startup"},
        {"type": "lifespan.shutdown"},
    )
    assert [m["type"] for m in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_it_talks_no_websocket_and_nothing_unknown(receiver: NotificationReceiver) -> None:
    [sent] = await call(receiver.asgi, {"type": "websocket", "path": receiver.path})
    assert sent["type"] == "websocket.close"
    with pytest.raises(NotImplementedError, match="'gopher'"):
        await call(receiver.asgi, {"type": "gopher"})


async def test_a_body_in_pieces_a_disconnect_and_a_body_that_never_comes(
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
    monkeypatch.setattr("photoanimer_async.notifications.asgi.BODY_SECONDS", 0.01)
    assert (await call(receiver.asgi, scope, pieces[0]))[0]["status"] == 408


async def test_aiohttp_does_not_wait_for_ever_for_a_body(
    receiver: NotificationReceiver,
    session: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def halting() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    monkeypatch.setattr("photoanimer_async.notifications.aiohttp_web.BODY_SECONDS", 0.01)
    async with (
        aiohttp_server(receiver) as origin,
        session.post(f"{origin}{PREFIX}{receiver.path}", data=halting()) as response,
    ):
        assert response.status == 408


# --- the receiver and its client ---


def test_a_token_must_be_hard_to_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    for weak in ("short", "x" * 21, "with/slash/and/more/of/it", "x" * 201):
        with pytest.raises(InvalidRequestError, match="22 to 200") as caught:
            NotificationReceiver(weak)
        assert weak not in str(caught.value)
    assert NotificationReceiver().path != NotificationReceiver().path
    assert len(NotificationReceiver().path) == 44
    monkeypatch.setenv("PHOTOANIMER_NOTIFY_TOKEN", TOKEN)
    receiver = NotificationReceiver()
    assert receiver.path == f"/{TOKEN}"
    assert TOKEN not in repr(receiver)
    with pytest.raises(InvalidRequestError, match="queue"):
        NotificationReceiver(queue=0)


async def test_a_receiver_serves_one_client_at_a_time(
    listening: PhotoAnimerClient, receiver: NotificationReceiver, stub: StubService
) -> None:
    assert repr(receiver) == "<NotificationReceiver listening>"
    with pytest.raises(InvalidRequestError, match="another client"):
        async with quick_client(stub.base_url, receiver=receiver):
            pass


async def test_nobody_listens_before_the_client_opens_and_after_it_closes(
    receiver: NotificationReceiver, stub: StubService
) -> None:
    for _ in range(2):
        assert receiver.take(notification(1)).status == 503
        async with quick_client(stub.base_url, receiver=receiver):
            assert receiver.take(notification(1)).status == 204
    assert receiver.take(notification(1)).status == 503
    assert [logging.getLogger(name).filters for name in ACCESS_LOGGERS] == [[]] * len(
        ACCESS_LOGGERS
    )


async def test_the_queue_is_bounded_and_duplicates_take_no_room(stub: StubService) -> None:
    receiver = NotificationReceiver(queue=2)
    async with quick_client(stub.base_url, receiver=receiver):
        statuses = [receiver.take(notification(number)).status for number in (1, 1, 2, 2, 3)]
        assert statuses == [204, 204, 204, 204, 503]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert receiver.take(notification(3)).status == 204


async def settled(receiver: NotificationReceiver) -> None:
    """Until what was taken in has been heard."""
    while receiver._queued:
        await asyncio.sleep(0)


async def test_what_is_told_is_what_the_service_says_not_what_was_posted(
    listening: PhotoAnimerClient, receiver: NotificationReceiver, stub: StubService
) -> None:
    stub.finished = lambda _: envelope(task(471367831765062, 2, failReason="no face"))
    task_id = await listening.submit("http://127.0.0.1:9/a.jpg")
    waiting = asyncio.create_task(listening.wait(task_id))
    await asyncio.sleep(0)
    receiver.take(notification(task_id, status=1))
    with pytest.raises(TaskFailedError, match="no face"):
        await waiting


async def test_a_forgery_costs_one_look_and_a_flood_of_them_no_more(
    listening: PhotoAnimerClient,
    receiver: NotificationReceiver,
    stub: StubService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("photoanimer_async.notifications.dispatcher._FIRST_GAP", 600.0)
    stub.finished = lambda request: envelope(task(int(request.query["taskId"]), 0))
    task_id = int(await listening.submit("http://127.0.0.1:9/a.jpg"))
    waiting = asyncio.create_task(listening.wait(task_id))
    await asyncio.sleep(0)
    for _ in range(200):
        receiver.take(notification(task_id))
        receiver.take(notification(task_id + 1))
        await settled(receiver)
        await asyncio.sleep(0.001)
    assert len(stub.polls) == 1
    assert not waiting.done()
    waiting.cancel()


async def test_the_true_notification_is_heard_after_forged_ones(
    listening: PhotoAnimerClient,
    receiver: NotificationReceiver,
    stub: StubService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("photoanimer_async.notifications.dispatcher._FIRST_GAP", 0.01)
    task_id = int(await listening.submit("http://127.0.0.1:9/a.jpg"))
    stub.poll_script[str(task_id)] = [lambda _: envelope(task(task_id, 0))]
    waiting = asyncio.create_task(listening.wait(task_id))
    await asyncio.sleep(0)
    receiver.take(notification(task_id))
    while not stub.polls:
        await asyncio.sleep(0.001)
    receiver.take(notification(task_id))
    assert (await waiting).status is TaskStatus.FINISHED
    assert len(stub.polls) == 2


async def test_replays_of_a_task_that_has_ended_cost_nothing(
    listening: PhotoAnimerClient, receiver: NotificationReceiver, stub: StubService
) -> None:
    task_id = await listening.submit("http://127.0.0.1:9/a.jpg")
    receiver.take(notification(task_id))
    await listening.wait(task_id)
    for _ in range(50):
        receiver.take(notification(task_id))
        await settled(receiver)
    for number in range(2000):
        receiver.take(notification(number))
        if number % 500 == 0:
            await settled(receiver)
    assert len(stub.polls) == 1


async def test_a_notification_may_come_before_anybody_waits(
    listening: PhotoAnimerClient, receiver: NotificationReceiver, stub: StubService
) -> None:
    early = stub.next_id + 1
    receiver.take(notification(early))
    await settled(receiver)
    animation = await listening.animate("http://127.0.0.1:9/a.jpg")
    assert animation.task_id == early
    assert len(stub.polls) == 1


async def test_when_all_arrive_a_task_costs_one_poll(
    receiver: NotificationReceiver, stub: StubService
) -> None:
    ids: list[int] = []

    async with quick_client(stub.base_url, poll=None, receiver=receiver) as client:

        async def animate(number: int) -> None:
            task_id = await client.submit(f"http://127.0.0.1:9/{number}.jpg")
            ids.append(int(task_id))
            asyncio.get_running_loop().call_later(
                0.05, lambda: receiver.take(notification(task_id))
            )
            await client.wait(task_id)

        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(animate(number))
    assert len(ids) == 100
    assert len(stub.polls) <= 1.2 * 100


async def test_when_none_arrive_nothing_is_lost(
    receiver: NotificationReceiver, stub: StubService
) -> None:
    poll = FixedInterval(0.005)
    async with quick_client(stub.base_url, poll=poll, receiver=receiver) as client:
        urls = [f"http://127.0.0.1:9/{number}.jpg" for number in range(50)]
        outcomes = [outcome async for outcome in client.animate_many(urls)]
    assert all(outcome.ok for outcome in outcomes)
