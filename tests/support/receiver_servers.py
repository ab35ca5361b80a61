"""Web servers and frameworks in which a notification receiver is mounted."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import django
import hypercorn.asyncio
import hypercorn.config
import uvicorn
from aiohttp import web
from django.conf import settings
from django.core.asgi import get_asgi_application
from fastapi import FastAPI
from quart import Quart
from starlette.applications import Starlette
from starlette.routing import Mount

from photoanimer_async import NotificationReceiver
from photoanimer_async.notifications.web_adapters import AsgiApp

PREFIX = "/photoanimer"
"""The path at which the receiver is mounted."""

RunningServer: TypeAlias = AbstractAsyncContextManager[str]
"""Runs until it is left; its value is the origin, with the path of any outer mount."""


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


SERVERS: Mapping[str, Callable[[NotificationReceiver], RunningServer]] = {
    "aiohttp": aiohttp_server,
    "fastapi": lambda receiver: uvicorn_server(in_fastapi(receiver)),
    "starlette": lambda receiver: uvicorn_server(in_starlette(receiver)),
    "django": lambda receiver: uvicorn_server(in_django(receiver)),
    "quart": lambda receiver: hypercorn_server(in_quart(receiver)),
    "no framework": lambda receiver: uvicorn_server(receiver.asgi),
}
