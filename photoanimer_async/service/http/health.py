"""`/healthz`: whether the service works.

It works if the database and the folder can be written to, no task waits for want of something,
and a worker runs or can be started. A stopping service accepts no more requests, so `draining` is
visible at the address of `operations` only.

The check writes to the disk and syncs it, and anybody may ask. So a check is made at most once a
second, and requests that arrive meanwhile share it.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from enum import Enum
from typing import Final

from aiohttp import web
from attrs import frozen

from photoanimer_async.service.app_keys import DATABASE, FOLDER, QUEUE, RENDERER
from photoanimer_async.service.rendering.renderer import SupportsReadiness
from photoanimer_async.service.shortages import reason_of

HEALTH_PATH: Final = "/healthz"
_SECONDS: Final = 5.0
_VALID_SECONDS: Final = 1.0
_OK: Final = 200
_UNAVAILABLE: Final = 503


class Health(Enum):
    """The health of a service."""

    OK = "ok"
    DRAINING = "draining"
    NO_DATABASE = "no database"
    NO_DISK = "no disk"
    TASKS_WAIT = "tasks wait"
    NO_WORKERS = "no workers"


@frozen
class Diagnosis:
    """The health of a service, and what is wrong, in words; `None` if nothing is."""

    health: Health
    reason: str | None = None


_STOPPING: Final = Diagnosis(Health.DRAINING, "the service is stopping")


async def health_of(app: web.Application) -> Diagnosis:
    """Return the health of a service that has started and is not stopping."""
    try:
        async with asyncio.timeout(_SECONDS):
            await app[DATABASE].check_writable()
    except sqlite3.Error as error:
        return Diagnosis(Health.NO_DATABASE, reason_of(error))
    except TimeoutError:
        return Diagnosis(
            Health.NO_DATABASE, f"it is locked or busy: nothing was written in {_SECONDS:g} s"
        )
    try:
        await asyncio.to_thread(app[FOLDER].check_writable)
    except OSError as error:
        return Diagnosis(Health.NO_DISK, reason_of(error))
    if (shortage := app[QUEUE].shortage) is not None:
        return Diagnosis(Health.TASKS_WAIT, shortage)
    if not await _has_workers(app):
        return Diagnosis(Health.NO_WORKERS, "no worker runs or can be started")
    return Diagnosis(Health.OK)


class HealthCheck:
    """The health of a service, checked at most once a second.

    Args:
        service: its application, in which `HEALTH` is the check.
    """

    def __init__(self, service: web.Application) -> None:
        self._service = service
        self._checking: asyncio.Task[Diagnosis] | None = None
        self._checked = 0.0

    async def latest(self) -> Diagnosis:
        """Return the health of the service, at most a second old."""
        if self._service[QUEUE].is_draining:
            return _STOPPING
        loop = asyncio.get_running_loop()
        if self._checking is None or (
            self._checking.done() and loop.time() > self._checked + _VALID_SECONDS
        ):
            self._checking = asyncio.create_task(self._check())
        checking = self._checking
        # The request may be cancelled, but others wait for the same check.
        await asyncio.wait([checking])
        return _STOPPING if checking.cancelled() else checking.result()

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """Stop a check under way before the parts that it uses; for `cleanup_ctx`."""
        yield
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])

    async def _check(self) -> Diagnosis:
        try:
            return await health_of(self._service)
        finally:
            self._checked = asyncio.get_running_loop().time()


HEALTH: Final = web.AppKey("health", HealthCheck)


def add_health(app: web.Application, service: web.Application) -> None:
    """Add `/healthz` of a service to an application, which may be another one."""
    check = service[HEALTH]

    async def answer(_: web.Request) -> web.Response:
        found = await check.latest()
        body = {"status": found.health.value}
        if found.reason is not None:
            body["reason"] = found.reason
        status = _OK if found.health is Health.OK else _UNAVAILABLE
        return web.json_response(body, status=status)

    app.router.add_get(HEALTH_PATH, answer, allow_head=False)


async def _has_workers(app: web.Application) -> bool:
    renderer = app[RENDERER]
    if not isinstance(renderer, SupportsReadiness):
        return True
    try:
        async with asyncio.timeout(_SECONDS):
            return await renderer.is_ready()
    except TimeoutError:
        return False
