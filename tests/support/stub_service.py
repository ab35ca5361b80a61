"""A stub of the service that answers what a test tells it to, and a client that is quick."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from attrs import define, field

from photoanimer_async import PhotoAnimerClient
from photoanimer_async.api.retry import RetryPolicy
from photoanimer_async.polling.policies import FixedInterval

KEY = "key-1f2e3d4c"
API = "/api/v1"
QUICK_RETRY = RetryPolicy(tries=3, first_wait=0.001, longest_wait=0.002)
QUICK_POLL = FixedInterval(0.001)

Reply = Callable[[web.Request], web.StreamResponse | Awaitable[web.StreamResponse]]


def envelope(
    data: object = None, *, code: int = 0, msg: str | None = None, status: int = 200, **headers: str
) -> web.Response:
    body = {"code": code, "data": data, "msg": msg, "time": 1615368038661}
    return web.json_response(
        body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def task(task_id: object, status: int = 1, **more: object) -> dict[str, object]:
    link = {"resultUrl": f"http://127.0.0.1:9/{task_id}.mp4"} if status == 1 else {}
    return {"taskId": task_id, "status": status, **link, **more}


async def drop_connection(request: web.Request) -> web.Response:
    """A reply to a script: the connection is closed without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@define
class StubService:
    """Answers from scripts; what is not scripted goes well."""

    base_url: str = ""
    requests: list[web.Request] = field(factory=list)
    submit_script: list[Reply] = field(factory=list)
    poll_script: dict[str, list[Reply]] = field(factory=dict)
    balance: Reply | None = None
    finished: Reply | None = None
    next_id: int = 471367831765061

    @property
    def submits(self) -> list[web.Request]:
        return [r for r in self.requests if r.path.endswith("/submitTaskByUrl")]

    @property
    def polls(self) -> list[web.Request]:
        return [r for r in self.requests if r.path.endswith("/getTaskInfo")]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        reply = self._reply(request)(request)
        return reply if isinstance(reply, web.StreamResponse) else await reply

    def _reply(self, request: web.Request) -> Reply:
        match request.path.rsplit("/", 1)[-1]:
            case "submitTaskByUrl":
                return self.submit_script.pop(0) if self.submit_script else self._accept
            case "getTaskInfo":
                script = self.poll_script.get(request.query["taskId"])
                return script.pop(0) if script else self.finished or self._finished
            case "mySubscription" if self.balance:
                return self.balance
            case _:
                return lambda _: web.Response(status=404)

    def _accept(self, _: web.Request) -> web.Response:
        self.next_id += 1
        return envelope(self.next_id)

    @staticmethod
    def _finished(request: web.Request) -> web.Response:
        return envelope(task(int(request.query["taskId"])))


@asynccontextmanager
async def serving(
    handler: Reply, *, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A real server on loopback for one handler; gives its origin."""

    async def answer(request: web.Request) -> web.StreamResponse:
        reply = handler(request)
        return reply if isinstance(reply, web.StreamResponse) else await reply

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context)
        await site.start()
        yield f"{'https' if ssl_context else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def quick_client(base_url: str, **options: Any) -> PhotoAnimerClient:
    """A client that does not wait long for anything."""
    quick: dict[str, Any] = {"poll": QUICK_POLL, "retry": QUICK_RETRY}
    return PhotoAnimerClient(KEY, base_url=base_url, **(quick | options))


def as_bytes(data: object = None, *, code: object = 0, msg: object = None, **more: object) -> bytes:
    return json.dumps(
        {"code": code, "data": data, "msg": msg, "time": 1615368038661, **more}
    ).encode()
