"""A service whose ledger is the truth about what was charged, and whose network is bad.

It speaks the API page's submit and getTaskInfo, serves results, and keeps a list of every
acceptance. Each fault happens with a chance of its own; the seed makes a run repeatable as
far as the order of requests is.
"""

import asyncio
import json
import os
import time
from random import Random
from typing import Protocol

from aiohttp import web
from attrs import define, field, frozen

API = "/api/v1"
FAILED_SHARE = 0.01


class Connection(Protocol):
    """The write end of a pipe."""

    def send(self, port: int) -> None: ...


@frozen
class Faults:
    """Chances, each from 0 to 1."""

    accepted_then_closed: float = 0.01
    closed: float = 0.01
    accepted_then_504: float = 0.005
    accepted_then_silent: float = 0.001
    html: float = 0.005
    busy: float = 0.02
    unavailable: float = 0.01
    bad_poll: float = 0.05
    cut_result: float = 0.05
    expired_link: float = 0.02


def video(task_id: int) -> bytes:
    """What the result of a task is, byte for byte."""
    return b"\0\0\0\x18ftypmp42" + f"video of {task_id} ".encode() * 400


@define
class LedgerService:
    """Accepts, charges, and loses answers."""

    faults: Faults
    rng: Random
    seconds: float = 0.01
    charges: dict[str, list[int]] = field(factory=dict)
    ready: dict[int, float] = field(factory=dict)
    failed: list[int] = field(factory=list)
    requests: int = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get(f"{API}/faceDriven/submitTaskByUrl", self.submit)
        app.router.add_get(f"{API}/faceDriven/getTaskInfo", self.get_task_info)
        app.router.add_get("/results/{task_id}.mp4", self.result)
        app.router.add_get("/ledger", self.ledger)
        return app

    async def submit(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        url = request.query["imageUrl"]
        await asyncio.sleep(self.rng.uniform(0, 0.004))
        chance, faults = self.rng.random(), self.faults
        for share, answer in (
            (faults.closed, self._close),
            (faults.html, self._html),
            (faults.busy, self._busy),
            (faults.unavailable, self._unavailable),
        ):
            if chance < share:
                return answer(request)
            chance -= share
        task_id = self._accept(url)
        if chance < faults.accepted_then_closed:
            return self._close(request)
        chance -= faults.accepted_then_closed
        if chance < faults.accepted_then_504:
            return web.Response(status=504, text="<html>", content_type="text/html")
        chance -= faults.accepted_then_504
        if chance < faults.accepted_then_silent:
            await asyncio.sleep(60)
        return envelope(task_id)

    async def get_task_info(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        task_id = int(request.query["taskId"])
        if self.rng.random() < self.faults.bad_poll:
            bad = self.rng.choice([self._close, self._html, self._busy, self._unavailable])
            return bad(request)
        if task_id not in self.ready:
            return envelope(None, code=404, msg="no such task")
        if time.monotonic() < self.ready[task_id]:
            return envelope({"taskId": task_id, "status": 0})
        if task_id in self.failed:
            return envelope({"taskId": task_id, "status": 2})
        link = f"http://{request.host}/results/{task_id}.mp4"
        if self.rng.random() < self.faults.expired_link:
            link += "?expired=1"
        return envelope({"taskId": task_id, "status": 1, "resultUrl": link})

    async def result(self, request: web.Request) -> web.StreamResponse:
        if "expired" in request.query:
            return web.Response(status=403)
        body = video(int(request.match_info["task_id"]))
        if self.rng.random() < self.faults.cut_result:
            response = web.StreamResponse(headers={"Content-Length": str(len(body))})
            await response.prepare(request)
            await response.write(body[: len(body) // 2])
            return self._close(request)
        return web.Response(body=body, content_type="video/mp4")

    async def ledger(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"charges": self.charges, "failed": self.failed, "requests": self.requests}
        )

    def _accept(self, url: str) -> int:
        task_id = 471_000_000_000_000 + len(self.ready)
        self.charges.setdefault(url, []).append(task_id)
        self.ready[task_id] = time.monotonic() + self.rng.uniform(0, 2 * self.seconds)
        if self.rng.random() < FAILED_SHARE:
            self.failed.append(task_id)
        return task_id

    @staticmethod
    def _close(request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    @staticmethod
    def _html(_: web.Request) -> web.Response:
        return web.Response(text="<html>hello</html>", content_type="text/html")

    @staticmethod
    def _busy(_: web.Request) -> web.Response:
        return envelope(None, code=429, msg="slow down", status=429, headers={"Retry-After": "0"})

    @staticmethod
    def _unavailable(_: web.Request) -> web.Response:
        return envelope(None, code=503, msg="later", status=503)


def envelope(
    data: object,
    *,
    code: int = 0,
    msg: str | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> web.Response:
    body = json.dumps({"code": code, "data": data, "msg": msg, "time": 1615368038661})
    return web.Response(text=body, status=status, content_type="application/json", headers=headers)


async def _serve(service: LedgerService, started: Connection) -> None:
    runner = web.AppRunner(service.application(), access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    started.send(runner.addresses[0][1])
    await asyncio.Event().wait()


def serve(service: LedgerService, started: Connection) -> None:
    """Runs the service in this process until it is killed; tells its port."""
    try:
        asyncio.run(_serve(service, started))
    finally:
        os._exit(1)
